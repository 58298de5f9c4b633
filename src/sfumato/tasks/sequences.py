"""Generated sequences: strings of languages that one has to count for, the next symbol to be said at each moment.

A net learns from short strings and is asked about longer ones. `sample(batch, difficulty)` makes them; the recipe's
options say which language and which recurrent cell (`nets.recurrent`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data import Stream
from ..errors import RecipeError
from ..learning import curricula
from ..learning.torch_session import TorchSession
from ..nets import recurrent
from ..nets.recurrent import Recurrent
from ..picture import Picture
from ..recipe import Recipe, pick
from ..recipe.variants import near
from ._languages import LANGUAGES, Batch, pad, solved

__all__ = ["RECIPE", "RECIPES", "begin", "build", "draw", "load", "sample", "score"]

RECIPE = Recipe(
    task="sequences",
    net=(20,),
    activation="sigmoid",
    loss="cross_entropy",
    optimizer="adam",
    schedule="cosine",
    rate=0.01,
    clip=1.0,
    batch=16,
    steps=1000,
    options={"language": "anbn", "cell": "stack", "curriculum": "rising"},
)
RECIPES: Mapping[str, tuple[Recipe, str]] = {}

LONGEST = 19
"""Size of the longest strings that are learned from."""

VALIDATION, TEST = range(20, 25), range(25, 61)
"""Sizes of strings by which a moment of the training is chosen, and of those that it is judged by."""

OPTIONS = ("language", "cell", "curriculum")


def sample(batch: int, difficulty: int, *, language: str, random: np.random.Generator) -> Batch:
    """`batch` strings of sizes 2 to `difficulty`, drawn evenly.

    Raises RecipeError for a language that there is not.
    """
    chosen = LANGUAGES.get(language)
    if chosen is None:
        raise RecipeError(f"options.language={language!r} is unknown; {near(language, list(LANGUAGES))}")
    sizes = random.integers(2, max(2, difficulty) + 1, batch)
    return pad([chosen.string(int(size), random) for size in sizes], chosen.symbols)


def load(source: str | None, recipe: Recipe) -> Stream:
    """Batches (x, y, mask) of the language `options.language`, by the curriculum `options.curriculum`.

    Facts: `validation` and `test`, a string of each size there. Raises RecipeError for options that are unknown.
    """
    for name in set(recipe.options) - set(OPTIONS):
        raise RecipeError(f"task sequences has no option {name!r}; {near(name, list(OPTIONS))}")
    language = str(recipe.options.get("language", "anbn"))
    curriculum = pick(curricula, str(recipe.options.get("curriculum", "fixed")), "curriculum")
    sample(1, 2, language=language, random=np.random.default_rng(0))
    total = recipe.total_steps(10 * recipe.batch)

    def draw(step: int) -> Batch:
        random = np.random.default_rng([recipe.seed, 7, step])
        hardest = max(2, round(LONGEST * curriculum(step / total, random)))
        return sample(recipe.batch, hardest, language=language, random=random)

    fixed, chosen = np.random.default_rng(1234), LANGUAGES[language]
    asked = {
        name: pad([chosen.string(size, fixed) for size in sizes], chosen.symbols)
        for name, sizes in (("validation", VALIDATION), ("test", TEST))
    }
    shown = pad([chosen.string(12, fixed)], chosen.symbols)
    facts = {"name": "sequences", "symbols": chosen.symbols, "shown": shown, **asked}
    return Stream(draw, batch=recipe.batch, samples=10 * recipe.batch, facts=facts)


def build(recipe: Recipe, data: Stream) -> Recurrent:
    """The untrained net, a cell of `net`'s first width with a linear readout."""
    cell = pick(recurrent, str(recipe.options.get("cell", "lstm")), "cell")
    symbols = data.facts["symbols"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return Recurrent(cell(symbols, recipe.net[0]), symbols)


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Cross-entropy of every symbol, those included that nothing determines."""
    x, y, _ = batch
    return functional.cross_entropy(net(x).flatten(0, 1), y.flatten(), ignore_index=-1)


def begin(net: nn.Module, data: Stream, recipe: Recipe, total_steps: int) -> TorchSession:
    """Adam, its rate falling to 0 along a half cosine."""
    return TorchSession(
        net,
        loss,
        data,
        lambda module: [torch.optim.Adam(module.parameters(), lr=0.0)],
        rate=lambda share: recipe.rate * (1 + np.cos(np.pi * share)) / 2,
        total_steps=total_steps,
        clip=recipe.clip,
    )


def draw(net: Recurrent, data: Stream) -> Picture:
    """The state of the cell over time for one string, from left to right: stacks, units or clocks."""
    trace = net.cell.trace(data.facts["shown"].x)[0].T.clamp(0, 1)
    enlarged = trace.repeat_interleave(4, 0).repeat_interleave(8, 1)
    return Picture(enlarged[..., None].float().numpy(), name="state")


def score(net: Recurrent, data: Stream, drawn: Picture) -> dict[str, float]:
    """Shares of the validation and test strings that are solved; with rounded actions too, where there are any."""
    ways = {"": False} | ({"_rounded": True} if hasattr(net.cell, "rounded") else {})
    ask = partial(solved, net)
    found = {}
    for suffix, rounded in ways.items():
        if ways.keys() > {""}:
            net.cell.rounded = rounded  # type: ignore[assignment]
        for name in ("validation", "test"):
            found[f"{name}_solved{suffix}"] = float(ask(data.facts[name]).mean())
    if ways.keys() > {""}:
        net.cell.rounded = False  # type: ignore[assignment]
    return found
