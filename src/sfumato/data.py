"""What a net is trained on: inputs and targets of the training samples, and of those it never sees.

Tasks make it, engines and metrics read it. Nothing here knows whether targets are colours or digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import TaskError

__all__ = ["Array", "Data", "Stream"]

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Data:
    """Samples of a task, C-contiguous float32.

    inputs (N, D) and targets (N, C): the training samples, N >= 1. hidden_inputs (M, D) and hidden_targets
    (M, C): held out, never trained on; M may be 0. facts: whatever the task's `score` and `draw` need (the
    picture, the class names, ...). Raises TaskError where shapes do not fit or a value is not finite.
    """

    inputs: Array
    targets: Array
    hidden_inputs: Array
    hidden_targets: Array
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for inputs, targets, what in (
            (self.inputs, self.targets, "training"),
            (self.hidden_inputs, self.hidden_targets, "held-out"),
        ):
            if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets):
                raise TaskError(
                    f"{what} samples: inputs {inputs.shape} and targets {targets.shape} do not fit"
                )
            for array in (inputs, targets):
                if array.dtype != np.float32 or not array.flags.c_contiguous:
                    raise TaskError(f"{what} samples must be C-contiguous float32, got {array.dtype}")
                if not np.isfinite(array).all():
                    raise TaskError(f"{what} samples hold values that are not finite")
        if not len(self.inputs):
            raise TaskError("there is nothing to train on: every sample is held out")

    @property
    def samples(self) -> int:
        """N, the number of training samples."""
        return len(self.inputs)


@dataclass(frozen=True, eq=False)
class Stream:
    """Batches that are made as they are needed, for tasks whose samples are drawn and not stored.

    draw: the batch of a step, a function of the step alone, so that resuming sees the same. batch: samples in each.
    samples: how many are called an epoch. facts: whatever the task's `score` and `draw` need.
    """

    draw: Callable[[int], Any]
    batch: int
    samples: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch < 1 or self.samples < 1:
            raise TaskError(f"a stream of {self.samples} samples in batches of {self.batch}: at least 1 each")
