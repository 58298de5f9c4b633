"""The loop: drive a session from beat to beat, and yield a tick at each.

Knows the protocol `Session` alone: neither recipes nor engines nor that targets are colours.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Generator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..errors import Diverged
from .session import Session, Tick

__all__ = ["drive"]

EXPLODED = 1e6
"""A minibatch loss above this is as lost as one that is not finite: targets lie in [0, 1]."""


def drive(
    session: Session,
    net: Any,
    beats: Collection[int] = (),
    *,
    pulse: float | None = None,
    seconds: float = 0.0,
    hint: str = "a smaller rate",
) -> Generator[Tick, None, None]:
    """Train to the end of the session's budget, yielding a Tick at each beat; the clock runs only in between.

    net: the module that ticks show, of the session's own shape. beats: steps at which to stop and look; the step
    where the session stands and the last always are. Beats never change the weights, and may change between two
    ticks, as the budget may. pulse: yield also between
    beats about every so many seconds. seconds: training time that went before. hint: printed where training
    diverges. At each tick `tick.net` is `net` itself with the weights of that moment; after the loop `net` has
    those of the last tick, whether they were looked at or not, and the session is closed.

    Raises Diverged (a RunError) when a loss is not finite or explodes, naming step and layer.
    """
    tick, wall, used = None, 0.0, 0.0
    try:
        start = session.plan.seen(session.step)
        tick = Tick(session, net, seconds, np.empty(0, np.float32), True, 0)
        yield tick
        guess = 1
        while session.step < session.plan.total_steps:
            beat = min([session.plan.total_steps, *(step for step in beats if step > session.step)])
            count = beat - session.step if pulse is None else min(guess, beat - session.step)
            if tick.at_most is not None:
                count = max(1, min(count, tick.at_most))
            tick.end()
            started, before = time.perf_counter(), time.process_time()
            losses = session.advance(count)
            spent = time.perf_counter() - started
            seconds, wall, used = seconds + spent, wall + spent, used + time.process_time() - before
            _check(losses, session, net, hint)
            if pulse is not None:
                guess = max(1, min(4 * guess, int(count * pulse / max(spent, 1e-9))))
            seen = session.plan.seen(session.step) - start
            cores = used / max(wall, 1e-9)
            tick = Tick(session, net, seconds, losses, session.step == beat, seen, cores)
            yield tick
    finally:
        # Whoever stops here, at the end or before, finds `net` as it was at the last tick; a session that is
        # closed has nothing left to pull. After a divergence there is no such tick.
        if tick is not None and tick.step == session.step:
            _ = tick.net
        session.close()


def _check(losses: npt.NDArray[np.float32], session: Session, net: Any, hint: str) -> None:
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
    raise Diverged(f"diverged at step {step}: the loss is {losses[bad.argmax()]:.3g}, {where}\nhint: {hint}")
