"""What hidden units look for: their incoming weights as small pictures.

Each tile is one unit's weights on a diverging scale, blue below zero, white at zero, red above, up to a quantile
of its own magnitudes, so that weak units can be read as well as strong ones. How much of a picture is still the
random start depends on the scale of that start; `since` subtracts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from .. import picture
from ..data import Array, Data
from ..drawing import palettes
from ..nets import Net, build
from ..picture import Picture
from ..recipe import Recipe

__all__ = [
    "Portrait",
    "alike",
    "film_sheet",
    "incoming",
    "portrait_sheet",
    "portraits",
    "random",
    "sheet",
    "skip_sheet",
    "strength",
    "strongest",
    "tiles",
    "used",
]

Units = npt.NDArray[np.int64]
"""Indices of hidden units of the first layer."""

QUANTILE = 0.995
"""Share of a tile's pixels that lie within its scale: one extreme pixel must not bleach the others."""


def incoming(net: Net, *, since: Recipe | None = None) -> Array:
    """Weights from the inputs to each unit of the first hidden layer: (H, D).

    since: the net's recipe, to subtract the weights it started from.
    """
    weights = net.incoming(0).detach()
    if since is not None:
        weights = weights - build(since, weights.shape[1], net.outputs).incoming(0).detach()
    return weights.float().numpy().copy()


def outgoing(net: Net) -> Array:
    """Weights from each unit of the last hidden layer to the outputs: (H, C)."""
    return net.readout.weight.detach().float().numpy().T.astype(np.float32)


def strength(net: Net) -> Array:
    """Norm of a unit's incoming weights, times that of its outgoing ones in a net with one hidden layer: (H,).

    The product stays the same if a rectified unit's weights are scaled up before it and down after it.
    """
    size = np.linalg.norm(incoming(net), axis=1)
    if len(net.layers) == 1:
        size = size * np.linalg.norm(outgoing(net), axis=1)
    result: Array = size.astype(np.float32)
    return result


def strongest(net: Net, count: int = 100) -> Units:
    """The `count` strongest units, the strongest first."""
    return np.argsort(-strength(net), kind="stable")[:count]


@torch.inference_mode()
def activations(net: Net, inputs: Array) -> Array:
    """Activations of the first hidden layer: (N, D) -> (N, H). Takes N x H x 4 bytes."""
    post: Array = next(iter(net.hidden(torch.from_numpy(inputs)))).post.numpy()
    return post


def used(net: Net, data: Data, count: int = 100, *, samples: int = 2000) -> Units:
    """The units that move the outputs most on held-out samples: mean |activation| x outgoing norm, falling.

    samples: how many held-out samples are looked at, the first ones. In a net with several hidden layers, whose
    first layer has no direct say, the mean |activation| alone counts.
    """
    mean = np.abs(activations(net, data.hidden_inputs[:samples])).mean(0)
    if len(net.layers) == 1:
        mean = mean * np.linalg.norm(outgoing(net), axis=1)
    return np.argsort(-mean, kind="stable")[:count]


