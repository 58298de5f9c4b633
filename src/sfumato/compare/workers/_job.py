"""A job: what it is, where its result lies, and how it is run in whatever process it landed in."""

from __future__ import annotations

import errno
import functools
import hashlib
import importlib
import json
import re
import shutil
import time
import traceback
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...errors import Diverged, RunError, SfumatoError
from ...files import own, save_text, settle
from ...recipe import Recipe, net_text, parse_variant
from ...runs import RunDirectory
from ...runs.watch import Until, Watch

__all__ = ["LIGHT", "NUMBERS", "Job", "Result", "beside", "execute", "failure", "finished", "job"]

NUMBERS = 1
"""Version of the numbers: raised whenever the same recipe gives other weights, so that runs of an older version are
not taken for new ones."""

LIGHT = Watch(frames="24", keep="0", film="none", checkpoint=30.0)
"""What a compared run keeps: a curve, the paintings, the weights of its end; no film."""

FACTS = "job.json"
"""Beside the run's own files: identity, version of the numbers, seconds of the whole job."""


@dataclass(frozen=True)
class Job:
    """A recipe, settled for this machine, and what it learns.

    source: a picture file or a task's data; None: the task's own. digest: of the source's content. label: for
    names. stop: a step at which to pause with everything saved; 0: the end of the budget. needs: a module that
    whoever runs the job imports first, so that its task is known there.
    """

    recipe: Recipe
    source: str | None
    digest: str
    label: str
    watch: Watch = field(default=LIGHT, compare=False)
    stop: int = 0
    needs: str = field(default="", compare=False)

    @functools.cached_property
    def identity(self) -> str:
        """16 hexadecimal digits of recipe, source and version of the numbers; what is watched is no part of it."""
        what = [json.loads(self.recipe.to_json()), self.digest, NUMBERS]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """The run directory's name: what it is, and the identity."""
        shape = net_text(self.recipe.net).replace(",", "-")[:24]
        return f"{self.label}_{shape}-{parse_variant(self.recipe.activation)[0]}_{self.identity}"


@dataclass(frozen=True)
class Result:
    """What became of a job: a run directory, or an error in one to three lines.

    fresh: False if it was on disk already. seconds: wall time of the whole job. fatal: no other job would fare
    better (a full disk). details: a traceback, where the error was none of the package's own.
    """

    job: Job
    folder: Path | None
    error: str = ""
    exit_code: int = 0
    fresh: bool = True
    seconds: float = 0.0
    fatal: bool = False
    details: str = ""

    @classmethod
    def failed(cls, job: Job, error: BaseException, out: Path) -> Result:
        """The result of a job that raised; a divergence is remembered in a file beside the runs."""
        cause = error.__cause__
        full = isinstance(cause, OSError) and cause.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EROFS,
            errno.EACCES,
        )
        if isinstance(error, SfumatoError):
            text, code, details = str(error), error.exit_code, ""
        else:
            line = (str(error).strip().splitlines() or [""])[0]
            text, code = f"{type(error).__name__}: {line}", 1
            details = "".join(traceback.format_exception(error))
        if isinstance(error, Diverged):
            cls.remember(job, text, code, out)
        return cls(job, None, text, code, fatal=full, details=details)

    @staticmethod
    def remember(job: Job, error: str, exit_code: int, out: Path) -> None:
        """Note beside the runs that a job's training diverged."""
        save_text(_failure_file(job, out), json.dumps({"error": error, "code": exit_code}) + "\n")

    @property
    def run(self) -> RunDirectory:
        """The run directory; RunError if the job failed."""
        if self.folder is None:
            raise RunError(self.error)
        return RunDirectory(self.folder)


def job(
    recipe: Recipe,
    source: str | None = None,
    *,
    watch: Watch = LIGHT,
    stop: int = 0,
    needs: str = "",
    code: str = "",
) -> Job:
    """A job on one thread, with the engine and the precision that this machine gives it written out.

    needs: see `Job`. code: whatever else decides the result, such as the code of a task that is none of the
    package's own; it goes into the identity.

    Raises RecipeError for a recipe that is no JSON, EngineError if no engine can run it, RunError for a source that
    cannot be read.
    """
    from ... import experiment

    if not isinstance(recipe.activation, str) or not isinstance(recipe.encoding, str):
        raise RunError("a compared recipe must be text: its activation or encoding is a Python function")
    settled = experiment.settle(recipe.replace(threads=1))
    recipe = settled.recipe.replace(engine=settled.engine)
    digest, label = _digest(recipe.task, source)
    return Job(recipe, source, f"{digest}+{code}" if code else digest, label, watch, stop, needs)


