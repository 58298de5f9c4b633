"""A polish by L-BFGS: a fork that hands over the weights alone."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import pytest
import torch

from sfumato import experiment
from sfumato.errors import RecipeError
from sfumato.learning.session import Tick
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory
from sfumato.runs.watch import Watch
from sfumato.views.report import _words

TRAINED = Recipe(
    net=(12, 7), batch=16, epochs=6.0, threads=1, rate=0.01, sampling="error", warmup=0.1, clip=1.0
)
QUIET = Watch(frames="6", keep="3", film="none", checkpoint=1e9)


@pytest.fixture
def run(photo: Path, tmp_path: Path) -> RunDirectory:
    return experiment.perform(TRAINED, str(photo), out=tmp_path, watch=QUIET)


def test_it_begins_where_the_run_ended_and_only_goes_down(run: RunDirectory, tmp_path: Path) -> None:
    said: list[str] = []
    done = experiment.fork(
        run, None, {}, polish=12, out=tmp_path, say=lambda event, facts: said.append(str(facts.get("text")))
    )
    assert done.recipe.optimizer == "lbfgs" and done.recipe.batch == run.origin["samples"]
    assert done.history[0]["step"] == 0 and done.last["step"] == 12 and done.state == "done"
    assert done.history[0]["psnr"] == run.last["psnr"], "the same weights"
    assert done.last["psnr"] > run.last["psnr"] + 0.1
    losses = [line["loss"] for line in done.history[1:]]
    assert losses == sorted(losses, reverse=True), "a line search never goes up"
    assert any("remembers nothing at first; its steps count from 0" in text for text in said)
    command = dict(_words.commands(done))["From its recipe"]
    assert command == f"sfumato resume {run.folder.name} --fork 48 --polish 12"


def test_it_takes_fields_and_leaves_at_any_step(run: RunDirectory, tmp_path: Path) -> None:
    done = experiment.fork(run, 20, {"optimizer": "lbfgs:pairs=3"}, polish=2, out=tmp_path)
    assert done.recipe.optimizer == "lbfgs:pairs=3" and done.origin["forked"].endswith("at step 20")
    assert done.history[0]["psnr"] < run.last["psnr"]
    assert dict(_words.commands(done))["From its recipe"].endswith("--set optimizer=lbfgs:pairs=3")


def test_one_that_was_stopped_goes_on_to_the_bit(photo: Path, tmp_path: Path) -> None:
    averaged = dataclasses.replace(QUIET, preview_ema=0.9)  # a state with more in it
    run = experiment.perform(TRAINED, str(photo), out=tmp_path, watch=averaged)

    def stop(tick: Tick) -> None:
        if 0 < tick.step < tick.total_steps:
            os.kill(os.getpid(), signal.SIGTERM)

    whole = experiment.fork(run, None, {}, polish=10, out=tmp_path)
    half = experiment.fork(run, None, {}, polish=10, out=tmp_path, watchers=[stop])
    assert half.state == "interrupted"
    again = experiment.resume(RunDirectory(half.folder))
    for ours, theirs in zip(whole.checkpoint()[:2], again.checkpoint()[:2], strict=True):
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_what_cannot_be_polished_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="a fork cannot change net"):
        experiment.fork(run, None, {"net": "3x5"}, polish=3, out=tmp_path)
    with pytest.raises(RecipeError, match="polish=-1 must be at least 1 step"):
        experiment.fork(run, None, {}, polish=-1, out=tmp_path)
    with pytest.raises(RecipeError, match="looks at all"):
        experiment.fork(run, None, {"batch": 16}, polish=3, out=tmp_path)
    run.change_origin(digest="0" * 16)
    with pytest.raises(RecipeError, match="task picture cannot be forked: it keeps no copy"):
        experiment.fork(run, None, {}, polish=3, out=tmp_path)
    assert len([p for p in tmp_path.iterdir() if (p / "recipe.json").exists()]) == 1, "nothing is left behind"
