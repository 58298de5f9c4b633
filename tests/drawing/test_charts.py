"""Line charts: ticks are round and inside, axes hold every point, and what cannot be drawn is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.drawing import charts
from sfumato.errors import RecipeError

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)
LABELS = {"title": "t", "x_label": "x", "y_label": "y"}


@given(st.lists(NUMBERS, min_size=1, max_size=5), st.booleans())
def test_an_axis_holds_its_values_between_round_ticks(values: list[float], zero: bool) -> None:
    axis = charts._Axis.over(np.array(values), False, zero=zero)
    assert all(-1e-6 <= axis.at(value) <= 1 + 1e-6 for value in values)
    assert 2 <= len(axis.ticks) <= 13
    assert not zero or axis.low <= 0
    steps = np.diff(axis.ticks)
    assert np.allclose(steps, steps[0], rtol=1e-6)
    digits = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert min(abs(digits - good) for good in (1, 2, 2.5, 5, 10)) < 1e-5


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=5))
def test_a_log_axis_leaves_room_at_its_ends(values: list[float]) -> None:
    axis = charts._Axis.over(np.array(values), True)
    assert all(0 < axis.at(value) < 1 for value in values), "a point on the axis would look like 0"
    assert all(-1e-6 <= axis.at(tick) <= 1 + 1e-6 for tick in axis.ticks)


def test_gaps_are_left_open_and_a_lone_point_is_a_dot() -> None:
    x = np.arange(5.0)
    whole = charts.chart([charts.Series("", x, x)], **LABELS).values
    broken = charts.chart([charts.Series("", x, np.array([0, 1, np.nan, 3, 4]))], **LABELS).values
    assert 0 < (broken < 0.5).sum() < (whole < 0.5).sum()
    dot = charts.chart([charts.Series("", x, np.array([np.nan, np.nan, 2, np.nan, np.nan]))], **LABELS)
    assert (dot.values[..., 0] < 0.3).any()


def test_what_a_log_axis_cannot_show_is_a_gap_and_nothing_at_all_is_refused() -> None:
    x = np.array([0.0, 1.0, 10.0])
    charts.chart([charts.Series("", x, x)], log_x=True, log_y=True, **LABELS)
    for y in (np.full(3, np.nan), np.zeros(3)):
        with pytest.raises(RecipeError, match="no point"):
            charts.chart([charts.Series("", x, y)], log_y=True, **LABELS)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12.5, "12.5"), (9999, "9999"), (12_000, "12k"), (2.5e6, "2.5M"), (1e9, "1G"), (2e-5, "2e-5")],
)
def test_ticks_are_short(value: float, text: str) -> None:
    assert charts._tick(value) == text


def test_an_order_runs_from_pale_to_dark() -> None:
    for count in (1, 2, 7):
        tones = [sum(colour) for colour in charts.ramp(count)]
        assert len(tones) == count and tones == sorted(tones, reverse=True)
