"""A comparison in numbers: who is better and by how much, how soon, at what price; tables that fit 80 columns."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path

import numpy as np

from ..errors import MissingExtra
from ..files import replacing, save_text
from ..words import aligned, duration, si
from . import statistics
from .comparison import Comparison, Row
from .statistics import Array, Difference

__all__ = [
    "Verdict",
    "matrix",
    "plus_minus",
    "scores_of",
    "table_rows",
    "text",
    "time_text",
    "times",
    "verdicts",
    "wrapped",
    "write_csv",
    "write_parquet",
]

WIDTH = 80

COLUMNS = 4
"""Targets beside one another in a table."""

METRICS = {"psnr_seen": "seen pixels", "psnr_hidden": "hidden pixels"}


@dataclass(frozen=True)
class Verdict:
    """What may be said of recipe `a` against recipe `b` in one metric; difference None: runs failed."""

    a: str
    b: str
    metric: str
    difference: Difference | None
    failed: str = ""

    @property
    def better(self) -> str:
        """The label of the better one; empty if there is no verdict."""
        if self.difference is None or not self.difference.better:
            return ""
        return self.a if self.difference.better > 0 else self.b

    @property
    def text(self) -> str:
        """A sentence or two."""
        what = f"{self.a} against {self.b}, {METRICS[self.metric]}: "
        d = self.difference
        if d is None:
            return f"{what}no verdict, {self.failed}"
        if not math.isfinite(d.high):
            return f"{what}{d.mean:+.2f} dB; no verdict, one seed tells nothing of the spread"
        numbers = f"{d.mean:+.2f} dB [{d.low:+.2f}, {d.high:+.2f}], p {d.p:.2g}: "
        if self.better:
            return f"{what}{numbers}{self.better} is better on {d.scope}"
        size = max(abs(d.low), abs(d.high))
        if not d.needed or d.needed > 1000:
            return f"{what}{numbers}no verdict; they differ by less than {size:.2f} dB on {d.scope}"
        return f"{what}{numbers}no verdict; about {d.needed} {d.unit}s might settle it"


def matrix(comparison: Comparison, label: str, metric: str) -> Array:
    """Scores of a recipe as (pictures, seeds)."""
    values = [getattr(row, metric) for row in comparison.of(label)]
    return np.array(values, float).reshape(len(comparison.subjects), comparison.request.seeds)


def scores_of(comparison: Comparison, label: str, metric: str) -> tuple[float, float]:
    """Mean over pictures and seeds, and the standard deviation of the seeds of a picture (failed runs left out)."""
    values = matrix(comparison, label, metric)
    fine = np.isfinite(values)
    if not fine.any():
        return math.nan, math.nan
    within = [row[ok].var(ddof=1) for row, ok in zip(values, fine, strict=True) if ok.sum() > 1]
    return float(values[fine].mean()), math.sqrt(float(np.mean(within))) if within else math.nan


def verdicts(comparison: Comparison) -> list[Verdict]:
    """Every pair in every metric, at the level that so many pairs at a time ask for (Bonferroni)."""
    pairs = list(combinations(comparison.labels, 2))
    found = []
    for metric in METRICS:
        scores = {label: matrix(comparison, label, metric) for label in comparison.labels}
        if all(np.isnan(s).all() for s in scores.values()):
            continue
        for a, b in pairs:
            failed = [
                f"{np.isnan(scores[x]).sum()} of {scores[x].size} runs of {x} failed"
                for x in (a, b)
                if np.isnan(scores[x]).any()
            ]
            if failed:
                found.append(Verdict(a, b, metric, None, " and ".join(failed)))
                continue
            level = 1 - 0.05 / len(pairs)
            found.append(Verdict(a, b, metric, statistics.paired(scores[a], scores[b], level=level)))
    return found


def times(comparison: Comparison, label: str, target: float) -> Array:
    """Median seconds over seeds to a target on each picture; infinite where half of the seeds or more never get
    there, a run that failed counting as never."""
    each = np.array([row.seconds_to(target) for row in comparison.of(label)])
    table = each.reshape(len(comparison.subjects), comparison.request.seeds)
    return np.array([statistics.median_time(seeds) for seeds in table])


# The table -------------------------------------------------------------------------------------------------------


def text(comparison: Comparison, *, verdict_lines: bool = True) -> str:
    """All of it for a terminal, at most 80 columns; verdict_lines: with a sentence for every pair."""
    names = _short(comparison.labels)
    parts = ["\n".join(wrapped(line) for line in conditions(comparison)), _scores(comparison, names)]
    targets = comparison.request.targets
    parts += [_times(comparison, names, targets[i : i + COLUMNS]) for i in range(0, len(targets), COLUMNS)]
    said = verdicts(comparison) if verdict_lines else []
    if said:
        pairs = len(said) // len({v.metric for v in said})
        level = 100 * (1 - 0.05 / pairs)
        head = f"Verdicts: mean difference [{level:.4g} % interval], p of sign flips"
        parts.append("\n".join([head, *(wrapped(v.text, "- ") for v in said)]))
    parts += (
        [
            "\n".join(
                wrapped(f"failed: {r.recipe} on {r.picture}, seed {r.seed}: {r.error.splitlines()[0]}")
                for r in comparison.failures
            )
        ]
        if comparison.failures
        else []
    )
    legend = [f"{short} = {full}" for full, short in names.items() if full != short]
    return "\n\n".join([*parts, *(["\n".join(legend)] if legend else [])])


def conditions(comparison: Comparison) -> Iterator[str]:
    """What was held equal, what was tuned and at what cost, and how busy the machine was."""
    request = comparison.request
    names = [s.name for s in comparison.subjects]
    shown = ", ".join(names) if len(names) <= 4 else f"{len(names)} pictures"
    sizes = {f"{s.width}x{s.height}" for s in comparison.subjects}
    size = f" ({sizes.pop()})" if len(sizes) == 1 else ""
    seeds = f"{request.seeds} seed{'s' if request.seeds > 1 else ''}"
    own = {c.recipe.held_out for c in request.contestants} - {"none"}
    held = "each recipe's own" if own - {request.held_out} else request.held_out
    yield f"{shown}{size}: {request.budget} each, {seeds}, hidden pixels: {held}"
    if request.tune:
        for label in comparison.labels:
            moved = ", ".join(f"{k} {v:g}" for k, v in comparison.tuned[label].items())
            yield f"tuned: {label}: {moved} ({request.tune} trials, {duration(comparison.tuning_seconds[label])})"
    else:
        yield "not tuned: each recipe's own rate"
    busy = [row.cores for row in comparison.rows if not row.error]
    if busy and np.median(busy) < 0.8:
        share = f"{100 * float(np.median(busy)):.0f} %"
        yield f"the machine was busy: a run got {share} of a core; seconds are processor seconds"


def _scores(comparison: Comparison, names: dict[str, str]) -> str:
    held = any(math.isfinite(row.psnr_hidden) for row in comparison.rows)
    head = [
        "recipe",
        "param.",
        "PSNR seen" if held else "PSNR",
        *(["hidden"] if held else []),
        "SSIM",
        "epochs",
        "s/epoch",
    ]
    lines = [head]
    for label in comparison.labels:
        fine = [row for row in comparison.of(label) if not row.error]
        epochs = float(np.mean([r.epochs for r in fine])) if fine else math.nan
        per = float(np.mean([r.seconds / r.epochs for r in fine])) if fine else math.nan
        lines.append(
            [
                names[label],
                si(fine[0].parameters) if fine else "-",
                plus_minus(*scores_of(comparison, label, "psnr_seen")),
                *([plus_minus(*scores_of(comparison, label, "psnr_hidden"))] if held else []),
                f"{scores_of(comparison, label, 'ssim')[0]:.4f}",
                f"{epochs:.3g}",
                f"{per:.3g}",
            ]
        )
    return aligned(lines, right=range(1, len(lines[0])))


def _times(comparison: Comparison, names: dict[str, str], targets: Sequence[float]) -> str:
    lines = [["seconds to (dB past it)", *(f"{t:g} dB" for t in targets)]]
    for label in comparison.labels:
        lines.append([names[label], *(time_text(comparison, label, t) for t in targets)])
    return aligned(lines, right=range(1, len(lines[0])))


def time_text(comparison: Comparison, label: str, target: float) -> str:
    """The median time to a target over pictures and seeds, and by how much the end passed it or missed it."""
    median = statistics.median_time(times(comparison, label, target))
    distance = scores_of(comparison, label, "psnr")[0] - target
    return f"{'never' if math.isinf(median) else f'{median:.3g}'} ({distance:+.1f})"


def plus_minus(mean: float, spread: float) -> str:
    """`31.10 ± 0.20`; a dash if there is nothing."""
    if math.isnan(mean):
        return "-"
    return f"{mean:.2f}" if math.isnan(spread) else f"{mean:.2f} ± {spread:.2f}"


def _short(labels: Sequence[str], longest: int = 22) -> dict[str, str]:
    """Labels that fit into a column: letters where one of them is too long."""
    if all(len(label) <= longest for label in labels):
        return {label: label for label in labels}
    return {label: chr(ord("A") + i) if i < 26 else f"R{i + 1}" for i, label in enumerate(labels)}


def wrapped(line: str, bullet: str = "") -> str:
    """At most 80 columns."""
    return textwrap.fill(line, WIDTH, initial_indent=bullet, subsequent_indent="  ")


# Files -----------------------------------------------------------------------------------------------------------


def table_rows(comparison: Comparison) -> tuple[list[str], list[list[object]]]:
    """Names of columns and the rows: every scored run with its seconds to each target (empty: never)."""
    plain = [f.name for f in fields(Row) if f.name != "curve"]
    names = [*plain, *(f"seconds_to_{t:g}" for t in comparison.request.targets)]
    rows = []
    for row in comparison.rows:
        reached = [row.seconds_to(t) for t in comparison.request.targets]
        values = [*(getattr(row, name) for name in plain), *reached]
        rows.append([None if isinstance(v, float) and not math.isfinite(v) else v for v in values])
    return names, rows


def write_csv(comparison: Comparison, path: Path) -> None:
    """results.csv: a line a run."""
    names, rows = table_rows(comparison)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([names, *rows])
    save_text(path, file.getvalue())


def write_parquet(comparison: Comparison, path: Path) -> None:
    """The same as Parquet; MissingExtra without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra('Parquet needs pyarrow\nhint: pip install "sfumato[tables]"') from error
    names, rows = table_rows(comparison)
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    with replacing(path) as passing:
        pyarrow.parquet.write_table(pyarrow.table(columns), passing)
