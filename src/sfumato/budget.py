"""A budget in seconds: how many steps, frames and kept weights fit into it on this machine at this moment.

    planned = plan(recipe, begin, data, net, task, Watch(), seconds=90, since=time.perf_counter())
    planned.recipe.steps, planned.watch, planned.text     # "budget 90 s: 61 epochs at 88 thousand samples/s"

The speed is measured on a copy of the net, by steps that are no part of the training: the result is a function of
the stored recipe, which holds the steps that were planned. If the machine becomes slower or faster in the middle,
`Pace` plans the rest of the schedule anew, so that the net still ends annealed and in time, and what was planned is
stored in the recipe too.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import re
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from . import picture
from .errors import RecipeError
from .learning.session import Session, Tick
from .recipe import Recipe
from .runs.watch import Watch
from .tasks import Task
from .words import epochs_text

__all__ = ["Pace", "Planned", "parse", "plan", "refuse_two"]

WARM, PROBE = 0.3, 1.0
"""Seconds of steps that are not counted (compiling, first touch, page faults), and of those that are measured."""

WATCHING = 0.05
"""Largest share of the budget that goes into frames and their scores."""

FEWEST = 8
"""Frames of a budget that pays for so many at twice that share; a film of fewer shows nothing."""

FILM = 0.006
"""Seconds that a frame of 128,700 pixels takes in the film at the end."""

SEEN = 0.02
"""Share of the budget that must have been trained before its speed counts: a first step alone may take ten times as
long, and a run of 8 seconds was once cut from 329 steps to 2 after it."""

SLACK = 0.05
"""A run is planned anew when it would end later or earlier than its budget by this share of it."""


@dataclass(frozen=True)
class Planned:
    """What fits into a budget.

    recipe: its steps planned. watch: with as many frames as fit. text: said when the run starts. reserve: seconds
    kept back for what comes after training. frame: seconds that a frame takes.
    """

    recipe: Recipe
    watch: Watch
    text: str
    reserve: float
    frame: float


def parse(text: str | float) -> float:
    """Seconds of `90s`, `2m`, `1.5h` or a plain number; RecipeError for anything else, 0 or more than a year."""
    match = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})\s*(s|sec|m|min|h)?\s*", str(text).lower())
    seconds = float(match[1]) * {"m": 60, "min": 60, "h": 3600}.get(match[2], 1) if match else 0.0
    if not 0 < seconds <= 366 * 86400:
        raise RecipeError(f"budget={text!r} is no time\nhint: 90s, 2m or 1h; at most a year")
    return seconds


def refuse_two(fields: Mapping[str, Any]) -> None:
    """RecipeError where epochs or steps stand among the fields given beside a budget."""
    for name in ("epochs", "steps"):
        if name in fields:
            raise RecipeError(
                f"budget and {name} exclude one another: the budget decides the steps\nhint: one of them"
            )


def plan(
    recipe: Recipe,
    begin: Callable[[Any], Session],
    data: Any,
    net: Any,
    task: Task,
    watch: Watch,
    *,
    seconds: float,
    since: float,
) -> Planned:
    """Measure this machine for about a second and plan a run that ends `seconds` after the moment `since`.

    begin: a session for a copy of the net, of a budget far away. since: of `time.perf_counter`. Frames that the
    caller asked for are kept and paid for; the default number is lowered where they would take more than WATCHING.
    Raises RecipeError where less than an epoch would fit, with what would.
    """
    probe = begin(copy.deepcopy(net))
    try:
        per_step = _seconds_per_step(probe, min(PROBE, 0.03 * seconds))
        position = probe.plan
        per_epoch = max(1.0, position.samples / max(1, position.seen(1)))
    finally:
        probe.close()
    frame, pixels = _frame_cost(task, net, data)
    usual = watch.frames == Watch().frames
    count = int(watch.frames) if watch.frames.isdigit() else 48
    if usual:
        fitting = int(WATCHING * seconds / frame)
        count = max(2, min(count, max(fitting, min(FEWEST, 2 * fitting))))
        watch = dataclasses.replace(watch, frames=str(count), keep=str(min(int(watch.keep), count)))
    reserve = 0.4 + 2 * frame + (count * FILM * pixels / 128_700 if watch.film != "none" else 0.0)
    left = seconds - (time.perf_counter() - since) - count * frame - reserve
    steps = math.floor(left / per_step)
    if steps < per_epoch:
        needed = math.ceil(5 * (seconds - left + per_epoch * per_step))
        fits = max(0, steps)
        raise RecipeError(
            f"budget {_said(seconds)} is too short here: {fits} steps = {fits / per_epoch:.2g} epochs would fit\n"
            f"hint: --budget {needed}s gives a few epochs; or a smaller picture or net"
        )
    speed = position.seen(1) / per_step
    unit = "thousand " if speed >= 1e4 else ""
    rate = f"{speed / (1e3 if unit else 1):.0f} {unit}samples/s"
    text = f"budget {_said(seconds)}: {epochs_text(steps / per_epoch)} epochs at {rate}, {count} frames"
    return Planned(recipe.replace(steps=steps), watch, text, reserve, frame)


class Pace:
    """Keeps a run to its budget: plans the rest of the schedule anew if the machine becomes slower or faster.

    deadline: of `time.perf_counter`, when training must be over.
    """

    def __init__(self, seconds: float, deadline: float, frame: float) -> None:
        """frame: seconds that a frame takes, before any of this run has been seen."""
        self._seconds, self._deadline, self._frame = seconds, deadline, frame
        self._next = time.perf_counter() + 0.1 * seconds
        self._first: tuple[float, float, int] | None = (
            None  # when, training seconds and step of the first tick
        )
        self._marks: deque[tuple[float, int]] = deque(maxlen=2)

    def steps(self, tick: Tick, frames: Collection[int]) -> int | None:
        """The number of steps in which the run should end, if that is not the planned one any more; else None.

        frames: the steps of all frames. Looked at every tenth of the budget, by the training speed of the last
        two tenths, so that a short stall changes nothing and a lasting one does. What was not training since the
        first tick went into frames; half of the time that is left is for training, whatever they cost.
        """
        now = time.perf_counter()
        if self._first is None:
            self._first = (now, tick.seconds, tick.step)
            self._marks.append((tick.seconds, tick.step))
        if now < self._next or tick.last:
            return None
        spent, steps = tick.seconds - self._marks[0][0], tick.step - self._marks[0][1]
        if steps < 1 or spent < SEEN * self._seconds:
            return None
        self._next = now + 0.1 * self._seconds
        self._marks.append((tick.seconds, tick.step))
        began, before, first = self._first
        ahead = sum(step > tick.step for step in frames)
        seen = sum(first < step <= tick.step for step in frames)
        frame = (now - began - (tick.seconds - before)) / seen if seen else self._frame
        left = max(self._deadline - now - frame * ahead, (self._deadline - now) / 2)
        to_do = tick.total_steps - tick.step
        if abs(spent / steps * to_do - left) <= SLACK * self._seconds:
            return None
        affordable = max(1, int(left * steps / spent))
        return tick.step + affordable if affordable != to_do else None


def _said(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 600 else f"{seconds / 60:g} min"


def _seconds_per_step(session: Session, at_least: float) -> float:
    count, started = 1, time.perf_counter()
    while time.perf_counter() - started < min(WARM, at_least):
        session.advance(count)
        count = min(2 * count, 64)
    done, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < at_least:
        session.advance(count)
        done += count
    return spent / done


def _frame_cost(task: Task, net: Any, data: Any) -> tuple[float, int]:
    """Seconds of one frame with its scores, the quicker of two; and its pixels."""
    costs = []
    for _ in range(2):
        started = time.perf_counter()
        drawn = task.draw(net, data)
        task.score(net, data, drawn)
        picture.encode(picture.flatten(drawn), "jpeg", quality=90)
        costs.append(time.perf_counter() - started)
    return min(costs), drawn.width * drawn.height
