"""The recipe: its text forms, its checks, and what is said about mistakes."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.errors import RecipeError
from sfumato.recipe import (
    Recipe,
    difference,
    named,
    net_text,
    parse_net,
)

GOLDEN = Path(__file__).parent.parent / "golden"
NORMAL = {"allow_nan": False, "allow_subnormal": False}
"""The engines flush denormal numbers to zero, so that hypothesis cannot tell them from 0."""

RECIPES = st.builds(
    Recipe,
    net=st.lists(st.integers(1, 10**6), min_size=1, max_size=9).map(tuple),
    activation=st.sampled_from(["relu", "sine:omega=30", "finer:omega=5.5,first_bias=2"]),
    encoding=st.sampled_from(["none", "fourier:bands=8,sigma=1.25"]),
    skip=st.booleans(),
    coordinates=st.sampled_from(["centres", "corners"]),
    rate=st.floats(1e-9, 1e5, **NORMAL),
    warmup=st.floats(0, 1, **NORMAL),
    dropout=st.one_of(st.just(()), st.tuples(*[st.floats(0, 0.99, **NORMAL)] * 2)),
    batch=st.integers(1, 1 << 40),
    epochs=st.floats(1e-9, 1e8, **NORMAL),
    steps=st.integers(0, 1 << 39),
    seed=st.integers(0, (1 << 63) - 1),
    options=st.dictionaries(
        st.text(max_size=5), st.one_of(st.booleans(), st.integers(), st.text(max_size=5))
    ),
)


@given(RECIPES)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe and difference(again, recipe) == {}
    assert again.to_json() == recipe.to_json()


@given(RECIPES)
def test_a_recipe_survives_typing_its_fields(recipe: Recipe) -> None:
    """As on a command line: every value as text."""
    texts: dict[str, Any] = {f.name: str(getattr(recipe, f.name)) for f in dataclasses.fields(Recipe)}
    texts["net"] = net_text(recipe.net)
    texts["dropout"] = ",".join(map(repr, recipe.dropout))
    texts["options"] = recipe.options
    assert Recipe().replace(**texts) == recipe


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=12).map(tuple))
def test_a_net_survives_its_text(widths: tuple[int, ...]) -> None:
    assert parse_net(net_text(widths)) == widths


@pytest.mark.parametrize(
    ("text", "widths"),
    [
        ("4x300", (300,) * 4),
        ("6000", (6000,)),
        (64, (64,)),
        ("300,300,64", (300, 300, 64)),
        ("2x300, 64", (300, 300, 64)),
        ([8, 9], (8, 9)),
        (np.int64(64), (64,)),
        (np.array([8, 9]), (8, 9)),
        ([np.int16(8), np.uint8(9)], (8, 9)),
        (range(8, 10), (8, 9)),
        ((width for width in (8, 9)), (8, 9)),
    ],
)
def test_short_forms_of_a_net(text: Any, widths: tuple[int, ...]) -> None:
    assert parse_net(text) == widths


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "0", "4x", "x300", "4x0", "0x3", "-3", "3,,3", "1.5", True, (), [0], [True], ["3"], None),
        *([8.0], 8.0, np.array([8.0]), np.array([True]), {8, 9}, {8: 9}),
        *(b"8", range(1, 10**12), np.ones((2, 2), int)),
        *("1001x1", "1x1000001", "99999999999x1", "9" * 5000, "9" * 5000 + "x3", "1000x1,1"),
    ],
)
def test_nets_that_cannot_be_meant_are_refused(text: Any) -> None:
    with pytest.raises(RecipeError, match="net="):
        parse_net(text)


@pytest.mark.parametrize("field", ["batch", "steps", "seed", "wake", "threads", "residual"])
@pytest.mark.parametrize("kind", [float, np.float32, np.float64, Decimal, Fraction])
def test_whole_numbers_of_any_kind_are_taken_and_others_never_cut(field: str, kind: Any) -> None:
    """batch=numpy.float32(2.5) was taken for 2."""
    assert getattr(Recipe().replace(**{field: kind(3)}), field) == 3
    with pytest.raises(RecipeError, match=f"{field}=.* is not a valid int"):
        Recipe().replace(**{field: kind(2.5)})


@pytest.mark.parametrize("share", [0.1, np.float32(0.1), np.float64(0.1), "0.1"])
def test_a_share_of_held_out_pixels_is_a_number_of_any_kind(share: Any) -> None:
    assert float(Recipe().replace(held_out=share).held_out) == 0.1


def test_a_recipe_of_format_1_is_read_for_ever() -> None:
    recipe = Recipe.from_json((GOLDEN / "recipe-1.json").read_text())
    assert recipe.net == (64, 64, 3) and recipe.activation == "sine:omega=22.5"
    assert recipe.dropout == (0.2, 0.5) and recipe.options == {"alpha": True}
    written = json.loads(recipe.to_json())
    assert written.items() >= json.loads((GOLDEN / "recipe-1.json").read_text()).items()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratee": 1}, "'ratee' is unknown; did you mean 'rate'"),
        ({"learning_rate": 1}, "'learning_rate' is unknown; did you mean 'rate'"),
        ({"batch_size": 1}, "'batch_size' is unknown; did you mean 'batch'"),
        ({"nonsense": 1}, "'nonsense' is unknown; known are activation, backward"),
        ({"zzz": 1}, "'zzz' is unknown; known are activation, backward"),
        ({"rate": "fast"}, "rate='fast' is not a valid float"),
        ({"rate": 0}, "rate=0.0 must be greater than 0"),
        ({"rate": float("nan")}, "rate=nan must be"),
        ({"rate": "inf"}, "rate=inf must be"),
        ({"rate": True}, "rate=True is not"),
        ({"batch": 0}, "batch=0 must be at least 1"),
        ({"batch": 1.5}, "batch=1.5 is not a valid int"),
        ({"batch": "9" * 5000}, "batch="),
        ({"epochs": -1}, "epochs=-1.0 must be greater than 0"),
        ({"steps": -1}, "steps=-1 must be 0 (use epochs) or more"),
        ({"warmup": 1.1}, "warmup=1.1 must be a share"),
        ({"clip": -1}, "clip=-1.0 must be 0 (no limit) or more"),
        ({"seed": -1}, "seed=-1 must be a whole number"),
        ({"seed": 1 << 63}, "must be a whole number"),
        ({"threads": 10**6}, "threads=1000000 must be"),
        ({"coordinates": "middle"}, "coordinates='middle' must be centres or corners"),
        ({"precision": "float16"}, "precision='float16' must be float32 or bfloat16"),
        ({"dropout": "0.5"}, "dropout=(0.5,) must be empty, or two shares"),
        ({"dropout": "0.5,1"}, "dropout=(0.5, 1.0) must be"),
        ({"skip": "maybe"}, "skip='maybe' is not a valid bool"),
        ({"net": "4y300"}, "net='4y300': '4y300' is no layer"),
        ({"activation": 3}, "activation=3 is not a valid str"),
        ({"options": 3}, "options=3 is not a valid"),
    ],
)
def test_a_mistake_is_named_with_its_value(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe().replace(**changes)
    assert message in str(caught.value)
    assert str(caught.value).count("\n") <= 2 and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"steps": ' + "9" * 5000 + "}", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"format": 99}', "format 99, this sfumato reads up to 1"),
        ('{"format": "1"}', "format '1'"),
        ('{"base": "siren2"}', "'siren2' is unknown; did you mean 'siren'"),
        ('{"rate": NaN}', "rate=nan"),
        ('{"net": {"a": 1}}', "net="),
        ('{"dropout": 3}', "dropout=3"),
        ('{"dropout": [[]]}', "dropout=[[]]"),
        ('{"task": null}', "task=None"),
    ],
)
def test_hostile_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_json(text, where="its file", base=named)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("epochs", "steps", "batch", "samples", "total"),
    [(2, 0, 48, 221, 10), (2, 7, 48, 221, 7), (0.01, 0, 48, 221, 1), (3, 0, 512, 10, 3), (1.5, 0, 1, 10, 15)],
)
def test_the_budget_counts_the_short_batch(
    epochs: float, steps: int, batch: int, samples: int, total: int
) -> None:
    """221 samples in batches of 48 are five steps: 4 x 48 + 29."""
    assert Recipe(epochs=epochs, steps=steps, batch=batch).total_steps(samples) == total


def test_recipes_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().rate = 3  # type: ignore[misc]


def test_difference_is_the_experiment() -> None:
    assert difference(Recipe(), Recipe(rate=0.5, skip=True)) == {"skip": (False, True), "rate": (0.002, 0.5)}
