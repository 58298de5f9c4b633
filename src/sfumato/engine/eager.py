"""The specification of training: PyTorch, one operation after another, on the CPU in float32.

The loop is in `advance`. Every other engine must do what this one does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ..data import Data
from ..errors import RecipeError
from ..learning import losses, optimizers
from ..learning.detour import Detour, fixed_matrices
from ..learning.plan import Plan
from ..learning.session import remembered
from ..learning.waking import wake
from ..nets import Net
from ..nets.encodings import Grid
from ..recipe import Recipe, pick
from ._torch import borrowed

__all__ = ["EagerSession", "instruction_set", "prepare", "why_not"]

KEPT_BYTES = 256 << 20
"""Encoded inputs up to this size are computed once; larger ones anew for each minibatch."""

DROPOUT_STREAM = 2


def why_not(recipe: Recipe) -> str | None:
    """None: the specification runs every recipe."""
    return None


def instruction_set() -> str:
    """What PyTorch's kernels use here, such as AVX512."""
    return str(torch.backends.cpu.get_cpu_capability())


def prepare(net: Net, data: Data, recipe: Recipe, total_steps: int) -> EagerSession:
    """A session that starts from the weights of `net`."""
    if recipe.wake and not net.activation.fact("rectifier"):
        raise RecipeError(f"wake={recipe.wake} is for rectifiers, not for {net.activation.name}")
    with borrowed(recipe.threads):
        return EagerSession(net, data, recipe, total_steps)


