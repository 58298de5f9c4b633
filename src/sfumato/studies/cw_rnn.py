"""Units that move at clocks of their own: slow ones remember, fast ones fill in the detail.

What the paper says
-------------------
The hidden units of a simple recurrent net are split into modules with periods 1, 2, 4, 8, ... At moment t only
the modules whose period divides t move; the others keep their values. A module reads itself and slower modules,
never faster ones. So slow modules carry an outline over hundreds of moments without any gate, and the net has
fewer weights and less to compute.

Trained to generate clips of 320 samples of speech with no input at all, the clockwork net reached a normalised
squared error of 0.007, an LSTM 0.04, a simple recurrent net 0.46, at equal numbers of weights (unverified: from
memory).

What we run
-----------
Five spoken digits of the Free Spoken Digit Dataset (CC BY-SA 4.0), one each of five speakers, 160 samples at 8
kHz from where the recording is loudest, scaled to [-1, 1]. A net gets the constant 1 as input and must say the
clip, sample by sample; a net for each clip, all five trained side by side with separate weights. Clockwork: 40
units in 8 modules of periods 1 to 128; simple: 30 tanh units; LSTM: 14 units: 1,021, 991 and 967 weights. Adam,
800 steps of all of the clip, the rate falling to 0, gradients clipped at norm 1; each arm chooses among two
rates by its training loss, since the task is to learn the clip by heart. The error of a clip is its mean
squared error divided by the clip's variance.

Criterion, fixed before the first full run: over three seeds the clockwork net's mean error is below half of the
simple net's and below the LSTM's, and on at least four of the five clips it is below both.

What differs
------------
Half of the paper's clip length, telephone-quality speech instead of TIMIT, Adam instead of SGD with momentum,
fewer steps; masked dense products, so that nothing is saved in time.

How large it is
---------------
1,000 weights a net, as in the paper (unverified), one task of its three, 160 moments.

Result
------
**holds**: clockwork 0.0003, simple 0.7070, LSTM 0.2002; 5 of 5 clips. 3 seeds, 5.7 minutes of the processor,
2026-11-28, AMD EPYC (avx512bf16): `sfumato study cw_rnn`.
"""

from __future__ import annotations

import io
import sys
import wave
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from sfumato import Picture, Recipe, tasks
from sfumato.data import Array, Stream
from sfumato.drawing.charts import CATEGORIES, Series, chart
from sfumato.errors import TaskError
from sfumato.learning.torch_session import TorchSession
from sfumato.nets import recurrent
from sfumato.nets.recurrent import Recurrent
from sfumato.recipe import pick
from sfumato.studies import READING_LIST, Arm, Results, Verdict, because, files_of, mean_text, only

__all__ = ["CLAIM", "DRAWING", "PAPER", "SEEDS", "figure", "judge", "runs"]

PAPER = READING_LIST["cw_rnn"]

CLAIM = (
    "A clockwork net learns clips of sound by heart with less than half of a simple recurrent net's error and with "
    "less than an LSTM's, at equal numbers of weights."
)

SEEDS, DATA = 3, ("fsdd",)

AFTERWARDS = (
    "the grid had two rates, and each arm chose an end of it: clockwork the larger, the others the smaller; "
    "whether still smaller ones help them was not tried. The simple net says some ten samples and then nothing, "
    "the LSTM a smooth outline."
)

MISSING = "classification of words; handwriting; the saving in time"

# The task ---------------------------------------------------------------------------------------------------------

LENGTH = 160

CLIPS = ("0_george_5", "1_jackson_5", "2_lucas_5", "3_nicolas_5", "4_theo_5")
"""Digit, speaker and take: the first take of the training part, a digit and a speaker each."""

RECIPE = Recipe(
    task="cw_rnn", net=(40,), rate=1e-2, clip=1.0, batch=1, steps=800, options={"cell": "clockwork"}
)
RECIPES: Mapping[str, tuple[Recipe, str]] = {}


def loudest(values: Array, length: int) -> Array:
    """The stretch of `length` samples that holds the most energy, scaled to a largest magnitude of 1."""
    energy = np.concatenate([[0.0], np.cumsum(values.astype(np.float64) ** 2)])
    first = int(np.argmax(energy[length:] - energy[:-length]))
    clip = values[first : first + length]
    return np.asarray(clip / np.abs(clip).max(), np.float32)


