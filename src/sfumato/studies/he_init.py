"""How deep a plain net of rectifiers may be before its start decides whether it learns at all.

What the paper says
-------------------
A layer adds up n inputs. If a weight has variance v, the signal's mean square is multiplied by v n / 2 in a
layer of rectifiers, since half of the sums are cut to 0. Xavier's start takes v = 1 / n, made for straight
units: each layer halves the signal, and after 30 layers a billionth is left. The paper takes v = 2 / n, so that
the signal (and, by the same argument, the gradient) keeps its size however many layers it passes.

In the paper's nets for ImageNet of 22 layers both starts learn, and the paper's own sooner; of 30 layers only
its own does (unverified: from memory of section 2.2). Its other idea, PReLU, a rectifier that learns its slope
on the left, lowered the errors of a net of 14 layers (unverified).

What we run
-----------
The picture: (x, y) to colour, plain nets of 10, 22 and 30 hidden layers of 128 rectifiers, squared error, SGD
with momentum 0.9, a constant rate, batches of 128, 1,500 steps, on the built-in Mona Lisa at 10,000 pixels. Two
starts, `init=he` (v = 2 / n) and `init=lecun` (v = 1 / n, what the paper calls Xavier); at 30 layers also
PReLU, rectifiers whose slope on the left is learned from 0.25 on, with v = 2 / ((1 + 0.25^2) n). Each arm
chooses among three rates by its training loss. The yardstick is the loss of the best constant colour, where a
net ends that learns nothing.

Criterion, fixed before the first full run: at 30 layers the mean training loss of the last tenth is above 0.9
of the yardstick with Xavier's start in every seed, and below 0.5 of it with He's; at 10 layers both are below
0.5; and at 30 layers the mean loss of PReLU is at most that of the rectifier from He's start.

What differs
------------
Dense layers instead of convolutions, a picture instead of ImageNet, squared error instead of a softmax. The
biases of the first layer spread the kinks over the picture, in both arms alike. PReLU has a slope a unit.

How large it is
---------------
Up to 480,000 weights and 192,000 samples seen, against millions of weights and pictures in the paper
(unverified). The claim is about depth alone, and 30 layers are 30 layers at any width.

Result
------
**does not hold**: not so: 30 layers from Xavier's start learn nothing; PReLU does at least as well as the
rectifier (30 layers: 0.28 of the constant's loss (Xavier), 0.094 (He), 0.103 (PReLU)). 5 seeds, 6.1 minutes of
the processor, 2026-11-28, AMD EPYC (avx512bf16): `sfumato study he_init`.
"""

from __future__ import annotations

import numpy as np

from sfumato import Picture, Recipe
from sfumato.drawing.charts import CATEGORIES, Series, chart
from sfumato.studies import READING_LIST, Arm, Results, Verdict, because, mean_text

__all__ = ["CLAIM", "DRAWING", "PAPER", "SEEDS", "figure", "judge", "runs"]

PAPER = READING_LIST["he_init"]

CLAIM = (
    "A plain net of 30 layers of rectifiers learns from He's start (variance 2/n) and stays where it is from "
    "Xavier's (variance 1/n), while 10 layers learn from both; PReLU does at least as well as the rectifier there."
)

SEEDS = 5

MISSING = "the digits; convolutions"

AFTERWARDS = (
    "at He's rate, 0.003, Xavier's start does stay at the constant's loss (1.00 of it, one seed); with a rate of "
    "its own, ten times as large, it leaves the plateau after 500 to 1,000 steps. So it is late rather than lost, "
    "and the first trials, of 600 steps, were too short to see that."
)

DEPTHS = (10, 22, 30)

STARTS = {"He": "he", "Xavier": "lecun"}

STUCK, LEARNED = 0.9, 0.5
"""Shares of the yardstick: above the one nothing was learned, below the other something was."""


def runs(quick: bool) -> list[Arm]:
    """Depths times starts; quick: two depths, 400 steps, one rate."""
    base = Recipe(
        activation="relu",
        optimizer="sgd:momentum=0.9",
        schedule="constant",
        rate=0.01,
        batch=128,
        steps=250 if quick else 1500,
        options={"max_pixels": 3000 if quick else 10_000},
    )
    width, depths = (48, DEPTHS[::2]) if quick else (128, DEPTHS)
    asked = [
        (f"{start}, {depth} layers", base.replace(net=(width,) * depth, init=init))
        for depth in depths
        for start, init in STARTS.items()
    ]
    asked.append(("PReLU, 30 layers", base.replace(net=(width,) * 30, activation="prelu")))
    return [
        Arm(
            name,
            recipe,
            rates=() if quick else (0.003, 0.01, 0.03),
            tuned_by="loss",
            trial={},
            frames="linear:10",
        )
        for name, recipe in asked
    ]


