"""Picture -> bytes -> file: four formats, written in one step."""

from __future__ import annotations

import difflib
import io
import os
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import PictureError
from ..files import save_bytes
from ._refusals import quiet_pillow
from ._values import Picture, as_image, check_finite

SUFFIXES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"}
LONGEST = {
    "jpeg": 65_500,
    "webp": 16_383,
}  # pixels a side that the format, or Pillow's copy of its library, can hold


def save(picture: Picture, path: str | os.PathLike[str], *, quality: int = 95) -> None:
    """Write a picture of type png, jpg, webp or tiff, as the name's suffix says, with its colour profile.

    Values are clipped to [0, 1] and rounded to 8 bits; grey stays grey (WebP has no grey: it becomes RGB, and a
    profile for grey is left out). PNG, TIFF and WebP lose nothing; `quality` (1 to 100) is JPEG's. The file is
    replaced in one step: no reader sees half of it. Raises PictureError for an unknown suffix or what the type
    cannot hold, RunError where the disk refuses.
    """
    path = Path(path)
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        Image.init()
        other = path.suffix.lower() in Image.registered_extensions()  # a type, but not one of these
        near = [".png"] if other else difflib.get_close_matches(path.suffix.lower(), SUFFIXES, n=1)
        hint = f"did you mean {path.stem + near[0]!r}?" if near else f"use one of {' '.join(SUFFIXES)}"
        raise PictureError(f"picture {path.name!r} cannot be written: its suffix is of no type\nhint: {hint}")
    save_bytes(path, encode(picture, kind, quality))


def encode(picture: Picture, format: str = "jpeg", quality: int = 90) -> bytes:
    """A picture as the bytes of a "jpeg", "png", "webp" (lossless) or "tiff" file; quality (1 to 100) is JPEG's.

    Raises PictureError for another format, alpha in a JPEG, values that are not finite, or sides beyond the format.
    """
    kind = {"jpg": "jpeg", "tif": "tiff"}.get(format.lower(), format.lower())
    if kind not in SUFFIXES.values():
        raise PictureError(f"picture format {format!r} is unknown\nhint: use jpeg, png, webp or tiff")
    if kind == "jpeg" and picture.channels == 4:
        what = f"picture {picture.name!r} has alpha, which JPEG cannot hold"
        raise PictureError(f"{what}\nhint: use png, or flatten the picture")
    longest = LONGEST.get(kind, 1 << 30)
    if max(picture.width, picture.height) > longest:
        what = f"picture {picture.name!r} of {picture.width}x{picture.height} is too large for {kind}"
        raise PictureError(f"{what}, which ends at {longest:,} a side\nhint: use png, or a smaller size")
    check_finite(picture.values, picture.name)
    image = as_image(picture)
    every_option: dict[str, dict[str, Any]] = {
        # Colour at full resolution in what is kept; at a quarter of it in small, quick frames.
        "jpeg": {"quality": quality, "subsampling": 0 if quality >= 90 else 2},
        "png": {
            "compress_level": 3
        },  # 1 % larger than level 6, in less than half the time (a 300x429 portrait)
        "webp": {"lossless": True, "exact": True},
        "tiff": {"compression": "tiff_adobe_deflate"},
    }
    options = every_option[kind]
    if picture.icc and not (kind == "webp" and picture.channels == 1):
        options["icc_profile"] = picture.icc
    buffer = io.BytesIO()
    with quiet_pillow():
        image.save(buffer, kind, **options)
    return buffer.getvalue()
