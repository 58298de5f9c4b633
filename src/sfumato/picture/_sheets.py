"""Many pictures as one: the contact sheet."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import PictureError, RecipeError
from ._values import WHITE, Picture, Values, colour

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MOST_LINES = 3
"""Of a caption: enough for a name and a figure on the narrowest tiles that are shown to people."""


def sheet(
    tiles: Sequence[Picture],
    columns: int,
    gap: int = 4,
    captions: Sequence[str] | None = None,
    background: Sequence[float] = WHITE,
    caption_size: int = 12,
) -> Picture:
    """A contact sheet: tiles of equal size in rows of `columns`, `gap` pixels around each, short captions below.

    It has as many channels as its richest tile, and the tiles' colour profile where they share one. A caption wider
    than its tile is broken between words, into `MOST_LINES` at most; what still does not fit is cut with an
    ellipsis. caption_size is in pixels. Raises PictureError for no tiles or unequal sizes, RecipeError for columns
    < 1, gap < 0 or a wrong number of captions.
    """
    if not tiles:
        raise PictureError("a sheet needs at least one tile")
    if columns < 1 or gap < 0 or caption_size < 1:
        raise RecipeError(
            f"columns={columns}, gap={gap}, caption_size={caption_size}: at least 1, 0, 1 are needed"
        )
    if captions is not None and len(captions) != len(tiles):
        raise RecipeError(f"{len(captions)} captions for {len(tiles)} tiles; one for each is needed")
    height, width = tiles[0].height, tiles[0].width
    for index, tile in enumerate(tiles):
        if (tile.height, tile.width) != (height, width):
            sizes = f"tile {index} ({tile.name!r}) is {tile.width}x{tile.height}, the first {width}x{height}"
            raise PictureError(f"a sheet needs tiles of one size: {sizes}\nhint: resize them first")

    paper = colour(background)
    channels = max(tile.channels for tile in tiles)
    if channels == 1 and np.ptp(paper) > 0:
        channels = 3
    ink = np.array([*[0.1 if paper.mean() > 0.5 else 0.9] * 3, 1], np.float32)[:channels]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    line = math.ceil(caption_size * 1.4)
    font = ImageFont.load_default(caption_size)
    broken = [_lines(caption, width, font) for caption in captions or ()]
    text = line * max(1, *map(len, broken)) if captions is not None else 0
    values = np.empty(
        (rows * (height + text + gap) + gap, columns * (width + gap) + gap, channels), np.float32
    )
    values[:] = np.append(paper, np.float32(1))[:channels]
    for index, tile in enumerate(tiles):
        top = gap + index // columns * (height + text + gap)
        left = gap + index % columns * (width + gap)
        area = values[top : top + height, left : left + width]
        area[..., :3] = tile.values[..., :3]  # grey spreads over three channels by itself
        if channels == 4:
            area[..., 3] = tile.values[..., 3] if tile.channels == 4 else 1
        for number, words in enumerate(broken[index] if broken else ()):
            cover = _text(words, width, line, font)[..., None]
            below = values[top + height + number * line :, left : left + width][:line]
            below[:] = below * (1 - cover) + ink * cover
    # A profile is for grey or for colour: it stays true only if neither the tiles nor the sheet mix the two.
    same = len({(tile.icc, tile.channels == 1) for tile in tiles}) == 1
    icc = tiles[0].icc if same and (tiles[0].channels == 1) == (channels == 1) else None
    return Picture(values, icc, (), "sheet")


def _lines(text: str, width: int, font: Font) -> list[str]:
    """A caption as lines that fit, about equally long; the font has ASCII only, so é becomes e."""
    text = unicodedata.normalize("NFKD", text.replace("×", "x"))
    text = "".join(c for c in text if not unicodedata.combining(c)).encode("ascii", "replace").decode()
    lines = _broken(text.split(), width, font)
    for narrower in range(width - 1, 0, -1):
        evener = _broken(text.split(), narrower, font)
        if len(lines) < 2 or len(evener) > len(lines) or max(map(font.getlength, evener)) > width:
            break
        lines = evener
    return [_cut(line, width, font) for line in lines]


def _broken(words: Sequence[str], width: int, font: Font) -> list[str]:
    """Words in lines, as many to a line as fit; the last of `MOST_LINES` takes all the rest."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (font.getlength(longer) <= width or len(lines) == MOST_LINES):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _cut(line: str, width: int, font: Font) -> str:
    """The line, or as much of it as fits with an ellipsis."""
    shown = line
    while shown and font.getlength(shown) > width:
        line = line[:-1]
        shown = line.rstrip() + "\N{HORIZONTAL ELLIPSIS}" if line else ""
    return shown


def _text(line: str, width: int, height: int, font: Font) -> Values:
    """One line of text, centred, as coverage (height, width) in [0, 1]."""
    mask = Image.new("L", (width, height))
    if line:
        ImageDraw.Draw(mask).text((width / 2, height / 2), line, fill=255, font=font, anchor="mm")
    return np.asarray(mask, dtype=np.float32) / np.float32(255)
