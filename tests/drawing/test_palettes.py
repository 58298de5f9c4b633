"""Palettes: white at zero, even on both sides, apart for colour-blind eyes; palette PNGs read back."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from sfumato.drawing import palettes
from sfumato.drawing.palettes import LEVELS, MIDDLE, PAPER

NAMES = ("diverging", "grey", "heat")


def luminance(table: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """CIE lightness L* of sRGB colours."""
    srgb = table / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


@pytest.mark.parametrize("name", NAMES)
def test_a_palette_is_256_colours_with_paper_and_ink_at_its_end(name: str) -> None:
    table = palettes.palette(name)
    assert table.shape == (256, 3) and table.dtype == np.uint8
    assert (np.diff(luminance(table[PAPER:])) < 0).all()


def test_zero_is_exactly_white() -> None:
    table = palettes.palette("diverging")
    assert table[MIDDLE].tolist() == [255, 255, 255]
    assert palettes.index([-2.0, 0.0, 2.0], -2, 2).tolist() == [0, MIDDLE, LEVELS - 1]


def test_strength_reads_the_same_on_both_sides_of_zero() -> None:
    light = luminance(palettes.palette("diverging")[:LEVELS])
    assert (np.diff(light[: MIDDLE + 1]) > 0).all() and (np.diff(light[MIDDLE:]) < 0).all()
    # Oklab lightness is equal by construction; L* is another scale, and hues differ in it by a few units.
    assert np.abs(light - light[::-1]).max() < 9


@pytest.mark.parametrize("name", ["grey", "heat"])
def test_scales_without_a_sign_grow_ever_lighter(name: str) -> None:
    assert (np.diff(luminance(palettes.palette(name)[:LEVELS])) > 0).all()


DICHROMACIES = {  # Machado, Oliveira and Fernandes 2009, table 1 at severity 1, on linear RGB
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@pytest.mark.parametrize("kind", DICHROMACIES)
def test_both_signs_stay_apart_for_colour_blind_eyes(kind: str) -> None:
    srgb = palettes.palette("diverging")[:LEVELS] / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(DICHROMACIES[kind]).T, 0, 1)
    # Blue against yellow is what these eyes keep: from half way out on, equal strengths of the two signs must
    # differ in it by a fifth of the whole range, and only the negative one may be blue.
    blueness = seen[:, 2] - seen[:, 0]
    negative, positive = blueness[: MIDDLE // 2], blueness[::-1][: MIDDLE // 2]
    assert (negative - positive).min() > 0.2 and positive.max() < 0


def test_values_beyond_the_ends_are_clipped_and_steps_are_rounded() -> None:
    step = 2 / (LEVELS - 1)
    values = [-9.0, -1 + 0.4 * step, -1 + 0.6 * step, 9.0]
    assert palettes.index(values, -1, 1).tolist() == [0, 0, 1, LEVELS - 1]


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (2, 300)])
def test_palette_png_reads_back_as_written(shape: tuple[int, int]) -> None:
    indices = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    table = palettes.palette("heat")
    image = Image.open(io.BytesIO(palettes.png(indices, table)))
    assert image.mode == "P"
    assert (np.asarray(image) == indices).all()
    assert (np.asarray(image.convert("RGB")) == table[indices]).all()
    assert np.array_equal(
        palettes.colour(indices, table), (table / np.float32(255)).astype(np.float32)[indices]
    )


def test_a_palette_that_was_changed_does_not_change_the_next_one() -> None:
    palettes.palette("grey")[:] = 7
    assert palettes.palette("grey")[LEVELS - 1].tolist() == [255, 255, 255]
