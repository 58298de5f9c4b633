"""The type `Picture`, and what makes and changes one in memory."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ..errors import PictureError, RecipeError

Values = NDArray[np.float32]

WHITE = (1.0, 1.0, 1.0)
FILTERS = {
    "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True, eq=False)
class Picture:
    """`values` float32 (H, W, C) in [0, 1]; C = 1 (grey), 3 (RGB) or 4 (RGBA, colours not multiplied by alpha).

    icc: the embedded colour profile, or None. notes: what was done on loading, a line each. name: the file's stem.
    Raises PictureError where shape or type are others.
    """

    values: Values
    icc: bytes | None = None
    notes: tuple[str, ...] = ()
    name: str = "picture"

    def __post_init__(self) -> None:
        shape = self.values.shape
        if self.values.dtype != np.float32 or len(shape) != 3 or shape[2] not in (1, 3, 4) or 0 in shape:
            raise PictureError(
                f"picture {self.name!r} has values {self.values.dtype} {shape}, not float32 (H, W, 1, 3 or 4)\n"
                "hint: from_array converts other shapes and types"
            )

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.values.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.values.shape[1])

    @property
    def channels(self) -> int:
        """1 (grey), 3 (RGB) or 4 (RGBA)."""
        return int(self.values.shape[2])

    def _repr_png_(self) -> bytes:
        """Shows itself in a notebook, in 8 bits."""
        file = io.BytesIO()
        as_image(self).save(file, "png", icc_profile=self.icc)
        return file.getvalue()


ALLOWED = "floats in [0, 1], bool, uint8 or uint16"

CLIPPED = "values below 0 or above 1 are clipped"


def from_array(values: ArrayLike, icc: bytes | None = None, name: str = "picture") -> Picture:
    """A picture of an array (H, W) or (H, W, C), C = 1, 3 or 4: a copy, clipped to [0, 1].

    Floats are meant in [0, 1]. What a network paints overshoots, so they are clipped, which is noted; those beyond
    -0.5 ... 1.5 mean something else, such as 0 ... 255. bool, uint8 and uint16 are divided by their full scale.
    Raises PictureError for such floats, other types and shapes, no pixels, or values that are masked or not finite.
    """
    array, scale = numbers(values, name)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        what = f"picture {name!r} cannot be made of an array of shape {np.shape(values)}"
        raise PictureError(f"{what}\nhint: give (H, W), or (H, W, C) with C = 1, 3 or 4")
    check_finite(array, name)
    low, high = float(array.min()), float(array.max())
    if scale == 1:
        check_range(low, high, name)
    notes = (CLIPPED,) if scale == 1 and not -1e-6 <= low <= high <= 1 + 1e-6 else ()
    scaled = np.clip(array.astype(np.float64) / scale, 0, 1)
    return Picture(np.ascontiguousarray(scaled, dtype=np.float32), icc, notes, name)


def numbers(values: ArrayLike, name: str) -> tuple[NDArray[Any], int]:
    """An array of any shape as NumPy has it, and the number that stands for white: 1 for floats and bool.

    Raises PictureError for what is no array, other types, and masked values.
    """
    try:
        array = np.asarray(values)
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # ragged lists, tensors with a gradient or in bfloat16
        what = f"picture {name!r} cannot be made of a {type(values).__name__}: {str(error).splitlines()[0]}"
        raise PictureError(f"{what}\nhint: give an array of {ALLOWED}") from error
    if np.ma.is_masked(values):
        raise PictureError(f"picture {name!r} has masked values, which are no colours\nhint: array.filled(0)")
    scale = 1 if array.dtype.kind in "fb" else {"uint8": 255, "uint16": 65535}.get(array.dtype.name)
    if scale is None:
        raise PictureError(f"picture {name!r} cannot be made of {array.dtype} values\nhint: give {ALLOWED}")
    return array, scale


def check_range(low: float, high: float, name: str) -> None:
    """Raise PictureError for floats that mean another scale than 0 ... 1, such as 0 ... 255."""
    if low < -0.5 or high > 1.5:
        what = f"picture {name!r} has values from {low:g} to {high:g}, and floats are meant from 0 to 1"
        raise PictureError(f"{what}\nhint: divide by the largest that may be, such as 255")


def as_image(picture: Picture) -> Image.Image:
    """Pillow's image of a picture, its values clipped and rounded to 8 bits."""
    scaled = picture.values * np.float32(255)  # in place from here, and in float32: a tenth of the time
    scaled += np.float32(0.5)
    levels = np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)
    return Image.fromarray(levels[..., 0] if picture.channels == 1 else levels)


def flatten(picture: Picture, background: Sequence[float] = WHITE) -> Picture:
    """The picture without alpha: composited on `background` (RGB in [0, 1]), which is said in its notes."""
    if picture.channels != 4:
        return picture
    notes = list(picture.notes)
    values = composited(picture.values, colour(background), notes)
    return replace(picture, values=np.ascontiguousarray(values), notes=tuple(notes))


