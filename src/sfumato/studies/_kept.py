"""Results of full runs, kept with the package; the list of all papers, and the page that is made of them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import RecipeError
from . import READING_LIST, names, study
from ._contract import Outcome

if TYPE_CHECKING:
    from ..picture import Picture
    from ._running import Done

__all__ = ["kept", "listing", "reading_list", "restored"]


@cache
def kept(name: str) -> dict[str, Any] | None:
    """What is kept of a study's full run: `made` (when, where, how) and `results`; None if there was none."""
    file = resources.files(__package__).joinpath("results", f"{name}.json")
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def restored(name: str) -> tuple[Done, Picture]:
    """The kept full run, as it was when it was judged, and its figure. Raises RecipeError where none is kept."""
    from .. import picture
    from ._running import Done

    module, found = study(name), kept(name)
    if found is None:
        raise RecipeError(
            f"no full run of study {name} is kept yet\nhint: sfumato study {name} --quick --report"
        )
    made, body = found["made"], found["results"]
    arms = [arm.name for arm in module.runs(False)]  # the file has them sorted, judgements in this order
    results = {a: [Outcome(o["seed"], o["rate"], o["lines"]) for o in body["arms"][a]] for a in arms}
    done = Done(name, module, False, made["seeds"], body["seeds"], results, body["rates"], made=made)
    done.verdict = module.judge(results)  # as kept, which a test holds, but with its checks in their order
    with resources.as_file(resources.files(__package__).joinpath("results", f"{name}.png")) as path:
        return done, picture.load(path)


def listing() -> str:
    """All papers of the list, a line each: number, study, state, last verdict with its date, title."""
    rows = [["#", "study", "verdict", "on", "paper"]]
    for name, paper in READING_LIST.items():
        rows.append([str(paper.number), name, *_state(name), f"{paper.title[:48]} ({paper.year})"])
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[4]]) for row in rows]
    built = [name for name in READING_LIST if name in names()]
    return "\n".join([*lines, "", f"{len(built)} of {len(READING_LIST)} can be run: sfumato study NAME"])


def _state(name: str) -> tuple[str, str]:
    if name not in names():
        return "not built", ""
    found = kept(name)
    if found is None:
        return "no full run yet", ""
    return found["results"]["verdict"]["holds"], found["made"]["date"]


def reading_list() -> str:
    """docs/reading-list.md: all papers with state, verdict, effect, minutes, and what is missing."""
    head = "| # | study | paper | verdict | effect | minutes | missing |\n|---|---|---|---|---|---|---|"
    rows, parts = [], []
    for name, paper in READING_LIST.items():
        verdict, _ = _state(name)
        effect = minutes = ""
        missing = "all of it"
        found = kept(name) if name in names() else None
        if name in names():
            module = importlib.import_module(f"{__package__}.{name}")
            missing = getattr(module, "MISSING", "")
            if found:
                judged = found["results"]["verdict"]
                effect, minutes = judged["effect"], time_of(found["made"])
                parts.append(_part(name, module, found))
        title = f"{paper.title} ({paper.year}), {paper.identifier}"
        minutes = minutes.replace(" minutes", "").removesuffix(" of the processor")
        rows.append(_row([str(paper.number), f"`{name}`", title, verdict, effect, minutes, missing]))
    return "\n".join([INTRODUCTION, head, *rows, "", *parts])


def time_of(made: dict[str, Any]) -> str:
    """What all runs together took: of the processor; of the clock where only that is known."""
    if "processor_seconds" in made:
        return f"{made['processor_seconds'] / 60:.1f} minutes of the processor"
    return f"{made['run_seconds'] / 60:.1f} minutes by the clock"


def _row(cells: Sequence[str]) -> str:
    """A row of a table in Markdown, in which a bar would end a cell."""
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _part(name: str, module: ModuleType, found: dict[str, Any]) -> str:
    made, judged = found["made"], found["results"]["verdict"]
    table = judged["table"]
    lines = [_row(row) for row in table]
    lines.insert(1, "|" + "---|" * len(table[0]))
    where = (
        f"{made['seeds']} seeds, {time_of(made)}, {made['date']}, "
        f"{made['processor']} ({made['instruction_set']}), one thread a run: `{made['command']}`"
    )
    picture = f"![what {name} measured](../src/sfumato/studies/results/{name}.png)"
    top = [f"## {name}", "", f"{module.PAPER}.", "", f"**Claim.** {module.CLAIM}", ""]
    after = getattr(module, "AFTERWARDS", "")
    looked = [f"Looked at afterwards, which decides nothing: {after}", ""] if after else []
    return "\n".join(
        [*top, f"**{judged['holds']}**: {judged['why']}", "", *lines, "", *looked, picture, "", where, ""]
    )


INTRODUCTION = """# The reading list

Made by `python tools/reading_list.py` from the kept results of full runs; do not edit. `sfumato study NAME` runs a
study again, `sfumato study NAME --report` explains it with drawings. The four verdicts: `holds`; `does not hold`;
`toy only`, the direction appears, but at a scale that cannot carry the claim; `undecided`. Every verdict is about
the scale that the study's page states, never about the paper's own. Criteria were committed before the first full
run. Minutes are those of the processor, of all runs added up, one thread each, trials that choose rates included:
two idle cores need half as many, and some for starting. By the clock, on a busy machine, it was more.
"""
