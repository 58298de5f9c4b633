"""Every hidden neuron, small: one cheap pass over few points, and the colour range of each.

    views = preview(net, 429, 300)                    # all layers, at the size of a tile
    scale(views[1])                                   # where the colours of layer 2 end

Layers count from 1, neurons from 0. What is drawn is signed by default: the pre-activation, on a diverging map
whose white is the firing boundary; for periodic and bump-shaped activations, whose pre-activation has no such
boundary, the activation itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data import Array
from ..drawing import palettes
from ..errors import RecipeError
from ..nets import Layer
from ..recipe import Choice
from .raster import Looking, Raster, blocks, check_finite, number, tensor, tile_pixels, widths

__all__ = [
    "VIEWS",
    "Preview",
    "Scale",
    "check",
    "is_rectifier",
    "preview",
    "scale",
    "shown",
    "shows_activation",
    "tile_size",
    "widest",
]

VIEWS = ("signed", "grey")

SIGNED_SHARE = 0.98
"""A signed colour range ends at this quantile of |value|: a few peaks would pale all the rest."""

GREY_SHARE = 0.995
"""A grey range ends at this quantile; brighter than the maximum, and only peaks are clipped."""

SHEET_PIXELS = 2_600_000
"""Area of all tiles of one sheet: about 1900 pixels across, readable on a screen and in print."""


@dataclass(frozen=True, eq=False)
class Preview:
    """One layer, small: what its tiles are drawn from.

    number: the layer, from 1. view: `signed` or `grey`. what: the quantity shown, in words. values: float32
    (units, h, w), each a mean over `samples` x `samples` points of its pixel. mean: of the activation, (units,).
    active: share of the points whose pre-activation is positive. dead: units that are active nowhere (rectifiers)
    or constant (others), at those points.
    """

    number: int
    view: str
    what: str
    values: Array
    samples: int
    mean: Array
    active: Array
    dead: npt.NDArray[np.bool_]

    @property
    def units(self) -> int:
        """Neurons of the layer."""
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Scale:
    """The values at both ends of the colour range, for each unit of a layer: `low` and `high`, (units,).

    Kept fixed over the steps of a run, it keeps a film from flickering. words: how it was found.
    """

    view: str
    low: Array
    high: Array
    words: str

    @property
    def palette(self) -> palettes.Palette:
        """The colours of the view."""
        return palettes.palette("diverging" if self.view == "signed" else "grey")


def shows_activation(net: Looking, view: str) -> bool:
    """Whether pictures of `view` draw the activation (rather than the pre-activation)."""
    return view == "grey" or not _fact(net, "boundary", True)


def shown(net: Looking, layer: Layer, view: str) -> Tensor:
    """The values (N, units) that a picture of this view draws."""
    return layer.post if shows_activation(net, view) else layer.pre


def is_rectifier(net: Looking) -> bool:
    """Whether a unit that is positive nowhere is lost: rectifiers, leaky or not, and nets that name no unit."""
    return bool(_fact(net, "rectifier", not hasattr(net, "activation")))


def _fact(net: Looking, name: str, default: bool) -> bool:
    """A fact of the net's activation; the default for a net that says nothing of it."""
    activation = getattr(net, "activation", None)
    return bool(activation.fact(name, default)) if isinstance(activation, Choice) else default


@torch.no_grad()
def preview(
    net: Looking,
    height: int,
    width: int,
    *,
    view: str = "signed",
    where: str = "centres",
    tile: tuple[int, int] | None = None,
    samples: int = 2,
    layers: Sequence[int] | None = None,
) -> list[Preview]:
    """All layers (or those numbered in `layers`) at the size of a tile, in one pass over few points.

    height, width: of the picture, whose shape the tiles have. tile: (h, w) in pixels; without it the size at
    which a sheet is about SHEET_PIXELS large. samples: points across each tile pixel, averaged, so that fine
    structure does not alias. Memory: the values returned, and a block of TILE_VALUES.
    Raises RecipeError for an unknown view or layer, RunError where weights are not finite.
    """
    check(view)
    check_finite(net)
    units = widths(net)
    wanted = sorted(set(layers)) if layers is not None else list(range(1, len(units) + 1))
    for layer in wanted:
        number(layer, len(units))
    sizes = {n: tile or tile_size(units[n - 1], height, width) for n in wanted}
    groups: dict[tuple[int, int], list[int]] = {}
    for n, size in sizes.items():
        groups.setdefault(size, []).append(n)
    made: dict[int, Preview] = {}
    for size, members in groups.items():
        for one in _preview(net, size, members, units, view, where, samples):
            made[one.number] = one
    return [made[n] for n in wanted]


