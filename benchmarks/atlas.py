"""Neuron pictures against the least they can cost: all neurons of a 4x300 net at 300x429, sheets and 1,200 files.

    python benchmarks/atlas.py [--weights FILE.safetensors] [--rounds 5] [--size 300x429]

A: a bare forward pass over all pixels, and compressing 1,200 finished pictures to PNG in memory on all cores.
B: everything: previews, colour ranges, orders, four contact sheets and 1,200 PNG files on disk.
Rounds alternate; the ratio B / A is to be at most 3, in wall seconds and, which other work on the machine disturbs
less, in processor seconds (with OMP_NUM_THREADS=1: waiting threads of PyTorch would count). Peak memory, read
before A allocates anything, is to be below 1 GiB.
Then the importance of all 300 units of the last layer against a bare forward pass: at most 3.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from sfumato import nets, timing
from sfumato.machine import available_threads
from sfumato.neurons import full_size, orders, previews, sheets
from sfumato.neurons.importance import importance
from sfumato.neurons.raster import Raster, blocks, tile_pixels
from sfumato.picture import pixels
from sfumato.recipe import named


def everything(net: nets.Net, folder: Path, height: int, width: int) -> None:
    """B."""
    views = previews.preview(net, height, width)
    scales = [previews.scale(view) for view in views]
    for view, scale in zip(views, scales, strict=True):
        drawn = sheets.sheet(view, scale, arranged=orders.order(view, "similarity"), sorted_by="similarity")
        drawn.save(folder / f"layer-{view.number}.png")
    full_size.plates(net, folder, height, width, scales)


@torch.no_grad()
def forward(net: nets.Net, height: int, width: int) -> None:
    """A, first half."""
    raster = Raster(height, width)
    for block in blocks(0, height, width, tile_pixels(max(net.widths))):
        net(torch.from_numpy(raster.block(block)))


def encode(pictures: np.ndarray, workers: int) -> None:
    """A, second half: finished index pictures (count, H, 1 + W) compressed with the same settings."""

    def part(first: int) -> int:
        size = 0
        for picture in pictures[first::workers]:
            stream = zlib.compressobj(
                full_size.LEVEL, zlib.DEFLATED, full_size.WINDOW_BITS, full_size.MEMORY_LEVEL
            )
            size += len(stream.compress(picture.data)) + len(stream.flush())
        return size

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(part, range(workers)))


def finished(net: nets.Net, height: int, width: int) -> np.ndarray:
    """All index pictures in memory, as A compresses them."""
    scales = [previews.scale(view) for view in previews.preview(net, height, width)]
    chosen = [(n, i) for n, count in enumerate(net.widths, 1) for i in range(count)]
    band = np.zeros((len(chosen), height, width + 1), np.uint8)
    full_size._fill(net, band, Raster(height, width), 0, height, scales, chosen, net.widths)
    return band


def spread(pairs: np.ndarray, kind: int = 0) -> str:
    """Median, least and most of the wall (0) or processor (1) seconds."""
    values = [float(pair[kind]) for pair in pairs]
    return f"{statistics.median(values):.2f} ({min(values):.2f} ... {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", help="of a trained 4x300 net on raw coordinates; untrained without it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="300x429")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    net = nets.build(named("classic"), 2, 3)
    if options.weights:
        net.load_state_dict({k: v.float() for k, v in load_file(options.weights).items()})
    units, count = sum(net.widths), height * width
    workers = available_threads()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        forward(net, height, width)
        everything(net, Path(folder), height, width)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        pictures = finished(net, height, width)
        forwards, encodings, alls = (
            np.array(taken)
            for taken in timing.take_turns(
                options.rounds,
                lambda: forward(net, height, width),
                lambda: encode(pictures, workers),
                lambda: everything(net, Path(folder), height, width),
                warm=0,
            )
        )
        ratios = alls / (forwards + encodings)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.png"))
    print(f"{units:,} neurons at {width}x{height}, {workers} cores, {torch.get_num_threads()} torch threads")
    print(f"bare forward {spread(forwards)} s, PNG encoding {spread(encodings)} s")
    print(f"sheets and files {spread(alls)} s, {size / 1e6:.1f} MB")
    print(f"ratio {spread(ratios)}, in processor seconds {spread(ratios, 1)}, at most 3 wanted")
    print(f"{units * count / alls[:, 0].min() / 1e6:.0f} million neuron pixels/s in the best round")
    print(f"peak memory {peak:.0f} MiB ({before:.0f} MiB before), below 1024 wanted")
    inputs = pixels.coordinates(height, width)
    targets = np.random.default_rng(0).random((count, 3), np.float32)
    bare, removed = timing.take_turns(
        options.rounds,
        lambda: forward(net, height, width),
        lambda: importance(net, len(net.widths), inputs, targets),
        warm=0,
    )
    worth = np.array(removed) / np.array(bare)
    print(f"importance of {net.widths[-1]} last-layer neurons: {spread(worth)} forward passes,")
    print(f"in processor seconds {spread(worth, 1)}, at most 3 wanted")


if __name__ == "__main__":
    main()
