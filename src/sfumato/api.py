"""The verbs as functions: a picture, digits or a recipe in, a `Run` with all its views out.

Each tells on stderr, or in the notebook's cell, what goes on, as the command line does; `progress=False` is silent.
So PyTorch is imported inside the functions: that takes seconds, and something is to be said meanwhile.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .errors import RecipeError
from .recipe import Recipe, for_budget, of_task, read_recipe
from .run import Run
from .runs import RunDirectory
from .runs.watch import Until, Watch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from PIL import Image

    from .learning.session import Tick
    from .picture import Picture

__all__ = ["digits", "fork", "paint", "perform", "resume"]


def paint(
    picture: str | os.PathLike[str] | Picture | Image.Image | ArrayLike | None = None,
    *,
    recipe: str | Recipe | None = None,
    out: str | os.PathLike[str] = "runs",
    until: str | Until | None = None,
    budget: str | float | None = None,
    watch: Watch | None = None,
    watchers: Sequence[Callable[[Tick], None]] = (),
    alpha: bool = False,
    max_pixels: int | None = None,
    progress: bool = True,
    **fields: Any,
) -> Run:
    """Train a network to paint a picture, and return the run; None is the built-in Mona Lisa.

    picture: a file, a `Picture`, one of Pillow's, or an array (H, W) or (H, W, 1, 3 or 4) of floats in [0, 1],
    bool, uint8 or uint16. A transparent one is painted on white; alpha: its opacity is
    learned as a fourth output. max_pixels: a larger one is downscaled to this.

    recipe: a name, a JSON file or a Recipe; `classic` if not given. fields: recipe fields that differ, in the
    forms of the command line: net="4x300", activation="sine:omega=30", epochs=500. until: "psnr=30" or "time=60s".
    budget: "90s", "2m" or seconds for training and watching together; then there are no epochs or steps.
    watchers: callables that get every `Tick`. progress: say what goes on, see the module. Ctrl-C returns the
    partial run, `stopped_by` set. Raises SfumatoError subclasses.
    """
    given = recipe if isinstance(recipe, Recipe) else read_recipe("classic" if recipe is None else recipe)
    chosen = for_budget(of_task(given, "picture").replace(**fields), fields)
    options = {"alpha": True if alpha else None, "max_pixels": max_pixels}
    chosen = chosen.replace(options={**chosen.options, **{k: v for k, v in options.items() if v is not None}})
    with _telling(progress, {}) as told:
        source = os.fspath(picture) if isinstance(picture, (str, os.PathLike)) else _picture(picture)
        return perform(
            chosen,
            source,
            out=out,
            watch=watch,
            until=_until(until),
            budget=_seconds(budget, fields),
            watchers=watchers,
            progress=progress,
            **told,
        )


def digits(
    data: str | None = None,
    *,
    recipe: str | Recipe = "best",
    out: str | os.PathLike[str] = "runs",
    budget: str | float | None = None,
    watch: Watch | None = None,
    watchers: Sequence[Callable[[Tick], None]] = (),
    progress: bool = True,
    **fields: Any,
) -> Run:
    """Train a network to read digits: data is `mnist`, `fashion`, `kmnist` or `digits8x8`.

    recipe: `2012`, `best`, a JSON file or a Recipe; the rest as in `paint`. Raises SfumatoError subclasses.
    """
    given = recipe if isinstance(recipe, Recipe) else read_recipe(recipe, "digits")
    chosen = of_task(given, "digits").replace(**fields)
    with _telling(progress, {}) as options:
        seconds = _seconds(budget, fields)
        return perform(
            chosen,
            data,
            out=out,
            budget=seconds,
            watch=watch,
            watchers=watchers,
            progress=progress,
            **options,
        )


def perform(
    recipe: Recipe, source: str | Picture | None = None, *, progress: bool = True, **options: Any
) -> Run:
    """`experiment.perform` with its options: train the recipe's net on `source`, and return the run."""
    with _telling(progress, options) as told:
        from . import experiment

        return Run.of(experiment.perform(recipe, source, **told))


def resume(
    run: RunDirectory | str | os.PathLike[str],
    *,
    until: str | Until | None = None,
    progress: bool = True,
    **options: Any,
) -> Run:
    """`experiment.resume` with its options: go on with a run, or with the one of a folder."""
    opened = _opened(run)
    options["until"] = _until(until)
    if options.get("epochs") is not None:
        options["epochs"] = opened.recipe.replace(epochs=options["epochs"], steps=0).epochs
    with _telling(progress, options) as told:
        from . import experiment

        return Run.of(experiment.resume(opened, **told))


def fork(
    run: RunDirectory | str | os.PathLike[str],
    step: int | None,
    changes: Mapping[str, Any],
    *,
    progress: bool = True,
    **options: Any,
) -> Run:
    """`experiment.fork` with its options: a new run that leaves `run` at `step`, some fields changed from there."""
    opened = _opened(run)
    try:
        step = None if step is None else operator.index(step)
    except TypeError as error:
        raise RecipeError(f"fork step {step!r} is no whole number") from error
    with _telling(progress, options) as told:
        from . import experiment

        return Run.of(experiment.fork(opened, step, changes, **told))


@contextmanager
def _telling(progress: bool, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """`options` with the renderer that fits, unless the caller brings a `say` of its own or wants none."""
    if not progress or "say" in options:
        yield dict(options)
        return
    from .progress import renderer

    with renderer(python=True).telling() as say:
        yield {**options, "say": say}


def _opened(run: RunDirectory | str | os.PathLike[str]) -> RunDirectory:
    return run if isinstance(run, RunDirectory) else RunDirectory(run)


def _until(target: str | Until | None) -> Until | None:
    """A target, or its text as on the command line; None where there is none."""
    return Until.parse(str(target)) if target else None


def _picture(given: object) -> Picture | None:
    """A picture that is already in memory; PictureError for what is none."""
    from PIL import Image

    from .picture import Picture, from_array, from_pillow

    if given is None or isinstance(given, Picture):
        return given
    if isinstance(given, Image.Image):
        return from_pillow(given)
    return from_array(given)  # type: ignore[arg-type]  # what is no array is refused there


def _seconds(budget: str | float | None, fields: Mapping[str, Any]) -> float | None:
    """A budget in seconds; RecipeError where epochs or steps are given too."""
    if budget is None:
        return None
    from .budget import parse, refuse_two

    refuse_two(fields)
    return parse(budget)
