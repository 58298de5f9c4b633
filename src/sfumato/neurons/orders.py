"""Which neurons, and in what order: selections as a person types them, and the orders of a contact sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data import Array
from ..errors import RecipeError
from .previews import Preview
from .raster import number

__all__ = ["SORTS", "Order", "chain", "check", "correlations", "order", "parse_neurons"]

Order = npt.NDArray[np.int64]
"""Units of a layer, each once."""

SORTS = ("index", "mean", "contrast", "dead", "similarity", "importance")


def check(by: str) -> None:
    """RecipeError for a word that is no order of a sheet."""
    if by not in SORTS:
        raise RecipeError(f"sort={by!r} is unknown; it may be {', '.join(SORTS)}")


def order(view: Preview, by: str = "index", *, importance: npt.ArrayLike | None = None) -> Order:
    """The units of a layer in the order of a sheet: a permutation, (units,).

    index; mean: activation, largest first; contrast: standard deviation of what is shown, largest first; dead:
    share of active points, largest first, so that dead units close the sheet; similarity: twins side by side,
    see `chain`, dead units last; importance: decibels lost without the unit, largest first, given as
    `importance` (units,). Ties go by index. Raises RecipeError for another word, or where `importance` is missing.
    """
    check(by)
    if by == "index":
        return np.arange(view.units)
    if by == "similarity":
        alive, lost = np.flatnonzero(~view.dead), np.flatnonzero(view.dead)
        parts = [part for part in (alive, lost) if len(part)]
        return np.concatenate([part[chain(correlations(view.values[part]))] for part in parts])
    if by == "importance":
        if importance is None:
            raise RecipeError(
                "sort='importance' needs each neuron's importance: make the neurons table first"
            )
        key: Any = np.asarray(importance, np.float64)
    else:
        key = {"mean": view.mean, "contrast": view.values.std((1, 2)), "dead": view.active}[by]
    return np.argsort(-np.nan_to_num(key, nan=-np.inf), kind="stable")


def correlations(values: Array) -> Array:
    """Pearson correlations of pictures (units, h, w): (units, units), 0 where one of the two is constant."""
    flat = values.reshape(len(values), -1).astype(np.float32)
    flat = flat - flat.mean(1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1)
    flat /= np.where(norm > 1e-12, norm, 1)[:, None]
    result: Array = np.clip(flat @ flat.T, -1, 1)
    return result


def chain(similar: Array, *, neighbours: int = 32) -> Order:
    """A path through all units on which similar ones are neighbours: (units, units) -> a permutation.

    Pairs are taken most similar first, and joined where both are still ends of a path (Kruskal's rule with at
    most two edges a unit), so mutual nearest twins always stand side by side. What paths remain are laid end
    to end, longest first. neighbours: pairs are sought among so many nearest of each unit.
    """
    count = len(similar)
    weights = similar.copy()
    np.fill_diagonal(weights, -np.inf)
    near = (
        np.argpartition(-weights, min(neighbours, count) - 1, axis=1)[:, :neighbours] if count > 1 else None
    )
    group = list(range(count))
    paths = {unit: [unit] for unit in range(count)}
    if near is not None:
        pairs = {(min(a, int(b)), max(a, int(b))) for a in range(count) for b in near[a] if a != int(b)}
        for a, b in sorted(pairs, key=lambda pair: (-weights[pair], pair)):
            if group[a] == group[b]:
                continue
            one, two = paths[group[a]], paths[group[b]]
            if a not in (one[0], one[-1]) or b not in (two[0], two[-1]):
                continue
            joined = (one if one[-1] == a else one[::-1]) + (two if two[0] == b else two[::-1])
            del paths[group[b]]
            paths[group[a]] = joined
            for unit in two:
                group[unit] = group[a]
    rest = sorted(paths.values(), key=lambda path: (-len(path), path[0]))
    return np.array([unit for path in rest for unit in path], np.int64)


def parse_neurons(text: str, units: Sequence[int]) -> list[tuple[int, int]]:
    """`all`, or a list such as `2:117,3:5`, `2:10-19`, `4:all`: (layer, index) pairs in the order given.

    Layers count from 1, neurons from 0; units: widths of the hidden layers. Doubles count once.
    Raises RecipeError for anything else, naming the part and what was allowed.
    """
    chosen: dict[tuple[int, int], None] = {}
    for part in text.replace(" ", "").split(","):
        if part == "all":
            chosen.update(((n, i), None) for n, count in enumerate(units, 1) for i in range(count))
            continue
        match = re.fullmatch(r"(\d{1,6}):(all|(\d{1,9})(?:-(\d{1,9}))?)", part)
        if not match:
            raise RecipeError(
                f"neurons={text!r}: {part!r} is no selection\nhint: 2:117, 2:10-19, 4:all, or all, joined by commas"
            )
        layer = number(int(match[1]), len(units))
        count = units[layer - 1]
        first = 0 if match[2] == "all" else int(match[3])
        last = count - 1 if match[2] == "all" else int(match[4] or first)
        if first > last or last >= count:
            raise RecipeError(
                f"neurons={text!r}: {part!r} is out of range: layer {layer} has neurons 0 ... {count - 1}"
            )
        chosen.update(((layer, i), None) for i in range(first, last + 1))
    return list(chosen)
