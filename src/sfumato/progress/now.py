"""The line that tells of this moment. A thread of its own keeps it alive, so that no long call (an import, a large
picture that is drawn) is silent."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import IO

from ..words import duration, printable

__all__ = ["FIRST", "PERIOD", "Clock", "Now", "Waiting", "fitting", "is_live", "put"]

Clock = Callable[[], float]

FIRST = 1.5
"""Seconds after which a pipe hears the first word of what lasts; what is over sooner says nothing there. Python has
taken a third of a second by then, and two in all are promised."""

PERIOD = 1.8
"""Seconds between two lines in a pipe from then on: logs of long runs are long, but nobody waits without a word."""


class Now:
    """One line about this moment: rewritten in a terminal, written now and then elsewhere.

    `set` changes what it says. Where nothing is set for two seconds, the thread repeats it with the time that has
    passed. It runs between `start` and `stop`, and may be started again.
    """

    def __init__(self, stream: IO[str], *, live: bool) -> None:
        """live: whether `stream` rewrites its line."""
        self.stream, self.live = stream, live
        self._line, self._since = "", time.monotonic()
        self._due = self._since + FIRST
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Keep the line alive from now on."""
        if self._thread is None:
            self._due = time.monotonic() + FIRST
            self._over.clear()
            self._thread = threading.Thread(target=self._keep, name="sfumato-progress", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Say no more, and leave no half line; the second time nothing happens."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        self.set("")
        if self.live:
            put(self.stream, "\r\x1b[K")

    def set(self, line: str, *, restart: bool = True) -> None:
        """What is to be said; a terminal shows it at once. restart: the time that is told counts from now."""
        with self._lock:
            if restart:
                self._since = time.monotonic()
            self._line = line
            if self.live and line:
                self._show(time.monotonic())

    def write(self, text: str) -> None:
        """A line, or several, that stay."""
        with self._lock:
            self._due = time.monotonic() + PERIOD
            put(self.stream, ("\r\x1b[K" if self.live else "") + text + "\n")

    def _keep(self) -> None:
        while not self._over.wait(0.5 if self.live else 0.1):
            now = time.monotonic()
            with self._lock:
                if self._line and (now - self._since >= 1 if self.live else now >= self._due):
                    self._show(now)

    def _show(self, now: float) -> None:
        self._due = now + PERIOD
        spent = now - self._since
        text = printable(f"{self._line}  {duration(spent)}" if spent >= 1 else self._line)
        put(self.stream, "\r\x1b[K" + fitting(text) if self.live else text + "\n")


class Waiting:
    """Says all the while that work goes on: `with Waiting("atlas") as tell: tell("layer 2 of 4")`.

    In a terminal one line is rewritten twice a second and gone at the end; elsewhere one comes every two seconds.
    """

    def __init__(
        self, what: str, stream: IO[str] | None = None, *, live: bool | None = None, quiet: bool = False
    ) -> None:
        """live: whether `stream` (stderr) rewrites its line; asked of it if None. quiet: say nothing."""
        stream = stream or sys.stderr
        self._what = what
        self._now = None if quiet else Now(stream, live=is_live(stream) if live is None else live)

    def __enter__(self) -> Waiting:
        if self._now is not None:
            self._now.set(self._what)
            self._now.start()
        return self

    def __call__(self, text: str) -> None:
        """What is being done now, in a few words."""
        if self._now is not None:
            self._now.set(f"{self._what}  {text}", restart=False)

    def write(self, text: str) -> None:
        """A line, or several, that stay, such as one result of many."""
        if self._now is not None:
            self._now.write("\n".join(map(printable, text.split("\n"))))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._now is not None:
            self._now.stop()


def put(stream: IO[str], text: str) -> None:
    """Write and flush; one that takes nothing more (its reader has gone, its disk is full) ends no training."""
    with suppress(OSError, ValueError):
        stream.write(text)
        stream.flush()


def fitting(text: str) -> str:
    """As much of a line as the terminal shows without breaking it."""
    return text[: shutil.get_terminal_size().columns - 1]


def is_live(stream: IO[str]) -> bool:
    """Whether a line of `stream` can be rewritten: a terminal that knows how."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