def resize(picture: Picture, height: int, width: int, method: str = "lanczos") -> Picture:
    """The picture at another size, by "lanczos" (sharp), "box" (means of areas) or "nearest" (whole pixels).

    Colours are weighed by alpha where there is one; values are clipped to [0, 1]. Raises RecipeError for a size
    below 1 or an unknown method.
    """
    if height < 1 or width < 1:
        raise RecipeError(f"size {width}x{height} leaves no pixel; both sides must be at least 1")
    if method not in FILTERS:
        raise RecipeError(f"resize method {method!r} is unknown; choose from {', '.join(FILTERS)}")
    return replace(picture, values=resampled(picture.values, height, width, method))


def fit(picture: Picture, max_pixels: int | None) -> Picture:
    """The picture within max_pixels (None: no limit), downscaled if it is larger; a note tells."""
    check_max_pixels(max_pixels)
    size = picture.width, picture.height
    width, height = fitted_size(size, max_pixels)
    if (width, height) == size:
        return picture
    note = f"downscaled from {size[0]}x{size[1]} to {width}x{height} for max_pixels={max_pixels}"
    return replace(resize(picture, height, width), notes=(*picture.notes, note))


def check_max_pixels(max_pixels: int | None) -> None:
    """Raises RecipeError for a limit that no picture can meet."""
    if max_pixels is not None and max_pixels < 1:
        raise RecipeError(f"max_pixels={max_pixels} leaves no pixel; it must be at least 1")


def fitted_size(size: tuple[int, int], max_pixels: int | None) -> tuple[int, int]:
    """The largest (width, height) of this shape within max_pixels; never enlarges, never below 1."""
    width, height = size
    if max_pixels is None or width * height <= max_pixels:
        return size
    factor = math.sqrt(max_pixels / (width * height))
    columns = min(max(1, int(width * factor)), max_pixels)
    return columns, min(max(1, int(height * factor)), max_pixels // columns)


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) in pixels of a text such as "1200x1716". Raises RecipeError."""
    found = re.fullmatch(r"\s*([0-9]{1,6})\s*[xX×*]\s*([0-9]{1,6})\s*", text)
    if found is None:
        raise RecipeError(f"size {text!r} is not WIDTHxHEIGHT in pixels, such as 1200x1716")
    width, height = int(found[1]), int(found[2])
    if width < 1 or height < 1:
        raise RecipeError(f"size {text!r} leaves no pixel; both sides must be at least 1")
    return width, height


def resampled(values: Values, height: int, width: int, method: str) -> Values:
    """(H, W, C) -> (height, width, C) in float32; where C is even, the last channel is alpha."""
    has_alpha = values.shape[2] in (2, 4)
    if has_alpha:
        values = np.concatenate([values[..., :-1] * values[..., -1:], values[..., -1:]], axis=2)
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(values, 2, 0)]
    result = np.stack(
        [np.asarray(plane.resize((width, height), FILTERS[method])) for plane in planes], axis=2
    )
    if has_alpha:  # below half a grey level of alpha no colour can be seen, and dividing would blow noise up
        cover = result[..., -1:]
        result[..., :-1] = np.where(cover > 1 / 510, result[..., :-1] / np.maximum(cover, 1 / 510), 0)
    clipped: Values = np.clip(result, 0, 1).astype(np.float32, copy=False)
    return clipped


def composited(values: Values, paper: Values, notes: list[str]) -> Values:
    """Colours and alpha (H, W, 2 or 4) as colours on paper; grey stays grey on grey paper."""
    colours, cover = values[..., :-1], values[..., -1:]
    if cover.min() == 1:
        notes.append("alpha channel dropped: opaque everywhere")
        return colours
    shown = {(1, 1, 1): "white", (0, 0, 0): "black"}.get(tuple(paper.tolist())) or [f"{c:g}" for c in paper]
    notes.append(f"transparency composited on {shown if isinstance(shown, str) else ', '.join(shown)}")
    if colours.shape[2] == 1 and np.ptp(paper) == 0:
        paper = paper[:1]
    return colours * cover + paper * (1 - cover)


def colour(background: Sequence[float]) -> Values:
    """A background as float32 (3,), checked."""
    paper = np.asarray(background, dtype=np.float32)
    if paper.shape != (3,) or not (np.isfinite(paper).all() and paper.min() >= 0 and paper.max() <= 1):
        raise RecipeError(f"background={background!r} is not a colour: give three numbers from 0 to 1")
    return paper


def check_finite(values: NDArray[Any], name: str) -> None:
    """Raise PictureError with the place of the first NaN or infinity."""
    finite = np.isfinite(values)
    if not finite.all():
        row, column = np.argwhere(~finite)[0][:2]
        count = int(finite.size - np.count_nonzero(finite))
        where = f"{count:,} of {finite.size:,} values, the first at row {row}, column {column}"
        raise PictureError(f"picture {name!r} is not finite: {where}\nhint: NaN or infinity cannot be shown")
