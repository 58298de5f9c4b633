"""PNG files written piece by piece (PNG specification, third edition), for pictures larger than memory."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

__all__ = ["Levels", "Scanlines", "chunk", "palette_header"]

Levels = npt.NDArray[np.uint8]
"""(rows, W, C), values 0 ... 255; C = 1 (grey), 3 (RGB) or 4 (RGBA)."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"

CHUNK = 1 << 16
"""Compressed bytes to a chunk."""

LEVEL = 3
"""zlib's: as `picture.save` has it."""


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk: length, type, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def palette_header(height: int, width: int, palette: npt.NDArray[np.uint8], *, text: str = "") -> bytes:
    """All of a palette PNG that comes before its pixels (section 11). palette: RGB of each index, uint8 (256, 3).
    text: kept as its comment."""
    parts = [
        SIGNATURE,
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        chunk(b"PLTE", palette.tobytes()),
    ]
    if text:
        parts.append(chunk(b"tEXt", b"Comment\0" + text.encode("latin-1", "replace")))
    return b"".join(parts)


class Scanlines:
    """Takes bands of rows from the top, and compresses them as they come (PNG specification, third edition).

    Each row gets the filter whose differences are smallest in sum, the specification's own advice (section 12.7).
    """

    def __init__(
        self, file: BinaryIO, height: int, width: int, channels: int, icc: bytes | None = None
    ) -> None:
        self._file = file
        self._above = np.zeros((1, width, channels), np.uint8)
        self._packed, self._waiting = zlib.compressobj(LEVEL), bytearray()
        colour = {1: 0, 3: 2, 4: 6}[channels]
        header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
        file.write(SIGNATURE + chunk(b"IHDR", header))
        if icc:
            file.write(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))

    def add(self, band: Levels) -> None:
        """The next rows."""
        self._put(self._packed.compress(self._filtered(band).tobytes()))
        self._above = band[-1:].copy()

    def close(self) -> None:
        """After the last row."""
        self._put(self._packed.flush(), all_of_it=True)
        self._file.write(chunk(b"IEND", b""))

    def _put(self, data: bytes, all_of_it: bool = False) -> None:
        self._waiting += data
        if self._waiting and (all_of_it or len(self._waiting) >= CHUNK):
            self._file.write(chunk(b"IDAT", bytes(self._waiting)))
            self._waiting.clear()

    def _filtered(self, band: Levels) -> Levels:
        """(rows, 1 + W C): for each row the filter's number and the row's differences modulo 256."""
        rows = len(band)
        left, corner = np.zeros_like(band), np.zeros_like(band)
        up = np.concatenate([self._above, band[:-1]])
        left[:, 1:], corner[:, 1:] = band[:, :-1], up[:, :-1]
        a, b, c = (part.astype(np.int16) for part in (left, up, corner))
        to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
        paeth = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c))
        guesses = (np.zeros_like(band), left, up, ((a + b) // 2).astype(np.uint8), paeth.astype(np.uint8))
        result = np.empty((rows, 1 + band.shape[1] * band.shape[2]), np.uint8)
        least = np.full(rows, np.iinfo(np.int64).max)
        for number, guess in enumerate(guesses):
            difference = (band - guess).reshape(rows, -1)  # wraps, as it must
            size = np.minimum(difference, -difference).sum(1, dtype=np.int64)  # |d| of signed bytes
            better = size < least
            result[better, 0], least[better] = number, size[better]
            result[better, 1:] = difference[better]
        return result
