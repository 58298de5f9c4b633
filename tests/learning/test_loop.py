"""The generator `train`: its clock, its ends, and what it says when a run diverges."""

from __future__ import annotations

import itertools
import math
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from compare import equal_bits
from twin import parameters

from sfumato.data import Data
from sfumato.engine import eager
from sfumato.errors import EngineError, RecipeError, RunError
from sfumato.learning import loop
from sfumato.nets import Net, build
from sfumato.recipe import Recipe
from sfumato.training import train


@pytest.fixture
def net(recipe: Recipe) -> Net:
    return build(recipe, 2, 3)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The step at which each session was closed."""
    steps: list[int] = []
    monkeypatch.setattr(eager.EagerSession, "close", lambda self: steps.append(self.step))
    return steps


def test_ticks_come_at_the_beats_and_at_both_ends(net: Net, tiny: Data, recipe: Recipe) -> None:
    ticks = list(train(net, tiny, recipe, beats=[9, 3, 3, 0, -1, 12, 99]))
    assert [t.step for t in ticks] == [0, 3, 9, 12]
    assert all(t.beat for t in ticks) and all(t.total_steps == 12 for t in ticks)
    assert [t.last for t in ticks] == [False, False, False, True]


def test_whoever_looks_may_ask_for_the_next_tick_sooner(net: Net, tiny: Data, recipe: Recipe) -> None:
    """One by one to step 4, then as planned; no beat is passed over, and no weight differs."""
    alone = build(recipe, 2, 3)
    list(train(alone, tiny, recipe))
    steps = []
    for tick in train(net, tiny, recipe, beats=[6], pulse=1000):
        steps.append(tick.step)
        tick.at_most = 1 if tick.step < 4 else 100 if tick.step == 4 else None
    assert steps[:5] == [0, 1, 2, 3, 4] and {6, 12} <= set(steps)
    equal_bits(parameters(net), parameters(alone))


def test_a_tick_tells_what_was_done(net: Net, tiny: Data, recipe: Recipe) -> None:
    ticks = list(train(net, tiny, recipe, beats=[5, 10]))
    assert [t.epoch for t in ticks] == pytest.approx([0, 1, 2, 2 + 96 / 221])
    assert math.isnan(ticks[0].loss)
    _, running = build(recipe, 2, 3), eager.prepare(build(recipe, 2, 3), tiny, recipe, 12)
    losses = running.advance(12)
    for tick, part in zip(ticks[1:], (losses[:5], losses[5:10], losses[10:]), strict=True):
        assert tick.loss == float(part.mean())
    assert [t.samples for t in ticks] == [0, 221, 442, 442 + 96]


def test_the_loss_of_a_step_is_that_before_its_update(net: Net, tiny: Data, recipe: Recipe) -> None:
    full = recipe.replace(batch=221)
    ticks = [(t.loss, mean_square(t.net, tiny)) for t in train(net, tiny, full, beats=range(13))]
    for (_, before), (loss, _) in itertools.pairwise(ticks):
        assert loss == pytest.approx(before, rel=1e-5)  # the same mean in another order of summation


def mean_square(net: Net, data: Data) -> float:
    out = net(torch_of(data.inputs)).detach().numpy()
    return float(np.mean((out.astype(float) - data.targets) ** 2))


def torch_of(array: Any) -> Any:
    return torch.from_numpy(array)


class Clock:
    """A clock that moves only when told: each step of training takes one second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, per_step: float = 1.0) -> None:
        self.now = 0.0
        monkeypatch.setattr(
            loop,
            "time",
            types.SimpleNamespace(perf_counter=lambda: self.now, process_time=lambda: self.now / 2),
        )
        advance = eager.EagerSession.advance

        def slow(session: eager.EagerSession, steps: int) -> Any:
            self.now += steps * per_step
            return advance(session, steps)

        monkeypatch.setattr(eager.EagerSession, "advance", slow)


