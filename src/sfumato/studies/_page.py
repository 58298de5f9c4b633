"""A study as files: figure.png, and report.html, a page on its own."""

from __future__ import annotations

import base64
import html
import re
from importlib import resources
from pathlib import Path

from .. import picture
from ..files import save_bytes, save_text
from ..picture import Picture
from ._contract import sections
from ._kept import time_of
from ._running import Done

__all__ = ["draw", "page", "write"]


def draw(done: Done) -> Picture | None:
    """The study's figure from its own runs; None where it has none, or no seed is complete."""
    if not done.seeds or not hasattr(done.module, "figure"):
        return None
    drawn: Picture = done.module.figure(done.results)
    return drawn


def write(done: Done, out: Path, *, report: bool, figure: Picture | None = None) -> list[Path]:
    """figure.png and, if asked for, report.html; the files written. Raises RunError where the disk refuses.

    figure: one that is there already; None: it is drawn from the runs.
    """
    made = []
    figure = figure or draw(done)
    if figure is not None:
        save_bytes(out / "figure.png", picture.encode(figure, "png"))
        made.append(out / "figure.png")
    if report:
        save_text(out / "report.html", page(done, figure))
        made.append(out / "report.html")
    return made


def page(done: Done, figure: Picture | None) -> str:
    """The page as text, in the style of a run's report."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["marked"] = _marked
    template = environment.from_string(_text(__package__, "templates/study.html.jinja"))
    parts = sections(done.module.__doc__ or "")
    del parts[""], parts["Result"]  # the page begins with it
    drawing = getattr(done.module, "DRAWING", "")
    made = done.made
    return template.render(
        paper=done.module.PAPER,
        claim=done.module.CLAIM,
        afterwards=getattr(done.module, "AFTERWARDS", ""),
        verdict=done.verdict,
        figure=_uri("image/png", picture.encode(figure, "png")) if figure else "",
        shows=" ".join((done.module.figure.__doc__ or "").split()) if figure else "",
        drawing=_uri("image/svg+xml", drawing.encode()) if drawing else "",
        sections=[(heading, text.split("\n\n")) for heading, text in parts.items()],
        made=f"{made['seeds']} seeds, {time_of(made)}, one thread a run, {made['date']}, "
        f"{made['processor']} ({made['instruction_set']}): {made['command']}",
        style=_text("sfumato.views.report", "templates/report.css"),
    )


def _marked(text: str) -> str:
    """A docstring's words as HTML: `code`, *stress*, and all else as it stands."""
    words = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"(?<!\w)\*(\w[^*]*)\*(?!\w)", r"<em>\1</em>", words)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
