"""Languages of counted symbols: strings by difficulty, and whether a net goes on as a string must."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..data import Array

__all__ = ["LANGUAGES", "Batch", "Language", "pad", "solved"]

Ints = npt.NDArray[np.int64]


class String(NamedTuple):
    """Symbols, 0 being the end, and from which of them on every symbol is determined by those before it."""

    symbols: list[int]
    determined: int


class Language(NamedTuple):
    """A language: how many symbols it has with the end, and its string of size n (>= 2), by a generator."""

    symbols: int
    string: Callable[[int, np.random.Generator], String]


def _anbn(size: int, random: np.random.Generator) -> String:
    """a^n b^n: determined after the first b."""
    return String([1] * size + [2] * size + [0], size + 1)


def _anb2n(size: int, random: np.random.Generator) -> String:
    """a^n b^2n."""
    return String([1] * size + [2] * (2 * size) + [0], size + 1)


def _anbncn(size: int, random: np.random.Generator) -> String:
    """a^n b^n c^n."""
    return String([1] * size + [2] * size + [3] * size + [0], size + 1)


def _anbmcnm(size: int, random: np.random.Generator) -> String:
    """a^n b^m c^(n+m), n + m = size: determined after the first c."""
    n = int(random.integers(1, size)) if size > 1 else 1
    m = max(1, size - n)
    return String([1] * n + [2] * m + [3] * (n + m) + [0], n + m + 1)


LANGUAGES: dict[str, Language] = {
    "anbn": Language(3, _anbn),
    "anb2n": Language(3, _anb2n),
    "anbncn": Language(4, _anbncn),
    "anbmcnm": Language(4, _anbmcnm),
}


class Batch(NamedTuple):
    """x: float32 (batch, time, symbols), one-hot, the end first; y: the symbols that follow, int64
    (batch, time), -1 behind the end; mask: bool (batch, time), which of them are determined."""

    x: Tensor
    y: Tensor
    mask: Tensor


def pad(strings: Sequence[String], symbols: int) -> Batch:
    """Strings of different lengths as one batch."""
    longest = max(len(s.symbols) for s in strings)
    x: Array = np.zeros((len(strings), longest, symbols), np.float32)
    y: Ints = np.full((len(strings), longest), -1)
    mask = np.zeros((len(strings), longest), bool)
    for row, string in enumerate(strings):
        length = len(string.symbols)
        x[row, np.arange(length), [0, *string.symbols[:-1]]] = 1
        y[row, :length] = string.symbols
        mask[row, string.determined : length] = True
    return Batch(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(mask))


@torch.no_grad()
def solved(net: nn.Module, batch: Batch) -> npt.NDArray[np.bool_]:
    """For each string, whether the net's likeliest next symbol is right where it is determined: bool (batch,)."""
    right = (net(batch.x).argmax(-1) == batch.y) | ~batch.mask
    return np.asarray(right.all(1).numpy())
