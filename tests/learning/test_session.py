"""A tick says what was when it came, and refuses to say more once the loop has gone on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sfumato.errors import RunError
from sfumato.learning.session import Tick


class Plan:
    total_steps, samples = 10, 50

    def epochs(self, step: int) -> float:
        return step / 4

    def seen(self, step: int) -> int:
        return 5 * step


class Session:
    """Stands at step 4; counts how often its weights were asked for."""

    step, plan, pulls = 4, Plan(), 0

    def pull(self, net: Any) -> None:
        self.pulls += 1
        net.append(self.step)


def tick(session: Any, net: Any, losses: tuple[float, ...] = (1.0, 2.0, 6.0)) -> Tick:
    return Tick(session, net, 1.5, np.array(losses, np.float32), True, 20)


def test_a_tick_keeps_its_numbers_when_the_session_goes_on() -> None:
    session = Session()
    one = tick(session, [])
    session.step = 9
    assert (one.step, one.total_steps, one.epoch, one.seconds, one.samples) == (4, 10, 1.0, 1.5, 20)
    assert one.loss == 3.0 and not one.last and math.isnan(one.cores)


def test_weights_are_fetched_when_they_are_first_asked_for_and_once() -> None:
    session, net = Session(), []
    one = tick(session, net)
    assert session.pulls == 0
    assert one.net is net and one.net is net
    assert session.pulls == 1 and net == [4]


def test_a_tick_that_is_over_refuses_its_net_whether_it_was_fetched_or_not() -> None:
    for fetched in (False, True):
        session, net = Session(), []
        one = tick(session, net)
        if fetched:
            _ = one.net
        one.end()
        session.step = 7
        with pytest.raises(RunError, match=r"step 4 is over.*step 7"):
            _ = one.net
        assert session.pulls == fetched


def test_without_a_step_there_is_no_loss() -> None:
    assert math.isnan(tick(Session(), [], ()).loss)


def test_the_last_tick_is_that_of_the_spent_budget() -> None:
    session = Session()
    session.step = 10
    assert tick(session, []).last
