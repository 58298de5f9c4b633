"""The Walsh-Hadamard transform against a copy of the same memory, and against PyTorch.

    python benchmarks/hadamard.py                          the transform, then steps of nets, one thread
    python benchmarks/hadamard.py rows --threads 2         the transform alone
    python benchmarks/hadamard.py steps --threads 2        `--layer fastfood` with the compiled one and without

rows: an array of 256 MB is transformed in place and into another one; a copy (`numpy.copyto`, each thread its part)
reads and writes as many bytes. Gigabytes a second count each number read once and written once, whatever else goes
over the bus. PyTorch's rivals work on the first sixteenth of the array: butterflies (a sum and a difference a
stage), products of two small matrices (what the layer does without the compiled engine), one with the dense matrix.

Rivals take turns in one process; ratios are medians over rounds with smallest and largest, of wall seconds. Let
nothing else run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import numpy as np
import torch
from engine import Row, data_for
from torch import Tensor

import sfumato._native as _native
from sfumato import machine, nets, timing
from sfumato.data import Array
from sfumato.engine import eager
from sfumato.nets import hadamard
from sfumato.recipe import Recipe

SIZES = (64, 256, 1024, 4096, 16384, 65536, 1 << 20)
DENSE = 4096
"""Above, the dense matrix takes minutes."""

PICTURE = Recipe(net=(512,) * 4, layer="fastfood", optimizer="adam", schedule="constant", rate=1e-3)
DIGITS = PICTURE.replace(net=(1024,), encoding="raw", loss="cross_entropy", batch=100)
NETS = (
    ("2-512x4-3, batch 256", PICTURE.replace(batch=256), 20),
    ("2-512x4-3, batch 4096", PICTURE.replace(batch=4096), 2),
    ("784-1024-10, batch 100", DIGITS, 50),
)


def butterflies(x: Tensor) -> Tensor:
    """By sqrt(n), a stage after another."""
    n = x.shape[-1]
    stride = 1
    while stride < n:
        pairs = x.view(-1, n // (2 * stride), 2, stride)
        a, b = pairs[:, :, 0], pairs[:, :, 1]
        x = torch.stack([a + b, a - b], 2).view(-1, n)
        stride *= 2
    return x / n**0.5


def copy(into: Array, rows: Array, pool: ThreadPoolExecutor, threads: int) -> None:
    """Each thread its part, as the transform's: the caller is one of them."""
    first, *parts = zip(np.array_split(into, threads), np.array_split(rows, threads), strict=True)
    others = [pool.submit(np.copyto, *part) for part in parts]
    np.copyto(*first)
    for other in others:
        other.result()


def spread(ratios: list[float]) -> str:
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"


def measure_rows(n: int, size: int, threads: int, rounds: int) -> list[str]:
    """A line of the table: rows of n, `size` bytes."""
    rows = np.random.default_rng(n).normal(size=(size // (4 * n), n)).astype(np.float32)
    into = np.zeros_like(rows)
    few = torch.from_numpy(rows[: max(1, len(rows) // 16)].copy())
    matrix = hadamard._matrix(n, torch.float32, few.device) if n <= DENSE else None
    scale = n**-0.5
    rivals: list[Callable[[], object]] = [
        lambda: _native.hadamard(rows, rows, scale, threads),
        lambda: _native.hadamard(rows, into, scale, threads),
        lambda: butterflies(few),
        lambda: hadamard._by_products(few),
        lambda: few @ matrix if matrix is not None else None,
    ]
    with ThreadPoolExecutor(threads) as pool, torch.no_grad():
        rivals.append(lambda: copy(into, rows, pool, threads))
        taken = [[one.wall for one in turns] for turns in timing.take_turns(rounds, *rivals)]
    inside, beside, staged, products, dense, copied = taken
    share = rows.size / few.numel()

    def over(theirs: list[float], factor: float = 1.0) -> list[float]:
        return [factor * a / b for a, b in zip(theirs, inside, strict=True)]

    return [
        f"{n:,}",
        f"{2e-9 * rows.nbytes / statistics.median(inside):.1f}",
        f"{2e-9 * rows.nbytes / statistics.median(copied):.1f}",
        spread(over(copied)),
        spread([a / b for a, b in zip(copied, beside, strict=True)]),
        f"{statistics.median(over(staged, share)):.1f}",
        f"{statistics.median(over(products, share)):.1f}",
        f"{statistics.median(over(dense, share)):.0f}" if matrix is not None else "",
    ]


def measure_steps(recipe: Recipe, steps: int, rounds: int) -> list[str]:
    """Steps a second with the compiled transform, and ratios to those without it and to a dense layer's."""
    digits = recipe.replace(net=(6000,))  # for which `engine` makes some up
    data = data_for(Row("", digits if recipe.encoding == "raw" else recipe, "eager"))
    sessions = {}
    for name, layer in (("compiled", "fastfood"), ("before", "fastfood"), ("dense", "dense")):
        own = recipe.replace(layer=layer)
        net = nets.build(own, data.inputs.shape[1], data.targets.shape[1])
        sessions[name] = eager.prepare(net, data, own, 1 << 20)

    def advance(name: str) -> Callable[[], object]:
        def turn() -> None:
            hadamard.MISSING = "left out by the benchmark" if name == "before" else None
            sessions[name].advance(steps)

        return turn

    turns = timing.take_turns(rounds, *(advance(name) for name in sessions))
    ours, before, dense = [[one.wall for one in taken] for taken in turns]
    return [
        f"{steps / statistics.median(ours):.1f}",
        spread([a / b for a, b in zip(before, ours, strict=True)]),
        spread([a / b for a, b in zip(dense, ours, strict=True)]),
    ]


def table(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the tables as Markdown."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("what", nargs="*", choices=("rows", "steps", []), help="none: both")
    options.add_argument("--sizes", nargs="*", type=int, default=SIZES, help="numbers in a row")
    options.add_argument("--megabytes", type=int, default=256)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    wanted = options.parse_args()
    torch.set_num_threads(wanted.threads)
    print(
        f"\n{date.today()}, {machine.processor()}; {_native.usable_sets()[0]}; threads {wanted.threads}; load "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; torch {torch.__version__}; {wanted.rounds} rounds\n"
    )
    if "rows" in (wanted.what or ("rows",)):
        table(
            "n",
            "GB/s",
            "copy, GB/s",
            "of a copy's speed",
            "into another array",
            "butterflies take, times",
            "products",
            "dense",
        )
        table(*["---"] * 8)
        for n in wanted.sizes:
            table(*measure_rows(n, wanted.megabytes << 20, wanted.threads, wanted.rounds))
    if "steps" in (wanted.what or ("steps",)):
        print()
        table("net", "steps/s", "against without it", "against a dense layer")
        table(*["---"] * 4)
        for name, recipe, steps in NETS:
            table(name, *measure_steps(recipe.replace(threads=wanted.threads), steps, wanted.rounds))


if __name__ == "__main__":
    main()
