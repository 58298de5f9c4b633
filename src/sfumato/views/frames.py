"""Frames of a film: read, converted, fitted into one size, captioned; shared by all that shows frames."""

from __future__ import annotations

import io
import math
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw

from ..drawing.canvas import font
from ..drawing.video import Frame
from ..errors import RecipeError, RunError
from ..words import epoch_text, score_text

__all__ = ["DOUBLED", "LONGEST", "SMALLEST", "Fit", "caption", "opened", "to_srgb", "wanted_size"]

SMALLEST, LONGEST = 64, 4096
"""Pixels: sides of a film that players show without trouble."""

DOUBLED = 1 << 20
"""Pixels of a picture up to which MP4 and WebP show it at twice its size, if no other is asked for.

Both store colour at half the resolution: of the colour of lines one pixel wide MP4 keeps 42 % and WebP 37 %, of
those two wide 84 % and 75 % (mean over red, green and blue lines on grey). Larger films are too much for players.
"""

DARK, LIGHT = (26, 27, 30), (236, 236, 233)
"""RGB of the caption strip and its letters."""


def opened(path: Path, small: int = 0) -> Image.Image:
    """A frame's pixels, read whole; RunError if it is damaged.

    small: pixels a side that suffice; a JPEG is then decoded at as little as an eighth, in an eighth of the time.
    """
    try:
        with Image.open(path) as image:
            if small:
                image.draft(None, (small, small))
            image.load()
            return image if image.mode in ("L", "RGB") else image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise _damaged(path, error) from error


def check_alike(paths: Sequence[Path]) -> None:
    """RunError for a frame of another mode or size than the first's, by their headers, or for a damaged one."""
    kinds = []
    for path in paths:
        try:
            with Image.open(path) as image:
                kinds.append(f"{image.mode} {image.width}x{image.height}")
        except (OSError, ValueError, SyntaxError) as error:
            raise _damaged(path, error) from error
        if kinds[-1] != kinds[0]:
            raise RunError(f"frame {path} is {kinds[-1]}, the first {kinds[0]}\nhint: delete it")


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"frame {path} is damaged: {error}\nhint: delete it")


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


class Fit:
    """Brings frames of one size to the size of the film, and adds the caption strip below them."""

    def __init__(
        self, own: tuple[int, int], size: str | tuple[int, int] | None, captions: bool, doubled: bool
    ) -> None:
        """own: (width, height) of the frames. doubled: see DOUBLED. RecipeError for a size that cannot be meant."""
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
            if doubled and width * height <= DOUBLED:
                factor = max(2, factor)
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
    from ..picture import parse_size

    if not isinstance(size, str):
        try:
            width, height = map(operator.index, size)
        except TypeError as error:
            raise RecipeError(f"size {size!r} is not (width, height) in whole pixels") from error
        except ValueError as error:
            raise RecipeError(f"size {size!r} is not two numbers, (width, height)") from error
        return parse_size(f"{width}x{height}")
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