def _preview(
    net: Looking,
    size: tuple[int, int],
    members: list[int],
    units: tuple[int, ...],
    view: str,
    where: str,
    samples: int,
) -> list[Preview]:
    h, w = size
    rectifier = is_rectifier(net)
    raster = Raster(h * samples, w * samples, where)
    values = {n: np.empty((units[n - 1], h, w), np.float32) for n in members}
    sums = {n: np.zeros(units[n - 1]) for n in members}
    active = {n: np.zeros(units[n - 1]) for n in members}
    lows = {n: np.full(units[n - 1], np.inf) for n in members}
    highs = {n: np.full(units[n - 1], -np.inf) for n in members}
    for block in blocks(0, raster.height, raster.width, tile_pixels(max(units)), multiple=samples):
        rows = block.shape[0] // samples
        for n, layer in enumerate(net.hidden(tensor(net, raster.block(block))), 1):
            if n in values:
                at = slice(block.top // samples, block.top // samples + rows)
                values[n][:, at] = _pooled(shown(net, layer, view), rows, samples, w).float().cpu().numpy()
                sums[n] += layer.post.sum(0).double().cpu().numpy()
                active[n] += torch.count_nonzero(layer.pre > 0, 0).cpu().numpy()
                if not rectifier:
                    np.minimum(lows[n], layer.post.amin(0).double().cpu().numpy(), out=lows[n])
                    np.maximum(highs[n], layer.post.amax(0).double().cpu().numpy(), out=highs[n])
            if n == members[-1]:
                break
    points = raster.height * raster.width
    what = "activations" if shows_activation(net, view) else "pre-activations"
    result = []
    for n in members:
        dead = active[n] == 0 if rectifier else highs[n] - lows[n] <= CONSTANT
        mean, share = (sums[n] / points).astype(np.float32), (active[n] / points).astype(np.float32)
        result.append(Preview(n, view, what, values[n], samples, mean, share, dead))
    return result


def _pooled(values: Tensor, rows: int, samples: int, columns: int) -> Tensor:
    """Means over samples x samples points: (rows samples columns samples, units) -> (units, rows, columns)."""
    points = values.view(rows, samples, columns, samples, -1)
    total = points[:, 0, :, 0].clone()  # a sum of slices: `mean` over two axes takes five times as long
    for i in range(1, samples * samples):
        total += points[:, i // samples, :, i % samples]
    return (total / samples**2).permute(2, 0, 1)


CONSTANT = 1e-6
"""Spread of activations over the whole picture below which a unit says nothing (rounding of float32)."""


def tile_size(units: int, height: int, width: int) -> tuple[int, int]:
    """(h, w) of a tile of a sheet of `units` pictures of height x width: never larger than the picture itself,
    nor than a third of the sheet."""
    area = min(SHEET_PIXELS / max(units, 9), height * width)
    share = math.sqrt(area / (height * width))
    return max(1, round(height * share)), max(1, round(width * share))


def check(view: str = "signed", per: str = "neuron") -> None:
    """RecipeError for a view, or a share of colours, that does not exist."""
    if view not in VIEWS:
        raise RecipeError(f"view={view!r} must be signed or grey")
    if per not in ("neuron", "layer"):
        raise RecipeError(f"per={per!r} must be neuron or layer")


def scale(view: Preview, *, per: str = "neuron") -> Scale:
    """The colour range of a layer, from its preview.

    Signed: -r ... r with r the 98 % quantile of |value|, so that 0 is white; grey: from the minimum to the
    99.5 % quantile. The quantiles are exact for the preview's values (order statistic ceil(share n)), and
    an estimate for any other raster. per: `neuron` shows shapes best, `layer` compares strengths.
    """
    check(per=per)
    flat = view.values.reshape(view.units, -1) if per == "neuron" else view.values.reshape(1, -1)
    if view.view == "signed":
        high = _quantile(np.abs(flat), SIGNED_SHARE)
        high = np.where(high > 0, high, 1).astype(np.float32)
        low, words = -high, f"{SIGNED_SHARE:.0%} of |values| of each {per}"
    else:
        low, high = flat.min(1), _quantile(flat, GREY_SHARE)
        high = np.where(high > low, high, low + 1).astype(np.float32)
        words = f"minimum to {GREY_SHARE:.1%} of the values of each {per}"
    count = view.units
    low, high = np.broadcast_to(low, count).copy(), np.broadcast_to(high, count).copy()
    return Scale(view.view, low, high, words)


def widest(scales: Sequence[Scale]) -> Scale:
    """One colour range that holds all of them: the scale of a film over several steps."""
    low = np.minimum.reduce([s.low for s in scales])
    return Scale(scales[0].view, low, np.maximum.reduce([s.high for s in scales]), scales[0].words)


def _quantile(flat: Array, share: float) -> Array:
    """The ceil(share n)-th smallest value of each row: (rows, n) -> (rows,)."""
    at = max(0, math.ceil(share * flat.shape[1]) - 1)
    result: Array = np.partition(flat, at, axis=1)[:, at]
    return result
