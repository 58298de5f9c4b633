"""Running a study: teachers, then the choice of rates, then every seed of every arm; nothing is run twice."""

from __future__ import annotations

import ast
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import engine, machine
from ..compare.workers import NUMBERS, Job, Result, job, run_all
from ..errors import RecipeError, RunError
from ..files import save_text, writing
from ..runs.index import listing
from ..runs.lock import holding
from ..runs.watch import Watch
from ..words import duration
from . import study
from ._contract import Arm, Outcome, Verdict
from ._data import require

__all__ = ["Done", "run"]

TUNING_SEED = 1000
"""The seed with which rates are tried: none of those that are judged."""

CLOCKS = ("v", "seconds", "watching_seconds", "cores", "total_steps", "epoch")
"""Keys of a metrics line that no judgement reads, and that differ between two runs of the same recipe."""

APART = {"judge", "figure", "runs", "PAPER", "CLAIM", "DRAWING", "SEEDS", "DATA", "MISSING", "AFTERWARDS"}
"""Names of a study's file that cannot change what a recipe of its task trains."""

Say = Callable[[str], None]


@dataclass
class Done:
    """A study that was run: what came out, and what was made of it.

    asked: seeds. seeds: those of which every arm is there. rates: arm -> rate -> what it was tuned by; failed:
    lines about runs that failed. made: when, where and how, which no judgement reads.
    """

    name: str
    module: ModuleType
    quick: bool
    asked: int
    seeds: list[int] = field(default_factory=list)
    results: dict[str, list[Outcome]] = field(default_factory=dict)
    rates: dict[str, dict[str, float | None]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    made: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Results and verdict as one JSON-ready object, equal in every bit for equal seeds, engine and threads."""
        v = self.verdict
        return {
            "study": self.name,
            "quick": self.quick,
            "numbers": NUMBERS,
            "seeds": self.seeds,
            "rates": self.rates,
            "arms": {
                name: [{"seed": o.seed, "rate": o.rate, "lines": list(o.lines)} for o in outcomes]
                for name, outcomes in self.results.items()
            },
            "verdict": None
            if v is None
            else {
                "holds": v.holds,
                "why": v.why,
                "effect": v.effect,
                "checks": dict(v.checks),
                "table": [list(row) for row in v.table],
            },
        }


def run(
    name: str,
    out: Path,
    *,
    quick: bool = False,
    seeds: int = 0,
    budget: float | None = None,
    workers: int = 0,
    ray: str | None = None,
    command: str = "",
    say: Say = lambda text: None,
) -> Done:
    """Run what is missing of a study under `out`, judge it, and write results.json and made.json there.

    seeds: of each arm; 0: the study's own number, or 1 if quick. budget: seconds after which no run is begun any
    more; the same command goes on. ray: as in `compare.workers.run_all`; a study in which one run reads another is
    refused there, as nodes do not see each other's runs. Raises RecipeError for a name that is no study,
    MissingData where its data cannot be had, RunError where the folder is in use or the disk refuses.
    """
    module = study(name)
    if not quick:
        require(getattr(module, "DATA", ()))
    done = Done(name, module, quick, seeds or (1 if quick else module.SEEDS))
    started, end = time.perf_counter(), math.inf if budget is None else time.monotonic() + budget
    if ray is not None and any(arm.teacher for arm in module.runs(quick)):
        raise RecipeError(
            f"in study {name} one run reads what another left, which a cluster's nodes cannot\n"
            "hint: leave out --ray"
        )
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with holding(out):
        spent = _Runner(done, out / "runs", workers, ray, end, say).run()
        _judge(done)
        done.made = _made(done, spent, time.perf_counter() - started, command)
        done.made["processor_seconds"] = round(processor_seconds(out / "runs"), 1)
        save_text(out / "results.json", json.dumps(done.body(), indent=1, sort_keys=True) + "\n")
        save_text(out / "made.json", json.dumps(done.made, indent=1) + "\n")
    return done


def _judge(done: Done) -> None:
    """The study's own verdict over the complete seeds; `undecided` where one is missing, or it was quick."""
    if not done.seeds:
        return
    verdict: Verdict = done.module.judge(done.results)
    missing = done.asked - len(done.seeds)
    if done.failed:
        verdict = replace(verdict, holds="undecided", why=f"a run failed: {done.failed[0]}")
    elif missing:
        verdict = replace(verdict, holds="undecided", why=f"{missing} of {done.asked} seeds are missing")
    elif done.quick:
        verdict = replace(verdict, holds="undecided", why=f"a quick run shows directions only; {verdict.why}")
    done.verdict = verdict


def _made(done: Done, spent: float, wall: float, command: str) -> dict[str, Any]:
    return {
        "date": date.today().isoformat(),
        "processor": machine.processor(),
        "instruction_set": engine.engine(
            "native" if "native" in engine.names() else "eager"
        ).instruction_set(),
        "threads": 1,
        "seeds": len(done.seeds),
        "run_seconds": round(spent, 1),
        "wall_seconds": round(wall, 1),
        "command": command,
    }


def processor_seconds(place: Path) -> float:
    """Of all runs in a folder together, training and watching: seconds of the clock times the cores that a run had.

    A busy machine makes a run last longer, and changes this little.
    """
    last = [run.history[-1] for run in listing(place) if run.history]
    seconds = (
        (line["seconds"] + (line.get("watching_seconds") or 0)) * (line.get("cores") or 1) for line in last
    )
    return float(sum(seconds))


class _Runner:
    """The arms of one study on a pool."""

    def __init__(self, done: Done, place: Path, workers: int, ray: str | None, end: float, say: Say) -> None:
        self._done, self._place, self._end, self._say = done, place, end, say
        self._workers, self._ray = workers, ray
        self._arms: list[Arm] = done.module.runs(done.quick)
        self._code = code_of(done.module)
        self._rate: dict[str, float] = {}
        self._teachers: dict[str, str] = {}
        self._spent = 0.0

    def run(self) -> float:
        """Fill in the study's results; core seconds that they took, now or earlier."""
        teaching = {arm.teacher for arm in self._arms if arm.teacher}
        found: dict[tuple[str, int], Outcome] = {}
        for some in (
            [arm for arm in self._arms if arm.name in teaching],
            [arm for arm in self._arms if arm.name not in teaching],
        ):
            some = [arm for arm in some if not arm.teacher or arm.teacher in self._teachers]
            self._tune([arm for arm in some if arm.rates])
            some = [arm for arm in some if not arm.rates or arm.name in self._rate]
            asked = {
                (arm.name, seed): self._job(arm, seed, self._rate.get(arm.name, arm.recipe.rate))
                for seed in range(self._done.asked)
                for arm in some
                if seed < (arm.seeds or self._done.asked)
            }
            for key, result in self._results(asked).items():
                found[key] = _outcome(result, key[1])
                if key[0] in teaching and key[1] == 0:
                    self._teachers[key[0]] = result.job.name
        self._sort(found)
        return self._spent

    def _sort(self, found: Mapping[tuple[str, int], Outcome]) -> None:
        """Keep the seeds of which every arm is there, so that all of them are paired."""
        self._done.seeds = [
            seed
            for seed in range(self._done.asked)
            if all((a.name, seed) in found for a in self._arms if seed < (a.seeds or self._done.asked))
        ]
        for arm in self._arms:
            kept = [found[arm.name, seed] for seed in self._done.seeds if (arm.name, seed) in found]
            self._done.results[arm.name] = kept

    def _tune(self, arms: Sequence[Arm]) -> None:
        """Choose the rate of each arm, once all are tried; a rate that diverges is no choice."""
        asked = {}
        for arm in arms:
            for rate in arm.rates:
                options = {**arm.recipe.options, **arm.trial}
                trial = replace(arm, recipe=arm.recipe.replace(options=options))
                asked[arm.name, rate] = self._job(trial, TUNING_SEED, rate)
        tried = self._results(asked, failing=False)
        for arm in arms:
            scores = {
                rate: _outcome(tried[arm.name, rate], TUNING_SEED)[arm.tuned_by]
                for rate in arm.rates
                if (arm.name, rate) in tried
            }
            self._done.rates[arm.name] = {f"{rate:g}": scores.get(rate) for rate in arm.rates}
            if scores and not self._late():
                self._rate[arm.name] = min(scores, key=lambda rate: (scores[rate], rate))

    def _late(self) -> bool:
        return time.monotonic() >= self._end

    def _job(self, arm: Arm, seed: int, rate: float) -> Job:
        options = dict(arm.recipe.options)
        if arm.teacher:
            options["teacher"] = self._teachers[arm.teacher]
        recipe = arm.recipe.replace(seed=seed, rate=rate, options=options)
        watch = Watch(frames=arm.frames, keep="0", film="none", checkpoint=10.0)
        own = recipe.task == self._done.name
        module = self._done.module.__name__
        return job(
            recipe, arm.source, watch=watch, needs=module if own else "", code=self._code if own else ""
        )

    def _results(self, asked: Mapping[tuple[str, Any], Job], *, failing: bool = True) -> dict[Any, Result]:
        """The results of jobs by their keys; those that failed, and those that the budget cut off, are left out."""
        keys = {one.identity: key for key, one in asked.items()}
        found: dict[Any, Result] = {}

        def waiting() -> Iterator[Job]:
            for one in asked.values():
                if self._late():
                    return
                yield one

        with closing(run_all(waiting(), self._place, workers=self._workers, ray=self._ray)) as results:
            for result in results:
                key = keys[result.job.identity]
                what = f"{key[0]}, {'seed' if failing else 'rate'} {key[1]:g}"
                if result.error:
                    why = result.error.splitlines()[0]
                    self._say(f"{what}: failed: {result.error}" if failing else f"{what}: no choice: {why}")
                    if failing:
                        self._done.failed.append(f"{what}: {why}")
                    continue
                found[key] = result
                self._spent += result.seconds
                self._say(f"{len(found)} of {len(asked)}: {what}{_told(result)}")
        return found


def _outcome(result: Result, seed: int) -> Outcome:
    lines = [{k: v for k, v in line.items() if k not in CLOCKS} for line in result.run.history]
    if not lines:
        raise RunError(f"{result.folder} holds no metrics\nhint: delete it, and run the study again")
    return Outcome(seed, result.job.recipe.rate, lines, result.folder)


def _told(result: Result) -> str:
    scores = {k: v for k, v in result.run.last.items() if k not in (*CLOCKS, "step", "loss")}
    text = ", ".join(f"{k} {v:.4g}" for k, v in list(scores.items())[:2] if v is not None)
    return f": {text}{f' ({duration(result.seconds)})' if result.fresh else ', there already'}"


def code_of(module: ModuleType) -> str:
    """16 hexadecimal digits of what a study's file trains: its code without docstrings, judgement and figures."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    kept = []
    for node in tree.body[1:]:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        names = {getattr(t, "id", getattr(t, "name", "")) for t in targets}
        if not names & APART:
            kept.append(ast.unparse(node))
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:16]
