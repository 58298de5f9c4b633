"""The native engine's multi-layer perceptron as an ordinary PyTorch module, for any loss and optimizer: `FusedMLP`.

The session of `engine.native` is faster, since weights, data and optimizer stay in C++; this is for all else: other
losses, other optimizers, a part of a larger model. Parameters are ordinary ones, named as in `nets.Net`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .data import Array
from .engine import native
from .errors import EngineError
from .nets import activations
from .recipe import Choice, pick

if TYPE_CHECKING:
    from ._native import Settings

__all__ = ["FusedMLP"]

PRECISIONS = ("float32", "bfloat16", "bfloat16-all")

HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
"""Where a layer keeps what is to be called with it; the layers of a `FusedMLP` are never called."""


class FusedMLP(nn.Module):
    """(N, inputs) -> (N, outputs): hidden layers with one activation, a linear readout, perhaps a skip.

    hidden: width of each hidden layer, any number of any width. activation: as in a recipe, `sine:omega=30`. skip:
    also a linear map from inputs to outputs. precision: of products, `float32`, `bfloat16` beyond the first layer,
    `bfloat16-all`. threads: 0 = all that this process may use. Layers start as nn.Linear does.

    Both passes run in C++, in chunks of rows that stay in the cache; the backward pass does the forward pass again,
    from a copy of inputs and weights, so no activations are kept between the two. The weights are compared with
    those that C++ has at each call, byte by byte, so that no way of writing to them is missed.

    Copying, pickling, parametrizations, `functional_call` and `torch.compile` (which breaks its graph here) work as
    with any module; autocast changes nothing, products have the module's precision. Raises EngineError for what it
    cannot do: inputs or weights that are not finite float32 on the CPU, hooks on its layers or other layers in
    their place, second derivatives, forward-mode derivatives and `torch.func` transforms; also if the native engine
    is not built or lacks the activation. RecipeError for an unknown one.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        *,
        activation: str = "relu",
        skip: bool = False,
        precision: str = "float32",
        threads: int = 0,
    ) -> None:
        super().__init__()
        if reason := native.missing():
            raise EngineError(f"FusedMLP needs the native engine: {reason}, or use nets.Net")
        chosen = pick(activations, activation, "activation")
        if lacks := native.lacking(chosen):
            raise EngineError(f"FusedMLP: the native engine has {lacks}")
        if chosen.fact("learned"):
            raise EngineError(f"FusedMLP has no place for what {chosen.name} learns, use nets.Net")
        if precision not in PRECISIONS:
            raise EngineError(f"FusedMLP: precision={precision!r} must be {', '.join(PRECISIONS)}")
        self.widths = (inputs, *hidden, outputs)
        self.activation: Choice = chosen
        self._options: dict[str, Any] = {"skip": skip, "precision": precision, "threads": threads}
        self._native = _Native(self._settings())
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(self.widths[:-1]))
        self.readout = nn.Linear(self.widths[-2], outputs)
        self.skip = nn.Linear(inputs, outputs, bias=False) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        """x (N, inputs), float32 on the CPU -> (N, outputs). Raises EngineError, see the class."""
        if x.dtype != torch.float32 or x.device.type != "cpu" or x.ndim != 2:
            found = f"{tuple(x.shape)} {x.dtype} on {x.device}"
            raise EngineError(f"FusedMLP takes (N, {self.widths[0]}) float32 on the CPU, got {found}")
        try:
            result: Tensor = _Fused.apply(self._native, x, *self._weights())  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            if "functorch" in str(error):
                raise EngineError("FusedMLP does not work under torch.func transforms or vmap") from error
            raise
        return result

    def _weights(self) -> Iterator[Tensor]:
        """Weights and biases in the native order, as the layers would use them now."""
        named = [(f"layers.{i}", layer) for i, layer in enumerate(self.layers)] + [("readout", self.readout)]
        named += [("skip", self.skip)] if self.skip is not None else []
        for name, layer in named:
            if not isinstance(layer, nn.Linear) or layer.forward.__func__ is not nn.Linear.forward:  # type: ignore[attr-defined]
                raise EngineError(f"FusedMLP: {name} is no nn.Linear any more but {type(layer).__name__}")
            for kind in HOOKS:
                if hooks := getattr(layer, kind):
                    hook = next(iter(hooks.values()))
                    label = getattr(hook, "__name__", type(hook).__name__)
                    raise EngineError(
                        f"FusedMLP: {name} has the hook {label}, but its layers are never called\n"
                        "hint: torch.nn.utils.parametrizations work, and hooks on the whole module"
                    )
            if (layer.bias is None) is not (name == "skip"):
                raise EngineError(f"FusedMLP: {name} has {'no' if layer.bias is None else 'a'} bias any more")
            for part, value in (("weight", layer.weight), ("bias", layer.bias)):
                if value is None:
                    continue
                if value.dtype != torch.float32 or value.device.type != "cpu":
                    raise EngineError(
                        f"FusedMLP computes in float32 on the CPU; {name}.{part} is {value.dtype} on {value.device}"
                    )
                yield value

    def _settings(self) -> Settings:
        settings = native.settings_of(self.widths, self.activation, **self._options)
        settings.input_gradient = True
        return settings

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_native"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._native = _Native(self._settings())


