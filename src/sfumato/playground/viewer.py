"""The looking process: single neurons, paintings without some of them, exports; from run directories, never live.

Every public function of `QUESTIONS` takes JSON-like arguments and returns what the page gets. It runs at a lower
priority than training, and a picture that breaks a decoder breaks this process only.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..errors import PictureError, RecipeError, RunError, SfumatoError
from ..files import save_bytes
from ..run import Run
from .workers import deaf

__all__ = ["EXPORTS", "QUESTIONS", "main"]

MOST_UPLOADED = 1 << 18
"""Pixels of a picture that a page brings: more are downscaled, because a page wants to see something happen."""

EXPORTS = ("painting.png", "film.mp4", "film.webp", "film.gif", "sheet.png", "net.safetensors", "report.html")
"""What `export` writes, by the names that it knows; `page.html` and `run.zip` are made here."""

Answer = tuple[Mapping[str, Any], bytes]


def main(pipe: Connection, folder: str) -> None:
    """Answer questions, {id, what, arguments} each, until the pipe ends. folder: for what is made on the way, which
    the server deletes."""
    deaf()
    tempfile.tempdir = folder
    if hasattr(os, "nice"):
        os.nice(5)
    import torch

    torch.set_num_threads(1)
    while True:
        try:
            question = pipe.recv()
        except (EOFError, OSError):
            return
        if question.get("type") == "leave":
            return
        try:
            answer: Any = QUESTIONS[question["what"]](**question["arguments"])
        except SfumatoError as error:
            answer = error
        except MemoryError:
            answer = RunError("out of memory while looking\nhint: a smaller picture or size")
        except Exception as error:  # the page must hear of it, and the next question is to be answered
            answer = RunError(f"looking failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
        try:
            pipe.send((question["id"], answer))
        except OSError:
            return


@lru_cache(maxsize=4)
def _net(folder: str, step: int, changed: float) -> Any:
    """The net of a kept step; `changed` is the time of its file, so that a resumed run is read anew."""
    return Run(folder).net(step)


@lru_cache(maxsize=4)
def _target(folder: str) -> Any:
    return Run(folder).target


def _opened(folder: str, step: int) -> tuple[Run, Any, Any, int]:
    """Run, net, target, and the kept step nearest to the one asked for."""
    run = Run(folder)
    if not run.steps():
        raise RunError(f"{run.name} holds no weights yet\nhint: pause it, or let it train a little")
    near = run.kept_step(step)
    changed = (run.folder / "weights" / f"{near:06d}.safetensors").stat().st_mtime
    return run, _net(folder, near, changed), _target(folder), near


def titles() -> list[tuple[str, str]]:
    """Keys and titles of the pictures that need no upload."""
    from .samples import SAMPLES

    return [("mona-lisa", "Mona Lisa"), *((key, title) for key, (title, _) in SAMPLES.items())]


def story(folder: str) -> dict[str, Any]:
    """What is to be said of a run, its history, the steps of its frames and of its kept weights."""
    from .stories import about

    run = Run(folder)
    kept = {"frames": [step for step, _ in run.frames()], "kept": run.steps()}
    return {**about(run), "history": run.history, **kept}


def picture(path: str, name: str) -> Answer:
    """Check an uploaded file; one of more pixels than are learned is replaced by what will be. Facts, and a PNG."""
    from .. import picture as pictures
    from .looks import encoded

    try:
        loaded = pictures.load(path, max_pixels=MOST_UPLOADED)
    except PictureError as error:  # its own words name the temporary file
        first, *rest = str(error).splitlines()
        hint = [line for line in rest if line.startswith("hint:")]
        raise PictureError("\n".join([first.replace(Path(path).name, name), *hint])) from error
    facts = {"width": loaded.width, "height": loaded.height, "notes": list(loaded.notes)}
    png = encoded(loaded.values, "PNG")
    if any(note.startswith("downscaled") for note in loaded.notes):
        save_bytes(Path(path), png, wait=False)
    return facts, png


def sample(name: str, path: str) -> Answer:
    """A picture that the page offers: a generated one is also written to `path`, for the trainer."""
    from .. import samples
    from .looks import encoded
    from .samples import generated

    shown = samples.mona_lisa() if name == "mona-lisa" else generated(name)
    png = encoded(shown.values, "PNG")
    if name != "mona-lisa":
        save_bytes(Path(path), png, wait=False)
    return {"width": shown.width, "height": shown.height}, png


def wall(folder: str, step: int, layer: int, together: int) -> Answer:
    """A wall of neurons at the kept step nearest to `step`; together: neurons that the page shows at once."""
    from . import looks

    run, net, target, near = _opened(folder, step)
    tile = looks.tile_size(together, target.height, target.width)
    look = looks.walls(net, [layer], target.height, target.width, run.recipe.coordinates, tile)
    return {"run": run.name, "step": near, **look.header}, look.picture


def neuron(folder: str, step: int, layer: int, index: int) -> Answer:
    """One neuron at full size."""
    from . import looks

    run, net, target, near = _opened(folder, step)
    look = looks.full_size(net, layer, index, target.height, target.width, run.recipe.coordinates)
    return {"run": run.name, "step": near, **look.header}, look.picture


def without(folder: str, step: int, removed: list[tuple[int, int]]) -> Answer:
    """The painting without some neurons."""
    from . import looks

    run, net, target, near = _opened(folder, step)
    for layer, index in removed:
        if not (1 <= layer <= len(net.widths) and 0 <= index < net.widths[layer - 1]):
            raise RecipeError(f"neuron {layer}:{index} does not exist")
    look = looks.without(net, removed, target.values, run.recipe.coordinates)
    return {"run": run.name, "step": near, **look.header}, look.picture


def order(folder: str, step: int, layer: int, by: str) -> Answer:
    """The neurons of a layer sorted by `importance` (with the decibels each is worth) or `similarity`."""
    import numpy as np

    from ..neurons import previews
    from ..neurons.importance import importance
    from ..neurons.orders import order as ordered
    from ..picture import pixels

    run, net, target, near = _opened(folder, step)
    where = run.recipe.coordinates
    view = previews.preview(
        net, target.height, target.width, where=where, tile=(24, 16), samples=1, layers=[layer]
    )[0]
    worth = None
    if by == "importance":
        xy = pixels.coordinates(target.height, target.width, where=where)
        worth = importance(net, layer, xy, target.values.reshape(len(xy), -1), samples=1500)
    listed = ordered(view, by, importance=worth)
    values = [] if worth is None else np.round(worth, 4).tolist()
    return {"run": run.name, "step": near, "order": [int(i) for i in listed], "worth": values}, b""


def still(folder: str, step: int) -> Answer:
    """The painting at a kept step, every pixel, lossless."""
    from . import looks

    run, net, target, near = _opened(folder, step)
    look = looks.painted(net, target.values, run.recipe.coordinates)
    return {"run": run.name, "step": near, **look.header}, look.picture


def export(folder: str, file: str, size: str | None, step: int | None) -> bytes:
    """A file of the run, by its name in EXPORTS, or page.html, or run.zip."""
    run = Run(folder)
    if file == "run.zip":
        return _zipped(run)
    if file == "page.html":
        from .standalone import page

        return page(run).encode()
    if file not in EXPORTS:
        raise RecipeError(f"{file!r} cannot be exported")
    with tempfile.TemporaryDirectory(prefix="sfumato-") as made:
        path = Path(made) / file
        options: dict[str, Any] = {} if size is None else {"size": size}
        if step is not None and file in ("painting.png", "net.safetensors"):
            options["step"] = step
        run.export(path, **options)
        return path.read_bytes()


def _zipped(run: Run) -> bytes:
    """The run directory as it is on disk, its lock left out; RunError for what leads out of it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", zipfile.ZIP_STORED
    ) as archive:  # what is large in it is compressed already
        for path in sorted(run.folder.rglob("*")):
            if path.is_file() and path.name != "lock" and not path.name.startswith("."):
                inside = path.relative_to(run.folder).as_posix()
                archive.write(run.file(inside), f"{run.name}/{inside}")
    return buffer.getvalue()


QUESTIONS: Mapping[str, Callable[..., Any]] = {
    question.__name__: question
    for question in (titles, story, picture, sample, wall, neuron, without, order, still, export)
}
"""What may be asked, by name."""
