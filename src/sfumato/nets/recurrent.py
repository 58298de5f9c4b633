"""Recurrent cells, and the net around one: sequences in, a value at each moment out.

The module is the registry: every function of `__all__` is a cell that text names, `stack:stacks=2`; it is called
with inputs and units first. A cell has `start(batch, length)`, a state; `step(x, state)`, the next values and
state; and `shown(state)`, what of a state can be plotted, in [0, 1].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import RecipeError

__all__ = ["Cell", "Recurrent", "clockwork", "elman", "lstm", "stack"]


class Cell(nn.Module):
    """What a recurrent net repeats; `width` values a moment."""

    width: int

    def start(self, batch: int, length: int) -> Any:
        """The state before the first of `length` moments."""
        raise NotImplementedError

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """x (batch, inputs) -> hidden values (batch, width) and the next state."""
        raise NotImplementedError

    def shown(self, state: Any) -> Tensor:
        """(batch, rows) in [0, 1]."""
        raise NotImplementedError

    def unroll(self, x: Tensor) -> Tensor:
        """x (batch, time, inputs) -> hidden values (batch, time, width)."""
        state, kept = self.start(x.shape[0], x.shape[1]), []
        for moment in x.unbind(1):
            hidden, state = self.step(moment, state)
            kept.append(hidden)
        return torch.stack(kept, 1)

    @torch.no_grad()
    def trace(self, x: Tensor) -> Tensor:
        """x (batch, time, inputs) -> what is shown of the state after each moment, (batch, time, rows)."""
        state, kept = self.start(x.shape[0], x.shape[1]), []
        for moment in x.unbind(1):
            _, state = self.step(moment, state)
            kept.append(self.shown(state))
        return torch.stack(kept, 1)


class Recurrent(nn.Module):
    """A cell and a linear readout: (batch, time, inputs) -> (batch, time, outputs)."""

    def __init__(self, cell: Cell, outputs: int) -> None:
        super().__init__()
        self.cell = cell
        self.readout = nn.Linear(cell.width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.readout(self.cell.unroll(x))
        return result


class _Elman(Cell):
    """tanh(W x + U h + b); a mask holds entries of U at 0, and periods hold units still between their beats."""

    mask: Tensor | None
    periods: Tensor | None

    def __init__(self, inputs: int, units: int, periods: Tensor | None = None) -> None:
        super().__init__()
        self.width = units
        self.into = nn.Linear(inputs, units)
        self.again = nn.Linear(units, units, bias=False)
        # A unit reads those of its own period and of slower ones.
        mask = None if periods is None else (periods[None, :] >= periods[:, None]).float()
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("periods", periods, persistent=False)

    def start(self, batch: int, length: int) -> tuple[Tensor, int]:
        return self.again.weight.new_zeros(batch, self.width), 0

    def step(self, x: Tensor, state: tuple[Tensor, int]) -> tuple[Tensor, tuple[Tensor, int]]:
        hidden, moment = self._next(self.into(x), *state), state[1] + 1
        return hidden, (hidden, moment)

    def _next(self, into: Tensor, hidden: Tensor, moment: int) -> Tensor:
        weight = self.again.weight if self.mask is None else self.again.weight * self.mask
        new = torch.tanh(into + hidden @ weight.T)
        return new if self.periods is None else torch.where(moment % self.periods == 0, new, hidden)

    def shown(self, state: tuple[Tensor, int]) -> Tensor:
        return (state[0] + 1) / 2


class _LSTM(Cell):
    """PyTorch's long short-term memory: one layer, a forget gate, no peepholes; forget biases start at `forget`."""

    def __init__(self, inputs: int, units: int, forget: float) -> None:
        super().__init__()
        self.width = units
        self.layer = nn.LSTM(inputs, units, batch_first=True)
        with torch.no_grad():
            for name, bias in self.layer.named_parameters():
                if name.startswith("bias"):
                    bias.zero_()
                if name == "bias_ih_l0":
                    bias[units : 2 * units] = forget

    def start(self, batch: int, length: int) -> tuple[Tensor, Tensor]:
        zero = next(self.layer.parameters()).new_zeros(1, batch, self.width)
        return zero, zero.clone()

    def step(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, state = self.layer(x[:, None], state)
        return hidden[:, 0], state

    def shown(self, state: tuple[Tensor, Tensor]) -> Tensor:
        return (state[0][0] + 1) / 2

    def unroll(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.layer(x)[0]
        return hidden


EMPTY = -1.0
"""What an empty cell of a stack holds."""


class _Stack(Cell):
    """Hidden units that push to and pop from stacks of numbers, softly, and read the `reads` topmost of each."""

    def __init__(
        self, inputs: int, units: int, stacks: int, reads: int, recurrent: bool, gain: float
    ) -> None:
        super().__init__()
        self.width, self.stacks, self.reads = units, stacks, reads
        self.into = nn.Linear(inputs, units)
        self.again = nn.Linear(units, units, bias=False) if recurrent else None
        self.top = nn.Linear(stacks * reads, units, bias=False)
        self.act = nn.Linear(units, 2 * stacks)
        self.value = nn.Linear(units, stacks)
        with torch.no_grad():
            for layer in (self.into, self.top, self.act, self.value):
                layer.weight.mul_(gain)
        self.rounded = False
        """Whether actions are replaced by the likelier of the two, as at test time in the paper."""

    def start(self, batch: int, length: int) -> tuple[Tensor, Tensor]:
        weight = self.into.weight
        depth = max(length, self.reads)
        return weight.new_zeros(batch, self.width), weight.new_full((batch, self.stacks, depth), EMPTY)

    def step(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, stacks = state
        total = self.into(x) + self.top(stacks[..., : self.reads].flatten(1))
        if self.again is not None:
            total = total + self.again(hidden)
        hidden = torch.sigmoid(total)
        push = torch.sigmoid(self._leaning(hidden))[..., None]
        if self.rounded:
            push = (push > 0.5).to(push.dtype)
        pushed = torch.cat([torch.sigmoid(self.value(hidden))[..., None], stacks[..., :-1]], -1)
        popped = torch.cat([stacks[..., 1:], torch.full_like(stacks[..., :1], EMPTY)], -1)
        return hidden, (hidden, push * pushed + (1 - push) * popped)

    def _leaning(self, hidden: Tensor) -> Tensor:
        """(batch, stacks): logit of PUSH against POP, whose softmax is the logistic function of the difference."""
        both: Tensor = self.act(hidden).view(len(hidden), self.stacks, 2)
        return both[..., 0] - both[..., 1]

    def shown(self, state: tuple[Tensor, Tensor]) -> Tensor:
        """The stacks from their tops down, one below another: empty 0, full 1."""
        return ((state[1] - EMPTY) / (1 - EMPTY)).flatten(1)


def elman(inputs: int, units: int) -> Cell:
    """The simple recurrent net, tanh(W x + U h + b).

    Paper: Elman, Cognitive Science 14, 1990.
    """
    return _Elman(inputs, units)


def lstm(inputs: int, units: int, *, forget: float = 1.0) -> Cell:
    """Long short-term memory; forget biases start at `forget`.

    Papers: Hochreiter and Schmidhuber 1997; Gers et al. 2000 for the forget gate.
    """
    return _LSTM(inputs, units, forget)


def stack(
    inputs: int, units: int, *, stacks: int = 2, reads: int = 2, recurrent: bool = False, gain: float = 3.0
) -> Cell:
    """Sigmoid units with stacks that they push to and pop from, softly.

    stacks: how many. reads: topmost cells of each that the units see. recurrent: whether units see one another.
    gain: of PyTorch's start; at 1 every action is half a push and half a pop, and 500 steps on a^n b^n left it so.
    Raises RecipeError below 1. Paper: Joulin and Mikolov 2015, arXiv 1503.01007, section 3.
    """
    if stacks < 1 or reads < 1:
        raise RecipeError(f"stack: stacks={stacks}, reads={reads} must be at least 1")
    return _Stack(inputs, units, stacks, reads, recurrent, gain)


def clockwork(inputs: int, units: int, *, modules: int = 8, base: int = 2) -> Cell:
    """The simple recurrent net in modules that move only every 1, 2, 4, ... moments and read slower ones only.

    modules: groups of equal size, so `units` must be a multiple. base: of the periods. RecipeError otherwise.
    Paper: Koutnik et al. 2014, arXiv 1402.3511, section 3.
    """
    if modules < 1 or base < 1 or units % modules:
        raise RecipeError(f"clockwork: {units} units in modules={modules} of equal size, base={base}")
    periods = torch.tensor([base**m for m in range(modules)]).repeat_interleave(units // modules)
    return _Elman(inputs, units, periods)