class _Native:
    """The C++ trainer, the weights that it has, and the turn of the threads that call it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._trainer = native.start(self._settings)
        self._has: tuple[Array, ...] = ()  # never written to: backward passes keep them
        self._lock = threading.Lock()

    def _turn(self) -> threading.Lock:
        """The lock; in a process that was forked all begins anew, as another thread may have been inside."""
        if self._process != os.getpid():
            self._begin()
        return self._lock

    def predict(self, points: Array, weights: Sequence[Array]) -> tuple[Array, tuple[Array, ...]]:
        """The outputs, and a copy of the weights that gave them."""
        with self._turn():
            same = len(self._has) == len(weights) and all(map(_same_bytes, self._has, weights))
            if not same:
                self._load(tuple(w.copy() for w in weights))
            return self._trainer.predict(points), self._has

    def pullback(
        self, points: Array, weights: tuple[Array, ...], errors: Array, inputs: bool
    ) -> tuple[list[Array], Array | None]:
        """Gradients of the weights, and of the inputs if wanted."""
        if not len(points):
            return [np.zeros_like(w) for w in weights], np.zeros_like(points) if inputs else None
        with self._turn():
            if self._has is not weights:
                self._load(weights)
            return self._trainer.pullback(points, errors, inputs)

    def _load(self, weights: tuple[Array, ...]) -> None:
        self._has = ()
        native.set_weights(self._trainer, map(torch.from_numpy, weights))
        self._has = weights


def _same_bytes(a: Array, b: Array) -> bool:
    return a.shape == b.shape and np.array_equal(a.view(np.int32), b.view(np.int32))


def _array(value: Tensor) -> Array:
    """The values, C-contiguous; not copied where they lie so."""
    return np.ascontiguousarray(value.detach().resolve_neg().numpy())


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, engine: _Native, x: Tensor, *weights: Tensor) -> Tensor:
        points = _array(x)
        try:
            outputs, ctx.weights = engine.predict(points, [_array(w) for w in weights])
        except ValueError as error:
            raise EngineError(f"FusedMLP: {error}") from error
        ctx.engine = engine
        if any(ctx.needs_input_grad):
            # Whatever is written to x without PyTorch's knowledge, the gradient is that of the outputs given.
            ctx.points = points.copy()
        ctx.save_for_backward(x, *weights)  # so that autograd notices what changes before the backward pass
        return torch.from_numpy(outputs)

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        first = (ctx.engine, ctx.points, ctx.weights, bool(ctx.needs_input_grad[1]))
        dx, *gradients = _Gradient.apply(first, error, x, *weights)  # type: ignore[no-untyped-call]
        return None, dx, *gradients

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise EngineError("FusedMLP has no forward-mode derivatives")


class _Gradient(torch.autograd.Function):
    """The first derivative; a function of its own, so that who asks for the second is told."""

    @staticmethod
    def forward(ctx: Any, first: Any, error: Tensor, *saved: Tensor) -> tuple[Tensor | None, ...]:
        engine, points, weights, inputs = first
        gradients, dx = engine.pullback(points, weights, _array(error), inputs)
        return (torch.from_numpy(dx) if inputs else None, *map(torch.from_numpy, gradients))

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> Any:
        raise EngineError("FusedMLP can be differentiated once only\nhint: nets.Net, for second derivatives")
