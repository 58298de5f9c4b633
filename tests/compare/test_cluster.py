"""Jobs on a real Ray cluster of three nodes on this machine, some of which are taken away while it works."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sfumato.compare.workers import _cluster, _job, job, run_all
from sfumato.errors import EngineError, RunError
from sfumato.recipe import Recipe
from sfumato.runs import listing

SMALL = Recipe(net=(4,), batch=16, steps=6, engine="eager", rate=0.01)

# Ray's own modules warn of what Ray will change; they are no part of what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes of a CPU each.

    A short folder, since socket paths end at 107 characters; health checks of seconds, since busy nodes are not
    dead; no token in the home folder.
    """
    place = tempfile.mkdtemp(prefix="sf", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_TMPDIR", place)
        Path(place, "ray").mkdir()
        from ray.cluster_utils import Cluster

        slow = {
            "health_check_initial_delay_ms": 5000,
            "health_check_period_ms": 2000,
            "health_check_timeout_ms": 10_000,
        }
        made = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "include_dashboard": False,
                "object_store_memory": 100 << 20,
                "_system_config": slow,
            },
        )
        for _ in range(2):
            made.add_node(num_cpus=1, object_store_memory=100 << 20)
        made.wait_for_nodes()
        try:
            yield made
        finally:
            made.shutdown()
            shutil.rmtree(place, ignore_errors=True)


def test_a_lost_node_costs_nothing_but_time(cluster: Any, photo: Path, tmp_path: Path) -> None:
    """Thirty runs, a node lost in the middle, another in its place; a failure among them; all of it once more."""
    jobs = [job(SMALL.replace(seed=seed), str(photo)) for seed in range(30)]
    wild = job(SMALL.replace(optimizer="sgd", rate=1e5, steps=40), str(photo))
    out = tmp_path / "runs"
    results = []
    for result in run_all([*jobs, wild], out, ray=cluster.address):
        results.append(result)
        if len(results) == 5:
            cluster.remove_node(cluster.list_all_nodes()[-1], False)
            cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    assert sorted(r.job.identity for r in results) == sorted(j.identity for j in [*jobs, wild]), "each once"
    failed = [r for r in results if r.error]
    assert [r.job.identity for r in failed] == [wild.identity] and failed[0].error.startswith("diverged")
    assert len(listing(out)) == len(jobs) and {p.name for p in out.iterdir() if p.is_dir()} == {
        j.name for j in jobs
    }
    for result in results[:3]:
        alone = _job.execute(result.job, str(tmp_path / "alone")) if not result.error else result
        assert result.error or alone.run.last["psnr"] == result.run.last["psnr"], (
            "what a node trains is the same"
        )
    started = time.monotonic()
    again = list(run_all([*jobs, wild], out, ray=cluster.address))
    assert not any(r.fresh for r in again) and len(again) == 31, f"{time.monotonic() - started:.1f} s"


def test_a_cluster_that_does_not_answer_is_one_line(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no Ray cluster answers at '127\.0\.0\.1:1'.*\nhint"):
        list(run_all([job(SMALL, str(photo))], tmp_path / "runs", ray="127.0.0.1:1"))


def test_runs_come_home_where_archives_know_no_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian 12 has Python 3.11.2; filters came with 3.11.4."""
    new = tarfile.TarFile.extractall

    def old(self: tarfile.TarFile, path: Path, members: Any = None, *, numeric_owner: bool = False) -> None:
        new(self, path, members, numeric_owner=numeric_owner)

    monkeypatch.setattr(tarfile.TarFile, "extractall", old)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")
    _cluster._unpack(_cluster._packed(tmp_path / "run"), tmp_path / "home")
    assert (tmp_path / "home" / "recipe.json").read_text() == "{}"


def test_whole_runs_stay_in_a_store_and_their_records_come_home(
    cluster: Any, photo: Path, tmp_path: Path
) -> None:
    jobs = [job(SMALL.replace(seed=seed), str(photo)) for seed in range(3)]
    out, store = tmp_path / "runs", tmp_path / "store"
    results = list(run_all(jobs, out, ray=cluster.address, store=str(store)))
    assert not any(result.error for result in results)
    assert {path.name for path in store.glob("*.tar")} == {f"{one.name}.tar" for one in jobs}
    for result in results:
        assert {path.name for path in result.run.folder.iterdir()} <= set(_cluster.RECORDS)
        assert result.run.last["step"] == 6 and result.run.recipe.seed in (0, 1, 2)
    with tarfile.open(store / f"{jobs[0].name}.tar") as archive:
        assert any(name.startswith("weights/") for name in archive.getnames())
    again = list(run_all(jobs, out, ray=cluster.address, store=str(store)))
    assert not any(result.fresh for result in again), "what came home is not run again"


def test_a_store_that_cannot_be_written_is_one_line(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(EngineError, match=r"runs cannot be left at '.*file/runs'"):
        list(
            run_all(
                [job(SMALL, str(photo))], tmp_path / "out", ray="local", store=str(tmp_path / "file/runs")
            )
        )
    with pytest.raises(RunError, match="by clusters only"):
        list(run_all([job(SMALL, str(photo))], tmp_path / "out", store=str(tmp_path / "store")))


def test_a_node_that_went_is_no_failure_of_its_jobs(photo: Path, tmp_path: Path) -> None:
    """A hundred losses of nodes are forgiven, a fifth death of a worker is told."""
    from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, WorkerCrashedError

    lost = ObjectLostError("0" * 56, "", "")
    assert _cluster.node_went(NodeDiedError("gone")) and _cluster.node_went(lost)
    assert not _cluster.node_went(WorkerCrashedError()) and not _cluster.node_went(OutOfMemoryError("full"))
    one = job(SMALL, str(photo))
    driver = _cluster._Driver.__new__(_cluster._Driver)
    driver._again = []
    assert list(driver._lost([one, one], 4, 7, NodeDiedError("gone"))) == []
    assert driver._again == [([one], 4, 8), ([one], 4, 8)]
    (told,) = driver._lost([one], 4, 0, WorkerCrashedError())
    assert told.error.startswith("its worker died 5 times on the cluster")
    (told,) = driver._lost([one], 0, 100, NodeDiedError("gone"))
    assert told.error.startswith("its node went 101 times")
