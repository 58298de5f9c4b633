"""What a whole net does, drawn for a run at its kept steps: linear regions, error by frequency, effective ranks.

Each function of this module writes its pictures into the run's `atlas/` folder and returns their paths; the
definitions are `regions` and `spectrum`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import picture
from ..errors import RecipeError
from ..nets import Net
from ..neurons import regions, spectrum, statistics
from ..painting import paint
from ..picture import pixels
from ..recipe.variants import near
from ..runs import RunDirectory
from ..runs.kept import spread

__all__ = ["check", "draw_ranks", "draw_regions", "draw_spectrum", "write", "write_without"]

PLOTS = ("regions", "spectrum", "ranks")

STEPS = 8
"""Kept steps in a plot over training, spread evenly over those kept, the first and the last included."""


def write(run: RunDirectory, names: Sequence[str], step: int | None = None) -> list[Path]:
    """Draw the plots of these names (regions, spectrum, ranks); RecipeError for another name.

    step: for the picture of the regions; the plots over training use the kept steps.
    """
    known = {"regions": draw_regions, "spectrum": draw_spectrum, "ranks": draw_ranks}
    check(names)
    return [path for name in names for path in known[name](run, step)]


def check(names: Sequence[str]) -> None:
    """RecipeError for a name that is no plot."""
    for name in names:
        if name not in PLOTS:
            raise RecipeError(f"plot {name!r} is unknown; {near(name, list(PLOTS))}")


def draw_regions(run: RunDirectory, step: int | None = None) -> list[Path]:
    """`regions.png`, the partition by layer at `step`, and `region-counts.png` over training."""
    target, where = run.target, run.recipe.coordinates
    size = target.height, target.width
    counts = {at: regions.regions(net, *size, where=where).counts for at, net in _over_time(run)}
    # Lines on a raster three times as fine, then averaged: smooth, where single pixels would be stairs.
    fine = regions.regions(run.net(step), 3 * size[0], 3 * size[1], where=where)
    ground = picture.from_array(target.values[..., : min(3, target.channels)])
    made = {
        "regions.png": fine.sheet(ground=ground, reduce=3),
        "region-counts.png": regions.count_chart(counts),
    }
    return [_save(run, name, drawn) for name, drawn in made.items()]


def draw_spectrum(run: RunDirectory, step: int | None = None) -> list[Path]:
    """`spectrum.png`: the painting's error by frequency at the kept steps."""
    target = run.target
    spectra = {}
    for at, net in _over_time(run):
        painted = paint(net, target.height, target.width, where=run.recipe.coordinates).values
        spectra[at] = spectrum.error_spectrum(target.values[..., : net.outputs], painted)
    return [_save(run, "spectrum.png", spectrum.error_chart(spectra))]


def draw_ranks(run: RunDirectory, step: int | None = None) -> list[Path]:
    """`ranks.png` and `gradient-ranks.png`: effective rank of each layer at the kept steps."""
    target = run.target
    inputs = pixels.coordinates(target.height, target.width, where=run.recipe.coordinates)
    forward, backward = {}, {}
    for at, net in _over_time(run):
        wanted = np.ascontiguousarray(target.values.reshape(len(inputs), -1)[:, : net.outputs])
        forward[at] = spectrum.activation_ranks(net, inputs)
        backward[at] = spectrum.gradient_ranks(net, inputs, wanted)
    return [
        _save(run, "ranks.png", spectrum.rank_chart(forward)),
        _save(run, "gradient-ranks.png", spectrum.rank_chart(backward, of="gradients")),
    ]


def write_without(
    run: RunDirectory, chosen: Sequence[tuple[int, int]], step: int | None = None
) -> list[Path]:
    """`without.png`: the painting with the chosen (layer, index) neurons removed; see `statistics.ablate`."""
    target = run.target
    net = statistics.ablate(run.net(step), chosen)
    painted = paint(net, target.height, target.width, where=run.recipe.coordinates, icc=target.icc)
    return [_save(run, "without.png", painted)]


def _over_time(run: RunDirectory) -> list[tuple[int, Net]]:
    return [(step, run.net(step)) for step in spread(run.steps(), STEPS)]


def _save(run: RunDirectory, name: str, drawn: picture.Picture) -> Path:
    folder = run.room("atlas")
    picture.save(drawn, folder / name)
    return folder / name
