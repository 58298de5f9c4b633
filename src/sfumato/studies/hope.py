"""Whether a layer learns better when its matrix is split into an orthogonal projection and rectifiers.

What the paper says
-------------------
HOPE takes a sample x as a signal that lives in few dimensions, plus noise of the same size in all others. A matrix
U with orthonormal rows keeps the signal, z = U x, and drops the rest; z is modelled by a mixture of von
Mises-Fisher distributions. The logarithm of a component's likelihood is linear in z, so that a layer of
rectifiers behind U, with the components' directions as the rows of a matrix V, is such a mixture. The two can be
learned without labels, by maximum likelihood, or with labels, by back-propagation. In both cases a penalty keeps
U orthogonal: beta D(U), where D(U) is the sum of |cos| of the angle over all pairs of rows of U (this
paragraph is unverified but for the abstract's part: projection, mixture, layers as HOPE models, learning with and
without labels).

The abstract claims "significant performance gains over the current state-of-the-art methods" on MNIST and TIMIT,
learning without labels, with labels, and with few labels. Its figures have not been read by us.

What we run
-----------
The supervised half, on 10,000 MNIST digits: 784 pixels, U to 200, V to 800 rectifiers, a softmax of 10. Four
arms: *dense* has no U, 784 to 800 directly, so twice as many numbers; *factored* learns U and V without a
penalty; *HOPE* is the same with beta D(U); *kept* never changes the random U that it began with. U begins with
orthonormal rows in all three, the same for a seed, so that the start cannot be what makes the difference; V, the
dense layer and the readout begin by He's rule. Cross-entropy, SGD with momentum 0.9, batches of 100, 2,000 steps
(20 passes), the rate falls by half a cosine to 0; each arm chooses among five rates on validation digits.

Beta was chosen before all that, by the angles alone and not by errors: 0.0001, the smallest of 0.00001, 0.0001,
0.001 and 0.01 at which the mean |cos| of HOPE was below a tenth of that of *factored*, at rate 0.1, in one run
with the seed of the trials. The rates reach from half of the best one of *factored* to nearly three times the
best one of *dense* in such runs, on validation digits.

Criterion, fixed before the first full run: of the 10,000 test digits HOPE misreads fewer than *factored*, and
fewer than *dense*, both with a 95 % interval over five paired seeds that lies below zero; and the mean |cos|
between rows of U at the end is at least five times smaller in HOPE than in *factored*, by the means over seeds.
All three: it holds. An interval above zero, or angles less than five times smaller: it does not hold. Otherwise,
where an interval holds zero: undecided.

What differs
------------
z is not normalised, the rows of U are not brought back to length 1, V's biases are free, and no mixture is
fitted: it is the network that HOPE ends up with, learned with labels. Learning without labels is left out.

How large it is
---------------
326,000 numbers (636,000 dense) and a sixth of MNIST. The paper learned from all 60,000 digits, with larger
layers (unverified). One standard error of 10,000 test digits at 3 % errors is 0.17 points; seeds are paired on
the same digits.

Result
------
**undecided**: not shown: fewer errors than dense, by the whole interval (-0.13 points (-0.26 to -0.01) against
factored, -0.18 points (-0.40 to +0.05) against dense; mean |cos| 23.6 times smaller). 5 seeds, 64.3 minutes by
the clock, 2026-11-28, AMD EPYC (avx512bf16): `sfumato study hope`.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfumato import Picture, Recipe, RecipeError, TaskError, picture, tasks
from sfumato.data import Data, Stream
from sfumato.drawing.charts import CATEGORIES, Series, chart
from sfumato.learning import losses, optimizers, schedules
from sfumato.learning.torch_session import TorchSession, minibatches
from sfumato.nets import layer_initializers
from sfumato.neurons import features
from sfumato.recipe import pick
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

__all__ = [
    "CLAIM",
    "DRAWING",
    "PAPER",
    "RECIPE",
    "RECIPES",
    "SEEDS",
    "begin",
    "build",
    "draw",
    "figure",
    "judge",
    "load",
    "overlap",
    "runs",
    "score",
    "synthesize",
]

PAPER = READING_LIST["hope"]

CLAIM = (
    "A layer of rectifiers behind a learned projection whose rows a penalty keeps orthogonal misreads fewer "
    "digits than the same two matrices without the penalty, and fewer than a dense layer; the penalty makes the "
    "rows' mean |cos| at least five times smaller."
)

SEEDS = 5

DATA = ("mnist",)

MISSING = "learning without labels, TIMIT, the mixture itself"

AFTERWARDS = (
    "against the same matrices without the penalty the interval lies below zero, against the dense layer it does "
    "not: the dense nets scatter more. Both gains are no larger than one standard error of 10,000 test digits, "
    "0.18 points, so other digits may say otherwise. A random U that is never learned costs 0.6 points. No arm "
    "chose an end of its rates, but factored and HOPE chose the largest that does not diverge. The minutes come "
    "from a crowded machine: in the trials a run took 7 to 30 seconds."
)

BETA = 0.0001

RECIPE = Recipe(
    task="hope",
    net=(200, 800),
    encoding="raw",
    loss="cross_entropy",
    optimizer="sgd:momentum=0.9",
    rate=0.1,
    batch=100,
    steps=2000,
    options={"samples": 10_000},
)
"""net: rows of U, and rectifiers; rectifiers alone make a dense layer."""

RECIPES: dict[str, tuple[Recipe, str]] = {}

OPTIONS = "split: test or validation; samples: 1 or more; beta: 0 or more; kept: true or false"


def load(source: str | None, recipe: Recipe) -> Stream:
    """Digits: `mnist` and the others of task digits, or `drawn`, which `synthesize` makes and need no file.

    Options: `split` and `samples` as in task digits, `beta`, the weight of the penalty, and `kept`, whether U stays
    as it begins. Raises RecipeError for other options, and for a net of more than two layers.
    """
    options = dict(recipe.options)
    beta, kept = options.pop("beta", 0.0), options.pop("kept", False)
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 <= beta < np.inf:
        raise RecipeError(f"task hope has no option beta={beta!r}\nhint: {OPTIONS}")
    if not isinstance(kept, bool):
        raise RecipeError(f"task hope has no option kept={kept!r}\nhint: {OPTIONS}")
    if len(recipe.net) not in (1, 2):
        raise RecipeError(f"net={recipe.net}: task hope takes rectifiers, or rows of U and rectifiers")
    if len(recipe.net) == 1 and (beta or kept):
        raise RecipeError("task hope: a dense net has no U to keep or to be punished\nhint: net=200,800")
    if source == "drawn":
        unknown = set(options) - {"split"}
        if unknown:
            raise RecipeError(f"drawn digits have no option {min(unknown)!r}\nhint: {OPTIONS}")
        data = synthesize(1000, seed=0, split=str(options.get("split", "test")))
    else:
        data = digits_of(source, recipe, "beta", "kept")
    if len(recipe.net) == 2 and recipe.net[0] > data.inputs.shape[1]:
        raise TaskError(f"U: {recipe.net[0]} rows in {data.inputs.shape[1]} dimensions cannot be orthogonal")
    return minibatches(data.inputs, data.targets, recipe, digits=data)


def synthesize(count: int, *, seed: int, split: str = "test") -> Data:
    """What HOPE assumes, drawn: `count` samples to learn and as many held out, 64 inputs, ten classes in turn.

    A class has a centre of length 2 in a plane of 12 dimensions; around it the signal is normal with deviation 0.5
    in the plane, and the noise with 0.1 in all 64 dimensions. Facts: `basis` (12, 64), orthonormal rows of the
    plane; `centres` (10, 64); `side`, `classes`, `split` as in task digits.
    """
    random = np.random.default_rng([seed, 64])
    basis = np.linalg.qr(random.normal(size=(64, 12)))[0].T
    centres = random.normal(size=(10, 12))
    centres = 2 * centres / np.linalg.norm(centres, axis=1, keepdims=True) @ basis
    labels = np.arange(2 * count) % 10
    signal = 0.5 * random.normal(size=(2 * count, 12)) @ basis
    inputs = (centres[labels] + signal + 0.1 * random.normal(size=(2 * count, 64))).astype(np.float32)
    targets = np.eye(10, dtype=np.float32)[labels]
    facts = {
        "basis": basis,
        "centres": centres,
        "side": (8, 8),
        "classes": tuple("0123456789"),
        "split": split,
    }
    return Data(inputs[:count], targets[:count], inputs[count:], targets[count:], facts)


class Split(nn.Module):
    """Inputs (N, D) to logits (N, C): U, rectifiers behind V, a readout; without U the rectifiers are dense.

    The start is drawn from the seed alone. kept: U is not learned.
    """

    def __init__(self, inputs: int, net: tuple[int, ...], classes: int, seed: int, kept: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        *front, units = net
        self.project: nn.Module = nn.Identity()
        if front:
            self.project = nn.Linear(inputs, front[0], bias=False)
            nn.init.orthogonal_(self.project.weight, generator=generator)
            self.project.weight.requires_grad_(not kept)
        self.units = nn.Linear(front[0] if front else inputs, units)
        self.readout = nn.Linear(units, classes)
        with torch.no_grad():
            for layer in (self.units, self.readout):
                layer_initializers.he(layer.weight, layer.bias, first=False, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(torch.relu(self.units(self.project(x))))  # type: ignore[no-any-return]

    @property
    def first(self) -> Tensor:
        """The matrix that meets the inputs: U (M, D), or that of the dense layer."""
        return self.units.weight if isinstance(self.project, nn.Identity) else self.project.weight  # type: ignore[return-value]


def overlap(rows: Tensor) -> Tensor:
    """D(U) of rows (M, D): the sum of |cos| of the angle over all pairs of rows."""
    straight = functional.normalize(rows, dim=1)
    return (straight @ straight.T).triu(1).abs().sum()


def build(recipe: Recipe, data: Stream) -> Split:
    """The untrained net of a recipe."""
    known: Data = data.facts["digits"]
    kept = bool(recipe.options.get("kept", False))
    return Split(known.inputs.shape[1], recipe.net, known.targets.shape[1], recipe.seed, kept)


def begin(net: Split, data: Stream, recipe: Recipe, total_steps: int) -> TorchSession:
    """SGD with momentum on the recipe's loss plus beta D(U)."""
    beta = float(recipe.options.get("beta", 0.0))
    judged, schedule = pick(losses, recipe.loss), pick(schedules, recipe.schedule)
    momentum = pick(optimizers, recipe.optimizer).argument("momentum")

    def loss(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        value: Tensor = judged(module(batch[0]), batch[1])
        return value + beta * overlap(module.first) if beta else value  # type: ignore[arg-type]

    return TorchSession(
        net,
        loss,
        data,
        lambda module: [torch.optim.SGD(module.parameters(), momentum=momentum)],
        rate=lambda share: recipe.rate * float(schedule(np.array(share))),
        total_steps=total_steps,
    )


def draw(net: Split, data: Stream) -> Picture:
    """The first rows of the matrix that meets the pixels, as pictures."""
    rows = net.first.detach().numpy()[:96]
    return picture.sheet(features.tiles(rows, data.facts["digits"].facts["side"]), 12, gap=2)


@torch.no_grad()
def score(net: Split, data: Stream, drawn: Picture) -> dict[str, float]:
    """`error`: share of held-out digits that are misread; `cosine`: mean |cos| between rows of `first`."""
    known: Data = data.facts["digits"]
    guessed = net(torch.from_numpy(known.hidden_inputs)).argmax(1).numpy()
    rows = len(net.first)
    return {
        "error": float((guessed != known.hidden_targets.argmax(1)).mean()),
        "cosine": float(overlap(net.first)) / (rows * (rows - 1) / 2),
    }


def runs(quick: bool) -> list[Arm]:
    """Four arms; quick: 1,000 drawn samples of 64 inputs, 300 steps, one rate, a penalty for the fewer pairs."""
    base = RECIPE
    if quick:
        base = RECIPE.replace(net=(24, 64), steps=300, rate=0.03, options={})
    options = dict(base.options)
    asked = {
        "dense": base.replace(net=base.net[1:]),
        "factored": base,
        "HOPE": base.replace(options=options | {"beta": 100 * BETA if quick else BETA}),
        "kept": base.replace(options=options | {"kept": True}),
    }
    rates = () if quick else (0.05, 0.1, 0.2, 0.4, 0.8)
    source = "drawn" if quick else "mnist"
    return [Arm(name, one, rates, "error", source=source, frames="4") for name, one in asked.items()]


def judge(results: Results) -> Verdict:
    """See the criterion above."""
    gaps = {name: difference(results, "HOPE", name, "error") for name in ("factored", "dense")}
    cosine = {name: float(np.mean([o["cosine"] for o in outcomes])) for name, outcomes in results.items()}
    ratio = cosine["factored"] / max(cosine["HOPE"], 1e-12)
    checks = {f"fewer errors than {name}, by the whole interval": gap.high < 0 for name, gap in gaps.items()}
    checks["the rows' mean |cos| is at least five times smaller than without the penalty"] = ratio >= 5
    table = [["net", "numbers learned", "rate", "test error, %", "mean |cos|"]]
    quick = results["HOPE"][0].lines[-1]["step"] < RECIPE.steps
    for arm in runs(quick):
        if arm.name in results:
            outcomes = results[arm.name]
            table.append(
                [
                    arm.name,
                    f"{numbers(arm.recipe, 64 if quick else 784):,}",
                    f"{outcomes[0].rate:g}",
                    mean_text(outcomes, "error", 2, 100),
                    mean_text(outcomes, "cosine", 4),
                ]
            )
    told = [
        f"{100 * g.mean:+.2f} points ({100 * g.low:+.2f} to {100 * g.high:+.2f}) against {n}"
        for n, g in gaps.items()
    ]
    effect = f"{', '.join(told)}; mean |cos| {ratio:.1f} times smaller"
    word = "holds" if all(checks.values()) else "undecided"
    if any(gap.low > 0 for gap in gaps.values()) or ratio < 5:
        word = "does not hold"
    return Verdict(table, word, because(checks, effect, word), effect, checks)


def numbers(recipe: Recipe, inputs: int) -> int:
    """How many numbers the net of an arm learns."""
    net = Split(inputs, recipe.net, 10, 0, bool(recipe.options.get("kept", False)))
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def figure(results: Results) -> Picture:
    """Errors against the rows' mean |cos|, a dot a seed; below, rows of U without the penalty and with it."""
    series = [
        Series(
            "" if o.seed else name, np.array([o["cosine"]]), np.array([100 * o["error"]]), CATEGORIES[index]
        )
        for index, (name, outcomes) in enumerate(results.items())
        for o in outcomes
        if name != "kept"  # its rows are orthogonal to the last bit: a logarithm would show rounding
    ]
    above = chart(
        series,
        title="A dot a seed: errors, and how far the rows are from orthogonal",
        x_label="mean |cos| between rows of the first matrix",
        y_label="test error, %",
        log_x=True,
    )
    first = {name: results[name][0].folder for name in ("factored", "HOPE")}
    shown = [picture.load(folder / "painting.png") for folder in first.values() if folder is not None]
    captions = [f"{name}: rows of U" for name in first][: len(shown)]
    return stacked(above, picture.sheet(shown, 2, gap=12, captions=captions)) if shown else above


DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 250" font-family="sans-serif" font-size="14">
<rect width="760" height="250" fill="#fff"/>
<text x="16" y="28" font-size="16">One matrix becomes two: a projection kept orthogonal, then rectifiers</text>
<g fill="none" stroke="#32333a" stroke-width="2"><rect x="30" y="60" width="26" height="140"/>
<path d="M110 60L190 95V165L110 200Z" fill="#dcecf5"/><rect x="240" y="95" width="26" height="70"/>
<path d="M320 95L400 60V200L320 165Z" fill="#f8e6d8"/><rect x="450" y="60" width="26" height="140"/></g>
<g stroke="#777" stroke-width="2"><path d="M64 130h38M198 130h34M274 130h38M408 130h34"/></g>
<g text-anchor="middle"><text x="43" y="222">x</text><text x="150" y="136" fill="#0072b2" font-size="18">U</text>
<text x="253" y="222">z = U x</text><text x="360" y="136" fill="#d55e00" font-size="18">V</text>
<text x="463" y="222">rectifiers</text></g>
<g stroke-width="3" fill="none"><path d="M570 140L660 140M570 140L570 60" stroke="#0072b2"/>
<path d="M570 140L642 86" stroke="#0072b2" stroke-dasharray="5 5"/>
<path d="M602 140A32 32 0 0 0 596 121" stroke="#d55e00"/></g>
<text x="666" y="145" fill="#0072b2">u1</text><text x="562" y="52" fill="#0072b2">u2</text>
<text x="648" y="76" fill="#777">u2 with no</text><text x="648" y="94" fill="#777">penalty</text>
<text x="520" y="182">D(U): the sum of |cos| over</text><text x="520" y="202">all pairs of rows, 0 where</text>
<text x="520" y="222">they stand at right angles</text>
</svg>"""

tasks.add("hope", sys.modules[__name__])
