"""How the numbers of a file become values in [0, 1]: by their type and range, or by Pillow's plain modes."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ._refusals import refusal
from ._values import Values


@dataclass(frozen=True)
class Sample:
    """How a file stores one number, as far as Pillow's modes do not tell."""

    bits: int
    deep: bool  # one channel of more than 8 bits, which Pillow hands out unrounded
    grey: bool = False
    white_is_zero: bool = False
    key: Any = None  # the one colour that PNG calls transparent

    @classmethod
    def of(cls, image: Image.Image) -> Sample:
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
        return cls(bits, deep, grey, tags.get(262) == 0, key)


def in_unit_range(
    stored: NDArray[Any], bits: int, path: Path, notes: list[str], *, what: str = "grey"
) -> NDArray[np.float64]:
    """Numbers of any real type as float64 in [0, 1]; a note says how where it is not the plain way.

    Unsigned integers up to 16 bits are divided by their full scale. Wider ones hardly ever use theirs, so they are
    mapped from their own smallest and largest value (of all channels), and so are floats that leave [0, 1].
    Raises PictureError for NaN and infinity.
    """
    floats = stored.dtype.kind == "f"
    bad = int(np.count_nonzero(~np.isfinite(stored))) if floats else 0
    if bad:
        says = f"has {bad:,} of {stored.size:,} values that are NaN or infinite"
        raise refusal(path, says, "replace them with numbers first")
    wide = stored.astype(np.float64)
    low, high = float(wide.min()), float(wide.max())
    if not floats and bits <= 16:
        wide /= 2**bits - 1
        if bits > 8:
            notes.append(f"{bits}-bit {what} kept: 0 to {2**bits - 1} became 0 to 1")
    elif not floats or low < 0 or high > 1:
        wide = (wide - low) / (high - low) if high > low else np.clip(wide, 0, 1)
        notes.append(f"{'float' if floats else f'{bits}-bit'} values {low:g} to {high:g} mapped to 0 to 1")
    clipped: NDArray[np.float64] = np.clip(wide, 0, 1)
    return clipped


def deep_values(image: Image.Image, sample: Sample, path: Path, notes: list[str]) -> Values:
    """One channel of more than 8 bits: (H, W, 1), or (H, W, 2) where a colour key hides pixels."""
    stored = np.array(image)
    if stored.dtype == np.int32 and sample.bits == 32:
        stored = stored.view(np.uint32)  # Pillow hands unsigned 32-bit TIFF out as signed
    values = in_unit_range(stored, sample.bits, path, notes)
    if sample.white_is_zero:  # Pillow undoes this for 8 bits only
        values = 1 - values
    channels = [values.astype(np.float32)]
    if isinstance(sample.key, int):
        channels.append((stored != sample.key).astype(np.float32))
    return np.stack(channels, axis=2)


def plain(image: Image.Image, sample: Sample, notes: list[str]) -> Image.Image:
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


def cut_to_frame(image: Image.Image, frame: tuple[int, int, int, int]) -> Image.Image:
    """A picture in L, LA, RGB or RGBA that is transparent outside of frame (left, top, right, bottom)."""
    image = image.convert("LA" if image.mode in ("L", "LA") else "RGBA")
    cover = Image.new("L", image.size, 0)
    cover.paste(image.getchannel("A").crop(frame), frame)
    image.putalpha(cover)
    return image


def from_cmyk(image: Image.Image, icc: Any, notes: list[str]) -> Image.Image:
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
