"""A neuron's card: its picture, the painting with it and without it, what it adds, and its numbers."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ..data import Array
from ..drawing.canvas import font
from ..nets import Net
from ..painting import paint
from ..picture import Picture
from . import full_size
from .previews import Scale
from .statistics import Neurons, ablate

__all__ = ["added", "card"]

INK, SOFT, PAPER = (32, 33, 36), (110, 112, 116), (255, 255, 255)
CHANNELS = ((200, 50, 40), (40, 140, 60), (40, 80, 190))
MARGIN, GAP, FACTS, TALLEST = 20, 14, 300, 480


def added(net: Net, layer: int, index: int, height: int, width: int, *, where: str = "centres") -> Array:
    """What a neuron adds to the painting: painted with it minus without it, both clipped to [0, 1], (H, W, C)."""
    whole = paint(net, height, width, where=where).values
    difference: Array = whole - paint(ablate(net, [(layer, index)]), height, width, where=where).values
    return difference


def card(
    net: Net, rows: Neurons, index: int, colours: Scale, height: int, width: int, *, where: str = "centres"
) -> Picture:
    """The card of one neuron of the layer of `rows` (its table) and `colours` (its scale), for a picture of
    height x width; RGB. What it adds is shown around middle grey, amplified by the factor that is printed.

    Raises RecipeError for a neuron that does not exist.
    """
    share = min(1.0, TALLEST / height)
    h, w = max(1, round(height * share)), max(1, round(width * share))
    own = full_size.neuron(net, rows.layer, index, h, w, colours, where=where).picture().values
    whole = paint(net, h, w, where=where).values
    without = paint(ablate(net, [(rows.layer, index)]), h, w, where=where).values
    difference = whole - without
    largest = float(np.quantile(np.abs(difference), 0.995))
    gain = min(256.0, 0.48 / largest) if largest > 1e-6 else 1.0
    panels = [
        ("what it sees", own),
        ("the painting", whole),
        ("without it", without),
        (
            f"what it adds, x {gain:.2g}" if largest > 1e-6 else "what it adds: nothing",
            0.5 + gain * difference,
        ),
    ]
    left = MARGIN + len(panels) * (w + GAP) + 6
    image = Image.new("RGB", (left + FACTS, max(h, 330) + 2 * MARGIN + 24), PAPER)
    pen = ImageDraw.Draw(image)
    for place, (words, values) in enumerate(panels):
        at = MARGIN + place * (w + GAP)
        image.paste(_rgb(values), (at, MARGIN))
        size = 14 if pen.textlength(words, font(14)) <= w + GAP - 4 else 11
        pen.text((at, MARGIN + h + 6), words, SOFT, font(size))
    _facts(pen, left, rows, index)
    return Picture(np.asarray(image).astype(np.float32) / np.float32(255), name=f"card-{rows.layer}-{index}")


def _facts(pen: ImageDraw.ImageDraw, left: int, rows: Neurons, index: int) -> None:
    top = MARGIN - 4
    pen.text((left, top), f"Neuron {rows.layer}:{index}", INK, font(24))
    top += 40
    if not np.isnan(rows.importance[index]):
        place = int((rows.importance > rows.importance[index]).sum()) + 1
        _line(
            pen,
            left,
            top,
            f"{rows.importance[index]:.3g} dB",
            f"of PSNR lost without it, rank {place} of {rows.units}",
        )
        top += 42
    _line(
        pen,
        left,
        top,
        f"{rows.active[index]:.1%}",
        "of the pixels make it fire" + (": dead" if rows.dead[index] else ""),
    )
    top += 42
    _line(
        pen,
        left,
        top,
        f"{rows.mean[index]:.3g}",
        f"mean activation; saturated on {rows.saturated[index]:.1%}",
    )
    top += 42
    if rows.twin[index] >= 0:
        twin = f"{rows.layer}:{rows.twin[index]}"
        _line(pen, left, top, twin, f"its twin, correlation {rows.twin_correlation[index]:.3f}")
        top += 42
    weights = rows.outgoing[index]
    if not np.isnan(weights).any():
        largest = float(np.abs(rows.outgoing).max()) or 1.0
        for channel, weight in enumerate(weights[:4]):
            ink = CHANNELS[channel] if len(weights) == 3 else INK
            middle, reach = left + 105, 100
            end = middle + round(reach * float(weight) / largest)
            pen.rectangle([min(middle, end), top + 3, max(middle, end), top + 14], ink)
            pen.line([middle, top, middle, top + 17], SOFT)
            pen.text((left + 215, top), f"{weight:+.3f}", INK, font(13))
            top += 22
        pen.text((left, top + 2), "its weights to the colours", SOFT, font(12))


def _line(pen: ImageDraw.ImageDraw, left: int, top: int, value: str, words: str) -> None:
    pen.text((left, top), value, INK, font(17))
    pen.text((left, top + 21), words, SOFT, font(12))


def _rgb(values: Array) -> Image.Image:
    full = (np.clip(values[..., :3], 0, 1) * 255 + 0.5).astype(np.uint8)
    if full.shape[2] < 3:
        full = np.repeat(full[..., :1], 3, 2)
    return Image.fromarray(full)
