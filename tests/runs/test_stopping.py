"""A signal is heard at the next step, a second one at once, and the old handlers come back."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from sfumato.runs.stopping import signals


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends(number: signal.Signals) -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt), signals() as stop:
        assert stop.signal == 0
        os.kill(os.getpid(), number)
        assert stop.signal == number
        os.kill(os.getpid(), number)
    assert handlers() == before


def test_work_without_steps_ends_at_the_first() -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt), signals(at_once=True) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.signal == signal.SIGTERM and handlers() == before


def test_another_thread_leaves_the_handlers_alone() -> None:
    """Only the main thread may set them; a run in a notebook's thread goes without."""
    before, found = handlers(), []

    def work() -> None:
        with signals() as stop:
            found.append((handlers(), stop.signal))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(before, 0)]
