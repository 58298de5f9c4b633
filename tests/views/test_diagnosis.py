"""Mud has a reason, in one line: too few steps, the mean colour, dead units."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import FAST

from sfumato import experiment
from sfumato.cli import commands
from sfumato.learning.symptoms import findings
from sfumato.nets import Net
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory
from sfumato.runs.watch import Watch
from sfumato.views.diagnosis import diagnosis

WATCH = Watch(film="none")


def kinds(run: RunDirectory) -> list[str]:
    return [one.kind for one in diagnosis(run)]


def test_few_steps_are_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.call(["paint", "photo.png", *FAST]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "hardly begun" in line]
    assert len(told) == 1 and "Only 8 steps" in told[0] and "more epochs" in told[0]


def test_the_mean_colour_is_said(photo: Path, tmp_path: Path) -> None:
    # Two units cannot hold 117 pixels of noise.
    recipe = Recipe(net=(2,), activation="tanh", steps=250, batch=16, rate=0.01)
    run = experiment.perform(recipe, str(photo), out=tmp_path, watch=WATCH)
    assert kinds(run) == ["mean colour"]
    (one,) = findings({"rate": 0.1}, [(999, 0.1)], [(999, 8.2)], flat=[0.0], total_steps=999, mean_colour=8.0)
    assert "mean colour (8.2 dB)" in one.text and "more epochs" in one.advice


def test_dead_units_are_said(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = experiment.perform(Recipe(net=(8,), steps=250, batch=16), str(photo), out=tmp_path, watch=WATCH)
    net: Net = run.net()
    with torch.no_grad():
        net.layers[0].bias[:6] = -100.0  # type: ignore[index]
    monkeypatch.setattr(RunDirectory, "net", lambda self: net)
    assert "dead" in kinds(run)


def test_a_good_painting_needs_no_reason() -> None:
    losses = [(step, 1 / (step + 1)) for step in range(0, 1000, 20)]
    scores = [(step, 20 + step / 60) for step in range(0, 1000, 20)]
    assert findings({"rate": 0.01}, losses, scores, flat=[0.0], total_steps=980, mean_colour=12.0) == []
    assert findings({"rate": 0.01}, [(3, 0.01)], [(3, 40.0)], total_steps=3, mean_colour=12.0) == []
