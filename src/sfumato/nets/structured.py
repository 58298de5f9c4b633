"""Linear maps with fewer numbers than a dense matrix.

Each has its matrix nevertheless: `weight` (units, inputs) is computed where somebody asks for it (to draw a neuron,
say), and `begin` starts it with the size that an activation's rule gives a dense layer.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Generator, Tensor, nn

from . import fastfood

__all__ = ["Fastfood", "LowRank", "Structured"]


class Structured(nn.Module):
    """A linear map (N, inputs) -> (N, units) of fewer numbers than a dense matrix, with a bias."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.in_features, self.out_features = inputs, units
        self.bias = nn.Parameter(torch.zeros(units))

    def product(self, x: Tensor) -> Tensor:
        """x (N, inputs) times the transposed matrix: (N, units)."""
        raise NotImplementedError

    def begin(self, deviation: float, generator: Generator) -> None:
        """Draw what is learned so that an entry of the matrix has this root of its mean square."""
        raise NotImplementedError

    @property
    def weight(self) -> Tensor:
        """The matrix, (units, inputs)."""
        return self.product(torch.eye(self.in_features, dtype=self.bias.dtype, device=self.bias.device)).T

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x) + self.bias


class Fastfood(Structured):
    """Blocks S H G P H B, one below the other, each of n = 2^k >= inputs rows, of which `units` are taken.

    S, G, B (blocks n,) are diagonals, H is `walsh_hadamard`, P a permutation that never changes. Inputs are filled
    up with zeros. Diagonals that are not adaptive stay as they were drawn, and are no parameters.
    """

    permutation: Tensor

    def __init__(self, inputs: int, units: int, adaptive: bool, seed: int) -> None:
        super().__init__(inputs, units)
        self.n = 1 << max(0, (inputs - 1).bit_length())
        self.blocks = -(-units // self.n)
        random = Generator().manual_seed(seed)
        order = torch.stack([torch.randperm(self.n, generator=random) for _ in range(self.blocks)])
        self.register_buffer("permutation", order, persistent=False)
        for name in (
            "scales",
            "gaussians",
            "signs",
        ):  # of one axis: Muon takes parameters of two for matrices
            diagonal = torch.ones(self.blocks * self.n)
            if adaptive:
                self.register_parameter(name, nn.Parameter(diagonal))
            else:
                self.register_buffer(name, diagonal)

    def begin(self, deviation: float, generator: Generator) -> None:
        """B random signs, G normal, S all the same within a block, as its rows are all of one length."""
        signs = torch.randint(0, 2, (self.blocks * self.n,), generator=generator) * 2 - 1
        normal = torch.empty(self.blocks, self.n).normal_(generator=generator)
        length = normal.square().mean(1, keepdim=True).sqrt()
        self._diagonal("signs").copy_(signs)
        self._diagonal("gaussians").copy_(normal.flatten())
        self._diagonal("scales").copy_((deviation * math.sqrt(self.n) / length).expand_as(normal).flatten())

    def _diagonal(self, name: str) -> Tensor:
        return cast(Tensor, getattr(self, name))

    def product(self, x: Tensor) -> Tensor:
        """x (N, inputs) -> (N, units)."""
        shape = (self.blocks, self.n)
        scales, gaussians, signs = (self._diagonal(k).view(shape) for k in ("scales", "gaussians", "signs"))
        return fastfood.multiply(x, scales, gaussians, signs, self.permutation, self.out_features)


class LowRank(Structured):
    """A product of two thin matrices, (units, rank) and (rank, inputs)."""

    def __init__(self, inputs: int, units: int, rank: int) -> None:
        super().__init__(inputs, units)
        self.outer, self.inner = (
            nn.Parameter(torch.zeros(units, rank)),
            nn.Parameter(torch.zeros(rank, inputs)),
        )

    def begin(self, deviation: float, generator: Generator) -> None:
        """Both normal: an entry is a sum of `rank` products, so has `rank` times their mean square."""
        self.inner.normal_(0, self.in_features**-0.5, generator=generator)
        spread = deviation * math.sqrt(self.in_features / self.inner.shape[0])
        self.outer.normal_(0, spread, generator=generator)

    def product(self, x: Tensor) -> Tensor:
        """x (N, inputs) -> (N, units)."""
        return x @ self.inner.T @ self.outer.T
