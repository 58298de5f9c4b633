"""The verbs as functions: a picture, digits or a recipe in, a `Run` with all its views out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import experiment
from .budget import parse, refuse_two
from .learning.session import Tick
from .picture import Picture, from_array, from_pillow
from .recipe import Recipe, for_budget, of_task, read_recipe
from .run import Run
from .runs import RunDirectory
from .runs.watch import Until, Watch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from PIL import Image

__all__ = ["digits", "fork", "paint", "perform", "resume"]


def paint(
    picture: str | os.PathLike[str] | Picture | Image.Image | ArrayLike | None = None,
    *,
    recipe: str | Recipe | None = None,
    out: str | os.PathLike[str] = "runs",
    until: str | None = None,
    budget: str | float | None = None,
    watch: Watch | None = None,
    watchers: Sequence[Callable[[Tick], None]] = (),
    **fields: Any,
) -> Run:
    """Train a network to paint a picture, and return the run; None is the built-in Mona Lisa.

    picture: a file, a `Picture`, one of Pillow's, or an array (H, W) or (H, W, 1, 3 or 4) of floats in [0, 1],
    bool, uint8 or uint16. A transparent one is painted on white, unless options={"alpha": True}.

    recipe: a name, a JSON file or a Recipe; `classic` if not given. fields: recipe fields that differ, in the
    forms of the command line: net="4x300", activation="sine:omega=30", epochs=500. until: "psnr=30" or "time=60s".
    budget: "90s", "2m" or seconds for training and watching together; then there are no epochs or steps.
    watchers: callables that get every `Tick`. Ctrl-C returns the partial run, `stopped_by` set.
    Raises SfumatoError subclasses.
    """
    chosen = recipe if isinstance(recipe, Recipe) else read_recipe(recipe or "classic")
    source = os.fspath(picture) if isinstance(picture, (str, os.PathLike)) else _picture(picture)
    return perform(
        for_budget(of_task(chosen, "picture").replace(**fields), fields),
        source,
        out=out,
        watch=watch or Watch(),
        until=Until.parse(until) if until else None,
        budget=_seconds(budget, fields),
        watchers=watchers,
    )


def digits(
    data: str | None = None,
    *,
    recipe: str | Recipe = "best",
    out: str | os.PathLike[str] = "runs",
    budget: str | float | None = None,
    watch: Watch | None = None,
    watchers: Sequence[Callable[[Tick], None]] = (),
    **fields: Any,
) -> Run:
    """Train a network to read digits: data is `mnist`, `fashion`, `kmnist` or `digits8x8`.

    recipe: `2012`, `best`, a JSON file or a Recipe; fields as in `paint`. Raises SfumatoError subclasses.
    """
    chosen = of_task(recipe if isinstance(recipe, Recipe) else read_recipe(recipe, "digits"), "digits")
    return perform(chosen.replace(**fields), data, out=out, watch=watch or Watch(), watchers=watchers)


def _picture(given: object) -> Picture | None:
    """A picture that is already in memory; PictureError for what is none."""
    from PIL import Image

    if given is None or isinstance(given, Picture):
        return given
    if isinstance(given, Image.Image):
        return from_pillow(given)
    return from_array(given)  # type: ignore[arg-type]  # what is no array is refused there


def _seconds(budget: str | float | None, fields: Mapping[str, Any]) -> float | None:
    """A budget in seconds; RecipeError where epochs or steps are given too."""
    if budget is None:
        return None
    refuse_two(fields)
    return parse(budget)


def perform(recipe: Recipe, source: str | Picture | None = None, **options: Any) -> Run:
    """`experiment.perform` with its options: train the recipe's net on `source`, and return the run."""
    return Run.of(experiment.perform(recipe, source, **options))


def resume(run: RunDirectory, **options: Any) -> Run:
    """`experiment.resume` with its options: go on with a run."""
    return Run.of(experiment.resume(run, **options))


def fork(run: RunDirectory, step: int, changes: Mapping[str, Any], **options: Any) -> Run:
    """`experiment.fork` with its options: a new run that leaves `run` at `step`, some fields changed from there."""
    return Run.of(experiment.fork(run, step, changes, **options))
