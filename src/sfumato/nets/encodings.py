"""Encodings: what the first layer sees of a point in [0, 1]^D.

The module is the registry: every function of `__all__` is a variant of the recipe's `encoding`. It takes the
number of inputs and keyword parameters, and returns a module that maps (N, inputs) to (N, width), `width` being an
attribute. Facts beside it: `takes_aspect`, it can be told the height of the picture over its width;
`plain`, the first layer sees the coordinates themselves.
Only `grid` has something to train.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import RecipeError
from ..recipe.variants import facts

__all__ = ["fourier", "grid", "none", "one_blob", "positional", "raw", "triangle"]

PRIME = 2654435761
"""Multiplier of the second coordinate in the spatial hash (Mueller et al. 2022, equation 4; the first is 1)."""


FINEST = 1 << 20
"""Cells a side at most: beyond it float32 leaves a point fewer than 16 places within a cell."""

WIDEST = 1 << 16
"""Bands of random Fourier features at most: 512 KB for each point."""

LARGEST = 1 << 28
"""Numbers in all tables of a grid at most: a gigabyte, and three times that with Adam's moments."""

SEEDS = 1 << 63
"""Below it a generator's seed lies."""


class Affine(nn.Module):
    """(N, D) -> (N, D): scale * x + shift."""

    def __init__(self, inputs: int, scale: float, shift: float) -> None:
        super().__init__()
        self.width, self.scale, self.shift = inputs, scale, shift

    def forward(self, x: Tensor) -> Tensor:
        return x if self.scale == 1 and self.shift == 0 else x * self.scale + self.shift


class Waves(nn.Module):
    """(N, D) -> (N, 2 bands [+ D]): sin and cos of 2 pi B x, with [-1, 1] coordinates in front if asked for."""

    frequencies: Tensor

    def __init__(self, frequencies: Tensor, identity: bool) -> None:
        super().__init__()
        self.register_buffer("frequencies", frequencies)  # (bands, D), cycles per unit of x
        self.identity = identity
        self.width = 2 * frequencies.shape[0] + identity * frequencies.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        phase = (2 * math.pi) * functional.linear(x, self.frequencies.to(x.dtype))
        parts = [torch.sin(phase), torch.cos(phase)]
        return torch.cat([2 * x - 1, *parts] if self.identity else parts, 1)


class Blobs(nn.Module):
    """(N, D) -> (N, D bins): the mass of a bell around each coordinate in each bin of [0, 1]."""

    def __init__(self, inputs: int, bins: int) -> None:
        super().__init__()
        self.width, self.bins = inputs * bins, bins

    def forward(self, x: Tensor) -> Tensor:
        edges = torch.arange(self.bins + 1, dtype=x.dtype, device=x.device)
        below: Tensor = torch.special.ndtr(edges - self.bins * x[:, :, None])
        return below.diff(dim=2).flatten(1)


class Triangles(nn.Module):
    """(N, D) -> (N, D bands): triangle waves of each coordinate, an octave apart."""

    def __init__(self, inputs: int, bands: int) -> None:
        super().__init__()
        self.width, self.bands = inputs * bands, bands

    def forward(self, x: Tensor) -> Tensor:
        octaves = 2.0 ** torch.arange(-1, self.bands - 1, dtype=x.dtype, device=x.device)
        place = x[:, :, None] * octaves
        return ((place - place.floor() - 0.5).abs() * 4 - 1).flatten(1)


