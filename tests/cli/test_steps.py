"""From `sfumato paint` to the engine it is five steps, each of which adds something; see docs/design.md."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from small_picture import FAST

import sfumato
from sfumato.__main__ import main
from sfumato.engine import eager

STEPS = ["main", "paint", "follow", "drive", "advance"]


def test_each_step_from_the_command_to_the_engine_adds_something(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[list[str]] = []
    real = eager.EagerSession.advance

    def advance(self: eager.EagerSession, steps: int) -> npt.NDArray[np.float32]:
        package = Path(sfumato.__file__).parent
        stack = [frame.function for frame in inspect.stack() if package in Path(frame.filename).parents]
        found.append([*reversed(stack), "advance"])
        return real(self, steps)

    monkeypatch.setattr(eager.EagerSession, "advance", advance)
    assert main(["paint", "photo.png", *FAST]) == 0
    assert found and all(steps == STEPS for steps in found), found[0]
