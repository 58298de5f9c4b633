"""The verbs that look at what is there: runs, export, atlas, playground, doctor, bench."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..errors import RecipeError
from ..words import printable
from .flags import Out, flag

__all__ = ["atlas", "bench", "doctor", "export", "playground", "runs"]


def runs(
    *names: Annotated[str, Parameter(name="RUN", help="none: list; one: details; more: side by side")],
    out: Out = "runs",
    sort: Annotated[str, flag("name, score, psnr, seconds or epoch")] = "name",
    rm: Annotated[bool, flag("delete the named runs")] = False,
    report: Annotated[str | None, flag("write the named runs side by side as an HTML page")] = None,
    to: Annotated[
        Path | None, flag("write all, or the named ones, as a table: runs.parquet or runs.csv")
    ] = None,
    as_json: Annotated[bool, flag("one JSON object", "--json")] = False,
) -> int:
    """List the runs of a folder, show one, or compare several."""
    from ..progress import Waiting
    from ..runs import find, overview, remove, where
    from . import tables

    if rm:
        folders = [where(name, out) for name in names]
        _say_taken(names, folders, lambda text: print(text, file=sys.stderr))
        if not folders:
            raise RecipeError("--rm needs the runs to delete")
        for folder in folders:
            remove(folder)
            print(printable(f"deleted {folder}"), file=sys.stderr)
        return 0
    with Waiting("runs") as tell:
        found = [find(name, out) for name in names]
        _say_taken(names, [run.folder for run in found], tell.write)
        if report is not None:
            if not found:
                raise RecipeError("--report needs the runs to show")
            tell(printable(f"report {report}"))
            from ..views.report import write

            told = printable(str(write(found, report).path))
        elif found and to is None:
            folders = [run.folder for run in found]
            told = json.dumps(tables.as_dicts(folders), indent=2) if as_json else tables.text(found)
        else:
            entries = overview(out, tell)
            if to is not None:
                chosen = [run.folder for run in found]
                tables.write([e for e in entries if not found or e.folder in chosen], to)
                told = printable(str(to))
            elif as_json:
                told = json.dumps(tables.as_dicts([e.folder for e in entries]), indent=2)
            else:
                columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
                told = tables.list_text(entries, sort, out, columns)
                if not entries:
                    tell.write(told)
                    return 0
    print(told)
    return 0


def export(
    run: Annotated[str, Parameter(name="RUN", help="run directory, part of its name, or last")],
    file: Annotated[Path, Parameter(name="FILE", help="the type follows from the suffix")],
    /,
    *,
    size: Annotated[str | None, flag("of a painting or film: 1200x1716 or 4x")] = None,
    step: Annotated[int | None, flag("the kept step nearest to this; none: the newest")] = None,
    with_panels: Annotated[str, flag("panels of a film: neurons,error,curve", "--with")] = "",
    captions: Annotated[bool, flag("write epoch and PSNR into the film")] = False,
    pace: Annotated[str, flag("of a film, even steps of: change (default), log, epochs, or all frames")] = "",
    out: Out = "runs",
) -> int:
    """Write a run as a file: painting.png, film.mp4|webp|gif, sheet.png, net.safetensors, report.html."""
    from ..progress import Waiting
    from ..views import suffixes

    panels = tuple(filter(None, with_panels.split(",")))
    options: dict[str, Any] = {"size": size, "step": step, "captions": captions, "pace": pace}
    suffixes.check_options(file, suffixes.kind_of(file), {**options, "with": panels})
    with Waiting(printable(f"export {file.name}")) as tell:
        from ..runs import find

        found = find(run, out)
        from ..views.export import export as write

        made = write(found, file, **options, with_=panels, tell=tell)
    print(printable(str(made)))
    return 0


def doctor(
    *needed: Annotated[
        str, Parameter(name="PART", help="parts that must be there: native, cuda, video, data")
    ],
    as_json: Annotated[bool, flag("one JSON object", "--json")] = False,
) -> int:
    """Versions, processor, engines, codecs, extras: the first answer to most questions about an installation."""
    from ..progress import Waiting
    from .doctor import facts, has, hint, text

    with Waiting("doctor"):  # imports PyTorch
        found = facts()
    print(json.dumps(found, indent=2) if as_json else text(found))
    missing = [part for part in needed if not has(found, part)]
    for part in missing:
        print(f"missing: {part}\nhint: {hint(found, part)}", file=sys.stderr)
    return 3 if missing else 0


def atlas(
    run: Annotated[str, Parameter(name="RUN", help="run directory, part of its name, or last")],
    /,
    *,
    step: Annotated[int | None, flag("the kept step nearest to this; none: the newest")] = None,
    layer: Annotated[int | None, flag("one hidden layer only, from 1")] = None,
    neurons: Annotated[
        str | None, flag("also one PNG each, at full size: 2:117,3:5-9, 4:all, or all")
    ] = None,
    size: Annotated[str | None, flag("WxH of the pictures; none: the size that was learned")] = None,
    view: Annotated[str, flag("signed (pre-activations, white = 0) or grey (activations)")] = "signed",
    per: Annotated[str, flag("colours scaled per neuron or per layer")] = "neuron",
    sort: Annotated[str, flag("index, mean, contrast, dead, similarity or importance")] = "dead",
    plots: Annotated[str, flag("of the whole net: regions,spectrum,ranks")] = "",
    without: Annotated[str | None, flag("also the painting with these neurons removed: 4:17")] = None,
    out: Out = "runs",
) -> int:
    """Every hidden neuron as a picture: a sheet a layer, a table, one file a neuron; prints what it wrote."""
    from ..progress import Waiting

    with Waiting("atlas") as tell:
        from ..runs import find
        from ..views.atlas import atlas_of

        found = find(run, out)
        paths = atlas_of(
            found,
            step=step,
            layer=layer,
            chosen=neurons,
            size=size,
            view=view,
            per=per,
            sort=sort,
            plots=tuple(filter(None, plots.split(","))),
            without=without,
            tell=tell,
        )
    for path in paths:
        print(printable(str(path)))
    return 0


def playground(
    what: Annotated[
        str | None,
        Parameter(name="RUN|PICTURE", help="a run to look at, or a picture to learn; none: choose there"),
    ] = None,
    /,
    *,
    port: Annotated[int | None, flag("8421, or the next free one")] = None,
    host: Annotated[str, flag("address to listen on; others than this machine need the token of the URL")] = (
        "127.0.0.1"
    ),
    no_open: Annotated[bool, flag("print the address only; open no browser")] = False,
    paused: Annotated[bool, flag("wait before the first step")] = False,
    out: Out = "runs",
) -> int:
    """Watch a network learn in the browser: painting, curve and every neuron, live; pause it, take it apart."""
    from ..playground import open_playground

    open_playground(what, out=out, host=host, port=port, open_browser=not no_open, paused=paused)
    return 0


def bench(
    *,
    rounds: Annotated[int, flag("alternating pairs of measurements")] = 7,
    threads: Annotated[int, flag("0 = all")] = 0,
    only: Annotated[str, flag("workloads whose name holds this")] = "",
    as_json: Annotated[bool, flag("one JSON object", "--json")] = False,
) -> int:
    """Fixed workloads: how many times as fast as PyTorch each engine trains on this machine."""
    from ..progress import Waiting

    if rounds < 1:
        raise RecipeError(f"rounds={rounds} must be at least 1")
    with Waiting("bench") as tell:
        from . import bench as workloads
        from .doctor import facts

        rows = workloads.run(rounds, threads, only, tell)
        where = {key: facts()[key] for key in ("processor", "threads", "packages", "isa")}
    print(json.dumps({"v": 1, "machine": where, "rows": rows}, indent=2) if as_json else workloads.text(rows))
    return 0


def _say_taken(names: Sequence[str], folders: Sequence[Path], say: Callable[[str], None]) -> None:
    """Say which runs were taken for names that are not theirs in full."""
    for name, folder in zip(names, folders, strict=True):
        if Path(name) != folder and name != folder.name:
            say(printable(f"{name}: {folder}"))
