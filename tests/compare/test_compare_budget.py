"""One budget for all: seconds, epochs or parameters."""

from __future__ import annotations

import pytest

from sfumato import nets
from sfumato.compare import budget
from sfumato.compare.budget import Budget, with_parameters
from sfumato.errors import RecipeError
from sfumato.recipe import Recipe, named

SMALL = Recipe(net=(8, 8), batch=32, epochs=2, engine="eager", rate=0.01)


# Budgets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", Budget(seconds=30)),
        ("1.5m", Budget(seconds=90)),
        ("1h", Budget(seconds=3600)),
        ("500epochs", Budget(epochs=500)),
        ("1epoch", Budget(epochs=1)),
        ("300kparams", Budget(parameters=300_000)),
        ("20000params, 30s", Budget(seconds=30, parameters=20_000)),
    ],
)
def test_budgets_are_read(text: str, expected: Budget) -> None:
    assert Budget.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "0s", "-3s", "soon", "1e9h", "30", "30s,40s", "30s,5epochs", "nans", "9999999h"]
)
def test_budgets_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="budget="):
        Budget.parse(text)


@pytest.mark.parametrize("name", ["classic", "siren", "fourier", "2012-code"])
@pytest.mark.parametrize("wanted", [20_000, 300_000])
def test_widths_give_the_wanted_parameters(name: str, wanted: int) -> None:
    scaled = with_parameters(named(name), wanted, 2, 3)
    count = nets.build(scaled, 2, 3).parameter_count
    wider = nets.build(scaled.replace(net=tuple(w + 1 for w in scaled.net)), 2, 3).parameter_count
    assert abs(count - wanted) <= max(abs(wider - wanted), 0.1 * wanted) and len(scaled.net) == len(
        named(name).net
    )


def test_an_encoding_that_holds_more_is_refused() -> None:
    with pytest.raises(RecipeError, match="outside its layers"):
        with_parameters(named("sharp"), 20_000, 2, 3)


def test_a_step_takes_processor_time(photos: list[str]) -> None:
    assert 0 < budget.seconds_per_step(SMALL.replace(steps=20, threads=1), photos[0], at_least=0.01) < 1
