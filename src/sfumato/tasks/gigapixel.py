"""Regression from pixel location to colour, for pictures larger than memory: trained on shards, never held whole.

The picture is cut into square tiles. Each epoch visits all of them once, in an order drawn from the seed; as many
as make a shard are read together, scattered over the picture, and trained on by the ordinary engines until each
of their pixels was seen once. Weights and the optimizer's memory go from shard to shard, so only the order of
pixels differs from task `picture`. What is drawn on the way is a small painting; `sfumato export RUN
painting.tif --size 1x` paints the whole into tiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .. import engine, nets
from ..data import Array, Data
from ..errors import RecipeError, TaskError
from ..learning import sampling
from ..learning.plan import Plan
from ..learning.session import Position, Session
from ..learning.torch_session import Steps
from ..nets import Net
from ..painting import paint, predict
from ..picture import Picture, metrics
from ..picture.tiles import Tiles, digest, opened
from ..recipe import NAMED_FOR, Recipe, pick

__all__ = ["RECIPE", "RECIPES", "begin", "build", "draw", "load", "score"]

RECIPE = NAMED_FOR["gigapixel"]["large"][0]
RECIPES: Mapping[str, tuple[Recipe, str]] = {}

SHARD = 1 << 21
"""Pixels of a shard: 50 MB as float32 with coordinates and colours."""

SHOWN = 1 << 19
"""Pixels of the small paintings."""

PATCHES, PATCH = 256, 32
"""Where the score is taken: so many squares of so many pixels a side, drawn once from the picture's own size."""

ORDER = 77
"""Stream of the generator that orders tiles."""


