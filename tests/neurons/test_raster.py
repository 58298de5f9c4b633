"""A picture in blocks: every pixel once, none larger than asked, each at its own place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_net import net

from sfumato.errors import RecipeError, RunError
from sfumato.neurons import raster
from sfumato.neurons.raster import Raster, blocks
from sfumato.picture import pixels

SIDES = st.integers(1, 40)


@given(SIDES, SIDES, SIDES, st.integers(1, 300), st.integers(1, 5))
def test_blocks_cover_the_rows_once_in_bounded_size(
    top: int, rows: int, width: int, largest: int, multiple: int
) -> None:
    seen = np.zeros((top + rows, width), int)
    for block in blocks(top, top + rows, width, largest, multiple=multiple):
        seen[block.top : block.bottom, block.left : block.right] += 1
        height, across = block.shape
        assert (height, across) == (block.bottom - block.top, block.right - block.left)
        assert height * across <= max(largest, multiple * width if multiple > 1 else 0)
        if multiple > 1:
            assert across == width and (block.top - top) % multiple == 0
            assert height % multiple == 0 or block.bottom == top + rows
    assert (seen[top:] == 1).all() and (seen[:top] == 0).all()


@given(SIDES, SIDES, st.integers(1, 300), st.sampled_from(["centres", "corners"]))
def test_a_block_has_the_places_that_the_whole_picture_gives_its_pixels(
    height: int, width: int, largest: int, where: str
) -> None:
    whole = pixels.coordinates(height, width, where=where).reshape(height, width, 2)
    for block in blocks(0, height, width, largest):
        found = Raster(height, width, where).block(block)
        wanted = whole[block.top : block.bottom, block.left : block.right].reshape(-1, 2)
        assert np.array_equal(found, wanted) and found.flags.c_contiguous


def test_pixels_at_once_fall_with_the_width_of_a_layer_within_bounds() -> None:
    counts = [raster.tile_pixels(units) for units in (0, 1, 64, 300, 6000, 10**9)]
    assert counts == sorted(counts, reverse=True) and counts[0] == 8192 and counts[-1] == 64
    assert raster.tile_pixels(300) * 300 <= raster.TILE_VALUES


def test_widths_are_asked_of_the_net() -> None:
    assert raster.widths(net()) == (9, 8, 7)


def test_inputs_take_the_type_of_the_net() -> None:
    values = np.zeros((3, 2), np.float32)
    assert raster.tensor(net().double(), values).dtype == torch.float64
    assert raster.tensor(net(), values).dtype == torch.float32


@given(st.integers(1, 500), st.one_of(st.none(), st.integers(1, 600)))
def test_a_sample_is_in_order_without_repeats_and_the_same_every_time(count: int, wanted: int | None) -> None:
    found = raster.sample(count, wanted)
    assert len(found) == min(count, wanted or count) == len(set(found.tolist()))
    assert (np.diff(found) > 0).all() and found[0] >= 0 and found[-1] < count
    assert np.array_equal(found, raster.sample(count, wanted))


def test_a_sample_falls_into_step_with_no_column() -> None:
    """A thousand of 100 x 100 pixels: each column gets 10 on average, and none is left out or taken whole."""
    columns = np.bincount(raster.sample(10_000, 1_000) % 100, minlength=100)
    assert columns.min() >= 1 and columns.max() <= 30


def test_a_net_that_is_not_finite_is_refused() -> None:
    some = net()
    raster.check_finite(some)
    with torch.no_grad():
        some.readout.bias[1] = torch.nan
    with pytest.raises(
        RunError, match=r"\(3,\)\) is not finite: nothing can be drawn\nhint: choose an earlier"
    ):
        raster.check_finite(some)


@pytest.mark.parametrize("layer", [0, 4, -1])
def test_layers_that_do_not_exist_are_refused(layer: int) -> None:
    assert raster.number(3, 3) == 3
    with pytest.raises(RecipeError, match=f"layer {layer} does not exist: the net has hidden layers 1 ... 3"):
        raster.number(layer, 3)
