"""The story of a run, or of several side by side, as one HTML file that needs nothing else.

    write([run], "report.html")      opens from disk, asks no network, prints, follows light and dark

What a run lacks (a target, frames, weights, data) is left out, and the page says so.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ... import tasks
from ...data import Data
from ...drawing import palettes
from ...errors import RunError, SfumatoError
from ...recipe import difference
from ...runs.originals import refuse_originals
from ...words import metric_name, metric_text
from .. import suffixes
from ..symptoms import symptoms
from . import _curves, _digits, _neurons, _pictures, _words

if TYPE_CHECKING:
    import jinja2

    from ...nets import Net
    from ...runs import RunDirectory

__all__ = ["Report", "page", "summary", "write"]

LARGEST_TARGET = 1_000_000
"""Pixels of the picture that neurons are measured on; larger ones are reduced for it."""

SHEET_FACTS = ("layer", "units", "columns", "rows", "tile", "similar", "shape")
"""What the page's script needs to know of a sheet."""

T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """A page on disk; in a notebook it shows itself."""

    path: Path

    def _repr_html_(self) -> str:
        text = html.escape(self.path.read_text(encoding="utf-8"))
        style = "width:100%;height:80vh;border:1px solid #8886;border-radius:6px"
        return f'<iframe title="Report" style="{style}" srcdoc="{text}"></iframe>'


@dataclass
class Part:
    """What the template needs of one run."""

    name: str
    title: str
    short: str
    scores: dict[str, str]
    pictures: _pictures.Pictures | None
    film: _pictures.Film | None
    recipe: list[_words.Row]
    origin: list[_words.Row]
    commands: list[tuple[str, str]]
    sheets: list[_neurons.Sheet]
    table: _neurons.Table | None
    reading: _digits.Reading | None
    history: list[dict[str, Any]]
    notes: list[str]


def write(runs: Sequence[RunDirectory], path: str | os.PathLike[str] | None = None) -> Report:
    """Write the page of one or several runs; without a path, as `report.html` into the (first) run's directory.

    Raises RunError where the disk refuses or there is no run, RecipeError for a file that is not named as a page.
    """
    from ...files import replacing

    if path is not None:  # before the pictures of all runs are drawn
        suffixes.kind_of(Path(path), "page")
        refuse_originals(Path(path))
    text = page(runs)
    goal = Path(path) if path is not None else runs[0].file("report.html")
    with replacing(goal) as passing:
        passing.write_text(text, encoding="utf-8", errors="backslashreplace")  # names need not be UTF-8
    return Report(goal)


def page(runs: Sequence[RunDirectory]) -> str:
    """The page as text: one run in full, or several side by side with their differences on top."""
    if not runs:
        raise RunError("a report needs at least one run")
    parts = [_part(run, alone=len(runs) == 1, share=1 / len(runs)) for run in runs]
    if len(runs) > 1:  # one error scale for all, or the maps could not be compared
        largest = max((part.pictures.largest for part in parts if part.pictures), default=0.0)
        for run, part in zip(runs, parts, strict=True):
            if part.pictures and part.pictures.absolute:
                part.pictures = _pictures.stills(run, largest)
    histories = [part.history for part in parts]
    names = _labels(runs)
    script, style = _text("report.js"), _text("report.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    facts = {
        "runs": [_facts(run, part) for run, part in zip(runs, parts, strict=True)],
        "labels": names,
        "keys": [(k, metric_name(k)) for k in _curves.metrics(histories)],
        "scales": {
            a: {k: asdict(s) for k, s in both.items()} for a, both in _curves.scales(histories).items()
        },
        "start": _curves.START,
        "table": asdict(parts[0].table) if parts[0].table else None,
        "sheets": [{k: v for k, v in asdict(sheet).items() if k in SHEET_FACTS} for sheet in parts[0].sheets],
    }
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            parts=parts,
            labels=names,
            changed=_changed(runs),
            plots=_curves.plots(histories),
            axes=_curves.AXES,
            metrics=[(k, metric_name(k)) for k in _curves.metrics(histories)],
            heat=_pictures.gradient(palettes.palette("heat")),
            diverging=_pictures.gradient(palettes.palette("diverging")),
            facts=facts,
            script=script,
            style=style,
            digest=digest,
            number=metric_text,
        )
    )


def summary(run: RunDirectory) -> str:
    """A small piece of HTML for notebooks, without scripts: painting, curve, film, scores."""
    notes: list[str] = []
    history = run.history
    return (
        _environment()
        .get_template("summary.html.jinja")
        .render(
            title=_words.title(run),
            short=_words.short(run),
            scores=_words.scores(run),
            pictures=_or_note(notes, "pictures", lambda: _pictures.stills(run)),
            film=_or_note(notes, "film", lambda: _pictures.moving(run, share=0.6)),
            plots=[p for p in _curves.plots([history]) if p.axis == "epoch" and p.log][:1],
            notes=notes,
        )
    )


