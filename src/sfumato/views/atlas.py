"""The neuron pictures of a run: sheets, files and table at any kept step, and views that hold still in a film.

    gallery = Gallery(run)
    gallery.sheet(2, step=500)                  # shows itself in a notebook
    gallery.write(neurons="2:117,3:5", sort="importance")

Colours and orders are fixed over the steps of the run, so that a change seen is a change of the net.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..drawing.canvas import Drawing
from ..errors import RecipeError
from ..neurons import cards, full_size, orders, previews, sheets, statistics
from ..neurons.previews import Preview, Scale
from ..neurons.raster import Looking, number, sample
from ..neurons.statistics import Neurons
from ..picture import LARGEST, Picture, parse_size, pixels
from ..runs.kept import spread

if TYPE_CHECKING:
    from ..nets import Net
    from ..runs import RunDirectory

__all__ = ["Gallery", "Still", "atlas_of", "hold_still"]

STEPS = 6
"""Kept steps over which colour ranges are measured, evenly spaced, the first and the last included."""

LARGEST_TABLE = 1 << 18
"""Pixels on which the table of a larger picture is made: a share is then good to 0.1 %."""


@dataclass(frozen=True, eq=False)
class Still:
    """Colour ranges and orders that stay the same while the weights change: what a film of neurons needs.

    height, width, where: the picture's raster. scales, arranged: of each hidden layer.
    """

    height: int
    width: int
    where: str
    scales: tuple[Scale, ...]
    arranged: tuple[orders.Order, ...]
    sorted_by: str

    def sheet(
        self, net: Looking, layer: int, *, title: str = "", tile: tuple[int, int] | None = None
    ) -> Drawing:
        """One layer's contact sheet for these weights. Every sheet of a layer and tile size has the same size."""
        view = self.scales[number(layer, len(self.scales)) - 1].view
        (small,) = previews.preview(
            net, self.height, self.width, view=view, where=self.where, tile=tile, layers=[layer]
        )
        return self.drawn(small, title)

    def neuron(
        self, net: Looking, layer: int, index: int, *, height: int | None = None, width: int | None = None
    ) -> Drawing:
        """One neuron's picture for these weights, at the picture's size or another."""
        size = height or self.height, width or self.width
        scale = self.scales[number(layer, len(self.scales)) - 1]
        return full_size.neuron(net, layer, index, *size, scale, where=self.where)

    def drawn(self, view: Preview, title: str = "") -> Drawing:
        """The contact sheet of a preview, in these colours and this order."""
        at = view.number - 1
        return sheets.sheet(
            view, self.scales[at], arranged=self.arranged[at], title=title, sorted_by=self.sorted_by
        )


def hold_still(
    nets: Sequence[Looking],
    height: int,
    width: int,
    *,
    where: str = "centres",
    view: str = "signed",
    per: str = "neuron",
    sort: str = "index",
    importance: Sequence[npt.ArrayLike] | None = None,
) -> Still:
    """Colour ranges that hold the values of all these nets (the steps of a run, oldest first), and the order of
    the last one. See `previews.scale` for `per`, `orders.order` for `sort`; importance: (units,) for each layer."""
    if not nets:
        raise RecipeError("colours are measured on at least one net")
    views = [previews.preview(net, height, width, view=view, where=where) for net in nets]
    return _held(views, height, width, where, per, sort, importance)


def _held(
    views: Sequence[Sequence[Preview]],
    height: int,
    width: int,
    where: str,
    per: str,
    sort: str,
    importance: Sequence[npt.ArrayLike] | None,
) -> Still:
    scales = [
        previews.widest([previews.scale(one, per=per) for one in layer]) for layer in zip(*views, strict=True)
    ]
    worth = importance if importance is not None else [None] * len(scales)
    arranged = [orders.order(one, sort, importance=w) for one, w in zip(views[-1], worth, strict=True)]
    return Still(height, width, where, tuple(scales), tuple(arranged), sort)


