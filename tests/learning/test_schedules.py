"""Schedules against their formulas, by hand."""

from __future__ import annotations

import numpy as np
from compare import bound, close

from sfumato.learning import schedules


def test_hold_by_hand() -> None:
    """Half held; then 1, 1/10 at three quarters, 1/100 at the end."""
    share = np.array([0.0, 0.3, 0.5, 0.75, 1.0])
    found = schedules.hold(share, share_held=0.5, floor=0.01)
    close(found, np.array([1, 1, 1, 0.1, 0.01]), **bound("float64"))


def test_cosine_ends_at_its_floor() -> None:
    found = schedules.cosine(np.array([0.0, 0.5, 1.0]), floor=0.2)
    close(found, np.array([1, 0.6, 0.2]), **bound("float64"))
