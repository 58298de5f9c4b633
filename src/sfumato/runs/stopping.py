"""Ctrl-C and SIGTERM: finish the step, save, leave; a second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Stop", "signals"]


class Stop:
    """Set by a signal: finish the step, save, leave. A second Ctrl-C stops at once."""

    signal = 0


@contextmanager
def signals(at_once: bool = False) -> Iterator[Stop]:
    """Catch SIGINT and SIGTERM, and give the old handlers back; only in the main thread.

    at_once: the first signal already raises KeyboardInterrupt, for work that has no steps to finish.
    """
    stop = Stop()

    def catch(number: int, frame: object) -> None:
        again, stop.signal = stop.signal, number
        if again or at_once:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    old = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
