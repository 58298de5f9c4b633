"""A net with one hidden layer learns from a deep one what it does not learn from the labels.

What the paper says
-------------------
A deep net is trained on labels. Then a shallow one, with one hidden layer, is trained to say the deep net's
logits, the numbers before its softmax, by squared error: no labels at all. The logits tell more than the labels do:
how much a 4 looks like a 9, and which examples are hard. The hidden layer is made wide without a slow product by a
linear bottleneck in front of it. The shallow net then gets close to the deep one, though trained on labels it does
not: so it could have been as good all along, and only was not found.

On TIMIT a shallow net trained on labels had 23.6 % phone errors, its teacher (nine convolutional nets) 18.5 %, a
shallow net trained by that teacher 20.0 %.

What we run
-----------
20,000 digits of MNIST, each turned by up to 20 degrees, scaled by up to 1.22 and moved by up to a tenth of its
width, once and for all; the 10,000 test digits alike. Teacher: a convolutional net, 8 and 16 channels of 3x3 and a
layer of 64, learned from the labels, 1,500 steps of 100. Students: 784-50-H-10, the 50 linear, H rectifiers, H =
250 and 1,000, 1,200 steps of 100, Adam. On the very same digits they learn one of three things: the labels
(cross-entropy); the teacher's probabilities (cross-entropy); its logits (squared error; each digit's mean is taken
off, and all are divided by their deviation). Each arm chooses among three rates on 10,000 other digits.

And on the built-in Mona Lisa at 10,000 pixels: teacher 4x300, students of one layer of 3,000 rectifiers, which
learn the pixels, or the teacher's colours anywhere between them. Shown, not judged.

Criterion, fixed before the first full run: over five seeds and with H = 1,000, the student of the logits closes at
least half of the gap in test error between the student of the labels and the teacher, and its mean error is at most
that of the student of the probabilities.

What differs
------------
Digits instead of phones and photographs; one small teacher instead of many; no unlabelled digits beside the
labelled ones, so that the students differ in what they are told and in nothing else.

How large it is
---------------
100,000 weights in the student and 68,000 in the teacher, against millions in the paper (unverified).

Result
------
**does not hold**: not so: the student of logits closes at least half of the gap; logits teach at least as well
as probabilities (-29 % of the gap closed (a seed: -54 to -16 %): labels 7.28, logits 7.90, teacher 5.17 %
errors). 5 seeds, 5.0 minutes of the processor, 2026-11-28, AMD EPYC (avx512bf16): `sfumato study mimic`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfumato import Picture, Recipe, picture, tasks
from sfumato.compare.workers import beside
from sfumato.data import Data, Stream
from sfumato.drawing.charts import CATEGORIES, Series, chart
from sfumato.errors import RecipeError
from sfumato.learning.torch_session import TorchSession, minibatches
from sfumato.nets import Net
from sfumato.nets import build as build_net
from sfumato.neurons import features
from sfumato.painting import paint
from sfumato.studies import READING_LIST, Arm, Results, Verdict, because, digits_of, mean_text, only

__all__ = ["CLAIM", "DRAWING", "PAPER", "SEEDS", "figure", "judge", "runs"]

PAPER = READING_LIST["mimic"]

CLAIM = (
    "A net with one hidden layer that learns the logits of a convolutional teacher closes at least half of the gap "
    "between the teacher and the same net trained on labels, and learns from logits at least as well as from "
    "probabilities."
)

SEEDS, DATA = 5, ("mnist",)

AFTERWARDS = (
    "with the teacher's own digits alone, its logits teach less than the labels in 1,200 steps; the paper's "
    "gain came with a much stronger teacher, more steps and, for photographs, unlabelled data, none of which was "
    "tried. Most students chose 0.01, the largest rate. On the picture neither teaching gets one layer near four."
)

MISSING = "unlabelled transfer data; ensembles of teachers; photographs; speech"

# The task ---------------------------------------------------------------------------------------------------------

RECIPE = Recipe(
    task="mimic",
    net=(50, 1000),
    activation="relu",
    batch=100,
    steps=1200,
    rate=3e-3,
    options={"on": "digits", "learns": "logits"},
)
RECIPES: Mapping[str, tuple[Recipe, str]] = {}

LEARNS = ("labels", "probabilities", "logits")


class Teacher(nn.Module):
    """Two convolutions of 3x3, each halved by pooling, and a hidden layer: (N, pixels) -> (N, classes)."""

    def __init__(self, side: tuple[int, int], widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        first, second, hidden = widths
        self._side = side
        self.first, self.second = nn.Conv2d(1, first, 3, padding=1), nn.Conv2d(first, second, 3, padding=1)
        self.hidden = nn.Linear(second * (side[0] // 4) * (side[1] // 4), hidden)
        self.readout = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        value = x.view(-1, 1, *self._side)
        for layer in (self.first, self.second):
            value = functional.max_pool2d(torch.relu(layer(value)), 2)
        result: Tensor = self.readout(torch.relu(self.hidden(value.flatten(1))))
        return result


class Shallow(nn.Module):
    """A linear bottleneck and one hidden layer of rectifiers: (N, pixels) -> (N, classes)."""

    def __init__(self, inputs: int, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        bottleneck, hidden = widths
        self.bottleneck = nn.Linear(inputs, bottleneck, bias=False)
        self.hidden, self.readout = nn.Linear(bottleneck, hidden), nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        result: Tensor = self.readout(torch.relu(self.hidden(self.bottleneck(x))))
        return result


def jittered(digits: Tensor, side: tuple[int, int], seed: int) -> Tensor:
    """Each digit (N, pixels) turned, scaled and moved at random; bilinear, 0 beyond the edge."""
    random = torch.Generator().manual_seed(seed)
    turn, size, right, down = (2 * torch.rand(4, len(digits), generator=random) - 1).unbind()
    return moved(digits, side, math.radians(20) * turn, torch.exp(0.2 * size), 0.2 * right, 0.2 * down)


def moved(
    digits: Tensor, side: tuple[int, int], turn: Tensor, size: Tensor, right: Tensor, down: Tensor
) -> Tensor:
    """Digits (N, pixels) turned by radians, clockwise, and made `size` times as large; moved by half widths."""
    cos, sin = torch.cos(turn) / size, torch.sin(turn) / size
    rows = torch.stack([cos, sin, -right * cos - down * sin, -sin, cos, right * sin - down * cos], 1)
    shape = [len(digits), 1, *side]
    grid = functional.affine_grid(rows.view(-1, 2, 3), shape, align_corners=False)
    return functional.grid_sample(digits.view(shape), grid, align_corners=False).flatten(1)


def load(source: str | None, recipe: Recipe) -> Stream:
    """What one learns from and by whom; options: `on` (digits, picture), `learns`, `samples`, `split`, `teacher`.

    A batch is (inputs, targets). Targets of digits are one-hot labels, the teacher's probabilities or its logits
    (centred over classes, of deviation 1). Raises RecipeError for another word.
    """
    learns, on = recipe.options.get("learns", "labels"), recipe.options.get("on", "digits")
    if learns not in LEARNS or on not in ("digits", "picture"):
        raise RecipeError(f"options.learns={learns!r}, on={on!r}\nhint: {', '.join(LEARNS)}; digits, picture")
    return _colours(recipe, learns) if on == "picture" else _digits(source, recipe, learns)


def _digits(source: str | None, recipe: Recipe, learns: str) -> Stream:
    digits = digits_of(source, recipe, "on", "learns", "teacher")
    side = digits.facts["side"]
    inputs = jittered(torch.from_numpy(digits.inputs), side, seed=1)
    asked = jittered(torch.from_numpy(digits.hidden_inputs), side, seed=2)
    targets = torch.from_numpy(digits.targets)
    if learns != "labels":
        run = beside(str(recipe.options.get("teacher", "")))
        teacher = Teacher(side, run.recipe.net, targets.shape[1])
        run.fit(teacher, run.weights())
        targets = taught(teacher, inputs, learns)
    stream = minibatches(inputs.numpy(), targets.numpy(), recipe)
    facts = {"name": digits.facts["name"], "digits": digits, "asked": asked, "learns": learns}
    return Stream(stream.draw, batch=stream.batch, samples=stream.samples, facts=facts)


@torch.no_grad()
def taught(teacher: nn.Module, inputs: Tensor, learns: str) -> Tensor:
    """What the teacher says of inputs: probabilities, or logits, centred over classes, of deviation 1."""
    logits = torch.cat([teacher(part) for part in torch.split(inputs, 1000)])
    if learns == "probabilities":
        return torch.softmax(logits, 1)
    centred = logits - logits.mean(1, keepdim=True)
    return centred / centred.square().mean().sqrt()


def _colours(recipe: Recipe, learns: str) -> Stream:
    only(recipe, "on", "learns", "teacher", "split")
    run = beside(str(recipe.options.get("teacher", "")))
    data: Data = tasks.task("picture").load(run.source, run.recipe)
    facts = {"name": "picture", "learns": learns, **data.facts}
    if learns == "labels":
        stream = minibatches(data.inputs, data.targets, recipe)
        return Stream(stream.draw, batch=stream.batch, samples=stream.samples, facts=facts)
    teacher = run.net()

    @torch.no_grad()
    def draw(step: int) -> tuple[Tensor, Tensor]:
        random = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        points = torch.rand(recipe.batch, 2, generator=random)
        return points, teacher(points)

    return Stream(draw, batch=recipe.batch, samples=data.samples, facts=facts)


def build(recipe: Recipe, data: Stream) -> nn.Module:
    """The untrained net: three widths make a teacher, two a student of digits, one a student of a picture."""
    if "picture" in data.facts:
        return build_net(recipe, 2, data.facts["picture"].channels)
    digits = data.facts["digits"]
    classes = digits.targets.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if len(recipe.net) == 3:
            return Teacher(digits.facts["side"], recipe.net, classes)
        return Shallow(digits.inputs.shape[1], recipe.net, classes)


def begin(net: nn.Module, data: Stream, recipe: Recipe, total_steps: int) -> TorchSession:
    """Adam, the rate falling linearly to 0."""
    squared = "picture" in data.facts or data.facts["learns"] == "logits"

    def loss(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        inputs, targets = batch
        measure = functional.mse_loss if squared else functional.cross_entropy
        return measure(module(inputs), targets)

    return TorchSession(
        net,
        loss,
        data,
        lambda module: [torch.optim.Adam(module.parameters(), lr=0.0)],
        rate=lambda share: recipe.rate * (1 - share),
        total_steps=total_steps,
    )


@torch.no_grad()
def score(net: nn.Module, data: Stream, drawn: Picture) -> dict[str, float]:
    """Digits: `test_error` or `validation_error`. Picture: `psnr` in dB and `painted_error`, its mean square."""
    if "picture" in data.facts:
        wrong = float(np.mean((data.facts["picture"].values - drawn.values) ** 2))
        return {"psnr": -10 * math.log10(wrong), "painted_error": wrong}
    digits = data.facts["digits"]
    said = torch.cat([net(part) for part in torch.split(data.facts["asked"], 1000)])
    misread = said.argmax(1) != torch.from_numpy(digits.hidden_targets).argmax(1)
    return {f"{digits.facts['split']}_error": float(misread.float().mean())}


def draw(net: nn.Module, data: Stream) -> Picture:
    """What the first 48 units of the bottleneck look for; of a teacher some digits; of a painter its painting."""
    if isinstance(net, Net):
        target = data.facts["picture"]
        return paint(net, target.height, target.width, icc=target.icc)
    shown = net.bottleneck.weight.detach() if isinstance(net, Shallow) else data.facts["asked"]
    return picture.sheet(
        features.tiles(shown[:48].numpy(), data.facts["digits"].facts["side"], scale=2), 12, gap=2
    )


# The study --------------------------------------------------------------------------------------------------------

SIZES = (250, 1000)


def runs(quick: bool) -> list[Arm]:
    """Two teachers and their students; quick: 1,000 digits of 8x8, one size, one layer of 100 on the picture."""
    few = {"samples": 1000 if quick else 20_000, "split": "test"}
    source = "digits8x8" if quick else "mnist"
    teacher = RECIPE.replace(
        net=(8, 16, 32) if quick else (8, 16, 64),
        steps=300 if quick else 1500,
        rate=1e-2 if quick else 3e-3,
        options={**few, "on": "digits", "learns": "labels"},
    )
    brush = Recipe(
        net=(48,) * 3 if quick else (300,) * 4,
        batch=256,
        steps=150 if quick else 1500,
        rate=4e-3,
        engine="eager",
        options={"max_pixels": 1000 if quick else 10_000},
    )
    arms = [
        Arm("teacher", teacher, source=source, seeds=1, frames="2"),
        Arm("painting teacher", brush, seeds=1, frames="2"),
    ]
    for hidden in (100,) if quick else SIZES:
        for learns in LEARNS:
            recipe = RECIPE.replace(
                net=(20, 100) if quick else (50, hidden),
                steps=250 if quick else 1200,
                rate=1e-2,
                options={**few, "on": "digits", "learns": learns},
            )
            arms.append(
                Arm(
                    f"{learns}, {hidden}",
                    recipe,
                    rates=() if quick else (1e-3, 3e-3, 1e-2),
                    tuned_by="validation_error",
                    source=source,
                    teacher="teacher",
                    frames="2",
                )
            )
    for name, learns in (("pixels", "labels"), ("colours", "logits")):
        recipe = RECIPE.replace(
            net=(100,) if quick else (3000,),
            batch=256,
            steps=150 if quick else 1500,
            options={"on": "picture", "learns": learns},
        )
        arms.append(
            Arm(
                f"picture: {name}",
                recipe,
                rates=() if quick else (1e-3, 3e-3, 1e-2),
                tuned_by="painted_error",
                trial={},
                teacher="painting teacher",
                frames="2",
            )
        )
    return arms


def judge(results: Results) -> Verdict:
    """See the criterion above."""
    sizes = sorted({int(name.split(", ")[1]) for name in results if ", " in name})
    error = {name: float(np.mean([o["test_error"] for o in results[name]])) for name in students(sizes)}
    deep, largest = results["teacher"][0]["test_error"], sizes[-1]
    gap = error[f"labels, {largest}"] - deep
    each = [
        (a["test_error"] - c["test_error"]) / (a["test_error"] - deep)
        for a, c in zip(results[f"labels, {largest}"], results[f"logits, {largest}"], strict=True)
    ]
    closed = (error[f"labels, {largest}"] - error[f"logits, {largest}"]) / gap if gap > 0 else math.nan
    checks = {
        "the student of labels is worse than the teacher": gap > 0,
        "the student of logits closes at least half of the gap": closed >= 0.5,
        "logits teach at least as well as probabilities": error[f"logits, {largest}"]
        <= error[f"probabilities, {largest}"],
    }
    table = [["net", "learns", "rate", "test error, %", "PSNR, dB"]]
    table.append(["convolutions", "labels", f"{results['teacher'][0].rate:g}", f"{100 * deep:.2f}", ""])
    for name in students(sizes):
        learns, hidden = name.split(", ")
        outcomes = results[name]
        table.append(
            [
                f"one layer of {hidden}",
                learns,
                f"{outcomes[0].rate:g}",
                mean_text(outcomes, "test_error", 2, 100),
                "",
            ]
        )
    for name, layers in (
        ("painting teacher", "four layers"),
        ("picture: pixels", "one layer"),
        ("picture: colours", "one layer"),
    ):
        learns = "the teacher's colours" if "colours" in name else "pixels"
        table.append([layers, learns, f"{results[name][0].rate:g}", "", mean_text(results[name], "psnr")])
    effect = (
        f"{100 * closed:.0f} % of the gap closed (a seed: {100 * min(each):.0f} to {100 * max(each):.0f} %)"
    )
    effect += (
        f": labels {100 * error[f'labels, {largest}']:.2f}, logits {100 * error[f'logits, {largest}']:.2f}"
    )
    effect += f", teacher {100 * deep:.2f} % errors"
    word = "holds" if all(checks.values()) else "does not hold"
    return Verdict(table, word, because(checks, effect), effect, checks)


def students(sizes: list[int]) -> list[str]:
    """The names of the students of digits."""
    return [f"{learns}, {hidden}" for hidden in sizes for learns in LEARNS]


def figure(results: Results) -> Picture:
    """Test error against hidden units, a line a seed, and the teacher's: the paper's figure of sizes."""
    sizes = sorted({int(name.split(", ")[1]) for name in results if ", " in name})
    x = np.array(sizes, float)
    series = []
    for number, learns in enumerate(LEARNS):
        for seed in range(len(results[f"{learns}, {sizes[0]}"])):
            y = np.array([100 * results[f"{learns}, {hidden}"][seed]["test_error"] for hidden in sizes])
            series.append(Series("" if seed else f"learned {learns}", x, y, CATEGORIES[number]))
    deep = 100 * results["teacher"][0]["test_error"]
    series.append(Series("teacher, deep", np.array([x[0], x[-1]]), np.array([deep, deep]), CATEGORIES[3]))
    return chart(
        series,
        title="One hidden layer, told three things about the same digits",
        x_label="hidden units",
        y_label="test error, %",
        log_x=True,
        from_zero=True,
    )


DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 230" font-family="sans-serif" font-size="14">
<rect width="760" height="230" fill="#fff"/>
<text x="16" y="28" font-size="16">The same digit, told in two ways</text>
<rect x="20" y="90" width="70" height="70" fill="none" stroke="#32333a" stroke-width="2"/>
<text x="42" y="137" font-size="34">4</text>
<path d="M96 108L176 76M96 140L176 176" stroke="#32333a" stroke-width="2"/>
<rect x="180" y="50" width="130" height="46" rx="6" fill="none" stroke="#d55e00" stroke-width="2"/>
<text x="196" y="78" fill="#d55e00">deep teacher</text>
<text x="190" y="182">label: it is a 4</text>
<path d="M310 73h40" stroke="#d55e00" stroke-width="2"/>
<text x="356" y="52" font-size="12" fill="#d55e00">logits: 4 surely, a bit of 9, hardly 0</text>
<g fill="#d55e00"><rect x="360" y="88" width="14" height="6"/><rect x="380" y="84" width="14" height="10"/>
<rect x="400" y="86" width="14" height="8"/><rect x="420" y="82" width="14" height="12"/>
<rect x="440" y="60" width="14" height="34"/><rect x="460" y="84" width="14" height="10"/>
<rect x="480" y="86" width="14" height="8"/><rect x="500" y="80" width="14" height="14"/>
<rect x="520" y="83" width="14" height="11"/><rect x="540" y="70" width="14" height="24"/></g>
<g fill="#777"><rect x="360" y="176" width="14" height="2"/><rect x="380" y="176" width="14" height="2"/>
<rect x="400" y="176" width="14" height="2"/><rect x="420" y="176" width="14" height="2"/>
<rect x="440" y="144" width="14" height="34"/><rect x="460" y="176" width="14" height="2"/>
<rect x="480" y="176" width="14" height="2"/><rect x="500" y="176" width="14" height="2"/>
<rect x="520" y="176" width="14" height="2"/><rect x="540" y="176" width="14" height="2"/></g>
<path d="M564 80L620 112M564 168L620 138" stroke="#0072b2" stroke-width="2"/>
<rect x="624" y="100" width="116" height="50" rx="6" fill="none" stroke="#0072b2" stroke-width="2"/>
<text x="640" y="130" fill="#0072b2">one layer</text>
<text x="16" y="216" fill="#444">The student learns one or the other, never both; the digits are the same.</text>
</svg>"""

tasks.add("mimic", sys.modules[__name__])
