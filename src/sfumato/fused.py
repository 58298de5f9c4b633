"""The native engine's multi-layer perceptron as an ordinary PyTorch module, for any loss and optimizer: `FusedMLP`.

The session of `engine.native` is faster, since weights, data and optimizer stay in C++; this is for all else: other
losses, other optimizers, a part of a larger model. Parameters are ordinary ones, named as in `nets.Net`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .engine import native
from .errors import EngineError
from .nets import activations
from .recipe import Choice, pick

__all__ = ["FusedMLP"]


class FusedMLP(nn.Module):
    """(N, inputs) -> (N, outputs): hidden layers with one activation, a linear readout, perhaps a skip.

    hidden: width of each hidden layer, any number of any width. activation: as in a recipe, `sine:omega=30`. skip:
    also a linear map from inputs to outputs. precision: of products, `float32`, `bfloat16` beyond the first layer,
    `bfloat16-all`. threads: 0 = all that this process may use. Layers start as nn.Linear does.

    Both passes run in C++, in chunks of rows that stay in the cache; the backward pass does the forward pass again,
    so nothing is kept between the two. Not differentiable twice. Inputs must be float32 on the CPU. Raises
    EngineError if the module is not built or lacks the activation, RecipeError for an unknown one.
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
        if not native.usable_sets():
            raise EngineError("FusedMLP needs the native engine, which is not built here\nhint: use nets.Net")
        chosen = pick(activations, activation, "activation")
        if not native.can_compute(chosen):
            raise EngineError(f"FusedMLP: the native engine has no activation {chosen.name}")
        sizes = [inputs, *hidden]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.readout = nn.Linear(sizes[-1], outputs)
        self.skip = nn.Linear(inputs, outputs, bias=False) if skip else None
        self.activation: Choice = chosen
        settings = native.settings_of(
            [*sizes, outputs], chosen, skip=skip, precision=precision, threads=threads
        )
        settings.input_gradient = True
        self._engine = native.start(settings)
        self._seen: tuple[tuple[int, int], ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _Fused.apply(self, x, *self.parameters())  # type: ignore[no-untyped-call]
        return result

    def load_engine(self) -> Any:
        """The C++ module with the present weights; they are handed over only after a change."""
        now = tuple((p.data_ptr(), p._version) for p in self.parameters())
        if now != self._seen:
            native.set_weights(self._engine, self.parameters())
            self._seen = now
        return self._engine


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, module: FusedMLP, x: Tensor, *parameters: Tensor) -> Tensor:
        if x.dtype != torch.float32 or x.device.type != "cpu" or x.ndim != 2:
            raise EngineError(
                f"FusedMLP takes (N, inputs) float32 on the CPU, got {tuple(x.shape)} {x.dtype}"
            )
        ctx.module = module
        ctx.save_for_backward(
            x, *parameters
        )  # also lets autograd notice weights changed before the backward pass
        return torch.from_numpy(module.load_engine().predict(np.ascontiguousarray(x.detach().numpy())))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        x = ctx.saved_tensors[0]
        wanted = bool(ctx.needs_input_grad[1])
        points, errors = (np.ascontiguousarray(v.detach().numpy()) for v in (x, error))
        gradients, inputs = ctx.module.load_engine().pullback(points, errors, wanted)
        dx = torch.from_numpy(inputs) if wanted else None
        return None, dx, *(torch.from_numpy(g) for g in gradients)
