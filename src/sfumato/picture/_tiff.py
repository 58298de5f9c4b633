"""TIFF: what a file says of its samples, who reads them right, and what is refused by name.

Pillow is trusted where tests/test_picture_tiff.py found it right. Its own way with uncompressed data misplaces the
planes of most planar files, so all goes through libtiff (`pillow_reads_by_libtiff`); what is still wrong there,
and what it does not know, is read with tifffile, an extra. TIFF 6.0 (Adobe 1992) says what the tags mean.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from ..errors import MissingExtra
from ._refusals import LARGEST, refusal, too_large
from ._samples import in_unit_range
from ._values import Values

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
KINDS = {1: "u", 2: "i", 3: "f", 5: "c", 6: "c"}
BITS = {"u": (*range(1, 17), 32, 64), "f": (16, 32, 64)}  # not 24, whose bytes would come in one order only
COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}  # PhotometricInterpretation -> samples that make a colour
NOT_COLOURS = {
    4: "a transparency mask",
    8: "CIE Lab colours",
    9: "ICC Lab colours",
    10: "ITU Lab colours",
    32803: "raw camera values",
    32844: "logarithmic luminance",
    32845: "logarithmic LUV colours",
    34892: "raw camera values",
}
NONE, CCITT, JPEG = 1, (2, 3, 4), 7
METHODS = {
    1: "uncompressed",
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    5: "LZW",
    7: "JPEG",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
    34925: "LZMA",
    50000: "Zstandard",
}
NOT_METHODS = {
    6: "old-style JPEG",
    32809: "ThunderScan",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    33007: "JPEG",
    34661: "JBIG",
    34676: "SGI log",
    34677: "SGI log",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    34927: "WebP",
    34933: "PNG",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
HINT = "save it again as PNG, or as TIFF with 8 or 16 bits of grey or RGB"

# tifffile logs what it finds odd, which Python prints to stderr where nobody has set logging up.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Layout:
    """How the first page of a TIFF stores its samples."""

    order: str  # "<" or ">"
    big: bool  # BigTIFF
    width: int
    height: int
    samples: int
    bits: int
    kind: str  # u (unsigned), i (signed), f (float), c (complex), or ? where the file does not say
    photometric: int
    compression: int
    planar: bool
    extra: tuple[int, ...]  # ExtraSamples: 0 unspecified, 1 associated alpha, 2 unassociated alpha
    orientation: int
    icc: Any
    pages: bool  # more than one

    @property
    def alpha(self) -> int | None:
        """Which sample is alpha."""
        known = [at for at, meaning in enumerate(self.extra) if meaning]
        return COLOURS[self.photometric] + known[0] if known else None

    @property
    def ignored(self) -> str:
        """A note on what is left out, or nothing."""
        count = len(self.extra) - (self.alpha is not None)
        return f"{count} extra sample{'s' * (count > 1)} of unspecified meaning ignored" if count else ""

    @property
    def big_floats(self) -> bool:
        """Floats whose bytes Pillow swaps twice if libtiff hands them out."""
        return self.kind == "f" and self.order == ">"

    @property
    def pillow_is_right(self) -> bool:
        """Whether Pillow gives the right values where it knows the layout at all."""
        if self.planar and self.alpha is not None and self.samples != 4:
            return False  # it paints grey + alpha white, and fails on more samples
        if self.big and self.order == ">":
            return False  # it takes these for files with short offsets
        return not self.big_floats or (self.compression == NONE and not self.planar)

    def __str__(self) -> str:
        kind = {"u": "", "i": "signed ", "f": "float ", "c": "complex "}.get(self.kind, "untyped ")
        colours = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr"}
        parts = [f"{self.bits}-bit {kind}{colours[self.photometric]}"]
        parts[0] += " with alpha" * (self.alpha is not None)
        parts += ["in planes"] * (self.planar and self.samples > 1)
        return ", ".join([*parts, METHODS[self.compression]])


@contextmanager
def pillow_reads_by_libtiff(layout: Layout | None) -> Iterator[None]:
    """Inside, Pillow opens uncompressed TIFFs for libtiff too; it is global, so `quiet_pillow` stands around."""
    before = TiffImagePlugin.READ_LIBTIFF
    TiffImagePlugin.READ_LIBTIFF = layout is not None and not layout.big_floats
    try:
        yield
    finally:
        TiffImagePlugin.READ_LIBTIFF = before


def layout_of(file: BinaryIO, path: Path) -> Layout | None:
    """The layout of a TIFF's first page, None for other files.

    Raises PictureError with the name of what is not supported; whatever Pillow's parser raises on damaged bytes.
    """
    file.seek(0)
    start = file.read(8)
    if start[:4] not in MAGIC:
        file.seek(0)
        return None
    big = b"+" in start[2:4]
    header = (b"II+\0" if big else start[:4]) + start[4:] + (file.read(8) if big else b"")
    tags: Any = TiffImagePlugin.ImageFileDirectory_v2(header, start[:2])  # where Pillow looks for its version
    file.seek(tags.next)
    tags.load(file)
    file.seek(0)
    for tag, name in ((256, "width"), (257, "height"), (262, "kind of colours")):
        if not isinstance(tags.get(tag), int):
            raise refusal(path, f"is truncated or damaged: its header names no {name}", "export it again")
    photometric, compression = tags[262], tags.get(259, 1)
    samples = tags.get(277, 3 if photometric in (2, 6) and compression == JPEG else 1)
    bits, formats = tags.get(258, (1,)), tags.get(339, (1,))
    count, extra = COLOURS.get(photometric, 0), tuple(tags.get(338, ()))
    if photometric not in COLOURS:
        name = NOT_COLOURS.get(photometric, f"colours of kind {photometric}")
        raise refusal(path, f"is a TIFF of {name}, which are not read here", "convert it to RGB first")
    if compression not in METHODS:
        name = NOT_METHODS.get(compression, f"method {compression}")
        hint = "save it again as PNG, or with LZW or Deflate"
        raise refusal(path, f"is a TIFF compressed by {name}, which is not read here", hint)
    if len(set(bits)) > 1 or len(set(formats)) > 1:
        what = f"is a TIFF whose samples differ in type ({', '.join(map(str, bits))} bits)"
        raise refusal(path, f"{what}, which is not read here", HINT)
    layout = Layout(
        *("<" if start[:2] == b"II" else ">", big, tags[256], tags[257], samples, bits[0]),
        *(KINDS.get(formats[0], "?"), photometric, compression, tags.get(284, 1) == 2, extra),
        *(tags.get(274, 1), tags.get(34675), tags.next != 0),
    )
    more = samples - count
    if more < 0:
        raise refusal(
            path, f"is damaged: {layout} has {samples} samples a pixel, not {count}", "export it again"
        )
    if more != len(extra) or (count == 1 and more > 1):
        what = f"has {samples} samples a pixel and does not say what the {'last' if count > 1 else 'second'} means"
        raise refusal(path, what, "save it again with alpha, or without, or as PNG")
    _check(layout, tags, path)
    return layout


def _check(layout: Layout, tags: Any, path: Path) -> None:
    """Refuses by name what neither reader is trusted with."""
    problem, hint = "", HINT
    if layout.kind == "i":
        problem, hint = "for which no white is agreed", "make them unsigned, or floats from 0 to 1"
    elif layout.bits not in BITS.get(layout.kind, ()):
        problem = "which is no type that is read here"
    elif layout.compression == JPEG and (layout.bits != 8 or layout.kind != "u"):
        problem = "of which only 8 bits are read here"
    elif layout.compression in CCITT and (layout.bits != 1 or layout.samples != 1):
        problem = "of which only one bit is read here"
    elif layout.photometric == 6 and layout.compression != JPEG:
        problem = "of which only JPEG is read here"
    elif layout.photometric == 5 and (layout.alpha is not None or tags.get(332, 1) != 1):
        problem = "of which only plain CMYK is read here"
    elif layout.photometric in (3, 5, 6) and (layout.kind != "u" or layout.bits not in (1, 2, 4, 8, 16)):
        problem = "which is no type that is read here"
    elif layout.photometric == 3 and max(tags.get(320, (0,))) < 256:  # Pillow takes the upper of two bytes
        problem = "with a colour map of 8 bits instead of 16"
    elif any(meaning not in (0, 1, 2, 999) for meaning in layout.extra):  # 999: Corel Draw's alpha
        problem = f"with extra samples of unknown meaning {max(layout.extra)}"
    if problem:
        raise refusal(path, f"is a TIFF of {layout}, {problem}", hint)


def read(file: BinaryIO, path: Path, layout: Layout, notes: list[str]) -> Values:
    """Values (H, W, 1 to 4), not yet turned, by tifffile. Raises MissingExtra without it or its codecs."""
    if layout.photometric not in (0, 1, 2):
        raise refusal(path, f"is a TIFF of {layout}, which is not read here", HINT)
    stored = _stored(file, path, layout)
    count = COLOURS[layout.photometric]
    if layout.ignored:
        notes.append(layout.ignored)
    colours: NDArray[Any] = stored[..., :count]
    values = in_unit_range(colours, layout.bits, path, notes, what="grey" if count == 1 else "colour")
    if layout.photometric == 0:
        values = 1 - values
    if layout.alpha is None:
        return values.astype(np.float32)
    cover = stored[..., [layout.alpha]].astype(np.float64) / (2**layout.bits - 1 if layout.kind == "u" else 1)
    if not (cover.min() >= 0 and cover.max() <= 1):
        raise refusal(path, "has an alpha channel that leaves 0 to 1", HINT)
    if layout.extra[layout.alpha - count] == 1:  # colours multiplied by alpha
        if layout.photometric == 0 or (notes and notes[-1].endswith("mapped to 0 to 1")):
            raise refusal(path, f"is a TIFF of {layout}, multiplied by it, which is not read here", HINT)
        values = np.minimum(np.divide(values, cover, out=np.zeros_like(values), where=cover > 0), 1)
    return np.concatenate([values, cover], axis=2).astype(np.float32)


def _stored(file: BinaryIO, path: Path, layout: Layout) -> NDArray[Any]:
    """The samples (H, W, S) as numbers of the file's own type."""
    size = layout.height * layout.width * layout.samples * max(1, layout.bits // 8)
    if size > 4 * LARGEST:
        raise too_large(path, f"{layout.width}x{layout.height} of {layout.samples} samples, {size:,} bytes")
    try:
        import tifffile
    except ImportError as error:
        what = f"picture {path.name!r} is a TIFF of {layout}, which only tifffile reads"
        raise MissingExtra(f'{what}\nhint: pip install "sfumato[big]", or {HINT}') from error
    end = file.seek(0, 2)
    file.seek(0)
    with tifffile.TiffFile(file, name=path.name) as opened:
        page: Any = opened.pages[0]
        segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        # What is missing would be read as zeros.
        if len(segments) < math.prod(page.chunked) or any(not 0 < at < at + n <= end for at, n in segments):
            raise refusal(
                path, "is truncated or damaged: parts of it lie outside of the file", "export it again"
            )
        try:
            stored = np.asarray(page.asarray(maxworkers=1))
        except Exception as error:
            if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
                raise
            what = f"picture {path.name!r} is a TIFF of {layout}, which tifffile reads with imagecodecs only"
            raise MissingExtra(f"{what}\nhint: pip install imagecodecs, or {HINT}") from error
    if layout.planar and layout.samples > 1:
        stored = np.moveaxis(stored, 0, -1)
    shape = (layout.height, layout.width, layout.samples)
    if stored.size != math.prod(shape) or stored.dtype.kind not in ("b" if layout.bits == 1 else layout.kind):
        raise refusal(path, f"is a TIFF of {layout} in an order that is not read here", HINT)
    return stored.reshape(shape)
