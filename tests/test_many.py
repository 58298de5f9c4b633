"""Many networks at once are what each would be alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato import engine, nets
from sfumato.data import Data
from sfumato.engine import native
from sfumato.errors import RecipeError
from sfumato.many import prepare_many
from sfumato.recipe import Recipe


@pytest.mark.parametrize(
    "name", [n for n in ("native", "eager") if engine.engine(n).why_not(Recipe()) is None]
)
def test_side_by_side_equals_alone_bit_for_bit(tiny: Data, recipe: Recipe, name: str) -> None:
    recipes = [
        recipe.replace(engine=name, seed=seed, rate=rate) for seed, rate in ((0, 0.01), (1, 0.02), (2, 0.005))
    ]
    started = [nets.build(r, 2, 3) for r in recipes]
    many = prepare_many(started, tiny, recipes, 12, workers=2)
    together = many.advance(7), many.advance(5)
    results = [nets.build(r, 2, 3) for r in recipes]
    many.pull(results)
    many.close()
    for number, (net, one) in enumerate(zip(started, recipes, strict=True)):
        session = engine.engine(name).prepare(net, tiny, one, 12)
        losses = session.advance(12)
        assert np.array_equal(losses, np.concatenate([part[number] for part in together]))
        alone = nets.build(one, 2, 3)
        session.pull(alone)
        for a, b in zip(alone.parameters(), results[number].parameters(), strict=True):
            assert torch.equal(a, b)


def test_nets_and_recipes_must_match(tiny: Data, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="1 nets and 0 recipes"):
        prepare_many([nets.build(recipe, 2, 3)], tiny, [], 12)
    with pytest.raises(RecipeError, match="there must be one"):
        prepare_many([], tiny, [], 12)


@pytest.mark.parametrize(
    "name", [n for n in ("native", "eager", "regrouped") if n != "native" or native.usable_sets()]
)
def test_pytorch_is_left_as_it_was(tiny: Data, recipe: Recipe, name: str) -> None:
    """Its threads and its denormals are the process's, not the engine's."""
    if name == "regrouped":
        recipe = recipe.replace(net=(8,), activation="relu", batch=1, optimizer="sgd", loss="half_square")
    before, small = torch.get_num_threads(), torch.tensor([1e-40])
    torch.set_num_threads(3)
    torch.set_flush_denormal(False)
    try:
        for threads in (1, 2):
            one = recipe.replace(engine=name, threads=threads)
            session = engine.engine(name).prepare(nets.build(one, 2, 3), tiny, one, 12)
            session.advance(5)
            assert torch.get_num_threads() == 3 and (small * 1).item() > 0
        recipes = [recipe.replace(engine=name, seed=seed) for seed in range(4)]
        many = prepare_many([nets.build(r, 2, 3) for r in recipes], tiny, recipes, 12, workers=2)
        for _ in range(3):
            many.advance(2)
            assert torch.get_num_threads() == 3 and (small * 1).item() > 0
        many.close()
    finally:
        torch.set_num_threads(before)
