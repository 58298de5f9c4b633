"""File -> Picture, in the order of the data: open, decode, widen to plain modes, downscale, turn, composite."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms

from ..errors import PictureError
from ._refusals import LARGEST, READ, explained, opened, quiet_libtiff, quiet_pillow, refusal, too_large
from ._values import WHITE, Picture, Values, check_max_pixels, colour, composited, fitted_size, resampled

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
    Raises PictureError for anything that is no whole picture; RecipeError for options out of range.
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
        except PictureError:
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


def _decoded(file: BinaryIO, path: Path, max_pixels: int | None) -> tuple[Values, Any, list[str]]:
    """Upright values (H, W, 1 to 4), profile and notes of an open file; raises whatever Pillow raises."""
    Image.init()
    image = Image.open(
        file, formats=[name for name in READ if name in Image.OPEN]
    )  # Pillow < 11.3 lacks AVIF
    notes: list[str] = []
    kind = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with more pictures behind it
    expected = Image.registered_extensions().get(path.suffix.lower())
    if expected in READ and expected != kind:
        notes.append(f"read as {kind}, though its name ends in {path.suffix}")
    size = image.size
    if min(size) < 1:
        raise refusal(path, f"is empty: {size[0]}x{size[1]} pixels", "export it again")
    if math.prod(size) > LARGEST:
        raise too_large(path, f"{size[0]}x{size[1]} = {math.prod(size):,} pixels")

    # All of this must be asked before `load`, which forgets it.
    sample = _Sample.of(image)
    icc = image.info.get("icc_profile")
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

    if sample.deep:
        values = _deep_values(image, sample, path, notes)
        if target != size:
            values = resampled(values, target[1], target[0], "lanczos")
    else:
        plain = _plain(image, sample, notes)
        if target != size:  # Pillow weighs by alpha here, so that hidden colours do not bleed in
            plain = plain.resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0)
        if plain.mode == "CMYK":
            plain, icc = _from_cmyk(plain, icc, notes), None
        values = np.asarray(plain, dtype=np.float32).reshape(plain.height, plain.width, -1) / np.float32(255)
    if target != size:
        notes.append(
            f"downscaled from {size[0]}x{size[1]} to {target[0]}x{target[1]} for max_pixels={max_pixels}"
        )
    if turn is not None:
        if kind != "TIFF":
            values = _turned(values, turn)
        notes.append("turned upright as its EXIF orientation says")
    if _has_more_frames(image):
        notes.append("first of several frames taken")
    return values, icc, notes


@dataclass(frozen=True)
class _Sample:
    """How a file stores one number, as far as Pillow's modes do not tell."""

    bits: int
    deep: bool  # one channel of more than 8 bits, which Pillow hands out unrounded
    grey: bool = False
    signed: bool = False
    white_is_zero: bool = False
    key: Any = None  # the one colour that PNG calls transparent

    @classmethod
    def of(cls, image: Image.Image) -> _Sample:
        """What an opened and not yet loaded image says of its samples."""
        deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
        bits, grey, key = (16 if deep else 8), False, image.info.get("transparency")
        tags: Any = getattr(image, "tag_v2", {})
        tiles: Any = getattr(image, "tile", [])
        layout = tiles[0][3] if tiles else ""
        if image.format == "TIFF":
            bits = max(tags.get(258, (1,)))
        elif image.format == "PPM" and isinstance(layout, tuple):  # (layout, greatest value)
            bits = 16 if max([part for part in layout if isinstance(part, int)], default=0) > 255 else 8
        elif image.format == "PNG" and isinstance(layout, str):  # such as "RGB;16B", "LA;16B", "L;4", "1"
            depth = re.search(r"(?:;|^)(\d+)", layout)
            bits, grey = int(depth[1]) if depth else 8, layout.startswith("LA")
            # Pillow widens samples to 0..255, or cuts them to it, and leaves the transparent colour as stored
            # (for one bit up to version 12).
            if image.mode in ("1", "L") and isinstance(key, int) and key < 2**bits:
                key = key * 255 // (2**bits - 1)
            elif bits == 16 and isinstance(key, tuple):
                key = tuple(part >> 8 for part in key)
        return cls(bits, deep, grey, tags.get(339, (1,))[0] == 2, tags.get(262) == 0, key)


