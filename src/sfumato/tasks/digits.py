"""Handwritten digits: which of ten classes a small grey picture shows, and what hidden units look for.

Inputs are all pixels of a digit in [0, 1], row by row; targets are one-hot. Nothing tells the net which pixels
are neighbours, so shuffling them would change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data import Data
from ..errors import MissingExtra, RecipeError, TaskError
from ..nets import Net
from ..neurons import features
from ..painting import predict
from ..picture import Picture
from ..recipe import NAMED_FOR, Recipe
from . import _idx

__all__ = ["RECIPE", "RECIPES", "draw", "load", "score"]

RECIPES = NAMED_FOR["digits"]
RECIPE = RECIPES["best"][0]

OPTIONS = {"order": ("file",), "split": ("test", "validation")}

SMALL_TEST = 297
"""Test digits of the small set: the last ones, as its file is ordered by writer."""


def load(source: str | None, recipe: Recipe) -> Data:
    """The digits of `source`: mnist, fashion, kmnist or digits8x8 (1,797 digits that need no network).

    None: mnist, or digits8x8 where that cannot be had. Options: `split`, test or validation, says what is held
    out: the test set, or the last 10,000 training samples (300 of digits8x8), which is what choices should be
    made on; `order` = file visits the samples as the file has them; `samples` learns only so many, the first
    ones. Facts: `name`, `side` (rows, columns), `classes`, `split`, `recipe`, `notes`.

    Raises TaskError for a source that is not known or not there, RecipeError for options and for a field that has
    no meaning here.
    """
    _check(recipe.options)
    if recipe.held_out != "none":
        raise RecipeError(
            f"held_out={recipe.held_out!r}: task digits hides no pixels, it holds digits out\n"
            "hint: --set options.split=validation"
        )
    notes: tuple[str, ...] = ()
    if source is None:
        source = "mnist"
        try:
            pictures, notes = _idx.read(source)
        except (_idx.Absent, MissingExtra) as error:
            reason = str(error).split("\n")[0]
            notes = (f"learning scikit-learn's 1,797 digits of 8x8 instead: {reason}",)
            source = "digits8x8"
            pictures = _small()
    elif source == "digits8x8":
        pictures = _small()
    elif source in _idx.SETS:
        pictures, notes = _idx.read(source)
    else:
        known = ", ".join([*_idx.SETS, "digits8x8"])
        raise TaskError(f"digits {source!r} are unknown\nhint: --data {known}")
    classes = _idx.SETS[source].classes if source in _idx.SETS else tuple("0123456789")
    split = str(recipe.options.get("split", "test"))
    full = 16 if source == "digits8x8" else 255
    images, labels = pictures.train_images, pictures.train_labels
    hidden_images, hidden_labels = pictures.test_images, pictures.test_labels
    if split == "validation":
        count = len(images) // 6 if source in _idx.SETS else 300
        images, hidden_images = images[:-count], images[-count:]
        labels, hidden_labels = labels[:-count], labels[-count:]
    limit = recipe.options.get("samples", len(images))
    images, labels = images[:limit], labels[:limit]
    facts = {
        "name": source,
        "side": images.shape[1:],
        "classes": classes,
        "split": split,
        "recipe": recipe,
        "notes": notes,
    }
    return Data(
        _values(images, full),
        _one_hot(labels, len(classes)),
        _values(hidden_images, full),
        _one_hot(hidden_labels, len(classes)),
        facts,
    )


def draw(net: Net, data: Data) -> Picture:
    """A sheet of what the strongest hidden units look for, stable from beat to beat."""
    return features.film_sheet(net, data)


def score(net: Net, data: Data, drawn: Picture) -> dict[str, float]:
    """Share of held-out digits that are misread, in [0, 1]: `test_error` or `validation_error`."""
    guessed = predict(net, data.hidden_inputs).argmax(1)
    wrong = guessed != data.hidden_targets.argmax(1)
    return {f"{data.facts['split']}_error": float(wrong.mean())}


def _check(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        fine = whole and value >= 1 if name == "samples" else value in OPTIONS.get(name, ())
        if not fine:
            known = "; ".join(f"{key}: {' or '.join(values)}" for key, values in OPTIONS.items())
            raise RecipeError(
                f"task digits has no option {name}={value!r}\nhint: {known}; samples: 1 or more"
            )


def _values(images: npt.NDArray[np.uint8], full: int) -> npt.NDArray[np.float32]:
    """(N, rows, columns) -> (N, rows x columns) in [0, 1]."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(full)


def _one_hot(labels: npt.NDArray[np.uint8], classes: int) -> npt.NDArray[np.float32]:
    return np.eye(classes, dtype=np.float32)[labels]


def _small() -> _idx.Pictures:
    """The digits that scikit-learn carries: 1,797 of 8x8, grey values 0 ... 16 (UCI optical digits, test part)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra(
            "digits8x8 come with scikit-learn, which is not installed\nhint: pip install 'sfumato[sklearn]'"
        ) from error
    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    return _idx.Pictures(
        images[:-SMALL_TEST], labels[:-SMALL_TEST], images[-SMALL_TEST:], labels[-SMALL_TEST:]
    )
