"""TIFF files of any layout, written by hand after TIFF 6.0 (Adobe 1992), and the values that each must give."""

from __future__ import annotations

import lzma
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CODES = {"none": 1, "lzw": 5, "deflate": 8, "lzma": 34925, "packbits": 32773, "zstd": 50000}
GREY, RGB, PALETTE, CMYK = 1, 2, 3, 5
WHITE_IS_ZERO = 0
UPRIGHT = {  # Orientation -> what sets stored values (H, W, C) upright, from the table of TIFF 6.0, page 36
    1: lambda v: v,
    2: lambda v: v[:, ::-1],
    3: lambda v: v[::-1, ::-1],
    4: lambda v: v[::-1],
    5: lambda v: v.swapaxes(0, 1),
    6: lambda v: v.swapaxes(0, 1)[:, ::-1],
    7: lambda v: v.swapaxes(0, 1)[::-1, ::-1],
    8: lambda v: v.swapaxes(0, 1)[::-1],
}


@dataclass(frozen=True)
class Layout:
    """How a TIFF stores its samples; `kind` is u (unsigned), i (signed) or f (float)."""

    samples: int = 1
    bits: int = 8
    kind: str = "u"
    order: str = "<"
    planar: bool = False
    photometric: int = GREY
    extra: tuple[int, ...] = ()
    compression: str = "none"
    predictor: int = 1
    tiled: bool = False
    rows: int = 3
    fill_order: int = 1
    orientation: int = 1
    big: bool = False

    def __str__(self) -> str:
        default = Layout()
        shown = [f"{n}={v}" for n, v in self.__dict__.items() if n == "bits" or v != getattr(default, n)]
        return " ".join(shown)


def contents(layout: Layout, height: int, width: int, seed: int = 0) -> Array:
    """Samples (H, W, S) with the smallest and the greatest value among them; floats lie in [0, 1]."""
    random = np.random.default_rng(seed)
    shape = (height, width, layout.samples)
    if layout.kind == "f":
        values = random.random(shape).astype(f"f{layout.bits // 8}")
        values[0, 0], values[-1, -1] = 0, 1
        return _multiplied(layout, values)
    low = -(2 ** (layout.bits - 1)) if layout.kind == "i" else 0
    high = 2 ** (layout.bits - (layout.kind == "i")) - 1
    values = random.integers(low, high, shape, dtype=f"{layout.kind}8", endpoint=True)
    values[0, 0], values[-1, -1] = low, high
    return _multiplied(layout, values)


def _multiplied(layout: Layout, values: Array) -> Array:
    """With associated alpha no colour is greater than alpha; here alpha is never small, so it can be undone."""
    if 1 in (layout.extra):
        alpha = values[..., layout.samples - len(layout.extra) :]
        alpha[...] = values.max() // 4 * 3 if layout.kind != "f" else 0.75
        colours = values[..., : -len(layout.extra)]
        np.minimum(colours, alpha[..., :1], out=colours)
    return values


def ramp_palette(bits: int) -> Array:
    """Colours (2 ** bits, 3) of 16 bits each, all of them multiples of 257."""
    return np.random.default_rng(7).integers(0, 255, (2**bits, 3), endpoint=True) * 257


def plain(values: Array, photometric: int = GREY) -> bytes:
    """The file of an array (H, W) of grey or (H, W, 3) of RGB, uncompressed and little-endian."""
    stored = values.reshape(*values.shape[:2], -1)
    samples, kind = stored.shape[2], values.dtype.kind
    return tiff(
        Layout(samples, 8 * values.itemsize, kind, photometric=RGB if samples == 3 else photometric), stored
    )


def truth(layout: Layout, stored: Array) -> Array:
    """Float64 (H, W, 1, 3 or 4) in [0, 1], upright: colours before alpha, inks as (1 - ink)(1 - black)."""
    full = 1 if layout.kind == "f" else 2**layout.bits - 1
    scaled = stored.astype(np.float64) / full
    count = {RGB: 3, CMYK: 4}.get(layout.photometric, 1)
    colours, more = scaled[..., :count], scaled[..., count:]
    if layout.photometric == WHITE_IS_ZERO:
        colours = 1 - colours
    elif layout.photometric == PALETTE:
        colours = ramp_palette(layout.bits)[stored[..., 0]] / 65535
    elif layout.photometric == CMYK:
        colours = (1 - colours[..., :3]) * (1 - colours[..., 3:4])
    known = [at for at, meaning in enumerate(layout.extra) if meaning in (1, 2)]
    if known:
        alpha = more[..., known[0]][..., None]
        if layout.extra[known[0]] == 1:
            colours = np.divide(colours, alpha, out=np.zeros_like(colours), where=alpha > 0)
        colours = np.concatenate([np.broadcast_to(colours, (*colours.shape[:2], 3)), alpha], axis=2)
    return UPRIGHT[layout.orientation](colours)


