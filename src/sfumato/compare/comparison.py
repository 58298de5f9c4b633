"""A comparison: pictures x recipes x seeds under one budget, each recipe with the same tuning allowance.

    request -> plan (widths, speeds) -> tuning runs -> scored runs -> rows -> tables, plots, page

Everything is a run directory under the comparison's folder, found again by its hash: the same command goes on where
it stopped, and a larger one reuses what is there. See docs/comparing.md for what is held equal and why.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import statistics as middles
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import EngineError, RecipeError, RunError, TaskError
from ..files import save_text, writing
from ..recipe import Recipe, check_names, of_task, read_recipe
from ..runs.lock import holding
from .budget import Budget, seconds_per_step, with_parameters
from .folders import claim, folder_name
from .statistics import time_to
from .subjects import SEEDS_APART, Subject, leaves, subjects
from .tuning import knobs, trials
from .workers import LIGHT, Job, Pool, Result, job, run_all

__all__ = ["Comparison", "Contestant", "Request", "Row", "Subject", "compare", "read_contestant"]

PROBES = 3
"""Rounds in which the speeds of all recipes are measured in turn; the median counts."""

PERFECT = 120.0
"""Decibels of a painting without an error; errors of half a grey level are at 59 dB."""

SET_HERE = {"seed": "--seeds N", "threads": "each net trains on one", "cuts": "--budget"}
"""Fields that the comparison sets for every recipe, and what does so: changing one would change nothing."""

BUDGETED = ("epochs", "steps")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Contestant:
    """A recipe under the label that the user gave it. changed: fields that were changed by name."""

    label: str
    recipe: Recipe
    changed: tuple[str, ...] = ()


def read_contestant(text: str) -> Contestant:
    """`siren`, a JSON file, or either with fields changed: `classic+optimizer=adam+rate=0.002`.

    Raises RecipeError as `read_recipe` does, for a field that is changed twice, and what `check_names` raises.
    """
    base, *changes = re.split(r"\+(?=[a-z_]+=)", text)
    recipe = read_recipe(base)
    names = [change.partition("=")[0] for change in changes]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"recipe {text!r} changes {name} twice")
    label = Path(base).stem if base.endswith(".json") else base
    recipe = recipe.replace(**dict(change.split("=", 1) for change in changes)) if changes else recipe
    of_task(recipe, "picture", text)
    check_names(recipe)
    return Contestant("+".join([label, *changes]), recipe, tuple(names))


@dataclass(frozen=True)
class Request:
    """What is asked for. pictures: files, None for the built-in Mona Lisa. tune: trials a recipe, 0 for none.

    tune_on: pictures that tune and are not scored; empty: one of dead leaves. held_out: pixels that no run sees.
    targets: PSNR in dB of all pixels, the times to which are told. looks: moments at which a run is painted and
    scored, spread over its steps; few where only the end counts.
    """

    contestants: tuple[Contestant, ...]
    pictures: tuple[str | None, ...] = (None,)
    budget: Budget = field(default_factory=lambda: Budget(30.0))
    seeds: int = 5
    tune: int = 8
    tune_on: tuple[str, ...] = ()
    held_out: str = "0.1"
    targets: tuple[float, ...] = (25.0, 30.0, 35.0, 40.0)
    max_pixels: int = 0
    looks: int = 24

    def __post_init__(self) -> None:
        labels = [c.label for c in self.contestants]
        for label in labels:
            if labels.count(label) > 1:
                raise RecipeError(
                    f"recipe {label!r} is named twice\nhint: change a field: {label}+rate=0.01; of two files with "
                    "that name, rename one"
                )
        for c in self.contestants:
            for name in c.changed:
                if name in SET_HERE or (name in BUDGETED and (self.budget.seconds or self.budget.epochs)):
                    flag = SET_HERE.get(name, "--budget")
                    raise RecipeError(f"{c.label}: {name} is set for all recipes alike\nhint: {flag}")
        for fine, text in (
            (len(labels) >= 1, "a comparison needs at least one recipe: --recipes classic siren"),
            (1 <= self.seeds <= SEEDS_APART, f"seeds={self.seeds} must be 1 to {SEEDS_APART}"),
            (2 <= self.looks <= 1000, f"looks={self.looks} must be 2 to 1000"),
            (0 <= self.tune <= 1000, f"tune={self.tune} must be 0 (untuned) to 1000 trials"),
            (all(math.isfinite(t) for t in self.targets), "targets must be finite: 25,30,35,40"),
            (len(set(self.targets)) == len(self.targets), "a target is named twice"),
        ):
            if not fine:
                raise RecipeError(text)
        check_names(Recipe(held_out=self.held_out))

    @property
    def name(self) -> str:
        """For a folder: pictures, recipes, budget. Seeds are no part: more of them go on in the same one."""
        pictures = "-".join(Path(p).stem if p else "mona-lisa" for p in self.pictures[:3])
        labels = "-".join(c.label for c in self.contestants)
        rest = [c.recipe.to_json() for c in self.contestants], self.pictures, self.held_out, self.max_pixels
        digest = hashlib.sha256(repr(rest).encode()).hexdigest()[:4]
        budget = str(self.budget).replace(" ", "").replace(",", "")
        return f"{folder_name(f'{pictures}_{labels}')}_{budget}_{digest}"


@dataclass(frozen=True)
class Row:
    """One scored run. Scores are those of the last beat; seconds are processor seconds of training; nan: failed."""

    recipe: str
    picture: str
    seed: int
    psnr: float = math.nan
    psnr_seen: float = math.nan
    psnr_hidden: float = math.nan
    ssim: float = math.nan
    parameters: int = 0
    steps: int = 0
    epochs: float = math.nan
    seconds: float = math.nan
    cores: float = math.nan
    folder: str = ""
    error: str = ""
    curve: tuple[tuple[float, float], ...] = ()

    def seconds_to(self, target: float) -> float:
        """Seconds to a PSNR of all pixels; infinite if it was never reached, or the run failed."""
        return time_to([s for s, _ in self.curve], [p for _, p in self.curve], target)


@dataclass
class Comparison:
    """A comparison that was run: what was asked, what was tuned, the rows in the order of recipe, picture, seed."""

    request: Request
    folder: Path
    subjects: list[Subject]
    tuned: dict[str, dict[str, float]]
    tuning_seconds: dict[str, float]
    rows: list[Row]

    @property
    def labels(self) -> list[str]:
        """The recipes' labels in the order of the request."""
        return [c.label for c in self.request.contestants]

    def of(self, label: str) -> list[Row]:
        """The rows of a recipe."""
        return [row for row in self.rows if row.recipe == label]

    @property
    def failures(self) -> list[Row]:
        """Rows without a score."""
        return [row for row in self.rows if row.error]


