"""A task that is no picture: a small recurrent net says again the bit that it heard DELAY steps ago."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.data import Stream
from sfumato.learning.torch_session import TorchSession
from sfumato.picture import Picture
from sfumato.recipe import Recipe

DELAY, LENGTH, UNITS = 3, 12, 10

RECIPE = Recipe(task="echo", net=(UNITS,), activation="tanh", batch=16, steps=150, rate=0.03, seed=5)
RECIPES: dict[str, tuple[Recipe, str]] = {}


class Echo(nn.Module):
    """(batch, LENGTH) bits -> (batch, LENGTH) predictions, by way of a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(1, UNITS, batch_first=True)
        self.readout = nn.Linear(UNITS, 1)

    def states(self, bits: Tensor) -> Tensor:
        """The hidden state after each bit: (batch, LENGTH, UNITS)."""
        hidden: Tensor = self.cell(bits[..., None])[0]
        return hidden

    def forward(self, bits: Tensor) -> Tensor:
        said: Tensor = self.readout(self.states(bits))[..., 0]
        return said


def sample(count: int, seed: list[int]) -> tuple[Tensor, Tensor]:
    """Bits and what is to be said, 0 before there is anything to say."""
    bits = np.random.default_rng(seed).integers(0, 2, (count, LENGTH)).astype(np.float32)
    wanted = np.concatenate([np.zeros((count, DELAY), np.float32), bits[:, :-DELAY]], 1)
    return torch.from_numpy(bits), torch.from_numpy(wanted)


def load(source: str | None, recipe: Recipe) -> Stream:
    return Stream(
        lambda step: sample(recipe.batch, [recipe.seed, step]),
        batch=recipe.batch,
        samples=10 * recipe.batch,
        facts={"name": "echo", "test": sample(64, [999])},
    )


def build(recipe: Recipe, data: Stream) -> Echo:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return Echo()


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    bits, wanted = batch
    return (net(bits) - wanted).square().mean()


def begin(net: nn.Module, data: Stream, recipe: Recipe, total_steps: int) -> TorchSession:
    return TorchSession(
        net,
        loss,
        data,
        lambda module: [torch.optim.Adam(module.parameters(), lr=0.0)],
        rate=lambda share: recipe.rate * (1 - share),
        total_steps=total_steps,
        clip=1.0,
    )


@torch.no_grad()
def draw(net: Echo, data: Stream) -> Picture:
    """The hidden states over time for one sequence, -1 black and 1 white: (UNITS, LENGTH, 1)."""
    states = net.states(data.facts["test"][0][:1])[0].T
    return Picture((states[..., None].numpy() + 1) / 2, name="states")


@torch.no_grad()
def score(net: Echo, data: Stream, drawn: Picture) -> dict[str, float]:
    bits, wanted = data.facts["test"]
    said = net(bits)[:, DELAY:] > 0.5
    return {"bit_error": float((said != (wanted[:, DELAY:] > 0.5)).float().mean())}
