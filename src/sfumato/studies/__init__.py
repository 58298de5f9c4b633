"""The reading list, runnable: one file a paper, in which its central claim is tested on small nets, in minutes.

A study is a file of this folder, found by its name, with four names and a docstring of fixed headings (`HEADINGS`):

- `PAPER`: a `Paper`, usually a row of `READING_LIST`;
- `CLAIM`: the claim that is tested, in a sentence, with the criterion that was fixed before the first full run;
- `runs(quick) -> list[Arm]`: what is trained; `quick`: a version of a few seconds that shows orderings only;
- `judge(results) -> Verdict`: from the outcomes of each arm to a table, one of four words, and why;

and, where it needs them, `SEEDS`, `DATA` (what it learns from), `figure(results) -> Picture` (the paper's figure
from our own runs), `DRAWING` (the mechanism as SVG), `MISSING` (what of the paper is left out, a line) and
`AFTERWARDS` (what was found out about the reason once the verdict stood). A file with a task's names (`RECIPE`,
`load`, `build`, ...) is that task too, under the study's name. Everything that trains goes through `drive`, run
directories and `compare.workers`.

Nothing is imported before it is asked for: listing is quick.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from ..errors import RecipeError
from ..recipe.variants import near
from ._contract import (
    HEADINGS,
    WORDS,
    Arm,
    Outcome,
    Results,
    Verdict,
    because,
    difference,
    mean_text,
    sections,
)
from ._data import digits_of, files_of, only
from ._figures import stacked
from ._papers import READING_LIST, Paper

__all__ = [
    "HEADINGS",
    "READING_LIST",
    "WORDS",
    "Arm",
    "Outcome",
    "Paper",
    "Results",
    "Verdict",
    "because",
    "difference",
    "digits_of",
    "files_of",
    "mean_text",
    "names",
    "only",
    "sections",
    "stacked",
    "study",
]


def names() -> list[str]:
    """The studies of this folder, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def study(name: str) -> ModuleType:
    """The study of that name; its task, if it is one, has joined.

    Raises RecipeError if there is none, with the nearest name, or where a paper of the list has no study yet.
    """
    if name not in names():
        if name in READING_LIST:
            paper = READING_LIST[name]
            raise RecipeError(
                f"study {name!r} is not built yet: {paper.title} ({paper.year})\nhint: sfumato study"
            )
        raise RecipeError(f"study {name!r} is unknown; {near(name, names())}\nhint: sfumato study lists them")
    module = importlib.import_module(f"{__name__}.{name}")
    join(module)
    return module


def join(module: ModuleType) -> None:
    """Let a study that is a task be one for this process, under the study's name."""
    if hasattr(module, "load"):
        from .. import tasks

        tasks.add(module.__name__.rpartition(".")[2], module)