def spoken() -> Array:
    """The five clips, float32 (5, LENGTH). Raises MissingData without the archive, TaskError if it lacks one."""
    files, found = files_of("fsdd"), []
    for name in CLIPS:
        content = files.get(f"fsdd/recordings/{name}.wav")
        if content is None:
            raise TaskError(f"fsdd.tar.xz lacks recordings/{name}.wav")
        with wave.open(io.BytesIO(content)) as sound:
            raw = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        found.append(loudest(raw.astype(np.float32), LENGTH))
    return np.stack(found)


def sines(length: int) -> Array:
    """Two clips from code: sums of two sines with periods of 8 and 32, and of 8 and 20 samples."""
    t = np.arange(length)
    made = [np.sin(2 * np.pi * t / a) / 2 + np.sin(2 * np.pi * t / b) / 2 for a, b in ((8, 32), (8, 20))]
    return np.stack(made).astype(np.float32)


class Choir(nn.Module):
    """A net for each clip: the constant 1 in, a sample a moment out, (clips, time).

    together: all nets as one product a moment, four times as fast; PyTorch's LSTM cannot be stacked so.
    """

    def __init__(self, nets: list[Recurrent], together: bool) -> None:
        super().__init__()
        self.nets, self.together = nn.ModuleList(nets), together

    def forward(self, length: int) -> Tensor:
        """(clips, length)."""
        first = self.nets[0]
        one = next(self.parameters()).new_ones(1, length, 1)
        if not self.together:
            return torch.cat([net(one)[..., 0] for net in self.nets])
        each = [dict(net.named_parameters()) for net in self.nets]
        stacked = {name: torch.stack([own[name] for own in each]) for name in each[0]}
        said = torch.vmap(lambda own: functional_call(first, own, (one,)))(stacked)
        return torch.as_tensor(said)[:, 0, :, 0]


def load(source: str | None, recipe: Recipe) -> Stream:
    """The clips: of `fsdd`, or `sines`; every batch is all of them."""
    only(recipe, "cell")
    clips = torch.from_numpy(sines(48) if source == "sines" else spoken())
    return Stream(lambda step: (clips,), batch=1, samples=1, facts={"name": source or "fsdd", "clips": clips})


def build(recipe: Recipe, data: Stream) -> Choir:
    """The untrained nets, each with a start of its own; readouts start at 0."""
    text = str(recipe.options["cell"])
    cell, nets = pick(recurrent, text, "cell"), []
    for clip in range(len(data.facts["clips"])):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 * recipe.seed + clip)
            nets.append(Recurrent(cell(1, recipe.net[0]), 1))
    return Choir(nets, together=not text.startswith("lstm"))


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """The clips' squared errors divided by their variances, averaged: equal weight for each."""
    return errors(net(batch[0].shape[1]), batch[0]).mean()


def errors(said: Tensor, clips: Tensor) -> Tensor:
    """Normalised squared error of each clip: (clips,)."""
    return (said - clips).square().mean(1) / clips.var(1, unbiased=False)


def begin(net: nn.Module, data: Stream, recipe: Recipe, total_steps: int) -> TorchSession:
    """Adam, the rate falling linearly to 0."""
    return TorchSession(
        net,
        loss,
        data,
        lambda module: [torch.optim.Adam(module.parameters(), lr=0.0)],
        rate=lambda share: recipe.rate * (1 - share),
        total_steps=total_steps,
        clip=recipe.clip,
    )


@torch.no_grad()
def score(net: Choir, data: Stream, drawn: Picture) -> dict[str, float]:
    """`nmse`, the mean over clips, `nmse_0` and so on for each, and what is said of the first, for figures."""
    clips = data.facts["clips"]
    said = net(clips.shape[1])
    each = errors(said, clips).tolist()
    found = {"nmse": float(np.mean(each))} | {f"nmse_{i}": value for i, value in enumerate(each)}
    return found | {f"said_{t}": value for t, value in enumerate(said[0].tolist())}


@torch.no_grad()
def draw(net: Choir, data: Stream) -> Picture:
    """The units of the first clip's net over time, the slowest at the bottom."""
    first = net.nets[0]
    assert isinstance(first, Recurrent)
    trace = first.cell.trace(torch.ones(1, data.facts["clips"].shape[1], 1))[0].T
    return Picture(trace.repeat_interleave(4, 0).repeat_interleave(3, 1)[..., None].numpy(), name="units")


# The study --------------------------------------------------------------------------------------------------------

CELLS = {"clockwork": ("clockwork", 40), "simple": ("elman", 30), "LSTM": ("lstm", 14)}