def compare(
    request: Request,
    out: str | os.PathLike[str],
    *,
    workers: int = 0,
    retry_failed: bool = False,
    fail_fast: bool = False,
    say: Say = lambda text: None,
) -> Comparison:
    """Run what is missing of a comparison under the folder `out`, and read the rest.

    say: receives a line for each thing that happens. Raises RecipeError for a request that cannot be meant,
    RunError for a folder in use or a full disk, or with `fail_fast` the first error of a run.
    """
    folder = Path(out)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with holding(folder):
        claim(folder, "comparison")
        scored = subjects(request.pictures, request.max_pixels)
        tuning = _tuning(request, folder, scored)
        entrants = [_Entrant(c, request) for c in request.contestants]
        _check(entrants, [*scored, *tuning])
        save_text(folder / "request.json", json.dumps(_as_json(request), indent=2) + "\n")
        if request.budget.seconds:
            with Pool(workers) as pool:
                _measure(entrants, [*tuning, *scored], folder, pool, say)

        def run(jobs: list[Job], place: str) -> Iterator[Result]:
            with closing(
                run_all(jobs, folder / place, workers=workers, retry_failed=retry_failed)
            ) as results:
                for number, result in enumerate(results, 1):
                    say(f"{place} {number}/{len(jobs)}  {_told(result)}")
                    if fail_fast and result.error:
                        raise RunError(result.error)
                    yield result

        if request.tune:
            _tune(entrants, tuning, run, say)
        jobs = {
            (one.label, subject.name, seed): one.job(subject, seed)
            for seed in range(request.seeds)
            for subject in scored
            for one in entrants
        }
        found = {result.job.identity: result for result in run(list(jobs.values()), "runs")}
        results = {key: found[one.identity] for key, one in jobs.items()}
    rows = [
        row
        for one in entrants
        for subject in scored
        for row in _rows(one, subject, [results[one.label, subject.name, s] for s in range(request.seeds)])
    ]
    tuned = {one.label: one.tuned for one in entrants}
    return Comparison(request, folder, scored, tuned, {e.label: e.tuning_seconds for e in entrants}, rows)


