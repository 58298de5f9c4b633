"""Does depth matter? Nets of 1 to 8 hidden layers, equal in parameters, in units, or in seconds.

The claim of the 2012 post is that depth, not the number of units, makes a net paint. Every depth gets its own rate
by the same tuning, and Adam, which treats all layers alike: Muon trains the matrices between hidden layers only, of
which a net of one layer has none.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from .. import picture
from ..drawing.charts import CATEGORIES, Series, chart
from ..errors import RecipeError
from ..files import save_bytes, save_text
from ..picture import Picture
from ..recipe import Recipe
from . import page, summary
from .budget import Budget
from .comparison import Comparison, Contestant, Request, Say, compare

__all__ = ["EQUALS", "Depths", "depth"]

EQUALS = ("parameters", "units", "seconds")
"""What is held equal: `seconds` at equal parameters, `parameters` and `units` at equal epochs."""

BASE = Recipe(optimizer="adam", schedule="cosine", warmup=0.1, batch=512)


@dataclass(frozen=True)
class Depths:
    """What is asked for. layers: the depths. width: of the deepest-but-one reference net, `reference` layers deep,
    from which parameters and units are taken."""

    layers: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    width: int = 100
    reference: int = 3
    epochs: float = 50.0
    seconds: float = 30.0

    def request(self, equal: str, asked: Request) -> Request:
        """The comparison for one thing that is held equal."""
        units = self.width * self.reference
        parameters = (
            3 * self.width + (self.reference - 1) * (self.width + 1) * self.width + 3 * (self.width + 1)
        )
        budgets = {
            "parameters": Budget(epochs=self.epochs, parameters=parameters),
            "units": Budget(epochs=self.epochs),
            "seconds": Budget(seconds=self.seconds, parameters=parameters),
        }
        if equal not in budgets:
            raise RecipeError(f"equal={equal!r} is unknown; known are {', '.join(EQUALS)}")
        width = {n: max(1, round(units / n)) if equal == "units" else self.width for n in self.layers}
        contestants = tuple(Contestant(_label(n), BASE.replace(net=(width[n],) * n)) for n in self.layers)
        fields = {
            f: getattr(asked, f) for f in ("pictures", "seeds", "tune", "tune_on", "held_out", "max_pixels")
        }
        return Request(contestants, budget=budgets[equal], targets=(), **fields)


def _label(layers: int) -> str:
    return f"{layers} layer{'s' if layers > 1 else ''}"


def depth(
    depths: Depths,
    equals: Sequence[str],
    asked: Request,
    out: str | os.PathLike[str],
    *,
    workers: int = 0,
    say: Say = lambda text: None,
) -> dict[str, Comparison]:
    """Run, or read, a comparison for each of `equals` under `out`, and write its files, depth.png and depth.txt.

    asked: pictures, seeds, tuning and hidden pixels. Raises what `compare` raises.
    """
    requests = {equal: depths.request(equal, asked) for equal in equals}
    if len(requests) < len(equals):
        raise RecipeError(f"equal={','.join(equals)!r} names one of them twice")
    folder = Path(out)
    done = {}
    for equal, request in requests.items():
        done[equal] = compare(request, folder / equal, workers=workers, say=say)
        page.write(done[equal])
    save_bytes(folder / "depth.png", picture.encode(figure(done), "png"))
    save_text(folder / "depth.txt", text(done) + "\n")
    return done


def figure(done: dict[str, Comparison]) -> Picture:
    """PSNR against depth, a line for each thing held equal; the bars are standard deviations over seeds."""
    series, bars = [], []
    for number, (equal, comparison) in enumerate(done.items()):
        x = np.array([_depth(label) for label in comparison.labels], float)
        scores = np.array([summary.scores_of(comparison, label, "psnr") for label in comparison.labels])
        colour = CATEGORIES[number]
        series.append(Series(f"equal {equal}", x, scores[:, 0], colour))
        for at, (mean, spread) in zip(x, scores, strict=True):
            bars.append(Series("", np.array([at, at]), np.array([mean - spread, mean + spread]), colour))
    return chart([*series, *bars], title="Depth", x_label="hidden layers", y_label="PSNR of all pixels, dB")


def text(done: dict[str, Comparison]) -> str:
    """The scores of each depth, the best one, and where a shallower net is the better one; at most 80 columns."""
    parts = []
    for equal, comparison in done.items():
        parts.append(f"Equal {equal}\n" + summary.text(comparison, verdict_lines=False))
        parts.append("\n".join(_said(comparison)))
    return "\n\n".join(parts)


def _said(comparison: Comparison) -> list[str]:
    """Every depth against the next shallower one, and 1 layer against the best: the claim and its limits."""
    lines = []
    by_pair = {(v.a, v.b): v for v in summary.verdicts(comparison) if v.metric == "psnr_seen"}
    best = max(comparison.labels, key=lambda label: summary.scores_of(comparison, label, "psnr_seen")[0])
    wanted = {*zip(comparison.labels, comparison.labels[1:], strict=False), (comparison.labels[0], best)}
    for a, b in combinations(comparison.labels, 2):
        if (a, b) in wanted and (a, b) in by_pair:
            lines.append(summary.wrapped(by_pair[a, b].text, "- "))
    return lines


def _depth(label: str) -> int:
    return int(label.split()[0])
