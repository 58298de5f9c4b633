"""The film of a run: its frames one after the other, each shown equally long, the last one held.

Frames are dense early and log-spaced later, so equal times show a net's quick start and its slow end alike.
"""

from __future__ import annotations

import difflib
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw

from .drawing import video
from .drawing.canvas import font
from .drawing.video import Frame
from .errors import RecipeError, RunError
from .files import replacing

if TYPE_CHECKING:
    from .runs import RunDirectory

__all__ = [
    "KINDS",
    "caption",
    "epoch_text",
    "film",
    "kind_of",
    "opened",
    "pace",
    "score_text",
    "to_srgb",
    "wanted_size",
]

KINDS = ("mp4", "webp", "gif")

HOLD = 1.5
"""Seconds for which the last frame stands."""

SMALLEST, LONGEST = 64, 4096
"""Pixels: sides of a film that players show without trouble."""

DARK, LIGHT = (26, 27, 30), (236, 236, 233)
"""RGB of the caption strip and its letters."""


def film(
    run: RunDirectory,
    kind: str = "auto",
    *,
    path: str | os.PathLike[str] | None = None,
    captions: bool = False,
    size: str | tuple[int, int] | None = None,
    with_: Sequence[str] = (),
    hold: float = HOLD,
) -> Path:
    """Make the film of a run and return its path: `film.<kind>` in its folder, or `path`.

    kind: `mp4` (extra `video`), `webp`, `gif`, or `auto`: mp4 where it can be written, else webp. captions: epoch
    and PSNR in a strip below the picture. size: (width, height), "600x858" or "2x", frames resampled; without it
    frames are shown as they are, tiny ones enlarged by whole factors, those beyond LONGEST reduced. with_: panels
    beside the painting, see `panels`. hold: seconds of the last frame.

    WebP carries the picture's colour profile. MP4 and GIF cannot: their frames are converted to sRGB, so that
    they look the same; a profile that cannot be read is then left out. Memory: a few frames.
    Raises MissingExtra for mp4 without PyAV, RecipeError for a kind or size that cannot be meant, RunError where
    the run has no frames, a frame is damaged, or the disk refuses; no half file is left.
    """
    kind = kind_of(kind)
    if kind == "mp4":
        video.require_mp4()
    if with_:
        from . import panels

        count, frames, icc = panels.frames(run, with_, size=size)
    else:
        count, frames, icc = _frames(run, kind, captions, size)
    goal = Path(path) if path is not None else run.folder / f"film.{kind}"
    fps = pace(count)
    with replacing(goal) as passing:
        if kind == "webp":
            video.webp(passing, frames, fps, hold, icc)
        else:
            (video.mp4 if kind == "mp4" else video.gif)(passing, frames, fps, hold)
    return goal


def kind_of(text: str) -> str:
    """`mp4`, `webp` or `gif` of what a person typed; `auto` is mp4 where it can be written. RecipeError else."""
    kind = text.lower().removeprefix(".")
    if kind == "auto":
        return "mp4" if video.has_mp4() else "webp"
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, [*KINDS, "auto", "none"], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are auto, {', '.join(KINDS)}"
        raise RecipeError(f"film={text!r} is unknown; {hint}")
    return kind


def pace(count: int) -> int:
    """Frames a second: 12, but fewer for few frames and more for many, so that a film takes 4 to 8 seconds.

    At least 2 and at most 30, beyond which frames would only be missed: longer series take longer.
    """
    return round(min(30, max(2, min(max(12, count / 8), max(2, count / 4)))))


# Frames --------------------------------------------------------------------------------------------------------


def _frames(
    run: RunDirectory, kind: str, captions: bool, size: str | tuple[int, int] | None
) -> tuple[int, Iterator[Frame], bytes | None]:
    """How many frames, the frames as they are shown, and the colour profile that they still need."""
    listed = run.frames()
    if not listed:
        raise RunError(f"{run.folder} holds no frames\nhint: sfumato resume {run.folder}")
    first = opened(listed[0][1])
    icc = first.info.get("icc_profile")
    keeps = kind == "webp" and first.mode == "RGB"
    transform = None if keeps or not icc else to_srgb(icc, first.mode)
    fit = _Fit(first.size, size, captions)
    lines = {line["step"]: line for line in run.history} if captions else {}

    def shown() -> Iterator[Frame]:
        for step, path in listed:
            image = opened(path)
            if image.size != first.size or image.mode != first.mode:
                raise RunError(
                    f"frame {path} is {image.mode} {image.size[0]}x{image.size[1]}, "
                    f"the first {first.mode} {first.size[0]}x{first.size[1]}\nhint: delete it"
                )
            image = transform.apply(image) if transform else image.convert("RGB")
            yield fit(image, caption(step, lines.get(step, {})) if captions else None)

    return len(listed), shown(), icc if keeps else None


