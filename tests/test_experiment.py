"""Runs from end to end: what is written, stopped by a signal, killed, resumed, forked, held by another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sfumato import experiment, picture
from sfumato.errors import EngineError, RecipeError, RunError
from sfumato.learning.session import Tick
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.runs import find, listing
from sfumato.runs.watch import Until, Watch
from sfumato.tasks import _idx

SMALL = Recipe(net=(12, 7), batch=16, epochs=6.0, engine="eager", threads=1, rate=0.01)
QUIET = Watch(frames="6", keep="3", film="none", checkpoint=1e9)


def at_step(step: int, act: object) -> object:
    """A watcher that acts once, at the first tick at or after a step."""
    done = []

    def watch(tick: Tick) -> None:
        if tick.step >= step and not done:
            done.append(tick.step)
            act(tick)  # type: ignore[operator]

    return watch


def same(a: Run, b: Run) -> bool:
    """Whether weights and optimizer of two runs are equal bit for bit."""
    (wa, sa, fa), (wb, sb, fb) = a.checkpoint(), b.checkpoint()
    return (
        fa["step"] == fb["step"]
        and all(torch.equal(wa[k], wb[k]) for k in wa | wb)
        and all(torch.equal(sa[k], sb[k]) for k in sa | sb)
    )


def test_a_run_directory_holds_all_it_promises(photo: Path, tmp_path: Path) -> None:
    run = experiment.perform(SMALL, str(photo), out=tmp_path / "runs", watch=QUIET)
    found = {p.name for p in run.folder.iterdir()}
    assert {
        "recipe.json",
        "origin.json",
        "metrics.jsonl",
        "frames",
        "weights",
        "checkpoint.safetensors",
    } <= found
    assert {"target.png", "painting.png"} <= found
    assert not list(run.folder.rglob(".*")), "temporary files are left"
    steps = [line["step"] for line in run.history]
    assert steps == [s for s, _ in run.frames()]
    assert steps[0] == 0 and steps[-1] == 48 and len(steps) >= 5
    assert run.steps()[0] == 0 and run.steps()[-1] == 48
    assert run.state == "done"
    assert json.loads((run.folder / "recipe.json").read_text())["rate"] == 0.01
    painted = picture.load(run.folder / "painting.png")
    assert np.abs(painted.values - Run.of(run).image().values).max() <= 0.5 / 255 + 1e-6


def test_resuming_after_a_signal_equals_never_stopping(photo: Path, tmp_path: Path) -> None:
    whole = experiment.perform(SMALL, str(photo), out=tmp_path / "whole", watch=QUIET)
    for number in (signal.SIGINT, signal.SIGTERM):
        stop = at_step(19, lambda tick, n=number: os.kill(os.getpid(), n))
        before = signal.getsignal(number)
        run = experiment.perform(
            SMALL, str(photo), out=tmp_path / f"cut{number}", watch=QUIET, watchers=[stop]
        )
        assert run.stopped_by == number
        assert run.state == "interrupted"
        assert signal.getsignal(number) == before
        again = experiment.resume(Run(run.folder))
        assert again.stopped_by == 0
        assert same(whole, again)
        assert [line["step"] for line in again.history] == [line["step"] for line in whole.history]
        assert [line["psnr"] for line in again.history] == [line["psnr"] for line in whole.history]


def test_resuming_after_kill_9_equals_never_stopping(photo: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from sfumato import experiment\n"
        "from sfumato.runs.watch import Watch\n"
        "from sfumato.recipe import Recipe\n"
        f"recipe = Recipe.from_json({SMALL.to_json()!r})\n"
        "def die(tick):\n"
        "    if tick.step >= 23: os.kill(os.getpid(), signal.SIGKILL)\n"
        "watch = Watch(frames='6', keep='3', film='none', checkpoint=0.0)\n"
        f"out = {str(tmp_path / 'killed')!r}\n"
        f"experiment.perform(recipe, {str(photo)!r}, out=out, watch=watch, watchers=[die])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (run,) = listing(tmp_path / "killed")
    assert run.state == "interrupted"
    whole = experiment.perform(SMALL, str(photo), out=tmp_path / "whole", watch=QUIET)
    assert same(whole, experiment.resume(run))


def test_watching_never_changes_the_weights(photo: Path, tmp_path: Path) -> None:
    every = Watch(frames="every:1", keep="every:5", film="none", checkpoint=0.0)
    a = experiment.perform(SMALL, str(photo), out=tmp_path / "a", watch=QUIET)
    b = experiment.perform(SMALL, str(photo), out=tmp_path / "b", watch=every)
    assert same(a, b)


def test_more_epochs_go_on_from_where_a_run_ended(photo: Path, tmp_path: Path) -> None:
    run = experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET)
    with pytest.raises(RunError, match="is done"):
        experiment.resume(run)
    longer = experiment.resume(Run(run.folder), epochs=9)
    assert longer.last["step"] == 72
    assert longer.recipe.epochs == 9
    assert longer.state == "done"


def test_a_stopped_run_that_is_past_the_epochs_asked_for_is_not_called_done(
    photo: Path, tmp_path: Path
) -> None:
    def fail(tick: Any) -> None:
        if tick.step >= 23:
            raise RuntimeError

    watch = Watch(frames="6", keep="3", film="none", checkpoint=0.0)
    with pytest.raises(RuntimeError):
        experiment.perform(SMALL, str(photo), out=tmp_path, watch=watch, watchers=[fail])
    (run,) = listing(tmp_path)
    with pytest.raises(RunError, match=r"has reached 1 epochs already(.|\n)*resume .* goes on to the end"):
        experiment.resume(run, epochs=1)
    assert experiment.resume(Run(run.folder)).state == "done"


def test_a_fork_leaves_its_run_exactly_at_the_step(photo: Path, tmp_path: Path) -> None:
    run = experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET)
    twin = experiment.fork(run, 20, {}, out=tmp_path / "forks")
    assert same(run, twin)
    other = experiment.fork(run, 20, {"rate": 0.002}, out=tmp_path / "forks")
    assert not same(run, other)
    assert run.recipe.rate == 0.01 and other.recipe.rate == 0.002
    with pytest.raises(RecipeError, match="cannot change net"):
        experiment.fork(run, 20, {"net": "3x5"}, out=tmp_path / "forks")
    with pytest.raises(RecipeError, match=r"fork step 20 must lie .*: 0 to 2\Z"):  # of the shorter budget
        experiment.fork(run, 20, {"steps": 3}, out=tmp_path / "forks")


def test_a_second_process_is_refused(photo: Path, tmp_path: Path) -> None:
    run = experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET)
    with run.lock():
        assert Run(run.folder).state == "running"
        with pytest.raises(RunError, match="in use by another process"):
            experiment.resume(Run(run.folder), epochs=9)
    assert Run(run.folder).state == "done"


def test_a_full_disk_leaves_a_readable_run_that_goes_on(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = experiment.perform(SMALL, str(photo), out=tmp_path / "whole", watch=QUIET)
    original = os.write
    room = [20]

    def filling(descriptor: int, content: bytes) -> int:
        room[0] -= 1
        if room[0] < 0:
            original(descriptor, content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        return original(descriptor, content)

    often = Watch(frames="6", keep="3", film="none", checkpoint=0.0)
    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(RunError, match="No space left on device\nhint: free some space"):
        experiment.perform(SMALL, str(photo), out=tmp_path / "full", watch=often)
    monkeypatch.undo()
    (run,) = listing(tmp_path / "full")
    assert run.state == "interrupted"
    assert not list(run.folder.rglob(".*"))
    assert same(whole, experiment.resume(run))


def test_divergence_keeps_the_last_good_checkpoint(photo: Path, tmp_path: Path) -> None:
    wild = SMALL.replace(rate=1e5, optimizer="sgd", schedule="constant")
    often = Watch(frames="6", keep="3", film="none", checkpoint=0.0)
    with pytest.raises(RunError, match=r"diverged at step \d+.*\nhint: try --rate"):
        experiment.perform(wild, str(photo), out=tmp_path, watch=often)
    (run,) = listing(tmp_path)
    weights, _, _ = run.checkpoint()
    assert all(torch.isfinite(w).all() for w in weights.values())


def test_held_out_pixels_are_scored_apart(photo: Path, tmp_path: Path) -> None:
    run = experiment.perform(SMALL.replace(held_out="0.25"), str(photo), out=tmp_path, watch=QUIET)
    assert run.origin["samples"] == 117 - 29
    assert {"psnr", "psnr_seen", "psnr_hidden"} <= set(run.last)


def test_a_target_ends_the_run_early_or_is_reported_missed(photo: Path, tmp_path: Path) -> None:
    soon = experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET, until=Until.parse("psnr=1"))
    assert soon.reached and soon.last["step"] < 48
    never = experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET, until=Until.parse("psnr=99"))
    assert not never.reached and never.last["step"] == 48
    with pytest.raises(RecipeError, match="until="):
        Until.parse("loss=3")


def test_runs_are_found_by_path_part_and_last(photo: Path, tmp_path: Path) -> None:
    run = experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET)
    for text in (str(run.folder), run.name[-4:], "last"):
        assert find(text, str(tmp_path)).folder == run.folder
    with pytest.raises(RunError, match="not found"):
        find("no-such", str(tmp_path))
    with pytest.raises(RunError, match="not a run directory"):
        find(str(tmp_path), str(tmp_path))


def test_torn_metrics_and_damaged_checkpoints_are_told_apart(photo: Path, tmp_path: Path) -> None:
    run = experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET)
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 49, "los')
    assert run.last["step"] == 48
    path = run.folder / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="is damaged"):
        experiment.resume(Run(run.folder), epochs=9)
    assert run.net(48).parameter_count == run.origin["parameters"]


def test_exact_values_that_8_bits_cannot_hold_survive(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    picture.save(picture.from_array(np.random.default_rng(1).random((24, 32, 3), np.float32)), path)
    small = SMALL.replace(options={"max_pixels": 100})
    run = experiment.perform(small, str(path), out=tmp_path / "runs", watch=QUIET)
    data, _ = experiment.prepare(small, str(path))
    assert np.array_equal(run.target.values, data.facts["picture"].values)


def test_a_task_goes_on_with_the_data_that_it_took_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> object:
        raise _idx.Absent("no network here")

    monkeypatch.setattr(_idx, "read", absent)
    recipe = SMALL.replace(task="digits", encoding="raw", batch=500, epochs=1)
    run = experiment.perform(recipe, None, out=tmp_path, watch=QUIET)
    assert run.origin["source"] == "digits8x8"
    once = run.last["step"]
    monkeypatch.undo()  # now the larger set may be there
    again = experiment.resume(Run(run.folder), epochs=2)
    assert again.last["step"] == 2 * once


def test_what_an_engine_refuses_leaves_no_run_and_changes_none(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An optimizer that wants other batches, threads that cannot start: known only when a session is made."""
    run = experiment.perform(SMALL, str(photo), out=tmp_path / "runs", watch=QUIET)
    whole = SMALL.replace(optimizer="lbfgs", batch=16)
    with pytest.raises(RecipeError, match="looks at all"):
        experiment.perform(whole, str(photo), out=tmp_path / "refused", watch=QUIET)
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    made = experiment._begin

    def refuses(net: Any, data: Any, recipe: Recipe, *more: Any) -> Any:
        if recipe.epochs != SMALL.epochs:
            raise EngineError("no threads")
        return made(net, data, recipe, *more)

    monkeypatch.setattr(experiment, "_begin", refuses)
    with pytest.raises(EngineError):
        experiment.resume(run, epochs=9)
    with pytest.raises(EngineError):
        experiment.fork(run, 5, {"epochs": 9.0}, out=tmp_path / "refused")
    with pytest.raises(EngineError):
        experiment.perform(SMALL.replace(epochs=2), str(photo), out=tmp_path / "refused")
    after = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    assert after == before and not list((tmp_path / "refused").glob("*"))
