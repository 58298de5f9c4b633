"""The pictures of a report as data URIs of bounded size: target, painting, error maps, and the film."""

from __future__ import annotations

import base64
import io
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ... import picture
from ...drawing import palettes
from ...drawing.palettes import Indices, Palette
from ...drawing.video import has_mp4
from ...picture import Picture
from .. import film

if TYPE_CHECKING:
    from ...runs import RunDirectory

__all__ = ["Film", "Pictures", "gradient", "indexed", "moving", "still", "stills", "uri"]

LOSSLESS = 128 * 128
"""Pictures of no more pixels are kept as PNG, whose single pixels can be seen; larger ones as JPEG."""

PIXELS = 700_000
"""Larger pictures are reduced to so many pixels for the page."""

FILM_BYTES = 750_000
FRAMES_BYTES = 1_100_000

QUANTILE = 0.995
"""Errors beyond this share of all are drawn in the last colour."""


@dataclass(frozen=True)
class Pictures:
    """Data URIs, and the size of the picture that was learned. largest: end of the error scale."""

    width: int
    height: int
    painting: str
    target: str = ""
    absolute: str = ""
    signed: str = ""
    largest: float = 0.0

    @property
    def pixelated(self) -> bool:
        """Whether single pixels are meant to be seen."""
        return self.width * self.height <= LOSSLESS


@dataclass(frozen=True)
class Film:
    """A video (one URI, frame k at k/fps seconds), or single frames where no video can be written.

    frames: the run's frame that each shown one is: its position in `Run.frames()`.
    """

    uris: tuple[str, ...]
    fps: int
    frames: tuple[int, ...]
    video: bool
    width: int
    height: int


def uri(data: bytes, kind: str) -> str:
    """`data:<kind>;base64,...`"""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def still(shown: Picture) -> str:
    """A picture for the page, with its colour profile: PNG where it is tiny, else JPEG."""
    flat = picture.flatten(shown)
    if flat.width * flat.height <= LOSSLESS:
        return uri(picture.encode(flat, "png"), "image/png")
    return uri(picture.encode(flat, "jpeg", quality=90), "image/jpeg")


def indexed(indices: Indices, table: Palette, *, quality: int = 80) -> str:
    """A drawing of palette indices (H, W) for the page, without text in it."""
    if indices.size <= LOSSLESS:
        return uri(palettes.png(indices, table), "image/png")
    buffer = io.BytesIO()
    Image.fromarray(table[indices]).save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return uri(buffer.getvalue(), "image/jpeg")


def gradient(table: Palette, stops: int = 13) -> str:
    """The colours of a scale as a CSS gradient from left to right."""
    at = np.linspace(0, palettes.LEVELS - 1, stops).round().astype(int)
    return "linear-gradient(90deg," + ",".join(f"#{table[i].tobytes().hex()}" for i in at) + ")"


def stills(run: RunDirectory, largest: float | None = None) -> Pictures | None:
    """Painting, target and error of a run; without a target the painting alone; None where nothing was painted.

    largest: end of the error scale, so that several runs share one; None: QUANTILE of the errors.
    """
    painted = _painted(run)
    if painted is None:
        return None
    target_path = run.file("target.png")
    if not target_path.exists():
        return Pictures(painted.width, painted.height, still(painted))
    with Image.open(target_path) as image:
        width, height = image.size
    target = picture.load(target_path, alpha=True, max_pixels=PIXELS)
    if (painted.width, painted.height) != (target.width, target.height):
        painted = picture.resize(painted, target.height, target.width, "box")
    channels = min(3, target.channels, painted.channels)
    difference = (
        picture.flatten(painted).values[..., :channels] - picture.flatten(target).values[..., :channels]
    )
    signed, absolute = difference.mean(2), np.sqrt((difference**2).mean(2))
    largest = largest or max(float(np.quantile(absolute, QUANTILE)), 1 / 255)
    heat, diverging = palettes.palette("heat"), palettes.palette("diverging")
    return Pictures(
        width,
        height,
        still(painted),
        still(target),
        indexed(palettes.index(absolute, 0, largest), heat),
        indexed(palettes.index(signed, -largest, largest), diverging),
        largest,
    )


def _painted(run: RunDirectory) -> Picture | None:
    path = run.file("painting.png")
    if path.exists():
        return picture.load(path, alpha=True, max_pixels=PIXELS)
    frames = run.frames()  # an interrupted run has no painting yet
    return picture.load(frames[-1][1], max_pixels=PIXELS) if frames else None


# The film ----------------------------------------------------------------------------------------------------


def moving(run: RunDirectory, *, share: float = 1.0) -> Film | None:
    """The film of a run within FILM_BYTES x share; None for fewer than two frames."""
    listed = run.frames()
    if len(listed) < 2:
        return None
    return (_video if has_mp4() else _single)(run, share)


def _video(run: RunDirectory, share: float) -> Film:
    """H.264 made anew from the frames: the run's own film may have captions, panels or another pace."""
    listed = run.frames()
    with Image.open(listed[0][1]) as first:
        width, height = first.size
    size, limit = None, FILM_BYTES * share
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        if width * height > 400_000:
            size = _even(width, height, math.sqrt(400_000 / (width * height)))
        film.film(run, "mp4", path=path, size=size, hold=0, pace="all")
        for _ in range(3):
            if path.stat().st_size <= limit:
                break
            factor = max(0.3, 0.9 * math.sqrt(limit / path.stat().st_size))
            size = _even(*(size or (width, height)), factor)
            film.film(run, "mp4", path=path, size=size, hold=0, pace="all")
        data = path.read_bytes()
    count = len(listed)
    return Film((uri(data, "video/mp4"),), film.rate(count), tuple(range(count)), True, width, height)


def _even(width: int, height: int, factor: float) -> tuple[int, int]:
    """A smaller size with even sides, as video wants them."""
    return max(2, round(width * factor / 2) * 2), max(2, round(height * factor / 2) * 2)


def _single(run: RunDirectory, share: float) -> Film:
    """JPEGs of some of the frames: every frame if they fit, else an even choice with the first and the last."""
    listed = run.frames()
    with Image.open(listed[0][1]) as first:
        width, height = first.size
    largest = 480
    made: list[bytes] = []
    chosen: list[int] = []
    limit = FRAMES_BYTES * share
    for count in (len(listed), 48, 32, 16, 8, 2):
        if count > len(listed):
            continue
        chosen = sorted({round(k * (len(listed) - 1) / (count - 1)) for k in range(count)})
        made = [_jpeg(listed[k][1], largest) for k in chosen]
        if sum(map(len, made)) <= limit:
            break
    uris = tuple(uri(data, "image/jpeg") for data in made)
    return Film(uris, film.rate(len(chosen)), tuple(chosen), False, width, height)


def _jpeg(path: Path, largest: int) -> bytes:
    """A frame of at most `largest` pixels a side, its colour profile kept."""
    with Image.open(path) as image:
        image.load()
        profile = image.info.get("icc_profile")
        if max(image.size) > largest:
            image.thumbnail((largest, largest))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=72, **({"icc_profile": profile} if profile else {}))
        return buffer.getvalue()
