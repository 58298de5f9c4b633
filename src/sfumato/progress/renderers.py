"""What a run says while it goes: a live line in a terminal or a notebook, plain lines in a pipe, JSON Lines for
programs. Progress goes to stderr, results to stdout.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from ..words import COUNTED, duration, metric_name, metric_text, printable, si
from .now import FIRST, PERIOD, Clock, Now, is_live, put
from .pace import Pace, viewer_share
from .sentences import closing, opening

__all__ = ["JsonLines", "Lines", "Live", "Notebook", "Quiet", "renderer"]

LASTING = ("step", "score", "speed", "left")
"""Parts of the live line that a narrow terminal keeps longest; the time left to the end."""


class Lines:
    """Plain lines for pipes and logs: one every two seconds."""

    live, first, period = False, FIRST, PERIOD - 0.3  # sooner than `Now` would repeat the last one

    def __init__(
        self, stream: IO[str] | None = None, clock: Clock = time.monotonic, *, python: bool = False
    ) -> None:
        """python: what may be done next is said in Python, not in commands."""
        self._stream = stream or sys.stderr
        self._clock = clock
        self._python = python
        self._shown = -math.inf
        self._pace = Pace()
        self._unit = "samples"
        self._line: Mapping[str, Any] = {}
        self._now = Now(self._stream, live=self.live)

    @contextmanager
    def telling(self) -> Iterator[Lines]:
        """All that is said of one run, from its start (importing PyTorch takes seconds) to its end or its error."""
        self._now.set("starting")
        self._now.start()
        try:
            yield self
        finally:
            self._now.stop()

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        if event in ("progress", "beat"):
            self._pace.add(facts["tick"], facts["training"], facts["wall"])
            self._line = facts["line"] or self._line
            now = self._clock()
            if now - self._shown >= self.period:
                self._shown = now
                self.show(self._status(facts))
        elif event == "start":
            self._shown = self._clock() - self.period + self.first
            self._pace = Pace(facts["looks"])
            self._unit = "px" if "picture" in facts["data"].facts else "samples"
            for text in opening(facts):
                self.write(text)
            self._now.set("the first step")
        elif event == "note":
            self.write(str(facts["text"]))
        elif event == "doing":
            self._now.set(str(facts["text"]))
        elif event == "done":
            lines = closing(facts, python=self._python)  # asks what went wrong, which may take seconds
            self._now.set("")
            for text in lines:
                self.write(text)

    def show(self, parts: Mapping[str, str]) -> None:
        """Show the state of the run."""
        text = printable("  ".join(parts.values()))
        self._now.set(text)
        self._now.write(text)

    def write(self, text: str) -> None:
        """Write a line that stays."""
        self._now.write("\n".join(map(printable, text.split("\n"))))

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
        if self._pace.speed:
            parts["speed"] = f"{si(self._pace.speed)} {self._unit}/s"
            parts["viewer"] = f"viewer {viewer_share(facts):.0%}"
            parts["left"] = f"ETA {duration(self._pace.left(tick))}"
        return parts


class Live(Lines):
    """One line that is rewritten four times a second: for terminals."""

    live, first, period = True, 0.0, 0.25

    def show(self, parts: Mapping[str, str]) -> None:
        width, kept = shutil.get_terminal_size().columns - 1, dict(parts)
        for name in ("viewer", "loss", *(n for n in parts if n not in LASTING), "speed", "step", "score"):
            if len("  ".join(kept.values())) <= width:
                break
            kept.pop(name, None)
        self._now.set("  ".join(kept.values()))


class Notebook(Lines):
    """One output of a notebook's cell, rewritten twice a second; a run that is returned shows itself below."""

    first, period = 0.0, 0.5

    def __init__(self) -> None:
        super().__init__(python=True)
        from IPython.display import display

        self._written: list[str] = []
        self._output = display({"text/plain": "starting"}, raw=True, display_id=True)

    @contextmanager
    def telling(self) -> Iterator[Lines]:
        yield self

    def show(self, parts: Mapping[str, str]) -> None:
        self._put("  ".join(parts.values()))

    def write(self, text: str) -> None:
        self._written.append(text)
        self._put()

    def _put(self, now: str = "") -> None:
        lines = "\n".join(filter(None, [*self._written, now])).split("\n")
        self._output.update({"text/plain": "\n".join(map(printable, lines))}, raw=True)


class Quiet(Lines):
    """Nothing but what `write` is given directly."""

    @contextmanager
    def telling(self) -> Iterator[Lines]:
        yield self

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        return


class JsonLines:
    """One JSON object a line on stdout, version 1: start, note, progress (at most 2 Hz), frame, done, error."""

    def __init__(self, stream: IO[str] | None = None, clock: Clock = time.monotonic) -> None:
        self._stream = stream or sys.stdout
        self._clock = clock
        self._shown = -math.inf

    @contextmanager
    def telling(self) -> Iterator[JsonLines]:
        """As `Lines.telling`; a program is told nothing before the start."""
        yield self

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
        put(self._stream, json.dumps({"v": 1, "event": event, **facts}) + "\n")


def renderer(*, python: bool = False) -> Lines:
    """The one for where stderr leads, or for the notebook whose cell is run. python: as in `Lines`."""
    if python and "ipykernel" in sys.modules:
        return Notebook()
    return (Live if is_live(sys.stderr) else Lines)(python=python)
