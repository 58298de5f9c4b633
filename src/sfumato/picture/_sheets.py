"""Many pictures as one: the contact sheet."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import PictureError, RecipeError
from ._values import WHITE, Picture, Values, colour


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
    than its tile is cut with an ellipsis; caption_size is in pixels. Raises PictureError for no tiles or unequal
    sizes, RecipeError for columns < 1, gap < 0 or a wrong number of captions.
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
    line = math.ceil(caption_size * 1.4) if captions is not None else 0
    values = np.empty(
        (rows * (height + line + gap) + gap, columns * (width + gap) + gap, channels), np.float32
    )
    values[:] = np.append(paper, np.float32(1))[:channels]
    for index, tile in enumerate(tiles):
        top = gap + index // columns * (height + line + gap)
        left = gap + index % columns * (width + gap)
        area = values[top : top + height, left : left + width]
        area[..., :3] = tile.values[..., :3]  # grey spreads over three channels by itself
        if channels == 4:
            area[..., 3] = tile.values[..., 3] if tile.channels == 4 else 1
        if captions is not None:
            cover = _text(captions[index], width, line, caption_size)[..., None]
            below = values[top + height : top + height + line, left : left + width]
            below[:] = below * (1 - cover) + ink * cover
    # A profile is for grey or for colour: it stays true only if neither the tiles nor the sheet mix the two.
    same = len({(tile.icc, tile.channels == 1) for tile in tiles}) == 1
    icc = tiles[0].icc if same and (tiles[0].channels == 1) == (channels == 1) else None
    return Picture(values, icc, (), "sheet")


def _text(text: str, width: int, height: int, size: int) -> Values:
    """One line of text, centred, as coverage (height, width) in [0, 1]; the font has ASCII only, so é becomes e."""
    font = ImageFont.load_default(size)
    text = unicodedata.normalize("NFKD", " ".join(text.split()).replace("×", "x"))
    text = "".join(c for c in text if not unicodedata.combining(c)).encode("ascii", "replace").decode()
    shown = text
    while shown and font.getlength(shown) > width:
        text = text[:-1]
        shown = text.rstrip() + "\N{HORIZONTAL ELLIPSIS}" if text else ""
    mask = Image.new("L", (width, height))
    if shown:
        ImageDraw.Draw(mask).text((width / 2, height / 2), shown, fill=255, font=font, anchor="mm")
    return np.asarray(mask, dtype=np.float32) / np.float32(255)
