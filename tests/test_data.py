"""Samples are checked once, when they are made: nothing behind has to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sfumato.data import Data, Stream
from sfumato.errors import TaskError


def arrays(**changes: Any) -> dict[str, Any]:
    """Four samples and one held out, two inputs, three targets."""
    made = {
        "inputs": np.zeros((4, 2), np.float32),
        "targets": np.ones((4, 3), np.float32),
        "hidden_inputs": np.zeros((1, 2), np.float32),
        "hidden_targets": np.zeros((1, 3), np.float32),
    }
    return made | changes


def test_samples_are_counted_without_those_held_out() -> None:
    assert Data(**arrays()).samples == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"targets": np.ones((3, 3), np.float32)}, "training samples.*do not fit"),
        ({"hidden_targets": np.ones((2, 3), np.float32)}, "held-out samples.*do not fit"),
        ({"inputs": np.zeros(4, np.float32)}, "do not fit"),
        ({"inputs": np.zeros((4, 2))}, "float32, got float64"),
        ({"inputs": np.zeros((2, 4), np.float32).T}, "C-contiguous"),
        ({"targets": np.full((4, 3), np.nan, np.float32)}, "not finite"),
        ({"hidden_inputs": np.full((1, 2), np.inf, np.float32)}, "held-out samples.*not finite"),
        (
            {"inputs": np.zeros((0, 2), np.float32), "targets": np.zeros((0, 3), np.float32)},
            "nothing to train on",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TaskError, match=words):
        Data(**arrays(**changes))


@pytest.mark.parametrize(("batch", "samples"), [(0, 4), (4, 0), (-1, 4)])
def test_a_stream_has_at_least_one_sample(batch: int, samples: int) -> None:
    with pytest.raises(TaskError, match="at least 1"):
        Stream(lambda step: None, batch, samples)
