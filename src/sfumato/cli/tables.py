"""Runs as tables for people and as objects for programs. Reads small files only: no torch, no numpy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..errors import RecipeError
from ..recipe import difference, net_text
from ..runs import RunDirectory
from ..words import metric_text

__all__ = ["as_dicts", "text"]

SORTS = ("name", "psnr", "seconds", "epoch")


def as_dicts(runs: Sequence[RunDirectory]) -> dict[str, Any]:
    """The runs as one JSON-ready object: version, and a list with recipe, origin, state and newest metrics."""
    return {
        "v": 1,
        "runs": [
            {
                "folder": str(run.folder),
                "state": run.state,
                "last": run.last,
                "recipe": json.loads(run.recipe.to_json()),
                "origin": run.origin,
                "kept_steps": run.steps(),
            }
            for run in runs
        ],
    }


def text(runs: Sequence[RunDirectory], named: bool, sort: str, parent: str) -> str:
    """A list of runs; details of one that was named; a comparison of several that were."""
    if sort not in SORTS:
        raise RecipeError(f"sort={sort!r} is unknown; known are {', '.join(SORTS)}")
    if not runs:
        return f"no runs under {parent}/\nhint: sfumato paint makes one"
    if named and len(runs) == 1:
        return _details(runs[0])
    if named:
        return _comparison(runs)
    if sort != "name":
        runs = sorted(runs, key=lambda run: float(run.last.get(sort) or 0.0))
    rows = [("run", "state", "epoch", "PSNR", "seconds")]
    for run in runs:
        last = run.last
        rows.append(
            (run.name, run.state, _shown(last, "epoch"), _shown(last, "psnr"), _shown(last, "seconds"))
        )
    return _aligned(rows)


def _details(run: RunDirectory) -> str:
    last, origin = run.last, run.origin
    rows = [("run", str(run.folder)), ("state", run.state)]
    rows += [(key, str(value)) for key, value in last.items() if key != "v"]
    rows += [
        (
            "net",
            f"{net_text(run.recipe.net)} {run.recipe.activation}, {origin.get('parameters', 0):,} parameters",
        )
    ]
    rows += [
        (key, str(origin[key]))
        for key in ("source", "engine", "threads", "processor", "started")
        if origin.get(key) is not None
    ]
    rows += [("kept steps", f"{len(run.steps())} weights, {len(run.frames())} frames")]
    changed = difference(type(run.recipe)(task=run.recipe.task), run.recipe)
    rows += [(f"recipe {key}", str(value)) for key, (_, value) in changed.items()]
    if run.state == "interrupted":
        rows += [("go on", f"sfumato resume {run.folder}")]
    return _aligned(rows)


def _comparison(runs: Sequence[RunDirectory]) -> str:
    names = sorted({name for run in runs for name in difference(runs[0].recipe, run.recipe)})
    rows = [("", *(run.name for run in runs))]
    for name in names:
        rows.append((name, *(str(getattr(run.recipe, name)) for run in runs)))
    scores = sorted({key for run in runs for key in run.last} - {"v"})
    for key in scores:
        rows.append((key, *(_shown(run.last, key) for run in runs)))
    rows.append(("state", *(run.state for run in runs)))
    return _aligned(rows)


def _shown(line: dict[str, Any], key: str) -> str:
    return metric_text(key, line[key]) if key in line else "–"


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )
