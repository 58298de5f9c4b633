"""The verbs that run many nets: compare, and sweep. Flags in, one public function called, exit code out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ..errors import RecipeError
from ..progress import Waiting
from .flags import Quiet, flag

__all__ = ["compare", "sweep"]

compare = App(
    name="compare",
    help="Several recipes on the same pictures under one budget, tuned alike: tables, verdicts, plots, one page.",
    help_epilogue="Examples:\n\nsfumato compare --recipes classic siren --budget 30s\n\n"
    "sfumato compare a.jpg b.jpg --recipes siren finer siren+rate=0.001 --seeds 3 --tune 0\n\n"
    "docs/comparing.md says what is held equal, what is tuned and what a verdict means.",
    default_parameter=Parameter(negative=()),
)


Pictures = Annotated[str, Parameter(name="PICTURE", help="none: the built-in Mona Lisa")]
TuneOn = Annotated[
    tuple[str, ...],
    Parameter(
        name="--tune-on", help="pictures for that, not scored; none: dead leaves", consume_multiple=True
    ),
]


@compare.default
def recipes_(
    *pictures: Pictures,
    recipes: Annotated[
        tuple[str, ...],
        Parameter(
            help="named ones, JSON files, or with fields changed: siren+rate=0.001", consume_multiple=True
        ),
    ] = ("classic", "siren", "fourier", "sharp"),
    budget: Annotated[str, flag("for each run: 30s, 500epochs, 300kparams, or 300kparams,30s")] = "30s",
    seeds: Annotated[int, flag("runs of each recipe on each picture")] = 5,
    tune: Annotated[int, flag("trials of each recipe's rate before; 0: as they are")] = 8,
    tune_on: TuneOn = (),
    held_out: Annotated[str, flag("pixels that no run sees; none: all are seen")] = "0.1",
    targets: Annotated[str, flag("PSNR in dB, the times to which are told")] = "25,30,35,40",
    max_pixels: Annotated[int, flag("larger pictures are downscaled to this; 0: as they are")] = 0,
    looks: Annotated[int, flag("moments at which a run is painted and scored; few are quicker")] = 24,
    workers: Annotated[int, flag("processes, a net each; 0: one a core")] = 0,
    out: Annotated[str | None, flag("folder; the same command goes on in the same one")] = None,
    retry_failed: Annotated[bool, flag("also runs that diverged before")] = False,
    fail_fast: Annotated[bool, flag("stop at the first run that fails")] = False,
    quiet: Quiet = False,
) -> int:
    """Several recipes on the same pictures under one budget, tuned alike: tables, verdicts, plots, one page."""
    with Waiting("compare", quiet=quiet) as tell:
        from ..compare import page, summary
        from ..compare.budget import Budget
        from ..compare.comparison import Request, read_contestant
        from ..compare.comparison import compare as run

        request = Request(
            contestants=tuple(map(read_contestant, recipes)),
            pictures=tuple(pictures) or (None,),
            budget=Budget.parse(budget),
            seeds=seeds,
            tune=tune,
            tune_on=tune_on,
            held_out=held_out,
            targets=_numbers("targets", targets),
            max_pixels=max_pixels,
            looks=looks,
        )
        folder = Path(out) if out else Path("comparisons") / request.name
        done = run(
            request,
            folder,
            workers=workers,
            retry_failed=retry_failed,
            fail_fast=fail_fast,
            say=tell.write,
        )
        notes = page.write(done)
    print(summary.text(done))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"\n{folder}")
    return 1 if done.failures else 0


@compare.command(
    help_epilogue="Examples:\n\nsfumato compare depth\n\n"
    "sfumato compare depth photo.jpg --layers 1,2,4 --equal parameters --epochs 20 --max-pixels 30000"
)
def depth(
    *pictures: Pictures,
    layers: Annotated[str, flag("depths to try")] = "1,2,3,4,5,6,7,8",
    equal: Annotated[str, flag("what is held equal: parameters,units,seconds")] = "parameters,units,seconds",
    width: Annotated[
        int, flag("units a layer of the net of three layers that sets parameters and units")
    ] = 100,
    epochs: Annotated[float, flag("budget where parameters or units are equal")] = 50.0,
    seconds: Annotated[float, flag("budget where seconds are equal")] = 30.0,
    seeds: Annotated[int, flag("runs of each depth on each picture")] = 5,
    tune: Annotated[int, flag("trials of each depth's rate before; 0: as it is")] = 8,
    tune_on: TuneOn = (),
    held_out: Annotated[str, flag("pixels that no run sees; none: all are seen")] = "0.1",
    max_pixels: Annotated[int, flag("larger pictures are downscaled to this; 0: as they are")] = 0,
    workers: Annotated[int, flag("processes, a net each; 0: one a core")] = 0,
    out: Annotated[str | None, flag("folder; the same command goes on in the same one")] = None,
    quiet: Quiet = False,
) -> int:
    """One to eight hidden layers at equal parameters, units and seconds: the claim of 2012 with error bars."""
    whole = tuple(int(n) if 1 <= n <= 100 and n.is_integer() else 0 for n in _numbers("layers", layers))
    if not whole or 0 in whole or len(set(whole)) != len(whole):
        raise RecipeError(f"layers={layers!r} must be different whole numbers from 1 to 100: 1,2,4")
    if not (width >= 1 and 0 < epochs < 1e6 and 0 < seconds < 1e7):
        raise RecipeError("width, epochs and seconds must be greater than 0")
    names = "-".join(Path(p).stem for p in pictures) or "mona-lisa"
    equals = tuple(equal.replace(" ", "").split(","))
    with Waiting("compare depth", quiet=quiet) as tell:
        from ..compare.comparison import Contestant, Request
        from ..compare.depth import Depths, text
        from ..compare.depth import depth as run
        from ..compare.folders import folder_name
        from ..recipe import Recipe

        usual = f"{folder_name(f'depth_{names}')}_{width}x3_{epochs:g}epochs"
        folder = Path(out) if out else Path("comparisons") / usual

        asked = Request(
            (Contestant("depth", Recipe()),),
            pictures=tuple(pictures) or (None,),
            seeds=seeds,
            tune=tune,
            tune_on=tune_on,
            held_out=held_out,
            max_pixels=max_pixels,
        )
        depths = Depths(whole, width, 3, epochs, seconds)
        done = run(depths, equals, asked, folder, workers=workers, say=tell.write)
    print(text(done))
    print(f"\n{folder}")
    return 1 if any(one.failures for one in done.values()) else 0


sweep = App(
    name="sweep",
    help="Many values of a recipe's fields, here or on a cluster.",
    help_epilogue="Examples:\n\nsfumato sweep rates.toml\n\nsfumato sweep rates.toml --out sweeps/rates\n\n"
    "docs/scale.md says what stands in such a file, and how a sweep goes on.",
    default_parameter=Parameter(negative=()),
)


@sweep.default
def sweep_file(
    file: Annotated[
        Path, Parameter(name="FILE", help="TOML: recipe fields and [grid], [random] or [search]")
    ],
    /,
    *,
    out: Annotated[str | None, flag("folder; the same command goes on in the same one")] = None,
    workers: Annotated[int, flag("local processes, a net each; 0: one a core")] = 0,
    ray: Annotated[str | None, flag("address of a Ray cluster, auto, or local")] = None,
    gpus: Annotated[float, flag("share of a GPU for a net on one (with --ray)")] = 1.0,
    runs: Annotated[str, flag("where nodes leave whole runs (with --ray): a shared folder, s3://...")] = "",
    retry_failed: Annotated[bool, flag("also runs that diverged before")] = False,
    fail_fast: Annotated[bool, flag("stop at the first run that fails")] = False,
    quiet: Quiet = False,
) -> int:
    """Many values of a recipe's fields: a grid, random points or a search, here or on a Ray cluster."""
    folder = Path(out) if out else Path("sweeps") / file.stem
    with Waiting("sweep", quiet=quiet) as tell:
        from ..compare import sweep as sweeping
        from ..compare.sweep_file import read

        asked = read(file)
        trials = sweeping.run(
            asked,
            folder,
            workers=workers,
            ray=ray,
            gpus=gpus,
            store=runs,
            retry_failed=retry_failed,
            fail_fast=fail_fast,
            say=tell.write,
        )
        sweeping.write_csv(asked, trials, folder / "results.csv")
    print(sweeping.text(asked, trials))
    print(f"\n{folder}")
    return 1 if any(trial.error for trial in trials) else 0


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        example = {"targets": "25,30,35,40", "layers": "1,2,4"}[name]
        raise RecipeError(f"{name}={text!r} must be numbers: {example}") from error