def tiff(
    layout: Layout, stored: Array, *, extra_tags: tuple[tuple[int, int, tuple[int, ...]], ...] = ()
) -> bytes:
    """The file of one page; extra_tags: (tag, type, numbers)."""
    height, width, samples = stored.shape
    planes = [stored[..., [at]] for at in range(samples)] if layout.planar else [stored]
    segments = [_compressed(layout, part) for plane in planes for part in _parts(layout, plane)]
    formats = {"u": 1, "i": 2, "f": 3}[layout.kind]
    tags: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (layout.bits,) * samples),
        259: (3, (CODES[layout.compression],)),
        262: (3, (layout.photometric,)),
        266: (3, (layout.fill_order,)),
        274: (3, (layout.orientation,)),
        277: (3, (samples,)),
        284: (3, (2 if layout.planar else 1,)),
        317: (3, (layout.predictor,)),
        339: (3, (formats,) * samples),
    }
    if layout.extra:
        tags[338] = (3, layout.extra)
    if layout.photometric == PALETTE:
        tags[320] = (3, tuple(ramp_palette(layout.bits).T.ravel().tolist()))
    if layout.tiled:
        tags |= {322: (3, (16,)), 323: (3, (16,)), 324: (4, (0,) * len(segments))}
        tags[325] = (4, tuple(map(len, segments)))
    else:
        tags |= {273: (4, (0,) * len(segments)), 278: (3, (layout.rows,))}
        tags[279] = (4, tuple(map(len, segments)))
    tags |= {tag: (kind, numbers) for tag, kind, numbers in extra_tags}
    return _assembled(layout, tags, segments)


def _assembled(layout: Layout, tags: dict[int, tuple[int, tuple[int, ...]]], segments: list[bytes]) -> bytes:
    o, letters = layout.order, {3: "H", 4: "I", 16: "Q"}
    head = (b"II" if o == "<" else b"MM") + (
        struct.pack(o + "HHHQ", 43, 8, 0, 16) if layout.big else struct.pack(o + "HI", 42, 8)
    )
    entry, inline, count, offset = (20, 8, "Q", "Q") if layout.big else (12, 4, "I", "I")
    after = len(head) + (8 if layout.big else 2) + entry * len(tags) + (8 if layout.big else 4)
    sizes = {tag: len(numbers) * struct.calcsize(letters[kind]) for tag, (kind, numbers) in tags.items()}
    data_at = after + sum(size + size % 2 for size in sizes.values() if size > inline)
    places, at = [], data_at
    for segment in segments:
        places.append(at)
        at += len(segment) + len(segment) % 2
    tags[324 if layout.tiled else 273] = (4, tuple(places))
    directory = struct.pack(o + ("Q" if layout.big else "H"), len(tags))
    values = b""
    for tag, (kind, numbers) in sorted(tags.items()):
        packed = struct.pack(o + letters[kind] * len(numbers), *numbers)
        if len(packed) <= inline:
            field = packed.ljust(inline, b"\0")
        else:
            field = struct.pack(o + offset, after + len(values))
            values += packed + bytes(len(packed) % 2)
        directory += struct.pack(o + "HH" + count, tag, kind, len(numbers)) + field
    directory += bytes(8 if layout.big else 4)
    return head + directory + values + b"".join(part + bytes(len(part) % 2) for part in segments)


def _parts(layout: Layout, plane: Array) -> list[Array]:
    height, width = plane.shape[:2]
    if not layout.tiled:
        return [plane[top : top + layout.rows] for top in range(0, height, layout.rows)]
    padded = np.pad(plane, ((0, -height % 16), (0, -width % 16), (0, 0)), "edge")
    return [
        padded[top : top + 16, left : left + 16]
        for top in range(0, height, 16)
        for left in range(0, width, 16)
    ]


def _compressed(layout: Layout, part: Array) -> bytes:
    packed = _packed(layout.compression, b"".join(_row(layout, row) for row in part), len(part))
    if layout.fill_order == 2:  # of what is stored, that is after compression, as libtiff has it
        bits = np.unpackbits(np.frombuffer(packed, np.uint8)).reshape(-1, 8)
        return np.packbits(bits[:, ::-1]).tobytes()
    return packed


