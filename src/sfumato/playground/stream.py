"""The watcher that a page looks through: one more callable that gets every tick of the ordinary loop.

At a tick it reads what the page asks for, sends news, and, as far as the governor allows, a painting or a
wall of neurons. Pausing is not asking for the next tick: while the page says pause, the call simply does not
return. Nothing here changes a weight; `tick.at_most` only says how soon the next tick should come.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np

from ..nets import encodings
from ..neurons.flat import flat_shares
from ..neurons.previews import is_rectifier
from ..recipe import pick
from . import looks
from .governor import Governor
from .stories import about

if TYPE_CHECKING:
    from ..data import Data
    from ..learning.session import Tick
    from ..runs import RunDirectory

__all__ = ["LOOK_SECONDS", "SHARE", "SPEEDS", "Stream"]

SHARE = 0.024
"""Of the wall time, for looking while training goes on: a browser on the same machine takes twice as much again,
and when one of two threads waits for it, so does the other."""

LOOK_SECONDS = 0.012
"""A painting in between may take about this long; its stride over the pixels follows from what the last one took.
With 10 ms for the walls of 1,200 neurons and SHARE, both come round within a second."""

SPEEDS = {1: 1.0, 2: 8.0, 3: 60.0, 4: 400.0, 5: math.inf}
"""Steps a second at most, at each speed of the page."""

NEWS_SECONDS = 0.5
"""News is sent at most so often: nobody reads numbers faster, and each costs a browser a layout and a frame."""

ALONE_SECONDS = 1.2
"""While a page looks, news waits so long for the next pictures, to share a frame of the browser with them."""

PACE_SECONDS = 0.25
"""At a limited speed, steps come in bursts of so long."""

CHECK_SECONDS = 4.0
"""How often all layers are looked at, on a few hundred pixels, for units that no longer learn."""


class Stream:
    """Watcher and `say` of one run. pipe: to the server. paused: whether to wait at the first tick.

    `after` holds the command that ended the run if it asks for something new; `gone` is True once the server has
    left.
    """

    def __init__(
        self, pipe: Connection, *, paused: bool, looking: bool, layers: list[int], speed: int
    ) -> None:
        self.paused, self.looking, self.layers, self.speed = paused, looking, layers, speed
        self.after: dict[str, Any] | None = None
        self.gone = False
        self._pipe = pipe
        self._leaving = False
        self._until = -1
        self._governor = Governor(SHARE)
        self._pixel_seconds = 0.0
        self._shown = -1
        self._told = self._checked = -math.inf
        self._before: tuple[float, int, int] | None = None
        self._rates = (0.0, 0.0)
        self._run: RunDirectory | None = None
        self._data: Data | None = None
        self._tick: Tick | None = None
        self._reported: Tick | None = None

    # What the loop says -----------------------------------------------------------------------------------------

    def say(self, event: str, facts: Mapping[str, Any]) -> None:
        """The reports of `experiment`, passed on."""
        if event == "start":
            self._run, self._data = facts["run"], facts["data"]
            self._send("run", about(facts["run"], facts["total_steps"]))
            if not self.paused:
                self._status()
        elif event == "note":
            self._send("note", {"text": str(facts["text"])})
        elif event == "beat":
            self._send("beat", {"line": facts["line"]})
            self._frame(facts["line"])

    def __call__(self, tick: Tick) -> None:
        """Everything that a page gets, and gets to say, at one tick."""
        self._tick = tick
        self._listen(0)
        if 0 <= self._until <= tick.step:
            self._until, self.paused = -1, True
        waits = self.paused or tick.last
        looks_now = not waits and self.looking and self._governor.open and not self._leaving
        self._news(tick, NEWS_SECONDS if looks_now or not self.looking else ALONE_SECONDS)
        if looks_now:
            self._look(tick)
        while not self._leaving:
            if waits:
                self._wait(tick)
                if tick.last:
                    return
            self._pace(tick)
            waits = self.paused  # heard only now: the next tick would be a moment that nobody was told of
            if not waits:
                return

    def _wait(self, tick: Tick) -> None:
        """Show this moment in full; while paused, do not return.

        News come before the word `paused`: who reads it reads the numbers of the moment where training stands.
        """
        self._news(tick)
        if self.paused:
            self._status()
        while not self._leaving:
            if self.looking and self._shown != tick.step:
                self._shown = tick.step
                self._painting(tick, 1)
                self._walls(tick, looks.STILL_VALUES)
                self._check(tick)
            if not self.paused or tick.last:
                break
            self._listen(None)
        self._before = (
            time.perf_counter(),
            tick.step,
            tick.samples,
        )  # waiting is no training that went slowly

    def _pace(self, tick: Tick) -> None:
        """Have the next tick come in time for the page, and no sooner than its speed allows."""
        if self._until >= 0:
            tick.at_most = max(1, self._until - tick.step)
            return
        most = SPEEDS[self.speed]
        if self._leaving:
            return
        if math.isinf(most):
            if self.looking and self._rates[0] > 0:  # by itself the loop comes back five times a second
                tick.at_most = max(1, math.ceil(self._rates[0] * self._governor.left))
            return
        tick.at_most = max(1, round(most * PACE_SECONDS))
        self._listen(tick.at_most / most)

    # What the page says -----------------------------------------------------------------------------------------

    def _listen(self, seconds: float | None) -> None:
        """Take the commands that are there, after waiting up to `seconds` (None: without end) for the first."""
        end = math.inf if seconds is None else time.perf_counter() + seconds
        try:
            while not self._leaving:
                left = None if math.isinf(end) else max(0.0, end - time.perf_counter())
                if not self._pipe.poll(left):
                    return
                self._obey(self._pipe.recv())
                end = min(end, time.perf_counter()) if seconds is None else end
        except (EOFError, OSError):
            self.gone = True
            self._leave()

    def _obey(self, command: dict[str, Any]) -> None:
        kind = command["type"]
        if kind == "wants":
            more = set(command["layers"]) - set(self.layers) or (command["looking"] and not self.looking)
            self.looking, self.layers = command["looking"], command["layers"]
            self._shown = -1 if more else self._shown
        elif kind == "pause":
            self.paused, self._until = True, -1
        elif kind == "play":
            self.paused, self._until = False, -1
            self._status()
        elif kind == "step":  # a key that is held down asks again before the last step is done
            begun = self._until if self._until >= 0 else self._tick.step if self._tick else 0
            self.paused, self._until = False, begun + command["count"]
        elif kind == "speed":
            self.speed = command["level"]
        elif kind == "keep":
            self._keep()
        else:  # stop, leave, or the start of something else
            self.gone = kind == "leave"
            self.after = command if kind in ("start", "fork", "resume") else None
            self._leave()

    def _leave(self) -> None:
        """End the run as SIGTERM does: the loop saves a checkpoint and returns."""
        self._leaving = True
        signal.raise_signal(signal.SIGTERM)

    def _keep(self) -> None:
        """Keep the weights of this moment, because someone wants to look closely."""
        if self._run is not None and self._tick is not None:
            if self._tick.step not in self._run.steps():
                self._run.save_weights(self._tick.step, self._tick.net)
            self._send("kept", {"run": self._run.name, "step": self._tick.step})

    # What the page sees -----------------------------------------------------------------------------------------

    def _look(self, tick: Tick) -> None:
        """Painting and wall of one moment. A browser without a graphics card draws its whole window anew for each
        frame, whatever changed: pictures that come together cost it half of what they cost one by one.
        """
        with self._governor.look():
            self._painting(tick, self._stride())
            self._walls(tick)
            if time.perf_counter() > self._checked + CHECK_SECONDS:
                self._check(tick)

    def _frame(self, line: Mapping[str, Any]) -> None:
        """Pass on the frame that was drawn and kept at this beat anyway, with the walls of its moment: one look
        more, whose painting costs reading a small file. None where the last look is fresh: a browser would draw its
        whole window anew for a picture that nobody has time to see.
        """
        if not self.looking or self._run is None or self._tick is None or self._shown == self._tick.step:
            return
        if not (self._governor.stale or self._tick.last):
            return
        path = dict(self._run.frames()).get(int(line["step"]))
        if path is not None:
            height, width = self._target.shape[:2]
            header = {"width": width, "height": height, "stride": 1, "psnr": line.get("psnr")}
            with self._governor.look():
                self._show("painting", self._tick, looks.Look(header, path.read_bytes()))
                self._walls(self._tick)

    def _stride(self) -> int:
        """Every how many-th pixel, in both directions, a painting in between shows."""
        pixels = self._target.shape[0] * self._target.shape[1]
        seconds = self._pixel_seconds or LOOK_SECONDS / 8000
        return max(1, math.ceil(math.sqrt(pixels * seconds / LOOK_SECONDS)))

    def _painting(self, tick: Tick, stride: int) -> None:
        started = time.perf_counter()
        where = self._facts["where"]
        look = looks.painted(tick.net, self._target, where, stride, self._facts["hidden"])
        count = look.header["width"] * look.header["height"]
        fresh = (time.perf_counter() - started) / count
        self._pixel_seconds = fresh if not self._pixel_seconds else (2 * self._pixel_seconds + fresh) / 3
        self._show("painting", tick, look)
        score = {name: value for name, value in look.header.items() if name.startswith("psnr")}
        self._send("score", {"step": tick.step, **score})

    def _walls(self, tick: Tick, values: int = looks.WALL_VALUES) -> None:
        height, width = self._target.shape[:2]
        layers = [layer for layer in self.layers if layer <= len(tick.net.widths)]
        if not layers:
            return
        tile = looks.tile_size(sum(tick.net.widths[layer - 1] for layer in layers), height, width, values)
        self._show("walls", tick, looks.walls(tick.net, layers, height, width, self._facts["where"], tile))

    def _check(self, tick: Tick) -> None:
        self._checked = time.perf_counter()
        height, width = self._target.shape[:2]
        shares = flat_shares(tick.net, height, width, where=self._facts["where"])
        assert self._run is not None
        plain = pick(encodings, self._run.recipe.encoding, "encoding").fact("plain", False)
        facts = {"shares": [round(share, 4) for share in shares], "rectifier": is_rectifier(tick.net)}
        self._send("flat", {"step": tick.step, "plain": plain, **facts})

    def _news(self, tick: Tick, apart: float = NEWS_SECONDS) -> None:
        """News of this tick, if the last is `apart` seconds old; always at a beat, at the end and while paused."""
        now = time.perf_counter()
        if tick is self._reported:
            return
        if not (tick.beat or tick.last or self.paused or now - self._told >= apart):
            return
        self._told, self._reported = now, tick
        steps_a_second, samples_a_second = self._measured(now, tick)
        left = (tick.total_steps - tick.step) / steps_a_second if steps_a_second else None
        self._send(
            "pulse",
            {
                "step": tick.step,
                "epoch": round(tick.epoch, 3),
                "seconds": round(tick.seconds, 3),
                "loss": None if math.isnan(tick.loss) else tick.loss,
                "pixels_a_second": round(samples_a_second),
                "seconds_left": None if left is None else round(left, 1),
                "viewing": round(self._governor.spent, 4),
            },
        )

    def _measured(self, now: float, tick: Tick) -> tuple[float, float]:
        """Steps and samples a second of wall time, smoothed over about two seconds; not while paused."""
        if self._before is not None and not self.paused:
            then, step, samples = self._before
            spent = max(now - then, 1e-6)
            share = 1 - math.exp(-spent / 2)
            fresh = ((tick.step - step) / spent, (tick.samples - samples) / spent)
            if self._rates[0] == 0:
                share = 1.0
            self._rates = tuple(a + share * (b - a) for a, b in zip(self._rates, fresh, strict=True))  # type: ignore[assignment]
        self._before = (now, tick.step, tick.samples)
        return self._rates

    # Sending ----------------------------------------------------------------------------------------------------

    @property
    def _facts(self) -> Mapping[str, Any]:
        assert self._data is not None, "a stream's first event is the start"
        return self._data.facts

    @property
    def _target(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        values: np.ndarray[Any, np.dtype[np.float32]] = self._facts["picture"].values
        return values

    def _status(self) -> None:
        self._send("status", {"status": "paused" if self.paused else "playing"})

    def _send(self, event: str, facts: Mapping[str, Any]) -> None:
        self._put(("event", {"event": event, **facts}))

    def _show(self, channel: str, tick: Tick, look: looks.Look) -> None:
        assert self._run is not None
        self._put(
            ("picture", channel, {"run": self._run.name, "step": tick.step, **look.header}, look.picture)
        )

    def _put(self, message: tuple[Any, ...]) -> None:
        if self.gone:
            return
        try:
            self._pipe.send(message)
        except OSError:
            self.gone = True
            if not self._leaving:
                self._leave()

    def end(self, status: str, text: str = "") -> None:
        """The run is over: `done`, `stopped` or `failed`, with the error's lines."""
        self._send("status", {"status": status, "text": text})
