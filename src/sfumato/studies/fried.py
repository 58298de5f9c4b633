"""A dense layer deep-fried: three diagonals and two fast transforms in place of a matrix.

What the paper says
-------------------
Most numbers of a convolutional net stand in its dense layers. They are replaced by y = S H G P H B x: S, G and
B are diagonals that are learned, P is a fixed permutation, H the Walsh-Hadamard transform, which has no numbers
and takes n log n operations. A layer of n units so has 3 n numbers in place of n^2. With diagonals that stay
random it is Fastfood, a known approximation of a kernel; learned ones are better.

On MNIST, behind the convolutions of LeNet, 38,821 numbers had 0.73 % errors where the dense reference had
430,500 and 0.87 % (unverified: from memory).

What we run
-----------
MNIST, 20,000 digits, a layer of 1,024 rectifiers before the readout, 500 steps of 100, Adam. The layer is
dense, fastfood, fastfood with frozen diagonals, or of low rank with as many numbers as fastfood (rank 2); once
on the pixels, once behind two convolutions of 3x3 (8 and 16 channels, halved by pooling), where the paper has
it. Each arm chooses among three rates on 10,000 other digits.

And on the built-in Mona Lisa at 10,000 pixels: 4x512 fried against 4x55 dense, nearly the same number of
weights, 500 steps of 256. Shown, not judged.

Criterion, fixed before the first full run: over five seeds and behind the convolutions, fastfood's mean test
error is at most 0.1 points above that of the dense layer, in a net of at most an eighth of the numbers; and
there and on the pixels it is below that of frozen diagonals and that of low rank.

What differs
------------
Fewer channels and digits, two and a half passes over them; ReLU behind the layer and no dropout; ImageNet not
at all. Nothing is claimed about time. The result below is from before the layer was compiled, when PyTorch did the
transform as products of small matrices: a run today differs from it by rounding.

How large it is
---------------
815,000 numbers in the dense net, 16,000 in the fried one, against 430,500 and 38,821 in the paper (unverified).

Result
------
**holds**: -0.06 points against dense (-1.43 to +1.31) with 52 times fewer numbers. 5 seeds, 8.6 minutes of the
processor, 2026-11-28, AMD EPYC (avx512bf16): `sfumato study fried`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfumato import Picture, Recipe, picture, tasks
from sfumato.data import Stream
from sfumato.drawing.charts import CATEGORIES, Series, chart
from sfumato.learning.torch_session import TorchSession, minibatches
from sfumato.nets import build as build_net
from sfumato.neurons import features
from sfumato.studies import (
    READING_LIST,
    Arm,
    Results,
    Verdict,
    because,
    difference,
    digits_of,
    mean_text,
    stacked,
)

__all__ = ["CLAIM", "DRAWING", "PAPER", "SEEDS", "figure", "judge", "runs"]

PAPER = READING_LIST["fried"]

CLAIM = (
    "Behind convolutions, learned diagonals and two Walsh-Hadamard transforms in place of a dense layer cost at "
    "most 0.1 points, with an eighth of the numbers; they are better than frozen diagonals and than low rank."
)

SEEDS, DATA = 5, ("mnist",)

AFTERWARDS = (
    "it holds by the means; the seeds scatter by 0.6 points behind convolutions at these constant rates, so that "
    "0.1 points cannot be told with five of them. Frozen diagonals are nearly as good there (+0.2 points); on the "
    "pixels fastfood stays 2.3 points behind the dense layer."
)

MISSING = "ImageNet; several blocks; cosines and sines; the saving in time"

# The task ---------------------------------------------------------------------------------------------------------

RECIPE = Recipe(
    task="fried",
    net=(1024,),
    layer="fastfood",
    encoding="raw",
    loss="cross_entropy",
    schedule="constant",
    batch=100,
    steps=500,
    rate=3e-3,
)
RECIPES: Mapping[str, tuple[Recipe, str]] = {}


class Convolutional(nn.Module):
    """Two convolutions of 3x3 with rectifiers, each halved by pooling, and a net on what they see."""

    def __init__(
        self, side: tuple[int, int], channels: tuple[int, int], recipe: Recipe, classes: int
    ) -> None:
        super().__init__()
        self._side = side
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.first = nn.Conv2d(1, channels[0], 3, padding=1)
            self.second = nn.Conv2d(channels[0], channels[1], 3, padding=1)
        self.net = build_net(recipe, channels[1] * (side[0] // 4) * (side[1] // 4), classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, pixels) -> (N, classes)."""
        value = x.view(-1, 1, *self._side)
        for layer in (self.first, self.second):
            value = functional.max_pool2d(torch.relu(layer(value)), 2)
        result: Tensor = self.net(value.flatten(1))
        return result


