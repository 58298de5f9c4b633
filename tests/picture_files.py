"""Picture files and values made on the fly, also of kinds that Pillow does not write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from sfumato.picture import Picture

Array = NDArray[Any]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = SRGB[:16] + b"GRAY" + SRGB[20:]  # only the header's colour space is looked at
Image.init()
AVIF = ["a.avif"] if "AVIF" in Image.SAVE else []  # Pillow has it from 11.3 on, if built with it
INKS = SRGB[:16] + b"CMYK" + SRGB[20:]


def noise(*shape: int, seed: int = 0, kind: str = "uint8") -> Array:
    info = np.iinfo(kind)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, dtype=kind, endpoint=True)


def smooth(height: int, width: int) -> Array:
    """A picture without edges, which lossy formats keep to a few levels."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], axis=2).astype(np.uint8)


def merged(mode: str, values: Array) -> Image.Image:
    return Image.merge(mode, [Image.fromarray(plane) for plane in np.moveaxis(values, 2, 0).copy()])


def png(values: Array, colour: int, bits: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of depths that Pillow does not write; `values` (H, bytes of a row) or uint16."""
    rows = values.astype(">u2") if values.dtype == np.uint16 else values
    height, width = values.shape[:2]
    if values.dtype == np.uint8 and bits < 8:
        width = width * 8 // bits
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
        for tag, body in parts
    )


def levels(image: Picture) -> Array:
    """Values as numbers from 0 to 255, exact where they came from 8 bits."""
    return np.rint(image.values * 255).astype(np.uint8)


def write(folder: Path, name: str, content: bytes | Image.Image, **options: Any) -> Path:
    """Writes a file of bytes, or of a Pillow image with options, and gives its path."""
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.save(path, **options)
    return path
