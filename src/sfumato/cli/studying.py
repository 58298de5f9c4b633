"""The verb of the reading list: which papers there are, and one study run. Flags in, one function called."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ..errors import RecipeError
from ..progress import Waiting
from ..words import aligned, printable
from .flags import Quiet, flag

__all__ = ["study"]

study = App(
    name="study",
    help="The reading list, runnable: a paper's central claim tested on small nets, in minutes.",
    help_epilogue="Examples:\n\nsfumato study\n\nsfumato study he_init --quick\n\n"
    "sfumato study he_init --report\n\n"
    "sfumato study he_init --kept\n\nThe same command goes on where it was stopped. "
    "docs/reading-list.md holds all verdicts.",
    default_parameter=Parameter(negative=()),
)


@study.default
def study_(
    name: Annotated[
        str | None, Parameter(name="NAME", help="none: list all 28 papers with state and verdict")
    ] = None,
    /,
    *,
    quick: Annotated[bool, flag("a version of seconds that shows directions only; needs no data")] = False,
    seeds: Annotated[int, flag("runs of each arm; 0: the study's own number")] = 0,
    budget: Annotated[
        str | None, flag("begin no run any more after 90s, 5m, 1h; the same command goes on")
    ] = None,
    out: Annotated[str | None, flag("folder; none: studies/NAME, or studies/NAME-quick")] = None,
    report: Annotated[
        bool, flag("also write report.html: the mechanism explained, the figure, the verdict")
    ] = False,
    kept: Annotated[
        bool, flag("run nothing: the page of the full run that came with the package, in NAME-kept")
    ] = False,
    workers: Annotated[int, flag("processes, a net each; 0: one a core")] = 0,
    ray: Annotated[str | None, flag("address of a Ray cluster, auto, or local")] = None,
    quiet: Quiet = False,
) -> int:
    """The reading list, runnable: a paper's central claim tested on small nets, in minutes."""
    if name is None:
        from ..studies._kept import listing

        print(listing())
        return 0
    if seeds < 0 or seeds > 1000:
        raise RecipeError(f"seeds={seeds} must be 0 (the study's own number) to 1000")
    if kept and (quick or seeds or budget is not None or ray is not None):
        raise RecipeError(
            "--kept runs nothing, so it takes no --quick, --seeds, --budget or --ray\nhint: leave one out"
        )
    folder = Path(out) if out else Path("studies") / f"{name}{'-quick' if quick else '-kept' if kept else ''}"
    parts = [f"sfumato study {name}", "--quick" if quick else "", f"--seeds {seeds}" if seeds else ""]
    with Waiting(printable(f"study {name}"), quiet=quiet) as tell:
        from ..budget import parse
        from ..files import writing
        from ..studies import _kept, _page, _running, study

        study(name)  # an unknown name is refused before a folder is made
        figure = None
        if kept:
            done, figure = _kept.restored(name)
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        else:
            done = _running.run(
                name,
                folder,
                quick=quick,
                seeds=seeds,
                budget=None if budget is None else parse(budget),
                workers=workers,
                ray=ray,
                command=" ".join(filter(None, parts)),
                say=tell.write,
            )
        tell("page")
        made = _page.write(done, folder, report=report or kept, figure=figure)
    if done.verdict is None:
        print(f"no seed is complete yet\ngo on: sfumato study {name} --out {shlex.quote(str(folder))}")
    else:
        table = [list(row) for row in done.verdict.table]
        print(f"{done.module.CLAIM}\n\n{aligned(table, right=range(1, len(table[0])))}\n")
        print(f"{done.verdict.holds}: {done.verdict.why}")
    print("\n" + "\n".join(str(path) for path in [folder, *made]))
    return 1 if done.failed else 0
