"""A run as one file: the painting at any size, the film, a contact sheet of the learning, the net itself.

export(run, "painting.png", size="4x")      .png .jpg .webp .tiff
export(run, "film.mp4")                     .mp4 .gif, and .webp if the name says film
export(run, "sheet.png")                    frames with their epochs below, if the name says sheet
export(run, "net.safetensors")              float32 weights and recipe; `load_net` reads them back
export(run, "report.html")                  the whole story of the run on one page; see `report`
"""

from __future__ import annotations

import io
import json
import math
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .. import nets, painting, picture
from ..drawing.canvas import text_width
from ..errors import PictureError, RecipeError, RunError
from ..files import replacing, writing
from ..nets import Net
from ..picture.png import Levels, Scanlines
from ..picture.tiles import write_tiled
from ..recipe import Recipe
from ..runs.originals import refuse_originals
from . import film as films
from . import suffixes
from .frames import caption, wanted_size

if TYPE_CHECKING:
    from ..runs import RunDirectory

__all__ = ["export", "load_net"]

TILED = (".tif", ".tiff")
"""Written in tiles where they are large and tifffile is there, so that memory holds a band of them."""

MOST_PIXELS = 1 << 33
"""A painting of more is taken for a slip of the keyboard: at a million pixels a second it takes two hours."""

FORMAT = 1
"""Version of what net.safetensors says about itself."""


