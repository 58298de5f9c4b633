"""Contact sheets: each tile in the colours of its values, any number and shape of tiles."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sfumato import nets
from sfumato.drawing import canvas, palettes
from sfumato.drawing.palettes import LEVELS, PAPER
from sfumato.errors import RecipeError
from sfumato.nets import Net
from sfumato.neurons import previews, sheets
from sfumato.recipe import Recipe

H, W = 23, 17


def net(activation: str = "relu", encoding: str = "none", widths: tuple[int, ...] = (12, 9, 7)) -> Net:
    return nets.build(Recipe(net=widths, activation=activation, encoding=encoding, seed=3), 2, 3)


def test_a_sheet_shows_each_tile_in_the_colours_of_its_values() -> None:
    view = previews.preview(net(), H, W, tile=(12, 10))[0]
    scale = previews.scale(view)
    arranged = np.array([7, 2, 11])
    drawn = sheets.sheet(view, scale, arranged=arranged)
    for unit in arranged:
        tile = palettes.index(view.values[unit], scale.low[unit], scale.high[unit])
        windows = np.lib.stride_tricks.sliding_window_view(drawn.indices, tile.shape)
        assert (windows == tile).all((2, 3)).sum() == 1
    assert drawn.picture().values.shape == (*drawn.indices.shape, 3)


@pytest.mark.parametrize(("count", "size"), [(1, (40, 30)), (7, (3, 5)), (300, (8, 6)), (40, (30, 90))])
def test_sheets_of_any_number_and_shape_hold_all_tiles(count: int, size: tuple[int, int]) -> None:
    tiles = np.arange(count * size[0] * size[1]).reshape(count, *size) % LEVELS
    drawn = canvas.tiled(
        tiles.astype(np.uint8),
        palettes.palette("grey"),
        captions=[str(i) for i in range(count)],
        heading="A heading that is far too long for a narrow sheet " * 3,
        facts="facts",
        legend="a legend " * 30,
        ends=("-1", "1"),
    )
    height, width = drawn.indices.shape
    assert (drawn.indices < PAPER).sum() >= count * size[0] * size[1]
    assert (drawn.indices[:, -5:] == PAPER).all() and (drawn.indices[-5:] == PAPER).all()
    assert Image.open(io.BytesIO(drawn.png())).size == (width, height)


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(RecipeError, match="at least one"):
        canvas.tiled(np.zeros((0, 4, 4), np.uint8), palettes.palette("grey"))
