"""Films with more than the painting: error map, score curve, neurons and whole layers, all in step.

    film(run, with_=("error", "curve", "neurons"))      neurons: a few with the most contrast
    film(run, with_=("2:117", "3:5"))                   chosen ones, as `orders.parse_neurons` reads them
    film(run, with_=("layer:2", "alone"))               a layer's contact sheet, without the painting

The steps are those whose weights were kept, and everything is drawn from these weights; `curve` alone needs no
weights and shows the frames of a film. Colours are fixed over the whole film, so a change seen is a
change of the net.
"""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from .. import picture
from ..drawing import palettes
from ..drawing.canvas import font, text_width
from ..drawing.charts import INK, PAPER, Series, chart
from ..drawing.video import Frame
from ..errors import RecipeError, RunError
from ..neurons import orders
from ..neurons.raster import Raster, blocks, number, tensor, tile_pixels
from ..painting import paint
from ..picture import metrics
from ..words import epoch_text, score_text
from . import timeline
from .frames import LONGEST, opened, to_srgb, wanted_size

if TYPE_CHECKING:
    from ..nets import Net
    from ..runs import RunDirectory
    from .atlas import Gallery, Still

__all__ = ["Wanted", "frames", "parse"]

KNOWN = ("error", "curve", "neurons", "alone", "layer:2", "2:117")

LETTERS, GAP, MARGIN = 13, 10, 14
TITLE = round(1.6 * LETTERS)
"""Pixels: height of letters, space between panels, border of the film, height of a panel's title."""

LEAST = 420
"""Pixels across, at least, of a curve."""

UNTITLED = 34
"""Rows of a chart that its title would take."""

WIDEST = 260
"""Pixels across, at most, of a neuron among others."""

CHOSEN = 8
"""Neurons shown where none are named."""

ERROR_SHARE = 0.99
"""The error map's colours end at this quantile of the errors half way through the film's frames."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for: `neurons` is a selection as text, "best" or empty; `layers` count from 1."""

    painting: bool = True
    error: bool = False
    curve: bool = False
    neurons: str = ""
    layers: tuple[int, ...] = ()

    @property
    def weights(self) -> bool:
        """Whether kept weights are needed."""
        return bool(self.error or self.neurons or self.layers)


def parse(words: Sequence[str]) -> Wanted:
    """Panels as a person types them, see above. Raises RecipeError with the nearest known word."""
    chosen: list[str] = []
    layers: list[int] = []
    plain: set[str] = set()
    for word in (w.strip().lower() for w in words):
        if re.fullmatch(r"layer[:=-]?\d{1,6}", word):
            layers.append(int(re.sub(r"\D", "", word)))
        elif re.fullmatch(r"\d+:[\dal-]+", word):
            chosen.append(word)
        elif word in ("error", "curve", "neurons", "alone"):
            plain.add(word)
        elif word != "painting":
            near = difflib.get_close_matches(word, KNOWN, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(KNOWN)}"
            raise RecipeError(f"panel {word!r} is unknown; {hint}")
    neurons = ",".join(chosen) or ("best" if "neurons" in plain else "")
    wanted = Wanted("alone" not in plain, "error" in plain, "curve" in plain, neurons, tuple(layers))
    if not (wanted.weights or wanted.curve):
        raise RecipeError(
            f"a film with panels needs at least one of {', '.join(KNOWN[:3])}, a layer or a neuron"
        )
    return wanted


def frames(
    run: RunDirectory,
    words: Sequence[str],
    *,
    size: str | tuple[int, int] | None = None,
    pace: str = "",
) -> tuple[int, Iterator[Frame], None]:
    """How many frames, the frames as they come, and None: false colours and paintings share sRGB.

    size: of the painting's panel, (width, height), "600x858" or "2x"; without it the picture's own, enlarged or
    reduced by a whole factor to between 256 and 900 pixels. Memory: a few frames and one preview of the net.
    Raises RecipeError for panels that do not exist, RunError where the run lacks what they need.
    """
    wanted = parse(words)
    if wanted.weights and run.recipe.task != "picture":
        raise RecipeError(f"{run.name} is of task {run.recipe.task}: its film can only be joined by curve")
    if not wanted.weights:
        listed = run.frames()
        if not listed:
            raise RunError(
                f"{run.folder} holds no frames\nhint: sfumato resume {shlex.quote(str(run.folder))}"
            )
        chosen = timeline.shown(listed, pace)
        return len(chosen), _with_curve(run, wanted, chosen, size), None
    if pace:
        raise RecipeError(
            f"pace={pace!r} is of kept frames, and these panels are drawn from kept weights: each is shown\n"
            "hint: leave out the pace, or take the panel curve alone"
        )
    steps = run.steps()
    if not steps:
        raise RunError(f"{run.folder} holds no weights\nhint: sfumato resume {shlex.quote(str(run.folder))}")
    return len(steps), _drawn(run, wanted, steps, size), None


