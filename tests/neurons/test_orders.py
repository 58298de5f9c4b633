"""Orders of a sheet and selections of neurons, against their definitions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sfumato import nets
from sfumato.errors import RecipeError, SfumatoError
from sfumato.nets import Net
from sfumato.neurons import orders, previews
from sfumato.recipe import Recipe

H, W = 23, 17


def net(activation: str = "relu", encoding: str = "none", widths: tuple[int, ...] = (12, 9, 7)) -> Net:
    return nets.build(Recipe(net=widths, activation=activation, encoding=encoding, seed=3), 2, 3)


# Orders and selections ---------------------------------------------------------------------------------------


def test_each_order_follows_its_key() -> None:
    view = previews.preview(net(widths=(40, 30)), H, W)[1]
    worth = np.random.default_rng(0).normal(size=30)
    keys = {
        "index": -np.arange(30.0),
        "mean": view.mean,
        "contrast": view.values.std((1, 2)),
        "dead": view.active,
        "importance": worth,
    }
    for by, key in keys.items():
        found = orders.order(view, by, importance=worth)
        assert sorted(found.tolist()) == list(range(30))
        assert (np.diff(key[found]) <= 0).all()
    with pytest.raises(RecipeError, match="table first"):
        orders.order(view, "importance")
    with pytest.raises(RecipeError, match="beauty"):
        orders.order(view, "beauty")


@pytest.mark.parametrize("dead", [0, 3, 12])
def test_by_similarity_dead_units_close_the_sheet(dead: int) -> None:
    lost = np.isin(np.arange(12), [5, 0, 9] if dead == 3 else range(dead))
    view = dataclasses.replace(previews.preview(net(), H, W)[0], dead=lost)
    found = orders.order(view, "similarity")
    assert sorted(found.tolist()) == list(range(12))
    assert np.array_equal(np.sort(lost), lost[found])


@pytest.mark.parametrize("count", [1, 2, 3, 60])
@pytest.mark.parametrize("seed", range(4))
def test_mutual_twins_stand_side_by_side(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(count, 4, 5)).astype(np.float32)
    similar = orders.correlations(values)
    path = orders.chain(similar, neighbours=5).tolist()
    assert sorted(path) == list(range(count))
    np.fill_diagonal(similar, -np.inf)
    nearest = similar.argmax(1)
    for a, b in enumerate(nearest.tolist()):
        if count > 1 and nearest[b] == a:
            assert abs(path.index(a) - path.index(b)) == 1


def test_correlations_are_pearsons_and_zero_for_constant_pictures() -> None:
    values = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    values[3] = 2.5
    found = orders.correlations(values)
    others = [0, 1, 2, 4]
    expected = np.corrcoef(values[others].reshape(4, -1))
    np.testing.assert_allclose(found[np.ix_(others, others)], expected, atol=1e-5)
    assert (found[3] == 0).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2:117", [(2, 117)]),
        ("2:117,3:5", [(2, 117), (3, 5)]),
        (" 1:0 , 1:0, 3:4-6", [(1, 0), (3, 4), (3, 5), (3, 6)]),
        ("3:all", [(3, i) for i in range(7)]),
    ],
)
def test_selections_are_read_as_typed(text: str, expected: list[tuple[int, int]]) -> None:
    assert orders.parse_neurons(text, (300, 300, 7)) == expected


def test_all_selects_every_neuron_of_every_layer() -> None:
    assert len(orders.parse_neurons("all", (300, 20, 7))) == 327


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no selection"),
        ("2", "is no selection"),
        ("2:", "is no selection"),
        ("2:1-", "is no selection"),
        ("a:b", "is no selection"),
        ("2:1;3:4", "is no selection"),
        ("²:1", "is no selection"),
        ("0:1", "layer 0 does not exist"),
        ("4:1", "layer 4 does not exist"),
        ("3:7", "neurons 0 ... 6"),
        ("3:5-4", "out of range"),
        ("9" * 50 + ":1", "is no selection"),
    ],
)
def test_selections_that_cannot_be_meant_say_what_may_be(text: str, said: str) -> None:
    with pytest.raises(SfumatoError) as caught:
        orders.parse_neurons(text, (300, 300, 7))
    assert said in str(caught.value) and len(str(caught.value).splitlines()) <= 3
