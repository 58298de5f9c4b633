"""Jobs on a Ray cluster, as Ray core tasks (not Tune: for thousands of runs of seconds each it is all overhead).

A task is a batch of jobs that takes a few seconds. It gets the pictures by reference (each lies in the object store
once), trains each job in a folder of its own node, and returns the run directories packed, which the driver unpacks
on its own disk. So nodes need share no disk, and a task that runs again because its node was lost does no harm.
With a store (anything that fsspec writes to: a shared folder, s3://...) whole runs stay there as tar files, and
only their records come home: what a table is made of.
The only module that imports ray.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import socket
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import EngineError, MissingExtra, RunError
from ...files import settle, writing
from ._job import Job, Result, execute, failure, finished, unfinished

__all__ = ["run_on_cluster"]

BATCH_SECONDS = 4.0
"""How long a task should take: its cost of about 10 ms vanishes, and little is lost with a node."""

MOST_IN_BATCH = 64

RECORDS = ("recipe.json", "origin.json", "metrics.jsonl", "job.json", "painting.png")
"""What comes home of a run that is left in a store."""

NODE_LOSSES = 100
"""How often a batch is sent out again because its node went, as pre-empted ones do: it says nothing of its jobs."""

TRIES = 4
"""How often a batch is sent out again after its workers or nodes were lost, beyond Ray's own retries."""

ANSWERS_WITHIN = 10.0
"""Seconds within which a cluster has to answer."""

END: Any = object()

Answer = tuple[str, bytes, str, int, bool, str, float]
"""identity, packed run, error, exit code, fatal, details, seconds."""


def run_on_cluster(
    jobs: Iterator[Job | None], out: Path, address: str, gpus: float, retry: bool, store: str = ""
) -> Iterator[Result]:
    """The missing jobs on the cluster at `address`, or on this machine alone for `local`; see `run_all`.

    Raises MissingExtra without ray, EngineError if no cluster answers.
    """
    place = _store(store)
    ray = _connected(address)
    try:
        yield from _Driver(ray, out, gpus, place).results(jobs, retry)
    finally:
        ray.shutdown()