def opened(path: Path) -> Image.Image:
    """A frame's pixels, read whole; RunError if it is damaged."""
    try:
        with Image.open(path) as image:
            image.load()
            return image if image.mode in ("L", "RGB") else image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise RunError(f"frame {path} is damaged: {error}\nhint: delete it") from error


def to_srgb(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a picture's profile to sRGB; None if it is sRGB already, or no profile that can be read."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return None
        return ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


class _Fit:
    """Brings frames of one size to the size of the film, and adds the caption strip below them."""

    def __init__(self, own: tuple[int, int], size: str | tuple[int, int] | None, captions: bool) -> None:
        """own: (width, height) of the frames. Raises RecipeError for a size that cannot be meant."""
        width, height = own
        self._method = Image.Resampling.NEAREST
        if size is not None:
            self._size = wanted_size(size, width, height)
            self._method = Image.Resampling.LANCZOS
            if max(self._size) > LONGEST:
                raise RecipeError(f"size {self._size[0]}x{self._size[1]}: films end at {LONGEST} a side")
        elif max(own) > LONGEST:
            factor = math.ceil(max(own) / LONGEST)
            self._size = (max(1, width // factor), max(1, height // factor))
            self._method = Image.Resampling.BOX
        else:
            factor = max(1, min(math.ceil(SMALLEST / min(own)), 1024 // max(own)))
            self._size = (width * factor, height * factor)
        # What is still too narrow (a picture of one row) stands in the middle of dark borders.
        least = 160 if captions else SMALLEST
        self._across = max(self._size[0], least)
        self._down = max(self._size[1], SMALLEST)
        self._letters = max(11, min(40, round(self._across / 19)))
        self._strip = round(1.75 * self._letters) if captions else 0

    def __call__(self, image: Image.Image, texts: tuple[str, str] | None) -> Frame:
        if image.size != self._size:
            image = image.resize(self._size, self._method)
        if texts is None and (self._across, self._down) == self._size:
            return np.asarray(image)
        sheet = Image.new("RGB", (self._across, self._down + self._strip), DARK)
        sheet.paste(image, ((self._across - image.width) // 2, (self._down - image.height) // 2))
        if texts is not None:
            draw = ImageDraw.Draw(sheet)
            letters, middle, edge = font(self._letters), self._down + self._strip / 2, self._letters // 2
            draw.text((edge, middle), texts[0], LIGHT, letters, anchor="lm")
            draw.text((self._across - edge, middle), texts[1], LIGHT, letters, anchor="rm")
        return np.asarray(sheet)


def wanted_size(size: str | tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """(width, height) of a size such as "1200x1716", or of a factor such as "4x" or "0.5x" of width x height.

    A factor goes up to 100: "1200x" is more likely half a size than a picture of that many times the width.
    Raises RecipeError.
    """
    from .picture import parse_size

    if not isinstance(size, str):
        return parse_size(f"{size[0]}x{size[1]}")
    text = size.strip().lower().replace("×", "x")
    number = text.removesuffix("x").removeprefix("x")
    if number.replace(".", "", 1).isdecimal():
        factor = float(number)
        if 0 < factor <= 100:
            return max(1, round(width * factor)), max(1, round(height * factor))
        across = round(min(factor, 99999))
        raise RecipeError(
            f"size {size!r}: a factor lies between 0 and 100\n"
            f"hint: {across}x{max(1, round(across * height / width))} is {across} pixels across in the same shape"
            if across
            else f"size {size!r} leaves no pixel"
        )
    return parse_size(text)


# Captions ------------------------------------------------------------------------------------------------------


def caption(step: int, line: Mapping[str, Any]) -> tuple[str, str]:
    """What a frame's strip says on the left and on the right: epoch and score, from its line of metrics."""
    if "epoch" not in line:
        return f"step {step:,}", ""
    return epoch_text(line["epoch"]), score_text(line)


def epoch_text(epoch: float) -> str:
    """`epoch 0.05`, `epoch 12.3`, `epoch 1,250`."""
    return f"epoch {epoch:,.0f}" if epoch >= 100 else f"epoch {epoch:.3g}"


def score_text(line: Mapping[str, Any]) -> str:
    """PSNR in decibels; for other tasks, the share of errors in per cent; empty where neither is known.

    The package writes an infinite PSNR as null: that painting is exact.
    """
    if "psnr" in line:
        return "exact" if line["psnr"] is None else f"{line['psnr']:.2f} dB"
    for name, value in line.items():
        if name.endswith("_error") and value is not None:
            return f"{100 * value:.2f} % errors"
    return ""


# Files ---------------------------------------------------------------------------------------------------------
