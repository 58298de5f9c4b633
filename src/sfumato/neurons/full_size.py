"""Full-size pictures of single neurons, `layer-2/neuron-117.png`: any size, one forward pass, bounded memory.

The net goes over the picture in bands of rows. Values become palette indices as they come, and each band goes
through one zlib stream for each neuron, on all cores; compressed bytes beyond PENDING_BYTES go to disk. So
memory depends on the number of neurons, not on the picture: about BAND_BYTES + PENDING_BYTES + 96 KiB a neuron.
"""

from __future__ import annotations

import os
import secrets
import shutil
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..drawing.canvas import Drawing
from ..drawing.palettes import LEVELS, Indices
from ..errors import RecipeError
from ..files import writing
from ..machine import available_threads
from ..picture import png
from .previews import Scale, shown
from .raster import Looking, Raster, blocks, check_finite, tensor, tile_pixels, widths

__all__ = ["neuron", "plates"]

BAND_BYTES = 48 << 20
"""Palette indices of a band of rows, all neurons together."""

PENDING_BYTES = 64 << 20
"""Compressed bytes that wait in memory before they are appended to their files."""

WINDOW_BITS, MEMORY_LEVEL = 13, 7
"""A window of 8 KiB: 96 KiB a stream instead of 256, for files 2 % larger than with the full one."""

LEVEL = 1
"""zlib's: at these pictures level 6 takes twice the time for a sixth of the bytes."""


def plates(
    net: Looking,
    folder: str | os.PathLike[str],
    height: int,
    width: int,
    scales: Sequence[Scale],
    chosen: Sequence[tuple[int, int]] | None = None,
    *,
    where: str = "centres",
    threads: int | None = None,
    title: str = "",
) -> list[Path]:
    """Write the pictures of the chosen neurons, and return their paths in the order chosen.

    scales: one for each hidden layer, from `atlas.scale` (fixed over the steps of a film). chosen: (layer,
    index) pairs, see `atlas.parse_neurons`; all neurons if None. threads: for compression, all available ones
    if None. The value of a pixel is read back from its palette index i as low + i (high - low) / 238; low and
    high stand in the file's comment, after `title`. No file is moved to its place before all are complete; after a
    failure before that no new one is left. Raises RecipeError for a neuron that does not exist, RunError where the
    disk refuses or weights are not finite.
    """
    check_finite(net)
    units = widths(net)
    if chosen is None:
        chosen = [(n, i) for n, count in enumerate(units, 1) for i in range(count)]
    for n, i in chosen:
        if not (1 <= n <= len(units) and 0 <= i < units[n - 1]):
            raise RecipeError(
                f"neuron {n}:{i} does not exist: the layers have {', '.join(map(str, units))} neurons"
            )
    if not chosen or height < 1 or width < 1 or len(scales) != len(units):
        raise RecipeError(
            f"{len(chosen)} neurons at {width}x{height} with {len(scales)} scales for {len(units)} layers: "
            "at least one neuron and pixel, and a scale for each layer are needed"
        )
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        passing = folder / f".plates-{secrets.token_hex(4)}.part"
        passing.mkdir()
        try:
            return _written(
                net,
                folder,
                passing,
                Raster(height, width, where),
                scales,
                list(chosen),
                units,
                threads,
                title,
            )
        finally:
            shutil.rmtree(passing, ignore_errors=True)


class _Plate:
    """One neuron's file as it grows: a zlib stream, and bytes not yet on disk."""

    def __init__(self, path: Path, header: bytes) -> None:
        self.path, self.parts, self.size = path, [header], len(header)
        self.stream = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL)

    def add(self, rows: Indices) -> None:
        """Compress some rows, each with its leading filter byte."""
        data = self.stream.compress(rows.data)
        if data:
            self._keep(png.chunk(b"IDAT", data))

    def finish(self) -> None:
        self._keep(png.chunk(b"IDAT", self.stream.flush()) + png.chunk(b"IEND", b""))
        del self.stream
        self.flush()

    def flush(self) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(self.parts))
        self.parts, self.size = [], 0

    def _keep(self, data: bytes) -> None:
        self.parts.append(data)
        self.size += len(data)


