"""Pictures larger than memory: windows of them in, tiles of a TIFF out.

`opened` gives a `Tiles`, which reads any window as floats in [0, 1]. A tiled or striped TIFF is decoded segment by
segment with tifffile (extra `big`); every other type is decoded once by Pillow and kept in its own bytes, 1 or 3 a
pixel, a twelfth or so of what float32 with coordinates takes.
"""

from __future__ import annotations

import hashlib
import os
import struct
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import MissingExtra, PictureError

__all__ = ["Tiles", "digest", "opened", "write_tiled"]

Array = npt.NDArray[np.float32]

KEPT_BYTES = 64 << 20
"""Decoded segments of a TIFF that are kept: the next window often needs the last one's."""

SIDE = 256
"""Of the tiles that are written: a multiple of 16, as TIFF asks."""

MOST_DECODED = 1 << 30
"""Pixels of a file that is no TIFF: beyond it even its bytes are too many to hold."""


class Tiles:
    """A picture of which windows are read: height, width; channels, 1 or 3; unit, the side that reads well."""

    def __init__(self, height: int, width: int, channels: int, unit: int, name: str) -> None:
        self.height, self.width, self.channels, self.unit, self.name = height, width, channels, unit, name

    def read(self, top: int, left: int, height: int, width: int) -> Array:
        """The window (height, width, channels), values in [0, 1]."""
        raise NotImplementedError


class _Whole(Tiles):
    """Decoded once, kept as bytes."""

    def __init__(self, path: Path) -> None:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_DECODED
        try:
            with Image.open(path) as image:
                kept = image if image.mode in ("L", "RGB") else image.convert("RGB")
                self._values = np.asarray(kept).reshape(kept.height, kept.width, -1)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise PictureError(f"{path} cannot be read as a picture: {error}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit
        height, width, channels = self._values.shape
        super().__init__(height, width, channels, 64, path.stem)

    def read(self, top: int, left: int, height: int, width: int) -> Array:
        part = self._values[top : top + height, left : left + width]
        return part.astype(np.float32) / np.float32(255)


class _Tiff(Tiles):
    """The first page of a TIFF, segment by segment."""

    def __init__(self, path: Path) -> None:
        try:
            import tifffile
        except ImportError as error:
            raise MissingExtra('a large TIFF needs tifffile\nhint: pip install "sfumato[big]"') from error
        handle = path.open("rb")
        weakref.finalize(self, handle.close)
        try:
            self._file = tifffile.TiffFile(handle)
            page: Any = self._file.pages[0]
        except (OSError, ValueError, IndexError, struct.error) as error:  # tifffile's own is a ValueError
            raise PictureError(f"{path} cannot be read as a TIFF: {error}") from error
        self._page, self._path = page, path
        colours = {0: (1,), 1: (1,), 2: (3, 4)}.get(int(page.photometric), ())
        if (
            page.dtype not in (np.uint8, np.uint16)
            or page.samplesperpixel not in colours
            or page.planarconfig != 1
        ):
            raise PictureError(
                f"{path}: a large TIFF must hold 8 or 16 bits of grey or RGB, all samples of a pixel side by side\n"
                "hint: save it again so, tiled"
            )
        self._most = np.float32(np.iinfo(page.dtype).max)
        self._inverted = int(page.photometric) == 0
        if page.is_tiled:
            self._down, self._across = page.tilelength, page.tilewidth
        else:
            self._down, self._across = page.rowsperstrip, page.imagewidth
        self._columns = -(-page.imagewidth // self._across)
        self._kept: OrderedDict[int, npt.NDArray[Any]] = OrderedDict()
        unit = self._down if page.is_tiled else 64
        super().__init__(
            page.imagelength, page.imagewidth, 1 if page.samplesperpixel == 1 else 3, unit, path.stem
        )

    def read(self, top: int, left: int, height: int, width: int) -> Array:
        out = np.empty((height, width, self.channels), np.float32)
        for row in range(top // self._down, (top + height - 1) // self._down + 1):
            for column in range(left // self._across, (left + width - 1) // self._across + 1):
                segment = self._segment(row * self._columns + column)
                y, x = row * self._down, column * self._across
                y0, y1 = max(top, y), min(top + height, y + len(segment))
                x0, x1 = max(left, x), min(left + width, x + segment.shape[1])
                part = (
                    segment[y0 - y : y1 - y, x0 - x : x1 - x, : self.channels].astype(np.float32) / self._most
                )
                out[y0 - top : y1 - top, x0 - left : x1 - left] = 1 - part if self._inverted else part
        return out

    def _segment(self, index: int) -> npt.NDArray[Any]:
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        page = self._page
        handle = self._file.filehandle
        handle.seek(page.dataoffsets[index])
        data = handle.read(page.databytecounts[index])
        try:
            decoded, _, _ = page.decode(data, index, jpegtables=page.jpegtables)
        except Exception as error:  # codecs raise whatever they like
            raise PictureError(f"{self._path}: segment {index} is damaged: {error}") from error
        if decoded is None:
            raise PictureError(f"{self._path}: segment {index} is empty")
        values: npt.NDArray[Any] = decoded[0]
        self._kept[index] = values
        while sum(kept.nbytes for kept in self._kept.values()) > KEPT_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return values


def opened(path: str | os.PathLike[str]) -> Tiles:
    """A picture file, ready for windows. Raises PictureError, or MissingExtra for a TIFF without tifffile."""
    found = Path(path)
    if not found.is_file():
        raise PictureError(f"there is no picture {str(path)!r}")
    return _Tiff(found) if found.suffix.lower() in (".tif", ".tiff") else _Whole(found)


def digest(path: str | os.PathLike[str]) -> str:
    """Of a file's content, read in pieces: 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_tiled(
    path: Path, bands: Iterator[npt.NDArray[np.uint8]], height: int, width: int, channels: int
) -> None:
    """A TIFF of tiles of SIDE pixels, compressed by Deflate, from bands (rows, width, channels) top to bottom.

    Memory: SIDE rows. BigTIFF where the picture needs it. Raises MissingExtra without tifffile.
    """
    try:
        import tifffile
    except ImportError as error:
        raise MissingExtra('a tiled TIFF needs tifffile\nhint: pip install "sfumato[big]"') from error
    tifffile.imwrite(
        path,
        _tiles(bands, height, width, channels),
        shape=(height, width) if channels == 1 else (height, width, channels),
        dtype=np.uint8,
        tile=(SIDE, SIDE),
        photometric="minisblack" if channels == 1 else "rgb",
        compression="zlib",
        bigtiff=height * width * channels > 1 << 31,
        metadata=None,
    )


def _tiles(
    bands: Iterator[npt.NDArray[np.uint8]], height: int, width: int, channels: int
) -> Iterator[npt.NDArray[np.uint8]]:
    across = -(-width // SIDE)
    kept = np.zeros((SIDE, across * SIDE, channels), np.uint8)
    filled = done = 0
    for band in bands:
        while len(band):
            take = min(len(band), SIDE - filled)
            kept[filled : filled + take, :width] = band[:take]
            band, filled, done = band[take:], filled + take, done + take
            if filled == SIDE or done == height:
                kept[filled:] = 0
                for column in range(across):
                    tile = kept[:, column * SIDE : (column + 1) * SIDE]
                    yield np.ascontiguousarray(tile[..., 0] if channels == 1 else tile)
                filled = 0
