"""A run that is ready to go, followed to its end: the loop that drives its session, and those who look at ticks.

`experiment` makes ready: `perform`, `resume` and `fork` differ in how a run begins, and what follows is the same.
"""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec

from . import picture, tasks
from .budget import Pace
from .learning.averaging import Averaged
from .learning.loop import drive
from .learning.plan import Plan
from .learning.session import Session, Tick
from .runs import RunDirectory
from .runs.stopping import signals
from .runs.watch import Looks, Until
from .runs.watchers import Checkpoints, Frames, Weights
from .training import advice

__all__ = ["Ready", "Say", "followed"]

Say = Callable[[str, Mapping[str, Any]], None]
"""Receives what happens: ("start" | "note" | "doing" | "progress" | "beat" | "done", facts)."""

Given = ParamSpec("Given")


@dataclass
class Ready:
    """A run whose lock is held, its session where the run stands, and who looks.

    facts: what a checkpoint says beside the weights; empty at the start.
    """

    run: RunDirectory
    data: Any
    net: Any
    session: Session
    facts: Mapping[str, Any]
    looks: Looks
    until: Until | None
    watchers: Sequence[Callable[[Tick], None]]
    say: Say
    pace: Pace | None = None
    draft: bool = False


def followed(begin: Callable[Given, Iterator[Ready]]) -> Callable[Given, RunDirectory]:
    """What `begin` makes ready and yields, driven to the end of its budget, while everyone looks at each tick.

    A decorator, so that the loop, which goes on for minutes, does not stand on calls that have done their work.
    """

    @wraps(begin)
    def follow(*args: Given.args, **kwargs: Given.kwargs) -> RunDirectory:
        with contextmanager(begin)(*args, **kwargs) as ready:
            run, session, facts, looks = ready.run, ready.session, ready.facts, ready.looks
            until, pace, say, total = ready.until, ready.pace, ready.say, session.plan.total_steps
            average = session.average if isinstance(session, Averaged) else None
            frames = Frames(run, tasks.task(run.recipe.task), ready.data, looks.frames, facts, average)
            checkpoints = Checkpoints(run, run.watch.checkpoint, frames, at_end=not ready.draft)
            own: list[Callable[[Tick], None]] = [frames, Weights(run, looks.weights), checkpoints]
            begins = {"run": run, "net": ready.net, "data": ready.data, "total_steps": total}
            say("start", {**begins, "looks": looks.all})

            started, watched, before = time.perf_counter(), frames.seconds, float(facts.get("seconds", 0.0))
            looked = bool(facts.get("looked", facts))  # a run that goes on has looked at its first tick
            reached = until is None
            ticks = drive(session, ready.net, looks.all, pulse=0.2, seconds=before, hint=advice(run.recipe))
            with _goes_on(run, say), closing(ticks), signals() as stop:
                for tick in ticks:
                    if not looked:
                        for watcher in (*own, *ready.watchers):
                            watcher(tick)
                    looked = False
                    spent = {"wall": time.perf_counter() - started, "training": tick.seconds - before}
                    event = "beat" if frames.line.get("step") == tick.step else "progress"
                    say(event, {"tick": tick, "line": frames.line, **spent})
                    if pace is not None and (steps := pace.steps(tick, looks.frames)):
                        _plan_anew(ready, steps)
                    if until is not None and until.reached(tick, frames.line):
                        reached = True
                    if stop.signal or (until is not None and reached):
                        checkpoints.save(tick)
                        break
            run.stopped_by = stop.signal
            finishing = 0.0 if run.stopped_by else _finish(ready, tick, frames)
            run.reached = reached
            run.verdict = "" if until is None or run.stopped_by else until.verdict(run.last, reached)
            spent = {"wall": time.perf_counter() - started, "training": tick.seconds - before}
            spent |= {"watching": frames.seconds - watched, "finishing": finishing}
            say("done", {"run": run, "tick": tick, "line": run.last, "reached": reached, **spent})
            return run

    return follow


def _plan_anew(ready: Ready, total: int) -> None:
    """End the run in another number of steps, and put that down in its recipe before another step is done."""
    run, session, plan = ready.run, ready.session, ready.session.plan
    if not isinstance(plan, Plan):
        return
    change = "faster" if total > plan.total_steps else "slower"
    text = f"training has become {change}: {total:,} steps in all instead of {plan.total_steps:,}"
    run.change_recipe(
        run.recipe.replace(cuts=",".join(filter(None, [run.recipe.cuts, f"{session.step}:{total}"])))
    )
    plan.cut(session.step, total)
    ready.looks.move()
    ready.say("note", {"text": f"{text}, the rate falls to its end in them"})


def _finish(ready: Ready, tick: Tick, frames: Frames) -> float:
    """The last frame and the derived files, painting and film. Returns the seconds that the files took."""
    run, say = ready.run, ready.say
    if run.last.get("step") != tick.step:
        frames.write(tick)
    clock = time.perf_counter()
    with signals(at_once=True) as stop:
        try:
            say("doing", {"text": "painting and film"})
            painting = tasks.task(run.recipe.task).draw(tick.net, ready.data)
            run.save("painting.png", picture.encode(painting, "png"))
            if not ready.draft:
                run.settle()
            if run.watch.film != "none":
                from .views import film

                made = film.film(run, run.watch.film, captions=run.watch.captions)
                say("note", {"text": f"film: {made.name}"})
        except KeyboardInterrupt:  # nothing is lost: resuming makes painting and film
            run.stopped_by = stop.signal or signal.SIGINT
    return time.perf_counter() - clock


@contextmanager
def _goes_on(run: RunDirectory, say: Say) -> Iterator[None]:
    """Say how a run that a second Ctrl-C stopped in the middle of a step goes on from what was saved before."""
    try:
        yield
    except KeyboardInterrupt:
        say("note", {"text": f"stopped at once\ngo on: sfumato resume {shlex.quote(str(run.folder))}"})
        raise
