"""The neurons of a report: each layer's tiles in one JPEG, and a row of numbers for each neuron."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ...data import Data
from ...drawing import palettes
from ...nets import Net
from ...neurons import features, orders, previews, statistics
from ...neurons.raster import sample, tensor, tile_pixels, widths
from ...picture import Picture, pixels
from ..atlas import LARGEST_TABLE
from ._pictures import LOSSLESS, gradient, uri

if TYPE_CHECKING:
    from ...runs import RunDirectory

__all__ = ["Sheet", "Table", "of_data", "of_picture", "sheets_of_picture", "sheets_of_weights"]

TILE = (104, 72)
"""Rows and columns of a tile at most, as an area."""

VALUES = 9_000_000
"""Pixels of all tiles of a page."""

MOST = 600
"""Neurons of a layer that get a tile: those with most contrast."""

BYTES = 1_150_000
"""All tiles together; the quality of the JPEGs is lowered until they fit."""

EXACT = 20_000
"""Pixels on which the table is measured, unless the run holds one measured on all of them."""


@dataclass(frozen=True)
class Sheet:
    """One layer's tiles, row by row without gaps. units: which neuron each tile shows.

    tile: its rows and columns of pixels. shape: width / height as it is to be shown. similar: places in an order
    in which neurons like one another stand side by side.
    """

    layer: int
    units: tuple[int, ...]
    total: int
    columns: int
    rows: int
    tile: tuple[int, int]
    shape: float
    uri: str
    what: str
    left: str
    middle: str
    right: str
    gradient: str
    similar: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """Rows of numbers; columns as (key, name, meaning). note: on what they were measured."""

    columns: tuple[tuple[str, str, str], ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str


MEANING = {
    "layer": ("layer", "hidden layer, from 1"),
    "index": ("neuron", "its number in the layer, from 0"),
    "mean": ("mean", "mean activation"),
    "active": ("active", "share of inputs on which it fires"),
    "saturated": ("saturated", "share of inputs on which its slope is nearly 0"),
    "dead": ("dead", "fires nowhere, or is constant"),
    "twin": ("twin", "the neuron of the layer most like it"),
    "twin_correlation": ("correlation", "with its twin"),
    "importance_decibels": ("importance", "dB of PSNR lost when it is set to 0"),
    "strength": (
        "strength",
        "norm of its incoming weights, times that of its outgoing ones where it has any",
    ),
}


# Tiles -------------------------------------------------------------------------------------------------------


def sheets_of_picture(net: Net, height: int, width: int, where: str) -> list[Sheet]:
    """Signed pre-activations (activations where they have no firing boundary) of every layer as tiles."""
    counts = [min(MOST, units) for units in widths(net)]
    size = _tile(height, width, sum(counts))
    made, facts = [], []
    for view in previews.preview(net, height, width, where=where, tile=size):
        units = np.arange(view.units)
        if view.units > MOST:
            units = np.sort(orders.order(view, "contrast")[:MOST])
        scale = previews.scale(view)
        low, high = scale.low[units, None, None], scale.high[units, None, None]
        made.append(palettes.index(view.values[units], low, high))
        similar = orders.chain(orders.correlations(view.values[units])) if len(units) > 1 else np.arange(1)
        facts.append((view, units, similar))
    table = palettes.palette("diverging")
    result = []
    for (view, units, similar), (data, columns, rows) in zip(facts, _encoded(made, table), strict=True):
        boundary = "0, where it begins to fire" if "pre" in view.what else "0"
        result.append(
            Sheet(
                view.number,
                tuple(map(int, units)),
                view.units,
                columns,
                rows,
                size,
                width / height,
                data,
                view.what,
                "−r",
                boundary,
                "r, for each neuron its own",
                gradient(table),
                tuple(map(int, similar)),
            )
        )
    return result


def sheets_of_weights(net: Net, data: Data) -> list[Sheet]:
    """Incoming weights of the first layer's strongest units as tiles; empty where inputs are no pictures."""
    side = data.facts.get("side")
    if side is None or math.prod(side) != data.inputs.shape[1]:
        return []
    units = np.sort(features.strongest(net, MOST))
    weights = features.incoming(net)[units]
    limits = np.maximum(np.quantile(np.abs(weights), features.QUANTILE, axis=1, keepdims=True), 1e-12)
    tiles = palettes.index(weights, -limits, limits).reshape(-1, *side)
    grow = max(1, 48 // max(side))
    tiles = np.repeat(np.repeat(tiles, grow, 1), grow, 2)
    table = palettes.palette("diverging")
    similar = orders.chain(orders.correlations(weights[:, :, None])) if len(units) > 1 else np.arange(1)
    ((data_uri, columns, rows),) = _encoded([tiles], table)
    return [
        Sheet(
            1,
            tuple(map(int, units)),
            net.widths[0],
            columns,
            rows,
            (tiles.shape[1], tiles.shape[2]),
            side[1] / side[0],
            data_uri,
            "weights from each pixel",
            "−r",
            "0",
            "r, for each neuron its own",
            gradient(table),
            tuple(map(int, similar)),
        )
    ]


def _tile(height: int, width: int, count: int) -> tuple[int, int]:
    """Rows and columns of a tile; multiples of 8 where it is large enough: a JPEG block holds one tile only."""
    area = min(height * width, TILE[0] * TILE[1], VALUES // max(1, count))
    share = math.sqrt(area / (height * width))
    h, w = max(1.0, height * share), max(1.0, width * share)
    if min(h, w) < 16:
        return max(1, min(512, round(h))), max(1, min(512, round(w)))
    return max(8, round(h / 8) * 8), max(8, round(w / 8) * 8)


def _encoded(layers: Sequence[palettes.Indices], table: palettes.Palette) -> list[tuple[str, int, int]]:
    """(data URI, columns, rows) of each layer's tiles (count, h, w), together within BYTES."""
    grids = []
    for tiles in layers:
        count, h, w = tiles.shape
        columns = max(1, min(count, round(math.sqrt(count * h / w))))
        rows = -(-count // columns)
        padded = np.full((rows * columns, h, w), palettes.PAPER, np.uint8)
        padded[:count] = tiles
        grid = padded.reshape(rows, columns, h, w).transpose(0, 2, 1, 3).reshape(rows * h, columns * w)
        grids.append((np.ascontiguousarray(grid), columns, rows))
    if sum(grid.size for grid, _, _ in grids) <= 4 * LOSSLESS:
        return [(uri(palettes.png(grid, table), "image/png"), c, r) for grid, c, r in grids]
    made: list[bytes] = []
    for quality in (72, 62, 50, 38, 26):
        made = [_jpeg(table[grid], quality) for grid, _, _ in grids]
        if sum(map(len, made)) <= BYTES:
            break
    return [(uri(data, "image/jpeg"), c, r) for data, (_, c, r) in zip(made, grids, strict=True)]


def _jpeg(values: palettes.Palette, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


# Numbers -----------------------------------------------------------------------------------------------------


def of_picture(run: RunDirectory, net: Net, target: Picture) -> Table:
    """The neurons table: the run's own `atlas/neurons.csv` if it is newer than the weights, else a quick one."""
    kept = run.file("atlas/neurons.csv")
    weights = run.file("checkpoint.safetensors")
    if kept.exists() and (not weights.exists() or kept.stat().st_mtime >= weights.stat().st_mtime):
        with kept.open(encoding="utf-8", newline="") as file:
            rows = [{k: _parsed(v) for k, v in row.items()} for row in csv.DictReader(file)]
        all_of_it, most = run.target.height * run.target.width, LARGEST_TABLE
        part = "all pixels" if all_of_it <= most else f"{most:,} of the {all_of_it:,} pixels"
        return _table(rows, f"measured on {part}, by sfumato atlas")
    count = target.height * target.width
    at = sample(count, EXACT)
    inputs = pixels.coordinates(target.height, target.width, where=run.recipe.coordinates)[at]
    values = target.values[..., : net.outputs].reshape(count, -1)[at]
    made = statistics.table(net, np.ascontiguousarray(inputs), np.ascontiguousarray(values), samples=1024)
    whole = len(at) == count
    note = "measured on all pixels" if whole else f"measured on {len(at):,} of the {count:,} pixels"
    if len(made) > 1 and count > 1024:
        note += ", importance of inner layers on 1,024"
    return _table([row for one in made for row in one.rows()], note)


def of_data(net: Net, data: Data, samples: int = 2000) -> Table:
    """Mean, active share and strength of every neuron on held-out samples, or on others where none are held out."""
    inputs = (data.hidden_inputs if len(data.hidden_inputs) else data.inputs)[:samples]
    sums: dict[int, list[np.ndarray[Any, Any]]] = {}
    size = tile_pixels(max(net.widths))
    import torch

    rectifier = previews.is_rectifier(net)
    with torch.no_grad():
        for first in range(0, len(inputs), size):
            for n, layer in enumerate(net.hidden(tensor(net, inputs[first : first + size])), 1):
                part = [
                    layer.post.sum(0).double().numpy(),
                    torch.count_nonzero(layer.pre > 0, 0).double().numpy(),
                ]
                sums[n] = [a + b for a, b in zip(sums[n], part, strict=True)] if n in sums else part
    rows = []
    strength = features.strength(net)
    for n, (total, active) in sums.items():
        for i in range(len(total)):
            row = {"layer": n, "index": i, "mean": total[i] / len(inputs), "active": active[i] / len(inputs)}
            if rectifier:
                row["dead"] = bool(active[i] == 0)
            rows.append(row | ({"strength": float(strength[i])} if n == 1 else {"strength": None}))
    return _table(rows, f"measured on {len(inputs):,} samples")


def _table(rows: Sequence[dict[str, Any]], note: str) -> Table:
    keys = sorted((k for k in rows[0] if k != "importance_samples"), key=_rank) if rows else []
    columns = []
    for key in keys:
        name, meaning = MEANING.get(key, (key.removeprefix("weight_"), ""))
        if key.startswith("weight_"):
            name = "to " + name
            meaning = f"weight {name}, last layer only"
        columns.append((key, name, meaning))
    short = tuple(tuple(_short(row[k]) for k in keys) for row in rows)
    return Table(tuple(columns), short, note)


def _rank(key: str) -> int:
    """Columns by what matters most on a narrow screen; the others follow as they come."""
    first = ("layer", "index", "importance_decibels", "strength", "active", "mean", "dead", "twin")
    return first.index(key) if key in first else len(first)


def _short(value: Any) -> Any:
    """Four digits are enough to read; None where there is nothing to say."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.4g}")


def _parsed(text: str) -> Any:
    if text in ("", "true", "false"):
        return {"": None, "true": True, "false": False}[text]
    return int(text) if text.lstrip("-").isdigit() else float(text)
