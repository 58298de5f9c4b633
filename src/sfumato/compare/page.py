"""A comparison as files: table.txt, results.csv and .parquet, plots/, and report.html, a page on its own."""

from __future__ import annotations

import base64
from importlib import resources
from pathlib import Path

from .. import picture
from ..errors import MissingExtra
from ..files import save_bytes, save_text
from ..picture import Picture
from ..words import duration, si
from . import plots, summary
from .comparison import Comparison

__all__ = ["page", "write"]


def write(comparison: Comparison) -> list[str]:
    """Write all of it into the comparison's folder; notes on what had to be left out.

    Raises RunError where the disk refuses.
    """
    folder, notes = comparison.folder, []
    save_text(folder / "table.txt", summary.text(comparison) + "\n")
    summary.write_csv(comparison, folder / "results.csv")
    try:
        summary.write_parquet(comparison, folder / "results.parquet")
    except MissingExtra as error:
        notes.append(f"no results.parquet: {error}")
    drawn = plots.draw(comparison)
    for name, image in drawn.items():
        save_bytes(folder / "plots" / f"{name}.png", picture.encode(image, "png"), folders=True)
    save_text(folder / "report.html", page(comparison, drawn))
    return notes


def page(comparison: Comparison, drawn: dict[str, Picture]) -> str:
    """The page as text, in the style of a run's report."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_text("sfumato.compare", "templates/comparison.html.jinja"))
    shown = {s.name for s in comparison.subjects[: plots.MOST_SHOWN]}
    images = {
        name: f"data:image/png;base64,{base64.b64encode(picture.encode(image, 'png')).decode()}"
        for name, image in drawn.items()
        if not name.startswith(("seconds-", "paintings-")) or name.partition("-")[2] in shown
    }
    recipes = [
        {
            "label": label,
            "parameters": next((f"{r.parameters:,}" for r in comparison.of(label) if not r.error), "–"),
            "scores": [_score(comparison, label, metric) for metric in ("psnr", *summary.METRICS)],
            "ssim": f"{summary.scores_of(comparison, label, 'ssim')[0]:.4f}",
            "times": [summary.time_text(comparison, label, t) for t in comparison.request.targets],
            "tuned": ", ".join(f"{k} {v:g}" for k, v in comparison.tuned.get(label, {}).items()),
            "tuning": duration(comparison.tuning_seconds.get(label, 0.0)),
        }
        for label in comparison.labels
    ]
    return template.render(
        title=f"{', '.join(comparison.labels)} at {comparison.request.budget}",
        conditions=list(summary.conditions(comparison)),
        verdicts=summary.verdicts(comparison),
        metrics=summary.METRICS,
        recipes=recipes,
        targets=comparison.request.targets,
        tuned=comparison.request.tune,
        images=images,
        rows=comparison.rows,
        folder=comparison.folder,
        subjects=comparison.subjects[: plots.MOST_SHOWN],
        si=si,
        path=_relative(comparison.folder),
        style=_text("sfumato.views.report", "templates/report.css"),
    )


def _score(comparison: Comparison, label: str, metric: str) -> str:
    return summary.plus_minus(*summary.scores_of(comparison, label, metric))


def _relative(folder: Path) -> dict[str, str]:
    return {str(p): p.relative_to(folder).as_posix() for p in sorted((folder / "runs").glob("*_*"))}


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