class Grid(nn.Module):
    """(N, 2) -> (N, levels * features): bilinear look-ups in tables of growing resolution.

    `table` (entries, features) holds all levels one after the other. Level l is a grid of `cells[l]` =
    (across, down) cells; its (across + 1)(down + 1) corners have an entry each where they fit into 2^log2_table
    entries, and share them by a hash elsewhere.
    """

    def __init__(self, cells: list[tuple[int, int]], features: int, log2_table: int) -> None:
        super().__init__()
        self.cells, self.features = cells, features
        limit = 1 << log2_table
        corners = [(across + 1) * (down + 1) for across, down in cells]
        self.hashed = [count > limit for count in corners]
        self.sizes = [min(count, limit) for count in corners]
        self.offsets = [sum(self.sizes[:level]) for level in range(len(cells))]
        self.table = nn.Parameter(torch.zeros(sum(self.sizes), features))
        self.width = len(cells) * features

    def start(self, generator: torch.Generator) -> None:
        """Entries U(-0.01, 0.01): field practice; the paper's 1e-4 (section 4) learns more slowly at first."""
        with torch.no_grad():
            self.table.uniform_(-1e-2, 1e-2, generator=generator)

    def corners(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """For points x (N, 2) in [0, 1]: indices into `table` (N, levels, 4) and their weights, summing to 1."""
        indices, weights = [], []
        for (across, down), hashed, size, offset in zip(
            self.cells, self.hashed, self.sizes, self.offsets, strict=True
        ):
            place = x * x.new_tensor([across, down])
            low = place.floor().minimum(place.new_tensor([across - 1, down - 1])).clamp_min(0)
            u, v = (place - low).unbind(1)
            column, row = low.long().unbind(1)
            at = []
            for dy in (0, 1):
                for dx in (0, 1):
                    if hashed:
                        entry = ((column + dx) ^ ((row + dy) * PRIME)) & (size - 1)
                    else:
                        entry = (row + dy) * (across + 1) + column + dx
                    at.append(entry + offset)
            indices.append(torch.stack(at, 1))
            weights.append(torch.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], 1))
        return torch.stack(indices, 1), torch.stack(weights, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.blend(*self.corners(x))

    def blend(self, indices: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of table entries: (N, levels, 4) indices and weights -> (N, levels * features)."""
        count, levels, four = indices.shape
        # half the time of embedding_bag, forward and back (8192 points of 12 levels, PyTorch 2.13)
        entries = self.table.index_select(0, indices.reshape(-1)).view(-1, four, self.features)
        sums = (entries * weights.reshape(-1, four, 1).to(self.table.dtype)).sum(1)
        return sums.view(count, levels * self.features)


@facts(plain=True)
def none(inputs: int) -> nn.Module:
    """The coordinates themselves, mapped from [0, 1] to [-1, 1], as in every paper since SIREN."""
    return Affine(inputs, 2.0, -1.0)


@facts(plain=True)
def raw(inputs: int) -> nn.Module:
    """The inputs as they are: coordinates in [0, 1] as in the 2012 program, or the pixels of a digit."""
    return Affine(inputs, 1.0, 0.0)


def fourier(inputs: int, *, bands: int = 128, sigma: float = 10.0, seed: int = 0) -> nn.Module:
    """Random Fourier features: sin and cos of 2 pi B x, B drawn from N(0, sigma^2).

    bands: rows of B, 1 to 65,536; width is 2 bands. sigma: cycles across the picture, > 0. seed: of B alone,
    0 to 2^63 - 1. Raises RecipeError outside these. Paper: Tancik et al. 2020, arXiv 2006.10739, section 6.1.
    """
    if not (1 <= bands <= WIDEST and 0 < sigma < math.inf and 0 <= seed < SEEDS):
        raise RecipeError(
            f"fourier: bands={bands} must lie in 1 ... {WIDEST}, sigma={sigma} be greater than 0 and seed={seed} a "
            "whole number of at most 63 bits"
        )
    generator = torch.Generator().manual_seed(seed)
    return Waves(torch.randn(bands, inputs, generator=generator) * sigma, identity=False)


def positional(inputs: int, *, bands: int = 10) -> nn.Module:
    """The coordinates in [-1, 1], and sin and cos of 2^k pi times each, k = 0 ... bands - 1.

    bands: octaves, 1 to 24; width is inputs (2 bands + 1). Raises RecipeError outside.
    Paper: Mildenhall et al. 2020, NeRF, arXiv 2003.08934, equation 4 (whose coordinates lie in [-1, 1]).
    """
    if not 1 <= bands <= 24:
        raise RecipeError(f"positional: bands={bands} must lie in 1 ... 24")
    octaves = torch.cat([torch.eye(inputs) * 2.0**k for k in range(bands)])
    return Waves(octaves, identity=True)


def one_blob(inputs: int, *, bins: int = 64) -> nn.Module:
    """A soft one-hot code: each coordinate's bell of the width of a bin, spread over the bins of [0, 1].

    bins: 2 to 4096; width is inputs x bins. Bin i holds the mass of N(x, 1 / bins^2) within it. Raises RecipeError
    outside. Paper: Mueller et al. 2019, Neural Importance Sampling, arXiv 1808.03856, section 4.3.
    """
    if not 2 <= bins <= 4096:
        raise RecipeError(f"one_blob: bins={bins} must lie in 2 ... 4096")
    return Blobs(inputs, bins)


def triangle(inputs: int, *, bands: int = 12) -> nn.Module:
    """Triangle waves of 2^(k-1) cycles across the picture, k = 0 ... bands - 1: octaves without a sine.

    bands: 1 to 24; width is inputs x bands, each in [-1, 1] and 1 at x = 0. Raises RecipeError outside. Paper:
    Mueller et al. 2021, Real-time Neural Radiance Caching, arXiv 2106.12372, section 3.2; as tiny-cuda-nn has it.
    """
    if not 1 <= bands <= 24:
        raise RecipeError(f"triangle: bands={bands} must lie in 1 ... 24")
    return Triangles(inputs, bands)


@facts(takes_aspect=True)
def grid(
    inputs: int,
    *,
    levels: int = 12,
    features: int = 2,
    base: int = 8,
    growth: float = 1.38,
    log2_table: int = 14,
    aspect: float = 1.0,
) -> nn.Module:
    """A trainable pyramid of grids, looked up bilinearly, hashed where it would grow too large.

    Level l is floor(base growth^l) cells wide and `aspect` (height / width of the picture) times as many high,
    rounded up. levels in 1 ... 32; features, base >= 1; growth in [1, 16); log2_table in 1 ... 24; at most 2^20
    cells a side and 2^28 numbers in all tables. Two inputs only; RecipeError otherwise. Paper: Mueller et al. 2022,
    arXiv 2201.05989, section 3.
    """
    if inputs != 2:
        raise RecipeError(f"grid: needs 2 inputs (a picture), this task has {inputs}")
    if not (1 <= levels <= 32 and features >= 1 and base >= 1 and 1 <= growth < 16 and 1 <= log2_table <= 24):
        raise RecipeError(
            "grid: levels in 1 ... 32, features and base at least 1, growth in [1, 16), log2_table in 1 ... 24"
        )
    if not 0 < aspect < math.inf or base * max(1, aspect) * growth ** (levels - 1) > FINEST:
        raise RecipeError(
            f"grid: base={base}, growth={growth} and aspect={aspect} need cells finer than float32 tells apart"
        )
    across = [math.floor(base * growth**level) for level in range(levels)]
    cells = [(n, max(1, math.ceil(n * aspect))) for n in across]
    if features * sum(min((n + 1) * (m + 1), 1 << log2_table) for n, m in cells) > LARGEST:
        raise RecipeError(
            f"grid: levels={levels}, features={features} and log2_table={log2_table} need tables of more than "
            f"{LARGEST:,} numbers"
        )
    return Grid(cells, features, log2_table)
