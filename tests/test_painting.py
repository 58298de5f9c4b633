"""Painting in strips gives the picture that one pass over all pixels gives, at any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compare import close

from sfumato import nets, painting
from sfumato.errors import PictureError
from sfumato.nets import Net
from sfumato.picture import pixels
from sfumato.recipe import Recipe

ROUNDING = {"rel": 1e-5, "why": "products of other shapes are summed in another order"}


@pytest.fixture
def net() -> Net:
    made = nets.build(Recipe(net=(16, 16), activation="sine:omega=12", seed=2), 2, 3)
    with torch.no_grad():
        made.readout.weight.mul_(4)  # beyond [0, 1] at places, so that clipping shows
    return made


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 1), (1, 9), (13, 17)])
@pytest.mark.parametrize("where", ["centres", "corners"])
@pytest.mark.parametrize("pixels_each", [1, 17, 40, 1 << 18])
def test_strips_of_any_height_paint_the_whole(
    net: Net, height: int, width: int, where: str, pixels_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painting, "STRIP", pixels_each)
    inputs = pixels.coordinates(height, width, where=where)
    whole = nets.predict(net, inputs).reshape(height, width, 3)
    painted = painting.paint(net, height, width, where=where).values
    close(painted, np.clip(whole, 0, 1), **ROUNDING)
    bands = np.concatenate(list(painting.strips(net, height, width, where=where)))
    assert bands.dtype == np.uint8 and bands.shape == (height, width, 3)
    assert np.abs(bands - np.clip(whole, 0, 1) * 255).max() <= 0.501  # rounded to the nearest level


def test_engines_paint_alike(net: Net) -> None:
    inputs = pixels.coordinates(23, 31)
    close(painting.predict(net, inputs), nets.predict(net, inputs), **ROUNDING)


def test_weights_that_are_not_finite_are_shown_as_they_are_and_never_written(net: Net) -> None:
    with torch.no_grad():
        net.readout.bias[0] = torch.nan
    assert np.isnan(painting.predict(net, pixels.coordinates(2, 2))[:, 0]).all()
    with pytest.raises(PictureError, match="rows 0 to 4"):
        list(painting.strips(net, 5, 5))


SIZES = [(1, 1), (7, 300), (8, 8), (40, 33), (429, 5), (1, 1000)]


@pytest.mark.parametrize("rows, columns", SIZES)
def test_every_pixel_is_painted_once_and_tiles_lie_together(rows: int, columns: int) -> None:
    order = painting._by_tiles(rows, columns)
    assert sorted(order) == list(range(rows * columns))
    row, column = np.divmod(order, columns)
    tiles = np.stack([row // painting.TILE, column // painting.TILE])
    assert 1 + np.any(np.diff(tiles) != 0, 0).sum() == -(-rows // painting.TILE) * -(
        -columns // painting.TILE
    )


@pytest.mark.parametrize("rows, columns", SIZES)
def test_tiles_change_no_bit(rows: int, columns: int) -> None:
    pytest.importorskip("sfumato._native", reason="the native engine is not built")
    net = nets.build(Recipe(net=(160, 160)), 2, 3)
    points = pixels.coordinates(rows, columns).reshape(rows, columns, 2)
    by_rows = painting.predict(net, points.reshape(-1, 2)).reshape(rows, columns, 3)
    assert np.array_equal(painting.raster(net, points), by_rows)
