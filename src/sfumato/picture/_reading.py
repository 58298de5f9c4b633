"""File -> Picture, in the order of the data: open, decode, widen to plain modes, downscale, turn, composite."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import MissingExtra, PictureError
from . import _avif, _tiff
from ._chunks import to_srgb, without_text
from ._refusals import READ, check_header, check_size, explained, opened, quiet_libtiff, quiet_pillow, refusal
from ._samples import Sample, cut_to_frame, deep_values, from_cmyk, plain
from ._values import (
    WHITE,
    Picture,
    Values,
    check_max_pixels,
    colour,
    composited,
    fitted_size,
    from_array,
    resampled,
)

MAX_PIXELS = 1 << 22  # 2048 x 2048

Turn = Image.Transpose
TURNS = {  # EXIF orientation (CIPA DC-008, tag 0x0112) -> what sets the picture upright
    2: Turn.FLIP_LEFT_RIGHT,
    3: Turn.ROTATE_180,
    4: Turn.FLIP_TOP_BOTTOM,
    5: Turn.TRANSPOSE,
    6: Turn.ROTATE_270,
    7: Turn.TRANSVERSE,
    8: Turn.ROTATE_90,
}
TURNED = "turned upright as its EXIF orientation says"
PLAIN_MODES = ("1", "L", "RGB", "RGBA", "F", "I;16", "I;16L", "I;16B")
"""Pillow's modes whose numbers `from_array` reads as they are meant."""

FIRST = "first of several frames taken"


def load(
    path: str | os.PathLike[str],
    *,
    alpha: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    background: Sequence[float] = WHITE,
) -> Picture:
    """Read a picture file: JPEG, PNG, WebP, TIFF, GIF (first frame), BMP, PPM or AVIF, by content and not by name.

    The result has one channel if the file is grey, else three; `alpha=True` gives four. Without it, transparency is
    composited on `background` (RGB in [0, 1]). EXIF rotation is applied; more than `max_pixels` (None: no limit)
    are downscaled. Files above LARGEST pixels are refused whatever `max_pixels` says.
    Raises PictureError for anything that is no whole picture, or of a kind that cannot be read rightly here, by its
    name; MissingExtra for a TIFF that only tifffile reads, where it is missing; RecipeError for options out of
    range.
    """
    check_max_pixels(max_pixels)
    paper = colour(background)
    text = os.fspath(path)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/|data:", text):
        raise PictureError(f"picture {text!r} is an address, not a file\nhint: download it first")
    path = Path(text)
    with opened(path) as file, quiet_pillow():
        try:
            values, icc, notes = _decoded(file, path, max_pixels)
        except (PictureError, MissingExtra):
            raise
        # Pillow's readers raise nearly anything on damaged bytes: OSError, SyntaxError, struct.error, KeyError, ...
        except Exception as error:
            raise explained(error, path, file) from error
    if alpha:
        values = _with_alpha(values, notes)
    elif values.shape[2] in (2, 4):
        values = composited(values, paper, notes)
    values = np.ascontiguousarray(values, dtype=np.float32)
    return Picture(values, _fitting_profile(icc, values.shape[2], notes), tuple(notes), path.stem)


def from_pillow(image: Image.Image, name: str = "") -> Picture:
    """A picture of one that Pillow has opened or made, as `load` reads its file: turned by EXIF, with its profile.

    name: its file's stem if empty. Raises PictureError for modes whose colours are not plain, such as CMYK, and for
    one that is closed or damaged.
    """
    file = Path(str(getattr(image, "filename", "") or "picture"))
    name = name or file.stem
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode == "La":  # Pillow turns it into nothing but LA
            image = image.convert("LA")
        if image.mode in ("P", "PA", "LA", "RGBa"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        values = np.asarray(image)
    # Only now does Pillow read a file that it has opened, and its readers raise nearly anything on damaged bytes.
    except Exception as error:
        what = f"picture {name!r} cannot be read: {error or type(error).__name__}"
        raise PictureError(f"{what}\nhint: is it open, and its file whole?") from error
    if image.mode not in PLAIN_MODES:
        # Pillow cuts I off at 255 on its way to RGB, and has no way from LAB.
        hints = {
            "I": "numpy.asarray(image) / 65535, or what its white is",
            "LAB": "PIL.ImageCms makes it RGB",
        }
        hint = hints.get(image.mode, "image.convert('RGB')")
        raise PictureError(f"a picture of Pillow's mode {image.mode} is not taken as it is\nhint: {hint}")
    made = from_array(values, name=name)
    notes = list(made.notes)
    icc = _fitting_profile(image.info.get("icc_profile"), made.channels, notes)
    return Picture(made.values, icc, tuple(notes), made.name)


def _decoded(file: BinaryIO, path: Path, max_pixels: int | None) -> tuple[Values, Any, list[str]]:
    """Upright values (H, W, 1 to 4), profile and notes of an open file; raises whatever Pillow raises."""
    check_header(file, path)
    notes = _avif.notes_of(file)
    layout = _tiff.layout_of(file, path)
    image = None
    if layout is None or layout.pillow_is_right:
        file, icc, gamma = without_text(file, path, notes)
        image = _opened(file, path, layout)
    if image is None:
        assert layout is not None
        return _by_tifffile(file, path, layout, max_pixels, notes)
    kind = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with more pictures behind it
    _note_name(kind, path, notes)
    size = image.size
    if min(size) < 1:
        raise refusal(path, f"is empty: {size[0]}x{size[1]} pixels", "export it again")
    check_size(size, file, path)

    # All of this must be asked before `load`, which forgets it.
    sample = Sample.of(image)
    icc = icc or image.info.get("icc_profile")
    tiles: Any = getattr(image, "tile", None)
    frame = tiles[0][1] if kind == "GIF" and tiles and tiles[0][1] != (0, 0, *size) else None
    if image.mode == "CMYK" and kind == "JPEG" and "adobe" not in image.info:
        what = "is a CMYK JPEG that does not say whether its inks are inverted"
        raise refusal(path, what, "convert it to RGB first")
    try:
        turn = TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata spoils no pixel, and Pillow's parser raises any class here too
        turn = None
        notes.append("unreadable EXIF block ignored")
    if kind == "JPEG":
        # A JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of time and memory; twice the target keeps it sharp.
        width, height = fitted_size(size, max_pixels)
        image.draft(None, (2 * width, 2 * height))
    with quiet_libtiff() if kind == "TIFF" else nullcontext():
        image.load()
    if kind == "TIFF":
        size = image.size  # Pillow turns TIFF, and TIFF only, while loading
    target = fitted_size(size, max_pixels)

    if layout is not None and layout.ignored:
        notes.append(layout.ignored)
    if sample.deep:
        values = deep_values(image, sample, path, notes)
        if target != size:
            values = resampled(values, target[1], target[0], "lanczos")
    else:
        picture = plain(image, sample, notes)
        if frame is not None:
            picture = cut_to_frame(picture, frame)
        if target != size:  # Pillow weighs by alpha here, so that hidden colours do not bleed in
            picture = picture.resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0)
        if picture.mode == "CMYK":
            picture, icc = from_cmyk(picture, icc, notes), None
        values = np.asarray(picture, dtype=np.float32) / np.float32(255)
        values = values.reshape(picture.height, picture.width, -1)
    if gamma is not None:
        values = to_srgb(values, gamma)
    _note_size(size, target, max_pixels, notes)
    if turn is not None:
        if kind != "TIFF":
            values = _turned(values, turn)
        notes.append(TURNED)
    if _has_more_frames(image):
        notes.append(FIRST)
    return values, icc, notes


