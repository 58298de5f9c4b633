"""Runs as tables for people and as objects for programs. Reads small files only: no torch, no numpy."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import MissingExtra, RecipeError, RunError
from ..files import replacing, save_text
from ..recipe import NAMED_FOR, difference, net_text
from ..runs import Entry, RunDirectory
from ..words import aligned, decibels, metric_name, metric_text, score_text, width

__all__ = ["as_dicts", "list_text", "text", "write"]

CHANGES = 3
"""Fields of a recipe that a line of the list names."""

LEAST = 12
"""Letters of what differs that are worth a column."""

SORTS = ("name", "score", "psnr", "seconds", "epoch")


def as_dicts(folders: Sequence[Path]) -> dict[str, Any]:
    """Runs as one JSON-ready object: version, and a list with recipe, origin, state and newest metrics; of a
    damaged one what is wrong with it."""
    return {"v": 1, "runs": [_as_dict(folder) for folder in folders]}


def _as_dict(folder: Path) -> dict[str, Any]:
    try:
        run = RunDirectory(folder)
        state, last, why = run.look()
    except RunError as error:
        state, why = "damaged", str(error).split("\n")[0]
    if why:
        return {"folder": str(folder), "state": state, "why": why}
    return {
        "folder": str(folder),
        "state": state,
        "last": last,
        "recipe": json.loads(run.recipe.to_json()),
        "origin": run.origin,
        "kept_steps": run.steps(),
    }


def text(runs: Sequence[RunDirectory]) -> str:
    """Details of one run; a comparison of several; of damaged ones what is wrong with them."""
    damaged = [(run.name, "damaged", why) for run, why in ((run, run.damage) for run in runs) if why]
    if damaged:
        return aligned(damaged)
    return _details(runs[0]) if len(runs) == 1 else _comparison(runs)


def list_text(runs: Sequence[Entry], sort: str, parent: str, columns: int | None = None) -> str:
    """A line a run, below them those that are damaged. columns: of the terminal, in which no line is to be broken;
    None: all there is to say. Raises RecipeError for an order that is unknown."""
    if sort not in SORTS:
        raise RecipeError(f"sort={sort!r} is unknown; known are {', '.join(SORTS)}")
    if not runs:
        return f"no runs under {parent}/\nhint: sfumato paint makes one"
    damaged = [(run.name, run.state, run.why) for run in runs if run.why]
    runs = [run for run in runs if not run.why]
    if sort != "name":
        runs = sorted(runs, key=lambda run: _rank(run.last, sort))
    rows = [("run", "state", "epoch", "score", "seconds", "recipe")]
    for run in runs:
        last = run.last
        epoch = f"{last['epoch']:,.1f}" if "epoch" in last else "–"
        seconds = f"{last['seconds']:,.1f}" if "seconds" in last else "–"
        rows.append((run.name, run.state, epoch, score_text(last) or "–", seconds, _changes(run.recipe)))
    parts = [_fitting(rows, columns)] if runs else []
    return "\n\n".join(parts + ([aligned(damaged)] if damaged else []))


def _fitting(rows: Sequence[tuple[str, ...]], columns: int | None) -> str:
    """The list as a table; in a narrow terminal what differs is cut, then left out, and the seconds after it."""
    whole = aligned(rows, right=(2, 4))
    if columns is None or _broadest(whole) <= columns:
        return whole
    without = aligned([row[:-1] for row in rows], right=(2, 4))
    room = columns - _broadest(without) - 2
    if room >= LEAST:
        cut = [last if len(last) <= room else f"{last[: room - 1]}…" for *_, last in rows]
        return aligned([(*row[:-1], last) for row, last in zip(rows, cut, strict=True)], right=(2, 4))
    return without if room >= -2 else aligned([row[:-2] for row in rows], right=(2,))


def _broadest(text: str) -> int:
    return max(map(width, text.split("\n")))


def _rank(last: dict[str, Any], sort: str) -> tuple[bool, float]:
    """Runs without a value come first, the best of a score last: an exact painting is the best of all."""
    if sort in ("psnr", "score") and "psnr" in last:
        return (True, decibels(last))
    if sort == "score":
        errors = [value for name, value in last.items() if name.endswith("_error") and value is not None]
        return (True, -float(errors[0])) if errors else (False, 0.0)
    return (True, float(last[sort])) if last.get(sort) is not None else (False, 0.0)


def _changes(body: dict[str, Any]) -> str:
    """In what a recipe differs from the nearest named one of its task, in a few words."""
    task = str(body.get("task"))
    known = _known(task)
    if not known:
        return task
    usual = min(known, key=lambda name: sum(body.get(k) != v for k, v in known[name].items()))
    changed = [
        f"{k} {net_text(tuple(body[k])) if k == 'net' else body[k]}"
        for k, v in known[usual].items()
        if k in body and body[k] != v
    ]
    more = [f"+{len(changed) - CHANGES}"] if len(changed) > CHANGES else []
    return ", ".join([usual, *changed[:CHANGES], *more])


@cache
def _known(task: str) -> dict[str, dict[str, Any]]:
    """The named recipes of a task as recipe.json holds them: ten thousand lines are compared with them."""
    return {name: json.loads(recipe.to_json()) for name, (recipe, _) in NAMED_FOR.get(task, {}).items()}


def write(runs: Sequence[Entry], path: Path) -> None:
    """A line a run as Parquet or CSV, by the suffix: name, state, start, recipe fields, newest metrics.

    Raises RecipeError for another suffix, MissingExtra for Parquet without pyarrow, RunError if the disk refuses.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise RecipeError(f"{path.name}: runs go to .parquet or .csv")
    rows = [{"run": r.name, "state": r.state, "started": r.started, **_flat(r)} for r in runs]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".csv":
        import csv

        file = io.StringIO()
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        save_text(path, file.getvalue())
        return
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra('Parquet needs pyarrow\nhint: pip install "sfumato[tables]"') from error
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    with replacing(path) as passing:
        pyarrow.parquet.write_table(pyarrow.table(columns), passing)


