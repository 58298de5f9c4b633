"""Looking changes nothing, stopping changes nothing, on every engine of this machine."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from compare import equal_bits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twin import parameters

from sfumato import engine as engines
from sfumato.data import Data
from sfumato.errors import EngineError, RunError
from sfumato.nets import build
from sfumato.recipe import Recipe
from sfumato.training import train

STEPS = 12
VARIANTS: dict[str, dict[str, Any]] = {
    "adam": {},
    "adam, grid": {"encoding": "grid:levels=3,base=4,log2_table=6", "skip": True},
    "adam, decay": {"optimizer": "adam:decay=0.5"},
    "waking": {"activation": "relu", "wake": 2, "rate": 0.1},
    "sgd": {"optimizer": "sgd", "rate": 0.1},
    "sgd, momentum": {"optimizer": "sgd:momentum=0.9", "rate": 0.1, "warmup": 0.3},
    "sgd, fan-in": {"optimizer": "sgd:fan_in=True", "rate": 0.1, "schedule": "constant"},
    "muon": {"optimizer": "muon", "clip": 0.5},
    "dropout": {"dropout": (0.1, 0.5)},
    "bfloat16": {"precision": "bfloat16"},
    "stratified": {"sampling": "stratified"},
    "sampling by error": {"sampling": "error:mix=0.3,power=1"},
    "2012": {"optimizer": "sgd:fan_in=True", "loss": "half_square", "batch": 1},
    "2012, one layer": {"optimizer": "sgd:fan_in=True", "loss": "half_square", "batch": 1, "net": (16,)},
}
EVERY = pytest.mark.parametrize("variant", VARIANTS)
CHEAP = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(params=engines.names())
def fits(request: pytest.FixtureRequest, recipe: Recipe) -> Any:
    """A function that makes a recipe for one engine; where the engine cannot run it, it must say so and why."""

    def make(variant: str) -> Recipe | None:
        changed = recipe.replace(**VARIANTS[variant], engine=request.param)
        reason = engines.engine(request.param).why_not(changed)
        if reason is None:
            return changed
        with pytest.raises(EngineError) as caught:
            engines.settle(changed)
        assert reason in str(caught.value)
        return None

    return make


def weights(recipe: Recipe, data: Data, *, beats: Sequence[int] = (), pulse: float | None = None) -> Any:
    """Weights and moments after all steps, looked at as told."""
    net = build(recipe, 2, 3)
    for tick in train(net, data, recipe, beats=beats, pulse=pulse):
        if beats and tick.beat:
            _ = tick.net
        state = tick.session.state()
    return {**parameters(tick.net), **state}


@EVERY
def test_beats_do_not_change_weights(fits: Any, tiny: Data, variant: str) -> None:
    recipe = fits(variant)
    if recipe is not None:
        equal_bits(weights(recipe, tiny, beats=range(STEPS)), weights(recipe, tiny))


@EVERY
def test_pulses_do_not_change_weights(fits: Any, tiny: Data, variant: str) -> None:
    recipe = fits(variant)
    if recipe is not None:
        equal_bits(weights(recipe, tiny, pulse=1e-9), weights(recipe, tiny))


@CHEAP
@given(beats=st.lists(st.integers(-3, STEPS + 3)))
def test_no_list_of_beats_changes_weights(tiny: Data, recipe: Recipe, beats: list[int]) -> None:
    equal_bits(weights(recipe, tiny, beats=beats), weights(recipe, tiny))


def resumed(recipe: Recipe, data: Data, stop: int) -> Any:
    """Stop at a step, keep deep copies alone, and go on with a new net and session."""
    net = build(recipe, 2, 3)
    for tick in train(net, data, recipe, beats=[stop]):
        if tick.step == stop:
            kept, state = copy.deepcopy(tick.net), copy.deepcopy(tick.session.state())
            break
    again = build(recipe.replace(seed=99), 2, 3)
    again.load_state_dict(kept.state_dict())
    for later in train(again, data, recipe, state=state):
        result = later.session.state()
    return {**parameters(later.net), **result}


@EVERY
@pytest.mark.parametrize("stop", [0, 1, 5, 7, STEPS])
def test_resuming_equals_never_stopping(fits: Any, tiny: Data, variant: str, stop: int) -> None:
    recipe = fits(variant)
    if recipe is not None:
        equal_bits(resumed(recipe, tiny, stop), weights(recipe, tiny))


@EVERY
def test_a_used_session_can_go_back(fits: Any, tiny: Data, variant: str) -> None:
    """Loading leaves nothing of what a session did before, also when it goes back to step 0."""
    recipe = fits(variant)
    if recipe is None:
        return
    net = build(recipe, 2, 3)
    session = engines.engine(recipe.engine).prepare(net, tiny, recipe, STEPS)
    start = session.state()
    session.advance(STEPS)
    first = copy.deepcopy(session.state())
    session.load(net, start)
    assert session.step == 0
    session.advance(STEPS)
    equal_bits(session.state(), first)
    session.close()


@EVERY
def test_a_state_names_what_it_holds(fits: Any, tiny: Data, variant: str) -> None:
    recipe = fits(variant)
    if recipe is None:
        return
    net = build(recipe, 2, 3)
    session = engines.engine(recipe.engine).prepare(net, tiny, recipe, STEPS)
    session.advance(3)
    state = session.state()
    shapes = {name: p.shape for name, p in net.named_parameters()}
    assert int(state.pop("step")) == 3 == session.step
    for name, value in state.items():
        moment, _, parameter = name.partition("/")
        if moment == "sampling":
            assert parameter in ("errors", "latest") and value.shape == (tiny.samples,)
            continue
        assert moment in ("exp_avg", "exp_avg_sq", "momentum_buffer")
        assert value.shape == shapes[parameter] and value.dtype == torch.float32
    before = copy.deepcopy(state)
    session.advance(1)
    if state:
        equal_bits(state, before)
    session.close()


@pytest.mark.parametrize("damage", ["missing", "wrong shape"])
def test_a_state_of_another_net_is_refused(fits: Any, tiny: Data, damage: str) -> None:
    recipe = fits("adam")
    if recipe is None:
        return
    net = build(recipe, 2, 3)
    session = engines.engine(recipe.engine).prepare(net, tiny, recipe, STEPS)
    session.advance(2)
    state = session.state()
    if damage == "missing":
        del state["exp_avg/layers.1.weight"]
    else:
        state["exp_avg/layers.1.weight"] = torch.zeros(3, 3)
    with pytest.raises(RunError, match=r"layers\.1\.weight"):
        session.load(net, state)
    session.close()


def test_the_same_seed_is_the_same_run_and_another_is_not(tiny: Data, recipe: Recipe) -> None:
    first = weights(recipe, tiny)
    equal_bits(first, weights(recipe, tiny))
    other = weights(recipe.replace(seed=1), tiny)
    assert all((first[n] != other[n]).any() for n in first if n != "step")


def test_training_leaves_the_global_random_states_alone(tiny: Data, recipe: Recipe) -> None:
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002 - the global state is what is tested
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    weights(recipe.replace(dropout=(0.1, 0.1), encoding="fourier:bands=4"), tiny)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[arg-type]  # noqa: NPY002


def test_held_out_samples_are_never_trained_on(tiny: Data, recipe: Recipe) -> None:
    """Other values of the hidden samples change nothing."""
    seen, hidden = np.arange(221) % 4 > 0, np.arange(221) % 4 == 0
    parts = tiny.inputs[seen], tiny.targets[seen], tiny.inputs[hidden]
    one, two = (Data(*parts, values) for values in (tiny.targets[hidden], 1 - tiny.targets[hidden]))
    equal_bits(weights(recipe, one), weights(recipe, two))


@pytest.mark.parametrize("encoding", ["none", "fourier:bands=6", "grid:levels=3,base=4"])
def test_a_picture_painted_in_tiles_or_in_another_order_is_the_same(
    tiny: Data, recipe: Recipe, encoding: str
) -> None:
    net = build(recipe.replace(encoding=encoding), 2, 3)
    inputs = torch.from_numpy(tiny.inputs)
    with torch.inference_mode():
        whole = net(inputs)
        tiles = torch.cat([net(part) for part in inputs.split(50)])
        mixed = torch.randperm(221, generator=torch.Generator().manual_seed(1))
        back = net(inputs[mixed])[mixed.argsort()]
    assert float((tiles - whole).abs().max()) <= 1e-6  # products of other shapes may sum in another order
    assert float((back - whole).abs().max()) <= 1e-6