def _plain(image: Image.Image, sample: _Sample, notes: list[str]) -> Image.Image:
    """Any 8-bit mode as L, LA, RGB, RGBA or CMYK."""
    mode = image.mode
    if sample.bits > 8 and mode not in ("P", "PA"):
        notes.append(f"{sample.bits}-bit samples read as 8-bit: Pillow keeps more for opaque grey only")
    if mode == "1":
        image, mode = image.convert("L"), "L"
    if mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        red, *others = image.split()[:3]
        is_grey = all(other.tobytes() == red.tobytes() for other in others)
        return image.convert("LA" if image.mode == "RGBA" else "L") if is_grey else image
    if mode in ("L", "RGB") and sample.key is not None:
        image.info["transparency"] = sample.key
        return image.convert("LA" if mode == "L" else "RGBA")
    if mode in ("La", "RGBa"):
        return image.convert(mode.upper())
    if mode == "RGBA" and sample.grey:  # Pillow widens grey with alpha where it has 16 bits
        return image.convert("LA")
    if mode in ("YCbCr", "RGBX"):
        return image.convert("RGB")
    if mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        raise ValueError(f"colour mode {mode} is not supported")
    return image


def _from_cmyk(image: Image.Image, icc: Any, notes: list[str]) -> Image.Image:
    """Inks as RGB: by the embedded profile where there is a sound one, else (1 - ink)(1 - black)."""
    if icc:
        try:
            inks = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            screen = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, inks, screen, outputMode="RGB")
        except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
            converted = None  # no profile, not one of inks, or Pillow built without LittleCMS
        if converted is not None:
            notes.append("CMYK converted to sRGB by its colour profile")
            return converted
    notes.append("CMYK converted to RGB without a colour profile: hues are approximate")
    return image.convert("RGB")


def _deep_values(image: Image.Image, sample: _Sample, path: Path, notes: list[str]) -> Values:
    """One channel of more than 8 bits in [0, 1]: (H, W, 1), or (H, W, 2) where a colour key hides pixels.

    Unsigned integers up to 16 bits are divided by their full scale. 32-bit and signed integers hardly ever use
    theirs, so they are mapped from their own smallest and largest value, and so are floats that leave [0, 1].
    """
    stored = np.array(image)
    floats, bits = stored.dtype.kind == "f", sample.bits
    if stored.dtype == np.int32 and bits == 32 and not sample.signed:
        stored = stored.view(np.uint32)  # Pillow hands unsigned 32-bit TIFF out as signed
    bad = int(np.count_nonzero(~np.isfinite(stored)))
    if bad:
        what = f"has {bad:,} of {stored.size:,} values that are NaN or infinite"
        raise refusal(path, what, "replace them with numbers first")
    wide = stored.astype(np.float64)
    low, high = float(wide.min()), float(wide.max())
    if not floats and bits <= 16 and not sample.signed:
        wide /= 2**bits - 1
        notes.append(f"{bits}-bit grey kept: 0 to {2**bits - 1} became 0 to 1")
    elif not floats or low < 0 or high > 1:
        wide = (wide - low) / (high - low) if high > low else np.clip(wide, 0, 1)
        notes.append(f"{'float' if floats else f'{bits}-bit'} values {low:g} to {high:g} mapped to 0 to 1")
    if sample.white_is_zero and not floats:  # Pillow undoes this for 8 bits only
        wide = 1 - wide
    values = np.clip(wide, 0, 1).astype(np.float32)[..., None]
    if isinstance(sample.key, int):
        values = np.concatenate([values, (stored != sample.key).astype(np.float32)[..., None]], axis=2)
    return values


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