class EagerSession:
    """A `Session` whose weights are an ordinary module."""

    def __init__(self, net: Net, data: Data, recipe: Recipe, total_steps: int) -> None:
        self.step = 0
        self.plan = Plan(recipe, data.samples, total_steps, data.inputs)
        self._recipe = recipe
        self._net = copy.deepcopy(net)
        self._parameters = dict(self._net.named_parameters())
        self._loss = pick(losses, recipe.loss, "loss")
        optimizer = pick(optimizers, recipe.optimizer, "optimizer")
        self._optimizers = optimizer(self._net)
        self._feedback = fixed_matrices(self._net, recipe)
        self._whole_data = bool(optimizer.fact("whole_data"))
        if self._whole_data and recipe.batch < data.samples:
            raise RecipeError(
                f"optimizer={recipe.optimizer} looks at all {data.samples:,} samples in each step, not at "
                f"batch={recipe.batch}\nhint: --batch {data.samples}"
            )
        dtype = next(self._net.parameters()).dtype
        self._targets = torch.from_numpy(data.targets).to(dtype)
        self._loss(self._targets[:1], self._targets[:1])  # refuses an argument out of range
        self._inputs = self._encode_once(torch.from_numpy(data.inputs).to(dtype))

    def advance(self, steps: int) -> npt.NDArray[np.float32]:
        """See `Session.advance`."""
        with borrowed(self._recipe.threads):
            return self._advance(steps)

    def _advance(self, steps: int) -> npt.NDArray[np.float32]:
        kept: list[Tensor] = []
        rates = self.plan.rates(self.step, steps)
        for rate in rates:
            rows = torch.from_numpy(self.plan.minibatch(self.step))
            for optimizer in self._optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = float(rate) * group["factor"]
                optimizer.zero_grad()
            outputs, targets = self._forward(rows), self._targets[rows]
            loss = self._loss(outputs, targets)
            loss.backward()
            if self._recipe.clip:
                torch.nn.utils.clip_grad_norm_(self._net.parameters(), self._recipe.clip)
            for optimizer in self._optimizers:
                if self._whole_data:  # a line search asks again
                    optimizer.step(partial(self._again, rows))
                else:
                    optimizer.step()
            if self.plan.wakes(self.step):
                wake(self._net, self._encoded(rows))
            kept.append(loss.detach())
            self.step += 1
            if self.plan.follows_errors:
                errors = losses.each(self._loss, outputs, targets)
                self.plan.record(rows.numpy(), errors.float().numpy(), self.step)
        return torch.stack(kept).float().numpy() if kept else np.empty(0, np.float32)

    def _again(self, rows: Tensor) -> float:
        """The loss of the samples `rows` at the weights as they stand, without its gradient."""
        with torch.no_grad():
            return float(self._loss(self._forward(rows), self._targets[rows]))

    def gradient(self, rows: npt.NDArray[np.int32]) -> tuple[float, dict[str, Tensor]]:
        """Loss and gradient of the samples `rows` at the present weights, for tests of other engines."""
        self._net.zero_grad()
        loss = self._loss(self._forward(torch.from_numpy(rows)), self._targets[torch.from_numpy(rows)])
        loss.backward()
        return float(loss.detach()), {
            n: p.grad.clone() for n, p in self._parameters.items() if p.grad is not None
        }

    def pull(self, net: Net) -> None:
        """See `Session.pull`."""
        net.load_state_dict(self._net.state_dict())

    def state(self) -> dict[str, Tensor]:
        """See `Session.state`."""
        result = {"step": torch.tensor(self.step)} | self.plan.state()
        for optimizer in self._optimizers:
            for name, parameter in self._parameters.items():
                for moment, value in optimizer.state.get(parameter, {}).items():
                    if moment != "step" and value is not None:
                        result[f"{moment}/{name}"] = value.detach().clone()
        return result

    def load(self, net: Net, state: Mapping[str, Tensor]) -> None:
        """See `Session.load`; raises RunError if the state belongs to another net or optimizer."""
        self._net.load_state_dict(net.state_dict())
        self.step = int(state["step"])
        self.plan.load(state)
        kept = optimizers.memory(self._net, self._optimizers)
        for optimizer in self._optimizers:
            optimizer.state.clear()
            for parameter in (
                [p for group in optimizer.param_groups for p in group["params"]] if self.step else []
            ):
                name = next(n for n, p in self._parameters.items() if p is parameter)
                found = {m: remembered(state, m, name, shape).clone() for m, shape in kept[name].items()}
                if found:
                    optimizer.state[parameter] = found
                    if not isinstance(
                        optimizer, (optimizers.Muon, torch.optim.SGD)
                    ):  # others count their steps
                        optimizer.state[parameter]["step"] = torch.tensor(float(self.step))

    def close(self) -> None:
        """See `Session.close`."""

    def _encode_once(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs, or what the encoding makes of them where that never changes and is small enough to keep."""
        encoding = self._net.encoding
        with torch.no_grad():
            if isinstance(encoding, Grid):
                if len(inputs) * len(encoding.cells) * 4 * 12 > KEPT_BYTES:
                    return (inputs,)
                indices, weights = encoding.corners(inputs)
                return indices, weights
            if len(inputs) * int(encoding.width) * 4 > KEPT_BYTES:  # type: ignore[arg-type]  # an int, see encodings
                return (inputs,)
            return (encoding(inputs), inputs[:0])

    def _encoded(self, rows: Tensor) -> Tensor:
        """What the first layer sees of the samples `rows`."""
        net, first = self._net, self._inputs[0][rows]
        if len(self._inputs) == 1:
            return torch.as_tensor(net.encoding(first))
        if isinstance(net.encoding, Grid):
            return net.encoding.blend(first, self._inputs[1][rows])
        return first

    def _forward(self, rows: Tensor) -> Tensor:
        net, value = self._net, self._encoded(rows)
        plain = self._recipe.precision in ("float32", "auto", "auto-all") and not self._feedback
        if plain and not self._recipe.dropout:
            return net.head(value)
        return self._head(value)

    def _head(self, encoded: Tensor) -> Tensor:
        """`Net.head` with dropout, errors that go back by fixed matrices, or bfloat16 operands; see
        `recipe.PRECISIONS`.

        Biases, sums and activations stay in float32, and so does a skip connection.
        """
        drop = self._recipe.dropout or (0.0, 0.0)
        words = np.random.SeedSequence([self._recipe.seed, DROPOUT_STREAM, self.step]).generate_state(2)
        generator = torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))
        encoded = _dropped(encoded, drop[0], generator)
        precision = self._recipe.precision

        def product(index: int, layer: Any, value: Tensor) -> Tensor:
            fixed = self._feedback[index - 1] if index and self._feedback else None
            if precision == "bfloat16-all" and fixed is None:
                # PyTorch's own product, whose results are rounded as well: no harm to a class, and twice as fast.
                linear = functional.linear(value.bfloat16(), layer.weight.bfloat16())
                return linear.float() + torch.as_tensor(layer.bias)
            if precision.startswith("bfloat16") and index:
                rounded: Tensor = _RoundedProduct.apply(value, layer.weight, fixed)  # type: ignore[no-untyped-call]
                return rounded + torch.as_tensor(layer.bias)
            if fixed is not None:
                result: Tensor = Detour.apply(value, layer.weight, layer.bias, fixed)  # type: ignore[no-untyped-call]
                return result
            return torch.as_tensor(layer(value))

        net: Net = self._net
        return net.head(encoded, product=product, dropped=lambda value: _dropped(value, drop[1], generator))


class _RoundedProduct(torch.autograd.Function):
    """x W^T and its gradients, every operand rounded to bfloat16, every sum in float32: what matrix units do.

    Errors go back by `fixed` in place of W where it is given.

    PyTorch's own bfloat16 product would round its results too, and so the painting to steps of 1/256.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, fixed: Tensor | None = None) -> Tensor:
        x, weight = _rounded(x), _rounded(weight)
        ctx.save_for_backward(x, weight if fixed is None else _rounded(fixed))
        return x @ weight.T

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor, Tensor, None]:
        x, back = ctx.saved_tensors
        delta = _rounded(delta)
        return delta @ back, delta.T @ x, None


def _rounded(values: Tensor) -> Tensor:
    return values.bfloat16().to(values.dtype)


def _dropped(value: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set a random share of the values to 0 and scale the rest up (Srivastava et al. 2014)."""
    if not share:
        return value
    keep = torch.rand(value.shape, generator=generator) >= share
    return value * keep / (1 - share)
