"""What is kept and handed over: kept weights, metrics after a resume, forks on every engine, other arithmetic."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sfumato import engine, experiment, nets
from sfumato.errors import EngineError
from sfumato.learning.session import Tick
from sfumato.nets import encodings
from sfumato.painting import paint
from sfumato.recipe import Recipe
from sfumato.recipe.variants import public
from sfumato.run import Run
from sfumato.runs import RunDirectory
from sfumato.runs.watch import Watch

SMALL = Recipe(net=(12, 7), batch=16, epochs=6.0, engine="eager", threads=1, rate=0.01)
QUIET = Watch(frames="6", keep="3", film="none", checkpoint=1e9)

TIMED = {"seconds", "watching_seconds", "cores"}
"""Keys that no two runs share."""


def stopping(step: int) -> Any:
    """A watcher that sends Ctrl-C once, at the first tick at or after a step."""
    done: list[int] = []

    def watch(tick: Tick) -> None:
        if tick.step >= step and not done:
            done.append(tick.step)
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def lines(run: RunDirectory) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in TIMED} for line in run.history]


def weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    return run.checkpoint()[0]


# Kept weights --------------------------------------------------------------------------------------------------

ENCODINGS = [
    *public(encodings),
    "positional:bands=24",
    "fourier:bands=64,sigma=400",
    "grid:levels=4,log2_table=8",
]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_kept_step_paints_what_was_trained_rounded_to_half_precision(
    photo: Path, tmp_path: Path, encoding: str
) -> None:
    recipe = SMALL.replace(encoding=encoding)
    trained: dict[int, nets.Net] = {}

    def look(tick: Tick) -> None:
        net = nets.build(recipe, 2, 3, aspect=9 / 13)
        net.load_state_dict(tick.net.state_dict())  # its constants too
        trained[tick.step] = net

    run = experiment.perform(recipe, str(photo), out=tmp_path, watch=QUIET, watchers=[look])
    assert run.steps()
    for step in run.steps():
        with torch.no_grad():
            for parameter in trained[step].parameters():
                parameter.copy_(parameter.half().float())
        wanted = paint(trained[step], 9, 13).values
        assert np.isfinite(wanted).all()
        assert np.array_equal(paint(run.net(step), 9, 13).values, wanted)


def test_parameters_beyond_half_precision_are_kept_in_full(photo: Path, tmp_path: Path) -> None:
    run = experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET)
    net = run.net()
    with torch.no_grad():
        net.readout.weight[0, 0] = 70000.3
    run.save_weights(7, net)
    assert run.net(7).readout.weight[0, 0].item() == np.float32(70000.3)


def test_old_kept_weights_with_rounded_constants_open_with_those_of_the_recipe(
    photo: Path, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    run = experiment.perform(
        SMALL.replace(encoding="positional:bands=20"), str(photo), out=tmp_path, watch=QUIET
    )
    path = run.folder / "weights" / "000048.safetensors"
    before = run.net(48).state_dict()
    save_file({name: value.half() for name, value in run.net(48).state_dict().items()}, path)
    after = run.net(48).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.isfinite(after["encoding.frequencies"]).all()


# Metrics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [1, 5, 19, 20, 47])
def test_metrics_of_a_resumed_run_equal_those_of_one_that_never_stopped(
    photo: Path, tmp_path: Path, stop: int
) -> None:
    often = Watch(frames="every:10", keep="3", film="none", checkpoint=0.0)
    whole = experiment.perform(SMALL, str(photo), out=tmp_path / "whole", watch=often)
    # Weights are looked at where the run stops: between beats of metrics, where a line's mean loss is half done.
    watching = Watch(frames="every:10", keep=f"0,{stop}", film="none", checkpoint=0.0)
    cut = experiment.perform(
        SMALL, str(photo), out=tmp_path / "cut", watch=watching, watchers=[stopping(stop)]
    )
    assert cut.stopped_by == signal.SIGINT and weights(cut)
    seconds = cut.checkpoint()[2]["watching_seconds"]
    again = experiment.resume(Run(cut.folder))
    assert lines(again) == lines(whole)
    assert [line["watching_seconds"] for line in again.history] == sorted(
        line["watching_seconds"] for line in again.history
    )
    assert again.last["watching_seconds"] > seconds
    assert all(torch.equal(weights(whole)[name], weights(again)[name]) for name in weights(whole))


# Forks ---------------------------------------------------------------------------------------------------------

BASES = {
    "eager": SMALL,
    "native": SMALL.replace(engine="native"),
    "cuda": SMALL.replace(engine="cuda"),
    "regrouped": SMALL.replace(
        net=(9,), engine="regrouped", batch=1, optimizer="sgd", loss="half_square", encoding="raw", epochs=3.0
    ).replace(rate=0.1),
}

CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "rate": {"rate": 0.003},
    "seed": {"seed": 5},
    "schedule": {"schedule": "constant"},
    "longer": {"epochs": 9.0},
}


def test_every_engine_is_forked() -> None:
    assert set(BASES) == set(engine.names())


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", BASES)
def test_a_fork_leaves_its_run_exactly_on_every_engine(
    photo: Path, tmp_path: Path, name: str, change: str
) -> None:
    recipe = BASES[name]
    reason = engine.engine(name).why_not(recipe)
    if reason:  # said, not skipped: what a machine lacks is refused before anything is written
        with pytest.raises(EngineError, match="cannot run this recipe"):
            experiment.perform(recipe, str(photo), out=tmp_path, watch=QUIET)
        return
    middle = 31  # within a group of `regrouped`, within an epoch of the others
    seen: dict[int, dict[str, torch.Tensor]] = {}

    def look(tick: Tick) -> None:
        seen.setdefault(tick.step, {n: p.detach().clone() for n, p in tick.net.named_parameters()})

    keep = Watch(frames=f"0,{middle}", keep="2", film="none", checkpoint=1e9)
    run = experiment.perform(recipe, str(photo), out=tmp_path / "run", watch=keep, watchers=[look])
    left = seen[middle]
    first: dict[int, dict[str, torch.Tensor]] = {}

    def begin(tick: Tick) -> None:
        first.setdefault(tick.step, {n: p.detach().clone() for n, p in tick.net.named_parameters()})

    fork = experiment.fork(run, middle, CHANGES[change], out=tmp_path / "fork", watchers=[begin])
    assert min(first) == middle
    assert all(torch.equal(left[n], first[middle][n]) for n in left)
    assert fork.history[0]["step"] == middle == fork.frames()[0][0] == fork.steps()[0]
    if not CHANGES[change]:
        assert all(torch.equal(weights(run)[n], weights(fork)[n]) for n in weights(run))
    # A fork that stops at once goes on to what it would have been.
    cut = experiment.fork(run, middle, CHANGES[change], out=tmp_path / "cut", watchers=[stopping(middle)])
    assert cut.stopped_by
    again = experiment.resume(Run(cut.folder))
    assert lines(again) == lines(fork)
    assert all(torch.equal(weights(fork)[n], weights(again)[n]) for n in left)


def test_a_fork_that_stops_within_a_group_of_regrouped_goes_on_exactly(photo: Path, tmp_path: Path) -> None:
    recipe = BASES["regrouped"]
    run = experiment.perform(recipe, str(photo), out=tmp_path / "run", watch=QUIET)
    for change in CHANGES.values():
        whole = experiment.fork(run, 31, change, out=tmp_path / "whole")
        cut = experiment.fork(run, 31, change, out=tmp_path / "cut", watchers=[stopping(40)])
        assert cut.stopped_by and cut.checkpoint()[2]["step"] < whole.checkpoint()[2]["step"]
        again = experiment.resume(Run(cut.folder))
        assert all(torch.equal(weights(whole)[n], weights(again)[n]) for n in weights(whole))


# Other arithmetic ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["threads", "instruction_set", "engine", "products"])
def test_going_on_with_other_arithmetic_is_said_and_kept(photo: Path, tmp_path: Path, key: str) -> None:
    recipe = SMALL.replace(layer="fastfood", engine="eager") if key == "products" else SMALL
    run = experiment.perform(recipe, str(photo), out=tmp_path, watch=QUIET, watchers=[stopping(19)])
    assert {"threads", "instruction_set", "engine"} <= run.origin.keys()
    told: list[str] = []

    def say(event: str, facts: Any) -> None:
        if event == "note":
            told.append(facts["text"])

    origin = json.loads((run.folder / "origin.json").read_text())
    other = {"threads": 7, "instruction_set": "abacus", "engine": "steam", "products": "by hand"}[key]
    (run.folder / "origin.json").write_text(json.dumps(origin | {key: other}))
    again = experiment.resume(Run(run.folder), say=say)
    assert any(f"instead of {other}" in text and "other last bits" in text for text in told)
    kept = json.loads((again.folder / "origin.json").read_text())
    assert kept[key] == other and kept["continued"][-1][key] == origin[key]
    told.clear()
    experiment.resume(Run(run.folder), epochs=8, say=say)
    assert not any("instead of" in text for text in told)
