"""Jobs, their identity, and the local pool: nothing twice, nothing lost, failures said at once."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from here import Here

from sfumato import files
from sfumato.compare import workers
from sfumato.compare.workers import Job, _job, job, run_all
from sfumato.errors import Diverged, RunError
from sfumato.recipe import Recipe
from sfumato.runs import directory, listing

SMALL = Recipe(net=(4,), batch=16, steps=6, engine="eager", rate=0.01)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Pool", Here)


@pytest.fixture
def jobs(photo: Path) -> list[Job]:
    return [job(SMALL.replace(seed=seed), str(photo)) for seed in range(3)]


def test_results_are_run_directories_named_by_identity(jobs: list[Job], tmp_path: Path) -> None:
    """One pool: three fresh runs, and all of them again without a process."""
    results = list(run_all(jobs, tmp_path / "runs", workers=2))
    assert {r.job.identity for r in results} == {j.identity for j in jobs} and len(results) == 3
    for result in results:
        assert result.folder is not None and result.folder.name.endswith(result.job.identity)
        assert result.run.state == "done" and result.fresh and result.seconds > 0
        assert result.run.recipe == result.job.recipe and result.run.recipe.threads == 1
    again = list(run_all(jobs, tmp_path / "runs", workers=2))
    assert not any(r.fresh for r in again) and len(again) == 3
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {j.name for j in jobs}, (
        "nothing half done is left"
    )
    assert len(listing(tmp_path / "runs")) == 3


def test_a_short_run_waits_for_the_disk_once(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file before the run has its name, none twice; no checkpoint, which would be deleted at once."""
    synced: list[Path] = []
    written: list[str] = []
    save = files.save_bytes
    monkeypatch.setattr(files, "sync", synced.append)
    monkeypatch.setattr(
        directory, "save_bytes", lambda path, *a, **b: (written.append(path.name), save(path, *a, **b))
    )
    folder = _job.execute(jobs[0], str(tmp_path)).folder
    assert folder is not None and "checkpoint.safetensors" not in written
    names = sorted(path.name for path in folder.rglob("*") if path.is_file())
    assert sorted(path.name for path in synced if path.suffix or path.name == "lock") == names
    hidden = tmp_path / f".{folder.name}"
    assert all(hidden in path.parents for path in synced), "after its name it is too late"
    synced.clear()
    _job.execute(jobs[1], str(tmp_path), durable=False)
    assert not synced, "what is packed and sent away needs no disk"


