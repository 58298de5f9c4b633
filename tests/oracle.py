"""The witness: the whole of training in float64 NumPy, from the formulas, in the plainest way.

It shares no line with the package. Parameters are a dict with the package's names (`layers.0.weight`,
`readout.bias`, `skip.weight`); arrays are (N, C), weights (fan_out, fan_in). Slow on purpose: loops where a
formula has a sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Tensors = dict[str, Array]

# Activations: value and derivative ---------------------------------------------------------------------------


def relu(x: Array) -> tuple[Array, Array]:
    return np.maximum(x, 0), (x > 0).astype(float)


def leaky_relu(x: Array, slope: float = 0.01) -> tuple[Array, Array]:
    return np.where(x > 0, x, slope * x), np.where(x > 0, 1.0, slope)


def tanh(x: Array) -> tuple[Array, Array]:
    y = np.tanh(x)
    return y, 1 - y**2


def sigmoid(x: Array) -> tuple[Array, Array]:
    y = 1 / (1 + np.exp(-x))
    return y, y * (1 - y)


def silu(x: Array) -> tuple[Array, Array]:
    s = 1 / (1 + np.exp(-x))
    return x * s, s + x * s * (1 - s)


def sine(x: Array, omega: float = 30.0) -> tuple[Array, Array]:
    return np.sin(omega * x), omega * np.cos(omega * x)


def finer(x: Array, omega: float = 30.0, first_bias: float = 1.0) -> tuple[Array, Array]:
    factor = np.abs(x) + 1  # held constant in the backward pass
    return np.sin(omega * factor * x), omega * factor * np.cos(omega * factor * x)


def gaussian(x: Array, scale: float = 10.0) -> tuple[Array, Array]:
    y = np.exp(-((scale * x) ** 2))
    return y, -2 * scale**2 * x * y


ACTIVATIONS: dict[str, Callable[..., tuple[Array, Array]]] = {
    f.__name__: f for f in (relu, leaky_relu, tanh, sigmoid, silu, sine, finer, gaussian)
}

# Losses: value and gradient at the prediction ----------------------------------------------------------------


def mse(p: Array, t: Array) -> tuple[float, Array]:
    return float(((p - t) ** 2).sum() / p.size), 2 * (p - t) / p.size


def l1(p: Array, t: Array) -> tuple[float, Array]:
    return float(np.abs(p - t).sum() / p.size), np.sign(p - t) / p.size


def half_square(p: Array, t: Array) -> tuple[float, Array]:
    return float(0.5 * ((p - t) ** 2).sum() / len(p)), (p - t) / len(p)


def cross_entropy(p: Array, t: Array, smoothing: float = 0.0) -> tuple[float, Array]:
    soft = t * (1 - smoothing) + smoothing / t.shape[1]
    e = np.exp(p - p.max(1, keepdims=True))
    q = e / e.sum(1, keepdims=True)
    return float(-(soft * np.log(q)).sum() / len(p)), (q * soft.sum(1, keepdims=True) - soft) / len(p)


LOSSES: dict[str, Callable[..., tuple[float, Array]]] = {
    f.__name__: f for f in (mse, l1, half_square, cross_entropy)
}

# Encodings ---------------------------------------------------------------------------------------------------


def waves(x: Array, frequencies: Array) -> Array:
    """sin and cos of 2 pi B x, one sample and one band after the other: (N, D), (bands, D) -> (N, 2 bands)."""
    out = np.empty((len(x), 2 * len(frequencies)))
    for n, point in enumerate(x):
        for k, row in enumerate(frequencies):
            phase = 2 * math.pi * sum(b * value for b, value in zip(row, point, strict=True))
            out[n, k], out[n, len(frequencies) + k] = math.sin(phase), math.cos(phase)
    return out


Uses = list[list[list[tuple[int, float]]]]
"""Per point, per level, the four (entry of the table, weight) that are blended."""


def grid_uses(x: Array, cells: list[tuple[int, int]], log2_table: int) -> Uses:
    """Where a grid encoding looks for points x (N, 2) in [0, 1], by Mueller et al. 2022, section 3."""
    limit, uses = 2**log2_table, []
    for px, py in x.tolist():
        levels, offset = [], 0
        for across, down in cells:
            corners = (across + 1) * (down + 1)
            column = min(math.floor(px * across), across - 1)
            row = min(math.floor(py * down), down - 1)
            u, v = px * across - column, py * down - row
            found = []
            for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                i, j = column + dx, row + dy
                weight = (u if dx else 1 - u) * (v if dy else 1 - v)
                entry = (i ^ (j * 2654435761)) % limit if corners > limit else j * (across + 1) + i
                found.append((offset + entry, weight))
            levels.append(found)
            offset += min(corners, limit)
        uses.append(levels)
    return uses


def grid(table: Array, uses: Uses) -> Array:
    """The features of a grid encoding: (entries, F) -> (N, levels F)."""
    return np.array(
        [np.concatenate([sum(w * table[e] for e, w in level) for level in levels]) for levels in uses]
    )


def grid_gradient(table: Array, uses: Uses, upstream: Array) -> Array:
    """Gradient of the table, given that of the features (N, levels F)."""
    result, width = np.zeros_like(table), table.shape[1]
    for levels, row in zip(uses, upstream, strict=True):
        for index, level in enumerate(levels):
            for entry, weight in level:
                result[entry] += weight * row[index * width : (index + 1) * width]
    return result


# Forward, backward -------------------------------------------------------------------------------------------


class Model:
    """A net's shape and its functions; parameters are passed in. `uses` makes the inputs those of a grid."""

    def __init__(
        self,
        depth: int,
        activation: str,
        loss: str = "mse",
        *,
        arguments: dict[str, Any] | None = None,
        loss_arguments: dict[str, Any] | None = None,
        uses: Uses | None = None,
    ) -> None:
        self.depth, self.uses = depth, uses
        self._activation, self._arguments = ACTIVATIONS[activation], arguments or {}
        self._loss, self._loss_arguments = LOSSES[loss], loss_arguments or {}

    def forward(self, p: Tensors, x: Array, rows: Iterable[int]) -> tuple[Array, list[Array], list[Array]]:
        """Outputs, the value that enters each linear layer, and the derivative of each activation."""
        rows = list(rows)
        value = grid(p["encoding.table"], [self.uses[r] for r in rows]) if self.uses is not None else x[rows]
        entering, slopes = [value], []
        for i in range(self.depth):
            value, slope = self._activation(
                value @ p[f"layers.{i}.weight"].T + p[f"layers.{i}.bias"], **self._arguments
            )
            entering.append(value)
            slopes.append(slope)
        out = value @ p["readout.weight"].T + p["readout.bias"]
        if "skip.weight" in p:
            out = out + entering[0] @ p["skip.weight"].T
        return out, entering, slopes

    def gradients(
        self, p: Tensors, x: Array, targets: Array, rows: Iterable[int] | None = None
    ) -> tuple[float, Tensors]:
        """Loss and gradient of the samples `rows` (all by default), by the chain rule, last layer first."""
        rows = list(range(len(targets)) if rows is None else rows)
        out, entering, slopes = self.forward(p, x, rows)
        loss, delta = self._loss(out, targets[rows], **self._loss_arguments)
        g: Tensors = {"readout.weight": delta.T @ entering[-1], "readout.bias": delta.sum(0)}
        first = np.zeros_like(entering[0])
        if "skip.weight" in p:
            g["skip.weight"] = delta.T @ entering[0]
            first = first + delta @ p["skip.weight"]
        back = delta @ p["readout.weight"]
        for i in reversed(range(self.depth)):
            delta = back * slopes[i]
            g[f"layers.{i}.weight"], g[f"layers.{i}.bias"] = delta.T @ entering[i], delta.sum(0)
            back = delta @ p[f"layers.{i}.weight"]
        if self.uses is not None:
            g["encoding.table"] = grid_gradient(
                p["encoding.table"], [self.uses[r] for r in rows], first + back
            )
        return loss, g