def _digest(task: str, source: str | None) -> tuple[str, str]:
    path = Path(source) if source is not None else None
    if path is None or not path.is_file():
        name = source or ("mona-lisa" if task == "picture" else task)
        return f"{task}:{name}", _safe(name)
    state = path.stat()
    return _file_digest(str(path.resolve()), state.st_mtime_ns, state.st_size), _safe(path.stem)


@functools.lru_cache(maxsize=1024)
def _file_digest(path: str, changed: int, size: int) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]", "-", name)[:40].strip("-.") or "run"


# On disk ---------------------------------------------------------------------------------------------------------


def finished(job: Job, out: Path) -> Result | None:
    """The result that lies on disk already, if there is one."""
    folder = out / job.name
    if not (folder / "recipe.json").exists():
        begun = _begun(job, out) if job.stop else None
        if begun is None or not begun.last or begun.last["step"] < job.stop:
            return None
        folder = begun.folder
    facts = read_facts(folder)
    return Result(job, folder, "", 0, False, float(facts.get("seconds", 0)))


def failure(job: Job, out: Path, retry: bool) -> Result | None:
    """The divergence that is remembered of a job; forgotten if `retry`."""
    path = _failure_file(job, out)
    if not path.exists():
        return None
    if retry:
        path.unlink()
        return None
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Result(job, None, str(known.get("error")), int(known.get("code", 1)), fresh=False)


def read_facts(folder: Path) -> dict[str, Any]:
    """What the job noted about a run; empty if it noted nothing."""
    try:
        value = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def unfinished(job: Job, out: Path) -> Path:
    """The folder in which a job's run grows until it is whole; hidden, so that listings pass it over."""
    return out / f".{job.name}"


def _begun(job: Job, out: Path) -> RunDirectory | None:
    """The run that a job has begun, if there is one that can go on."""
    for path in sorted(unfinished(job, out).glob("*/checkpoint.safetensors")):
        try:
            return RunDirectory(path.parent)
        except RunError:
            continue
    return None


def _failure_file(job: Job, out: Path) -> Path:
    return out / f".{job.name}.failed.json"


# Running ---------------------------------------------------------------------------------------------------------

_HERE: ContextVar[Path] = ContextVar("the folder of the runs among which a job is at work")


def beside(name: str) -> RunDirectory:
    """A finished run of this folder, for the task of a job that reads what another one left.

    name: its directory's. Raises RunError outside of a job, and where there is no such run.
    """
    place = _HERE.get(None)
    if place is None:
        raise RunError(f"run {name!r} is read by jobs only\nhint: sfumato study goes on with runs of its own")
    return RunDirectory(own(place, name, room=True))


class Rung(Until):
    """Pause at a step that is a beat."""

    def reached(self, tick: Any, line: Any) -> bool:
        """Whether the step is there."""
        return bool(tick.step >= self.value)


def execute(job: Job, out: str, *, durable: bool = True) -> Result:
    """Run a job, or go on with it, in this process; what it leaves under `out` is whole or hidden.

    durable: a finished run is on the disk before it gets its name; not needed where it is packed and sent away.
    Raises what `experiment.perform` raises, KeyboardInterrupt if a signal stopped it with its state saved.
    """
    place = Path(out)
    before = _HERE.set(place)
    try:
        if job.needs:
            importlib.import_module(job.needs)
        return _executed(job, place, durable)
    finally:
        _HERE.reset(before)


def _executed(job: Job, place: Path, durable: bool) -> Result:
    from ... import experiment

    done = finished(job, place)
    if done is not None:
        return done
    started = time.perf_counter()
    growing = unfinished(job, place)
    pause = Rung("step", job.stop) if job.stop else None
    begun = _begun(job, place)
    if begun is None:
        shutil.rmtree(growing, ignore_errors=True)
        run = experiment.perform(
            job.recipe, job.source, out=growing, name=job.label, watch=job.watch, until=pause, draft=True
        )
    elif begun.state == "done" and (begun.folder / "painting.png").exists():
        run = begun  # all of it was there but the new name
    else:
        run = experiment.resume(begun, until=pause, draft=True)
    if run.stopped_by:
        raise KeyboardInterrupt
    seconds = time.perf_counter() - started + float(read_facts(run.folder).get("seconds", 0))
    facts = {"identity": job.identity, "numbers": NUMBERS, "watch": asdict(job.watch), "seconds": seconds}
    run.save(FACTS, (json.dumps(facts) + "\n").encode())
    if run.state == "interrupted":  # paused at a rung
        return Result(job, run.folder, seconds=seconds)
    # One from the way there: three copies of the weights in full, of which views read the half that stays.
    (run.folder / "checkpoint.safetensors").unlink(missing_ok=True)
    if durable:
        settle([path for path in run.folder.rglob("*") if path.is_file()])
    folder = place / job.name
    run.folder.replace(folder)
    shutil.rmtree(growing, ignore_errors=True)
    return Result(job, folder, seconds=seconds)
