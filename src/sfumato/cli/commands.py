"""The command line: flags in, one public function called, exit code out. No arithmetic, nothing heavy at the top.

stdout carries the result only (a path, a table, JSON); progress, warnings and errors go to stderr. Exit codes: 0
ok; 1 the run failed; 2 usage; 3 a missing extra, engine or codec; 4 a stated target not reached; 130 Ctrl-C and
143 SIGTERM, state saved.
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ..errors import RecipeError, RunError, SfumatoError
from ..recipe import NAMED
from ..words import printable
from .flags import takes_fields
from .precedence import layered, lower_levels, merged, pairs

if TYPE_CHECKING:
    from ..experiment import Say
    from ..progress import JsonLines, Lines
    from ..recipe import Recipe
    from ..runs import RunDirectory

__all__ = ["app", "main"]

DOCS = "Every figure and recipe: README.md and docs/ of the project."
EVERYWHERE = (
    "Every command takes --debug (tracebacks). Options also come from a table [paint] in sfumato.toml and from "
    "SFUMATO_PAINT_EPOCHS and the like. Exit codes: 0 ok, 1 failed, 2 usage, 3 something is missing here, "
    "4 a stated target not reached, 130 Ctrl-C and 143 SIGTERM with the state saved."
)


def _version() -> str:
    from importlib.metadata import version

    return version("sfumato")


app = App(
    name="sfumato",
    help="A fast bench for neural networks that paint: watch a network learn a picture, and look inside it.",
    help_epilogue="Start with: sfumato paint\n\n" + EVERYWHERE + "\n\n" + DOCS,
    version=_version,
    result_action="return_value",
    config=lower_levels,
    suppress_keyboard_interrupt=False,  # `call` says that it stopped
    default_parameter=Parameter(negative=()),
)

Settings = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        help="any recipe field: --set clip=1; a task's own: --set options.alpha=true",
        negative=(),
    ),
]


def _flag(text: str, *names: str) -> Parameter:
    return Parameter(name=names or None, help=text)


@app.command(
    help_epilogue="Examples:\n\nsfumato paint\n\nsfumato paint photo.jpg --recipe sharp --until psnr=40\n\n"
    + DOCS
)
@takes_fields
def paint(
    source: Annotated[
        str | None, Parameter(name="PICTURE", help="picture file; none: the built-in Mona Lisa")
    ] = None,
    /,
    *,
    recipe: Annotated[str | None, _flag(f"{', '.join(NAMED)}, or a JSON file")] = None,
    budget: Annotated[
        str | None, _flag("time for training and watching together: 90s, 2m, 1h; plans the steps")
    ] = None,
    until: Annotated[str | None, _flag("stop early at psnr=30 or time=60s; exit 4 if not reached")] = None,
    out: Annotated[str, _flag("folder of run directories")] = "runs",
    settings: Settings = (),
    alpha: Annotated[bool, _flag("learn the opacity as a fourth output")] = False,
    max_pixels: Annotated[int | None, _flag("larger pictures are downscaled to this")] = None,
    frames: Annotated[
        str | None, _flag("beats of frames and metrics: 48, linear:100, every:500, 0,10,100")
    ] = None,
    film: Annotated[str | None, _flag("mp4, webp, gif, none, or auto")] = None,
    captions: Annotated[bool, _flag("write epoch and PSNR into the film")] = False,
    dry_run: Annotated[bool, _flag("print recipe, parameters and steps; train nothing")] = False,
    as_json: Annotated[bool, _flag("JSON Lines on stdout", "--json")] = False,
    quiet: Annotated[bool, _flag("no progress")] = False,
    no_preview: Annotated[bool, _flag("do not show the painting in the terminal")] = False,
    **fields: Any,
) -> int:
    """Train a network to paint a picture; leaves a run directory with painting, film, metrics and weights."""
    chosen = layered("paint", "classic", {"recipe": recipe, **fields}, settings)
    seconds = _seconds(budget, fields, settings)
    options = dict(chosen.options) | ({"alpha": True} if alpha else {})
    if max_pixels is not None:
        options["max_pixels"] = max_pixels
    return _perform(
        chosen.replace(options=options),
        source,
        out,
        until,
        seconds,
        frames,
        film,
        captions,
        dry_run,
        as_json,
        quiet,
        preview=not no_preview,
    )


@app.command(
    help_epilogue="Examples:\n\nsfumato digits\n\nsfumato digits --data mnist --recipe best\n\n" + DOCS
)
@takes_fields
def digits(
    *,
    data: Annotated[str | None, _flag("mnist, fashion, kmnist, or digits8x8 (needs no network)")] = None,
    recipe: Annotated[str | None, _flag("2012, best, or a JSON file")] = None,
    budget: Annotated[str | None, _flag("time for training and watching together: 90s, 2m, 1h")] = None,
    out: Annotated[str, _flag("folder of run directories")] = "runs",
    settings: Settings = (),
    frames: Annotated[str | None, _flag("beats of frames and metrics")] = None,
    film: Annotated[str | None, _flag("mp4, webp, gif, none, or auto")] = None,
    dry_run: Annotated[bool, _flag("print recipe, parameters and steps; train nothing")] = False,
    as_json: Annotated[bool, _flag("JSON Lines on stdout", "--json")] = False,
    quiet: Annotated[bool, _flag("no progress")] = False,
    **fields: Any,
) -> int:
    """The MNIST bench: one hidden layer of 6000 rectified units, its features drawn as pictures."""
    chosen = layered("digits", "best", {"recipe": recipe, **fields}, settings)
    seconds = _seconds(budget, fields, settings)
    return _perform(chosen, data, out, None, seconds, frames, film, False, dry_run, as_json, quiet)


@app.command(
    help_epilogue="Examples:\n\nsfumato resume last\n\nsfumato resume runs/NAME --epochs 1000\n\n" + DOCS
)
def resume(
    run: Annotated[str, Parameter(name="RUN", help="run directory, part of its name, or last")],
    /,
    *,
    epochs: Annotated[
        float | None, _flag("go on to this many epochs in all; the schedule is planned anew")
    ] = None,
    fork: Annotated[int | None, _flag("start a new run that leaves this one at a step")] = None,
    settings: Settings = (),
    out: Annotated[str, _flag("folder of run directories")] = "runs",
    as_json: Annotated[bool, _flag("JSON Lines on stdout", "--json")] = False,
    quiet: Annotated[bool, _flag("no progress")] = False,
) -> int:
    """Go on with a run after Ctrl-C, a crash, or for more epochs."""
    from ..runs import find

    if fork is None and settings:
        raise RecipeError("--set changes a run's recipe only with --fork STEP")
    found = find(run, out)
    with _say(as_json, quiet).telling() as say:
        from .. import experiment

        if fork is None:
            done = experiment.resume(found, epochs=epochs, say=say)
        else:
            changes = merged(found.recipe, pairs(settings))
            changes |= {"epochs": epochs} if epochs is not None else {}
            done = experiment.fork(found, fork, changes, out=out, say=say)
    return _finished(done, as_json, quiet)


@app.command(
    help_epilogue="Examples:\n\nsfumato runs last\n\nsfumato runs RUN RUN --report both.html\n\n" + DOCS
)
def runs(
    *names: Annotated[str, Parameter(name="RUN", help="none: list; one: details; more: side by side")],
    out: Annotated[str, _flag("folder of run directories")] = "runs",
    sort: Annotated[str, _flag("name, score, psnr, seconds or epoch")] = "name",
    rm: Annotated[bool, _flag("delete the named runs")] = False,
    report: Annotated[str | None, _flag("write the named runs side by side as an HTML page")] = None,
    to: Annotated[
        Path | None, _flag("write all, or the named ones, as a table: runs.parquet or runs.csv")
    ] = None,
    as_json: Annotated[bool, _flag("one JSON object", "--json")] = False,
) -> int:
    """List the runs of a folder, show one, or compare several."""
    from ..runs import find, overview, remove, where
    from . import tables

    if rm:
        folders = [where(name, out) for name in names]
        _say_taken(names, folders)
        if not folders:
            raise RecipeError("--rm needs the runs to delete")
        for folder in folders:
            remove(folder)
            print(printable(f"deleted {folder}"), file=sys.stderr)
        return 0
    found = [find(name, out) for name in names]
    _say_taken(names, [run.folder for run in found])
    if report is not None:
        from ..progress import Waiting
        from ..views.report import write

        if not found:
            raise RecipeError("--report needs the runs to show")
        with Waiting(printable(f"report {report}")):
            made = write(found, report)
        print(printable(str(made.path)))
        return 0
    if to is not None:
        chosen = [run.folder for run in found]
        tables.write([e for e in overview(out) if not found or e.folder in chosen], to)
        print(printable(str(to)))
    elif as_json:
        print(
            json.dumps(
                tables.as_dicts([r.folder for r in found] or [e.folder for e in overview(out)]), indent=2
            )
        )
    elif found:
        print(tables.text(found))
    else:
        entries = overview(out)
        print(tables.list_text(entries, sort, out), file=sys.stdout if entries else sys.stderr)
    return 0


@app.command(
    help_epilogue="Examples:\n\nsfumato export last film.mp4\n\nsfumato export last big.png --size 1200x1716\n\n"
    + DOCS
)
def export(
    run: Annotated[str, Parameter(name="RUN", help="run directory, part of its name, or last")],
    file: Annotated[Path, Parameter(name="FILE", help="the type follows from the suffix")],
    /,
    *,
    size: Annotated[str | None, _flag("of a painting or film: 1200x1716 or 4x")] = None,
    step: Annotated[int | None, _flag("the kept step nearest to this; none: the newest")] = None,
    with_panels: Annotated[str, _flag("panels of a film: neurons,error,curve", "--with")] = "",
    captions: Annotated[bool, _flag("write epoch and PSNR into the film")] = False,
    pace: Annotated[
        str, _flag("of a film, even steps of: change (default), log, epochs, or all frames")
    ] = "",
    out: Annotated[str, _flag("folder of run directories")] = "runs",
) -> int:
    """Write a run as a file: painting.png, film.mp4|webp|gif, sheet.png, net.safetensors, report.html."""
    from ..progress import Waiting

    with Waiting(printable(f"export {file.name}")) as tell:
        from ..runs import find
        from ..views.export import export as write

        panels = tuple(filter(None, with_panels.split(",")))
        found = find(run, out)
        options: dict[str, Any] = {"size": size, "step": step, "with_": panels, "captions": captions}
        made = write(found, file, **options, pace=pace, tell=tell)
    print(printable(str(made)))
    return 0


@app.command(help_epilogue="Examples:\n\nsfumato doctor\n\nsfumato doctor --json\n\n" + DOCS)
def doctor(
    *needed: Annotated[
        str, Parameter(name="PART", help="parts that must be there: native, cuda, video, data")
    ],
    as_json: Annotated[bool, _flag("one JSON object", "--json")] = False,
) -> int:
    """Versions, processor, engines, codecs, extras: the first answer to most questions about an installation."""
    from .doctor import facts, has, hint, text

    found = facts()
    print(json.dumps(found, indent=2) if as_json else text(found))
    missing = [part for part in needed if not has(found, part)]
    for part in missing:
        print(f"missing: {part}\nhint: {hint(part)}", file=sys.stderr)
    return 3 if missing else 0


@app.command(
    help_epilogue="Examples:\n\nsfumato atlas last\n\nsfumato atlas last --neurons 2:117,3:5 --sort importance\n\n"
    + DOCS
)
def atlas(
    run: Annotated[str, Parameter(name="RUN", help="run directory, part of its name, or last")],
    /,
    *,
    step: Annotated[int | None, _flag("the kept step nearest to this; none: the newest")] = None,
    layer: Annotated[int | None, _flag("one hidden layer only, from 1")] = None,
    neurons: Annotated[
        str | None, _flag("also one PNG each, at full size: 2:117,3:5-9, 4:all, or all")
    ] = None,
    size: Annotated[str | None, _flag("WxH of the pictures; none: the size that was learned")] = None,
    view: Annotated[str, _flag("signed (pre-activations, white = 0) or grey (activations)")] = "signed",
    per: Annotated[str, _flag("colours scaled per neuron or per layer")] = "neuron",
    sort: Annotated[str, _flag("index, mean, contrast, dead, similarity or importance")] = "dead",
    plots: Annotated[str, _flag("of the whole net: regions,spectrum,ranks")] = "",
    without: Annotated[str | None, _flag("also the painting with these neurons removed: 4:17")] = None,
    out: Annotated[str, _flag("folder of run directories")] = "runs",
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


@app.command(
    help_epilogue="Examples:\n\nsfumato playground\n\nsfumato playground photo.jpg --paused\n\n"
    "sfumato playground last\n\n" + DOCS
)
def playground(
    what: Annotated[
        str | None,
        Parameter(name="RUN|PICTURE", help="a run to look at, or a picture to learn; none: choose there"),
    ] = None,
    /,
    *,
    port: Annotated[int | None, _flag("8421, or the next free one")] = None,
    host: Annotated[
        str, _flag("address to listen on; others than this machine need the token of the URL")
    ] = ("127.0.0.1"),
    no_open: Annotated[bool, _flag("print the address only; open no browser")] = False,
    paused: Annotated[bool, _flag("wait before the first step")] = False,
    out: Annotated[str, _flag("folder of run directories")] = "runs",
) -> int:
    """Watch a network learn in the browser: painting, curve and every neuron, live; pause it, take it apart."""
    from ..playground import open_playground

    open_playground(what, out=out, host=host, port=port, open_browser=not no_open, paused=paused)
    return 0


@app.command(help_epilogue="Examples:\n\nsfumato bench\n\nsfumato bench --only sine --json\n\n" + DOCS)
def bench(
    *,
    rounds: Annotated[int, _flag("alternating pairs of measurements")] = 7,
    threads: Annotated[int, _flag("0 = all")] = 0,
    only: Annotated[str, _flag("workloads whose name holds this")] = "",
    as_json: Annotated[bool, _flag("one JSON object", "--json")] = False,
) -> int:
    """Fixed workloads: how many times as fast as PyTorch each engine trains on this machine."""
    from . import bench as workloads
    from .doctor import facts

    if rounds < 1:
        raise RecipeError(f"rounds={rounds} must be at least 1")
    rows = workloads.run(rounds, threads, only)
    where = {key: facts()[key] for key in ("processor", "threads", "packages", "isa")}
    print(json.dumps({"v": 1, "machine": where, "rows": rows}, indent=2) if as_json else workloads.text(rows))
    return 0


# Many runs: their verbs are read when they are called.
app.command(
    "sfumato.cli.comparing:compare",
    name="compare",
    help="Several recipes under one budget: tables, verdicts, plots.",
)
app.command(
    "sfumato.cli.comparing:sweep",
    name="sweep",
    help="Many values of a recipe's fields, here or on a cluster.",
)
app.command(
    "sfumato.cli.studying:study",
    name="study",
    help="The reading list, runnable: papers' claims tested on small nets.",
)


def _say_taken(names: Sequence[str], folders: Sequence[Path]) -> None:
    """Say which runs were taken for names that are not theirs in full."""
    for name, folder in zip(names, folders, strict=True):
        if Path(name) != folder and name != folder.name:
            print(printable(f"{name}: {folder}"), file=sys.stderr)


# Performing ----------------------------------------------------------------------------------------------------


def _say(as_json: bool, quiet: bool) -> JsonLines | Lines:
    from .. import progress

    if as_json:
        return progress.JsonLines()
    return progress.Quiet() if quiet else progress.renderer()


def _seconds(budget: str | None, fields: Mapping[str, Any], settings: Sequence[str]) -> float | None:
    if budget is None:
        return None
    from ..budget import parse, refuse_two

    refuse_two({k: v for k, v in fields.items() if v is not None} | pairs(settings))
    return parse(budget)


def _perform(
    recipe: Recipe,
    source: str | None,
    out: str,
    until: str | None,
    budget: float | None,
    frames: str | None,
    film: str | None,
    captions: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    preview: bool = False,
) -> int:
    with _say(as_json, quiet).telling() as say:
        run = _performed(recipe, source, out, until, budget, frames, film, captions, dry_run, as_json, say)
    if run is None:
        return 0
    if preview and not (as_json or quiet) and not run.stopped_by:
        from .preview import show

        show(run.folder / "painting.png")
    return _finished(run, as_json, quiet)


def _performed(
    recipe: Recipe,
    source: str | None,
    out: str,
    until: str | None,
    budget: float | None,
    frames: str | None,
    film: str | None,
    captions: bool,
    dry_run: bool,
    as_json: bool,
    say: Say,
) -> RunDirectory | None:
    from .. import experiment
    from ..runs.watch import Until, Watch

    target = Until.parse(until) if until else None
    default = Watch()
    watch = Watch(frames or default.frames, film=film or default.film, captions=captions)
    if dry_run:
        data, net = experiment.prepare(recipe, source)
        facts = {
            "recipe": json.loads(recipe.to_json()),
            "parameters": net.parameter_count,
            "samples": data.samples,
            "steps": recipe.total_steps(data.samples),
        }
        print(json.dumps(facts, indent=None if as_json else 2))  # --json promises an object a line
        return None
    return experiment.perform(recipe, source, out=out, watch=watch, until=target, budget=budget, say=say)


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


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    _streams()
    sys.exit(call(list(sys.argv[1:] if argv is None else argv)))


def call(argv: list[str]) -> int:
    """One command; the exit code instead of leaving. `--debug` anywhere shows tracebacks."""
    debug = "--debug" in argv
    argv = [a for a in argv if a != "--debug"]
    try:
        result = app(argv, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except SfumatoError as error:
        return _failed(error, error.exit_code, argv, debug)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (BrokenPipeError, SystemExit):  # rich, which prints the help, turns the one into the other
        _abandon(sys.stdout)  # its reader has what it wanted (| head)
        return 0
    except MemoryError as error:
        return _failed(
            RunError(f"out of memory: {error}\nhint: a smaller --batch or picture"), 1, argv, debug
        )
    except Exception as error:
        from cyclopts import CycloptsError

        if isinstance(error, CycloptsError):
            return _failed(_plain(error), 2, argv, debug)
        if debug:
            raise
        if (
            isinstance(error, OSError) and error.filename is None
        ):  # of no file: it is a stream that takes nothing
            _abandon(sys.stdout)
            reason = error.strerror or str(error)
            text = (
                f"the output cannot be written: {reason}\nhint: what was made is kept; sfumato runs lists it"
            )
            return _failed(RunError(text), 1, [], debug)
        short = str(error).strip().split("\n")[0]
        return _failed(
            RunError(f"{type(error).__name__}: {short}\nhint: --debug shows the traceback"), 1, argv, debug
        )


def _plain(error: Exception) -> Exception:
    """A complaint of the parser's in our words, where its own say little."""
    more = getattr(error, "unused_tokens", None)
    if not more:
        return error
    verb = (getattr(error, "command_chain", None) or ("sfumato",))[-1]
    what = "one picture: sfumato compare takes several" if verb == "paint" else f"less: sfumato {verb} --help"
    return RecipeError(f"{' '.join(more)!r} is too much\nhint: sfumato {verb} takes {what}")


def _streams() -> None:
    """Let no stream end a run: a closed one leads nowhere, and what its encoding lacks is escaped."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would take its number, and its text
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+" if number == 0 else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _abandon(stream: IO[str]) -> None:
    """Let what is still to be written to a stream lead nowhere, or Python would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _failed(error: Exception, code: int, argv: list[str], debug: bool) -> int:
    if debug:
        traceback.print_exc()
    text = " ".join(str(error).split()) if code == 2 and not isinstance(error, SfumatoError) else str(error)
    if "--json" in argv:
        print(json.dumps({"v": 1, "event": "error", "exit": code, "message": text}), flush=True)
    lines = [printable(line) for line in text.split("\n")] if text else [type(error).__name__]
    print("\n  ".join([f"error: {lines[0]}", *lines[1:]]), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