# Optimizers --------------------------------------------------------------------------------------------------


class Adam:
    """Kingma and Ba 2015, algorithm 1; matrices shrink by rate x decay (Loshchilov and Hutter 2019)."""

    def __init__(
        self, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, decay: float = 0.0
    ) -> None:
        self.beta1, self.beta2, self.eps, self.decay = beta1, beta2, eps, decay
        self.t, self.m, self.v = 0, {}, {}  # type: ignore[var-annotated]

    def step(self, p: Tensors, g: Tensors, rate: float) -> None:
        self.t += 1
        for name in p:
            self.m[name] = self.beta1 * self.m.get(name, 0.0) + (1 - self.beta1) * g[name]
            self.v[name] = self.beta2 * self.v.get(name, 0.0) + (1 - self.beta2) * g[name] ** 2
            mean = self.m[name] / (1 - self.beta1**self.t)
            variance = self.v[name] / (1 - self.beta2**self.t)
            shrink = 1 - rate * self.decay * (p[name].ndim > 1)
            p[name] = shrink * p[name] - rate * mean / (np.sqrt(variance) + self.eps)


class Sgd:
    """Gradient descent; momentum's memory starts as the first gradient, as in PyTorch."""

    def __init__(self, momentum: float = 0.0) -> None:
        self.momentum, self.memory = momentum, {}  # type: ignore[var-annotated]

    def step(self, p: Tensors, g: Tensors, rate: float) -> None:
        for name in p:
            self.memory[name] = self.momentum * self.memory.get(name, 0.0) + g[name]
            p[name] = p[name] - rate * self.memory[name]


def train(
    model: Model,
    p: Tensors,
    x: Array,
    targets: Array,
    minibatches: Iterable[Iterable[int]],
    rates: Iterable[float],
    optimizer: Adam | Sgd,
) -> list[float]:
    """The loss of each minibatch before its update; `p` is changed in place."""
    losses = []
    for rows, rate in zip(minibatches, rates, strict=True):
        loss, g = model.gradients(p, x, targets, rows)
        losses.append(loss)
        optimizer.step(p, g, rate)
    return losses


def program_of_2012(
    p: Tensors, depth: int, x: Array, targets: Array, order: Iterable[int], *, rate: float, slope: float
) -> None:
    """The 2012 program's rule, neuron by neuron: one sample at a time, the error of an output is the plain
    difference, and a neuron with n inputs learns at rate / sqrt(n + 1). `p` is changed in place."""
    names = [*(f"layers.{i}" for i in range(depth)), "readout"]
    for sample in order:
        values = [x[sample]]
        for name in names:
            total = p[f"{name}.weight"] @ values[-1] + p[f"{name}.bias"]
            hidden = name != "readout"
            values.append(np.where(total < 0, slope * total, total) if hidden else total)
        error = targets[sample] - values[-1]
        for level in reversed(range(len(names))):
            weight, bias, below = p[f"{names[level]}.weight"], p[f"{names[level]}.bias"], values[level]
            error_below = weight.T @ error
            if level:
                error_below = np.where(below < 0, slope * error_below, error_below)
            step = rate / math.sqrt(weight.shape[1] + 1)
            p[f"{names[level]}.weight"] = weight + step * np.outer(error, below)
            p[f"{names[level]}.bias"] = bias + step * error
            error = error_below