def atlas_of(
    run: RunDirectory,
    *,
    step: int | None = None,
    layer: int | None = None,
    chosen: str | None = None,
    size: str | None = None,
    view: str = "signed",
    per: str = "neuron",
    sort: str = "dead",
    plots: Sequence[str] = (),
    without: str | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """What `sfumato atlas` writes into the run: sheets, table, single neurons, plots, an ablated painting.

    layer: the only one whose sheet is drawn and whose neurons are measured. tell: hears what is being done.
    For other tasks than pictures: the sheet of the strongest features. Raises RecipeError for a selection, view
    or order that does not exist.
    """
    from .plots import check as check_plots
    from .plots import write as write_plots
    from .plots import write_without

    if run.recipe.task != "picture":
        return _features(run, step)
    check_plots(plots)
    orders.check(sort)  # all of it before anything is measured
    previews.check(view, per)
    gallery = Gallery(run, size=_size(size) if size else None, view=view, per=per, sort=sort)
    removed = orders.parse_neurons(without, run.recipe.net) if without else []
    layers = None if layer is None else [layer]
    paths = gallery.write(step=step, layers=layers, chosen=chosen, tell=tell)
    if plots:
        tell(f"plots: {', '.join(plots)}")
    paths += write_plots(run, plots, step)
    if removed:
        paths += write_without(run, removed, step)
    return paths


def _size(text: str) -> tuple[int, int]:
    width, height = parse_size(text)
    if width * height > LARGEST:
        raise RecipeError(f"size {text!r} is too large: at most {LARGEST:,} pixels a neuron\nhint: 1200x1716")
    return width, height


def _features(run: RunDirectory, step: int | None) -> list[Path]:
    """The task's own picture of its net, e.g. the weight pictures of digits."""
    from .. import picture, tasks

    task = tasks.task(run.recipe.task)
    data = task.load(run.source, run.recipe)
    path = run.room("atlas") / "features.png"
    picture.save(task.draw(run.net(step), data), path)
    return [path]


class Gallery:
    """All neuron views of one run of the picture task; nothing is computed before it is asked for."""

    def __init__(
        self,
        run: RunDirectory,
        *,
        size: tuple[int, int] | None = None,
        view: str = "signed",
        per: str = "neuron",
        sort: str = "dead",
        still: bool = False,
    ) -> None:
        """size: (width, height), the picture's own if None. still: colours fixed over all kept steps, as in a
        film; without it they are those of the step shown. Raises RunError where the run has no target picture."""
        self.run, self.view, self.per, self.sort, self.still = run, view, per, sort, still
        self.target = run.target
        self.width, self.height = size or (self.target.width, self.target.height)
        self.where = run.recipe.coordinates
        self._tables: dict[tuple[int | None, tuple[int, ...] | None], list[Neurons]] = {}

    def net(self, step: int | None = None) -> Net:
        """The net at the kept step nearest to `step`; None: the newest."""
        return self.run.net(step)

    @cached_property
    def over_time(self) -> Still:
        """Colours measured over up to STEPS kept steps, orders of the newest: for films."""
        at = spread(self.run.steps(), STEPS)
        return self._still([*(self.net(step) for step in at), self.net()], None)

    def table(
        self,
        step: int | None = None,
        *,
        layers: Sequence[int] | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> list[Neurons]:
        """The neurons table of all hidden layers, or of those numbered in `layers`, over all pixels; over a fixed
        random choice of LARGEST_TABLE for larger pictures. tell: hears which layer is being measured."""
        key = step, None if layers is None else tuple(layers)
        if key not in self._tables:
            height, width = self.target.height, self.target.width
            net = self.net(step)
            values = self.target.values[..., : net.outputs]  # a stored target may carry an opacity of 1
            inputs = pixels.coordinates(height, width, where=self.where)
            keep = sample(height * width, LARGEST_TABLE)
            self._tables[key] = statistics.table(
                net,
                np.ascontiguousarray(inputs[keep]),
                np.ascontiguousarray(values.reshape(height * width, net.outputs)[keep]),
                layers=layers,
                tell=tell,
            )
        return self._tables[key]

    def sheet(self, layer: int, step: int | None = None) -> Drawing:
        """The contact sheet of one layer."""
        net = self.net(step)
        still = self.over_time if self.still else self._still([net], step)
        return still.sheet(net, layer, title=self._title(layer, len(still.scales), step))

    def neuron(self, layer: int, index: int, step: int | None = None) -> Drawing:
        """One neuron at full size."""
        net = self.net(step)
        still = self.over_time if self.still else self._still([net], step)
        return still.neuron(net, layer, index)

    def card(self, layer: int, index: int, step: int | None = None) -> Picture:
        """One neuron's card: picture, painting with and without it, what it adds, its numbers."""
        net = self.net(step)
        rows = self.table(step)
        number(layer, len(rows))
        still = self._still([net], step)
        size = self.target.height, self.target.width
        return cards.card(net, rows[layer - 1], index, still.scales[layer - 1], *size, where=self.where)

    def write(
        self,
        *,
        step: int | None = None,
        layers: Sequence[int] | None = None,
        chosen: str | None = None,
        table: bool = True,
        tell: Callable[[str], None] = lambda text: None,
    ) -> list[Path]:
        """Write sheets `atlas/layer-2.png`, the table `atlas/neurons.csv` (of chosen `layers`
        `atlas/neurons-layer-2.csv`, which are measured alone) and, for `chosen` neurons (see
        `orders.parse_neurons`), `atlas/layer-2/neuron-117.png` into the run; the paths, sheets first.

        For a given step they lie in `atlas/step-000500/`, the step being the kept one nearest to it.
        """
        net = self.net(step)
        folder = self.run.room("atlas")
        if step is not None:
            folder = folder / f"step-{self.run.kept_step(step):06d}"
        picked = orders.parse_neurons(chosen, net.widths) if chosen else []
        wanted = list(layers) if layers is not None else list(range(1, len(net.widths) + 1))
        for layer in wanted:
            number(layer, len(net.widths))
        tell("looking at every neuron")
        views = previews.preview(net, self.height, self.width, view=self.view, where=self.where)
        still = self.over_time if self.still else self._held([views], step, layers, tell)
        paths = []
        for layer in wanted:
            tell(f"sheet of layer {layer}")
            drawn = still.drawn(views[layer - 1], self._title(layer, len(net.widths), step))
            paths.append(drawn.save(folder / f"layer-{layer}.png"))
        if table:
            rows = self.table(step, layers=layers, tell=tell)
            named = "" if layers is None else "-layer-" + "-".join(map(str, wanted))
            paths.append(statistics.write_csv(rows, folder / f"neurons{named}.csv"))
        if picked:
            tell(f"{len(picked)} neurons at full size")
            title = f"sfumato, {self.run.name}, step {self.run.kept_step(step)},"
            paths += full_size.plates(
                net, folder, self.height, self.width, still.scales, picked, where=self.where, title=title
            )
        return paths

    def _still(self, nets: Sequence[Net], step: int | None) -> Still:
        size = self.height, self.width
        return self._held(
            [previews.preview(net, *size, view=self.view, where=self.where) for net in nets], step
        )

    def _held(
        self,
        views: Sequence[Sequence[Preview]],
        step: int | None,
        layers: Sequence[int] | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> Still:
        worth = None
        if self.sort == "importance":
            worth = [np.zeros(one.units) for one in views[-1]]  # of layers that are not shown
            for one in self.table(step, layers=layers, tell=tell):
                worth[one.layer - 1] = one.importance
        return _held(views, self.height, self.width, self.where, self.per, self.sort, worth)

    def _title(self, layer: int, layers: int, step: int | None) -> str:
        return f"Layer {layer} of {layers}, step {self.run.kept_step(step):,}"