def test_identity_is_recipe_source_and_version(
    jobs: list[Job], photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = jobs[0]
    assert len({j.identity for j in jobs}) == 3
    copy = photo.with_name("copy.png")
    copy.write_bytes(photo.read_bytes())
    assert job(first.recipe, str(copy)).identity == first.identity, "the same content under another name"
    assert dataclasses.replace(first, watch=workers.LIGHT, stop=3).identity == first.identity
    assert job(first.recipe).identity != first.identity
    monkeypatch.setattr(_job, "NUMBERS", workers.NUMBERS + 1)
    assert dataclasses.replace(first).identity != first.identity


def test_a_job_is_settled(photo: Path) -> None:
    """Engine and precision are written out, so that `auto` on two machines is not taken for the same."""
    made = job(SMALL.replace(engine="auto", precision="auto"), str(photo))
    assert made.recipe.engine != "auto" and made.recipe.precision != "auto"
    with pytest.raises(RunError, match="must be text"):
        job(Recipe(activation=lambda x: x))  # type: ignore[arg-type]


@pytest.mark.usefixtures("here")
def test_a_job_asked_for_twice_runs_once(jobs: list[Job], tmp_path: Path) -> None:
    assert len(list(run_all([jobs[0], jobs[0], jobs[0]], tmp_path / "runs", workers=2))) == 1


@pytest.mark.usefixtures("here")
def test_a_failure_is_a_result_and_only_divergence_is_remembered(photo: Path, tmp_path: Path) -> None:
    wild = job(SMALL.replace(optimizer="sgd", rate=1e5, steps=40), str(photo))
    lost = job(SMALL, str(tmp_path / "absent.png"))
    fine = job(SMALL, str(photo))
    results = {r.job.identity: r for r in run_all([wild, lost, fine], tmp_path / "runs", workers=1)}
    assert (
        results[wild.identity].error.startswith("diverged at step") and results[wild.identity].exit_code == 1
    )
    assert "absent.png" in results[lost.identity].error and results[lost.identity].exit_code == 2
    assert results[fine.identity].folder is not None
    again = {r.job.identity: r for r in run_all([wild, lost], tmp_path / "runs", workers=1)}
    assert not again[wild.identity].fresh and again[lost.identity].fresh
    assert again[wild.identity].error == results[wild.identity].error
    retried = next(run_all([wild], tmp_path / "runs", workers=1, retry_failed=True))
    assert retried.fresh and retried.error.startswith("diverged")


@pytest.mark.usefixtures("here")
def test_jobs_are_pulled_as_workers_come_free(jobs: list[Job], tmp_path: Path) -> None:
    """A generator sees the results so far before it is asked for more."""
    done: list[str] = []

    def asking() -> Iterator[Job]:
        for number, one in enumerate(jobs):
            assert len(done) >= number - 1, "one worker, so at most one job is under way"
            yield one

    for result in run_all(asking(), tmp_path / "runs", workers=1):
        done.append(result.job.identity)
    assert len(done) == 3


def test_a_pause_at_a_rung_goes_on_bit_for_bit(photo: Path, tmp_path: Path) -> None:
    watch = dataclasses.replace(workers.LIGHT, frames="0,2,4,6")
    whole = job(SMALL, str(photo), watch=watch)
    straight = _job.execute(whole, str(tmp_path / "straight"))
    for stop in (2, 4):
        paused = _job.execute(dataclasses.replace(whole, stop=stop), str(tmp_path / "rungs"))
        assert paused.run.last["step"] == stop
        assert not listing(tmp_path / "rungs"), "hidden until it is whole"
        assert _job.finished(dataclasses.replace(whole, stop=stop), tmp_path / "rungs") is not None
    ended = _job.execute(whole, str(tmp_path / "rungs"))
    weights = [r.run.net().state_dict() for r in (straight, ended)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert ended.run.history[-1]["psnr"] == straight.run.history[-1]["psnr"]


def test_a_full_disk_ends_it_all_and_says_so(jobs: list[Job], tmp_path: Path) -> None:
    error = RunError("cannot write x: No space left on device\nhint: free some space")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert workers.Result.failed(jobs[0], error, tmp_path).fatal
    assert not workers.Result.failed(jobs[0], RunError("other"), tmp_path).fatal
    assert not workers.Result.failed(jobs[0], Diverged("diverged"), tmp_path).fatal
    assert _job.failure(jobs[0], tmp_path, retry=False) is not None


# The pool ------------------------------------------------------------------------------------------------------


def _die_once(flag: str) -> str:
    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise() -> None:
    raise ValueError("no")


def _threads() -> tuple[int, str | None]:
    import torch

    return torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")


def _wait(flag: str) -> None:
    Path(flag).touch()
    time.sleep(600)


def test_a_worker_that_dies_is_replaced_and_its_call_tried_once_more(tmp_path: Path) -> None:
    calls = [
        ("once", _die_once, (str(tmp_path / "flag"),)),
        ("always", _die, ()),
        ("error", _raise, ()),
        ("threads", _threads, ()),
    ]
    with workers.Pool(2) as pool:
        found = {key: (value, error) for key, value, error in pool.results(iter(calls)) if key}
    assert found["once"][0] == "alive"
    assert found["always"][0] is None and "killed" in str(found["always"][1])
    assert isinstance(found["error"][1], ValueError)
    assert found["threads"][0] == (1, "1"), "one thread each, set explicitly"


def test_leaving_early_ends_the_processes(tmp_path: Path) -> None:
    with workers.Pool(1) as pool:
        for _ in pool.results(iter([("wait", _wait, (str(tmp_path / "begun"),))])):
            if (tmp_path / "begun").exists():
                break
            time.sleep(0.05)
        processes = [w.process for w in pool._busy]
    assert processes and not any(p.is_alive() for p in processes)
