"""Colours for values: 256-entry palettes whose first LEVELS entries are a scale and whose last 16 are greys.

Neuron pictures are stored as one palette index a pixel: a quarter of the bytes of RGB to compress, and the
value can be read back from the file. Every palette shares one layout, so that text and frames can be drawn on
any of them. Scales are made in Oklab (Ottosson 2020), where equal steps look equal.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = [
    "GREYS",
    "LEVELS",
    "MIDDLE",
    "PAPER",
    "Indices",
    "Palette",
    "colour",
    "diverging",
    "grey",
    "heat",
    "index",
    "oklab",
    "palette",
    "png",
]

Indices = npt.NDArray[np.uint8]
"""Palette indices, (H, W)."""

Palette = npt.NDArray[np.uint8]
"""RGB of each index, (256, 3)."""

LEVELS = 239
"""Entries of a scale: an odd number, so that the middle of a diverging one is exactly white."""

MIDDLE = LEVELS // 2
PAPER = 240
"""Index of the background; the 15 after it are ever darker greys, the last one is ink."""

GREYS = 256 - PAPER

PAPER_RGB, INK_RGB = (236, 236, 233), (26, 27, 30)


def diverging() -> Palette:
    """Blue below zero, white at zero, red above: equally light on both sides, so that strength reads the same.

    Blue against red keeps its meaning for the common colour blindnesses (protan, deutan): what they confuse
    is red and green. Index MIDDLE is pure white.
    """
    t = np.abs(np.arange(LEVELS) - MIDDLE) / MIDDLE
    lightness = 1 - 0.62 * t**1.15
    chroma = np.interp(t, [0, 0.25, 0.6, 0.85, 1], [0, 0.075, 0.17, 0.16, 0.12])
    negative = np.arange(LEVELS) < MIDDLE
    hue = np.where(negative, np.interp(t, [0, 1], [238, 266]), np.interp(t, [0, 0.5, 1], [60, 36, 18]))
    return _with_greys(_oklch(lightness, chroma, hue))


def grey() -> Palette:
    """Black to white, as the 2013 post drew activations."""
    values = np.rint(np.linspace(0, 255, LEVELS)).astype(np.uint8)
    return _with_greys(np.stack([values] * 3, 1))


def heat() -> Palette:
    """Black through violet and orange to pale yellow, ever lighter: for errors, which have no sign."""
    t = np.linspace(0, 1, LEVELS)
    lightness = 0.10 + 0.87 * t
    chroma = np.interp(t, [0, 0.2, 0.45, 0.7, 1], [0.02, 0.12, 0.18, 0.16, 0.07])
    hue = np.interp(t, [0, 0.25, 0.5, 0.75, 1], [285, 315, 372, 420, 465])
    return _with_greys(_oklch(lightness, chroma, hue))


def palette(name: str) -> Palette:
    """The palette called `diverging`, `grey` or `heat`, computed once; KeyError for another name."""
    return _made(name).copy()


@lru_cache(maxsize=8)
def _made(name: str) -> Palette:
    return {"diverging": diverging, "grey": grey, "heat": heat}[name]()


def index(values: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> Indices:
    """Palette indices of values: `low` -> 0, `high` -> LEVELS - 1, rounded, clipped outside; broadcasts."""
    low_, high_ = np.asarray(low, np.float32), np.asarray(high, np.float32)
    scaled = (np.asarray(values, np.float32) - low_) * (np.float32(LEVELS - 1) / (high_ - low_))
    result: Indices = np.rint(np.clip(scaled, 0, LEVELS - 1)).astype(np.uint8)
    return result


def colour(indices: Indices, table: Palette) -> npt.NDArray[np.float32]:
    """The values in [0, 1] of palette indices, float32 (..., 3)."""
    values: npt.NDArray[np.float32] = table.astype(np.float32) / np.float32(255)
    return values[indices]


def png(indices: Indices, table: Palette, *, level: int = 6) -> bytes:
    """A PNG file of palette indices (H, W). level: zlib's, 1 (quick) to 9 (small)."""
    image = Image.fromarray(indices, "P")
    image.putpalette(table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


# Oklab -------------------------------------------------------------------------------------------------------

_TO_LMS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
_FROM_RGB, _FROM_LMS = np.linalg.inv(_TO_RGB), np.linalg.inv(_TO_LMS)


def oklab(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Oklab lightness and two opponent colours, (..., 3), of sRGB bytes (..., 3): lightness runs from 0 to 1."""
    srgb = pixels / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    result: npt.NDArray[np.float64] = np.cbrt(linear @ _FROM_RGB.T) @ _FROM_LMS.T
    return result


def _oklch(
    lightness: npt.NDArray[np.float64], chroma: npt.NDArray[np.float64], hue: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    """sRGB bytes of Oklab lightness, chroma and hue in degrees; chroma is cut where sRGB ends."""
    angle = np.radians(hue)
    low, high = np.zeros_like(chroma), chroma.copy()
    for _ in range(20):
        tried = high if _ == 0 else (low + high) / 2
        linear = _linear(lightness, tried, angle)
        inside = ((linear >= -1e-6) & (linear <= 1 + 1e-6)).all(1)
        low = np.where(inside, tried, low)
        high = np.where(inside, high, tried)
    linear = np.clip(_linear(lightness, low, angle), 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    result: npt.NDArray[np.uint8] = np.rint(srgb * 255).astype(np.uint8)
    return result


def _linear(
    lightness: npt.NDArray[np.float64], chroma: npt.NDArray[np.float64], angle: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    lab = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], 1)
    linear: npt.NDArray[np.float64] = (lab @ _TO_LMS.T) ** 3 @ _TO_RGB.T
    return linear


def _with_greys(scale: npt.NDArray[np.uint8]) -> Palette:
    """A scale of LEVELS colours, one green for values that are not finite, and the greys from paper to ink."""
    share = np.linspace(0, 1, GREYS)[:, None]
    greys = np.rint(np.array(PAPER_RGB) * (1 - share) + np.array(INK_RGB) * share).astype(np.uint8)
    return np.ascontiguousarray(np.concatenate([scale, [[80, 160, 60]], greys]).astype(np.uint8))
