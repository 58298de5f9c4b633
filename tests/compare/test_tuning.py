"""Trials of a recipe's knobs, and the picture on which they run."""

from __future__ import annotations

import math

import pytest

from sfumato.compare import tuning
from sfumato.recipe import named

# Tuning ---------------------------------------------------------------------------------------------


def test_trials_are_the_recipe_itself_and_points_around_it() -> None:
    tried = tuning.trials(named("siren"), 9)
    assert tried[0] == named("siren") and len({(t.rate, t.activation) for t in tried}) == 9
    assert all(5e-4 / 8 <= t.rate <= 5e-4 * 8 for t in tried)
    assert {tuple(k.name for k in tuning.knobs(named(n))) for n in ("siren", "finer")} == {("rate", "omega")}
    assert [k.name for k in tuning.knobs(named("fourier"))] == ["rate", "sigma"]
    assert [k.name for k in tuning.knobs(named("sharp"))] == ["rate"]


def test_every_recipe_is_tried_at_the_same_points() -> None:
    shares = [
        [math.log(t.rate / r.rate) / math.log(8) for t in tuning.trials(r, 6)]
        for r in (named("siren"), named("classic"))
    ]
    assert shares[0] == pytest.approx(shares[1], abs=0.01), "three significant digits"


def test_an_argument_is_set_beside_the_others() -> None:
    assert tuning.with_argument("fourier:bands=64,sigma=5", "sigma", 7.5) == "fourier:bands=64,sigma=7.5"
    assert tuning.with_argument("sine", "omega", 20) == "sine:omega=20"


def test_dead_leaves_cover_the_picture_and_are_the_same_each_time() -> None:
    leaves = tuning.dead_leaves(40, 30)
    assert leaves.values.shape == (40, 30, 3) and leaves.values.std() > 0.1
    assert (leaves.values == tuning.dead_leaves(40, 30).values).all()
