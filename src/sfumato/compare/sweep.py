"""A sweep: many values of a recipe's fields, as jobs; poor trials stopped early, the best points told.

A sweep goes on where it stopped: trials are found by their hash, and what a search asked and what halving decided
is written down before it is acted on.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
import statistics as middles
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingExtra, RecipeError, RunError
from ..files import append, save_text, writing
from ..recipe import steps_per_epoch
from ..runs.lock import holding
from .comparison import Say
from .folders import claim
from .sweep_file import Sweep
from .workers import LIGHT, Job, Result, job, run_all

__all__ = ["Trial", "run", "text", "write_csv"]


FEW = replace(LIGHT, frames="8")
"""A sweep wants the end of each run and hardly its curve: a frame of a small picture costs 2 ms."""


@dataclass
class Trial:
    """A point of the sweep and what became of it: the score where it stands, the error, or stopped at a rung."""

    number: int
    values: dict[str, Any]
    score: float = math.nan
    step: int = 0
    rung: int = 0
    error: str = ""
    stopped: bool = False
    folder: str = ""
    scores: dict[int, float] = field(default_factory=dict)


# Running ---------------------------------------------------------------------------------------------------------


def run(
    sweep: Sweep,
    out: str | os.PathLike[str],
    *,
    workers: int = 0,
    ray: str | None = None,
    gpus: float = 1.0,
    store: str = "",
    retry_failed: bool = False,
    fail_fast: bool = False,
    say: Say = lambda text: None,
) -> list[Trial]:
    """Run what is missing of a sweep under `out`; every trial in the order in which it was asked for.

    store: see `workers.run_all`.
    Raises PictureError or TaskError for a source that cannot be learned, RunError for a folder in use, one that
    holds another sweep, a full disk, or with `fail_fast` the first failure; MissingExtra for a search without
    Optuna or a cluster without Ray.
    """
    folder = Path(out)
    _load(sweep)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with holding(folder):
        claim(folder, "sweep")
        _same(sweep, folder)
        driver = _Driver(sweep, folder, retry_failed)
        with closing(
            run_all(
                driver.jobs(),
                folder / "runs",
                workers=workers,
                ray=ray,
                gpus=gpus,
                retry_failed=retry_failed,
                store=store,
            )
        ) as results:
            for result in results:
                trial = driver.take(result)
                say(f"{trial.number + 1}/{driver.total}  {_values(trial)}: {_told(trial, sweep)}")
                if fail_fast and trial.error:
                    raise RunError(trial.error)
    return driver.trials


def _load(sweep: Sweep) -> None:
    """Refuse what cannot be learned by any trial, a picture that is not there first of all, before one runs."""
    from .. import tasks

    if "task" in sweep.axes:
        return
    own = {} if "options" in sweep.axes else sweep.recipe.options
    tasks.task(sweep.recipe.task).load(sweep.source, sweep.recipe.replace(held_out="none", options=own))


def _same(sweep: Sweep, folder: Path) -> None:
    """Refuse a folder of another sweep; more trials of the same one are welcome."""
    path = folder / "sweep.json"
    axes = {n: a if isinstance(a, list) else vars(a) for n, a in sweep.axes.items()}
    mine = {
        "recipe": json.loads(sweep.recipe.to_json()),
        "source": sweep.source,
        "kind": sweep.kind,
        "axes": axes,
    }
    mine |= {"metric": sweep.metric, "halving": [sweep.first, sweep.factor]}
    if path.exists():
        try:
            theirs = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged\nhint: --out another folder; the runs are whole") from error
        if theirs != json.loads(json.dumps(mine)):
            raise RunError(f"{folder} holds another sweep\nhint: --out another folder")
    else:
        save_text(path, json.dumps(mine, indent=2) + "\n")


class _Driver:
    """Decides what runs next, and learns what came of it."""

    def __init__(self, sweep: Sweep, folder: Path, retry: bool) -> None:
        self._sweep, self._folder = sweep, folder
        self.trials: list[Trial] = []
        self._next: deque[tuple[Trial, int]] = deque()
        self._open: dict[tuple[str, int], list[Trial]] = {}
        self._results: dict[tuple[str, int], Result] = {}
        self._search = _Search(sweep, folder) if sweep.kind == "search" else None
        self._points = iter(()) if self._search else _points(sweep)
        self.total = sweep.trials or math.prod(len(a) for a in sweep.axes.values() if isinstance(a, list))
        self._rungs, self._watch = _rungs(sweep)
        self._log = folder / "decisions.jsonl"
        self._decided = {
            (d["trial"], d["rung"]): bool(d["go"]) for d in _lines(self._log, "trial", "rung", "go")
        }

    def jobs(self) -> Iterator[Job | None]:
        """What to run, None while that depends on results under way."""
        while True:
            if self._next:
                trial, rung = self._next.popleft()
            elif len(self.trials) < self.total:
                values = self._search.ask() if self._search else next(self._points)
                trial, rung = Trial(len(self.trials), values), 0
                self.trials.append(trial)
            elif self._open:
                yield None
                continue
            else:
                return
            stop = self._rungs[rung] if rung < len(self._rungs) else 0
            recipe = self._sweep.recipe.replace(**trial.values)
            one = job(recipe, self._sweep.source, watch=self._watch, stop=stop)
            trial.rung = rung
            key = (one.identity, stop)
            if key in self._results:  # a search may draw the same values again
                self._note(trial, self._results[key])
                continue
            self._open.setdefault(key, []).append(trial)
            if len(self._open[key]) == 1:
                yield one

    def take(self, result: Result) -> Trial:
        """Note a result; a trial that is good enough at a rung goes on."""
        key = (result.job.identity, result.job.stop)
        self._results[key] = result
        twins = self._open.pop(key)
        for trial in twins:
            self._note(trial, result)
        return twins[0]

    def _note(self, trial: Trial, result: Result) -> None:
        trial.error = result.error
        if not result.error:
            last = result.run.last
            if self._sweep.metric not in last:
                raise RecipeError(
                    f"metric {self._sweep.metric!r} is not measured; there are {', '.join(_scores(last))}"
                )
            value = last[self._sweep.metric]
            trial.score = math.inf if value is None else float(value)
            trial.step, trial.folder = int(last["step"]), str(result.folder)
            if trial.rung < len(self._rungs):
                trial.scores[trial.rung] = trial.score
                if self._goes_on(trial):
                    self._next.append((trial, trial.rung + 1))
                    return
                trial.stopped = True
        if self._search:
            self._search.tell(trial)

    def _goes_on(self, trial: Trial) -> bool:
        """Whether it is among the best 1/factor at its rung so far (Li et al. 2020, asynchronous halving)."""
        key = (trial.number, trial.rung)
        if key not in self._decided:
            sign = -1 if self._sweep.smaller_is_better else 1
            there = sorted(
                (sign * t.scores[trial.rung] for t in self.trials if trial.rung in t.scores), reverse=True
            )
            kept = max(1, int(len(there) / self._sweep.factor))
            go = sign * trial.score >= there[kept - 1]
            _write_down(self._log, {"trial": trial.number, "rung": trial.rung, "go": go})
            self._decided[key] = go
        return self._decided[key]


class _Search:
    """TPE by Optuna's ask and tell. What was asked is written down, so that a resumed search goes on from there."""

    def __init__(self, sweep: Sweep, folder: Path) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtra('[search] needs Optuna\nhint: pip install "sfumato[sweep]"') from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._sweep, self._optuna = sweep, optuna
        kind = optuna.distributions
        self._spaces: dict[str, Any] = {
            name: kind.CategoricalDistribution([json.dumps(v) for v in axis])
            if isinstance(axis, list)
            else kind.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
            if axis.whole
            else kind.FloatDistribution(axis.low, axis.high, log=axis.log)
            for name, axis in sweep.axes.items()
        }
        ways = optuna.study.StudyDirection
        direction = ways.MINIMIZE if sweep.smaller_is_better else ways.MAXIMIZE
        self._study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=0))
        self._log = folder / "asked.jsonl"
        self._known = deque(_lines(self._log, "asked"))
        self._asked: list[Any] = []

    def ask(self) -> dict[str, Any]:
        """The values of the next trial."""
        if self._known:
            self._study.enqueue_trial(self._known.popleft()["asked"])
            self._asked.append(self._study.ask(self._spaces))
        else:
            self._asked.append(self._study.ask(self._spaces))
            _write_down(self._log, {"asked": self._asked[-1].params})
        values = self._asked[-1].params
        lists = {name for name, axis in self._sweep.axes.items() if isinstance(axis, list)}
        return {n: json.loads(v) if n in lists else v for n, v in values.items()}

    def tell(self, trial: Trial) -> None:
        """A trial's score; a failed one counts as failed, one that was stopped with the score where it stands."""
        state = self._optuna.trial.TrialState
        asked = self._asked[trial.number]
        if trial.error or not math.isfinite(trial.score):
            self._study.tell(asked, state=state.FAIL)
        else:
            self._study.tell(asked, trial.score)