def alike(net: Net, pairs: int = 50, *, since: Recipe | None = None) -> tuple[Units, Array]:
    """The pairs of units whose incoming weights point most nearly the same way.

    Returns units (2 pairs,), partners side by side, and cosines (pairs,), the most alike first; no unit appears
    twice, so there are at most H // 2 pairs.
    """
    weights = incoming(net, since=since)
    weights = weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-12)
    units = len(weights)
    pairs = min(pairs, units // 2)
    found: list[tuple[float, int, int]] = []
    step = 1024  # rows at a time: 6000 x 6000 cosines would take 144 MB
    near = min(8, units - 1)
    for first in range(0, units - 1, step):
        cosines = weights[first : first + step] @ weights.T
        for row in range(len(cosines)):
            cosines[row, : first + row + 1] = -2  # itself, and pairs that were seen
        best = np.argpartition(-cosines, near - 1, axis=1)[:, :near]
        values = np.take_along_axis(cosines, best, 1)
        rows, columns = np.nonzero(values > -2)
        found += [
            (float(values[r, c]), first + int(r), int(best[r, c])) for r, c in zip(rows, columns, strict=True)
        ]
    chosen: list[int] = []
    kept: list[float] = []
    taken: set[int] = set()
    for cosine, a, b in sorted(found, key=lambda item: -item[0]):
        if len(kept) == pairs:
            break
        if a not in taken and b not in taken:
            taken |= {a, b}
            chosen += [a, b]
            kept.append(cosine)
    return np.array(chosen, np.int64), np.array(kept, np.float32)


def random(net: Net, count: int = 100, *, seed: int = 0) -> Units:
    """Units picked blindly, in rising order: what the net looks like on the whole."""
    units = net.widths[0]
    picked = np.random.default_rng([seed, units]).permutation(units)[:count]
    return np.sort(picked).astype(np.int64)


# Pictures ---------------------------------------------------------------------------------------------------


def tiles(
    weights: Array, shape: tuple[int, int], *, quantile: float = QUANTILE, scale: int = 1
) -> list[Picture]:
    """One picture a row of `weights` (H, rows x columns), each on its own symmetric scale; RGB.

    quantile: share of a tile's magnitudes that fit the scale, in (0, 1]. scale: pixels a weight.
    """
    limits = np.quantile(np.abs(weights), quantile, axis=1, keepdims=True)
    limits = np.maximum(limits, 1e-12).astype(np.float32)  # a dead unit becomes a white tile
    indices = palettes.index(weights, -limits, limits)
    values = palettes.colour(indices, palettes.palette("diverging")).reshape(-1, *shape, 3)
    values = np.repeat(np.repeat(values, scale, 1), scale, 2)
    return [Picture(value, name="unit") for value in values]


def sheet(
    net: Net,
    data: Data,
    units: Units,
    *,
    columns: int = 10,
    scale: int = 2,
    since: Recipe | None = None,
    captions: Sequence[str] | None = None,
) -> Picture:
    """The given units of the first layer as tiles; facts of `data` give the shape of a digit."""
    weights = incoming(net, since=since)[units]
    made = tiles(weights, data.facts["side"], scale=scale)
    return picture.sheet(made, columns, gap=2, captions=captions, caption_size=11)


def film_sheet(net: Net, data: Data, *, count: int = 100, scale: int = 2) -> Picture:
    """A sheet for films: the strongest unit of each of `count` equal shares of the units, in their order.

    A tile changes its unit only when another of its own share overtakes, so that a film does not reshuffle. The
    sheet has an even number of pixels a side where a digit has, as video codecs want it.
    """
    shares = np.array_split(np.arange(net.widths[0]), min(count, net.widths[0]))
    size = strength(net)
    units = np.array([share[size[share].argmax()] for share in shares], np.int64)
    return sheet(net, data, units, columns=max(1, round(len(units) ** 0.5)), scale=scale)


def skip_sheet(net: Net, data: Data, *, scale: int = 4) -> Picture | None:
    """The readout's weights straight from the pixels, a picture a class; None without a skip connection."""
    if net.skip is None:
        return None
    weights = net.skip.weight.detach().float().numpy()
    made = tiles(weights, data.facts["side"], scale=scale)
    return picture.sheet(made, min(5, len(made)), gap=4, captions=list(data.facts["classes"]))


class Portrait(NamedTuple):
    """One hidden unit: the samples that excite it most and what it then says.

    unit: its index. samples (k,): indices of held-out samples, the most exciting first. excitement (k,): its
    activation for them. active: share of samples with a positive activation. vote (C,): its outgoing weights,
    what it adds to each class's output when its activation is 1. digits (C,): mean activation by true class.
    """

    unit: int
    samples: Units
    excitement: Array
    active: float
    vote: Array
    digits: Array


def portraits(net: Net, data: Data, units: Units, *, top: int = 8, samples: int = 10_000) -> list[Portrait]:
    """Portraits of units of a net's only hidden layer, on the first `samples` held-out samples.

    With several hidden layers the vote is that of zeros: the first layer has none of its own.
    """
    inputs, targets = data.hidden_inputs[:samples], data.hidden_targets[:samples]
    post = np.concatenate(
        [activations(net, inputs[first : first + 2048])[:, units] for first in range(0, len(inputs), 2048)]
    )
    one = len(net.layers) == 1
    votes = outgoing(net)[units] if one else np.zeros((len(units), net.outputs), np.float32)
    counts = np.maximum(targets.sum(0), 1)
    result = []
    for column, unit in enumerate(units):
        order = np.argsort(-post[:, column], kind="stable")[:top]
        by_class = post[:, column] @ targets / counts
        active = float((post[:, column] > 0).mean())
        result.append(
            Portrait(
                int(unit), order, post[order, column], active, votes[column], by_class.astype(np.float32)
            )
        )
    return result


def portrait_sheet(net: Net, data: Data, units: Units, *, top: int = 8, scale: int = 2) -> Picture:
    """A row a unit: its weights, its vote for each class as bars, and the `top` digits that excite it most.

    Bars go up from the middle in red for a class, down in blue against it, in the classes' order, on a scale of
    the unit's own. Captions: the unit's number and the share of digits it fires for, the classes of the largest and
    the smallest vote, and each digit's class.
    """
    names = data.facts["classes"]
    truth = data.hidden_targets.argmax(1)
    rows, columns = data.facts["side"]
    faces = tiles(incoming(net)[units], data.facts["side"], scale=scale)
    made: list[Picture] = []
    captions: list[str] = []
    for face, one in zip(faces, portraits(net, data, units, top=top), strict=True):
        made += [face, Picture(_bars(one.vote, rows * scale, columns * scale), name="vote")]
        captions += [
            f"{one.unit}: {one.active:.0%}",
            f"+{names[one.vote.argmax()]} -{names[one.vote.argmin()]}",
        ]
        for sample in one.samples:
            ink = 1 - 0.9 * data.hidden_inputs[sample].reshape(rows, columns)
            ink = np.repeat(np.repeat(ink, scale, 0), scale, 1)
            made.append(Picture(np.repeat(ink[..., None], 3, 2).astype(np.float32), name="digit"))
            captions.append(str(names[truth[sample]]))
    return picture.sheet(made, len(made) // len(units), gap=3, captions=captions, caption_size=10)


def _bars(vote: Array, height: int, width: int) -> Array:
    """Votes (C,) as bars around a middle line: (height, width, 3), a bar and a gap of equal share a class."""
    ends = palettes.colour(np.array([20, palettes.LEVELS - 21], np.uint8), palettes.palette("diverging"))
    values = np.ones((height, width, 3), np.float32)
    middle = height // 2
    lengths = np.rint(vote / max(float(np.abs(vote).max()), 1e-12) * (middle - 1)).astype(int)
    edges = np.rint(np.linspace(0, width, len(vote) + 1)).astype(int)
    for length, left, right in zip(lengths, edges[:-1], edges[1:], strict=True):
        last = max(left + 1, right - 1)
        if length > 0:
            values[middle - length : middle, left:last] = ends[1]
        else:
            values[middle : middle - length, left:last] = ends[0]
    values[middle] = np.minimum(values[middle], 0.6)
    return values
