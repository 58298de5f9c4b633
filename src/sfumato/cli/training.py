"""The verbs that train a net. Flags in, one public function called, exit code out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..errors import RecipeError
from ..recipe import NAMED, check_names
from ..words import printable
from .flags import Out, Quiet, flag, takes_fields
from .precedence import layered, merged, pairs
from .refusals import asked

if TYPE_CHECKING:
    from ..following import Say
    from ..recipe import Recipe
    from ..runs import RunDirectory

__all__ = ["digits", "gigapixel", "paint", "resume"]

Settings = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        help="any recipe field: --set clip=1; a task's own: --set options.alpha=true",
        negative=(),
    ),
]
Budget = Annotated[str | None, flag("time for training and watching together: 90s, 2m, 1h; plans the steps")]
Frames = Annotated[str | None, flag("beats of frames and metrics: 48, linear:100, every:500, 0,10,100")]
Film = Annotated[str | None, flag("mp4, webp, gif, none, or auto")]
DryRun = Annotated[bool, flag("print recipe, parameters and steps; train nothing")]
AsJson = Annotated[bool, flag("JSON Lines on stdout", "--json")]


@takes_fields
def paint(
    source: Annotated[
        str | None, Parameter(name="PICTURE", help="picture file; none: the built-in Mona Lisa")
    ] = None,
    /,
    *,
    recipe: Annotated[str | None, flag(f"{', '.join(NAMED)}, or a JSON file")] = None,
    budget: Budget = None,
    until: Annotated[str | None, flag("stop early at psnr=30 or time=60s; exit 4 if not reached")] = None,
    out: Out = "runs",
    settings: Settings = (),
    alpha: Annotated[bool, flag("learn the opacity as a fourth output")] = False,
    max_pixels: Annotated[int | None, flag("larger pictures are downscaled to this")] = None,
    frames: Frames = None,
    film: Film = None,
    captions: Annotated[bool, flag("write epoch and PSNR into the film")] = False,
    preview_ema: Annotated[
        float, flag("frames show an average of the weights with this decay a step: 0.99")
    ] = 0.0,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    no_preview: Annotated[bool, flag("do not show the painting in the terminal")] = False,
    **fields: Any,
) -> int:
    """Train a network to paint a picture; leaves a run directory with painting, film, metrics and weights."""
    chosen = layered("paint", "classic", {"recipe": recipe, **fields}, settings)
    seconds = _seconds(budget, fields, settings)
    options = dict(chosen.options) | ({"alpha": True} if alpha else {})
    if max_pixels is not None:
        options["max_pixels"] = max_pixels
    chosen = chosen.replace(options=options)
    watch, target = asked(chosen, frames, film, captions, until, preview_ema)
    with _telling(as_json, quiet) as say:
        from .. import experiment

        if dry_run:
            return _dry_run(chosen, source, as_json)
        run = experiment.perform(chosen, source, out=out, watch=watch, until=target, budget=seconds, say=say)
    if not (no_preview or as_json or quiet or run.stopped_by):
        from .preview import show

        show(run.folder / "painting.png")
    return _finished(run, as_json, quiet)


@takes_fields
def digits(
    *,
    data: Annotated[str | None, flag("mnist, fashion, kmnist, or digits8x8 (needs no network)")] = None,
    recipe: Annotated[str | None, flag("2012, best, or a JSON file")] = None,
    budget: Budget = None,
    out: Out = "runs",
    settings: Settings = (),
    frames: Frames = None,
    film: Film = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    **fields: Any,
) -> int:
    """The MNIST bench: one hidden layer of 6000 rectified units, its features drawn as pictures."""
    chosen = layered("digits", "best", {"recipe": recipe, **fields}, settings)
    seconds = _seconds(budget, fields, settings)
    watch, _ = asked(chosen, frames, film)
    with _telling(as_json, quiet) as say:
        from .. import experiment

        if dry_run:
            return _dry_run(chosen, data, as_json)
        run = experiment.perform(chosen, data, out=out, watch=watch, budget=seconds, say=say)
    return _finished(run, as_json, quiet)


@takes_fields
def gigapixel(
    picture: Annotated[str, Parameter(name="PICTURE", help="a file; read in tiles where it is a TIFF")],
    /,
    *,
    recipe: Annotated[str | None, flag("large, or a JSON file")] = None,
    until: Annotated[str | None, flag("stop early at psnr=30 or time=60s; exit 4 if not reached")] = None,
    out: Out = "runs",
    settings: Settings = (),
    frames: Frames = None,
    film: Film = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    **fields: Any,
) -> int:
    """A picture larger than memory, learned shard by shard; `sfumato export RUN painting.tif` paints it whole."""
    chosen = layered("gigapixel", "large", {"recipe": recipe, **fields}, settings)
    watch, target = asked(chosen, frames, film, until=until)
    with _telling(as_json, quiet) as say:
        from .. import experiment

        if dry_run:
            return _dry_run(chosen, picture, as_json)
        run = experiment.perform(chosen, picture, out=out, watch=watch, until=target, say=say)
    return _finished(run, as_json, quiet)


def resume(
    run: Annotated[str, Parameter(name="RUN", help="run directory, part of its name, or last")],
    /,
    *,
    epochs: Annotated[
        float | None, flag("go on to this many epochs in all; the schedule is planned anew")
    ] = None,
    until: Annotated[
        str | None, flag("stop early at psnr=30 or time=60s; none: the run's own target")
    ] = None,
    fork: Annotated[int | None, flag("start a new run that leaves this one at a step")] = None,
    polish: Annotated[
        int | None,
        flag("start a new run: so many steps of L-BFGS on all samples from here, or from --fork STEP"),
    ] = None,
    settings: Settings = (),
    source: Annotated[str | None, flag("the picture of a gigapixel run, which keeps no copy of it")] = None,
    out: Out = "runs",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Go on with a run after Ctrl-C, a crash, or for more epochs."""
    from ..runs import find
    from ..runs.watch import Until

    if fork is None and polish is None and settings:
        raise RecipeError("--set changes a run's recipe only with --fork STEP or --polish STEPS")
    if (fork, polish) != (None, None) and until is not None:
        raise RecipeError(
            "--until is for going on, not for --fork\nhint: fork, stop with Ctrl-C, resume --until"
        )
    if polish is not None and (epochs is not None or polish < 1):
        raise RecipeError(
            f"--polish {polish} must be at least 1 step, and says how long: it takes no --epochs"
        )
    target = None if until is None else Until.parse(until)
    with _telling(as_json, quiet) as say:
        found = find(run, out)
        changes = merged(found.recipe, pairs(settings)) | ({} if epochs is None else {"epochs": epochs})
        check_names(found.recipe.replace(**changes))
        from .. import experiment

        if fork is None and polish is None:
            done = experiment.resume(found, epochs=epochs, until=target, source=source, say=say)
        else:
            done = experiment.fork(found, fork, changes, polish=polish or 0, out=out, say=say)
    return _finished(done, as_json, quiet)


