"""What a training in progress is to the loop and to whoever looks: the protocol `Session`, and the `Tick`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from ..errors import RunError

__all__ = ["Position", "Session", "Tick", "remembered"]


class Position(Protocol):
    """Where a step stands in the data."""

    samples: int

    @property
    def total_steps(self) -> int:
        """Steps of the budget, as it is planned at the moment."""
        ...

    @property
    def planned_steps(self) -> int:
        """Steps of the budget as it was planned when the run began."""
        ...

    def moved(self, planned: Iterable[int]) -> list[int]:
        """Where steps of the budget as it was planned stand now."""
        ...

    def epochs(self, step: int) -> float:
        """Passes over the data that are complete after `step` steps; fractional."""
        ...

    def seen(self, step: int) -> int:
        """Samples in the first `step` minibatches."""
        ...


class Session(Protocol):
    """A training in progress: weights, optimizer and position belong to it."""

    step: int
    plan: Position

    def advance(self, steps: int) -> npt.NDArray[np.float32]:
        """Train for `steps` steps without interruption; the loss of each minibatch before its update, (steps,).

        Cutting a stretch into several calls changes no bit of the result.
        """
        ...

    def pull(self, net: nn.Module) -> None:
        """Copy the weights into `net`, which has the parameters of the one that the session started from."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All that is needed to go on beside the weights: `step`, `<moment>/<parameter>`, and `Plan.state`."""
        ...

    def load(self, net: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Go on from the weights in `net` and a `state()` of this or another engine."""
        ...

    def close(self) -> None:
        """Give threads and memory back; the session cannot be used afterwards."""
        ...


def remembered(state: Mapping[str, Tensor], moment: str, parameter: str, shape: Sequence[int]) -> Tensor:
    """What a state keeps of the optimizer's memory of a parameter; RunError where it is not there in this shape, so
    that it belongs to another net or optimizer."""
    value = state.get(f"{moment}/{parameter}")
    if value is None or tuple(value.shape) != tuple(shape):
        raise RunError(f"the checkpoint lacks the optimizer's memory of {parameter}")
    return value


class Tick:
    """A moment at which the engine has stopped for the caller to look.

    step, total_steps: steps done and steps of the budget. epoch: passes over the data, fractional. seconds:
    training time so far, looking not included. losses: of each minibatch since the last tick, float32. beat: False
    for a pulse, which serves progress displays between beats. samples: training samples seen so far by this
    process. cores: processor seconds that a second of training took, nan before the first step: far below the
    number of threads where the machine is busy with something else. at_most: None, or set by whoever looks: the
    next tick comes after so many steps at the latest. Like beats it never changes the weights.
    """

    def __init__(
        self,
        session: Session,
        net: Any,
        seconds: float,
        losses: npt.NDArray[np.float32],
        beat: bool,
        samples: int,
        cores: float = math.nan,
    ) -> None:
        self.session = session
        self.step = session.step
        self.total_steps = session.plan.total_steps
        self.epoch = session.plan.epochs(session.step)
        self.seconds = seconds
        self.losses = losses
        self.beat = beat
        self.samples = samples
        self.cores = cores
        self.at_most: int | None = None
        self._net = net
        self._pulled = self._over = False

    @property
    def loss(self) -> float:
        """Mean minibatch loss since the last tick; nan before the first step."""
        return float(self.losses.mean()) if len(self.losses) else float("nan")

    @property
    def net(self) -> Any:
        """The net with this tick's weights; fetched from the engine when first asked for.

        It is the caller's own net, which later ticks change: RunError once the loop has gone on.
        """
        if self._over:
            raise RunError(
                f"the tick of step {self.step} is over: the net has moved on to step {self.session.step}\n"
                "hint: copy.deepcopy(tick.net) while it lasts"
            )
        if not self._pulled:
            self.session.pull(self._net)
            self._pulled = True
        return self._net

    def end(self) -> None:
        """Say that the loop goes on: the weights of this moment are no longer to be had."""
        self._over = True

    @property
    def last(self) -> bool:
        """Whether the budget is spent."""
        return self.step >= self.total_steps