# One run -----------------------------------------------------------------------------------------------------


def _part(run: RunDirectory, *, alone: bool, share: float) -> Part:
    notes: list[str] = []
    pictures = _or_note(notes, "pictures", lambda: _pictures.stills(run))
    film = _or_note(notes, "film", lambda: _pictures.moving(run, share=min(1.0, 2 * share)))
    sheets: list[_neurons.Sheet] = []
    table: _neurons.Table | None = None
    reading: _digits.Reading | None = None
    if alone:
        net = _or_note(notes, "neurons", run.net)
        if net is not None:
            sheets, table, reading = _inside(run, net, notes)
            found = _or_note(notes, "symptoms", lambda: symptoms(run)) or []
            notes += [f"{one.text} What to try: {one.advice}" for one in found]
    return Part(
        run.name,
        _words.title(run),
        _words.short(run),
        _words.scores(run),
        pictures,
        film,
        _words.recipe(run),
        _words.origin(run),
        _words.commands(run),
        sheets,
        table,
        reading,
        run.history,
        notes,
    )


def _inside(
    run: RunDirectory, net: Net, notes: list[str]
) -> tuple[list[_neurons.Sheet], _neurons.Table | None, _digits.Reading | None]:
    """Neurons: as pictures over a target picture, else as weights and shares on the task's data."""
    target = run.file("target.png")
    if target.exists() and int(run.origin["inputs"]) == 2:
        from ... import picture

        shown = picture.load(target, alpha=True, max_pixels=LARGEST_TARGET)
        size = shown.height, shown.width
        sheets = _or_note(
            notes, "neurons", lambda: _neurons.sheets_of_picture(net, *size, run.recipe.coordinates)
        )
        return (
            sheets or [],
            _or_note(notes, "neurons table", lambda: _neurons.of_picture(run, net, shown)),
            None,
        )
    stands, scored = _or_note(notes, "step", lambda: run.checkpoint()[2].get("step")), run.last.get("step")
    if stands is not None and scored is not None and stands != scored:
        notes.append(
            f"scores are of step {scored:,}, neurons and mistakes of step {stands:,}: it was stopped between looks"
        )
    data: Data | None = _or_note(
        notes, "neurons", lambda: tasks.task(run.recipe.task).load(run.source, run.recipe)
    )
    if data is None:
        return [], None, None
    sheets = _or_note(notes, "weight pictures", lambda: _neurons.sheets_of_weights(net, data))
    table = _or_note(notes, "neurons table", lambda: _neurons.of_data(net, data))
    return sheets or [], table, _or_note(notes, "mistakes", lambda: _digits.reading(net, data))


def _or_note(notes: list[str], what: str, make: Callable[[], T]) -> T | None:
    """What `make` makes; where the run lacks something for it, a note, and None."""
    try:
        return make()
    except SfumatoError as error:
        notes.append(f"{what} left out: {str(error).splitlines()[0]}")
        return None


def _facts(run: RunDirectory, part: Part) -> dict[str, Any]:
    """A run for the page's script: beats, and which frame of the film belongs to each (-1: none yet)."""
    steps = [step for step, _ in run.frames()]
    shown = [steps[i] for i in part.film.frames] if part.film else []
    beats = []
    for line in part.history:
        frame = sum(step <= line["step"] for step in shown) - 1
        kept = {k: v for k, v in line.items() if k not in ("v", "total_steps", "watching_seconds", "cores")}
        beats.append(kept | {"frame": frame})
    film = {"video": part.film.video, "fps": part.film.fps} if part.film else None
    return {"beats": beats, "film": film}


# Several runs ------------------------------------------------------------------------------------------------


def _changed(runs: Sequence[RunDirectory]) -> list[tuple[str, list[str]]]:
    """The recipe fields in which the runs differ: (name, the value in each run)."""
    names = dict.fromkeys(n for run in runs for n in difference(runs[0].recipe, run.recipe))
    return [
        (n.replace("_", " "), [_words.value(getattr(run.recipe, n)) or "none" for run in runs]) for n in names
    ]


def _labels(runs: Sequence[RunDirectory]) -> list[str]:
    """A short name for each run: what differs in its recipe, at most three fields; else its number."""
    changed = [
        (name, values) for name, values in _changed(runs) if name not in ("options", "threads", "engine")
    ]
    if len(runs) == 1:
        return [_words.title(runs[0])]
    made = [", ".join(f"{name} {values[i]}" for name, values in changed[:3]) for i in range(len(runs))]
    return [f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[i % 26]}: {text or runs[i].name}" for i, text in enumerate(made)]


# Templates ---------------------------------------------------------------------------------------------------


@cache
def _environment() -> jinja2.Environment:
    """Everything is escaped, and a name that is missing is an error."""
    import jinja2

    loader = jinja2.FunctionLoader(_text)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _text(name: str) -> str:
    return resources.files(__name__).joinpath("templates", name).read_text(encoding="utf-8")
