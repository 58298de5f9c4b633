"""Pictures that teach what networks find hard, made from formulas: no file, no rights, the same everywhere.

Each public function of `SAMPLES` takes (height, width) and returns float32 (height, width, 3) in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..picture import Picture

__all__ = ["SAMPLES", "generated"]

SIZE = 192
"""Height and width of a generated picture: large enough for detail, small enough for a first minute."""

Values = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def disc(height: int, width: int) -> Values:
    """One sharp edge: a light disc on a dark ground, smooth everywhere else."""
    y, x = _places(height, width)
    inside = np.clip((0.36 - np.hypot(x - 0.5, y - 0.5)) * max(height, width), 0, 1)[..., None]
    ground, light = np.array([0.10, 0.16, 0.28]), np.array([0.96, 0.84, 0.58])
    shade = 0.75 + 0.35 * (1 - y)[..., None]
    made: Values = (ground * (1 - inside) + light * shade * inside).clip(0, 1).astype(np.float32)
    return made


def stripes(height: int, width: int) -> Values:
    """Stripes ever finer from left to right: nets learn the coarse ones long before the fine ones."""
    y, x = _places(height, width)
    cycles = 2 * (24 ** np.clip(x, 0, 1) - 1) / np.log(24)  # the frequency grows from 2 to 48 a width
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * cycles)
    low, high = np.array([0.14, 0.20, 0.34]), np.array([0.95, 0.92, 0.85])
    tilt = (0.85 + 0.15 * y)[..., None]
    made: Values = ((low + (high - low) * wave[..., None]) * tilt).astype(np.float32)
    return made


def lettering(height: int, width: int) -> Values:
    """Rendered text: thin strokes and sharp edges at several sizes."""
    image = Image.new("RGB", (width, height), (246, 241, 231))
    draw = ImageDraw.Draw(image)
    lines = [("sfumato", 0.22), ("without lines", 0.12), ("or borders, in", 0.10), ("the manner of", 0.08)]
    lines += [("smoke, beyond the focus plane", 0.058), ("Leonardo da Vinci", 0.05)]
    top = 0.08 * height
    for words, size in lines:
        letters = ImageFont.load_default(max(6, size * height))
        draw.text((0.07 * width, top), words, fill=(38, 32, 44), font=letters)
        top += 1.42 * size * height
    return np.asarray(image, np.float32) / np.float32(255)


def noise(height: int, width: int) -> Values:
    """Random colours: nothing to generalise from, so every pixel has to be learned by heart."""
    values: Values = np.random.default_rng(0).random((height, width, 3), np.float32)
    return values


def _places(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the pixels, y and x, each (height, width) in [0, 1]."""
    y, x = np.mgrid[0:height, 0:width]
    return (y + 0.5) / height, (x + 0.5) / width


SAMPLES: Mapping[str, tuple[str, Callable[[int, int], Values]]] = {
    "disc": ("Disc: one sharp edge", disc),
    "stripes": ("Stripes, ever finer", stripes),
    "lettering": ("Lettering", lettering),
    "noise": ("Noise", noise),
}
"""Name -> (title, function)."""


def generated(name: str) -> Picture:
    """The sample of that name at SIZE x SIZE; KeyError if there is none."""
    return Picture(SAMPLES[name][1](SIZE, SIZE), name=name)
