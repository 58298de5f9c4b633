"""Where a classifier fails: its errors as tiles, its confusions, and whether its confidence can be believed.

All of it is about the held-out samples of the data, and works from a net and its data alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .. import picture
from ..data import Array, Data
from ..nets import Net
from ..painting import predict
from ..picture import Picture
from ..recipe import Recipe, pick

__all__ = [
    "Calibration",
    "Mistakes",
    "calibration",
    "confusion",
    "confusion_sheet",
    "mistakes",
    "mistakes_sheet",
    "probabilities",
]

Counts = npt.NDArray[np.int64]

INK = 0.1
"""Darkness of a lit pixel where digits are shown as ink on paper."""


def probabilities(outputs: Array, recipe: Recipe) -> Array:
    """How sure the net is of each class, (N, C) in [0, 1], from its outputs.

    Cross-entropy trains the softmax of the outputs. A squared error on one-hot targets trains the outputs to be
    the probabilities themselves: they are cut to [0, 1] and need not add up to 1.
    """
    from ..learning import losses

    if not pick(losses, recipe.loss, "loss").fact("softmax"):
        return np.clip(outputs, 0, 1)
    shifted = np.exp(outputs - outputs.max(1, keepdims=True))
    result: Array = shifted / shifted.sum(1, keepdims=True)
    return result


class Mistakes(NamedTuple):
    """All misread samples, the most confident mistake first.

    samples (M,): their indices among the held-out ones. truth (M,): the right class. guesses (M, 2): the two
    classes with the largest outputs, best first. confidence (M, 2): how sure the net was of them.
    """

    samples: Counts
    truth: Counts
    guesses: Counts
    confidence: Array


def mistakes(net: Net, data: Data) -> Mistakes:
    """The held-out samples that the net misreads."""
    outputs = predict(net, data.hidden_inputs)
    truth = data.hidden_targets.argmax(1)
    ranked = np.argsort(-outputs, axis=1, kind="stable")[:, :2]
    sure = np.take_along_axis(probabilities(outputs, data.facts["recipe"]), ranked, 1)
    wrong = np.flatnonzero(ranked[:, 0] != truth)
    wrong = wrong[np.argsort(-sure[wrong, 0], kind="stable")]
    return Mistakes(wrong, truth[wrong], ranked[wrong], sure[wrong])


def mistakes_sheet(found: Mistakes, data: Data, *, columns: int = 12, scale: int = 2) -> Picture:
    """Every mistake as a tile, captioned `truth: guess=percent second=percent`.

    Without a mistake it is one blank tile that says so.
    """
    if not len(found.samples):
        blank = Picture(np.ones((28 * scale, 120, 1), np.float32))
        return picture.sheet([blank], 1, captions=["no mistakes"])
    names = data.facts["classes"]
    captions = [
        f"{names[t]}: {names[a]}={p:.0%} {names[b]}={q:.0%}"
        for t, (a, b), (p, q) in zip(found.truth, found.guesses, found.confidence, strict=True)
    ]
    tiles = _ink(data.hidden_inputs[found.samples], data.facts["side"], scale, least=92)
    return picture.sheet(tiles, columns, gap=3, captions=captions, caption_size=11)


def confusion(net: Net, data: Data) -> Counts:
    """How often each class (row) was read as each class (column): int64 (C, C), rows add up to the class counts."""
    guessed = predict(net, data.hidden_inputs).argmax(1)
    truth = data.hidden_targets.argmax(1)
    classes = data.hidden_targets.shape[1]
    return np.bincount(truth * classes + guessed, minlength=classes**2).reshape(classes, classes)


def confusion_sheet(matrix: Counts, data: Data, found: Mistakes, *, scale: int = 2) -> Picture:
    """The confusion matrix as a sheet: a row a true class, a column a guess, the count below each cell.

    A cell shows the most confident of its mistakes; the diagonal shows the mean of the class.
    """
    rows, columns = data.facts["side"]
    truth = data.hidden_targets.argmax(1)
    cells: list[Array] = []
    captions: list[str] = []
    for row in range(len(matrix)):
        for column in range(len(matrix)):
            here = found.samples[(found.truth == row) & (found.guesses[:, 0] == column)]
            if row == column:
                cells.append(data.hidden_inputs[truth == row].mean(0))
            else:
                cells.append(
                    data.hidden_inputs[here[0]] if len(here) else np.zeros(rows * columns, np.float32)
                )
            captions.append(str(matrix[row, column]) if matrix[row, column] else "")
    tiles = _ink(np.stack(cells), data.facts["side"], scale)
    return picture.sheet(tiles, len(matrix), gap=2, captions=captions, caption_size=11)


class Calibration(NamedTuple):
    """Confidence against truth, in equal bins of the confidence in the guessed class.

    edges (B + 1,): of the bins. counts (B,): samples in each. confidence (B,), accuracy (B,): means in each, nan
    where a bin is empty. error: mean |accuracy - confidence| weighted by count (ECE, Naeini et al. 2015).
    """

    edges: Array
    counts: Counts
    confidence: Array
    accuracy: Array
    error: float


def calibration(net: Net, data: Data, *, bins: int = 10) -> Calibration:
    """The calibration curve on the held-out samples. bins: >= 1."""
    outputs = predict(net, data.hidden_inputs)
    guessed = outputs.argmax(1)
    shares = probabilities(outputs, data.facts["recipe"])
    sure = np.take_along_axis(shares, guessed[:, None], 1)[:, 0].astype(np.float64)
    right = (guessed == data.hidden_targets.argmax(1)).astype(np.float64)
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    some = np.where(count > 0, count, 1)
    mean_sure = np.bincount(place, sure, bins) / some
    mean_right = np.bincount(place, right, bins) / some
    error = float((np.abs(mean_sure - mean_right) * count).sum() / len(sure))
    empty = count == 0
    return Calibration(
        np.linspace(0, 1, bins + 1).astype(np.float32),
        count,
        np.where(empty, np.nan, mean_sure).astype(np.float32),
        np.where(empty, np.nan, mean_right).astype(np.float32),
        error,
    )


def _ink(inputs: Array, shape: Sequence[int], scale: int, *, least: int = 0) -> list[Picture]:
    """Samples (N, rows x columns) as dark ink on white, `scale` pixels a pixel, padded to `least` columns."""
    values = 1 - (1 - INK) * np.clip(inputs.reshape(-1, *shape), 0, 1)
    values = np.repeat(np.repeat(values, scale, 1), scale, 2)
    side = max(0, least - values.shape[2])
    values = np.pad(values, ((0, 0), (0, 0), (side // 2, side - side // 2)), constant_values=1)
    return [Picture(np.ascontiguousarray(value[..., None], np.float32)) for value in values]
