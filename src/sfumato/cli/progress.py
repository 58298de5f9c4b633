"""What a run says while it goes: a live line in a terminal, plain lines in a pipe, JSON Lines for programs.

Progress goes to stderr, results to stdout. Nothing here writes ANSI colours; only the live line uses a carriage
return, and only in a terminal.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from ..errors import RunError
from ..words import COUNTED, duration, metric_name, metric_text, printable, si

if TYPE_CHECKING:
    from ..runs import RunDirectory

__all__ = ["JsonLines", "Lines", "Live", "Quiet", "Waiting", "is_live"]

Clock = Callable[[], float]

LASTING = ("step", "score", "speed", "left")
"""Parts of the live line that a narrow terminal keeps longest; the time left to the end."""


class Lines:
    """Plain lines, at most one every `period` seconds: for pipes and logs."""

    period = 10.0

    def __init__(self, stream: IO[str] | None = None, clock: Clock = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._shown = -math.inf
        self._pace = _Pace()
        self._unit = "samples"
        self._line: Mapping[str, Any] = {}
        self._finishing: Waiting | None = None

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        if self._finishing is not None:
            self._finishing.stop()
            self._finishing = None
        if event in ("progress", "beat"):
            self._pace.add(facts["tick"], facts["training"], facts["wall"])
            self._line = facts["line"] or self._line
            now = self._clock()
            if now - self._shown >= self.period:
                self._shown = now
                self.show(self._status(facts))
        elif event == "start":
            self._pace = _Pace(facts["looks"])
            self._unit = "px" if "picture" in facts["data"].facts else "samples"
            for text in _opening(facts):
                self.write(text)
        elif event == "note":
            self.write(str(facts["text"]))
        elif event == "finishing":
            self._finishing = Waiting("painting and film", self._stream)
            self._finishing.__enter__()
        elif event == "done":
            for text in _closing(facts):
                self.write(text)

    def show(self, parts: Mapping[str, str]) -> None:
        """Show the state of the run."""
        self.write("  ".join(parts.values()))

    def write(self, text: str) -> None:
        """Write a line that stays."""
        _put(self._stream, "\n".join(map(printable, text.split("\n"))) + "\n")

    def _status(self, facts: Mapping[str, Any]) -> dict[str, str]:
        tick, line = facts["tick"], self._line
        parts = {"step": f"step {si(tick.step)}/{si(tick.total_steps)}"}
        if not math.isnan(tick.loss):
            parts["loss"] = f"loss {tick.loss:.5f}"
        if "psnr" in line:
            parts["score"] = f"PSNR {metric_text('psnr', line['psnr'])}"
        for name, value in line.items():
            if value is not None and (name == "psnr_hidden" or name.endswith("_error")):
                parts[name if "score" in parts else "score"] = (
                    f"{metric_name(name)} {metric_text(name, value)}"
                )
        parts["speed"] = f"{si(self._pace.speed)} {self._unit}/s"
        parts["viewer"] = f"viewer {viewer_share(facts):.0%}"
        if tick.step:
            parts["left"] = f"ETA {duration(self._pace.left(tick))}"
        return parts


class Live(Lines):
    """One line that is rewritten four times a second: for terminals."""

    period = 0.25

    def show(self, parts: Mapping[str, str]) -> None:
        width, kept = shutil.get_terminal_size().columns - 1, dict(parts)
        for name in ("viewer", "loss", *(n for n in parts if n not in LASTING), "speed", "step", "score"):
            if len("  ".join(kept.values())) <= width:
                break
            kept.pop(name, None)
        _put(self._stream, "\r\x1b[K" + printable("  ".join(kept.values()))[:width])

    def write(self, text: str) -> None:
        _put(self._stream, "\r\x1b[K" + "\n".join(map(printable, text.split("\n"))) + "\n")


class Quiet(Lines):
    """Nothing but what `write` is given directly."""

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        return


class JsonLines:
    """One JSON object a line on stdout, version 1: start, note, progress (at most 2 Hz), frame, done, error."""

    def __init__(self, stream: IO[str] | None = None, clock: Clock = time.monotonic) -> None:
        self._stream = stream or sys.stdout
        self._clock = clock
        self._shown = -math.inf

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        if event == "start":
            run = facts["run"]
            self.write(
                "start",
                run=str(run.folder),
                recipe=json.loads(run.recipe.to_json()),
                engine=run.origin.get("engine"),
                parameters=run.origin.get("parameters"),
                samples=facts["data"].samples,
                total_steps=facts["total_steps"],
            )
        elif event == "note":
            self.write("note", text=str(facts["text"]))
        elif event == "beat":
            self.write("frame", **{k: v for k, v in facts["line"].items() if k != "v"})
        elif event == "progress":
            now, tick = self._clock(), facts["tick"]
            if now - self._shown >= 0.5:
                self._shown = now
                loss = None if math.isnan(tick.loss) else tick.loss
                self.write(
                    "progress", step=tick.step, total_steps=tick.total_steps, seconds=tick.seconds, loss=loss
                )
        elif event == "done":
            line = facts["line"]
            self.write(
                "done",
                run=str(facts["run"].folder),
                step=facts["tick"].step,
                total_steps=facts["tick"].total_steps,
                stopped_by=facts["run"].stopped_by,
                reached=facts["reached"],
                target=facts["run"].verdict or None,
                seconds={k: round(facts[k], 4) for k in ("wall", "training", "watching", "finishing")},
                scores={k: v for k, v in line.items() if k not in COUNTED},
            )

    def write(self, event: str, **facts: Any) -> None:
        """Write one event."""
        _put(self._stream, json.dumps({"v": 1, "event": event, **facts}) + "\n")


class _Pace:
    """How fast it goes: samples a second of training over its last minute, and what a look costs beside it."""

    def __init__(self, looks: Iterable[int] = ()) -> None:
        self._looks = sorted(set(looks))
        self._marks: list[tuple[float, int]] = []
        self._cost = 0.0
        self._first: int | None = None

    def add(self, tick: Any, training: float, wall: float) -> None:
        """training, wall: seconds of this process so far; what is not training was spent on looks."""
        self._first = tick.step if self._first is None else self._first
        self._marks.append((training, tick.samples))
        while len(self._marks) > 2 and training - self._marks[1][0] > 60:
            self._marks.pop(0)
        taken = sum(self._first <= step <= tick.step for step in self._looks)
        self._cost = max(0.0, wall - training) / max(1, taken)

    @property
    def speed(self) -> float:
        """Samples a second; 0 before it is known."""
        (start, a), (end, b) = self._marks[0], self._marks[-1]
        return (b - a) / (end - start) if end > start else 0.0

    def left(self, tick: Any) -> float:
        """Seconds to the end of the budget, looks included; nan before it is known."""
        if not self.speed:
            return math.nan
        plan = tick.session.plan
        looks = sum(tick.step < step <= tick.total_steps for step in self._looks)
        return float((plan.seen(tick.total_steps) - plan.seen(tick.step)) / self.speed + looks * self._cost)


def _put(stream: IO[str], text: str) -> None:
    """Write and flush; one that takes nothing more (its reader has gone, its disk is full) ends no training."""
    with suppress(OSError):
        stream.write(text)
        stream.flush()


def viewer_share(facts: Mapping[str, Any]) -> float:
    """Share of the wall time that went into looking: frames, metrics, checkpoints."""
    wall = facts["wall"]
    return max(0.0, 1 - facts["training"] / wall) if wall > 0 else 0.0


def _opening(facts: Mapping[str, Any]) -> list[str]:
    from .. import tasks
    from ..recipe import difference, net_text

    run, data = facts["run"], facts["data"]
    parameters = run.origin.get("parameters", 0)
    engine, threads = run.origin.get("engine", "?"), run.origin.get("threads", "?")
    changed = difference(tasks.task(run.recipe.task).RECIPE, run.recipe)
    listed = "  ".join(f"{k}={net_text(b) if k == 'net' else b}" for k, (_, b) in changed.items())
    shape = (
        "x".join(map(str, reversed(data.facts["picture"].values.shape[:2])))
        if "picture" in data.facts
        else ""
    )
    what = f"{shape} = {data.samples:,} pixels" if shape else f"{data.samples:,} samples"
    return [
        *_sentence(facts),
        f"recipe  {listed or 'the default'}",
        f"net     {net_text(run.recipe.net)} {run.recipe.activation}, {parameters:,} parameters; {what}",
        f"engine  {engine}, {threads} threads, seed {run.recipe.seed}, {si(facts['total_steps'])} steps",
        f"run     {run.folder}",
    ]


def _symptoms(run: RunDirectory) -> list[str]:
    """What went wrong with a training, and what to try; nothing where all is well."""
    from ..views.symptoms import symptoms

    try:
        found = symptoms(run)
    except RunError:  # a run without a picture or a net: nothing can be said
        return []
    return [line for one in found for line in (f"note    {one.text}", f"        try: {one.advice}")]


def _sentence(facts: Mapping[str, Any]) -> list[str]:
    """What is going on, in a sentence; none for tasks that are no pictures."""
    run, data = facts["run"], facts["data"]
    if "picture" not in data.facts or not run.recipe.net:
        return []
    shape = data.facts["picture"].values.shape
    return [
        f"A network of {sum(run.recipe.net):,} neurons learns the {shape[1]}x{shape[0]} picture"
        f" {data.facts['picture'].name!r}: told a place (x, y), it is to say the colour there."
    ]


def _closing(facts: Mapping[str, Any]) -> list[str]:
    run, line, tick = facts["run"], facts["line"], facts["tick"]
    where = shlex.quote(str(run.folder))
    if run.stopped_by:
        return [
            f"stopped at step {tick.step} of {tick.total_steps}, all saved",
            f"go on: sfumato resume {where}",
        ]
    file = "painting.png --size 4x" if run.recipe.task == "picture" else "report.html"
    scores = [f"{metric_name(k)} {metric_text(k, v)}" for k, v in line.items() if k not in COUNTED]
    wall, training, watching = facts["wall"], facts["training"], facts["watching"]
    other = max(0.0, wall - training - watching - facts["finishing"])
    return [
        ", ".join(scores),
        *([run.verdict] if run.verdict else []),
        *_symptoms(run),
        f"time    {wall:.1f} s = training {training:.1f} + frames and metrics {watching:.1f}"
        f" + painting and film {facts['finishing']:.1f} + weights and checkpoints {other:.1f}",
        f"see     {run.folder / 'painting.png'}",
        f"next    sfumato atlas {where}",
        f"        sfumato export {where} {file}",
    ]


class Waiting:
    """Says all the while that work goes on: `with Waiting("atlas") as tell: tell("layer 2 of 4")`.

    In a terminal one line is rewritten twice a second and gone at the end; elsewhere one comes every ten seconds.
    A thread of its own does it, so that no long call (an import, a picture written) is silent.
    """

    def __init__(
        self, what: str, stream: IO[str] | None = None, *, live: bool | None = None, quiet: bool = False
    ) -> None:
        """live: whether `stream` (stderr) rewrites its line; asked of it if None. quiet: say nothing."""
        self._what, self._text = what, ""
        self._stream = stream or sys.stderr
        self._live = is_live(self._stream) if live is None else live
        self._over = threading.Event()
        self._since = time.monotonic()
        self._thread = None if quiet else threading.Thread(target=self._say, daemon=True)

    def __enter__(self) -> Waiting:
        if self._thread is not None:
            if self._live:
                self._show()
            self._thread.start()
        return self

    def __call__(self, text: str) -> None:
        """What is being done now, in a few words."""
        self._text = text

    def stop(self) -> None:
        """Say no more, and leave no half line; the second time nothing happens."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _say(self) -> None:
        while not self._over.wait(0.5 if self._live else Lines.period):
            self._show()

    def _show(self) -> None:
        spent = time.monotonic() - self._since
        parts = [self._what, self._text, duration(spent) if spent >= 1 else ""]
        text = "  ".join(filter(None, parts))
        if self._live:
            text = "\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1]
        with contextlib.suppress(OSError, ValueError):  # nobody listens any more
            print(text, end="" if self._live else "\n", file=self._stream, flush=True)


def is_live(stream: IO[str]) -> bool:
    """Whether a line of `stream` can be rewritten: a terminal that knows how."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
