"""Line charts as pictures, drawn with Pillow alone: for sheets, reports and papers without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ..errors import RecipeError
from ..picture import Picture
from . import palettes
from .canvas import font

__all__ = ["CATEGORIES", "Series", "chart", "ramp"]

Colour = tuple[int, int, int]

CATEGORIES: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (90, 90, 90),
)
"""Colours that stay apart for colour-blind eyes (Okabe and Ito 2008, Color Universal Design); used in turn."""

PAPER, INK, SOFT, GRID = (255, 255, 255), (32, 33, 36), (110, 112, 116), (228, 229, 231)

FINE = 2
"""Drawn so many times larger and averaged down: Pillow's lines are not smoothed."""


@dataclass(frozen=True, eq=False)
class Series:
    """One line: x and y of equal length; points that are not finite (or not positive on a log axis) are gaps.

    Without a label it is not named in the legend: the bar of an error, say.
    """

    label: str
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    colour: Colour | None = None


def ramp(count: int) -> list[Colour]:
    """Colours for series in an order, such as steps: from pale to dark, on white."""
    table = palettes.palette("heat")
    at = np.linspace(0.78, 0.12, count) if count > 1 else np.array([0.35])
    return [tuple(map(int, table[round(t * (palettes.LEVELS - 1))])) for t in at]  # type: ignore[misc]


def chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    from_zero: bool = False,
    width: int = 760,
    height: int = 440,
) -> Picture:
    """A line chart with axes, grid and a legend at the right; values in their own units.

    from_zero: the y axis begins at 0. Raises RecipeError where no point can be drawn.
    """
    xs = np.concatenate([_usable(s.x, s.y, log_x, log_y)[0] for s in series] or [np.empty(0)])
    ys = np.concatenate([_usable(s.x, s.y, log_x, log_y)[1] for s in series] or [np.empty(0)])
    if not len(xs):
        raise RecipeError(f"chart {title!r}: there is no point to draw")
    x_axis, y_axis = _Axis.over(xs, log_x), _Axis.over(ys, log_y, zero=from_zero)
    image = Image.new("RGB", (width * FINE, height * FINE), PAPER)
    pen = ImageDraw.Draw(image)
    fonts = {size: font(size * FINE) for size in (12, 13, 17)}
    longest = max(pen.textlength(s.label, fonts[12]) for s in series) / FINE
    names = len(series) > 1 or bool(series[0].label)
    ticks = max(pen.textlength(_tick(v), fonts[12]) for v in y_axis.ticks) / FINE
    left, right = 26 + ticks, width - 16 - (longest + 34 if names else 0)
    top, bottom = 66, height - 48
    _frame(pen, fonts, x_axis, y_axis, (left, top, right, bottom))
    _write(pen, (16, 12), title, fonts[17], INK)
    _write(pen, (16, 40), f"{y_label}, log scale" if log_y else y_label, fonts[13], SOFT)
    _write(pen, (right, height - 22), f"{x_label}, log scale" if log_x else x_label, fonts[13], SOFT, "ra")
    for number, one in enumerate(series):
        ink = one.colour or CATEGORIES[number % len(CATEGORIES)]
        fine = np.isfinite(one.x) & np.isfinite(one.y)
        fine &= (one.x > 0) if log_x else True
        fine &= (one.y > 0) if log_y else True
        points = [
            (left + x_axis.at(x) * (right - left), bottom - y_axis.at(y) * (bottom - top)) if ok else None
            for x, y, ok in zip(one.x, one.y, fine, strict=True)
        ]
        _line(pen, points, ink)
        if names and one.label:
            middle = top + 10 + 19 * sum(bool(s.label) for s in series[:number])
            pen.line([(right + 12) * FINE, middle * FINE, (right + 28) * FINE, middle * FINE], ink, 3 * FINE)
            _write(pen, (right + 33, middle - 8), one.label, fonts[12], INK)
    small = image.resize((width, height), Image.Resampling.BOX)
    return Picture(np.asarray(small).astype(np.float32) / np.float32(255), name="chart")


