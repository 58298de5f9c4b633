"""The verbs that run many nets: compare, and sweep. Flags in, one public function called, exit code out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ..errors import RecipeError

__all__ = ["compare"]

compare = App(
    name="compare",
    help="Several recipes on the same pictures under one budget, tuned alike: tables, verdicts, plots, one page.",
    help_epilogue="Examples:\n\nsfumato compare --recipes classic siren --budget 30s\n\n"
    "sfumato compare a.jpg b.jpg --recipes siren finer siren+rate=0.001 --seeds 3 --tune 0\n\n"
    "docs/comparing.md says what is held equal, what is tuned and what a verdict means.",
    default_parameter=Parameter(negative=()),
)


def _flag(text: str, *names: str) -> Parameter:
    return Parameter(name=names or None, help=text)


@compare.default
def recipes_(
    *pictures: Annotated[str, Parameter(name="PICTURE", help="none: the built-in Mona Lisa")],
    recipes: Annotated[
        tuple[str, ...],
        Parameter(
            help="named ones, JSON files, or with fields changed: siren+rate=0.001", consume_multiple=True
        ),
    ] = ("classic", "siren", "fourier", "sharp"),
    budget: Annotated[str, _flag("for each run: 30s, 500epochs, 300kparams, or 300kparams,30s")] = "30s",
    seeds: Annotated[int, _flag("runs of each recipe on each picture")] = 5,
    tune: Annotated[int, _flag("trials of each recipe's rate before; 0: as they are")] = 8,
    tune_on: Annotated[
        tuple[str, ...],
        Parameter(help="pictures for that, not scored; none: dead leaves", consume_multiple=True),
    ] = (),
    held_out: Annotated[str, _flag("pixels that no run sees; none: all are seen")] = "0.1",
    targets: Annotated[str, _flag("PSNR in dB, the times to which are told")] = "25,30,35,40",
    max_pixels: Annotated[int, _flag("larger pictures are downscaled to this; 0: as they are")] = 0,
    workers: Annotated[int, _flag("processes, a net each; 0: one a core")] = 0,
    out: Annotated[str | None, _flag("folder; the same command goes on in the same one")] = None,
    retry_failed: Annotated[bool, _flag("also runs that diverged before")] = False,
    fail_fast: Annotated[bool, _flag("stop at the first run that fails")] = False,
    quiet: Annotated[bool, _flag("no progress")] = False,
) -> int:
    """Several recipes on the same pictures under one budget, tuned alike: tables, verdicts, plots, one page."""
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
        targets=_numbers(targets),
        max_pixels=max_pixels,
    )
    folder = Path(out) if out else Path("comparisons") / request.name
    done = run(
        request,
        folder,
        workers=workers,
        retry_failed=retry_failed,
        fail_fast=fail_fast,
        say=(lambda text: None) if quiet else (lambda text: print(text, file=sys.stderr, flush=True)),
    )
    from ..compare import page, summary

    print(summary.text(done))
    for note in page.write(done):
        print(f"note: {note}", file=sys.stderr)
    print(f"\n{folder}")
    return 1 if done.failures else 0


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part)
    except ValueError as error:
        raise RecipeError(f"targets={text!r} must be numbers: 25,30,35,40") from error
