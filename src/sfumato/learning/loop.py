"""The generator `train` and the clock.

    for tick in train(net, data, recipe):   # the clock runs only inside train
        ...                                 # look, save, stop: the loop's body belongs to the caller

Stopping early is `break`; pausing is not asking for the next tick. Nothing here knows what the targets are,
and nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .. import engine as engines
from ..data import Data
from ..engine import Session
from ..errors import RunError
from ..nets import Net
from ..recipe import Recipe

__all__ = ["Tick", "train"]

EXPLODED = 1e6
"""A minibatch loss above this is as lost as one that is not finite: targets lie in [0, 1]."""


class Tick:
    """A moment at which the engine has stopped for the caller to look.

    step, total_steps: steps done and steps of the budget. epoch: passes over the data, fractional. seconds:
    training time so far, looking not included. loss: mean minibatch loss since the last tick (nan before the
    first step). beat: False for a pulse, which serves progress displays between beats. samples: training
    samples seen so far by this process.
    """

    def __init__(
        self,
        session: Session,
        net: Net,
        total_steps: int,
        seconds: float,
        loss: float,
        beat: bool,
        samples: int,
    ) -> None:
        self.session = session
        self.step = session.step
        self.total_steps = total_steps
        self.epoch = session.plan.epochs(session.step)
        self.seconds = seconds
        self.loss = loss
        self.beat = beat
        self.samples = samples
        self._net = net
        self._pulled = False

    @property
    def net(self) -> Net:
        """The net with this tick's weights; fetched from the engine when first asked for."""
        if not self._pulled:
            self.session.pull(self._net)
            self._pulled = True
        return self._net

    @property
    def last(self) -> bool:
        """Whether the budget is spent."""
        return self.step >= self.total_steps


def train(
    net: Net,
    data: Data,
    recipe: Recipe,
    *,
    beats: Sequence[int] = (),
    state: Mapping[str, Tensor] | None = None,
    pulse: float | None = None,
    seconds: float = 0.0,
) -> Generator[Tick, None, None]:
    """Train `net` on `data` to the end of the recipe's budget, yielding a Tick at each beat.

    beats: steps at which to stop and look; the first step (0, or where `state` stands) and the last always
    are. Beats never change the weights. state: the `state()` of a session to go on from, with its weights in
    `net`. pulse: yield also between beats about every so many seconds. seconds: training time that went before.
    At each tick `tick.net` is `net` itself with the weights of that moment; after the loop `net` has those of the
    last tick, whether they were looked at or not.

    Raises RunError when a loss is not finite or explodes, naming step and layer; EngineError if the recipe's
    engine cannot run it.
    """
    recipe = engines.settled(recipe)
    name, _ = engines.choose(recipe)
    total = recipe.total_steps(data.samples)
    session = engines.engine(name).prepare(net, data, recipe, total)
    tick = None
    try:
        if state is not None:
            session.load(net, state)
        start = session.plan.seen(session.step)
        tick = Tick(session, net, total, seconds, float("nan"), True, 0)
        yield tick
        for beat in sorted({total} | {b for b in beats if session.step < b < total}):
            guess = 1
            while session.step < beat:
                count = beat - session.step if pulse is None else min(guess, beat - session.step)
                started = time.perf_counter()
                losses = session.advance(count)
                spent = time.perf_counter() - started
                seconds += spent
                _check(losses, session, net, recipe)
                if pulse is not None:
                    guess = max(1, min(4 * guess, int(guess * pulse / max(spent, 1e-9) * count / guess)))
                seen = session.plan.seen(session.step) - start
                tick = Tick(session, net, total, seconds, float(losses.mean()), session.step == beat, seen)
                yield tick
    finally:
        # Whoever stops here, at the end or before, finds `net` as it was at the last tick; a session that is
        # closed has nothing left to pull.
        if tick is not None:
            _ = tick.net
        session.close()


def _check(losses: npt.NDArray[np.float32], session: Session, net: Net, recipe: Recipe) -> None:
    bad = ~(np.isfinite(losses) & (losses < EXPLODED))
    if not bad.any():
        return
    step = session.step - len(losses) + int(bad.argmax()) + 1
    session.pull(net)
    broken = [n for n, p in net.named_parameters() if not torch.isfinite(p).all()]
    largest = max(
        net.named_parameters(), key=lambda item: float(item[1].detach().abs().max().nan_to_num(nan=0.0))
    )[0]
    where = f"{broken[0]} is no longer finite" if broken else f"the largest weights are in {largest}"
    raise RunError(
        f"diverged at step {step}: the loss is {losses[bad.argmax()]:.3g}, {where}\n"
        f"hint: try --rate {recipe.rate / 3:.2g} or --set clip=1"
    )
