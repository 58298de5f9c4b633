"""What is said of a run at its end: on the command line and in the report, and nothing where all is well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfumato import experiment, picture, progress
from sfumato.recipe import Recipe
from sfumato.runs.watch import Watch
from sfumato.views import report
from sfumato.views.symptoms import symptoms

RECIPE = Recipe(net=(16, 16), batch=16, steps=220, rate=0.01, engine="eager", threads=1)
WATCH = Watch(frames="linear:20", keep="2", film="none")


def test_a_net_that_does_not_move_is_told_so_everywhere(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = RECIPE.replace(optimizer="sgd", rate=1e-7)
    run = experiment.perform(slow, str(photo), out=photo.parent, watch=WATCH, say=progress.Lines())
    (found,) = symptoms(run)
    assert found.kind == "rate too low"
    told = capsys.readouterr().err
    assert found.text in told and found.advice in told
    assert "nothing moves" in report.write([run]).path.read_text(encoding="utf-8")


def test_a_run_that_learns_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    smooth = np.stack([*np.mgrid[0:24, 0:20] / 24, np.full((24, 20), 0.4)], 2).astype(np.float32)
    picture.save(picture.from_array(smooth), tmp_path / "smooth.png")
    good = RECIPE.replace(activation="tanh")
    source = str(tmp_path / "smooth.png")
    run = experiment.perform(good, source, out=tmp_path, watch=WATCH, say=progress.Lines())
    assert symptoms(run) == [] and "note " not in capsys.readouterr().err
