"""Drawings in palette colours: tiles in rows, captions, a heading and the legend of their colour scale.

Knows nothing of nets; `picture.sheet` is its counterpart for photographs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import RecipeError
from ..files import save_bytes
from ..picture import Picture
from . import palettes
from .palettes import GREYS, LEVELS, PAPER, Indices, Palette

__all__ = ["Canvas", "Drawing", "tiled"]

MARGIN, GAP = 18, 4
INK, SOFT = 1.0, 0.55
"""Strength of text: full, and for what matters less."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """Palette indices (H, W) and their palette (256, 3): a picture at a byte a pixel."""

    indices: Indices
    palette: Palette
    name: str = "drawing"

    def picture(self) -> Picture:
        """The same as RGB values."""
        return Picture(palettes.colour(self.indices, self.palette), name=self.name)

    def png(self, level: int = 6) -> bytes:
        """The bytes of a PNG file with this palette."""
        return palettes.png(self.indices, self.palette, level=level)

    def save(self, path: str | os.PathLike[str], *, level: int = 3) -> Path:
        """Write a PNG file, replaced in one step; folders are made. Raises RunError where the disk refuses."""
        path = Path(path)
        save_bytes(path, self.png(level), folders=True)
        return path

    def _repr_png_(self) -> bytes:
        return self.png()


class Canvas:
    """A sheet of paper (H, W) of palette indices to put tiles and text on."""

    def __init__(self, height: int, width: int) -> None:
        self.indices: Indices = np.full((height, width), PAPER, np.uint8)

    def paste(self, tile: Indices, top: int, left: int) -> None:
        """Put a tile with its upper left corner at [top, left]; what lies outside is cut."""
        area = self.indices[top : top + tile.shape[0], left : left + tile.shape[1]]
        area[:] = tile[: area.shape[0], : area.shape[1]]

    def text(
        self, words: str, top: int, left: int, size: int, *, strength: float = INK, limit: int | None = None
    ) -> int:
        """Write words on paper, smooth, and return their width; limit: cut with an ellipsis at this width."""
        if limit is not None and text_width(words, size) > limit:
            while words and text_width(words + "…", size) > limit:
                words = words[:-1]
            words = words.rstrip() + "…"
        mask = _rendered(words, size)
        shade = np.rint(mask.astype(np.float32) * (strength * (GREYS - 1) / 255)).astype(np.uint8)
        area = self.indices[top : top + shade.shape[0], left : left + shade.shape[1]]
        np.maximum(area, PAPER + shade[: area.shape[0], : area.shape[1]], out=area, where=area >= PAPER)
        return int(mask.shape[1])

    def ramp(self, top: int, left: int, height: int, width: int) -> None:
        """The whole colour scale, from left to right, in a thin frame."""
        scale = np.rint(np.linspace(0, LEVELS - 1, width)).astype(np.uint8)
        self.indices[top - 1 : top + height + 1, left - 1 : left + width + 1] = PAPER + GREYS // 2
        self.paste(np.broadcast_to(scale, (height, width)), top, left)


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, so that drawings look the same on every machine."""
    made = ImageFont.load_default(size)
    if not isinstance(made, ImageFont.FreeTypeFont):
        raise RecipeError("this Pillow was built without FreeType: text cannot be drawn")
    return made


def text_width(words: str, size: int) -> int:
    """Pixels across."""
    return math.ceil(font(size).getlength(words))


@lru_cache(maxsize=16384)
def _rendered(words: str, size: int) -> Indices:
    """Coverage (rows, columns) of a line of text, 0 ... 255."""
    image = Image.new("L", (max(1, text_width(words, size)), math.ceil(size * 1.3)))
    ImageDraw.Draw(image).text((0, 0), words, fill=255, font=font(size))
    return np.asarray(image)


