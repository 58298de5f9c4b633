"""From a net to a picture of any size, in bands of bounded memory, by the fastest engine that can."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from . import nets
from .data import Array
from .engine import native
from .errors import PictureError
from .machine import available_threads
from .nets import Net
from .picture import Picture, pixels
from .picture.png import Levels

__all__ = ["paint", "predict", "raster", "strips"]

STRIP = 1 << 18
"""Pixels painted at a time: about 5 MB of coordinates and colours, whatever the size of the whole."""

TILE = 8
"""Pixels across and down that are painted together."""


def predict(net: Net, inputs: Array, threads: int | None = None) -> Array:
    """The net's outputs for inputs (N, D), float32 (N, C), in bounded memory, by the fastest engine that can.

    threads: of the native engine; if None, as many as PyTorch is set to. It uses no more than this process may.
    Engines differ by rounding, about 1e-7 of a value.
    """
    finite = all(bool(torch.isfinite(value).all()) for value in net.parameters())  # native refuses others
    if finite and native.can_paint(net):
        return native.predict(net, inputs, min(threads or torch.get_num_threads(), available_threads()))
    return nets.predict(net, inputs)


def raster(net: Net, points: Array, threads: int | None = None) -> Array:
    """The net's outputs at points (rows, columns, D) that lie like pixels: float32 (rows, columns, C).

    They are gone through tile by tile. Units that are silent on a whole chunk of rows cost the native engine
    nothing, and on a tile many more are than on a line as long. No bit of the result depends on it. threads: as in
    `predict`.
    """
    rows, columns = points.shape[:2]
    order = _by_tiles(rows, columns)
    values = np.empty((rows * columns, net.outputs), np.float32)
    values[order] = predict(net, points.reshape(rows * columns, -1)[order], threads)
    return values.reshape(rows, columns, -1)


@lru_cache(maxsize=4)
def _by_tiles(rows: int, columns: int) -> npt.NDArray[np.intp]:
    tiles = np.arange(rows)[:, None] // TILE * (columns // TILE + 1) + np.arange(columns) // TILE
    return np.argsort(tiles, axis=None, kind="stable")


def paint(net: Net, height: int, width: int, *, where: str = "centres", icc: bytes | None = None) -> Picture:
    """The net's picture at any size, clipped to [0, 1], painted in strips.

    Memory is that of the result and of one strip of about 260,000 pixels.
    """
    values = np.empty((height, width, net.outputs), np.float32)
    step = max(1, STRIP // width)
    for first in range(0, height, step):
        last = min(height, first + step)
        points = pixels.rows(first, last, height, width, where=where)
        values[first:last] = raster(net, points.reshape(last - first, width, 2))
    np.clip(values, 0, 1, out=values)
    return Picture(values, icc=icc, name="painting")


def strips(net: Net, height: int, width: int, *, where: str = "centres") -> Iterator[Levels]:
    """The net's picture from top to bottom in bands (rows, width, C), rounded to 8 bits as `picture.save` does.

    Bands have about STRIP pixels, at least one row.
    """
    rows = max(1, STRIP // width)
    for first in range(0, height, rows):
        last = min(height, first + rows)
        points = pixels.rows(first, last, height, width, where=where)
        values = raster(net, points.reshape(last - first, width, 2))
        if not np.isfinite(values).all():
            raise PictureError(
                f"the painting is not finite in rows {first} to {last - 1}\nhint: choose an earlier step"
            )
        values *= np.float32(255)
        values += np.float32(0.5)
        yield np.clip(values, 0, 255, out=values).astype(np.uint8)
