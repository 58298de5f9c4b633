"""Units that compete or learn a slope, and fixed feedback: the native engine against float64 and the eager one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_picture import picture_data
from test_native import SMALL, equal_steps
from test_native_kernels import SETS, samples

from sfumato import nets
from sfumato.data import Data
from sfumato.engine import eager, native

pytest.importorskip("sfumato._native", reason="the native engine is not built")

VARIANTS: dict[str, dict[str, Any]] = {
    "lwta of four, dropout, skip": {
        "activation": "lwta:block=4",
        "net": (18, 13),
        "dropout": (0.1, 0.3),
        "skip": True,
    },
    "lwta, sample by sample": {
        "activation": "lwta",
        "net": (15, 16),
        "batch": 1,
        "optimizer": "sgd",
        "rate": 0.05,
    },
    "prelu, decay, clipped, dropout, two threads": {
        "activation": "prelu:slope=0.0",
        "optimizer": "adam:decay=0.5",
        "clip": 0.05,
        "dropout": (0.1, 0.4),
        "threads": 2,
    },
    "prelu, grid, momentum": {
        "activation": "prelu",
        "encoding": "grid:levels=3,base=4",
        "optimizer": "sgd:momentum=0.9,fan_in=True",
        "rate": 0.1,
    },
    "prelu, sample by sample, woken": {
        "activation": "prelu",
        "batch": 1,
        "optimizer": "sgd",
        "rate": 0.1,
        "wake": 3,
    },
    "feedback alignment, prelu": {"backward": "feedback-alignment", "activation": "prelu"},
    "feedback alignment, sample by sample": {
        "backward": "feedback_alignment:scale=2",
        "batch": 1,
        "optimizer": "sgd",
        "rate": 0.05,
    },
    "feedback alignment, grid, lwta, two threads": {
        "backward": "feedback-alignment",
        "encoding": "grid:levels=3,base=4",
        "activation": "lwta",
        "threads": 2,
    },
    "feedback alignment, skip, sine, momentum": {
        "backward": "feedback-alignment",
        "activation": "sine:omega=5",
        "skip": True,
        "optimizer": "sgd:momentum=0.9",
        "rate": 0.01,
    },
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("isa", SETS)
def test_eight_steps_equal_the_eager_engine(name: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_ISA", isa)
    equal_steps(SMALL.replace(**VARIANTS[name]))


def some(count: int) -> Data:
    x, y = samples(count, 2, 3)
    return Data((x + 1) / 2, y, x[:0], y[:0])


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize(("net", "count"), [((64,), 1), ((33, 48), 31), ((7, 20, 41), 33), ((300, 64), 200)])
@pytest.mark.parametrize("slopes", [0.0, 0.6])
def test_gradients_of_learned_slopes_match_float64(
    isa: str, net: tuple[int, ...], count: int, slopes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """slopes: they lie on either side of 0, or are 0."""
    monkeypatch.setenv("SFUMATO_ISA", isa)
    recipe = SMALL.replace(net=net, activation="prelu", skip=True, threads=2, batch=count)
    built, data = nets.build(recipe, 2, 3), some(count)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if name.startswith("units."):
                parameter.uniform_(-slopes, slopes, generator=random)
    rows = np.arange(count, dtype=np.int32)
    _, ours = native.prepare(built, data, recipe, 10).gradient(rows)
    _, theirs = eager.prepare(built.double(), data, recipe, 10).gradient(rows)
    assert ours.keys() == theirs.keys() and f"units.{len(net) - 1}.slopes" in ours
    for name, gradient in theirs.items():
        distance = (ours[name] - gradient).norm() / gradient.norm()
        assert distance < 1e-5, (name, distance)  # see "gradient float32" in compare.py


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "bfloat16-all"])
@pytest.mark.parametrize("dense", ["0", "1"])
@pytest.mark.parametrize("activation", ["relu", "lwta", "tanh"])
def test_errors_that_go_back_by_the_weights_themselves_are_the_true_ones(
    isa: str, precision: str, dense: str, activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_ISA", isa)
    monkeypatch.setenv("SFUMATO_DENSE", dense)
    recipe = SMALL.replace(net=(70, 33, 41), precision=precision, activation=activation, threads=2)
    data, rows = picture_data(13, 17), np.arange(221, dtype=np.int32)
    built = nets.build(recipe, 2, 3)
    found = []
    for backward in ("backprop", "feedback-alignment"):
        session = native.NativeSession(built, data, recipe.replace(backward=backward), 10)
        if backward != "backprop":
            assert not torch.equal(session.gradient(rows)[1]["layers.0.weight"], found[0]["layers.0.weight"])
            maps = [*list(built.layers)[1:], built.readout]
            session._trainer.set_feedback([one.weight.detach().numpy() for one in maps])  # type: ignore[union-attr]
        found.append(session.gradient(rows)[1])
    for name, gradient in found[0].items():
        assert torch.equal(found[1][name], gradient), name


def test_fixed_matrices_stay_as_they_are_while_weights_move() -> None:
    """After training, the weights of the start have the gradients of the start again."""
    recipe = SMALL.replace(backward="feedback-alignment", activation="tanh", optimizer="sgd", rate=0.5)
    data, rows = picture_data(13, 17), np.arange(221, dtype=np.int32)
    session = native.prepare(nets.build(recipe, 2, 3), data, recipe, 40)
    before = session.gradient(rows)[1]
    start = nets.build(recipe, 2, 3)
    session.advance(10)
    moved = session.gradient(rows)[1]
    session.load(start, {"step": torch.tensor(0)})
    for name, gradient in session.gradient(rows)[1].items():
        assert torch.equal(gradient, before[name]) and not torch.equal(gradient, moved[name])


@pytest.mark.parametrize("arrays", [[], [(3, 5)], [(5, 2)], [(4, 5)]])
def test_fixed_matrices_of_other_shapes_are_refused(arrays: list[tuple[int, int]]) -> None:
    made = native._native.Settings()
    made.inputs, made.outputs, made.hidden, made.feedback = 2, 3, [5], arrays != [(4, 5)]
    engine = native._native.Trainer(made)
    given = [np.zeros(shape, np.float32) for shape in arrays]
    if arrays == [(3, 5)]:
        engine.set_feedback(given)
        given[0][1, 2] = np.nan
    with pytest.raises(ValueError):
        engine.set_feedback(given)
