"""Where a reader of digits fails: confusions as a table, mistakes as tiles, confidence against truth."""

from __future__ import annotations

from dataclasses import dataclass

from ... import picture
from ...data import Data
from ...nets import Net
from ...neurons import mistakes
from ._pictures import uri

__all__ = ["Reading", "reading"]

MOST = 120
"""Mistakes drawn, the most confident ones."""


@dataclass(frozen=True)
class Reading:
    """classes; confusion: counts, a row a true class; sheet: URI of the mistakes; wrong, samples: how many.

    bins: (confidence, accuracy, samples) of each bin of confidence that holds any. error: their mean distance.
    """

    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    largest: int
    sheet: str
    shown: int
    wrong: int
    samples: int
    bins: tuple[tuple[float, float, int], ...]
    error: float


def reading(net: Net, data: Data) -> Reading | None:
    """All of it on the held-out samples; None where the data are no classes."""
    if "classes" not in data.facts or not len(data.hidden_inputs):
        return None
    matrix = mistakes.confusion(net, data)
    found = mistakes.mistakes(net, data)
    first = mistakes.Mistakes(
        found.samples[:MOST], found.truth[:MOST], found.guesses[:MOST], found.confidence[:MOST]
    )
    sheet = mistakes.mistakes_sheet(first, data)
    curve = mistakes.calibration(net, data)
    bins = [
        (float(sure), float(right), int(count))
        for sure, right, count in zip(curve.confidence, curve.accuracy, curve.counts, strict=True)
        if count
    ]
    off = matrix.copy()
    off[range(len(off)), range(len(off))] = 0
    return Reading(
        tuple(map(str, data.facts["classes"])),
        tuple(tuple(map(int, row)) for row in matrix),
        max(1, int(off.max())),
        uri(picture.encode(sheet, "png"), "image/png"),
        len(first.samples),
        len(found.samples),
        len(data.hidden_inputs),
        tuple(bins),
        curve.error,
    )
