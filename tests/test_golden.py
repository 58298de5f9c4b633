"""What was written down once: traces of the first steps, a painting, and the oracle's word on both."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import oracle
import pytest
import torch
from compare import bound, close
from twin import parameters, session, witness

from sfumato.data import Data

GOLDEN = Path(__file__).parent / "golden"
TRACES = json.loads((GOLDEN / "traces.json").read_text())


def maker() -> ModuleType:
    """golden/make.py, which says how each trace is made."""
    spec = importlib.util.spec_from_file_location("make", GOLDEN / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = maker()


def test_every_trace_is_there_and_no_other() -> None:
    assert list(TRACES) == MAKE.names()
    assert all(len(values) == MAKE.STEPS for values in TRACES.values())
    assert len({tuple(values) for values in TRACES.values()}) == len(TRACES)


@pytest.mark.parametrize("name", TRACES)
def test_the_first_steps_are_those_written_down(name: str) -> None:
    """13x17 pixels in batches of 48: a partial batch, and an epoch's end within the 8 steps."""
    close(np.array(MAKE.trace(name, torch.float32)), np.array(TRACES[name]), **bound("trace"))


@pytest.mark.parametrize("name", TRACES)
def test_the_oracle_takes_the_same_steps(name: str, tiny: Data) -> None:
    recipe = MAKE.recipe(*name.split(" "))
    net, running = session(recipe, tiny, torch.float64)
    model, x = witness(net, recipe, tiny)
    batches = [running.plan.minibatch(s).tolist() for s in range(MAKE.STEPS)]
    rates = running.plan.rates(0, MAKE.STEPS).tolist()
    optimizer = oracle.Adam() if recipe.optimizer == "adam" else oracle.Sgd()
    losses = oracle.train(model, parameters(net), x, tiny.targets.astype(float), batches, rates, optimizer)
    close(np.array(losses), np.array(TRACES[name]), rel=2e-7, why="a session gives losses in float32")


def test_a_picture_drawn_from_stored_weights_is_the_stored_picture() -> None:
    """Within one grey level: a value on the edge between two may round either way."""
    stored = json.loads((GOLDEN / "painting.json").read_text())
    levels = np.array(MAKE.painted(stored["weights"]))
    assert levels.shape == (5, 6, 3) and levels.std() > 30, "a flat picture proves nothing"
    assert np.abs(levels - np.array(stored["levels"])).max() <= 1
