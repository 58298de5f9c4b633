"""Where pixels are."""

from __future__ import annotations

import numpy as np
import pytest
from compare import bound, close

from sfumato.errors import RecipeError
from sfumato.picture.pixels import coordinates, rows


def test_centres_of_2x3_by_hand() -> None:
    """Two rows, three columns: columns at 1/6, 3/6, 5/6 of the width, rows at 1/4, 3/4 of the height."""
    by_hand = [[1 / 6, 1 / 4], [1 / 2, 1 / 4], [5 / 6, 1 / 4], [1 / 6, 3 / 4], [1 / 2, 3 / 4], [5 / 6, 3 / 4]]
    close(coordinates(2, 3), np.array(by_hand, np.float32), **bound("float32"))


def test_corners_of_2x3_by_hand() -> None:
    """The 2012 program: column / (width - 1), row / (height - 1), so the outermost pixels lie on the border."""
    by_hand = [[0, 0], [0.5, 0], [1, 0], [0, 1], [0.5, 1], [1, 1]]
    assert coordinates(2, 3, where="corners").tolist() == by_hand


@pytest.mark.parametrize("where", ["centres", "corners"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (13, 17)])
def test_coordinates_are_x_then_y_row_by_row_in_the_unit_square(where: str, size: tuple[int, int]) -> None:
    height, width = size
    xy = coordinates(height, width, where=where)
    assert xy.shape == (height * width, 2) and xy.dtype == np.float32 and xy.flags.c_contiguous
    assert xy.min() >= 0 and xy.max() <= 1 and np.isfinite(xy).all()
    grid = xy.reshape(height, width, 2)
    assert (np.diff(grid[:, :, 0], axis=1) > 0).all() and (np.diff(grid[:, :, 0], axis=0) == 0).all()
    assert (np.diff(grid[:, :, 1], axis=0) > 0).all() and (np.diff(grid[:, :, 1], axis=1) == 0).all()


def test_a_side_of_one_pixel_sits_in_its_centre_or_at_0() -> None:
    assert coordinates(1, 1).tolist() == [[0.5, 0.5]]
    assert coordinates(1, 1, where="corners").tolist() == [[0, 0]]


@pytest.mark.parametrize("where", ["centres", "corners"])
def test_strips_put_together_are_the_whole(where: str) -> None:
    strips = [rows(a, b, 13, 17, where=where) for a, b in ((0, 5), (5, 6), (6, 6), (6, 13))]
    assert np.array_equal(np.concatenate(strips), coordinates(13, 17, where=where))


def test_another_rule_is_refused() -> None:
    with pytest.raises(RecipeError, match="'middles' must be centres or corners"):
        coordinates(2, 2, where="middles")