class _Entrant:
    """A contestant on its way through the plan: the recipe tuned so far, and what a step costs it."""

    def __init__(self, contestant: Contestant, request: Request) -> None:
        self.label, self._request = contestant.label, request
        held = request.held_out if contestant.recipe.held_out == "none" else contestant.recipe.held_out
        options = dict(contestant.recipe.options)
        if request.max_pixels:
            options["max_pixels"] = request.max_pixels
        self.base = contestant.recipe.replace(held_out=held, threads=1, options=options)
        self.watch = replace(LIGHT, frames=str(request.looks))
        self.costs: dict[tuple[int, int, int], float] = {}
        self.tuned: dict[str, float] = {}
        self.tuning_seconds = 0.0

    def recipe(self, subject: Subject) -> Recipe:
        """The recipe with the parameters that the budget asks for."""
        wanted = self._request.budget.parameters
        if not wanted:
            return self.base
        aspect = subject.height / subject.width
        return with_parameters(self.base, wanted, 2, subject.channels, aspect)

    def planned(self, recipe: Recipe, subject: Subject) -> Recipe:
        """A recipe with the steps of the budget."""
        return self._request.budget.steps(recipe, self.costs.get(_size(subject), math.nan))

    def without_budget(self, recipe: Recipe) -> Recipe:
        """A recipe without what the comparison decides, so that two can be held against each other."""
        budget = self._request.budget
        equal = {"epochs": 1.0, "steps": 1} if budget.seconds or budget.epochs else {}
        return recipe.replace(seed=0, **equal)

    def job(self, subject: Subject, seed: int) -> Job:
        """The scored run of a seed."""
        recipe = self.planned(self.recipe(subject), subject).replace(seed=subject.first_seed + seed)
        return job(recipe, subject.source, watch=self.watch)


def _size(subject: Subject) -> tuple[int, int, int]:
    return subject.height, subject.width, subject.channels


def _tuning(request: Request, folder: Path, scored: list[Subject]) -> list[Subject]:
    if not request.tune:
        return []
    if request.tune_on:
        return subjects(request.tune_on, request.max_pixels, scored)
    return [leaves(folder, scored[0], request.max_pixels)]


def _check(entrants: list[_Entrant], pictures: list[Subject]) -> None:
    """Refuse, before anything runs, what cannot run, with its recipe's name, and two recipes that are one.

    A net is built for the smallest picture: what no registry knows (omega=0, no pixel left to hide) is told there.
    """
    from .. import experiment

    seen: dict[Recipe, str] = {}
    smallest = min(pictures, key=lambda s: s.height * s.width)
    for one in entrants:
        try:
            settled = [job(one.recipe(subject), subject.source).recipe for subject in pictures]
            experiment.prepare(one.recipe(smallest), smallest.source)
        except (RecipeError, EngineError, TaskError) as error:
            raise type(error)(f"{one.label}: {error}") from error
        same = one.without_budget(settled[0])
        if same in seen:
            raise RecipeError(
                f"{seen[same]!r} and {one.label!r} are the same recipe here, and would differ by nothing\n"
                "hint: what the comparison sets itself (steps, seed, threads, hidden pixels) is no difference"
            )
        seen[same] = one.label


