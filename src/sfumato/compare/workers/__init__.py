"""Many runs: jobs in, results out in the order in which they end, on this machine or on a Ray cluster.

    for result in run_all(jobs, "runs"): ...

A job is a recipe and a source; its identity is a hash of both and of the version of the numbers; its result is a
run directory whose name ends in that hash. So running a job twice is harmless, what is on disk is not run again,
and nothing is ever renumbered or overwritten. Each net trains on one thread of a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from ...errors import RecipeError, RunError
from ...files import writing
from ._job import LIGHT, NUMBERS, Job, Result, beside, execute, failure, finished, job
from ._pool import Call, Pool

__all__ = ["LIGHT", "NUMBERS", "Job", "Pool", "Result", "beside", "job", "run_all"]


def run_all(
    jobs: Iterable[Job | None],
    out: str | os.PathLike[str],
    *,
    workers: int = 0,
    ray: str | None = None,
    gpus: float = 1.0,
    retry_failed: bool = False,
    store: str = "",
) -> Generator[Result, None, None]:
    """Run every job that has no result under `out` yet; yield a result for each job, once, as it ends.

    jobs are pulled one at a time when a worker is free, so a generator may decide by the results so far; None says
    that the next job depends on results that are still to come. workers:
    local processes, 0 = a core each. ray: the address of a cluster, or `local` for one of this machine alone; None:
    no Ray. gpus: share of a GPU for a job whose engine is cuda (Ray only). retry_failed: also those whose training
    diverged, which are otherwise remembered; every other failure is tried anew. A job that fails does not stop the
    others; leaving the loop does: runs in progress save their state and go on the next time. store: a folder that
    all nodes share, or an address such as s3://bucket/runs, where whole runs stay as tar files while only recipe,
    metrics and painting come home (Ray only).

    Raises RecipeError for numbers below 0, RunError if `out` cannot be written, if a disk is full, EngineError or
    MissingExtra from Ray.
    """
    if not gpus >= 0:
        raise RecipeError(f"gpus={gpus} must be a share of a GPU, 0 or more")
    folder = Path(out)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if ray is None:
        if store:
            raise RunError(
                "runs are left elsewhere by clusters only: this machine writes them where they belong"
            )
        with Pool(workers) as pool:
            yield from _local(jobs, folder, pool, retry_failed)
        return
    from ._cluster import run_on_cluster

    yield from run_on_cluster(_once(jobs), folder, ray, gpus, retry_failed, store)


def _once(jobs: Iterable[Job | None]) -> Iterator[Job | None]:
    """Each job once, however often it was asked for."""
    seen: set[tuple[str, int]] = set()
    for one in jobs:
        if one is None:
            yield None
        elif (one.identity, one.stop) not in seen:
            seen.add((one.identity, one.stop))
            yield one


def _local(jobs: Iterable[Job | None], out: Path, pool: Pool, retry_failed: bool) -> Iterator[Result]:
    """The jobs on a pool of this machine; a full disk ends everything, since every other run would fail too."""
    known: list[Result] = []

    def missing() -> Iterator[Call | None]:
        for one in _once(jobs):
            found = None if one is None else finished(one, out) or failure(one, out, retry_failed)
            if found is not None:
                known.append(found)
                yield None  # so that it is handed on before the next job is asked for
            else:
                yield None if one is None else (one, execute, (one, str(out)))

    for one, value, error in pool.results(missing()):
        while known:
            yield known.pop(0)
        if one is None:
            continue
        result = value if isinstance(value, Result) else Result.failed(one, error, out)
        if result.fatal:
            raise RunError(result.error)
        yield result
    yield from known
