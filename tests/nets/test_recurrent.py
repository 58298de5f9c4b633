"""Recurrent cells against a few lines of NumPy in float64, forward and gradient; what they show of themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sfumato.errors import RecipeError
from sfumato.nets import recurrent
from sfumato.nets.recurrent import Recurrent, clockwork, elman, lstm, stack
from sfumato.recipe import pick, public

CELLS = ["elman", "lstm", "lstm:forget=0.0", "stack", "stack:stacks=3,recurrent=True", "clockwork:modules=3"]


def made(text: str, units: int = 6) -> Recurrent:
    torch.manual_seed(3)
    return Recurrent(pick(recurrent, text, "cell")(4, units), 2).double()


def sequences(batch: int = 3, time: int = 9) -> torch.Tensor:
    return torch.randn(batch, time, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def by_numpy(net: Recurrent, x: np.ndarray, text: str) -> np.ndarray:
    """The outputs (batch, time, 2) by the papers' equations, a moment and a sample at a time."""
    p = {name: value.detach().numpy() for name, value in net.named_parameters()}
    outputs = []
    for sample in x:
        hidden = np.zeros(net.cell.width)
        memory = np.zeros(net.cell.width)
        stacks = np.full((getattr(net.cell, "stacks", 0), len(sample)), -1.0)
        for moment, now in enumerate(sample):
            if "lstm" in text:
                gates = p["cell.layer.weight_ih_l0"] @ now + p["cell.layer.bias_ih_l0"]
                gates = gates + p["cell.layer.weight_hh_l0"] @ hidden + p["cell.layer.bias_hh_l0"]
                i, f, g, o = np.split(gates, 4)
                memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
                hidden = sigmoid(o) * np.tanh(memory)
            elif "stack" in text:
                total = (
                    p["cell.into.weight"] @ now
                    + p["cell.into.bias"]
                    + p["cell.top.weight"] @ stacks[:, :2].ravel()
                )
                if "recurrent" in text:
                    total = total + p["cell.again.weight"] @ hidden
                hidden = sigmoid(total)
                both = (p["cell.act.weight"] @ hidden + p["cell.act.bias"]).reshape(-1, 2)
                push, pop = (np.exp(both) / np.exp(both).sum(1, keepdims=True)).T
                value = sigmoid(p["cell.value.weight"] @ hidden + p["cell.value.bias"])
                new = np.empty_like(stacks)
                for s, old in enumerate(stacks):
                    for place in range(len(old)):
                        above = value[s] if place == 0 else old[place - 1]
                        below = old[place + 1] if place + 1 < len(old) else -1.0
                        new[s, place] = push[s] * above + pop[s] * below
                stacks = new
            else:
                new = np.tanh(
                    p["cell.into.weight"] @ now + p["cell.into.bias"] + _read(p, net, text) @ hidden
                )
                moves = moment % net.cell.periods.numpy() == 0 if "clockwork" in text else True
                hidden = np.where(moves, new, hidden)
            outputs.append(p["readout.weight"] @ hidden + p["readout.bias"])
    return np.array(outputs).reshape(len(x), -1, 2)


def _read(p: dict[str, np.ndarray], net: Recurrent, text: str) -> np.ndarray:
    """The recurrent weights; of a clockwork, a row of a fast unit may read slow columns, never the reverse."""
    weight = p["cell.again.weight"].copy()
    if "clockwork" in text:
        for row in range(6):
            for column in range(6):
                if 2 ** (column // 2) < 2 ** (row // 2):
                    weight[row, column] = 0
    return weight


@pytest.mark.parametrize("text", CELLS)
def test_cells_follow_their_equations(text: str) -> None:
    """Float64 on both sides; nine moments of sums of 6 terms."""
    net, x = made(text), sequences()
    assert np.allclose(net(x).detach().numpy(), by_numpy(net, x.numpy(), text), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("text", CELLS)
def test_gradients_equal_differences_of_the_loss(text: str) -> None:
    """Central differences of the NumPy loss at 1e-6: errors of 1e-9 in a loss of order 1."""
    net, x = made(text), sequences(2, 6)
    (net(x) ** 2).mean().backward()
    random = np.random.default_rng(0)
    for name, parameter in net.named_parameters():
        flat = parameter.data.view(-1)
        for index in random.integers(0, len(flat), 3):
            losses = []
            for side in (1e-6, -1e-6):
                flat[index] += side
                losses.append(float((by_numpy(net, x.numpy(), text) ** 2).mean()))
                flat[index] -= side
            wanted = (losses[0] - losses[1]) / 2e-6
            assert parameter.grad is not None
            assert abs(float(parameter.grad.view(-1)[index]) - wanted) < 1e-7 + 1e-5 * abs(wanted), name


@pytest.mark.parametrize("name", public(recurrent))
def test_every_cell_unrolls_as_it_steps_and_shows_itself(name: str) -> None:
    net, x = made(name, 8), sequences()
    state, kept = net.cell.start(3, 9), []
    for moment in x.unbind(1):
        hidden, state = net.cell.step(moment, state)
        kept.append(hidden)
    assert torch.allclose(torch.stack(kept, 1), net.cell.unroll(x), rtol=1e-12)
    trace = net.cell.trace(x)
    assert trace.shape[:2] == (3, 9) and float(trace.min()) >= 0 and float(trace.max()) <= 1


def test_a_rounded_stack_counts() -> None:
    """Weights set by hand: push on symbol 0, pop on symbol 1; after 3 pushes and 3 pops it is empty again."""
    cell = stack(2, 2, stacks=1)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.into.weight.copy_(torch.tensor([[20.0, -20.0], [-20.0, 20.0]]))
        cell.act.weight.copy_(torch.tensor([[20.0, 0.0], [0.0, 20.0]]))
    cell.rounded = True
    symbols = torch.eye(2)[[0, 0, 0, 1, 1, 1]][None]
    full = (cell.trace(symbols)[0] > 0).sum(1)
    assert full.tolist() == [1, 2, 3, 2, 1, 0]


def test_units_of_a_clockwork_move_at_their_periods_only() -> None:
    cell = clockwork(4, 8, modules=4)
    trace = cell.trace(sequences().float())[0]
    still = (trace[1:] == trace[:-1]).float().mean(0)
    assert still[:2].tolist() == [0, 0] and still[2:4].tolist() == [0.5, 0.5]
    assert still[6:].tolist() == [7 / 8, 7 / 8]


@pytest.mark.parametrize(
    "build", [lambda: stack(2, 4, stacks=0), lambda: clockwork(2, 9, modules=2), lambda: stack(2, 4, reads=0)]
)
def test_cells_that_cannot_be_meant_are_refused(build: Callable[[], object]) -> None:
    with pytest.raises(RecipeError):
        build()


def test_forget_biases_start_where_they_are_told() -> None:
    cell = lstm(2, 3, forget=2.0)
    assert cell.layer.bias_ih_l0.tolist() == [0, 0, 0, 2, 2, 2, 0, 0, 0, 0, 0, 0]
    assert elman(2, 3).width == 3