# Equal seconds ---------------------------------------------------------------------------------------------------


def _measure(entrants: list[_Entrant], subjects: list[Subject], folder: Path, pool: Pool, say: Say) -> None:
    """Processor seconds a step, once for each recipe and size of picture; kept, so that resuming plans alike."""
    path = folder / "speeds.json"
    kept = _kept(path)
    wanted: dict[str, tuple[_Entrant, Subject]] = {}
    for subject in {_size(s): s for s in subjects}.values():
        for one in entrants:
            settled = job(
                one.recipe(subject), subject.source
            ).recipe  # not the source: sizes cost, not contents
            digest = hashlib.sha256(settled.to_json().encode()).hexdigest()[:16]
            wanted[f"{digest} {subject.width}x{subject.height}x{subject.channels}"] = (one, subject)
    calls = [
        (key, seconds_per_step, (job(one.recipe(subject), subject.source).recipe, subject.source))
        for _ in range(PROBES)
        for key, (one, subject) in wanted.items()
        if key not in kept
    ]
    found: dict[str, list[float]] = {}
    for key, value, error in pool.results(iter(calls)):
        if key is not None:
            if value is None:
                raise RunError(f"{wanted[key][0].label}: {error}")
            found.setdefault(key, []).append(value)
    kept |= {key: middles.median(values) for key, values in found.items()}
    save_text(path, json.dumps(kept, indent=2) + "\n")
    budget = entrants[0]._request.budget
    for key, (one, subject) in wanted.items():
        one.costs[_size(subject)] = kept[key]
        if kept[key] > budget.seconds:
            raise RecipeError(
                f"{one.label}: a step on {subject.name} takes {kept[key]:.2g} s, more than the budget of {budget}\n"
                "hint: a longer --budget, or a smaller batch"
            )
        steps = one.planned(one.base, subject).steps
        say(f"{one.label} on {subject.name}: {1000 * kept[key]:.3g} ms a step, {steps} steps")


def _kept(path: Path) -> dict[str, float]:
    """Speeds that were measured before; RunError for a file that holds something else."""
    try:
        read = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        kept = {str(key): float(value) for key, value in read.items()}
        if not all(0 < value < math.inf for value in kept.values()):
            raise ValueError("a step takes some time")
        return kept
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged\nhint: delete it, and speeds are measured anew") from error


# Tuning ----------------------------------------------------------------------------------------------------------


def _tune(
    entrants: list[_Entrant],
    subjects: list[Subject],
    run: Callable[[list[Job], str], Iterator[Result]],
    say: Say,
) -> None:
    """The best of the same number of trials, by the mean PSNR of all pixels over the tuning pictures."""
    count = entrants[0]._request.tune
    jobs: dict[tuple[str, int, str], Job] = {}
    tried = {one.label: trials(one.base, count) for one in entrants}
    for number in range(count):
        for subject in subjects:
            for one in entrants:
                trial = _changed(one.recipe(subject), one.base, tried[one.label][number])
                planned = one.planned(trial, subject).replace(seed=subject.first_seed)
                jobs[one.label, number, subject.name] = job(planned, subject.source, watch=one.watch)
    results = {result.job.identity: result for result in run(list(jobs.values()), "tuning")}
    for one in entrants:
        scores = []
        for number in range(count):
            mine = [results[jobs[one.label, number, s.name].identity] for s in subjects]
            scores.append(middles.mean(-math.inf if r.error else _score(r) for r in mine))
            one.tuning_seconds += sum(_used(r) for r in mine if not r.error)
        best = max(range(count), key=lambda n: scores[n])
        if scores[best] == -math.inf:
            raise RunError(f"{one.label}: every trial of the tuning failed\nhint: --tune 0, or another rate")
        own = [k.own for k in knobs(one.base)]
        one.base = tried[one.label][best]
        one.tuned = {k.name: k.own for k in knobs(one.base)}
        moved = ", ".join(
            f"{k.name} {k.own:g} (own: {was:g})" for k, was in zip(knobs(one.base), own, strict=True)
        )
        say(f"{one.label}: {moved}, {scores[best]:.2f} dB against {scores[0]:.2f}")
        # What a step really cost over whole runs: nets grow sparser, and a probe sees their first moments only.
        for subject in subjects:
            fine = [results[jobs[one.label, n, subject.name].identity] for n in range(count)]
            real = [_cost(r) for r in fine if not r.error]
            if one.costs and real:
                one.costs[_size(subject)] = middles.median(real)