def _written(
    net: Looking,
    folder: Path,
    passing: Path,
    raster: Raster,
    scales: Sequence[Scale],
    chosen: list[tuple[int, int]],
    units: tuple[int, ...],
    threads: int | None,
    title: str,
) -> list[Path]:
    height, width = raster.height, raster.width
    order = sorted(set(chosen))
    slots = {pair: slot for slot, pair in enumerate(order)}
    names = {(n, i): f"layer-{n}/neuron-{i:0{len(str(units[n - 1] - 1))}d}.png" for n, i in order}
    made: list[_Plate] = []
    for n, i in order:
        low, high = float(scales[n - 1].low[i]), float(scales[n - 1].high[i])
        note = f"{title} neuron {n}:{i}, index 0 = {low:.7g}, index {LEVELS - 1} = {high:.7g}".strip()
        header = png.palette_header(height, width, scales[n - 1].palette, text=note)
        made.append(_Plate(passing / f"{n}-{i}.png", header))
    rows_at_once = max(1, min(height, BAND_BYTES // ((width + 1) * len(order))))
    band = np.zeros((len(order), rows_at_once, width + 1), np.uint8)  # column 0 stays: "no filter"
    workers = threads or available_threads()
    with ThreadPoolExecutor(workers) as pool:
        for top in range(0, height, rows_at_once):
            bottom = min(height, top + rows_at_once)
            _fill(net, band, raster, top, bottom, scales, order, units)
            rows = bottom - top

            def compress(part: int, rows: int = rows) -> None:
                for slot in range(part, len(made), workers):
                    made[slot].add(band[slot, :rows])

            list(pool.map(compress, range(workers)))
            if sum(plate.size for plate in made) > PENDING_BYTES:
                for plate in made:
                    plate.flush()
        list(pool.map(_Plate.finish, made))
    for pair in order:
        (folder / names[pair]).parent.mkdir(exist_ok=True)
    for pair in order:
        made[slots[pair]].path.replace(folder / names[pair])
    return [folder / names[pair] for pair in chosen]


@torch.no_grad()
def _fill(
    net: Looking,
    band: Indices,
    raster: Raster,
    top: int,
    bottom: int,
    scales: Sequence[Scale],
    order: list[tuple[int, int]],
    units: tuple[int, ...],
) -> None:
    """The palette indices of rows top ... bottom into band[slot, row - top, 1 + column]."""
    target = torch.from_numpy(band)
    maps: dict[int, tuple[slice, Tensor | None, Tensor, Tensor]] = {}
    for n in sorted({n for n, _ in order}):
        members = [i for layer, i in order if layer == n]
        first = order.index((n, members[0]))
        at = np.array(members)
        low, high = scales[n - 1].low[at].astype(np.float64), scales[n - 1].high[at].astype(np.float64)
        factor = (LEVELS - 1) / (high - low)
        columns = None if len(members) == units[n - 1] else torch.from_numpy(at)
        shift = torch.from_numpy((0.5 - low * factor).astype(np.float32))  # + 1/2: rounding by truncation
        maps[n] = (
            slice(first, first + len(members)),
            columns,
            torch.from_numpy(factor.astype(np.float32)),
            shift,
        )
    last = max(maps)
    for block in blocks(top, bottom, raster.width, tile_pixels(max(units))):
        rows, across = block.shape
        for n, layer in enumerate(net.hidden(tensor(net, raster.block(block))), 1):
            if n in maps:
                where, columns, factor, shift = maps[n]
                values = shown(net, layer, scales[n - 1].view)
                if columns is not None:
                    values = values[:, columns.to(values.device)]
                values = values.float().cpu()
                # In place where the values are ours: pre-activations are not read again by `hidden`.
                scaled = torch.addcmul(shift, values, factor)
                indices = scaled.clamp_(0.5, LEVELS - 0.5).to(torch.uint8)
                area = target[where, block.top - top : block.bottom - top, 1 + block.left : 1 + block.right]
                area.copy_(indices.view(rows, across, -1).permute(2, 0, 1))
            if n == last:
                break


def neuron(
    net: Looking, layer: int, index: int, height: int, width: int, colours: Scale, *, where: str = "centres"
) -> Drawing:
    """One neuron at full size; `colours` is its layer's scale, fixed over the steps of a film.

    Raises RecipeError where the neuron does not exist.
    """
    check_finite(net)
    units = widths(net)
    if not (1 <= layer <= len(units) and 0 <= index < units[layer - 1]):
        raise RecipeError(
            f"neuron {layer}:{index} does not exist: the layers have {', '.join(map(str, units))} neurons"
        )
    band = np.zeros((1, height, width + 1), np.uint8)
    scales = [colours] * len(units)
    _fill(net, band, Raster(height, width, where), 0, height, scales, [(layer, index)], units)
    return Drawing(np.ascontiguousarray(band[0, :, 1:]), colours.palette, f"neuron-{layer}-{index}")