def _seconds(budget: str | None, fields: Mapping[str, Any], settings: Sequence[str]) -> float | None:
    if budget is None:
        return None
    from ..budget import parse, refuse_two

    refuse_two({k: v for k, v in fields.items() if v is not None} | pairs(settings))
    return parse(budget)


def _dry_run(recipe: Recipe, source: str | None, as_json: bool) -> int:
    """Say what would be trained."""
    from .. import experiment

    data, net = experiment.prepare(recipe, source)
    facts = {
        "recipe": json.loads(recipe.to_json()),
        "parameters": net.parameter_count,
        "samples": data.samples,
        "steps": recipe.total_steps(data.samples),
    }
    print(json.dumps(facts, indent=None if as_json else 2))  # --json promises an object a line
    return 0


def _telling(as_json: bool, quiet: bool) -> AbstractContextManager[Say]:
    """Who tells what goes on, from the start: importing torch takes seconds."""
    from .. import progress

    if as_json:
        return progress.JsonLines().telling()
    return (progress.Quiet() if quiet else progress.renderer()).telling()


def _finished(run: RunDirectory, as_json: bool, quiet: bool) -> int:
    if not as_json:
        print(printable(str(run.folder)))
    if run.stopped_by:
        return 128 + run.stopped_by
    if run.reached:
        return 0
    if quiet or as_json:  # else progress has said it
        print(run.verdict, file=sys.stderr)
    return 4
