"""Paper with tiles and text: nothing leaves it, and every number of tiles finds its place."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sfumato.drawing import canvas, palettes
from sfumato.drawing.palettes import GREYS, PAPER
from sfumato.errors import RecipeError

PALETTE = palettes.palette("heat")


def tiles(count: int, height: int = 9, width: int = 7) -> np.ndarray:
    """Tile i is full of the level i + 1."""
    return np.stack([np.full((height, width), i % 200 + 1, np.uint8) for i in range(count)])


def test_what_lies_outside_is_cut() -> None:
    sheet = canvas.Canvas(4, 5)
    sheet.paste(np.full((3, 3), 7, np.uint8), 2, 3)
    assert sheet.indices.shape == (4, 5) and (sheet.indices == 7).sum() == 4
    sheet.text("a long line of words", 1, 1, 12)
    assert sheet.indices.shape == (4, 5)


def test_text_covers_no_tile_and_stays_within_its_limit() -> None:
    sheet = canvas.Canvas(40, 300)
    sheet.paste(np.full((40, 20), 7, np.uint8), 0, 0)
    assert sheet.text("words over a tile", 5, 0, 20) == canvas.text_width("words over a tile", 20)
    assert (sheet.indices[:, :20] == 7).all()
    ink = sheet.indices[:, 20:]
    assert ((ink >= PAPER) & (ink < PAPER + GREYS)).all() and (ink > PAPER).any()
    short = canvas.Canvas(40, 300)
    assert short.text("words that are cut with an ellipsis", 5, 0, 20, limit=100) <= 100


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 31])
@pytest.mark.parametrize("columns", [None, 1, 4])
def test_every_tile_is_there_once_in_reading_order(count: int, columns: int | None) -> None:
    drawn = canvas.tiled(tiles(count), PALETTE, columns=columns, heading="h", facts="f", legend="l")
    corners = []
    for level in range(1, count + 1):
        rows, across = (drawn.indices == level).nonzero()
        body = rows > 100  # the scale above holds every level too
        found = drawn.indices[
            rows[body].min() : rows[body].max() + 1, across[body].min() : across[body].max() + 1
        ]
        assert found.shape == (9, 7) and (found == level).all()
        corners.append((int(rows[body].min()), int(across[body].min())))
    assert corners == sorted(corners)


def test_a_dead_one_is_named_where_there_is_room() -> None:
    wide = tiles(2, 60, 120)
    captions = ["1", "2"]
    living = canvas.tiled(wide, PALETTE, captions=captions, faint=[False, False]).indices
    one = canvas.tiled(wide, PALETTE, captions=captions, faint=[False, True]).indices
    assert living.shape == one.shape and (living != one).any()


def test_no_tiles_make_no_sheet() -> None:
    with pytest.raises(RecipeError, match="at least one"):
        canvas.tiled(np.empty((0, 3, 3), np.uint8), PALETTE)


def test_a_drawing_is_the_same_in_every_form() -> None:
    drawn = canvas.tiled(tiles(3), PALETTE)
    with Image.open(io.BytesIO(drawn.png())) as image:
        assert image.mode == "P" and np.array_equal(np.asarray(image), drawn.indices)
        shown = np.asarray(image.convert("RGB"))
    assert np.array_equal(shown, np.round(drawn.picture().values * 255))
    assert drawn._repr_png_() == drawn.png()
