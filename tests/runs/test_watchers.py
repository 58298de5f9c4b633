"""What is done at a beat: frames and their line, kept weights, checkpoints; each at its own steps and no other."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato import nets, picture
from sfumato.learning.session import Tick
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory
from sfumato.runs.watchers import Checkpoints, Frames, Weights

RECIPE = Recipe(net=(5,), seed=1)


class Plan:
    total_steps, samples = 8, 12

    def epochs(self, step: int) -> float:
        return step / 3

    def seen(self, step: int) -> int:
        return 4 * step


class Session:
    """Stands where it is told, and has a memory of one number."""

    plan, step = Plan(), 0

    def pull(self, net: Any) -> None: ...

    def state(self) -> dict[str, Any]:
        import torch

        return {"step": torch.tensor(float(self.step))}


class Task:
    """Draws a grey picture and scores it as told; counts how often it was asked."""

    def __init__(self, **scores: float) -> None:
        self.scores, self.drawn = scores, 0

    def draw(self, net: Any, data: Any) -> picture.Picture:
        self.drawn += 1
        return picture.from_array(np.full((4, 3), 0.5))

    def score(self, net: Any, data: Any, drawn: Any) -> dict[str, float]:
        return dict(self.scores)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    with RunDirectory.create(tmp_path, RECIPE, "test", {"inputs": 2, "outputs": 3}) as made:
        yield made


def tick(step: int, losses: tuple[float, ...] = ()) -> Tick:
    session: Any = Session()
    session.step = step
    return Tick(session, nets.build(RECIPE, 2, 3), 0.5, np.array(losses, np.float32), True, 4 * step)


def lines(run: RunDirectory) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def test_frames_come_at_their_steps_and_at_the_end(run: RunDirectory) -> None:
    task: Any = Task(psnr=20.0)
    frames = Frames(run, task, None, [0, 3])
    for step in (0, 1, 3, 5, 8):
        frames(tick(step))
    assert [line["step"] for line in lines(run)] == [0, 3, 8]
    assert [step for step, _ in run.frames()] == [0, 3, 8]
    assert task.drawn == 3


def test_the_loss_of_a_line_is_the_mean_of_all_steps_since_the_last(run: RunDirectory) -> None:
    """Pulses in between cut it without a trace."""
    frames = Frames(run, Task(), None, [4])  # type: ignore[arg-type]
    frames(tick(1, (1.0,)))
    frames(tick(3, (2.0, 3.0)))
    frames(tick(4, (6.0,)))
    assert lines(run)[0]["loss"] == 3.0
    assert frames.state()["loss_count"] == 0


def test_a_line_goes_on_from_what_the_process_before_had_seen(run: RunDirectory) -> None:
    first = Frames(run, Task(), None, [4])  # type: ignore[arg-type]
    first(tick(3, (1.0, 2.0, 3.0)))
    second = Frames(run, Task(), None, [4], first.state())  # type: ignore[arg-type]
    second(tick(4, (6.0,)))
    assert lines(run)[0]["loss"] == 3.0


def test_a_score_that_is_infinite_is_null_and_one_that_is_no_number_is_left_out(run: RunDirectory) -> None:
    frames = Frames(run, Task(psnr=math.inf, ssim=math.nan, a_error=0.25), None, [0])  # type: ignore[arg-type]
    frames(tick(0))
    line = lines(run)[0]
    assert line["psnr"] is None and "ssim" not in line and line["a_error"] == 0.25
    assert line["loss"] is None, "there was no step yet"


def test_weights_are_kept_at_their_steps_and_at_the_end(run: RunDirectory) -> None:
    weights = Weights(run, [1, 3])
    for step in (0, 1, 2, 3, 8):
        weights(tick(step))
    assert run.steps() == [1, 3, 8]


def test_checkpoints_come_by_the_clock_at_the_end_and_when_asked_once_a_step(run: RunDirectory) -> None:
    now = [100.0]
    frames = Frames(run, Task(), None, [])  # type: ignore[arg-type]
    checkpoints = Checkpoints(run, 10.0, frames, clock=lambda: now[0])
    stand = lambda: int(run.checkpoint()[2]["step"])  # noqa: E731
    checkpoints(tick(1))
    assert not run.file("checkpoint.safetensors").exists()
    now[0] += 10
    checkpoints(tick(2))
    assert stand() == 2
    now[0] += 9
    checkpoints(tick(3))
    assert stand() == 2
    checkpoints.save(tick(4))
    written = run.file("checkpoint.safetensors").stat().st_mtime_ns
    checkpoints.save(tick(4))
    assert stand() == 4 and run.file("checkpoint.safetensors").stat().st_mtime_ns == written
    checkpoints(tick(8))
    assert stand() == 8