def _connected(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtra('--ray needs Ray\nhint: pip install "sfumato[sweep]"') from error
    if ray.is_initialized():
        raise EngineError("this process is connected to a Ray cluster already\nhint: ray.shutdown() first")
    if address != "local":
        _knock(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    try:
        if address == "local":
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else a token is written into the home folder
            # The path of its sockets must be short (107 characters in all), so not below the working folder.
            place = tempfile.mkdtemp(prefix="sf-ray-", dir="/tmp" if Path("/tmp").is_dir() else None)
            ray.init(include_dashboard=False, _temp_dir=place, **quiet)
        else:
            ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own for this
        raise _silent(address, error) from error
    return ray


def _knock(address: str) -> None:
    """Refuse an address where nothing listens: Ray itself tries for minutes before it says so."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # `auto`, which Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise _silent(address, error) from error


def _silent(address: str, error: Exception) -> EngineError:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return EngineError(
        f"no Ray cluster answers at {address!r}: {line}\nhint: ray start --head, or --ray local"
    )


class _Driver:
    """What the driver knows: pictures in the store, batches under way, how long a job takes."""

    def __init__(self, ray: Any, out: Path, gpus: float, store: str) -> None:
        self._ray, self._out, self._gpus, self._store = ray, out, gpus, store
        self._sources: dict[str, Any] = {}
        self._seconds: list[float] = []
        self._under_way: dict[Any, tuple[list[Job], int, int]] = {}  # batch, deaths, losses of its node
        self._again: list[tuple[list[Job], int, int]] = []
        # One CPU a net. A GPU only where a job's engine is cuda: num_gpus=0 hides none since Ray of April 2026, but
        # the engine that a job names is settled by the driver, and no other one touches a GPU.
        self._task = ray.remote(num_cpus=1, max_retries=3)(_train)

    def results(self, jobs: Iterator[Job | None], retry: bool) -> Iterator[Result]:
        known: list[Result] = []

        more = True
        while more or self._under_way or self._again or known:
            yield from known
            known.clear()
            room = 2 * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
            while self._again and len(self._under_way) < room:
                self._send(*self._again.pop())
            while more and not known and len(self._under_way) < room:
                batch: list[Job] = []
                while len(batch) < self._batch():
                    one = next(jobs, END)
                    if one is END or one is None:  # the end, or nothing for the moment
                        more = one is None
                        break
                    found = finished(one, self._out) or failure(one, self._out, retry)
                    if found is not None:
                        known.append(found)  # handed on before the next job is asked for
                        break
                    batch.append(one)
                if not batch:
                    break
                self._send(batch, 0, 0)
            yield from self._arrived()

    def _batch(self) -> int:
        """Jobs in a task, by the seconds that recent ones took; the first batches hold one."""
        if not self._seconds:
            return 1
        recent = sorted(self._seconds[-50:])
        return max(1, min(MOST_IN_BATCH, int(BATCH_SECONDS / max(recent[len(recent) // 2], 0.01))))

    def _send(self, batch: list[Job], deaths: int, losses: int) -> None:
        sources = [self._stored(one.source) for one in batch]
        begun = [_packed(unfinished(one, self._out)) for one in batch]
        needs = {"num_gpus": self._gpus} if any(one.recipe.engine == "cuda" for one in batch) else {}
        task = self._task.options(**needs) if needs else self._task
        self._under_way[task.remote(batch, begun, self._store, *sources)] = (batch, deaths, losses)

    def _stored(self, source: str | None) -> Any:
        """A reference to (suffix, bytes) of a picture; the same for every job that learns it."""
        if source is None or not Path(source).is_file():
            return None
        if source not in self._sources:
            self._sources[source] = self._ray.put((Path(source).suffix, Path(source).read_bytes()))
        return self._sources[source]

    def _arrived(self) -> Iterator[Result]:
        """Results of the batches that ended within a second."""
        if not self._under_way:
            return
        ready, _ = self._ray.wait(list(self._under_way), num_returns=1, timeout=1.0)
        for reference in ready:
            batch, deaths, losses = self._under_way.pop(reference)
            try:
                answers: list[Answer] = self._ray.get(reference)
            except (
                Exception
            ) as error:  # the worker, its node or the result was lost more often than Ray retries
                yield from self._lost(batch, deaths, losses, error)
                continue
            by_identity = {one.identity: one for one in batch}
            for answer in answers:
                yield self._home(by_identity[answer[0]], answer)

    def _lost(self, batch: list[Job], deaths: int, losses: int, error: Exception) -> Iterator[Result]:
        """Each job of a lost batch by itself, so that one that kills its worker does not take others along.

        A node that went is no failure of the job: pre-emption is told from a worker that died.
        """
        gone = node_went(error)
        deaths, losses = deaths + (not gone), losses + gone
        if deaths <= TRIES and losses <= NODE_LOSSES:
            self._again += [([one], deaths, losses) for one in batch]
            return
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        what = f"its node went {losses} times" if gone else f"its worker died {deaths} times on the cluster"
        for one in batch:
            yield Result(one, None, f"{what}: {line}", 1)

    def _home(self, one: Job, answer: Answer) -> Result:
        """Unpack what a task returned, whole or not at all."""
        _, packed, error, code, fatal, details, seconds = answer
        if error:
            if fatal:
                raise RunError(error)
            result = Result(one, None, error, code, details=details, seconds=seconds)
            if error.startswith("diverged"):
                Result.remember(one, error, code, self._out)
            return result
        self._seconds.append(seconds)
        growing = unfinished(one, self._out)
        shutil.rmtree(growing, ignore_errors=True)
        with writing(growing):
            growing.mkdir(parents=True)
            _unpack(packed, growing)
        whole = growing / one.name
        if not whole.exists():  # paused at a rung: it stays hidden
            return replace(_expected(finished(one, self._out)), fresh=True, seconds=seconds)
        place = self._out / one.name
        if not place.exists():
            settle([path for path in whole.rglob("*") if path.is_file()])
            with writing(place):
                whole.replace(place)
        shutil.rmtree(growing, ignore_errors=True)
        return Result(one, place, seconds=seconds)


def node_went(error: Exception) -> bool:
    """Whether Ray lost a whole node with the task or its result, as when it is pre-empted, rather than a worker."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"NodeDiedError", "ObjectLostError", "OwnerDiedError", "NodePreemptedError"})


def _store(url: str) -> str:
    """A place for whole runs as every node finds it; EngineError if it cannot be written to."""
    if not url:
        return ""
    place = url if "://" in url else str(Path(url).resolve())
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(place)
        system.makedirs(path, exist_ok=True)
        with fsspec.open(f"{place}/.sfumato", "wb") as file:
            file.write(b"")
    except ImportError as error:  # fsspec itself, or what it needs for s3:// and the like
        raise MissingExtra(f"{url}: {error}\nhint: pip install the package that it names") from error
    except Exception as error:  # each file system raises its own
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineError(f"runs cannot be left at {url!r}: {line}") from error
    return place


def _left(store: str, name: str, folder: Path) -> bytes:
    """Put a whole run into the store, under a name that says what it is; its records, packed, to come home."""
    import fsspec

    with fsspec.open(f"{store}/{name}.tar", "wb") as file:
        file.write(_packed(folder))
    return _packed(folder, RECORDS)


def _expected(result: Result | None) -> Result:
    if result is None:
        raise RunError("a node sent back less than it was asked for")
    return result


def _unpack(packed: bytes, folder: Path) -> None:
    """What `_packed` packed. Python before 3.11.4 (Debian 12 has 3.11.2) has no filters for untrusted archives."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)


def _packed(folder: Path, only: Sequence[str] = ()) -> bytes:
    """What a folder holds, as a tar file (pictures and weights would not shrink); empty if there is none.

    only: the files to take, of those that are there.
    """
    if not folder.is_dir():
        return b""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(p for p in folder.iterdir() if not only or p.name in only):
            archive.add(path, arcname=path.name)
    return buffer.getvalue()


def _train(
    batch: Sequence[Job], begun: Sequence[bytes], store: str, *sources: tuple[str, bytes] | None
) -> list[Answer]:
    """A task: every job of a batch in a folder of this node; errors are answers."""
    # Ray sets OMP_NUM_THREADS to num_cpus, and CPUs are only counted: one thread is said to PyTorch as well.
    import torch

    torch.set_num_threads(1)
    answers: list[Answer] = []
    for one, before, source in zip(batch, begun, sources, strict=True):
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="sfumato-") as place:
            out = Path(place)
            try:
                here = replace(one, source=_written(source) if source else one.source)
                if before:
                    _unpack(before, unfinished(one, out))
                result = execute(here, place, durable=False)
                whole = result.folder == out / one.name
                if whole and store:
                    records = _left(store, one.name, out / one.name)
                    shutil.rmtree(out / one.name)
                    _unpack(records, out / one.name)
                packed = _packed(out if whole else unfinished(one, out))
                answers.append((one.identity, packed, "", 0, False, "", time.perf_counter() - started))
            except Exception as error:
                failed = Result.failed(one, error, out)
                facts = (failed.error, failed.exit_code, failed.fatal, failed.details)
                answers.append((one.identity, b"", *facts, time.perf_counter() - started))
    return answers


def _written(source: tuple[str, bytes]) -> str:
    """A picture as a file of this node, under the hash of its content."""
    suffix, content = source
    name = hashlib.sha256(content).hexdigest()[:24]
    path = Path(tempfile.gettempdir()) / "sfumato-sources" / f"{name}{suffix}"
    if not path.exists():
        from ...files import save_bytes

        save_bytes(path, content, folders=True)
    return str(path)
