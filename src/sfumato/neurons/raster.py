"""A net over a picture, in blocks small enough to bound memory: every view of neurons is a loop over them.

Works for any net that has `hidden(x)`. No hooks are set and no gradients recorded, so that a loop that stops
half way leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data import Array
from ..errors import RecipeError, RunError
from ..nets import Layer
from ..picture import pixels

__all__ = [
    "Block",
    "Looking",
    "Raster",
    "blocks",
    "check_finite",
    "number",
    "sample",
    "tensor",
    "tile_pixels",
    "widths",
]

TILE_VALUES = 1 << 19
"""Values of one layer held at a time: 2 MiB in float32, about the second-level cache, which makes all views of a
4x300 net a third quicker than blocks four times as large."""


class Looking(Protocol):
    """What the views need of a net."""

    def hidden(self, x: Tensor) -> Iterator[Layer]: ...

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...


@dataclass(frozen=True)
class Raster:
    """The pixels of a picture of height x width, as inputs of a net; where: see `pixels.coordinates`."""

    height: int
    width: int
    where: str = "centres"

    def block(self, block: Block) -> Array:
        """The (x, y) of one block's pixels, row by row."""
        rows = pixels.rows(block.top, block.bottom, self.height, self.width, where=self.where)
        if block.left == 0 and block.right == self.width:
            return rows
        cut = rows.reshape(-1, self.width, 2)[:, block.left : block.right]
        return np.ascontiguousarray(cut).reshape(-1, 2)


@dataclass(frozen=True)
class Block:
    """Rows top <= row < bottom and columns left <= column < right."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.bottom - self.top, self.right - self.left


def blocks(top: int, bottom: int, width: int, largest: int, *, multiple: int = 1) -> Iterator[Block]:
    """Cut rows top ... bottom into blocks of at most `largest` pixels: whole rows, or parts of one row where a
    row is longer. multiple: of whole rows, heights are multiples of it (one multiple may exceed `largest`)."""
    if width > largest and multiple == 1:
        for row in range(top, bottom):
            for left in range(0, width, largest):
                yield Block(row, row + 1, left, min(left + largest, width))
        return
    rows = max(1, largest // (width * multiple)) * multiple
    for row in range(top, bottom, rows):
        yield Block(row, min(row + rows, bottom), 0, width)


def tile_pixels(units: int) -> int:
    """Pixels to evaluate at once where the widest layer has `units`: 64 to 8192, by TILE_VALUES."""
    return max(64, min(8192, TILE_VALUES // max(1, units)))


@torch.no_grad()
def widths(net: Looking, inputs: int = 2) -> tuple[int, ...]:
    """Units of each hidden layer, found by asking for one sample."""
    return tuple(layer.pre.shape[1] for layer in net.hidden(tensor(net, np.zeros((1, inputs), np.float32))))


def tensor(net: Looking, values: Array) -> Tensor:
    """Inputs as a tensor of the net's type, where the net is."""
    for parameter in net.parameters():
        return torch.from_numpy(values).to(parameter.device, parameter.dtype)
    return torch.from_numpy(values)


def sample(count: int, wanted: int | None) -> npt.NDArray[np.int64]:
    """Indices of a random choice of `wanted` of `count` samples, in order, the same every time; all of them for
    None or where no more exist. A regular lattice would fall into step with the picture's columns."""
    if wanted is None or wanted >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, wanted, replace=False, shuffle=False))


def check_finite(net: Looking) -> None:
    """Raise RunError where a weight is not finite: its pictures would be noise."""
    for number, parameter in enumerate(net.parameters()):
        if not torch.isfinite(parameter).all():
            raise RunError(
                f"parameter {number} of the net ({tuple(parameter.shape)}) is not finite: nothing can be drawn\n"
                "hint: choose an earlier step"
            )


def number(layer: int, layers: int) -> int:
    """`layer` itself, if a net of `layers` hidden layers has it; RecipeError otherwise."""
    if not 1 <= layer <= layers:
        raise RecipeError(f"layer {layer} does not exist: the net has hidden layers 1 ... {layers}")
    return layer
