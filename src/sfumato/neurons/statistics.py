"""What a person wants to know of a neuron, in numbers: how often it fires, its twin, what it is worth.

    rows = table(net, coordinates(429, 300), targets)    # one entry a hidden layer
    write_csv(rows, run.folder / "atlas" / "neurons.csv")
    without = ablate(net, [(2, 117)])                    # remove it, and repaint with `without`

Layers count from 1, neurons from 0. All but the importance of inner layers and the twins is
over all samples given.
"""

from __future__ import annotations

import copy
import csv
import io
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..data import Array
from ..errors import RecipeError
from ..files import save_bytes
from ..nets import Net
from .importance import importance
from .previews import is_rectifier
from .raster import check_finite, number, sample, tensor, tile_pixels, widths
from .slopes import slopes, steepest

__all__ = ["Neurons", "ablate", "csv_text", "table", "write_csv"]

Reals = npt.NDArray[np.float64]

CONSTANT = 1e-6
"""Spread of activations below which a unit is constant: it has no twin, and is dead if it is no rectifier."""

FLAT = 0.005
"""A unit is saturated where its slope is below this share of its steepest: it passes hardly any gradient."""

SAMPLES = 2048
"""Inputs on which the importance of inner layers is measured, if not said otherwise."""

PAIRED = 1 << 15
"""Inputs, at most, on which neurons of a layer are compared for twins: a correlation is then good to 0.006."""


@dataclass(frozen=True, eq=False)
class Neurons:
    """One hidden layer's neurons; every array has an entry for each unit.

    mean: of the activation. active: share of the inputs with a positive pre-activation. dead: active nowhere
    (rectifiers) or constant (others). saturated: share of the inputs where the activation's slope is below FLAT
    of its steepest on [-3, 3], as backpropagation sees it; for a rectifier that is where it is silent. twin:
    the unit of the layer with the most similar activations, -1 if there is none; twin_correlation: their
    Pearson correlation, over at most PAIRED inputs, nan if none. importance: decibels of PSNR lost when the
    unit is set to 0, nan without targets; importance_samples: inputs on which it was measured. outgoing:
    (units, outputs) weights to the outputs, nan but in the last layer.
    """

    layer: int
    mean: Reals
    active: Reals
    dead: npt.NDArray[np.bool_]
    saturated: Reals
    twin: npt.NDArray[np.int64]
    twin_correlation: Reals
    importance: Reals
    importance_samples: int
    outgoing: Reals

    @property
    def units(self) -> int:
        """Neurons of the layer."""
        return len(self.mean)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One mapping a neuron, as in the file; None where there is nothing to say."""
        outputs = self.outgoing.shape[1]
        colours = ("red", "green", "blue") if outputs == 3 else tuple(map(str, range(outputs)))
        for i in range(self.units):
            twin = int(self.twin[i])
            yield {
                "layer": self.layer,
                "index": i,
                "mean": float(self.mean[i]),
                "active": float(self.active[i]),
                "dead": bool(self.dead[i]),
                "saturated": float(self.saturated[i]),
                "twin": twin if twin >= 0 else None,
                "twin_correlation": _number(self.twin_correlation[i]),
                "importance_decibels": _number(self.importance[i]),
                "importance_samples": self.importance_samples,
            } | {f"weight_{c}": _number(w) for c, w in zip(colours, self.outgoing[i], strict=True)}


def table(
    net: Net,
    inputs: Array,
    targets: Array | None = None,
    *,
    samples: int | None = SAMPLES,
    layers: Sequence[int] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Neurons]:
    """Everything there is to say of each hidden neuron, over the inputs (N, D) and targets (N, C).

    targets: without them there is no importance. samples: inputs on which the importance of inner layers is
    measured, a fixed random choice; None: all of them. The last layer's is always over all of them.
    layers: numbers of those to measure, from 1; None: all. tell: hears which is being measured.
    Cost: about two forward passes, and for each inner layer one for each of its units over `samples` inputs,
    but only where the unit is not 0. Raises RunError where weights are not finite.
    """
    check_finite(net)
    units = widths(net, inputs.shape[1])
    wanted = (
        sorted({number(n, len(units)) for n in layers}) if layers is not None else range(1, len(units) + 1)
    )
    tell("how often each neuron fires")
    sums = _sums(net, inputs, units, wanted)
    result = []
    for n, one in sums.items():
        last = n == len(units)
        tell(f"what each neuron of layer {n} is worth")
        worth = np.full(units[n - 1], np.nan)
        used = len(inputs) if last else len(sample(len(inputs), samples))
        if targets is not None:
            worth = importance(net, n, inputs, targets, samples=None if last else samples)
        outgoing = np.full((units[n - 1], net.outputs), np.nan)
        if last:
            outgoing = net.readout.weight.detach().double().cpu().numpy().T.copy()
        constant = one.high - one.low <= CONSTANT
        dead = one.active == 0 if is_rectifier(net) else constant
        twin, correlation = _twins(one, constant)
        result.append(
            Neurons(
                n,
                one.mean,
                one.active,
                dead,
                one.saturated,
                twin,
                correlation,
                worth,
                used if targets is not None else 0,
                outgoing,
            )
        )
    return result


def ablate(net: Net, chosen: Sequence[tuple[int, int]]) -> Net:
    """A copy of the net in which the chosen neurons, (layer, index) pairs, are silent: what they send on is 0.

    The weights that leave them are set to 0, so the neurons still have a picture, but nothing depends on it. In
    a residual or a complex net, where more than those weights leave them, their activation itself is 0.
    Raises RecipeError for a neuron that does not exist.
    """
    result = copy.deepcopy(net)
    following = [*list(result.layers)[1:], result.readout]
    with torch.no_grad():
        for n, i in chosen:
            if not (1 <= n <= len(following) and 0 <= i < net.widths[n - 1]):
                sizes = ", ".join(map(str, net.widths))
                raise RecipeError(f"neuron {n}:{i} does not exist: the hidden layers have {sizes} neurons")
            behind = following[n - 1]
            if isinstance(behind, nn.Linear) and not net.residual:
                behind.weight[:, i] = 0
            else:
                result.units[n - 1].register_forward_hook(partial(_silent, unit=i))
    return result


def _silent(units: nn.Module, inputs: object, post: Tensor, *, unit: int) -> Tensor:
    return post.index_fill(1, torch.tensor([unit], device=post.device), 0)


# Sums over the inputs ----------------------------------------------------------------------------------------


@dataclass
class _Sums:
    """A layer's moments: mean, active, saturated (shares), low, high (units,) and covariance (units, units)."""

    mean: Reals
    active: Reals
    saturated: Reals
    low: Reals
    high: Reals
    covariance: Reals

    @classmethod
    def empty(cls, units: int) -> _Sums:
        """Of no inputs at all."""
        zero = np.zeros(units)
        low, high = np.full(units, np.inf), np.full(units, -np.inf)
        return cls(zero, zero.copy(), zero.copy(), low, high, np.zeros((units, units)))


