"""The CUDA engine's arithmetic, on the CPU with the capture switched off; a GPU itself is never needed here."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sfumato import nets
from sfumato.data import Data
from sfumato.engine import cuda, eager, native
from sfumato.errors import EngineError, RunError
from sfumato.recipe import Recipe, named

CPU = torch.device("cpu")


def both(tiny: Data, recipe: Recipe, steps: int) -> tuple[cuda.CudaSession, eager.EagerSession]:
    net = nets.build(recipe, 2, 3)
    a = cuda.CudaSession(net, tiny, recipe, steps, CPU, capture=False)
    return a, eager.EagerSession(net, tiny, recipe, steps)


@pytest.mark.parametrize(
    "optimizer",
    [
        "adam",
        "adam:beta2=0.9,eps=1e-6",
        "sgd",
        "sgd:momentum=0.9",
        "sgd:fan_in=True",
        "muon",
        "muon:blocks=2,steps=4",
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_moves_like_the_specification(tiny: Data, recipe: Recipe, optimizer: str, precision: str) -> None:
    # 40 steps of batches of 12: whole groups, single steps and the short batch at an epoch's end all occur.
    here = recipe.replace(optimizer=optimizer, precision=precision, batch=12, steps=40)
    a, b = both(tiny, here, 40)
    got, wanted = a.advance(40), b.advance(40)
    # float32 sums in another order: 1e-7 a step; bfloat16 rounds differently once two values straddle a step.
    bound = 1e-5 if precision == "float32" else 2e-3
    assert abs(got - wanted).max() <= bound * abs(wanted).max()


def test_cutting_a_stretch_changes_no_bit(tiny: Data, recipe: Recipe) -> None:
    here = recipe.replace(batch=12, steps=40)
    a, _ = both(tiny, here, 40)
    c, _ = both(tiny, here, 40)
    a.advance(40)
    for count in (1, 7, 3, 20, 9):
        c.advance(count)
    for name, value in a.state().items():
        assert torch.equal(value, c.state()[name]), name


@pytest.mark.parametrize("optimizer", ["adam", "sgd:momentum=0.9", "muon"])
@pytest.mark.parametrize("damage", ["missing", "another shape"])
def test_a_state_of_another_optimizer_or_net_is_refused_by_every_engine(
    tiny: Data, recipe: Recipe, optimizer: str, damage: str
) -> None:
    here = recipe.replace(optimizer=optimizer)
    sessions: list[Any] = [*both(tiny, here, 12)]
    if native.missing() is None:
        sessions.append(native.prepare(nets.build(here, 2, 3), tiny, here, 12))
    net = nets.build(here, 2, 3)
    for session in sessions:
        session.advance(2)
        state = session.state()
        key = next(key for key in state if key.endswith("/layers.1.weight"))
        if damage == "missing":
            del state[key]
        else:
            state[key] = state[key][:-1]
        with pytest.raises(RunError, match=r"lacks the optimizer's memory of layers\.1\.weight"):
            session.load(net, state)


def test_units_are_woken_and_errors_followed_as_the_specification_does(tiny: Data, recipe: Recipe) -> None:
    # Groups, single steps, short batches and wakings at odd places; the order of an epoch follows the errors of the
    # one before, so that one wrong error shows in all that comes after.
    here = recipe.replace(
        net=(16, 16, 16), batch=2, steps=90, optimizer="muon", rate=0.02, wake=7, sampling="error"
    )
    a, b = both(tiny, here, 90)
    got, wanted = a.advance(90), b.advance(90)
    assert abs(got - wanted).max() <= 1e-4 * abs(wanted).max()  # rounding of 90 steps that turn matrices
    for name, value in b.plan.state().items():
        assert torch.allclose(a.plan.state()[name], value, atol=1e-4), name
    c, _ = both(tiny, here, 90)
    for count in (1, 7, 30, 3, 40, 9):
        c.advance(count)
    for name, value in a.state().items():
        assert torch.equal(value, c.state()[name]), name


def test_classic_itself_runs_here(tiny: Data) -> None:
    a, b = both(tiny, named("classic").replace(net=(16, 16), steps=6, batch=8), 6)
    got, wanted = a.advance(6), b.advance(6)
    assert abs(got - wanted).max() <= 1e-5 * abs(wanted).max()


def test_engines_take_over_from_one_another(tiny: Data, recipe: Recipe) -> None:
    here = recipe.replace(batch=12, steps=40)
    a, b = both(tiny, here, 40)
    net = nets.build(here, 2, 3)
    a.advance(11)
    a.pull(net)
    _, other = both(tiny, here, 40)
    other.load(net, a.state())
    b.advance(11)
    assert abs(other.advance(20) - b.advance(20)).max() < 1e-5  # rounding of 31 steps, see above
    other.pull(net)
    a.load(net, other.state())
    assert a.step == 31
    assert abs(a.advance(9) - b.advance(9)).max() < 1e-5


def test_it_names_what_it_lacks(tiny: Data, recipe: Recipe) -> None:
    assert "decay" in str(cuda._lacks(recipe.replace(optimizer="adam:decay=0.1")))
    assert "dropout" in str(cuda._lacks(recipe.replace(dropout=(0.1, 0.1))))
    assert "clip" in str(cuda._lacks(recipe.replace(clip=1.0)))
    if not torch.cuda.is_available():
        assert "no CUDA device" in str(cuda.why_not(recipe))
        with pytest.raises(EngineError, match="cuda cannot run"):
            cuda.prepare(nets.build(recipe, 2, 3), tiny, recipe, 10)