@dataclass(frozen=True, eq=False)
class Shards:
    """A picture as shards of tiles. samples: pixels of an epoch. tiles: of a shard; side: of a tile."""

    picture: Tiles
    side: int
    tiles: int
    corners: npt.NDArray[np.int32]
    where: str
    seed: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shards(self) -> int:
        """Of an epoch; the last one is filled up with tiles of the beginning."""
        return -(-len(self.corners) // self.tiles)

    @property
    def shard_samples(self) -> int:
        """Pixels of a shard: all are of one size."""
        return self.tiles * self.side**2

    @property
    def samples(self) -> int:
        """Pixels of an epoch, those that fill up the last shard and overlapping ones included."""
        return self.shards * self.shard_samples

    def chosen(self, visit: int) -> npt.NDArray[np.int32]:
        """The corners (top, left) of the tiles of visit number `visit`, (tiles, 2)."""
        epoch, part = divmod(visit, self.shards)
        order = np.random.Generator(np.random.PCG64([self.seed, ORDER, epoch])).permutation(len(self.corners))
        return self.corners[np.resize(order, self.shards * self.tiles)[part * self.tiles :][: self.tiles]]

    def data(self, corners: npt.NDArray[np.int32], side: int) -> Data:
        """The pixels of square windows as samples."""
        inputs = np.empty((len(corners), side * side, 2), np.float32)
        targets = np.empty((len(corners), side * side, self.picture.channels), np.float32)
        for n, (top, left) in enumerate(corners.tolist()):
            inputs[n] = _places(self.picture, top, left, side, self.where)
            targets[n] = self.picture.read(top, left, side, side).reshape(side * side, -1)
        none = np.empty((0, 2), np.float32), np.empty((0, self.picture.channels), np.float32)
        return Data(inputs.reshape(-1, 2), targets.reshape(-1, self.picture.channels), *none)


def _places(picture: Tiles, top: int, left: int, side: int, where: str) -> Array:
    """The (x, y) of a square window's pixels: (side^2, 2), as `pixels.coordinates` has them."""
    rows, columns = np.arange(top, top + side), np.arange(left, left + side)
    if where == "centres":
        x, y = (columns + 0.5) / picture.width, (rows + 0.5) / picture.height
    else:
        x, y = columns / max(1, picture.width - 1), rows / max(1, picture.height - 1)
    grid = np.empty((side, side, 2), np.float32)
    grid[..., 0], grid[..., 1] = x[None, :], y[:, None]
    return grid.reshape(-1, 2)


def load(source: str | None, recipe: Recipe) -> Shards:
    """The shards of a picture file. Option `shard` (pixels, 2 million).

    Raises TaskError without a file, RecipeError for options and for fields that have no meaning here, PictureError
    for a file that cannot be read.
    """
    for name in set(recipe.options) - {"shard"}:
        raise RecipeError(f"task gigapixel has no option {name!r}; known is shard")
    wanted = recipe.options.get("shard", SHARD)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise RecipeError(f"options.shard={wanted!r} must be a whole number of pixels")
    if recipe.held_out != "none":
        raise RecipeError(f"held_out={recipe.held_out!r}: task gigapixel hides no pixels")
    if pick(sampling, recipe.sampling, "sampling").fact("follows_errors"):
        raise RecipeError(f"sampling={recipe.sampling!r} follows single pixels\nhint: sampling=uniform")
    if source is None:
        raise TaskError("task gigapixel needs a picture file")
    picture = opened(source)
    side = min(picture.unit, picture.height, picture.width)
    down, across = (
        np.minimum(np.arange(0, size, side), size - side).astype(np.int32)
        for size in (picture.height, picture.width)
    )
    corners = np.stack(np.meshgrid(down, across, indexing="ij"), -1).reshape(-1, 2)
    tiles = max(1, min(len(corners), wanted // side**2))
    facts = {
        "picture": _reduced(picture),
        "name": str(Path(source).resolve()),
        "inputs": 2,
        "outputs": picture.channels,
        "aspect": picture.height / picture.width,
        "size": [picture.width, picture.height],
        "digest": digest(source),
    }
    return Shards(picture, side, tiles, corners, recipe.coordinates, recipe.seed, facts)


def _reduced(picture: Tiles) -> Picture:
    """The picture at most SHOWN pixels large, read in bands."""
    factor = max(1, int(np.ceil(np.sqrt(picture.height * picture.width / SHOWN))))
    down, across = max(1, picture.height // factor), max(1, picture.width // factor)
    values = np.empty((down, across, picture.channels), np.float32)
    for row in range(down):
        band = picture.read(row * factor, 0, min(factor, picture.height - row * factor), picture.width)
        whole = band[:, : across * factor]
        values[row] = whole.reshape(len(band), across, -1, picture.channels).mean((0, 2))
    return Picture(np.round(values * 255) / np.float32(255), name=picture.name)


def build(recipe: Recipe, data: Shards) -> Net:
    """The untrained net."""
    return nets.build(recipe, 2, data.picture.channels, aspect=float(data.facts["aspect"]))


def begin(net: Net, data: Shards, recipe: Recipe, total_steps: int) -> Session:
    """What trains it: the engine that can, on one shard after the other."""
    return ShardSession(net, data, recipe, total_steps)


class ShardSession:
    """A `Session` made of one session of an engine for each visit of a shard."""

    def __init__(self, net: Net, data: Shards, recipe: Recipe, total_steps: int) -> None:
        settled = engine.settle(recipe)
        self.step = 0
        self._engine, self._recipe, self._data = engine.engine(settled.engine), settled.recipe, data
        self._net = nets.build(recipe, 2, data.picture.channels, aspect=float(data.facts["aspect"]))
        self._net.load_state_dict(net.state_dict())
        self._plan = ShardPlan(recipe, data, total_steps)
        self.plan: Position = self._plan
        self._state: dict[str, Tensor] = {"step": torch.tensor(0)}
        self._visit = -1
        self._inner: Session | None = None

    def advance(self, steps: int) -> npt.NDArray[np.float32]:
        """See `Session.advance`."""
        parts = [np.empty(0, np.float32)]
        while steps > 0:
            inner = self._session()
            count = min(steps, self._plan.per_shard - self.step % self._plan.per_shard)
            parts.append(inner.advance(count))
            self.step += count
            steps -= count
        return np.concatenate(parts)

    def pull(self, net: nn.Module) -> None:
        """See `Session.pull`."""
        if self._inner is not None:
            self._inner.pull(net)
        else:
            net.load_state_dict(self._net.state_dict())

    def state(self) -> dict[str, Tensor]:
        """See `Session.state`."""
        return self._inner.state() if self._inner is not None else dict(self._state)

    def load(self, net: nn.Module, state: Mapping[str, Tensor]) -> None:
        """See `Session.load`."""
        self._close()
        self._net.load_state_dict(net.state_dict())
        self._state, self.step = dict(state), int(state["step"])

    def close(self) -> None:
        """See `Session.close`."""
        self._close()

    def _session(self) -> Session:
        """The engine's session on the shard of this step: the one at work, or a new one that takes over from it."""
        visit = self.step // self._plan.per_shard
        if self._inner is None or visit != self._visit:
            if self._inner is not None:
                self._inner.pull(self._net)
                self._state = self._inner.state()
                self._close()
            data = self._data.data(self._data.chosen(visit), self._data.side)
            self._inner = self._engine.prepare(self._net, data, self._recipe, self._plan.total_steps)
            self._inner.load(self._net, self._state)
            self._visit = visit
        return self._inner

    def _close(self) -> None:
        if self._inner is not None:
            self._inner.close()
        self._inner = None


class ShardPlan(Steps):
    """The `Position` of a session over shards."""

    def __init__(self, recipe: Recipe, data: Shards, total_steps: int) -> None:
        super().__init__(data.samples, min(recipe.batch, data.shard_samples), total_steps)
        self._shard = data.shard_samples
        self.per_shard = Plan(recipe, data.shard_samples, 1).per_epoch

    def seen(self, step: int) -> int:
        """See `Position.seen`."""
        visits, part = divmod(step, self.per_shard)
        return visits * self._shard + part * self.batch


def draw(net: Net, data: Shards) -> Picture:
    """A small painting of the whole."""
    shown: Picture = data.facts["picture"]
    return paint(net, shown.height, shown.width, where=data.where)


def score(net: Net, data: Shards, drawn: Picture) -> dict[str, float]:
    """PSNR in dB at full size, over a quarter of a million pixels in squares scattered over the picture."""
    side = min(PATCH, data.picture.height, data.picture.width)
    generator = np.random.default_rng([data.picture.height, data.picture.width])
    tops = generator.integers(0, data.picture.height - side + 1, PATCHES)
    lefts = generator.integers(0, data.picture.width - side + 1, PATCHES)
    sample = data.data(np.stack([tops, lefts], 1).astype(np.int32), side)
    return {"psnr": metrics.psnr(sample.targets, np.clip(predict(net, sample.inputs), 0, 1))}
