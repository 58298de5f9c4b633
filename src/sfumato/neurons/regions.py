"""The linear regions of a rectifier net: the picture is a mosaic, and on each piece the net is linear.

A rectifier net is linear wherever the signs of all its pre-activations stay the same. The signs of layers 1 to l
cut the plane into convex polygons; each further layer cuts them finer (Montufar et al. 2014, arXiv 1402.1869,
section 2; Hanin and Rolnick 2019, arXiv 1901.09021, who count them along lines and planes). Here each pixel's
signs are taken at its centre: the counts are of the regions that hold a pixel centre, a lower bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..drawing.charts import CATEGORIES, Series, chart
from ..errors import RecipeError
from ..nets import Net, encodings
from ..picture import Picture, sheet
from .raster import Raster, blocks, check_finite, number, tensor, tile_pixels

__all__ = ["Regions", "count_chart", "regions"]

Prints = npt.NDArray[np.uint64]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Regions:
    """The mosaic of one net over one picture.

    counts: for each layer l, the regions cut by layers 1 ... l that hold a pixel centre. borders: bool (L, H, W),
    whether a unit of that layer changes its sign between a pixel and its right or lower neighbour.
    """

    counts: tuple[int, ...]
    borders: npt.NDArray[np.bool_]

    def picture(
        self, layers: Sequence[int] | None = None, *, ground: Picture | None = None, reduce: int = 1
    ) -> Picture:
        """The boundaries of some layers (all if None) as lines, deeper layers on top, a colour for each
        (`charts.CATEGORIES` in turn), on white.

        reduce: means over so many pixels each way, for smooth lines from a finer raster; ground: a picture of
        the size that results, to draw on, faded. Raises RecipeError for a layer or a size that does not fit.
        """
        count, height, width = self.borders.shape
        if height % reduce or width % reduce:
            raise RecipeError(f"regions of {width}x{height} pixels cannot be reduced by {reduce}")
        height, width = height // reduce, width // reduce
        values = np.ones((height, width, 3), np.float32)
        if ground is not None:
            if (ground.height, ground.width) != (height, width):
                size = f"{ground.width}x{ground.height}"
                raise RecipeError(f"the ground is {size}, the picture of regions {width}x{height}")
            values[:] = 0.6 + 0.4 * ground.values[..., : min(3, ground.channels)]
        for n in layers if layers is not None else range(1, count + 1):
            drawn = self.borders[number(n, count) - 1]
            cover = drawn.reshape(height, reduce, width, reduce).mean((1, 3), dtype=np.float32)[..., None]
            ink = np.array(CATEGORIES[(n - 1) % len(CATEGORIES)], np.float32) / 255
            values = values * (1 - cover) + ink * cover
        return Picture(values, name="regions")

    def sheet(self, *, ground: Picture | None = None, reduce: int = 1) -> Picture:
        """The boundaries of each layer for itself, side by side, with the count of regions up to it."""
        panels = [self.picture([n], ground=ground, reduce=reduce) for n in range(1, len(self.counts) + 1)]
        words = [
            f"layer {n}: {count:,} regions" if n == 1 else f"layers 1-{n}: {count:,} regions"
            for n, count in enumerate(self.counts, 1)
        ]
        return sheet(panels, min(len(panels), 4), gap=10, captions=words, caption_size=14)


@torch.no_grad()
def regions(net: Net, height: int, width: int, *, where: str = "centres") -> Regions:
    """The linear regions of a relu or leaky_relu net over a picture of height x width pixels.

    Patterns of signs are compared by 64-bit fingerprints: two patterns share one by chance in one of 10^9
    pictures of this size. Memory: 17 bytes a pixel and layer. Raises RecipeError for other activations and for
    encodings that are not linear in x and y, whose pieces are no linear regions.
    """
    if not net.activation.fact("rectifier"):
        raise RecipeError(f"activation={net.activation.name!r} has no linear regions: rectifiers have")
    if not isinstance(net.encoding, encodings.Affine):
        raise RecipeError("linear regions need an encoding that is linear in x and y: none or raw")
    check_finite(net)
    raster = Raster(height, width, where)
    salts = np.random.default_rng(0).integers(0, 1 << 64, 1 + max(net.widths) // 64, np.uint64)
    prints = np.zeros((len(net.layers), height, width), np.uint64)
    own = np.zeros_like(prints)
    for block in blocks(0, height, width, tile_pixels(max(net.widths))):
        at = slice(block.top, block.bottom), slice(block.left, block.right)
        before = np.zeros(block.shape[0] * block.shape[1], np.uint64)
        for n, layer in enumerate(net.hidden(tensor(net, raster.block(block)))):
            found = _fingerprint((layer.pre > 0).cpu().numpy(), salts)
            before = _mix(before + GOLDEN) + found
            own[n][at], prints[n][at] = found.reshape(block.shape), before.reshape(block.shape)
    counts = tuple(len(np.unique(layer)) for layer in prints)
    borders = np.zeros(own.shape, bool)
    borders[:, :, :-1] |= own[:, :, 1:] != own[:, :, :-1]
    borders[:, :-1] |= own[:, 1:] != own[:, :-1]
    return Regions(counts, borders)


def count_chart(
    counts: Mapping[int, Sequence[int]], *, title: str = "Linear regions of the picture"
) -> Picture:
    """Regions met by pixel centres against training steps: {step: counts of each layer} -> a chart."""
    steps = np.array(sorted(counts), np.float64)
    table = np.array([counts[int(s)] for s in steps], np.float64)
    series = [
        Series(f"layers 1-{n}" if n > 1 else "layer 1", steps, table[:, n - 1])
        for n in range(1, table.shape[1] + 1)
    ]
    log = bool(len(steps) > 2 and steps[-1] > 50 * max(1.0, steps[1]))
    return chart(
        series, title=title, x_label="step", y_label="regions that hold a pixel centre", log_x=log, log_y=True
    )


def _fingerprint(signs: npt.NDArray[np.bool_], salts: Prints) -> Prints:
    """A 64-bit print of each row of signs (N, units): the sum over words of 64 signs, salted by their place, each
    mixed by splitmix64's finisher (Steele, Lea and Flood 2014)."""
    count, units = signs.shape
    packed = np.zeros((count, -(-units // 64) * 8), np.uint8)
    packed[:, : -(-units // 8)] = np.packbits(signs, axis=1)
    result = np.zeros(count, np.uint64)
    for place, word in enumerate(packed.view(np.uint64).T):
        result += _mix(word ^ salts[place])
    return result


def _mix(z: Prints) -> Prints:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
