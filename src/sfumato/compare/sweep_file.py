"""A sweep file: one recipe, and which values of its fields are to be tried.

picture = "photo.jpg"            recipe = "siren"            epochs = 20        fields of the recipe
[grid]    rate = [1e-4, 5e-4]    seed = [0, 1, 2]                               every combination
[random]  rate = {low = 1e-4, high = 1e-2, log = true}      trials = 40         or [search]: TPE by Optuna
[halving] first = 0.1            factor = 3                                     poor trials stop early
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EngineError, RecipeError, TaskError
from ..recipe import Recipe, check_names, read_recipe

__all__ = ["Range", "Sweep", "read"]

KINDS = ("grid", "random", "search")

MOST_TRIALS = 1_000_000

EXAMPLES = {"picture": "photo.jpg", "metric": "psnr_hidden", "recipe": "siren"}

LEAST_FACTOR = 1.1
"""Of halving: nearer to 1 there would be a rung at every step, and nobody would be stopped."""


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, evenly or evenly in the logarithm; whole ones if both ends are whole."""

    low: float
    high: float
    log: bool
    whole: bool

    def tried(self) -> tuple[Any, ...]:
        """Values that stand for all: the ends, and one between that is whole only if all are."""
        low, high = (int(self.low), int(self.high)) if self.whole else (self.low, self.high)
        return low, high, self.at(0.377)

    def at(self, share: float) -> Any:
        """The value at a share in [0, 1); three significant digits."""
        if self.log:
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + share * (self.high - self.low)
        return round(value) if self.whole else float(f"{value:.3g}")


@dataclass(frozen=True)
class Sweep:
    """What a sweep file asks for. axes: for each field a list of values, or a Range. trials: 0 for a grid."""

    recipe: Recipe
    source: str | None
    kind: str
    axes: Mapping[str, list[Any] | Range]
    trials: int = 0
    metric: str = "psnr"
    first: float = 0.0
    factor: float = 3.0

    @property
    def smaller_is_better(self) -> bool:
        """Errors and losses fall."""
        return self.metric == "loss" or self.metric.endswith("_error")


def read(path: str | os.PathLike[str]) -> Sweep:
    """The sweep of a TOML file; paths in it are relative to it.

    Raises RecipeError with the file's name for anything that cannot be meant, an unknown field or a bad value of an
    axis included; EngineError and TaskError for one that does not exist.
    """
    file = Path(path)
    try:
        body = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"sweep file {str(file)!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{file} is not TOML: {error}") from error
    try:
        return _sweep(body, file.parent)
    except (RecipeError, EngineError, TaskError) as error:
        raise type(error)(f"{file}: {error}") from error


def _sweep(body: dict[str, Any], home: Path) -> Sweep:
    kinds = [kind for kind in KINDS if kind in body]
    if len(kinds) != 1:
        raise RecipeError(f"one of the tables [grid], [random], [search] is needed, there are {len(kinds)}")
    kind = kinds[0]
    table, halving = body.pop(kind), body.pop("halving", None)
    source, metric = _text(body, "picture"), _text(body, "metric") or "psnr"
    base = read_recipe(_text(body, "recipe") or "classic")
    if source is not None and (home / source).exists():
        source = str(home / source)
    if "threads" in body:
        raise RecipeError("threads cannot be set: each net of a sweep trains on one\nhint: --workers N")
    recipe = base.replace(**body)  # refuses what is no field, tables included
    if not isinstance(table, dict) or not isinstance(halving, dict | None):
        raise RecipeError(f"[{kind}] and [halving] must be tables")
    trials = table.pop("trials", 0) if kind != "grid" else 0
    if kind != "grid" and (type(trials) is not int or not 1 <= trials <= MOST_TRIALS):
        raise RecipeError(f"[{kind}] needs trials = a whole number from 1 to {MOST_TRIALS:,}")
    check_names(recipe)
    axes = {name: _axis(kind, name, value) for name, value in table.items()}
    if not axes:
        raise RecipeError(f"[{kind}] names no field")
    if "threads" in axes:
        raise RecipeError("threads cannot be swept: each net of a sweep trains on one\nhint: --workers N")
    if axes.keys() & {"epochs", "steps"} and len({"epochs", "steps"} & (axes.keys() | body.keys())) > 1:
        raise RecipeError("epochs and steps exclude one another: steps win, and epochs would change nothing")
    for name, axis in axes.items():
        for value in axis if isinstance(axis, list) else axis.tried():
            check_names(recipe.replace(**{name: value}))
    first, factor = _halving(halving)
    sweep = Sweep(recipe, source, kind, axes, trials, metric, first, factor)
    if kind == "grid" and math.prod(len(a) for a in axes.values() if isinstance(a, list)) > MOST_TRIALS:
        raise RecipeError(f"the grid has more than {MOST_TRIALS:,} points")
    return sweep


def _text(body: dict[str, Any], name: str) -> str | None:
    """What the file says under a name that is no field of a recipe; None if it says nothing."""
    value = body.pop(name, None)
    if value is not None and (not isinstance(value, str) or not value):
        raise RecipeError(f'{name}={value!r} must be text: {name} = "{EXAMPLES[name]}"')
    return value


def _halving(table: dict[str, Any] | None) -> tuple[float, float]:
    """The first rung as a share of the budget, 0 without the table, and the factor."""
    if table is None:
        return 0.0, 3.0
    first, factor = table.get("first", 0.1), table.get("factor", 3)
    fine = _number(first) and _number(factor) and not set(table) - {"first", "factor"}
    if not fine or not 0 < first < 1 or not factor >= LEAST_FACTOR:
        raise RecipeError(
            f"[halving] takes first = a share of the budget in (0, 1) and factor = {LEAST_FACTOR} or more"
        )
    return float(first), float(factor)


def _axis(kind: str, name: str, value: Any) -> list[Any] | Range:
    if isinstance(value, list):
        if not value:
            raise RecipeError(f"[{kind}] {name} has no values")
        return value
    if kind == "grid" or not isinstance(value, dict):
        raise RecipeError(
            f"[{kind}] {name}={value!r} must be a list of values" + ("" if kind == "grid" else " or a range")
        )
    low: Any = value.get("low")
    high: Any = value.get("high")
    log = value.get("log", False)
    fine = (
        _number(low) and _number(high) and isinstance(log, bool) and not set(value) - {"low", "high", "log"}
    )
    if not fine or not low < high or (log and low <= 0):
        raise RecipeError(
            f"[{kind}] {name} must be {{low = 1e-3, high = 1e-1, log = true}} with low below high"
        )
    return Range(float(low), float(high), log, isinstance(low, int) and isinstance(high, int))


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
