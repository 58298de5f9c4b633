"""What a study says and gets: arms, outcomes, verdicts; and the headings of its docstring."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..compare.statistics import Difference, paired, spread
from ..errors import RunError
from ..recipe import Recipe

__all__ = [
    "HEADINGS",
    "WORDS",
    "Arm",
    "Outcome",
    "Results",
    "Verdict",
    "because",
    "difference",
    "mean_text",
    "sections",
]

HEADINGS = ("What the paper says", "What we run", "What differs", "How large it is", "Result")
"""Of every study's docstring, each on a line of its own, underlined, in this order."""

WORDS = ("holds", "does not hold", "toy only", "undecided")
"""`toy only`: the direction appears, but at a scale that cannot carry the claim. `undecided`: an interval holds
zero, or a run is missing."""


@dataclass(frozen=True)
class Arm:
    """One side of the experiment: a recipe that is run with several seeds.

    rates: learning rates to choose among first, each tried once with a seed of its own and the task options
    `trial`; the one with the smallest `tuned_by` at the end is taken. Empty: the recipe's rate. source: what the
    recipe's task is given. seeds: how many; 0: the study's number. teacher: the name of the arm whose first
    run this one reads: the option `teacher` names its folder, see `compare.workers.beside`. frames: beats
    of scores.
    """

    name: str
    recipe: Recipe
    rates: tuple[float, ...] = ()
    tuned_by: str = ""
    trial: Mapping[str, Any] = field(default_factory=lambda: {"split": "validation"})
    source: str | None = None
    seeds: int = 0
    teacher: str = ""
    frames: str = "8"


@dataclass(frozen=True)
class Outcome:
    """One run of an arm: its seed, the rate it had, its lines of metrics (clocks left out), where it lies."""

    seed: int
    rate: float
    lines: Sequence[Mapping[str, Any]]
    folder: Path | None = None

    def __getitem__(self, name: str) -> float:
        """A score at the end; RunError if there is none of that name."""
        return self.at_end(name)

    def at_end(self, name: str) -> float:
        """A score of the last line: a null is infinite, as everywhere."""
        line = self.lines[-1]
        if name not in line:
            raise RunError(f"the run of seed {self.seed} has no score {name!r}: {', '.join(line)}")
        return math.inf if line[name] is None else float(line[name])

    def curve(self, name: str) -> list[float]:
        """A score at each beat."""
        return [math.inf if line[name] is None else float(line[name]) for line in self.lines]

    def where_best(self, name: str) -> Mapping[str, Any]:
        """The line with the largest value of a (validation) score, the latest of equals: a checkpoint chosen."""
        return max(reversed(self.lines), key=lambda line: float(line[name]))


Results = Mapping[str, Sequence[Outcome]]
"""Arm -> its outcomes, in the order of seeds; every arm has the same seeds, unless it says otherwise."""


@dataclass(frozen=True)
class Verdict:
    """What a study found.

    table: rows of text, the first the header. holds: one of `WORDS`. why: what decided it, measured against the
    criterion. effect: the one number that the reading list shows, with its interval.
    """

    table: Sequence[Sequence[str]]
    holds: str
    why: str
    effect: str = ""
    checks: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.holds not in WORDS:
            raise RunError(f"a verdict is {', '.join(WORDS)}, not {self.holds!r}")


def difference(results: Results, a: str, b: str, score: str) -> Difference:
    """Score of arm `a` minus that of arm `b` at the end, paired by seed, with its 95 % interval."""
    return paired([[o[score] for o in results[a]]], [[o[score] for o in results[b]]])


def mean_text(outcomes: Sequence[Outcome], score: str, digits: int = 2, scale: float = 1.0) -> str:
    """`1.23 ± 0.04`: mean and standard deviation of a score over seeds, multiplied by `scale`."""
    mean, deviation = spread([scale * o[score] for o in outcomes])
    return f"{mean:.{digits}f}" + ("" if math.isnan(deviation) else f" ± {deviation:.{digits}f}")


def because(checks: Mapping[str, bool], otherwise: str, word: str = "does not hold") -> str:
    """Why a verdict is no `holds`: the checks that failed; `otherwise` where none did. word: the verdict's."""
    failed = [name for name, fine in checks.items() if not fine]
    so = "not shown" if word == "undecided" else "not so"
    return f"{so}: {'; '.join(failed)} ({otherwise})" if failed else otherwise


def sections(text: str) -> dict[str, str]:
    """A study's docstring by heading: heading -> its text, the title line under ``.

    Raises RunError unless the headings are those of `HEADINGS`, in their order, and none is empty.
    """
    parts = re.split(r"^(.+)\n-{3,}\n", text, flags=re.MULTILINE)
    found = {"": parts[0].strip()} | {
        h.strip(): t.strip() for h, t in zip(parts[1::2], parts[2::2], strict=True)
    }
    if tuple(found)[1:] != HEADINGS or not all(found.values()):
        raise RunError(
            f"a study's docstring has a title and the headings {', '.join(HEADINGS)}; found {list(found)[1:]}"
        )
    return found
