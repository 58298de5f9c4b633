"""Frames of a film: sizes as a person types them, and one size for all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import RecipeError, RunError
from sfumato.views import frames


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("600x429", (600, 429)),
        ("4x", (1200, 1716)),
        ("x4", (1200, 1716)),
        ("0.5x", (150, 214)),
        ("2×", (600, 858)),
        ((7, 9), (7, 9)),
        ("0.001x", (1, 1)),
    ],
)
def test_sizes_are_pixels_or_a_factor(text: str | tuple[int, int], size: tuple[int, int]) -> None:
    assert frames.wanted_size(text, 300, 429) == size


@pytest.mark.parametrize("text", ["0x", "1200x", "-2x", "x", "", "big", "3x4x5", "0x0", "1e3x"])
def test_sizes_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        frames.wanted_size(text, 300, 429)


@pytest.mark.parametrize("own", [(13, 9), (64, 64), (2000, 1), (1, 2000), (300, 429), (5000, 3000)])
@pytest.mark.parametrize("captions", [False, True])
@pytest.mark.parametrize("doubled", [False, True])
def test_every_frame_of_a_film_has_one_size_that_players_show(
    own: tuple[int, int], captions: bool, doubled: bool
) -> None:
    fit = frames.Fit(own, None, captions, doubled)
    texts = ("epoch 12.3", "31.26 dB") if captions else None
    shown = [fit(Image.new(mode, own, 200), texts) for mode in ("RGB", "L")]
    height, width = shown[0].shape[:2]
    assert shown[0].shape[:2] == shown[1].shape[:2]
    assert min(height, width) >= frames.SMALLEST and max(height, width) <= frames.LONGEST + 100


def test_a_frame_at_its_own_size_keeps_its_pixels() -> None:
    values = np.random.default_rng(0).integers(0, 256, (80, 70, 3), np.uint8)
    fit = frames.Fit((70, 80), None, False, False)
    assert np.array_equal(fit(Image.fromarray(values), None), values)
    twice = frames.Fit((70, 80), None, False, True)(Image.fromarray(values), None)
    assert np.array_equal(twice, values.repeat(2, 0).repeat(2, 1))


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    (tmp_path / "000500.jpg").write_bytes(b"\xff\xd8\xff no picture")
    with pytest.raises(RunError, match=r"000500\.jpg is damaged"):
        frames.opened(tmp_path / "000500.jpg")


def test_captions_say_epoch_and_score_or_the_step() -> None:
    assert frames.caption(500, {"epoch": 12.34, "psnr": 31.256}) == ("epoch 12.3", "31.26 dB")
    assert frames.caption(1500, {}) == ("step 1,500", "")
