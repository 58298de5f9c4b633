"""Single-threaded processes on this machine, one call each at a time.

Not `concurrent.futures`: one dead worker breaks its whole pool, and it cannot say which call died. Processes are
spawned, since a fork of a process whose libraries hold threads may hang.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any, Self

from ...errors import RecipeError, RunError
from ...machine import available_threads

__all__ = ["Call", "Pool"]

TRIES = 2
"""How often a call is tried whose process dies under it: memory may have been short for a moment only."""

PATIENCE = 20.0
"""Seconds that a stopped worker has to finish its step and save."""

Call = tuple[Any, Callable[..., Any], tuple[Any, ...]]

END: Any = object()


class Pool:
    """Processes that start when they are first needed and end with the `with` block."""

    def __init__(self, workers: int = 0) -> None:
        """workers: how many at most; 0: one a core. RecipeError for fewer than that."""
        if workers < 0:
            raise RecipeError(f"workers={workers} must be a number of processes, or 0: one a core")
        self._most = workers or available_threads()
        self._free: list[_Worker] = []
        self._busy: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        everyone = self._free + self._busy
        for worker in everyone:
            worker.stop(busy=worker in self._busy)
        for worker in everyone:
            worker.join()
        self._free, self._busy = [], []

    def results(self, calls: Iterator[Call | None]) -> Iterator[tuple[Any, Any, BaseException]]:
        """(key, value, error) for each call (key, function, arguments), as they end; (None, None, ...) between.

        Calls are pulled when a process is free; None says that there is none for the moment. The error counts
        where the value is None. Raises KeyboardInterrupt when a call was stopped by a signal.
        """
        more = True
        while more or self._busy:
            while more and len(self._busy) < self._most:
                call = next(calls, END)
                if call is END or call is None:
                    more = call is None
                    break
                worker = self._free.pop() if self._free else _Worker()
                self._busy.append(worker)
                worker.give(call)
            yield None, None, RunError("")  # what `calls` found out on the way is handed on before a wait
            ready = wait([w.connection for w in self._busy], 1.0) if self._busy else []
            for worker in [w for w in self._busy if w.connection in ready]:
                answer = worker.take()
                if answer is None:  # the process is dead
                    self._busy.remove(worker)
                    worker.join()
                    if worker.tries < TRIES:
                        again = _Worker()
                        again.tries = worker.tries
                        self._busy.append(again)
                        again.give(worker.call)
                        continue
                    yield worker.call[0], None, RunError(worker.obituary())
                    continue
                self._busy.remove(worker)
                self._free.append(worker)
                worker.tries = 0
                value, error = answer
                if isinstance(error, KeyboardInterrupt):
                    raise error
                yield worker.call[0], value, error


class _Worker:
    """One process and the line to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True, name="sfumato-worker")
        with _without_main():
            self.process.start()
        theirs.close()
        self.tries = 0
        self.call: Call

    def give(self, call: Call) -> None:
        self.call, self.tries = call, self.tries + 1
        self.connection.send(call[1:])

    def take(self) -> tuple[Any, BaseException] | None:
        try:
            answer: tuple[Any, BaseException] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return answer

    def obituary(self) -> str:
        code = self.process.exitcode or 0
        if code == -signal.SIGKILL:
            return "its process was killed, most likely because memory ran out\nhint: fewer --workers"
        return f"its process died, {f'by signal {-code}' if code < 0 else f'exit code {code}'}"

    def stop(self, busy: bool) -> None:
        self.connection.close()  # an idle one leaves at once
        if busy and self.process.is_alive():
            self.process.terminate()

    def join(self) -> None:
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep a spawned process from running the caller's script once more, as it would without a `__main__` guard, or
    fail for a script that came through a pipe; nothing here needs it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _serve(connection: Connection) -> None:
    """The life of a worker: one thread (PyTorch reads these when it is first imported), a call at a time."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            function, arguments = connection.recv()
            value, error = None, RuntimeError("")
            try:
                value = function(*arguments)
            except KeyboardInterrupt as stopped:
                connection.send((None, stopped))
                return
            except Exception as failed:
                error = failed  # type: ignore[assignment]
            try:
                connection.send((value, error))
            except (TypeError, AttributeError):  # an error that cannot be pickled
                connection.send((None, RuntimeError(f"{type(error).__name__}: {error}")))
    except (EOFError, OSError, KeyboardInterrupt):
        return  # the parent has gone, or wants no more
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the way out is not to be stopped again