def yardstick() -> float:
    """The loss of the best constant colour: the variance of the picture's values."""
    from sfumato import picture, samples

    shown = picture.fit(samples.mona_lisa(), 10_000)
    return float(shown.values.reshape(-1, shown.channels).var(0).mean())


def judge(results: Results) -> Verdict:
    """See the criterion above."""
    best = yardstick()
    shares = {name: [o["loss"] / best for o in outcomes] for name, outcomes in results.items()}
    checks = {
        "30 layers from Xavier's start learn nothing": min(shares["Xavier, 30 layers"]) > STUCK,
        "30 layers from He's start learn": max(shares["He, 30 layers"]) < LEARNED,
        "PReLU does at least as well as the rectifier": bool(
            np.mean(shares["PReLU, 30 layers"]) <= np.mean(shares["He, 30 layers"])
        ),
        "10 layers learn from both": max(shares["He, 10 layers"] + shares["Xavier, 10 layers"]) < LEARNED,
    }
    table = [["net", "rate", "loss / best constant", "PSNR, dB"]]
    for name, outcomes in results.items():
        table.append(
            [
                name,
                f"{outcomes[0].rate:g}",
                mean_text(outcomes, "loss", 3, 1 / best),
                mean_text(outcomes, "psnr"),
            ]
        )
    a, b = np.mean(shares["Xavier, 30 layers"]), np.mean(shares["He, 30 layers"])
    effect = f"30 layers: {a:.2f} of the constant's loss (Xavier), {b:.3f} (He)"
    effect += f", {np.mean(shares['PReLU, 30 layers']):.3f} (PReLU)"
    return Verdict(
        table, "holds" if all(checks.values()) else "does not hold", because(checks, effect), effect, checks
    )


def figure(results: Results) -> Picture:
    """Training loss against steps at the largest depth, a line a seed: the paper's figure 3, on the picture."""
    best, series = yardstick(), []
    deepest = max(results, key=lambda name: int(name.split(", ")[1].split()[0])).split(", ")[1]
    for number, start in enumerate((*STARTS, "PReLU")):
        for outcome in results[f"{start}, {deepest}"]:
            lines = outcome.lines[1:]
            x = np.array([line["step"] for line in lines], float)
            y = np.array([line["loss"] for line in lines], float) / best
            series.append(Series("" if outcome.seed else start, x, y, CATEGORIES[number]))
    return chart(
        series,
        title=f"A plain net of {deepest}: two starts, and PReLU",
        x_label="steps",
        y_label="training loss / loss of the best constant colour",
        from_zero=True,
    )


DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 210" font-family="sans-serif" font-size="14">
<rect width="760" height="210" fill="#fff"/>
<text x="16" y="26" font-size="16">Size of the signal, layer after layer, from left to right</text>
<text x="16" y="70" fill="#0072b2">He: 2/n</text><text x="16" y="150" fill="#d55e00">Xavier: 1/n</text>
<g fill="#0072b2"><circle cx="140" cy="66" r="26"/><circle cx="215" cy="66" r="26"/>
<circle cx="290" cy="66" r="26"/>
<circle cx="365" cy="66" r="26"/><circle cx="440" cy="66" r="26"/><circle cx="515" cy="66" r="26"/>
<circle cx="590" cy="66" r="26"/><circle cx="665" cy="66" r="26"/></g>
<g fill="#d55e00"><circle cx="140" cy="146" r="26"/><circle cx="215" cy="146" r="18.4"/>
<circle cx="290" cy="146" r="13"/><circle cx="365" cy="146" r="9.2"/><circle cx="440" cy="146" r="6.5"/>
<circle cx="515" cy="146" r="4.6"/><circle cx="590" cy="146" r="3.2"/><circle cx="665" cy="146" r="2.3"/></g>
<text x="16" y="196" fill="#444">Rectifiers let half of the mean square through; He makes up for it.</text>
</svg>"""