def tiled(
    tiles: Indices,
    palette: Palette,
    *,
    captions: Sequence[str] | None = None,
    faint: Sequence[bool] | None = None,
    heading: str = "",
    facts: str = "",
    legend: str = "",
    ends: tuple[str, str] = ("", ""),
    columns: int | None = None,
    shape: float = 1.45,
) -> Drawing:
    """A sheet of tiles (count, h, w), palette indices, with `heading`, `facts`, `legend` and the scale on top.

    captions: below each tile, left out where tiles are too narrow for them. faint: tiles whose caption is
    followed by "dead", in grey. ends: the values at both ends of the scale. columns:
    tiles in a row; without it the sheet comes near `shape` = width / height. Raises RecipeError for no tiles.
    """
    count, h, w = tiles.shape
    if not count:
        raise RecipeError("a sheet needs at least one neuron")
    small = max(9, min(13, w // 6))
    captioned = captions is not None and max(text_width(c, small) for c in captions) <= w
    line = math.ceil(small * 1.25) + 3 if captioned else 0
    if columns is None:
        ideal = math.sqrt(count * shape * (h + line + GAP) / (w + GAP))
        columns = max(1, min(count, round(ideal)))
    columns = min(columns, count)
    rows = -(-count // columns)
    columns = -(-count // rows)  # the same rows, filled evenly
    body = columns * (w + GAP) - GAP
    wide = max(body, 460) + 2 * MARGIN
    big = 26 if wide > 900 else 17
    head = _header_height(big, wide, heading, facts)
    canvas = Canvas(head + rows * (h + line + GAP) - GAP + MARGIN, wide)
    _header(canvas, big, heading, facts, legend, ends)
    for position in range(count):
        top = head + position // columns * (h + line + GAP)
        left = MARGIN + position % columns * (w + GAP)
        canvas.paste(tiles[position], top, left)
        if captioned and captions is not None:
            lost = faint is not None and faint[position]
            end = canvas.text(captions[position], top + h + 1, left, small, strength=SOFT if lost else 0.8)
            if lost and end + 4 + text_width("dead", small) <= w:
                canvas.text("dead", top + h + 1, left + end + 4, small, strength=SOFT)
    return Drawing(canvas.indices, palette, "sheet")


def _one_line(big: int, wide: int, heading: str, facts: str) -> bool:
    """Whether heading and facts fit beside one another."""
    room = wide - 2 * MARGIN
    return min(room, text_width(heading, big)) + 16 + text_width(facts, _small(wide)) <= room


def _small(wide: int) -> int:
    return 16 if wide > 900 else 12


def _header_height(big: int, wide: int, heading: str, facts: str) -> int:
    first = MARGIN + big + 12 + (0 if _one_line(big, wide, heading, facts) else 20)
    return first + (24 if wide > 900 else 40) + 16


def _header(canvas: Canvas, big: int, heading: str, facts: str, legend: str, ends: tuple[str, str]) -> None:
    """Heading and facts on the first line, scale and legend on the second (below one another where narrow)."""
    wide = canvas.indices.shape[1]
    room = wide - 2 * MARGIN
    end = MARGIN + canvas.text(heading, MARGIN, MARGIN, big, limit=room)
    size = _small(wide)
    second = MARGIN + big + 12
    if _one_line(big, wide, heading, facts):
        canvas.text(facts, MARGIN + big - size, end + 16, size, strength=0.7)
    else:
        canvas.text(facts, MARGIN + big + 6, MARGIN, size, strength=0.7, limit=room)
        second += 20
    ramp, left = 180, MARGIN + text_width(ends[0], size) + (8 if ends[0] else 1)
    canvas.text(ends[0], second - 2, MARGIN, size, strength=0.8)
    canvas.ramp(second, left, 12, ramp)
    canvas.text(ends[1], second - 2, left + ramp + 7, size, strength=0.8)
    after = left + ramp + 14 + text_width(ends[1], size)
    if wide > 900:
        canvas.text(legend, second - 2, after + 12, size, strength=0.7, limit=wide - MARGIN - after - 12)
    else:
        canvas.text(legend, second + 18, MARGIN, size, strength=0.7, limit=room)