# What is drawn at each step ------------------------------------------------------------------------------------


def _with_curve(
    run: RunDirectory, wanted: Wanted, listed: list[tuple[int, Path]], size: str | tuple[int, int] | None
) -> Iterator[Frame]:
    lines = {line["step"]: line for line in run.history}
    curve = _Curve(run)
    transform = None
    for count, (step, path) in enumerate(listed):
        image = opened(path)
        if count == 0:
            transform = (
                to_srgb(image.info["icc_profile"], image.mode) if "icc_profile" in image.info else None
            )
            fit = _Scaled(image.size, size)
        image = transform.apply(image) if transform else image.convert("RGB")
        line = lines.get(step, {})
        title = _title(step, line)
        panels = [_panel(title, fit(image))] if wanted.painting else []
        across = max([LEAST, *(panel.shape[1] for panel in panels)])
        panels.append(curve.panel(step, curve.value(line), across))
        yield _framed(_column(panels))


def _drawn(
    run: RunDirectory, wanted: Wanted, steps: list[int], size: str | tuple[int, int] | None
) -> Iterator[Frame]:
    from .atlas import Gallery

    target = run.target
    where = run.recipe.coordinates
    fit = _Scaled((target.width, target.height), size)
    gallery = Gallery(run, sort="contrast")
    looked = bool(wanted.neurons or wanted.layers)
    still = gallery.over_time if looked else None
    chosen = _chosen(wanted.neurons, gallery) if wanted.neurons else []
    errors = _Errors(run, steps[len(steps) // 2], target) if wanted.error else None
    curve = _Curve(run) if wanted.curve else None
    transform = to_srgb(target.icc, "L" if target.channels == 1 else "RGB") if target.icc else None
    epoch_of = epochs_of(run)
    for step in steps:
        net, epoch = run.net(step), epoch_of(step)
        row: list[Frame] = []
        decibels = math.nan
        if wanted.painting or wanted.error or wanted.curve:
            values = paint(net, target.height, target.width, where=where).values
            decibels = metrics.psnr(target.values, values)
            if wanted.painting:
                line = {"epoch": epoch, "psnr": None if math.isinf(decibels) else decibels}
                row.append(_panel(_title(step, line), fit(_shown(values, transform))))
            if errors is not None:
                row.append(_panel(errors.title, fit(errors.image(values))))
        if chosen and still is not None:
            row.append(_neurons(net, still, chosen, fit.down, epoch_text(epoch)))
        rows = [_row(row)] if row else []
        if still is not None:
            rows += [_layer(net, still, layer, epoch) for layer in wanted.layers]
        if curve is not None:
            rows.append(curve.panel(step, decibels, max([LEAST, *(r.shape[1] for r in rows)])))
        yield _framed(_column(rows))


def _shown(values: npt.NDArray[np.float32], transform: Any) -> Image.Image:
    """A painting (H, W, C) as an RGB image in sRGB, opacity laid on white."""
    if values.shape[2] == 4:
        values = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    levels = (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    image = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    result: Image.Image = transform.apply(image) if transform else image.convert("RGB")
    return result


class _Errors:
    """The mean over the colours of |painting - target|, black where it is 0; one scale for the whole film."""

    def __init__(self, run: RunDirectory, step: int, target: picture.Picture) -> None:

        self._target, self._palette = target.values, palettes.palette("heat")
        values = paint(run.net(step), target.height, target.width, where=run.recipe.coordinates).values
        top = float(np.quantile(np.abs(values - target.values).mean(2), ERROR_SHARE))
        self._top = float(f"{max(top, 1 / 255):.1g}")  # a round number, for the legend
        self.title = f"mean |error|, black 0, pale {self._top:g} and more"

    def image(self, values: npt.NDArray[np.float32]) -> Image.Image:
        indices = palettes.index(np.abs(values - self._target).mean(2), 0, self._top)
        return Image.fromarray(self._palette[indices])


class _Curve:
    """The score over epochs: all of it pale, so that the axes stand still, and what has been so far on top."""

    def __init__(self, run: RunDirectory) -> None:
        lines = [line for line in run.history if "epoch" in line]
        self._name = next(
            (n for n in (lines[-1] if lines else {}) if n == "psnr" or n.endswith("_error")), ""
        )
        points = [(line["step"], line["epoch"], self.value(line)) for line in lines]
        self._steps, self._epochs, self._values = np.array(points or [(0, 0, math.nan)], np.float64).T
        if not np.isfinite(self._values[self._epochs > 0]).any():
            raise RunError(f"{run.folder}: metrics.jsonl holds no score to draw a curve of")
        self._epoch_of = epochs_of(run)

    def value(self, line: Any) -> float:
        """Decibels, or errors in per cent; nan where unknown."""
        value = line.get(self._name)
        return math.nan if value is None else float(value) * (1 if self._name == "psnr" else 100)

    def panel(self, step: int, value: float, across: int) -> Frame:
        """The chart `across` pixels wide, up to and with `step`, whose score is `value`."""
        past = self._steps < step
        epoch = self._epoch_of(step)
        now = np.array([epoch]), np.array([value])
        so_far = np.append(self._epochs[past], epoch), np.append(self._values[past], value)
        series = [
            Series("whole run", self._epochs, self._values, (205, 207, 211)),
            Series("so far", *so_far, (0, 114, 178)),
            Series("now", *now, (213, 94, 0)),
        ]
        name = "PSNR in dB" if self._name == "psnr" else f"{self._name.replace('_', ' ')} in %"
        height = max(200, min(340, round(0.42 * across)))
        drawn = chart(
            series,
            title="",
            x_label="epoch",
            y_label=name,
            log_x=True,
            width=across,
            height=height + UNTITLED,
        )
        return (drawn.values[UNTITLED:] * 255 + 0.5).astype(np.uint8)


def epochs_of(run: RunDirectory) -> Callable[[int], float]:
    """The epoch of a step, between those that the run has written down; 0 where it has none."""
    lines = [(float(line["step"]), float(line["epoch"])) for line in run.history if "epoch" in line]
    if not lines:
        return lambda step: 0.0
    steps, epochs = zip(*lines, strict=True)
    return lambda step: float(np.interp(step, steps, epochs))


# Neurons -------------------------------------------------------------------------------------------------------


def _chosen(text: str, gallery: Gallery) -> list[tuple[int, int]]:
    """(layer, index) pairs: those named, or those with the most contrast at the last step, from every layer."""
    arranged = gallery.over_time.arranged
    if text != "best":
        return orders.parse_neurons(text, [len(units) for units in arranged])
    layers = len(arranged)
    shown = sorted({round(k) for k in np.linspace(1, layers, min(layers, CHOSEN))})
    each = max(1, CHOSEN // len(shown))
    return [(layer, int(index)) for layer in shown for index in arranged[layer - 1][:each]]


@torch.no_grad()
def _neurons(net: Net, still: Still, chosen: list[tuple[int, int]], down: int, when: str) -> Frame:
    """A block of neuron pictures in two rows, together about as high as the painting's panel of `down` pixels."""
    from ..neurons.previews import shown, shows_activation

    rows, shape = 1 if len(chosen) == 1 else 2, still.width / still.height
    height = max(8, (down - (rows - 1) * (TITLE + GAP)) // rows)
    width = max(8, round(height * shape))
    if len(chosen) > 1 and width > WIDEST:  # a wide picture: more rows, though they end below the painting
        width, height = WIDEST, max(8, round(WIDEST / shape))
        rows = min(len(chosen), max(2, (down + GAP) // (height + TITLE + GAP)))
    raster, last = Raster(height, width, still.where), max(layer for layer, _ in chosen)
    values = np.empty((len(chosen), height, width), np.float32)
    for block in blocks(0, height, width, tile_pixels(max(net.widths))):
        area = np.s_[block.top : block.bottom, block.left : block.right]
        for n, layer in enumerate(net.hidden(tensor(net, raster.block(block))), 1):
            for k in (k for k, pair in enumerate(chosen) if pair[0] == n):
                drawn = shown(net, layer, still.scales[n - 1].view)[:, chosen[k][1]]
                values[k][area] = drawn.float().reshape(block.shape).numpy()
            if n == last:
                break
    tiles = []
    for (at, index), seen in zip(chosen, values, strict=True):
        scale = still.scales[at - 1]
        indices = palettes.index(seen, scale.low[index], scale.high[index])
        tiles.append(_panel(f"{at}:{index}", scale.palette[indices], least=48))
    across = math.ceil(len(tiles) / rows)
    grid = _column([_row(tiles[k : k + across]) for k in range(0, len(tiles), across)])
    what = "activations" if shows_activation(net, "signed") else "pre-activations, white where firing begins"
    return np.concatenate([grid, _panel(f"{when}: {what}", grid[:0], least=grid.shape[1])])


def _layer(net: Net, still: Still, layer: int, epoch: float) -> Frame:
    """A layer's contact sheet of about a million pixels."""
    units = net.widths[number(layer, len(net.widths)) - 1]
    area, aspect = min(4e4, 1.1e6 / max(units, 9)), still.height / still.width
    tile = max(1, round(math.sqrt(area * aspect))), max(1, round(math.sqrt(area / aspect)))
    drawing = still.sheet(net, layer, title=f"Layer {layer}, {epoch_text(epoch)}", tile=tile)
    return drawing.palette[drawing.indices]


# Putting together ----------------------------------------------------------------------------------------------


class _Scaled:
    """Brings pictures to the size of the painting's panel."""

    def __init__(self, own: tuple[int, int], size: str | tuple[int, int] | None) -> None:
        width, height = own
        self._method = Image.Resampling.BOX
        if size is not None:
            self._size, self._method = wanted_size(size, width, height), Image.Resampling.LANCZOS
            if max(self._size) > LONGEST // 2:
                raise RecipeError(
                    f"size {self._size[0]}x{self._size[1]}: panels end at {LONGEST // 2} a side"
                )
        elif max(own) > 720:
            factor = math.ceil(max(own) / 720)
            self._size = max(1, width // factor), max(1, height // factor)
        else:
            factor = max(2 if max(own) <= 450 else 1, 256 // max(own))  # see frames.DOUBLED
            self._size = width * factor, height * factor
            self._method = Image.Resampling.NEAREST
        self.down = max(self._size[1], 64)

    def __call__(self, image: Image.Image) -> Frame:
        return np.asarray(image if image.size == self._size else image.resize(self._size, self._method))


def _title(step: int, line: Any) -> str:
    if "epoch" not in line:
        return f"step {step:,}"
    return f"{epoch_text(line['epoch'])}    {score_text(line)}"


def _panel(title: str, image: Frame, least: int = 170) -> Frame:
    """A picture with its title above, at least `least` wide: all frames must have one size, titles change."""
    across = max(image.shape[1], least)
    sheet = Image.new("RGB", (across, TITLE + image.shape[0]), PAPER)
    letters = LETTERS
    while letters > 9 and text_width(title, letters) > across:
        letters -= 1
    ImageDraw.Draw(sheet).text((0, (TITLE - 3) / 2), title, INK, font(letters), anchor="lm")
    sheet.paste(Image.fromarray(image), (0, TITLE))
    return np.asarray(sheet)


def _row(parts: Sequence[Frame]) -> Frame:
    return _joined(parts, 1)


def _column(parts: Sequence[Frame]) -> Frame:
    return _joined(parts, 0)


def _joined(parts: Sequence[Frame], axis: int) -> Frame:
    """Side by side (axis 1) or below one another (axis 0), GAP apart, on paper."""
    other = 1 - axis
    longest = max(part.shape[other] for part in parts)
    joined: list[Frame] = []
    for count, part in enumerate(parts):
        shape = [part.shape[0], part.shape[1], 3]
        shape[other] = longest
        whole = np.full(shape, PAPER, np.uint8)
        whole[: part.shape[0], : part.shape[1]] = part
        if count:
            shape[axis] = GAP
            joined.append(np.full(shape, PAPER, np.uint8))
        joined.append(whole)
    return np.concatenate(joined, axis)


def _framed(content: Frame) -> Frame:
    """The content on paper with a margin, its sides even."""
    height, width = content.shape[0] + 2 * MARGIN, content.shape[1] + 2 * MARGIN
    whole = np.full((height + height % 2, width + width % 2, 3), PAPER, np.uint8)
    whole[MARGIN : MARGIN + content.shape[0], MARGIN : MARGIN + content.shape[1]] = content
    return whole
