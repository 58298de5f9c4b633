"""The witness: the whole of training in float64 NumPy, from the formulas, in the plainest way.

It shares no line with the package. Parameters are a dict with the package's names (`layers.0.weight`,
`readout.bias`, `skip.weight`); arrays are (N, C), weights (fan_out, fan_in). Slow on purpose: loops where a
formula has a sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

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


def gelu(x: Array) -> tuple[Array, Array]:
    below = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.ravel()]).reshape(x.shape)
    return x * below, below + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def spder(x: Array, omega: float = 30.0) -> tuple[Array, Array]:
    z = omega * x
    root = np.sqrt(np.abs(z))
    with np.errstate(divide="ignore", invalid="ignore"):
        second = np.where(z == 0, 0.0, np.sin(z) * np.sign(z) / (2 * root))
    return np.sin(z) * root, omega * (np.cos(z) * root + second)


def sinc(x: Array, omega: float = 30.0) -> tuple[Array, Array]:
    z = np.where(x == 0, 1.0, omega * x)
    slope = omega * (np.cos(z) / z - np.sin(z) / z**2)
    return np.where(x == 0, 1.0, np.sin(z) / z), np.where(x == 0, 0.0, slope)


ACTIVATIONS: dict[str, Callable[..., tuple[Array, Array]]] = {
    f.__name__: f for f in (relu, leaky_relu, tanh, sigmoid, silu, sine, finer, gaussian, gelu, spder, sinc)
}

# Whole layers whose units look at each other, at the inputs, or learn: values only ------------------------------


def lwta(x: Array, layer: Layer, *, block: int = 2) -> Array:
    out = np.zeros_like(x)
    for row, values in enumerate(x):
        for first in range(0, len(values), block):
            group = list(values[first : first + block])
            winner = group.index(max(group))
            out[row, first + winner] = group[winner]
    return out


def maxout(x: Array, layer: Layer, *, pieces: int = 2) -> Array:
    return np.array([[max(v[j : j + pieces]) for j in range(0, len(v), pieces)] for v in x.tolist()])


def topk(x: Array, layer: Layer, *, k: int = 25) -> Array:
    return np.array([[v if sorted(row)[-min(k, len(row))] <= v else 0.0 for v in row] for row in x.tolist()])


def prelu(x: Array, layer: Layer, *, slope: float = 0.25) -> Array:
    return np.maximum(x, 0) + layer.p["slopes"] * np.minimum(x, 0)


def h_siren(x: Array, layer: Layer, *, omega: float = 30.0) -> Array:
    return np.sin(omega * np.sinh(2 * x)) if layer.first else np.sin(omega * x)


def wire(x: Array, layer: Layer, *, omega: float = 20.0, scale: float = 10.0) -> Array:
    half = x.shape[1] // 2
    z = x[:, :half] + 1j * x[:, half:]
    y = np.exp(1j * omega * z - np.abs(scale * z) ** 2)
    return np.concatenate([y.real, y.imag], 1)


def fourier_filter(x: Array, layer: Layer, *, scale: float = 256.0) -> Array:
    return x * np.sin(layer.inputs @ layer.p["frequencies"].T + layer.p["phases"])


def gabor_filter(
    x: Array, layer: Layer, *, scale: float = 256.0, alpha: float = 6.0, beta: float = 1.0
) -> Array:
    out = fourier_filter(x, layer)
    for n, point in enumerate(layer.inputs):
        for u, centre in enumerate(layer.p["centres"]):
            out[n, u] *= math.exp(-layer.p["widths"][u] / 2 * float(((point - centre) ** 2).sum()))
    return out


class Layer(NamedTuple):
    """What a layer of units knows beside its sums: what it learned, the encoded inputs, whether it is the first."""

    p: Tensors
    inputs: Array
    first: bool


LAYERS: dict[str, Callable[..., Array]] = {
    f.__name__: f for f in (lwta, maxout, topk, prelu, h_siren, wire, fourier_filter, gabor_filter)
}


def sums(p: Tensors, name: str, value: Array, first: bool) -> Array:
    """What a linear map gives: a real one, a complex one (real parts, then imaginary parts), or 1."""
    if f"{name}.weight" in p:
        return value @ p[f"{name}.weight"].T + p[f"{name}.bias"]
    if f"{name}.real" not in p:
        return np.ones((len(value), 1))
    half = value.shape[1] if first else value.shape[1] // 2
    z = value if first else value[:, :half] + 1j * value[:, half:]
    matrix, offset = p[f"{name}.real"], p[f"{name}.offset"]
    if not first:
        matrix = matrix + 1j * p[f"{name}.imaginary"]
        offset = offset[: len(matrix)] + 1j * offset[len(matrix) :]
    y = z @ matrix.T + offset
    return np.concatenate([y.real, y.imag], 1)


def outputs(
    p: Tensors, x: Array, depth: int, activation: str, residual: int = 0, **arguments: float
) -> Array:
    """A net's outputs for encoded inputs x, any activation, with shortcuts (He et al. 2016, equation 1)."""
    value, posts = x, []
    for i in range(depth):
        pre = sums(p, f"layers.{i}", value, i == 0)
        if residual and i and i % residual == 0:
            pre = pre + posts[i - residual]
        if activation in LAYERS:
            own = {n.removeprefix(f"units.{i}."): v for n, v in p.items() if n.startswith(f"units.{i}.")}
            value = LAYERS[activation](pre, Layer(own, x, i == 0), **arguments)
        else:
            value = ACTIVATIONS[activation](pre, **arguments)[0]
        posts.append(value)
    out = sums(p, "readout", value, False)
    return out + x @ p["skip.weight"].T if "skip.weight" in p else out


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


def one_blob(x: Array, bins: int) -> Array:
    """The mass of N(x, 1 / bins^2) in each bin of [0, 1]: (N, D) -> (N, D bins)."""

    def below(edge: float, centre: float) -> float:
        return 0.5 * (1 + math.erf((edge - centre) * bins / math.sqrt(2)))

    rows = [
        [below((i + 1) / bins, v) - below(i / bins, v) for v in point for i in range(bins)]
        for point in x.tolist()
    ]
    return np.array(rows)


def triangle(x: Array, bands: int) -> Array:
    """1 at 0, down to -1 after half a period and up again; the period is 2, 1, 1/2 ...: (N, D) -> (N, D bands)."""
    rows = []
    for point in x.tolist():
        rows.append([4 * abs((v / 2 ** (1 - k)) % 1 - 0.5) - 1 for v in point for k in range(bands)])
    return np.array(rows)


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
