"""Numbers from two pictures, or arrays, of the same shape: what was wanted and what was painted.

They are compared as they would be stored: what was painted is clipped to [0, 1], not rounded. Arrays hold floats
meant in [0, 1]; bool, uint8 and uint16 are divided by their full scale. All raise PictureError where shapes differ,
for other types, and for a target of floats beyond -0.5 ... 1.5, which mean another scale.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import PictureError
from ._values import Picture, check_range, numbers

__all__ = ["mae", "mse", "psnr", "psnr_of_mse", "ssim"]

Real = npt.NDArray[np.floating]
Shown = Picture | npt.ArrayLike


def mse(target: Shown, painted: Shown) -> float:
    """Mean squared error of values clipped to [0, 1]; 0 is perfect."""
    wanted, found = _pair(target, painted)
    error = np.clip(found, 0, 1).astype(np.float64) - wanted
    return float(np.mean(error * error))


def mae(target: Shown, painted: Shown) -> float:
    """Mean absolute error of values clipped to [0, 1]."""
    wanted, found = _pair(target, painted)
    return float(np.mean(np.abs(np.clip(found, 0, 1).astype(np.float64) - wanted)))


def psnr(target: Shown, painted: Shown) -> float:
    """Peak signal-to-noise ratio in decibels, peak 1: -10 log10(mse); infinite for equal arrays."""
    return psnr_of_mse(mse(target, painted))


def psnr_of_mse(error: float) -> float:
    """Decibels of a mean squared error on a scale where the peak is 1; nan stays nan."""
    if math.isnan(error):
        return math.nan
    return -10 * math.log10(error) if error > 0 else math.inf


def ssim(target: Shown, painted: Shown) -> float:
    """Structural similarity in [-1, 1], 1 = equal, mean over channels; arrays (H, W, C) in [0, 1].

    Wang, Bovik, Sheikh and Simoncelli 2004, equations 13-14, with their Gaussian window (sd 1.5 pixels, cut at
    3.5 sd), K1 = 0.01, K2 = 0.03 and population covariances; the border of 5 pixels, where the window leaves
    the picture, does not count (as in scikit-image with gaussian_weights). Sides below 11 pixels give nan.
    """
    wanted, found = _pair(target, painted)
    if min(wanted.shape[:2]) < 11:
        return math.nan
    a = np.asarray(wanted, np.float64)
    b = np.clip(found, 0, 1).astype(np.float64)
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    bottom = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(np.mean(top / bottom))


def _blur(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gaussian mean over 11x11 pixels where the window fits: (H, W, C) -> (H - 10, W - 10, C)."""
    kernel = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    kernel /= kernel.sum()
    height, width = values.shape[:2]
    down = sum(k * values[i : height - 10 + i] for i, k in enumerate(kernel))
    return np.asarray(sum(k * down[:, i : width - 10 + i] for i, k in enumerate(kernel)))


def _pair(target: Shown, painted: Shown) -> tuple[Real, Real]:
    """Both as floats on the scale where white is 1."""
    wanted, found = _real(target, "target"), _real(painted, "painted")
    if wanted.shape != found.shape or not wanted.size:
        raise PictureError(f"pictures of shapes {wanted.shape} and {found.shape} cannot be compared")
    check_range(
        float(wanted.min()), float(wanted.max()), "target"
    )  # a painting may be anywhere: it is clipped
    return wanted, found


def _real(values: Shown, name: str) -> Real:
    array, scale = numbers(values.values if isinstance(values, Picture) else values, name)
    return array if array.dtype.kind == "f" else array / np.float64(scale)
