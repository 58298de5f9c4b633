"""PSNR and SSIM by hand and against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from compare import bound, close
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sfumato.errors import PictureError
from sfumato.picture import from_array, metrics


def pair(height: int, width: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A picture and a noisy copy whose values leave [0, 1] here and there."""
    rng = np.random.default_rng(height * 1000 + width)
    smooth = np.linspace(0, 1, height)[:, None, None] * np.linspace(0.2, 1, width)[None, :, None]
    a = (smooth * np.linspace(1, 0.5, channels)).astype(np.float32)
    return a, (a + 0.1 * rng.standard_normal(a.shape)).astype(np.float32)


def test_psnr_by_hand() -> None:
    """Errors 0.1, 0.1, 0, 0: mse 0.005, PSNR -10 log10(0.005) = 23.0103."""
    target, painted = np.array([0.5, 0.5, 0.2, 0.9]), np.array([0.6, 0.4, 0.2, 0.9])
    assert metrics.mse(target, painted) == pytest.approx(0.005, rel=1e-12)  # exact in decimals, not in binary
    assert metrics.mae(target, painted) == pytest.approx(0.05, rel=1e-12)
    assert metrics.psnr(target, painted) == pytest.approx(23.010299957, rel=1e-9)  # digits given


def test_what_is_painted_is_clipped_as_if_stored() -> None:
    assert metrics.mse(np.array([1.0, 0.0]), np.array([1.7, -3.0])) == 0
    assert metrics.mae(np.array([1.0, 0.0]), np.array([1.7, -3.0])) == 0
    assert metrics.psnr(np.array([1.0, 0.0]), np.array([1.7, -3.0])) == math.inf


def test_decibels_of_limits() -> None:
    assert metrics.psnr_of_mse(0) == math.inf
    assert math.isnan(metrics.psnr_of_mse(math.nan))
    assert metrics.psnr_of_mse(1) == 0
    assert metrics.psnr_of_mse(1e-3) == pytest.approx(30, rel=1e-12)


def test_psnr_is_scikit_images() -> None:
    a, b = pair(20, 30)
    reference = peak_signal_noise_ratio(a.astype(float), np.clip(b, 0, 1).astype(float), data_range=1)
    assert metrics.psnr(a, b) == pytest.approx(reference, rel=1e-9)  # the same formula in float64


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(11, 11, 1), (11, 40, 3), (20, 31, 3), (40, 13, 4)]
)
def test_ssim_is_scikit_images(height: int, width: int, channels: int) -> None:
    a, b = pair(height, width, channels)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    reference = structural_similarity(
        a.astype(float), np.clip(b, 0, 1).astype(float), channel_axis=2, **options
    )
    assert metrics.ssim(a, b) == pytest.approx(reference, abs=1e-6)  # one formula, two ways to blur


def test_ssim_of_constant_pictures_by_hand() -> None:
    """No variance: only the brightness term is left, (2 ab + C1) / (a^2 + b^2 + C1), C1 = 0.0001."""
    a, b = np.full((12, 12, 1), 0.5), np.full((12, 12, 1), 0.25)
    by_hand = (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)
    assert metrics.ssim(a, b) == pytest.approx(
        by_hand, rel=1e-9
    )  # variances cancel to 1e-17 beside C2 = 9e-4


def test_ssim_of_equal_pictures_is_one_and_of_small_ones_unknown() -> None:
    a, _ = pair(15, 15)
    assert metrics.ssim(a, a) == pytest.approx(1, abs=1e-12)
    assert math.isnan(metrics.ssim(a[:10], a[:10]))


@pytest.mark.parametrize("metric", [metrics.mse, metrics.mae, metrics.psnr, metrics.ssim])
def test_shapes_are_never_broadcast(metric: object) -> None:
    for a, b in (((12, 12, 3), (12, 12, 1)), ((4,), (4, 1)), ((0,), (0,))):
        with pytest.raises(PictureError, match="cannot be compared"):
            metric(np.zeros(a), np.zeros(b))  # type: ignore[operator]


def test_metrics_count_in_float64() -> None:
    a = np.zeros(100_000, np.float32)
    close(metrics.mse(a, a + np.float32(0.1)), float(np.float32(0.1)) ** 2, **bound("float64"))


METRICS = (metrics.mse, metrics.mae, metrics.psnr, metrics.ssim)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["bool", "uint8", "uint16"])
def test_whole_numbers_mean_their_full_scale(metric: object, kind: str) -> None:
    """uint8 was compared as it stood: PSNR -44 dB."""
    full = {"bool": 1, "uint8": 255, "uint16": 65535}[kind]
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, full, (12, 13, 3), endpoint=True).astype(kind) for _ in range(2))
    assert metric(a, b) == metric(a / full, b / full)  # type: ignore[operator]


@pytest.mark.parametrize("metric", METRICS)
def test_pictures_and_lists_are_compared_like_their_values(metric: object) -> None:
    a, b = (from_array(np.clip(values, 0, 1)) for values in pair(12, 12))
    expected = metric(a.values, b.values)  # type: ignore[operator]
    assert metric(a, b) == metric(a.values, b) == expected  # type: ignore[operator]
    assert metric(a.values.tolist(), b.values.tolist()) == pytest.approx(expected, rel=1e-6)  # type: ignore[operator]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "wrong", [np.full((12, 12, 3), 200.0), np.zeros((12, 12, 3), int), [[0.0], [0.0, 1.0]]]
)
def test_what_means_another_scale_is_no_target(metric: object, wrong: object) -> None:
    with pytest.raises(PictureError, match="target"):
        metric(wrong, np.zeros((12, 12, 3)))  # type: ignore[operator]
