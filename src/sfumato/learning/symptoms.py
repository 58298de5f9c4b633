"""What is going wrong with a training, in the words of a teacher: pure functions of its numbers.

People who rebuilt the experiment of 2012 got grey or saturated pictures and did not know why. The causes are
few: a rate too high or too low, units that no longer learn, a picture beyond the net. Each leaves a trace in
the losses, the scores or the activations, and has a usual remedy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Finding", "findings"]

Points = Sequence[tuple[int, float]]

FLAT_SHARE = 0.3
"""Of a layer's units: below it a net paints as well as without them (classic without waking loses a third)."""

FEW, CLEAR = 200, 26.0
"""Steps below which a picture under so many dB is no wonder. The quickest recipe, sharp, makes 34 dB of the Mona
Lisa in 200 (`sfumato paint --recipe sharp --set steps=200`)."""

SPIKE = 4.0
"""A minibatch loss this many times the median before it is no noise of minibatches of a few hundred pixels."""

STILL = 0.03
"""Relative fall of the loss over the last third of a training below which it stands still."""


@dataclass(frozen=True)
class Finding:
    """kind: a word to test for. text: what is seen. advice: what to try."""

    kind: str
    text: str
    advice: str


def findings(
    recipe: Mapping[str, Any],
    losses: Points,
    scores: Points = (),
    *,
    flat: Sequence[float] = (),
    rectifier: bool = True,
    plain: bool = True,
    total_steps: int = 0,
    failed: str = "",
    mean_colour: float = math.nan,
) -> list[Finding]:
    """What can be said of a training so far, the gravest first; empty where all is well or it is too early to say.

    recipe: fields of a recipe. losses: (step, mean minibatch loss since the point before). scores: (step,
    PSNR in dB). flat: share of each hidden layer's units whose activation is flat wherever one looks.
    rectifier: whether such units are dead rather than saturated. plain: whether the net is told the bare place,
    without an encoding that helps. total_steps: of the budget. failed: the error that ended the training, or
    empty. mean_colour: PSNR in dB of the picture's mean colour.
    """
    rate = float(recipe.get("rate", 0.0))
    losses = [(step, loss) for step, loss in losses if math.isfinite(loss)]
    if "diverged" in failed:
        return [_too_high(rate, "The loss exploded and the training ended")]
    short = _short(losses, scores, total_steps)
    if short:
        return [short]
    found = []
    units = _flat(flat, rectifier)
    high = _unsteady(losses, rate)
    if high:
        found.append(high)
    if units:
        found.append(units)
    mean = _mean(scores, mean_colour)
    if mean and not units:
        found.append(mean)
    if not high and not units and not mean:
        slow = _slow(losses, rate, total_steps)
        found += [slow] if slow else _beyond(plain, losses, scores, total_steps)
    return found


def _short(losses: Points, scores: Points, total_steps: int) -> Finding | None:
    """A budget that is over before anything could be learned."""
    if not losses or not scores or not losses[-1][0] >= total_steps > 0:
        return None
    if total_steps >= FEW or scores[-1][1] >= CLEAR:
        return None
    return Finding(
        "too short",
        f"Only {total_steps:,} step{'s' * (total_steps > 1)}: the net has hardly begun.",
        "more epochs, or a smaller batch, which makes more steps of the same epochs.",
    )


def _mean(scores: Points, mean_colour: float) -> Finding | None:
    """A painting that is no better than one colour everywhere."""
    if not scores or not abs(scores[-1][1] - mean_colour) < 0.5:
        return None
    return Finding(
        "mean colour",
        f"The painting is still the picture's mean colour ({scores[-1][1]:.1f} dB), on which deep nets with a "
        "small start, such as 2012-code, sit for the first epochs.",
        "more epochs, a higher rate, or the recipe classic.",
    )


def _flat(flat: Sequence[float], rectifier: bool) -> Finding | None:
    """The layer with the most units that no longer learn."""
    if not flat or max(flat) < FLAT_SHARE:
        return None
    worst = max(range(len(flat)), key=lambda layer: flat[layer])
    share = f"{flat[worst]:.0%} of layer {worst + 1}'s units"
    if rectifier:
        return Finding(
            "dead",
            f"{share} are dead: they give 0, or the same, on the whole picture, and no gradient reaches them.",
            "wake=32 revives silent units; leaky_relu cannot die; a third of the rate kills fewer.",
        )
    return Finding(
        "saturated",
        f"{share} are saturated: their activation stands at its end on the whole picture, so they hardly learn.",
        "a third of the rate, or a smaller start such as init=published:gain=0.5.",
    )


def _too_high(rate: float, seen: str) -> Finding:
    return Finding("rate too high", f"{seen}: the rate is too high.", f"rate={rate / 3:.2g}, or clip=1.")


def _unsteady(losses: Points, rate: float) -> Finding | None:
    """Spikes in the losses, or losses that are no better than at the start."""
    if len(losses) < 12:
        return None
    values = [loss for _, loss in losses]
    spikes = 0
    for at in range(6, len(values)):
        before = sorted(values[max(0, at - 6) : at])
        spikes += values[at] > SPIKE * before[len(before) // 2]
    if spikes >= 2:
        return _too_high(rate, f"The loss jumped {spikes} times to more than {SPIKE:g} times its level")
    first, last = values[0], sorted(values[-5:])[2]
    least = min(values)
    if last > 1.2 * first or (last > 0.9 * first and least < 0.5 * first):
        return _too_high(rate, "The loss is back where it began")
    return None


def _slow(losses: Points, rate: float, total_steps: int) -> Finding | None:
    """A loss that has hardly moved from where it began, although there was time."""
    if len(losses) < 12 or losses[-1][0] < max(100, 0.02 * total_steps):
        return None
    first, last = losses[0][1], sorted(loss for _, loss in losses[-5:])[2]
    if last > 0.7 * first:
        return Finding(
            "rate too low",
            f"After {losses[-1][0]:,} steps the loss has fallen by only {max(0.0, 1 - last / first):.0%}: "
            "nothing moves, the picture stays grey.",
            f"rate={rate * 10:.2g}; if that is no better, another optimizer or a smaller batch.",
        )
    return None


def _beyond(plain: bool, losses: Points, scores: Points, total_steps: int) -> list[Finding]:
    """A score that has stopped growing at a level at which details are missing."""
    if len(losses) < 12 or len(scores) < 6 or losses[-1][0] < 0.25 * total_steps:
        return []
    step, score = scores[-1]
    before = [value for at, value in scores if at <= step * 2 / 3]
    if not before or score >= 26 or score - max(before) > 0.35:
        return []
    advice = (
        "give the net finer inputs: encoding=fourier:bands=128,sigma=10, or the recipe sharp."
        if plain
        else "a wider or deeper net, or a finer encoding."
    )
    return [
        Finding(
            "beyond the net",
            f"The painting has stood at {score:.1f} dB for the last third of the training: "
            "the picture holds more detail than this net can paint.",
            advice,
        )
    ]