def _points(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Every combination of a grid, the last axis fastest; or random points, the same ones each time."""
    if sweep.kind == "grid":
        lists = [a for a in sweep.axes.values() if isinstance(a, list)]
        for point in itertools.product(*lists):
            yield dict(zip(sweep.axes, point, strict=True))
        return
    for number in range(sweep.trials):
        random = np.random.default_rng([number, 5])
        shares = random.random(len(sweep.axes))
        yield {
            name: axis[int(share * len(axis))] if isinstance(axis, list) else axis.at(share)
            for (name, axis), share in zip(sweep.axes.items(), shares.tolist(), strict=True)
        }


def _rungs(sweep: Sweep) -> tuple[list[int], Any]:
    """The steps at which trials are judged, and beats that hold them; none without [halving].

    Raises RecipeError where an axis changes the number of steps, since a rung is a step.
    """
    if not sweep.first:
        return [], FEW
    changing = {
        "steps",
        *(() if sweep.recipe.steps else ("batch", "epochs", "held_out", "options")),
    } & sweep.axes.keys()
    if changing:
        raise RecipeError(
            f"[halving] needs trials of the same steps, so {', '.join(changing)} cannot be swept"
        )
    from .. import experiment

    data, _ = experiment.prepare(sweep.recipe, sweep.source)
    total = sweep.recipe.total_steps(data.samples)
    rungs, share = [], sweep.first
    while share < 0.999:
        rungs.append(max(1, round(share * total)))
        share *= sweep.factor
    rungs = sorted({r for r in rungs if r < total})
    each = max(1, min(total // 8, steps_per_epoch(data.samples, sweep.recipe.batch)))
    beats = sorted({0, total, *rungs, *range(0, total, max(each, total // 8))})
    return rungs, replace(LIGHT, frames=",".join(map(str, beats)))


def _lines(path: Path, *names: str) -> list[dict[str, Any]]:
    """The lines of a log that have all of these names; one that a crash tore is left out."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.keys() >= set(names):
            found.append(entry)
    return found


def _write_down(path: Path, entry: Mapping[str, Any]) -> None:
    """Add a line to a log; after one that a crash tore, on a line of its own."""
    size = path.stat().st_size if path.exists() else 0
    torn = False
    if size:
        with path.open("rb") as file:
            file.seek(size - 1)
            torn = file.read() != b"\n"
    append(path, ("\n" if torn else "") + json.dumps(entry) + "\n")


# Telling ---------------------------------------------------------------------------------------------------------


def text(sweep: Sweep, trials: list[Trial], most: int = 20) -> str:
    """The best points, seeds collapsed into mean and spread; at most 80 columns."""
    from ..words import aligned
    from .summary import plus_minus

    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(repr({k: v for k, v in trial.values.items() if k != "seed"}), []).append(trial)
    sign = 1 if sweep.smaller_is_better else -1

    def scores_of(group: list[Trial]) -> list[float]:
        """Of each run once: trials that drew the same values share one, which is no evidence of a spread."""
        return list({t.folder: t.score for t in group if not t.error}.values())

    def rank(group: list[Trial]) -> tuple[bool, int, float]:
        fine = scores_of(group)
        return (
            not fine,
            -max((t.step for t in group), default=0),
            sign * middles.mean(fine) if fine else 0.0,
        )

    rows = [["point", sweep.metric, "trials", "steps", ""]]
    names = [_values(group[0], without="seed") for group in groups.values()]
    for group in sorted(groups.values(), key=rank)[:most]:
        scores = scores_of(group)
        spread = middles.stdev(scores) if len(scores) > 1 else math.nan
        bad = sum(bool(t.error) for t in group)
        note = f"{bad} failed" if bad else "stopped" if all(t.stopped for t in group) else ""
        mean = middles.mean(scores) if scores else math.nan
        name = _values(group[0], without="seed")
        if names.count(name) > 1:  # they differ beyond four digits
            name = _values(group[0], without="seed", digits=15)
        rows.append(
            [name[:44], plus_minus(mean, spread), str(len(group)), str(max(t.step for t in group)), note]
        )
    stopped, failed = sum(t.stopped for t in trials), sum(bool(t.error) for t in trials)
    counts = f"{len(trials)} trials, {stopped} stopped early, {failed} failed"
    more = f"\n... and {len(groups) - most} more points: results.csv" if len(groups) > most else ""
    return f"{counts}\n\n{aligned(rows, right=range(1, len(rows[0])))}{more}"


def write_csv(sweep: Sweep, trials: list[Trial], path: Path) -> None:
    """results.csv: a line a trial."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", *sweep.axes, sweep.metric, "step", "stopped", "error", "folder"])
    for t in trials:
        score = t.score if math.isfinite(t.score) else None
        writer.writerow(
            [t.number, *(t.values[a] for a in sweep.axes), score, t.step, t.stopped, t.error, t.folder]
        )
    save_text(path, file.getvalue())


def _values(trial: Trial, without: str = "", digits: int = 4) -> str:
    listed = (
        f"{k}={v:.{digits}g}" if isinstance(v, float) else f"{k}={v}"
        for k, v in trial.values.items()
        if k != without
    )
    return " ".join(listed) or "the recipe"


def _scores(line: Mapping[str, Any]) -> list[str]:
    from ..words import COUNTED

    return [name for name in line if name not in COUNTED]


def _told(trial: Trial, sweep: Sweep) -> str:
    if trial.error:
        return f"failed: {trial.error.splitlines()[0]}"
    return f"{sweep.metric} {trial.score:.4g} at step {trial.step}{', stopped' if trial.stopped else ''}"