def _flat(run: Entry) -> dict[str, Any]:
    """Recipe fields and newest metrics as plain values; lists and tables as JSON."""
    last = {k: decibels(run.last, k) if k.startswith("psnr") else v for k, v in run.last.items() if k != "v"}
    both = {**run.recipe, **last}
    return {k: json.dumps(v) if isinstance(v, (list, dict)) else v for k, v in both.items() if k != "format"}


def _column(values: list[Any]) -> list[Any]:
    """Values of one type, as Parquet wants them: whole numbers among others become fractions, a mixture text."""
    kinds = {type(v) for v in values if v is not None}
    if len(kinds) <= 1:
        return values
    if kinds <= {int, float}:
        return [None if v is None else float(v) for v in values]
    return [None if v is None else str(v) for v in values]


def _details(run: RunDirectory) -> str:
    last, origin = run.last, run.origin
    rows = [("run", str(run.folder)), ("state", run.state)]
    rows += [(metric_name(key), _shown(last, key)) for key in last if key != "v"]
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
    rows += [(f"recipe {key}", _field(key, value)) for key, (_, value) in changed.items()]
    if run.state == "interrupted":
        rows += [("go on", f"sfumato resume {shlex.quote(str(run.folder))}")]
    return aligned(rows)


def _comparison(runs: Sequence[RunDirectory]) -> str:
    names = sorted({name for run in runs for name in difference(runs[0].recipe, run.recipe)})
    rows = [("", *(run.name for run in runs))]
    for name in names:
        rows.append((name, *(_field(name, getattr(run.recipe, name)) for run in runs)))
    scores = sorted({key for run in runs for key in run.last} - {"v"})
    for key in scores:
        rows.append((metric_name(key), *(_shown(run.last, key) for run in runs)))
    rows.append(("state", *(run.state for run in runs)))
    return aligned(rows)


def _field(name: str, value: Any) -> str:
    """A recipe's field as it is typed."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={part}" for key, part in value.items()) or "none"
    return net_text(value) if name == "net" else str(value)


def _shown(line: dict[str, Any], key: str) -> str:
    return metric_text(key, line[key]) if key in line else "–"