def _packed(compression: str, data: bytes, rows: int) -> bytes:
    if compression == "deflate":
        return zlib.compress(data, 1)
    if compression == "lzma":
        return lzma.compress(data, preset=0)
    if compression == "packbits":  # literal runs, which may not cross a row
        step = len(data) // rows
        lines = [data[at : at + step] for at in range(0, len(data), step)]
        runs = [line[at : at + 128] for line in lines for at in range(0, len(line), 128)]
        return b"".join(bytes([len(run) - 1]) + run for run in runs)
    if compression == "lzw":  # a clear code every 200 bytes keeps all codes at nine bits
        codes = np.array([c for at in range(0, len(data), 200) for c in (256, *data[at : at + 200])] + [257])
        return np.packbits(codes[:, None] >> np.arange(8, -1, -1) & 1).tobytes()
    if compression == "zstd":  # RFC 8878: a frame of one raw block
        head = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data))
        return head + (len(data) << 3 | 1).to_bytes(3, "little") + data
    return data


def _row(layout: Layout, row: Array) -> bytes:
    """One row (W, S) as bytes."""
    if layout.bits < 8 or layout.bits not in (8, 16, 32, 64):
        flat = row.reshape(-1).astype(np.uint64)
        shifts = np.arange(layout.bits - 1, -1, -1, dtype=np.uint64)
        return np.packbits((flat[:, None] >> shifts & np.uint64(1)).astype(np.uint8).ravel()).tobytes()
    kind = f"{layout.kind}{layout.bits // 8}"
    row = row.astype(kind)
    if (
        layout.predictor == 2
    ):  # TIFF 6.0, section 14: differences within each sample's own channel, modulo its size
        whole = row.view(f"u{layout.bits // 8}")
        row = np.concatenate([whole[:1], whole[1:] - whole[:-1]])
        kind = row.dtype.str[1:]
    if (
        layout.predictor == 3
    ):  # Adobe Photoshop TIFF Technical Note 3: bytes by significance, then differences
        width, samples = row.shape
        planes = row.astype(">" + kind).view(np.uint8).reshape(width * samples, -1).T.reshape(-1)
        before = np.concatenate([np.zeros(samples, np.uint8), planes[:-samples]])
        return (planes - before).tobytes()
    return row.astype(layout.order + kind).tobytes()


SHAPES: list[tuple[int, int, tuple[int, ...]]] = [  # PhotometricInterpretation, samples, ExtraSamples
    *[
        (GREY, 1, ()),
        (WHITE_IS_ZERO, 1, ()),
        (GREY, 2, (0,)),
        (GREY, 2, (1,)),
        (GREY, 2, (2,)),
        (GREY, 2, ()),
    ],
    *[(WHITE_IS_ZERO, 2, (2,)), (WHITE_IS_ZERO, 2, (1,)), (RGB, 3, ()), (RGB, 4, (0,)), (RGB, 4, (1,))],
    *[(RGB, 4, (2,)), (RGB, 4, ()), (RGB, 5, (0, 0)), (RGB, 5, (2, 0)), (RGB, 5, (0, 2)), (RGB, 5, (1, 0))],
    *[
        (RGB, 2, ()),
        (GREY, 3, (0, 0)),
        (GREY, 3, ()),
        (GREY, 4, (0, 0, 2)),
        (PALETTE, 1, ()),
        (PALETTE, 2, (2,)),
    ],
    *[(PALETTE, 2, (0,)), (CMYK, 4, ()), (CMYK, 5, (2,)), (CMYK, 5, (0,))],
]
NUMBERS = [("u", bits) for bits in (1, 2, 3, 4, 8, 10, 12, 16, 24, 32, 64)]
NUMBERS += [("i", bits) for bits in (8, 16, 32, 64)] + [("f", bits) for bits in (16, 32, 64)]


def layouts(photometric: int, samples: int, extra: tuple[int, ...], stride: int = 1) -> list[Layout]:
    """Every way to store such pixels; with a stride, every so manieth, so that no two neighbours miss the same."""
    found = []
    for kind, bits in NUMBERS:
        if photometric == PALETTE and (kind != "u" or bits > 16):
            continue
        for order in "<>":
            for planar in (False, True):
                base = Layout(samples, bits, kind, order, planar, photometric, extra)
                every = [
                    base,
                    replace(base, tiled=True),
                    replace(base, fill_order=2),
                    replace(base, big=True),
                ]
                every += [replace(base, orientation=turn) for turn in range(2, 9)]
                for method in CODES:
                    packed = replace(base, compression=method)
                    every += [packed, replace(packed, tiled=True), replace(packed, fill_order=2)]
                    if method in ("lzw", "deflate", "zstd") and bits in (8, 16, 32, 64):
                        every.append(replace(packed, predictor=3 if kind == "f" else 2))
                found += every
    return found[::stride]
