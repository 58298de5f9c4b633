"""Contact sheets: every neuron of a layer a tile, with its index below and the legend of its colours on top.

views = preview(net, 429, 300)
sheet(views[1], scale(views[1])).save("layer-2.png")
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..drawing import palettes
from ..drawing.canvas import Drawing, tiled
from .orders import Order
from .previews import Preview, Scale

__all__ = ["sheet"]

SORTED = {"dead": "active share"}
"""What a sheet prints for an order whose name says less."""


def sheet(
    view: Preview,
    colours: Scale,
    *,
    arranged: Order | None = None,
    title: str = "",
    sorted_by: str = "index",
    captions: Sequence[str] | None = None,
) -> Drawing:
    """The contact sheet of one layer: every neuron a tile with its index below, the legend on top.

    arranged: units in the order of the sheet (see `order`), any subset of them. title: printed first, e.g. the
    run and step. sorted_by: printed. captions: one for each unit of the layer, instead of its index.
    """
    chosen = np.arange(view.units) if arranged is None else np.asarray(arranged)
    dead = int(view.dead[chosen].sum())
    tiles = palettes.index(
        view.values[chosen], colours.low[chosen, None, None], colours.high[chosen, None, None]
    )
    below = [captions[i] if captions else f"{i}" for i in chosen]
    heading = title or f"Layer {view.number}"
    facts = [f"{len(chosen):,} neurons", f"sorted by {SORTED.get(sorted_by, sorted_by)}"]
    facts.append(f"{dead} dead" if dead else "none dead")
    one = len(set(colours.high)) == 1
    if colours.view == "signed":
        meaning = "white = 0, where a neuron begins to fire" if "pre" in view.what else "white = 0"
        legend = f"{view.what}: {meaning}; r = {colours.words}"
        ends = (f"{colours.low[0]:.3g}", f"{colours.high[0]:.3g}") if one else ("-r", "r")
    else:
        legend = f"{view.what}: {colours.words}"
        ends = (f"{colours.low[0]:.3g}", f"{colours.high[0]:.3g}") if one else ("low", "high")
    return tiled(
        tiles,
        colours.palette,
        captions=below,
        faint=[bool(view.dead[i]) for i in chosen],
        heading=heading,
        facts=" · ".join(facts),
        legend=legend,
        ends=ends,
    )
