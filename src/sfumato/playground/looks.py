"""What a page is shown of a net: paintings and walls of neurons as small JPEGs, single neurons at full size.

Neurons travel as grey JPEGs whose grey value is a palette index, so that the page puts the colours on and a
picture is a third of the bytes; tiles have sides of multiples of 8, which keeps JPEG's blocks inside one
tile.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from .. import painting
from ..data import Array
from ..drawing import palettes
from ..machine import available_threads
from ..nets import Net
from ..neurons import full_size as plates
from ..neurons import previews
from ..neurons.statistics import ablate
from ..picture import metrics, pixels

__all__ = ["Look", "encoded", "full_size", "painted", "tile_size", "walls", "without"]

WALL_VALUES = 450_000
"""Values of one wall while training goes on: 1,200 neurons at 16 x 24, about 13 ms of one core for a 4x300 net."""

STILL_VALUES = 1_500_000
"""Values of a wall that nobody has to wait for: of a run at rest, or from its files."""

Header = dict[str, Any]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """A picture for the page: what it shows, and its bytes."""

    header: Mapping[str, Any]
    picture: bytes


def encoded(values: Array | Indices, kind: str = "JPEG", quality: int = 90) -> bytes:
    """Float (H, W, C) in [0, 1], or bytes (H, W), as a file: JPEG without chroma subsampling, or PNG."""
    levels = values if values.dtype == np.uint8 else np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if levels.ndim == 3 and levels.shape[2] == 1:
        levels = levels[..., 0]
    image = Image.fromarray(levels)
    buffer = io.BytesIO()
    if kind == "JPEG":
        image = image.convert("RGB") if image.mode == "RGBA" else image
        image.save(buffer, "JPEG", quality=quality, **({} if image.mode == "L" else {"subsampling": 0}))
    else:
        image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


# Paintings -----------------------------------------------------------------------------------------------------


def painted(net: Net, target: Array, where: str, stride: int = 1, hidden: Mask | None = None) -> Look:
    """Every `stride`-th pixel of the painting in both directions, and its PSNR on just these pixels.

    target: float32 (H, W, C). hidden: (H, W), True for held-out pixels, whose PSNR is told apart. stride 1
    gives PNG.
    """
    height, width = target.shape[:2]
    xy = pixels.coordinates(height, width, where=where).reshape(height, width, 2)
    first = stride // 2
    part = np.ascontiguousarray(xy[first::stride, first::stride])
    wanted = target[first::stride, first::stride]
    # All threads: while the net is looked at training waits, and the other cores with it.
    values = painting.raster(net, part, available_threads())
    values = np.clip(values, 0, 1)
    header: Header = {"width": part.shape[1], "height": part.shape[0], "stride": stride}
    header["psnr"] = _finite(metrics.psnr(wanted, values))
    if hidden is not None and (away := hidden[first::stride, first::stride]).any() and not away.all():
        header["psnr_seen"] = _finite(metrics.psnr(wanted[~away], values[~away]))
        header["psnr_hidden"] = _finite(metrics.psnr(wanted[away], values[away]))
    return Look(header, encoded(values, "PNG" if stride == 1 else "JPEG"))


# Neurons -------------------------------------------------------------------------------------------------------


def tile_size(units: int, height: int, width: int, values: int = STILL_VALUES) -> tuple[int, int]:
    """(h, w) of a tile where `units` neurons are shown: multiples of 8, at least 16, never above the picture's
    size rounded up."""
    area = min(values / max(units, 1), 96 * 96)
    share = math.sqrt(area / (height * width))
    return _eighths(height * share, height), _eighths(width * share, width)


def _eighths(side: float, most: int) -> int:
    return max(16, min(round(side / 8), math.ceil(most / 8)) * 8)


def walls(
    net: Net, layers: Sequence[int], height: int, width: int, where: str, tile: tuple[int, int]
) -> Look:
    """All neurons of some hidden layers (from 1, at least one) as tiles of one grey JPEG: a picture a layer costs a
    browser more than what is on them.

    Header: `layers`; of each the layer, units, columns, tile size, `at` (column and row of the picture where its
    tiles begin), and lists with one number a unit: `range` (value at the ends of the colour scale), `mean` and
    `active` of the activation, `contrast` (spread of the values shown); `dead`: unit numbers.
    """
    views = previews.preview(net, height, width, where=where, tile=tile, samples=1, layers=layers)
    scales = [previews.scale(view) for view in views]
    sheets = [_sheet(view, scale) for view, scale in zip(views, scales, strict=True)]
    places, shape = _shelves([sheet.shape for sheet in sheets])
    picture = np.full(shape, palettes.MIDDLE, np.uint8)
    headers = []
    for view, scale, sheet, (left, top) in zip(views, scales, sheets, places, strict=True):
        rows, columns = sheet.shape
        picture[top : top + rows, left : left + columns] = sheet
        headers.append(
            {
                "layer": view.number,
                "units": view.units,
                "columns": columns // tile[1],
                "tile": [tile[1], tile[0]],
                "at": [left, top],
                "what": view.what,
                "range": _short(scale.high),
                "mean": _short(view.mean),
                "active": _short(view.active),
                "contrast": _short(view.values.reshape(view.units, -1).std(1)),
                "dead": np.flatnonzero(view.dead).tolist(),
            }
        )
    return Look({"layers": headers}, encoded(picture, "JPEG", 80))


def _shelves(shapes: Sequence[tuple[int, ...]]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """(left, top) for pictures of these (rows, columns), side by side on shelves of about a square, and the whole
    shape: no side comes near what a JPEG (65,535) or a WebP (16,383) can be, however many layers there are."""
    wide = max(max(shape[1] for shape in shapes), math.isqrt(sum(rows * columns for rows, columns in shapes)))
    places, left, top, tall = [], 0, 0, 0
    for rows, columns in shapes:
        if left and left + columns > wide:
            left, top, tall = 0, top + tall, 0
        places.append((left, top))
        left, tall = left + columns, max(tall, rows)
    return places, (top + tall, max(at + shape[1] for (at, _), shape in zip(places, shapes, strict=True)))


def _sheet(view: previews.Preview, scale: previews.Scale) -> Indices:
    """The layer's tiles side by side, about square: palette indices."""
    indices = palettes.index(view.values, scale.low[:, None, None], scale.high[:, None, None])
    units, h, w = indices.shape
    columns = max(1, min(units, 65_000 // w, math.ceil(math.sqrt(units * h / w))))
    rows = -(-units // columns)
    tiles = np.full((rows * columns, h, w), palettes.MIDDLE, np.uint8)
    tiles[:units] = indices
    return tiles.reshape(rows, columns, h, w).swapaxes(1, 2).reshape(rows * h, columns * w)


@torch.no_grad()
def full_size(net: Net, layer: int, index: int, height: int, width: int, where: str) -> Look:
    """One neuron on every pixel, as a grey PNG of palette indices, with its strongest partners before and
    behind."""
    view = previews.preview(net, height, width, where=where, samples=1, layers=[layer])[0]
    scale = previews.scale(view)
    drawing = plates.neuron(net, layer, index, height, width, scale, where=where)
    header: Header = {
        "layer": layer,
        "index": index,
        "width": width,
        "height": height,
        "what": view.what,
        "range": float(scale.high[index]),
        "mean": float(view.mean[index]),
        "active": float(view.active[index]),
        "dead": bool(view.dead[index]),
        "from": _strongest(net.incoming(layer - 1)[index]) if layer > 1 else [],
        "to": _strongest(net.incoming(layer)[:, index]) if layer < len(net.layers) else [],
        "colour": _short(net.readout.weight[:, index].numpy()) if layer == len(net.layers) else [],
    }
    return Look(header, encoded(drawing.indices, "PNG"))


@torch.no_grad()
def without(net: Net, removed: Sequence[tuple[int, int]], target: Array, where: str) -> Look:
    """The painting of the net with some neurons, as (layer, index), set to 0, and what that costs in PSNR.

    The net given is not changed.
    """
    look = painted(ablate(net, removed), target, where)
    before = painted(net, target, where).header["psnr"]
    return Look({**look.header, "before": before, "removed": [list(pair) for pair in removed]}, look.picture)


def _strongest(weights: torch.Tensor, most: int = 6) -> list[list[float]]:
    """[unit, weight] of the largest weights by size."""
    chosen = torch.topk(weights.abs(), min(most, len(weights))).indices
    return [[int(i), round(float(weights[i]), 4)] for i in chosen]


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return round(float(value), 3) if math.isfinite(value) else None


def _short(values: Any) -> list[float]:
    """Four digits each: what a page shows. All at once: number by number, by text, it took a tenth of a look."""
    array = np.asarray(values, np.float64).ravel()
    digits = 3 - np.floor(np.log10(np.abs(array), where=array != 0, out=np.zeros_like(array)))
    up, down = 10.0 ** np.maximum(digits, 0), 10.0 ** np.maximum(-digits, 0)  # powers of ten that are exact
    shortened: list[float] = (np.rint(array / down * up) / up * down).tolist()
    return shortened
