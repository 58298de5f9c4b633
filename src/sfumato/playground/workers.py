"""The two processes beside the server, and their handles: the trainer, and the viewer that looks at runs on disk.

The server itself imports no torch: it starts at once, and a picture that crashes a decoder, or a net that eats all
memory, ends a worker and never the page. A worker that dies is started again; what it had saved is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from ..errors import RunError, SfumatoError

__all__ = ["Viewer", "Worker", "deaf"]

Message = tuple[Any, ...]


def deaf() -> None:
    """Called first in a worker: Ctrl-C and a closed terminal reach every process of the group, but it is the server
    that says stop. A server that is gone closes the pipe, and that ends a worker too."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _perform(target: Callable[..., None], *arguments: Any) -> None:
    """Run a worker and end its process at once: PyTorch takes half a second to take itself apart, while someone
    waits who has pressed Ctrl-C. All files are closed by then."""
    target(*arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class Worker:
    """A process with a pipe; what it sends arrives in the event loop as calls of `hear`, `None` when it has died.

    target: called in the process with its end of the pipe and `arguments`.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: tuple[Any, ...],
        hear: Callable[[Message | None], None],
    ) -> None:
        self._target, self._arguments, self._hear = target, arguments, hear
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._stopping = self._heard = False

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Start the process; from within the event loop."""
        context = multiprocessing.get_context("spawn")  # torch and threads do not survive a fork
        ours, theirs = context.Pipe()
        self._heard = False
        self._process = context.Process(
            target=_perform, args=(self._target, theirs, *self._arguments), daemon=True
        )
        self._process.start()
        theirs.close()
        self._pipe = ours
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(ours, loop), daemon=True).start()

    def restart(self) -> None:
        """Start again after a death; not if it died before its first word, because then it would again."""
        if self._heard:
            self.start()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send; a message to a worker that has just died is lost, and `hear(None)` says so."""
        if self._pipe is not None:
            with contextlib.suppress(OSError, ValueError):
                self._pipe.send(dict(message))

    def stop(self, seconds: float) -> None:
        """Ask the process to end, which saves what it has; one that does not within `seconds` is killed, and with 0
        seconds, because it has nothing to save, nobody is asked."""
        self._stopping = True
        if self._process is None:
            return
        if seconds:
            self.send({"type": "leave"})  # closing would not be heard while the reading thread holds the pipe
            self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _read(self, pipe: Connection, loop: asyncio.AbstractEventLoop) -> None:
        message: Message | None
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                message = None
            if self._stopping:
                return
            self._heard = self._heard or message is not None
            try:
                loop.call_soon_threadsafe(self._hear, message)
            except RuntimeError:  # the loop is closed: the server has ended
                return
            if message is None:
                return


class Viewer:
    """Looks at runs on disk in a process of its own: each question is answered once, in order."""

    def __init__(self, target: Callable[..., None], arguments: tuple[Any, ...] = ()) -> None:
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._worker = Worker(target, arguments, self._hear)

    def start(self) -> None:
        """Start the process."""
        self._worker.start()

    def stop(self) -> None:
        """End the process at once; what waits for an answer gets a RunError."""
        self._fail("the playground has ended")
        self._worker.stop(0)

    async def ask(self, what: str, **arguments: Any) -> Any:
        """The answer of `looks.<what>(**arguments)`; raises the SfumatoError that it raised."""
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._worker.send({"id": number, "what": what, "arguments": arguments})
        try:
            return await future
        finally:
            self._waiting.pop(number, None)

    def _fail(self, text: str) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(RunError(text))

    def _hear(self, message: Message | None) -> None:
        if message is None:
            self._fail("looking failed: its process has died\nhint: try again")
            self._worker.restart()
            return
        number, answer = message
        future_ = self._waiting.get(number)
        if future_ is None or future_.done():
            return
        if isinstance(answer, SfumatoError):
            future_.set_exception(answer)
        else:
            future_.set_result(answer)