def load(source: str | None, recipe: Recipe) -> Stream:
    """The digits of `source` (see the task `digits`); options: `samples`, `split`."""
    digits = digits_of(source, recipe)
    return minibatches(digits.inputs, digits.targets, recipe, name=digits.facts["name"], digits=digits)


def build(recipe: Recipe, data: Stream) -> Convolutional:
    """The untrained net; 8 and 16 channels."""
    digits = data.facts["digits"]
    return Convolutional(digits.facts["side"], (8, 16), recipe, digits.targets.shape[1])


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Cross-entropy."""
    inputs, targets = batch
    return functional.cross_entropy(net(inputs), targets)


def begin(net: nn.Module, data: Stream, recipe: Recipe, total_steps: int) -> TorchSession:
    """Adam at a constant rate."""
    return TorchSession(
        net,
        loss,
        data,
        lambda module: [torch.optim.Adam(module.parameters(), lr=0.0)],
        rate=recipe.rate,
        total_steps=total_steps,
    )


@torch.no_grad()
def score(net: Convolutional, data: Stream, drawn: Picture) -> dict[str, float]:
    """`test_error` or `validation_error`."""
    digits = data.facts["digits"]
    said = torch.cat([net(part) for part in torch.split(torch.from_numpy(digits.hidden_inputs), 1000)])
    wrong = said.argmax(1) != torch.from_numpy(digits.hidden_targets).argmax(1)
    return {f"{digits.facts['split']}_error": float(wrong.float().mean())}


def draw(net: Convolutional, data: Stream) -> Picture:
    """The kernels of the first convolution."""
    kernels = net.first.weight.detach().reshape(-1, 9).numpy()
    return picture.sheet(features.tiles(kernels, (3, 3), scale=8), 8, gap=2)


# The study --------------------------------------------------------------------------------------------------------

LAYERS = {
    "dense": "dense",
    "fastfood": "fastfood",
    "frozen fastfood": "fastfood:adaptive=False",
    "low rank": "low_rank:rank=2",
}


def runs(quick: bool) -> list[Arm]:
    """Four layers on the pixels and behind convolutions, two nets on the picture; quick: digits of 8x8."""
    few = {"samples": 1200 if quick else 20_000, "split": "test"}
    source = "digits8x8" if quick else "mnist"
    recipe = RECIPE.replace(net=(64,) if quick else (1024,), steps=120 if quick else 500, options=few)
    rates = () if quick else (1e-3, 3e-3, 1e-2)
    arms = []
    for name, layer in LAYERS.items():
        behind = recipe.replace(layer=layer)
        alone = behind.replace(task="digits", engine="eager")
        for where, one in (("pixels", alone), ("convolutions", behind)):
            arms.append(Arm(f"{name}, {where}", one, rates, "validation_error", source=source, frames="2"))
    wide = (64,) * 4 if quick else (512,) * 4
    for name, layer, net in (("dense", "dense", (55,) * 4), ("fastfood", "fastfood", wide)):
        brush = Recipe(
            net=net,
            layer=layer,
            batch=256,
            steps=100 if quick else 500,
            rate=3e-3,
            engine="eager",
            options={"max_pixels": 1000 if quick else 10_000},
        )
        arms.append(Arm(f"{name}, picture", brush, rates, "loss", trial={}, frames="2"))
    return arms


def numbers(recipe: Recipe, side: int = 28) -> int:
    """Numbers that the net of an arm learns; side: of the digits, in pixels."""
    if recipe.task == "fried":
        return sum(p.numel() for p in Convolutional((side, side), (8, 16), recipe, 10).parameters())
    return build_net(recipe, *((2, 3) if recipe.task == "picture" else (side * side, 10))).parameter_count


def counted(results: Results) -> dict[str, int]:
    """Numbers that the net of each arm of these results learned, by name."""
    quick = results["dense, pixels"][0].lines[-1]["step"] < RECIPE.steps
    return {arm.name: numbers(arm.recipe, 8 if quick else 28) for arm in runs(quick)}


def judge(results: Results) -> Verdict:
    """See the criterion above."""
    count = counted(results)
    error = {
        name: float(np.mean([o["test_error"] for o in results[name]]))
        for name in results
        if "picture" not in name
    }
    gap = difference(results, "fastfood, convolutions", "dense, convolutions", "test_error")
    saved = count["dense, convolutions"] / count["fastfood, convolutions"]
    checks = {
        "behind convolutions at most 0.1 points above dense": gap.mean <= 0.001,
        "with at most an eighth of the numbers": saved >= 8,
    }
    for where in ("convolutions", "pixels"):
        for other in ("frozen fastfood", "low rank"):
            worse = error[f"{other}, {where}"] > error[f"fastfood, {where}"]
            checks[f"{where}: better than {other}"] = worse
    table = [["layer", "numbers learned", "rate", "test error, %", "PSNR, dB"]]
    for name, outcomes in results.items():
        painted = "picture" in name
        cell = mean_text(outcomes, "psnr") if painted else mean_text(outcomes, "test_error", 2, 100)
        cells = ["", cell] if painted else [cell, ""]
        table.append([name, f"{count[name]:,}", f"{outcomes[0].rate:g}", *cells])
    low, high = 100 * gap.low, 100 * gap.high
    effect = f"{100 * gap.mean:+.2f} points against dense ({low:+.2f} to {high:+.2f})"
    effect += f" with {saved:.0f} times fewer numbers"
    word = "holds" if all(checks.values()) else "does not hold"
    return Verdict(table, word, because(checks, effect), effect, checks)


def figure(results: Results) -> Picture:
    """Test error against the numbers learned, a line from the best seed to the worst; below, two paintings."""
    count = counted(results)
    series = []
    for index, name in enumerate(LAYERS):
        for where in ("pixels", "convolutions"):
            y = np.array([100 * o["test_error"] for o in results[f"{name}, {where}"]])
            x = np.full(len(y), float(count[f"{name}, {where}"]))
            series.append(Series(name if where == "pixels" else "", x, y, CATEGORIES[index]))
    above = chart(
        series,
        title="Best to worst seed; of a colour the upper on pixels, the lower behind convolutions",
        x_label="numbers learned",
        y_label="test error, %",
        log_x=True,
        from_zero=True,
    )
    first = {name: results[f"{name}, picture"][0] for name in ("dense", "fastfood")}
    shown = [picture.load(o.folder / "painting.png") for o in first.values() if o.folder is not None]
    captions = [f"{name}, {o['psnr']:.1f} dB" for name, o in first.items()][: len(shown)]
    return stacked(above, picture.sheet(shown, 2, gap=12, captions=captions)) if shown else above


DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 220" font-family="sans-serif" font-size="14">
<rect width="760" height="220" fill="#fff"/>
<text x="16" y="28" font-size="16">From right to left: what stands in place of one matrix</text>
<g fill="none" stroke="#32333a" stroke-width="2"><rect x="30" y="60" width="90" height="90"/>
<rect x="130" y="60" width="90" height="90"/><rect x="230" y="60" width="90" height="90"/>
<rect x="330" y="60" width="90" height="90"/><rect x="430" y="60" width="90" height="90"/>
<rect x="530" y="60" width="90" height="90"/></g>
<g stroke="#0072b2" stroke-width="4"><path d="M32 62l86 86"/><path d="M232 62l86 86"/><path d="M532 62l86 86"/></g>
<g fill="#c9c9c9"><path d="M132 62h44v44h-44zM176 62h42v44h-42zM132 106h44v42h-44z"/>
<path d="M432 62h44v44h-44zM476 62h42v44h-42zM432 106h44v42h-44z"/></g>
<g fill="#777"><path d="M176 106h42v42h-42zM476 106h42v42h-42z"/></g>
<g fill="#d55e00"><circle cx="342" cy="100" r="5"/><circle cx="360" cy="76" r="5"/><circle cx="376" cy="138" r="5"/>
<circle cx="392" cy="84" r="5"/><circle cx="408" cy="120" r="5"/></g>
<text x="68" y="172">S</text><text x="168" y="172">H</text><text x="268" y="172">G</text>
<text x="368" y="172">P</text><text x="468" y="172">H</text><text x="568" y="172">B</text>
<text x="640" y="110">x</text>
<text x="16" y="204" fill="#0072b2">diagonals: learned</text>
<text x="180" y="204" fill="#777">H: plus and minus one</text>
<text x="380" y="204" fill="#d55e00">a permutation, never changed</text>
</svg>"""

tasks.add("fried", sys.modules[__name__])