@torch.no_grad()
def _sums(net: Net, inputs: Array, units: tuple[int, ...], wanted: Collection[int]) -> dict[int, _Sums]:
    """One pass over all inputs, the covariance over PAIRED of them. Products are float32 within a block and float64
    across blocks; activations are first shifted by their mean over a few inputs, so that a covariance is no
    difference of large numbers."""
    paired = sample(len(inputs), PAIRED)
    # The few are of those paired: a unit that is constant there is then moved to 0 exactly, and has no twin.
    few = inputs[paired[sample(len(paired), 1024)]]
    shifts = {n: layer.post.mean(0) for n, layer in enumerate(net.hidden(tensor(net, few)), 1) if n in wanted}
    made = {n: _Sums.empty(units[n - 1]) for n in wanted}
    middle = {n: np.zeros(units[n - 1]) for n in wanted}  # mean of what is paired, less the shift
    exact = net.activation.fact("exact_zero") and net.activation.fact("rectifier")
    limits = {n: FLAT * steepest(net, n) for n in wanted if not exact}
    size = tile_pixels(max(units))
    for first in range(0, len(inputs), size):
        here = paired[(paired >= first) & (paired < first + size)] - first
        rows = torch.from_numpy(here) if len(here) < min(size, len(inputs) - first) else slice(None)
        encoded = net.encoding(tensor(net, inputs[first : first + size]))
        for n, layer in enumerate(net.following(encoded), 1):
            if n in made:
                one, shift = made[n], shifts[n]
                moved = layer.post[rows] - shift
                middle[n] += moved.sum(0).double().cpu().numpy()
                one.covariance += (moved.T @ moved).double().cpu().numpy()
                one.mean += layer.post.sum(0).double().cpu().numpy()
                active = torch.count_nonzero(layer.pre > 0, 0).cpu().numpy()
                one.active += active
                if exact:  # its slope is 1 where it is active and else 0
                    one.saturated += len(layer.pre) - active
                else:
                    flat = slopes(net, n, layer, encoded).abs() < limits[n]
                    one.saturated += torch.count_nonzero(flat, 0).cpu().numpy()
                # amin and amax take an eighth of the time of aminmax over columns (PyTorch 2.13).
                np.minimum(one.low, layer.post.amin(0).double().cpu().numpy(), out=one.low)
                np.maximum(one.high, layer.post.amax(0).double().cpu().numpy(), out=one.high)
            if n == max(wanted):
                break
    for n, one in made.items():
        middle[n] /= len(paired)
        one.covariance = one.covariance / len(paired) - np.outer(middle[n], middle[n])
        one.mean /= len(inputs)
        one.active /= len(inputs)
        one.saturated /= len(inputs)
    return made


def _twins(one: _Sums, constant: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], Reals]:
    """Each unit's most correlated other one, and the correlation; -1 and nan for constant or single units."""
    count = len(constant)
    twin, correlation = np.full(count, -1), np.full(count, np.nan)
    varied = np.flatnonzero(~constant & (np.diag(one.covariance) > 0))
    if len(varied) < 2:
        return twin, correlation
    part = one.covariance[np.ix_(varied, varied)]
    spread = np.sqrt(np.maximum(np.diag(part), 1e-300))
    between = part / np.outer(spread, spread)
    np.fill_diagonal(between, -np.inf)
    nearest = between.argmax(1)
    twin[varied] = varied[nearest]
    correlation[varied] = np.clip(between[np.arange(len(varied)), nearest], -1, 1)
    return twin, correlation


# The file ----------------------------------------------------------------------------------------------------


def csv_text(tables: Sequence[Neurons]) -> str:
    """Comma-separated values, a header and one line a neuron, seven digits; empty where there is nothing to say."""
    buffer = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for one in tables:
        for row in one.rows():
            if writer is None:
                writer = csv.DictWriter(buffer, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow({k: _text(v) for k, v in row.items()})
    return buffer.getvalue()


def write_csv(tables: Sequence[Neurons], path: str | os.PathLike[str]) -> Path:
    """Write `csv_text` in one step; RunError where the disk refuses."""
    path = Path(path)
    save_bytes(path, csv_text(tables).encode(), folders=True)
    return path


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