@dataclass(frozen=True)
class _Axis:
    """From `low` to `high`, both transformed by log10 where `log`; ticks in the values' own units."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: npt.NDArray[np.float64], log: bool, *, zero: bool = False) -> _Axis:
        low, high = float(values.min()), float(values.max())
        if log:
            a, b = math.log10(low), math.log10(high)
            room = max(0.04 * (b - a), 0.1 if b - a < 0.2 else 0.0)  # a value on the axis would look like 0
            a, b = a - room, b + room
            decades = range(math.floor(a), math.ceil(b) + 1)
            steps = (1, 2, 5) if b - a < 2.5 else (1,)
            every = max(1, len(decades) // 8)
            ticks = [s * 10.0**d for d in decades if d % every == 0 for s in steps]
            return cls(a, b, True, tuple(t for t in ticks if a - 1e-9 <= math.log10(t) <= b + 1e-9))
        if zero:
            low = min(0.0, low)
        if high - low < 1e-12 * max(1.0, abs(high)):
            low, high = low - 0.5, high + 0.5
        rough = (high - low) / 5
        unit = 10 ** math.floor(math.log10(rough))
        step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= rough * 0.999)
        high = math.ceil(high / step - 1e-9) * step
        low = math.floor(low / step + 1e-9) * step
        count = round((high - low) / step)
        return cls(low, high, False, tuple(low + i * step for i in range(count + 1)))

    def at(self, value: float) -> float:
        """Position of a value: 0 at the low end, 1 at the high one."""
        return ((math.log10(value) if self.log else value) - self.low) / (self.high - self.low)


def _usable(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], log_x: bool, log_y: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    fine = np.isfinite(x) & np.isfinite(y)
    fine &= (x > 0) if log_x else True
    fine &= (y > 0) if log_y else True
    return x[fine], y[fine]


def _frame(
    pen: ImageDraw.ImageDraw,
    fonts: dict[int, ImageFont.FreeTypeFont],
    x_axis: _Axis,
    y_axis: _Axis,
    box: tuple[float, float, float, float],
) -> None:
    left, top, right, bottom = box
    for value in y_axis.ticks:
        y = bottom - y_axis.at(value) * (bottom - top)
        pen.line([left * FINE, y * FINE, right * FINE, y * FINE], GRID, FINE)
        _write(pen, (left - 7, y - 8), _tick(value), fonts[12], SOFT, "ra")
    room = (right - left) / max(1, len(x_axis.ticks))
    skip = max(1, math.ceil(46 / room))
    for value in x_axis.ticks[::skip]:
        x = left + x_axis.at(value) * (right - left)
        pen.line([x * FINE, bottom * FINE, x * FINE, (bottom + 5) * FINE], SOFT, FINE)
        _write(pen, (x, bottom + 7), _tick(value), fonts[12], SOFT, "ma")
    pen.line([left * FINE, bottom * FINE, right * FINE, bottom * FINE], SOFT, FINE)


def _line(pen: ImageDraw.ImageDraw, points: Sequence[tuple[float, float] | None], ink: Colour) -> None:
    stretch: list[tuple[float, float]] = []
    for point in [*points, None]:
        if point is not None:
            stretch.append((point[0] * FINE, point[1] * FINE))
            continue
        if len(stretch) > 1:
            pen.line(stretch, ink, 2 * FINE, joint="curve")
        elif stretch:
            x, y = stretch[0]
            pen.ellipse([x - 3 * FINE, y - 3 * FINE, x + 3 * FINE, y + 3 * FINE], ink)
        stretch = []


def _write(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    words: str,
    face: ImageFont.FreeTypeFont,
    ink: Colour,
    anchor: str = "la",
) -> None:
    pen.text((at[0] * FINE, at[1] * FINE), words, ink, face, anchor)


def _tick(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= unit:
                return f"{value / unit:.3g}{name}"
    if abs(value) < 0.001:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:.4g}"
