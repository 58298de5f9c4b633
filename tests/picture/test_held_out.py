"""Which pixels are hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sfumato.errors import RecipeError
from sfumato.picture import held_out
from sfumato.recipe import pick, public

VARIANTS = public(held_out)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (13, 17)])
def test_every_rule_gives_a_mask_that_its_seed_alone_decides(name: str, size: tuple[int, int]) -> None:
    rule = VARIANTS[name]
    mask = rule(*size, seed=3)
    assert mask.shape == size and mask.dtype == np.bool_
    assert np.array_equal(mask, rule(*size, seed=3))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_rule_leaves_something_to_train_on(name: str) -> None:
    assert not VARIANTS[name](13, 17).all()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_random_hides_the_stated_share(share: float) -> None:
    assert held_out.random(13, 17, share=share).sum() == round(share * 221)


def test_seeds_differ() -> None:
    assert not np.array_equal(held_out.random(13, 17, seed=0), held_out.random(13, 17, seed=1))


def test_blocks_are_whole_squares_also_at_the_borders() -> None:
    mask = held_out.blocks(13, 17, share=0.5, size=4, seed=2)
    squares = [mask[r : r + 4, c : c + 4] for r in range(0, 13, 4) for c in range(0, 17, 4)]
    assert all(square.all() or not square.any() for square in squares)
    assert sum(bool(square.any()) for square in squares) == 10  # half of 4 x 5


def test_checker_is_a_chessboard_with_the_first_pixel_seen() -> None:
    assert held_out.checker(2, 3).tolist() == [[False, True, False], [True, False, True]]


def test_none_hides_nothing() -> None:
    assert not held_out.none(13, 17).any()


@pytest.mark.parametrize(
    ("rule", "arguments"),
    [
        (held_out.random, {"share": 1.0}),
        (held_out.random, {"share": -0.1}),
        (held_out.random, {"share": float("nan")}),
        (held_out.blocks, {"share": 1.5}),
        (held_out.blocks, {"size": 0}),
    ],
)
def test_arguments_out_of_range_are_refused(rule: Callable[..., Any], arguments: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=next(iter(arguments))):
        rule(13, 17, **arguments)


def test_a_rule_is_picked_by_text() -> None:
    chosen = pick(held_out, "blocks:share=0.2,size=8", "held_out")
    assert np.array_equal(chosen(30, 20, seed=1), held_out.blocks(30, 20, share=0.2, size=8, seed=1))
