"""What a PNG says of its colours, and text to pass over (PNG specification, third edition, section 11.3)."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ._refusals import refusal
from ._values import Values
from .png import SIGNATURE

LARGEST_PROFILE = 1 << 24  # bytes; Pillow ends at 2 ** 20, and profiles of printers reach 4 MB
TEXT = (b"tEXt", b"zTXt", b"iTXt")
SRGB_GAMMA = 0.45455  # what encoders write for sRGB in gAMA (section 11.3.2.2)
SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
SRGB_CODES = (1, 13, 0, 1)  # cICP: primaries, transfer, matrix, full range (ITU-T H.273)


def without_text(file: BinaryIO, path: Path, notes: list[str]) -> tuple[BinaryIO, bytes | None, float | None]:
    """A PNG without its texts and profile, which Pillow would refuse beyond 1 MiB; the profile; the gamma.

    The gamma is that of gAMA where nothing tells colours better and it is not sRGB's. Other files come back as they
    are. Raises PictureError for what Pillow reads wrong.
    """
    file.seek(0)
    if file.read(8) != SIGNATURE:
        file.seek(0)
        return file, None, None
    places = _places(file)
    kept = [
        span for name, *span in places if not (name == b"iCCP" or (name in TEXT and not _is_xmp(file, *span)))
    ]
    found: dict[bytes, bytes] = {}
    for name, at, size in reversed(places):  # the first of a name counts
        if name in (b"IHDR", b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"tRNS") and size < LARGEST_PROFILE:
            file.seek(at + 8)
            found[name] = file.read(size - 12)
    if found.get(b"IHDR", b"")[8:10] == b"\x10\x02" and b"tRNS" in found:
        what = "is a PNG of 16-bit colour in which one colour is called transparent, which is not read here"
        raise refusal(path, what, "save it again with an alpha channel")
    profile = _profile(found, notes)
    gamma = _gamma(found, notes) if profile is None else None
    if len(kept) == len(places):
        file.seek(0)
        return file, profile, gamma
    parts = [SIGNATURE]
    for at, size in kept:
        file.seek(at)
        parts.append(file.read(size))
    return io.BytesIO(b"".join(parts)), profile, gamma


def to_srgb(values: Values, gamma: float) -> Values:
    """Values (H, W, C) with light = value ** (1 / gamma), coded as sRGB (IEC 61966-2-1); even C end in alpha."""
    count = values.shape[2] - (values.shape[2] % 2 == 0)
    light = values[..., :count].astype(np.float64) ** (1 / gamma)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.concatenate([coded.astype(np.float32), values[..., count:]], axis=2)


def _places(file: BinaryIO) -> list[tuple[bytes, int, int]]:
    """(name, place, bytes with length, name and checksum) of each chunk, as far as the file goes."""
    end = file.seek(0, 2)
    at, places = len(SIGNATURE), []
    while at < end:
        file.seek(at)
        head = file.read(8).ljust(8, b"\0")
        size = min(12 + struct.unpack(">I", head[:4])[0], end - at)
        places.append((head[4:], at, size))
        at += size
    return places


def _is_xmp(file: BinaryIO, at: int, size: int) -> bool:
    """Whether this is text in which an orientation may stand: XMP, uncompressed, of a size that Pillow takes."""
    file.seek(at + 4)
    return size < 1 << 20 and file.read(24) == b"iTXtXML:com.adobe.xmp\0\0\0"


def _profile(found: dict[bytes, bytes], notes: list[str]) -> bytes | None:
    if b"iCCP" not in found:
        return None
    packed = found[b"iCCP"].partition(b"\0")[2][1:]
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(packed, LARGEST_PROFILE)
    except zlib.error:
        profile = b""
    if not unpacking.eof:
        notes.append(f"colour profile dropped: damaged, or of more than {LARGEST_PROFILE >> 20} MiB")
        return None
    return profile


def _gamma(found: dict[bytes, bytes], notes: list[str]) -> float | None:
    codes = found.get(b"cICP")
    if codes is not None and len(codes) == 4:
        if tuple(codes) != SRGB_CODES:
            notes.append(
                f"colour coding {'-'.join(map(str, codes))} (cICP) not applied: values are as stored"
            )
        return None
    if b"sRGB" in found:
        return None
    primaries = found.get(b"cHRM", b"")
    if len(primaries) == 32:
        numbers = struct.unpack(">8I", primaries)
        if max(abs(one - other) for one, other in zip(numbers, SRGB_PRIMARIES, strict=True)) > 1000:
            notes.append("colour primaries (cHRM) not applied: values are as stored")
    if len(found.get(b"gAMA", b"")) != 4:
        return None
    gamma = float(struct.unpack(">I", found[b"gAMA"])[0]) / 100_000
    if gamma == 0 or abs(gamma - SRGB_GAMMA) < 0.01:
        return None
    notes.append(f"gamma {gamma:.4g} (gAMA) converted to sRGB")
    return gamma