def runs(quick: bool) -> list[Arm]:
    """The three cells; quick: two sums of sines of 48 samples, 30 steps."""
    return [
        Arm(
            name,
            RECIPE.replace(
                net=(units,),
                steps=30 if quick else 800,
                options={"cell": f"{cell}:modules=5" if quick and cell == "clockwork" else cell},
            ),
            rates=() if quick else (0.005, 0.02),
            tuned_by="" if quick else "nmse",
            trial={},
            source="sines" if quick else "fsdd",
            frames="linear:4",
        )
        for name, (cell, units) in CELLS.items()
    ]


def judge(results: Results) -> Verdict:
    """See the criterion above."""
    names = sorted(name for name in results["clockwork"][0].lines[-1] if name.startswith("nmse_"))
    of_clip = {
        arm: [float(np.mean([o[name] for o in outcomes])) for name in names]
        for arm, outcomes in results.items()
    }
    mean = {arm: float(np.mean(values)) for arm, values in of_clip.items()}
    ours = of_clip["clockwork"]
    wins = sum(a < min(b, c) for a, b, c in zip(ours, of_clip["simple"], of_clip["LSTM"], strict=True))
    checks = {
        "below half of the simple net's error": mean["clockwork"] < mean["simple"] / 2,
        "below the LSTM's error": mean["clockwork"] < mean["LSTM"],
        "below both on at least four of five clips": wins >= 4,
    }
    table = [["net", "rate", "error / variance", *(f"clip {i}" for i in range(len(names)))]]
    for arm, outcomes in results.items():
        cells = [f"{value:.4f}" for value in of_clip[arm]]
        table.append([arm, f"{outcomes[0].rate:g}", mean_text(outcomes, "nmse", 4), *cells])
    effect = (
        ", ".join(f"{arm} {value:.4f}" for arm, value in mean.items()) + f"; {wins} of {len(names)} clips"
    )
    word = "holds" if all(checks.values()) else "does not hold"
    return Verdict(table, word, because(checks, effect), effect, checks)


def figure(results: Results) -> Picture:
    """What each net says of the first clip after training, of the first seed: the paper's figure of clips."""
    series = []
    for number, (arm, outcomes) in enumerate(results.items()):
        line = outcomes[0].lines[-1]
        length = sum(name.startswith("said_") for name in line)
        y = np.array([line[f"said_{t}"] for t in range(length)])
        series.append(Series(arm, np.arange(length, dtype=float), y, CATEGORIES[number]))
    return chart(series, title="One clip, said by heart", x_label="sample", y_label="amplitude", width=1000)


DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 230" font-family="sans-serif" font-size="14">
<rect width="760" height="230" fill="#fff"/>
<text x="16" y="28" font-size="16">When each module moves: a dot is a move, a line is a kept value</text>
<g stroke-width="2"><path d="M150 70h560" stroke="#0072b2"/><path d="M150 110h560" stroke="#d55e00"/>
<path d="M150 150h560" stroke="#009e73"/><path d="M150 190h560" stroke="#cc79a7"/></g>
<text x="16" y="75" fill="#0072b2">period 1</text><text x="16" y="115" fill="#d55e00">period 2</text>
<text x="16" y="155" fill="#009e73">period 4</text><text x="16" y="195" fill="#cc79a7">period 8</text>
<g fill="#0072b2"><circle cx="150" cy="70" r="7"/><circle cx="220" cy="70" r="7"/><circle cx="290" cy="70" r="7"/>
<circle cx="360" cy="70" r="7"/><circle cx="430" cy="70" r="7"/><circle cx="500" cy="70" r="7"/>
<circle cx="570" cy="70" r="7"/><circle cx="640" cy="70" r="7"/><circle cx="710" cy="70" r="7"/></g>
<g fill="#d55e00"><circle cx="150" cy="110" r="7"/><circle cx="290" cy="110" r="7"/>
<circle cx="430" cy="110" r="7"/>
<circle cx="570" cy="110" r="7"/><circle cx="710" cy="110" r="7"/></g>
<g fill="#009e73"><circle cx="150" cy="150" r="7"/><circle cx="430" cy="150" r="7"/>
<circle cx="710" cy="150" r="7"/></g>
<g fill="#cc79a7"><circle cx="150" cy="190" r="7"/><circle cx="710" cy="190" r="7"/></g>
<text x="16" y="222" fill="#444">Fast modules read slow ones; slow ones never read fast ones.</text>
</svg>"""

tasks.add("cw_rnn", sys.modules[__name__])
