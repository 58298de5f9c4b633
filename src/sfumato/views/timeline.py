"""Which of a run's kept frames a film shows, so that it goes on at an even pace.

A pace gives every frame a place on a line; the film shows the frames nearest to evenly spaced places, the first
and the last always. `change` places a frame at the length of the painting's path up to it: the sum of the
distances between neighbouring frames, each shrunk to at most SIDE pixels a side, in Oklab (Ottosson 2020), where
equal distances look equal. Shrinking keeps the flicker of single pixels from counting as change.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..drawing.palettes import oklab
from ..errors import RecipeError
from .frames import check_alike, opened

__all__ = ["PACES", "change", "check", "even", "shown"]

PACES = ("change", "log", "epochs", "all")
"""Even steps of visible change (the default), of log(1 + step), of training; every kept frame."""

SIDE = 32
"""Pixels of the longer side of a frame whose change is measured."""

LONGEST = 3
"""Times for which a frame stands at most: a quarter of a second in a film of 12 frames a second."""

Listed = list[tuple[int, Path]]


def shown(listed: Listed, pace: str = "") -> Listed:
    """The frames (step, path) of a film at this pace, `change` if empty, out of those kept, in order.

    Raises RecipeError for an unknown pace, RunError for a damaged frame or one of another size than the first.
    """
    check(pace or PACES[0])
    check_alike([path for _, path in listed])
    steps = np.array([step for step, _ in listed], float)
    if pace == "all" or len(listed) < 3:
        return listed
    if pace == "log":
        places = np.log1p(steps)
    elif pace == "epochs":
        places = steps
    else:
        places = change([path for _, path in listed])
    return [listed[k] for k in even(places)]


def even(places: npt.NDArray[np.float64]) -> list[int]:
    """Indices of the frames nearest to len(places) evenly spaced places from the first to the last of them.

    places: (count,) ascending. Frames that are nearest to none are left out; one that is nearest to several,
    because a leap follows or precedes it, stands up to LONGEST times as long.
    """
    wanted = np.linspace(places[0], places[-1], len(places))
    after = np.clip(np.searchsorted(places, wanted), 1, len(places) - 1)
    nearest = np.where(places[after] - wanted <= wanted - places[after - 1], after, after - 1)
    chosen = [0, *map(int, nearest[1:-1]), len(places) - 1]
    return [k for _, same in itertools.groupby(chosen) for k in list(same)[:LONGEST]]


def change(paths: Sequence[Path]) -> npt.NDArray[np.float64]:
    """Length of the painting's path from the first frame to each: (count,), from 0 ascending.

    A unit is the distance in Oklab from black to white, on average over the pixels.
    """
    small = [_small(path) for path in paths]
    moved = [np.linalg.norm(b - a, axis=-1).mean() for a, b in itertools.pairwise(small)]
    return np.concatenate([[0.0], np.cumsum(moved)])


def check(pace: str) -> None:
    """RecipeError with the nearest known word for a pace that is none."""
    if pace not in PACES:
        near = difflib.get_close_matches(pace, PACES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(PACES)}"
        raise RecipeError(f"pace={pace!r} is unknown; {hint}")


def _small(path: Path) -> npt.NDArray[np.float64]:
    image = opened(path, small=2 * SIDE).convert("RGB")
    share = min(1.0, SIDE / max(image.size))
    size = max(1, round(image.width * share)), max(1, round(image.height * share))
    return oklab(np.asarray(image.resize(size, Image.Resampling.BOX)))
