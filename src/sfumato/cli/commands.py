"""All verbs of the command line: where each stands, what it is for, and examples. A verb is read when it is called.

stdout carries the result only (a path, a table, JSON); progress, warnings and errors go to stderr. Exit codes: 0
ok; 1 the run failed; 2 usage; 3 a missing extra, engine or codec; 4 a stated target not reached; 130 Ctrl-C and
143 SIGTERM, state saved.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from cyclopts import App, Parameter

from .precedence import lower_levels

__all__ = ["app"]

VERBS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "paint": (
        "training:paint",
        "Train a network to paint a picture; leaves a run directory with painting, film, metrics and weights.",
        ("sfumato paint", "sfumato paint photo.jpg --recipe sharp --until psnr=40"),
    ),
    "digits": (
        "training:digits",
        "The MNIST bench: one hidden layer of 6000 rectified units, its features drawn as pictures.",
        ("sfumato digits", "sfumato digits --data mnist --recipe best"),
    ),
    "gigapixel": (
        "training:gigapixel",
        "A picture larger than memory, learned shard by shard; sfumato export RUN painting.tif paints it whole.",
        ("sfumato gigapixel city.tif", "sfumato export last city-painted.tif"),
    ),
    "resume": (
        "training:resume",
        "Go on with a run after Ctrl-C, a crash, or for more epochs.",
        ("sfumato resume last", "sfumato resume runs/NAME --epochs 1000"),
    ),
    "runs": (
        "viewing:runs",
        "List the runs of a folder, show one, or compare several.",
        ("sfumato runs last", "sfumato runs RUN RUN --report both.html"),
    ),
    "export": (
        "viewing:export",
        "Write a run as a file: painting.png, film.mp4|webp|gif, sheet.png, net.safetensors, report.html.",
        ("sfumato export last film.mp4", "sfumato export last big.png --size 1200x1716"),
    ),
    "atlas": (
        "viewing:atlas",
        "Every hidden neuron as a picture: a sheet a layer, a table, one file a neuron; prints what it wrote.",
        ("sfumato atlas last", "sfumato atlas last --neurons 2:117,3:5 --sort importance"),
    ),
    "playground": (
        "viewing:playground",
        "Watch a network learn in the browser: painting, curve and every neuron, live; pause it, take it apart.",
        ("sfumato playground", "sfumato playground photo.jpg --paused", "sfumato playground last"),
    ),
    "doctor": (
        "viewing:doctor",
        "Versions, processor, engines, codecs, extras: the first answer to most questions about an installation.",
        ("sfumato doctor", "sfumato doctor --json"),
    ),
    "bench": (
        "viewing:bench",
        "Fixed workloads: how many times as fast as PyTorch each engine trains on this machine.",
        ("sfumato bench", "sfumato bench --only sine --json"),
    ),
    # These three are applications of their own, with examples beside them.
    "compare": ("comparing:compare", "Several recipes under one budget: tables, verdicts, plots.", ()),
    "sweep": ("comparing:sweep", "Many values of a recipe's fields, here or on a cluster.", ()),
    "study": ("studying:study", "The reading list, runnable: papers' claims tested on small nets.", ()),
}
"""Name -> module and function in this folder, what it is for, examples."""

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
    help_epilogue=f"Start with: sfumato paint\n\n{EVERYWHERE}\n\n{DOCS}",
    version=_version,
    result_action="return_value",
    config=partial(lower_levels, VERBS),
    suppress_keyboard_interrupt=False,  # `Outcome` says that it stopped
    default_parameter=Parameter(negative=()),
)

for verb, (where, what, examples) in VERBS.items():
    own: dict[str, Any] = {"help_epilogue": "\n\n".join(["Examples:", *examples, DOCS])} if examples else {}
    app.command(f"sfumato.cli.{where}", name=verb, help=what, **own)
