"""Fixed workloads, each engine against the specification on this machine: `sfumato bench`.

Engine and specification alternate in one process, round by round, and the median of the ratios is reported with
its smallest and largest: machines are shared, so seconds mean little and ratios much. A ratio whose spread
crosses 1 is called undecided. Workloads are trained on real pictures' worth of random colours, never on zeros,
which multiply faster on some processors.

For the native engine two figures more. `share_of_peak`: useful FLOP (6 a weight and sample, as if no unit were
silent) over what the cores' float32 multiply-adds reach, measured in the same round; above 1 where bfloat16 or
silence helps. `skipped`: the share of multiplications between hidden layers that silent units saved.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import engine, machine, nets, timing
from ..data import Data
from ..engine import native
from ..errors import EngineError, RecipeError
from ..learning.session import Session
from ..picture import pixels
from ..recipe import Recipe, named

__all__ = ["WORKLOADS", "Workload", "measure", "run", "text"]

HEIGHT, WIDTH = 215, 300
"""Half of the 300x429 picture: an epoch of the largest workload takes a second or two on two cores."""


@dataclass(frozen=True)
class Workload:
    """A recipe, and how many steps a round takes."""

    name: str
    recipe: Recipe
    steps: int


def _adam(batch: int, **fields: Any) -> Recipe:
    plain = Recipe(optimizer="adam", schedule="constant", rate=1e-3, batch=batch)
    return plain.replace(**fields)


WORKLOADS = (
    Workload("4x300 relu, Adam, batch 8192", _adam(8192), 6),
    Workload("4x300 relu, Adam, batch 1024", _adam(1024), 48),
    Workload("4x256 sine, Adam, batch 4096", named("siren").replace(schedule="constant"), 10),
    Workload("grid + 2x64 relu, Adam, batch 8192", named("sharp").replace(schedule="constant"), 8),
    Workload("classic recipe", named("classic"), 8),
    Workload("2012 recipe, a sample a step", named("2012"), 400),
)


def run(
    rounds: int = 7, threads: int = 0, only: str = "", tell: Callable[[str], None] = lambda text: None
) -> list[dict[str, Any]]:
    """Measure every workload on every engine that can run it: dictionaries, as `text` prints them.

    rounds: pairs of measurements, >= 1. threads: 0 = all. only: a part of the workloads' names. tell: receives what
    is measured now.
    Raises EngineError if no engine but the specification is ready, RecipeError if no workload is left.
    """
    others = [name for name in engine.names() if name not in ("eager", "regrouped")]
    ready = [n for n in others if engine.engine(n).why_not(Recipe(optimizer="adam")) is None]
    if not ready:
        raise EngineError("nothing to compare: no engine but eager is ready here\nhint: sfumato doctor")
    if not any(only in work.name for work in WORKLOADS):
        known = "; ".join(work.name for work in WORKLOADS)
        raise RecipeError(f"no workload's name holds {only!r}\nhint: {known}")
    rows = []
    for work in WORKLOADS:
        if only not in work.name:
            continue
        recipe = work.recipe.replace(threads=threads)
        for name in ready:
            reason = engine.engine(name).why_not(recipe)
            if reason:
                rows.append({"workload": work.name, "engine": name, "why_not": reason})
            else:
                tell(f"{name}: {work.name}")
                rows.append(measure(work.name, recipe, name, work.steps, rounds))
    return rows


def measure(title: str, recipe: Recipe, name: str, steps: int, rounds: int) -> dict[str, Any]:
    """Ratios of eager's seconds to an engine's for the same steps, from `rounds` alternating pairs."""
    colours = np.random.default_rng(0).random((HEIGHT * WIDTH, 3), np.float32)
    xy = pixels.coordinates(HEIGHT, WIDTH)
    data = Data(xy, colours, xy[:0], colours[:0])
    sessions: list[Session] = []
    for which in (name, "eager"):
        net = nets.build(recipe, 2, 3, aspect=HEIGHT / WIDTH)
        sessions.append(engine.engine(which).prepare(net, data, recipe, 1 << 20))
    peaks: list[float] = []
    starts: list[int] = []
    cores = recipe.threads or machine.available_threads()

    def ours() -> None:
        starts.append(sessions[0].step)
        sessions[0].advance(steps)

    def find_peak() -> None:
        peaks.append(native.peak() * cores if isinstance(sessions[0], native.NativeSession) else math.nan)

    own, plain, _ = timing.take_turns(rounds, ours, lambda: sessions[1].advance(steps), find_peak)
    ratios = [b.wall / a.wall for a, b in zip(own, plain, strict=True)]
    seen = sessions[0].plan.seen
    mine = [
        (seen(start + steps) - seen(start)) / one.wall
        for start, one in zip(starts[-rounds:], own, strict=True)
    ]
    named_parameters = nets.build(recipe, 2, 3).named_parameters()
    weights = sum(p.numel() for label, p in named_parameters if label.endswith(".weight"))
    extra: dict[str, Any] = {}
    if isinstance(sessions[0], native.NativeSession):
        shares = [6 * weights * rate / peak for rate, peak in zip(mine, peaks[-rounds:], strict=True)]
        done, every = sessions[0].work
        extra = {"share_of_peak": round(statistics.median(shares), 3)}
        extra["skipped"] = round(1 - done / every, 3) if every else 0.0
    for session in sessions:
        session.close()
    return {
        "workload": title,
        "engine": name,
        "ratio": round(statistics.median(ratios), 3),
        "smallest": round(min(ratios), 3),
        "largest": round(max(ratios), 3),
        "rounds": rounds,
        "samples_per_second": round(statistics.median(mine)),
        **extra,
    }


def text(rows: list[dict[str, Any]]) -> str:
    """The rows as a table for people."""
    lines = ["times as fast as PyTorch eager in float32 (median of alternating rounds, smallest to largest)"]
    for row in rows:
        head = f"{row['workload']:36}  {row['engine']:8}"
        if "why_not" in row:
            lines.append(f"{head}  -  ({row['why_not']})")
            continue
        verdict = "" if row["smallest"] > 1 or row["largest"] < 1 else "  undecided"
        extra = ""
        if "share_of_peak" in row:
            extra = f"  {row['share_of_peak']:5.0%} of peak"
            extra += f", {row['skipped']:.0%} skipped as silent" if row["skipped"] else ""
        spread = f"({row['smallest']:.2f} to {row['largest']:.2f})"
        lines.append(
            f"{head}  {row['ratio']:6.2f}  {spread:18} {row['samples_per_second']:>12,} samples/s{extra}{verdict}"
        )
    return "\n".join(lines)