def export(
    run: RunDirectory,
    path: str | os.PathLike[str],
    *,
    kind: str = "",
    size: str | tuple[int, int] | None = None,
    step: int | None = None,
    with_: Sequence[str] = (),
    captions: bool = False,
    frames: int = 12,
    pace: str = "",
    tell: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write what the file's suffix asks for, and return the path; an existing file is replaced in one step.

    kind: `painting`, `film`, `sheet`, `net` or `page`, where the name does not tell. size: of a painting (evaluated
    by the net at that size; another shape stretches it) or a film: (width, height), "1200x1716", or a factor such
    as "4x" of the picture's own. step: of a painting or net, the kept step nearest to it; None: the newest, in full
    precision. with_, captions, pace: of a film, see `film`. frames: tiles of a sheet.
    tell: hears how far a painting or film is.

    Memory: PNG a strip of about 260,000 pixels; other paintings the result in 8 bits; films a few frames.
    Raises RecipeError for a suffix, size or option that cannot be meant, PictureError for what a type cannot
    hold, MissingExtra for mp4 without PyAV, RunError where the run lacks what is asked for, the disk refuses, or
    the file is one that a run is made of.
    """
    path = Path(path)
    kind = suffixes.kind_of(path, kind)
    given = {"size": size, "step": step, "with": tuple(with_), "captions": captions, "pace": pace}
    suffixes.check_options(path, kind, given)
    with writing(path):  # before hours of painting
        if path.is_dir() or not path.parent.is_dir():
            hint = "a folder has that name" if path.is_dir() else f"create the folder {path.parent} first"
            raise RunError(f"cannot write {path}\nhint: {hint}")
        refuse_originals(path)
    if kind == "film":
        options: dict[str, Any] = {"captions": captions, "size": size, "with_": with_, "pace": pace}
        return films.film(run, path.suffix, path=path, tell=tell, **options)
    if kind == "sheet":
        picture.save(sheet(run, frames), path)
    elif kind == "page":
        from . import report

        report.write([run], path)
    elif kind == "net":
        _save_net(run, path, step)
    else:
        _save_painting(run, path, size, step, tell)
    return path


# Paintings -----------------------------------------------------------------------------------------------------


def _save_painting(
    run: RunDirectory,
    path: Path,
    size: str | tuple[int, int] | None,
    step: int | None,
    tell: Callable[[str], None],
) -> None:
    if run.recipe.task not in ("picture", "gigapixel"):
        raise RecipeError(
            f"{path.name}: {run.name} is of task {run.recipe.task}, and only pictures are painted at a size\n"
            "hint: sheet.png, film.mp4 or net.safetensors"
        )
    target = run.target
    width, height = run.origin.get("size") or (target.width, target.height)
    if size is not None:
        width, height = wanted_size(size, width, height)
    _check_size(path, height, width, target.channels)
    net = run.net(step)
    bands = _told(painting.strips(net, height, width, where=run.recipe.coordinates), height, tell)
    with replacing(path) as passing:
        if path.suffix.lower() == ".png":
            with passing.open("wb") as file:
                png = Scanlines(file, height, width, net.outputs, target.icc)
                for band in bands:
                    png.add(band)
                png.close()
        elif path.suffix.lower() in TILED and width * height > picture.MAX_PIXELS and find_spec("tifffile"):
            write_tiled(passing, bands, height, width, net.outputs)
        else:
            _save_whole(passing, path.suffix.lower(), bands, height, width, net.outputs, target.icc)


def _told(bands: Iterator[Levels], height: int, tell: Callable[[str], None]) -> Iterator[Levels]:
    """The bands as they come, saying which share of the rows is painted."""
    done = 0
    for band in bands:
        yield band
        done += len(band)
        tell(f"{done / height:.0%} painted")


def _check_size(path: Path, height: int, width: int, channels: int) -> None:
    """Refuse what the type cannot hold, before anything is painted."""
    suffix = path.suffix.lower()
    if suffix in (".jpg", ".jpeg") and channels == 4:
        raise PictureError(f"{path.name}: the net paints opacity, which JPEG cannot hold\nhint: use .png")
    longest = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}.get(suffix, 1 << 30)
    if max(height, width) > longest:
        raise PictureError(
            f"{path.name}: {width}x{height} is too large for {suffix}, which ends at {longest:,} a side\n"
            "hint: use .png"
        )
    whole = MOST_PIXELS if suffix == ".png" else picture.LARGEST
    if height * width > whole:
        hint = (
            "a smaller size" if suffix == ".png" else ".png, which needs no memory for it, or a smaller size"
        )
        raise RecipeError(
            f"{path.name}: {width}x{height} is too large, at most {whole:,} pixels are painted\nhint: {hint}"
        )


def _save_whole(
    passing: Path,
    suffix: str,
    bands: Iterator[Levels],
    height: int,
    width: int,
    channels: int,
    icc: bytes | None,
) -> None:
    """Fill one picture of 8 bits a channel, and write it by Pillow."""
    image = Image.new({1: "L", 3: "RGB", 4: "RGBA"}[channels], (width, height))
    top = 0
    for band in bands:
        image.paste(Image.fromarray(band[..., 0] if channels == 1 else band), (0, top))
        top += len(band)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(suffix, "TIFF")
    every_option: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"lossless": True, "exact": True},
        "TIFF": {"compression": "tiff_adobe_deflate"},
    }
    options = every_option[kind]
    if icc and not (
        kind == "WEBP" and channels == 1
    ):  # WebP has no grey, and a profile for grey would not fit
        options["icc_profile"] = icc
    content = (
        io.BytesIO()
    )  # libtiff would write the file itself, and tell of a full disk in a code of its own
    image.save(content, kind, **options)
    passing.write_bytes(content.getbuffer())


# The contact sheet ---------------------------------------------------------------------------------------------


def sheet(run: RunDirectory, frames: int = 12) -> picture.Picture:
    """Frames of the learning process in rows, epoch and score below each: evenly chosen, first and last always.

    Tiles are the frames at their own size, tiny ones enlarged by a whole factor, large ones reduced to 640 pixels
    a side. Raises RunError where the run has no frames, RecipeError for frames < 1.
    """
    listed = run.frames()
    if not listed:
        raise RunError(f"{run.folder} holds no frames\nhint: sfumato resume {shlex.quote(str(run.folder))}")
    if frames < 1:
        raise RecipeError(f"frames={frames}: a sheet needs at least 1")
    chosen = np.unique(np.linspace(len(listed) - 1, 0, min(frames, len(listed))).round().astype(int))
    lines = {line["step"]: line for line in run.history}
    tiles, texts = [], []
    for k in chosen:
        step, path = listed[k]
        tiles.append(_tile(picture.load(path, max_pixels=None)))
        texts.append(caption(step, lines.get(step, {})))
    width, height = tiles[0].width, tiles[0].height
    captions = [", ".join(filter(None, pair)) for pair in texts]
    letters = max(10, min(26, round(width / 13)))
    while letters > 10 and max(text_width(c, letters) for c in captions) > width:
        letters -= 1
    if max(text_width(c, letters) for c in captions) > width:
        captions = [epoch for epoch, _ in texts]
    columns = _columns(len(tiles), height, width)
    return picture.sheet(tiles, columns, gap=max(4, width // 40), captions=captions, caption_size=letters)


def _columns(count: int, height: int, width: int) -> int:
    """Tiles in a row, so that the sheet is about 1.9 times as wide as high, a page's width, and rows are full."""

    def fault(columns: int) -> float:
        rows = math.ceil(count / columns)
        shape = columns * width / (rows * height)
        return abs(math.log(shape / 1.9)) + (rows * columns - count) / count

    return min(range(1, count + 1), key=fault)


def _tile(frame: picture.Picture, smallest: int = 96, largest: int = 640) -> picture.Picture:
    long, short = max(frame.width, frame.height), min(frame.width, frame.height)
    if long > largest:
        share = largest / long
        return picture.resize(
            frame, max(1, round(frame.height * share)), max(1, round(frame.width * share)), "box"
        )
    factor = max(1, min(math.ceil(smallest / short), largest // long))
    return picture.resize(frame, frame.height * factor, frame.width * factor, "nearest")


# The net -------------------------------------------------------------------------------------------------------


def _save_net(run: RunDirectory, path: Path, step: int | None) -> None:
    from safetensors.torch import save

    net = run.net(step)
    facts: dict[str, Any] = {
        "format": FORMAT,
        "inputs": int(run.origin["inputs"]),
        "outputs": net.outputs,
        "aspect": float(run.origin.get("aspect", 1.0)),
        "step": run.kept_step(step),
        "run": run.name,
    }
    metadata = {"format": "pt", "sfumato": json.dumps(facts), "recipe": run.recipe.to_json()}
    tensors = {name: tensor.float().contiguous() for name, tensor in net.state_dict().items()}
    with replacing(path) as passing:
        passing.write_bytes(save(tensors, metadata))


def load_net(path: str | os.PathLike[str]) -> Net:
    """The net of a file written by `export(run, "net.safetensors")`, or of a run directory, ready to paint.

    Nothing but numbers and JSON is read: a stranger's file can be opened. Raises RunError where it is damaged, was
    written by something else, or its weights do not fit its recipe.
    """
    from safetensors import SafetensorError, safe_open

    from ..runs import RunDirectory

    if Path(path).is_dir():
        return RunDirectory(path).net()
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"net {str(path)!r} cannot be read: {error}") from error
    if "sfumato" not in about or "recipe" not in about:
        raise RunError(
            f"net {str(path)!r} says nothing of its recipe\nhint: sfumato export RUN net.safetensors"
        )
    try:
        facts = json.loads(about["sfumato"])
        version, shape = int(facts["format"]), (int(facts["inputs"]), int(facts["outputs"]))
        aspect = float(facts["aspect"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"net {str(path)!r} is damaged: {error}") from error
    if version > FORMAT:
        raise RunError(
            f"net {str(path)!r} has format {version}, this sfumato reads up to {FORMAT}\nhint: update sfumato"
        )
    try:
        net = nets.build(Recipe.from_json(about["recipe"], where=str(path)), *shape, aspect=aspect)
        net.load_state_dict(tensors)
    except (RuntimeError, RecipeError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"net {str(path)!r}: weights and recipe do not fit: {reason[:200]}") from error
    return net
