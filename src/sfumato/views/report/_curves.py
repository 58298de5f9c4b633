"""Learning curves as HTML: lines in an SVG that stretches, labels as text beside it, readable on a phone too.

Every curve exists for each x axis (epochs or seconds, linear or logarithmic); the page shows one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...words import COUNTED, metric_name

__all__ = ["AXES", "Plot", "Scale", "metrics", "plots", "scales"]

AXES = {"epoch": "epochs", "seconds": "seconds of training"}

START = 0.05
"""Where the first positive x stands on a logarithmic axis; 0 stands at the left edge."""

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Scale:
    """An axis: `low` to `high`, logarithmic or not; zero: whether 0 stands left of a logarithmic one."""

    low: float
    high: float
    log: bool = False
    zero: bool = False

    def at(self, value: float) -> float:
        """Position in [0, 1] of a value in range."""
        if self.log:
            if value <= 0 or self.high <= self.low:
                return 0.0
            share = math.log(value / self.low) / math.log(self.high / self.low)
            return START + (1 - START) * share if self.zero else share
        return (value - self.low) / (self.high - self.low)

    def ticks(self, wanted: int = 5) -> list[tuple[float, str]]:
        """(position, text) pairs at round values."""
        found = [(self.at(v), _text(v)) for v in (self._decades() if self.log else self._even(wanted))]
        if self.log and self.zero:
            found = [(0.0, "0"), *(t for t in found if t[0] > 0.09)]
        return found

    def _even(self, wanted: int) -> list[float]:
        step = _round((self.high - self.low) / wanted)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _decades(self) -> list[float]:
        low, high = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        parts = (1, 2, 5) if high - low <= 2 else (1, 3) if high - low <= 3 else (1,)
        every = max(1, (high - low) // 6)
        values = [p * 10.0**d for d in range(low, high + 1, every) for p in parts]
        return [v for v in values if self.low * 0.999 <= v <= self.high * 1.001]


@dataclass(frozen=True)
class Plot:
    """One metric on one x axis: path data of each run in a box of 1000 x 1000, and ticks in per cent."""

    metric: str
    axis: str
    log: bool
    paths: tuple[str, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    label: str


def metrics(histories: Sequence[Sequence[Line]]) -> list[str]:
    """What can be drawn: scores first, then the loss; only what has two finite values somewhere."""
    keys: dict[str, None] = {}
    for history in histories:
        for line in history:
            keys |= {k: None for k in line if k not in COUNTED}
    keys["loss"] = None
    return [k for k in keys if any(len(_points(h, "epoch", k)) >= 1 for h in histories)]


def scales(histories: Sequence[Sequence[Line]]) -> dict[str, dict[str, Scale]]:
    """For each x axis a linear and a logarithmic scale over all runs."""
    result = {}
    for axis in AXES:
        values = [float(line.get(axis) or 0) for history in histories for line in history]
        high, positive = max(values, default=0.0) or 1.0, [v for v in values if v > 0]
        low = min(positive, default=high / 10)
        low = low if low < high else high / 10
        zero = len(positive) < len(values)
        result[axis] = {"linear": Scale(0.0, high), "log": Scale(low, high, True, zero)}
    return result


def plots(histories: Sequence[Sequence[Line]]) -> list[Plot]:
    """Every metric on every x axis."""
    result = []
    for key in metrics(histories):
        values = [y for h in histories for _, y in _points(h, "epoch", key)]
        log = (key == "loss" or key.endswith("_error")) and min(values) > 0
        low, high = min(values), max(values)
        if high - low < 1e-9 * max(1.0, abs(high)):
            low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
        margin = 0.04 * (high - low)
        y = Scale(low / 1.08, high * 1.08, True) if log else Scale(low - margin, high + margin)
        for axis, both in scales(histories).items():
            for x in both.values():
                paths = tuple(_path(_points(h, axis, key), x, y) for h in histories)
                y_ticks = tuple((100 * (1 - p), t) for p, t in y.ticks())
                x_ticks = tuple((100 * p, t) for p, t in x.ticks())
                unit = (
                    " in dB" if key.startswith("psnr") else ", a share of 1" if key.endswith("_error") else ""
                )
                label = metric_name(key) + unit
                result.append(Plot(key, axis, x.log, paths, x_ticks, y_ticks, label))
    return result


def _points(history: Sequence[Line], axis: str, key: str) -> list[tuple[float, float]]:
    return [
        (float(line.get(axis) or 0), float(line[key]))
        for line in history
        if isinstance(line.get(key), (int, float)) and math.isfinite(line[key])
    ]


def _path(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    made = [f"{1000 * x.at(a):.1f} {1000 * (1 - y.at(b)):.1f}" for a, b in points]
    if len(made) == 1:  # a dot, by a round line cap
        return f"M{made[0]}h.1"
    return "M" + "L".join(made) if made else ""


def _round(value: float) -> float:
    """1, 2 or 5 times a power of ten, at least `value`."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(m * unit for m in (1, 2, 5, 10) if m * unit >= value * 0.999)


def _text(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1e6:g}M" if abs(value) >= 1e6 else f"{value / 1e3:g}k"
    if value and abs(value) < 0.001:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:.4g}"