def test_the_clock_counts_training_and_not_the_consumer(
    net: Net, tiny: Data, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    seen, cores = [], []
    for tick in train(net, tiny, recipe, beats=[4, 6], seconds=100.0):
        seen.append(tick.seconds)
        cores.append(tick.cores)
        _ = tick.net
        clock.now += 1000  # a consumer that draws, saves, sleeps
    assert seen == [100, 104, 106, 112]
    assert math.isnan(cores[0]) and cores[1:] == [0.5] * 3, "half a core, by this clock"


def test_pulses_come_about_as_often_as_asked(
    net: Net, tiny: Data, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch, per_step=0.05)
    ticks = list(train(net, tiny, recipe.replace(steps=400), beats=[200], pulse=1.0))
    assert {t.step for t in ticks if t.beat} == {0, 200, 400}
    seconds = [t.seconds for t in ticks]
    gaps = np.diff(seconds)
    assert gaps.max() <= 1.001 and len(ticks) < 40  # 20 seconds of training, and the guesses at the start
    assert seconds[-1] == pytest.approx(20)


def test_breaking_off_closes_the_session(net: Net, tiny: Data, recipe: Recipe, closed: list[int]) -> None:
    for tick in train(net, tiny, recipe, beats=[4]):
        if tick.step == 4:
            break
    assert closed == [4]


def test_a_consumer_that_raises_closes_the_session(
    net: Net, tiny: Data, recipe: Recipe, closed: list[int]
) -> None:
    def consume(ticks: Iterator[Any]) -> None:
        for tick in ticks:
            if tick.step == 4:
                raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        consume(train(net, tiny, recipe, beats=[4]))
    assert closed == [4]


def test_the_end_closes_the_session_once(net: Net, tiny: Data, recipe: Recipe, closed: list[int]) -> None:
    ticks = train(net, tiny, recipe)
    list(ticks)
    ticks.close()
    assert closed == [12]


def test_divergence_closes_the_session_too(net: Net, tiny: Data, recipe: Recipe, closed: list[int]) -> None:
    with pytest.raises(RunError):
        list(train(net, tiny, recipe.replace(rate=1e5, schedule="constant", optimizer="sgd")))
    assert len(closed) == 1


def test_divergence_names_step_layer_and_a_way_out(net: Net, tiny: Data, recipe: Recipe) -> None:
    """Gradient descent with a rate of 1e5: the first update explodes, the loss of step 2 shows it."""
    changed = recipe.replace(rate=1e5, schedule="constant", optimizer="sgd")
    with pytest.raises(
        RunError, match=r"^diverged at step 2: the loss is .*\nhint: .*--rate 3\.3e\+04"
    ) as caught:
        list(train(net, tiny, changed))
    assert any(name in str(caught.value) for name, _ in net.named_parameters())
    assert caught.value.exit_code == 1


def test_a_weight_that_is_no_number_ends_the_run_at_its_step(net: Net, tiny: Data, recipe: Recipe) -> None:
    """One nan spreads to every layer within one step, so the layer named is the first."""
    message = r"diverged at step 5: the loss is nan, layers\.0\.weight is no longer finite"
    with pytest.raises(RunError, match=message):
        for tick in train(net, tiny, recipe, beats=[4]):
            if tick.step == 4:
                tick.session._net.layers[1].weight.data[2, 3] = math.nan  # type: ignore[attr-defined]


def test_the_largest_layer_is_named_while_all_are_finite(net: Net, tiny: Data, recipe: Recipe) -> None:
    """A loss of 1e6 or more is as lost as nan: here the readout's biases are far off from the start."""
    net.readout.bias.data[:] = 1e4
    message = r"diverged at step 1: the loss is 1e\+08, the largest weights are in readout\.bias\nhint"
    with pytest.raises(RunError, match=message):
        list(train(net, tiny, recipe, beats=[1]))


@pytest.mark.parametrize("stop", [0, 4, 12])
def test_after_the_loop_the_net_is_that_of_the_last_tick(
    net: Net, tiny: Data, recipe: Recipe, stop: int
) -> None:
    """Also for a caller who never asked a tick for it."""
    for tick in train(net, tiny, recipe, beats=[4]):
        if tick.step == stop:
            break
    reference = build(recipe, 2, 3)
    session = eager.prepare(reference, tiny, recipe, 12)
    session.advance(stop)
    session.pull(reference)
    equal_bits(parameters(net), parameters(reference))
    assert tick.net is net


def test_a_state_at_the_end_gives_one_tick(net: Net, tiny: Data, recipe: Recipe) -> None:
    *_, last = train(net, tiny, recipe)
    trained = last.net
    before = parameters(trained)
    ticks = list(train(trained, tiny, recipe, state=last.session.state()))
    assert [(t.step, t.last, t.beat) for t in ticks] == [(12, True, True)]
    equal_bits(parameters(ticks[0].net), before)


def test_a_tick_keeps_the_net_it_was_given(net: Net, tiny: Data, recipe: Recipe) -> None:
    assert all(tick.net is net for tick in train(net, tiny, recipe, beats=[3]))


def test_nothing_is_prepared_before_the_first_tick_is_asked_for(
    net: Net, tiny: Data, recipe: Recipe, closed: list[int]
) -> None:
    ticks = train(net, tiny, recipe)
    ticks.close()
    assert closed == []


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"engine": "abacus"}, EngineError, "engine 'abacus' is unknown; known are auto"),
        ({"optimizer": "adm"}, RecipeError, "did you mean 'adam'"),
        ({"schedule": "hold:share_held=2"}, RecipeError, "share_held=2"),
        ({"loss": "l2"}, RecipeError, "loss='l2' is unknown"),
    ],
)
def test_what_cannot_run_is_refused_at_the_first_tick(
    net: Net, tiny: Data, recipe: Recipe, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        next(train(net, tiny, recipe.replace(**changes)))


def test_precision_auto_is_settled_by_what_the_machine_does_fast() -> None:
    from sfumato import engine

    auto = Recipe(precision="auto")
    here = engine.settle(auto).recipe.precision
    fast = [
        n for n in ("cuda", "native") if engine.engine(n).why_not(auto.replace(precision="bfloat16")) is None
    ]
    assert here == ("bfloat16" if fast else "float32")
    assert engine.settle(auto.replace(engine="eager")).recipe.precision == "float32"
    assert engine.settle(auto.replace(precision="float32")).recipe.precision == "float32"
