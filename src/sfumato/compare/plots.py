"""The pictures of a comparison: curves against seconds, performance profiles, price and quality, paintings."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from .. import picture
from ..drawing.charts import Series, chart
from ..errors import RecipeError, RunError
from ..picture import Picture
from ..runs import RunDirectory
from . import statistics
from .comparison import Comparison, Row, Subject
from .summary import times

__all__ = ["curves", "draw", "paintings", "price", "profiles"]

MOST_SHOWN = 6
"""Recipes beside one another, and pictures on the page."""

FACTORS = np.geomspace(1, 16, 81)

CROP = 5
"""The crop is a fifth of the smaller side."""


def draw(comparison: Comparison) -> dict[str, Picture]:
    """Every picture by its file's stem; what there is nothing to draw of is left out."""
    made: dict[str, Picture] = {}
    attempts = {
        **{f"seconds-{s.name}": (curves, (comparison, s)) for s in comparison.subjects},
        **({"profiles": (profiles, (comparison,))} if comparison.request.targets else {}),
        "parameters": (price, (comparison, "parameters")),
        "seconds": (price, (comparison, "seconds")),
        **{f"paintings-{s.name}": (paintings, (comparison, s)) for s in comparison.subjects},
    }
    for name, (function, arguments) in attempts.items():
        try:
            made[name] = function(*arguments)  # type: ignore[operator]
        except (RecipeError, RunError):  # no point to draw, or a run that is gone
            continue
    return made


def curves(comparison: Comparison, subject: Subject) -> Picture:
    """PSNR of all pixels against processor seconds: at each beat the median of the seeds."""
    series = []
    for label in comparison.labels:
        rows = [r for r in comparison.of(label) if r.picture == subject.name and r.curve]
        shortest = min((len(r.curve) for r in rows), default=0)
        table = np.array([r.curve[:shortest] for r in rows]).reshape(len(rows), shortest, 2)
        line = np.median(table, 0) if shortest else np.empty((0, 2))
        series.append(Series(label, line[:, 0], line[:, 1]))
    return chart(
        series,
        title=f"{subject.name}: {comparison.request.budget} a run",
        x_label="processor seconds of training",
        y_label="PSNR of all pixels, dB: median of the seeds",
        log_x=True,
    )


def profiles(comparison: Comparison) -> Picture:
    """The share of targets (on all pictures) that a recipe reaches within so many times the best one's time."""
    table = np.array(
        [
            np.concatenate([times(comparison, label, t) for t in comparison.request.targets])
            for label in comparison.labels
        ]
    ).T
    shares = statistics.profile(table, FACTORS)
    return chart(
        [Series(label, FACTORS, 100 * line) for label, line in zip(comparison.labels, shares, strict=True)],
        title="How often nearly the fastest",
        x_label="times the best recipe's time",
        y_label="per cent of targets reached",
        log_x=True,
        from_zero=True,
    )


def price(comparison: Comparison, field: str) -> Picture:
    """PSNR against parameters or seconds, a dot a run; who has nobody above and to the left is worth its price."""
    series = []
    for label in comparison.labels:
        rows = [r for r in comparison.of(label) if not r.error]
        gaps = np.full(2 * len(rows), math.nan)  # dots: a line with a gap after each point
        x, y = gaps.copy(), gaps.copy()
        x[::2], y[::2] = [getattr(r, field) for r in rows], [r.psnr for r in rows]
        series.append(Series(label, x, y))
    words = {"parameters": "parameters", "seconds": "processor seconds of training"}[field]
    return chart(
        series, title=f"PSNR against {words}", x_label=words, y_label="PSNR of all pixels, dB", log_x=True
    )


def paintings(comparison: Comparison, subject: Subject) -> Picture:
    """The picture and what each recipe made of it (the seed of median PSNR), and below the place where they differ
    most, enlarged."""
    shown: list[tuple[str, Picture]] = []
    for label in comparison.labels[:MOST_SHOWN]:
        rows = sorted(
            (r for r in comparison.of(label) if r.picture == subject.name and not r.error), key=_psnr
        )
        if rows:
            row = rows[(len(rows) - 1) // 2]
            painted = picture.load(Path(row.folder) / "painting.png", max_pixels=None)
            shown.append((f"{label} {row.psnr:.1f} dB", painted))
    if not shown:
        raise RunError(f"nothing was painted of {subject.name}")
    target = RunDirectory(row.folder).target
    tiles = [picture.flatten(p) for p in (target, *(p for _, p in shown))]
    top, left, side = _where(tiles)
    crops = [_enlarged(tile, top, left, side) for tile in tiles]
    captions = ["the picture", *(name for name, _ in shown), *[""] * len(crops)]
    return picture.sheet([*tiles, *crops], columns=len(tiles), captions=captions, caption_size=12)


def _psnr(row: Row) -> float:
    return row.psnr


def _where(tiles: list[Picture]) -> tuple[int, int, int]:
    """Top, left and side of the square in which the pictures differ most from one another."""
    side = max(1, min(tiles[0].height, tiles[0].width) // CROP)
    channels = min(tile.channels for tile in tiles)
    spread = np.var([tile.values[..., :channels] for tile in tiles], axis=0).sum(-1)
    sums = np.pad(spread.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(boxes.argmax()), boxes.shape)
    return int(top), int(left), side


def _enlarged(tile: Picture, top: int, left: int, side: int) -> Picture:
    """A crop blown up pixel by pixel to the size of its tile, on white."""
    factor = max(1, min(tile.height, tile.width) // side)
    crop = tile.values[top : top + side, left : left + side].repeat(factor, 0).repeat(factor, 1)
    values = np.ones_like(tile.values)
    values[: crop.shape[0], : crop.shape[1]] = crop[: tile.height, : tile.width]
    return picture.from_array(values, name="crop")