def _opened(file: BinaryIO, path: Path, layout: _tiff.Layout | None) -> Image.Image | None:
    """What Pillow opens, not yet loaded; None for a sound TIFF that Pillow does not know."""
    Image.init()
    known = [name for name in READ if name in Image.OPEN]  # Pillow < 11.3 lacks AVIF
    with _tiff.pillow_reads_by_libtiff(layout):
        try:
            return Image.open(file, formats=known)
        except UnidentifiedImageError:
            if layout is None:
                raise
            return None


def _by_tifffile(
    file: BinaryIO, path: Path, layout: _tiff.Layout, max_pixels: int | None, notes: list[str]
) -> tuple[Values, Any, list[str]]:
    _note_name("TIFF", path, notes)
    check_size((layout.width, layout.height), file, path)
    values = _tiff.read(file, path, layout, notes)
    turn = TURNS.get(layout.orientation)
    if turn is not None:
        values = _turned(values, turn)
    size = values.shape[1], values.shape[0]
    target = fitted_size(size, max_pixels)
    if target != size:
        values = resampled(values, target[1], target[0], "lanczos")
    _note_size(size, target, max_pixels, notes)
    notes += [TURNED] * (turn is not None) + [FIRST] * layout.pages
    return values, layout.icc, notes


def _note_name(kind: str, path: Path, notes: list[str]) -> None:
    expected = Image.registered_extensions().get(path.suffix.lower())
    if expected in READ and expected != kind:
        notes.append(f"read as {kind}, though its name ends in {path.suffix}")


def _note_size(size: tuple[int, int], target: tuple[int, int], limit: int | None, notes: list[str]) -> None:
    if target != size:
        notes.append(f"downscaled from {size[0]}x{size[1]} to {target[0]}x{target[1]} for max_pixels={limit}")


def _with_alpha(values: Values, notes: list[str]) -> Values:
    """Four channels from any number of them."""
    colours, cover = values, np.ones_like(values[..., :1])
    if values.shape[2] in (2, 4):
        colours, cover = values[..., :-1], values[..., -1:]
    else:
        notes.append("no transparency in the file: alpha is 1 everywhere")
    return np.concatenate([np.broadcast_to(colours, (*values.shape[:2], 3)), cover], axis=2)


def _fitting_profile(icc: Any, channels: int, notes: list[str]) -> bytes | None:
    """The profile if it is one, and for such values (ICC.1:2022, 7.2: colour space at byte 16, 'acsp' at 36)."""
    if not icc:
        return None
    if not isinstance(icc, bytes) or len(icc) < 128 or icc[36:40] != b"acsp":
        notes.append("damaged colour profile dropped")
        return None
    space = icc[16:20].decode("latin-1").strip()
    if space != ("GRAY" if channels == 1 else "RGB"):
        notes.append(f"colour profile dropped: it is for {space!r} values")
        return None
    return icc


def _turned(values: Values, turn: Image.Transpose) -> Values:
    """What Pillow's `transpose` does, for an array (H, W, C)."""
    views = {
        Turn.FLIP_LEFT_RIGHT: values[:, ::-1],
        Turn.FLIP_TOP_BOTTOM: values[::-1],
        Turn.ROTATE_90: np.rot90(values, 1),
        Turn.ROTATE_180: np.rot90(values, 2),
        Turn.ROTATE_270: np.rot90(values, 3),
        Turn.TRANSPOSE: values.swapaxes(0, 1),
        Turn.TRANSVERSE: np.rot90(values, 2).swapaxes(0, 1),
    }
    return views[turn]


def _has_more_frames(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what comes after the first frame may be damaged, and is not read anyway
        return False