def _changed(recipe: Recipe, own: Recipe, trial: Recipe) -> Recipe:
    """A recipe of the wanted width with what a trial changed."""
    fields = ("rate", "activation", "encoding")
    return recipe.replace(**{f: getattr(trial, f) for f in fields if getattr(trial, f) != getattr(own, f)})


# Reading runs ----------------------------------------------------------------------------------------------------


def _used(result: Result) -> float:
    """Processor seconds of training."""
    last = result.run.last
    return float(last["seconds"]) * float(last.get("cores") or 1.0)


def _cost(result: Result) -> float:
    return _used(result) / max(1, int(result.run.last["step"]))


def _score(result: Result, name: str = "psnr") -> float:
    return _decibels(result.run.last, name)


def _decibels(line: Mapping[str, Any], name: str) -> float:
    """A score of a beat; nan if there is none; a perfect painting, for which JSON has no number, counts 120 dB."""
    value = line.get(name, math.nan)
    return PERFECT if value is None else float(value)


def _rows(one: _Entrant, subject: Subject, results: Sequence[Result]) -> list[Row]:
    """The seeds of a recipe on a picture; one cost a step for all, the median of what they really took."""
    fine = [r for r in results if not r.error]
    cost = middles.median(map(_cost, fine)) if fine else math.nan
    rows = []
    for seed, result in enumerate(results):
        row = Row(one.label, subject.name, seed, error=result.error)
        if not result.error:
            history, parameters = result.run.history, int(result.run.origin["parameters"])
            last = history[-1]
            row = replace(
                row,
                psnr=_score(result),
                psnr_seen=_score(result, "psnr_seen" if "psnr_seen" in last else "psnr"),
                psnr_hidden=_score(result, "psnr_hidden"),
                ssim=_score(result, "ssim"),
                parameters=parameters,
                steps=int(last["step"]),
                epochs=float(last["epoch"]),
                seconds=last["step"] * cost,
                cores=float(last.get("cores") or math.nan),
                folder=str(result.folder),
                curve=tuple((line["step"] * cost, _decibels(line, "psnr")) for line in history),
            )
        rows.append(row)
    return rows


def _told(result: Result) -> str:
    if result.error:
        return f"{result.job.name}: failed: {result.error.splitlines()[0]}"
    again = "" if result.fresh else ", was there"
    return f"{result.job.name}: {_score(result):.2f} dB, {result.seconds:.1f} s{again}"


def _as_json(request: Request) -> dict[str, Any]:
    return {
        "recipes": {c.label: json.loads(c.recipe.to_json()) for c in request.contestants},
        "pictures": [p or "mona-lisa" for p in request.pictures],
        "budget": str(request.budget),
        "seeds": request.seeds,
        "tune": request.tune,
        "tune_on": list(request.tune_on),
        "held_out": request.held_out,
        "targets": list(request.targets),
        "max_pixels": request.max_pixels,
    }
