"""PyTorch on an NVIDIA GPU, with whole groups of steps captured as CUDA graphs.

A step of a small net is tens of kernels of a few microseconds; launched one by one from Python they leave the
GPU idle. Here data and masters live on the device, a group of `GROUP` steps is captured once, and a stretch
between beats is a row of replays: the host uploads indices and rates, and reads the losses once at the end.
The last short minibatch of an epoch has a graph of its own.

The update rules are written out (no torch.optim), since a captured step may not ask the host for its number.
With `capture=False` the same code runs on any device, which is how it is tested without a GPU.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data import Data
from ..errors import EngineError
from ..learning import feedback, losses, optimizers
from ..learning.plan import Plan
from ..learning.session import remembered
from ..learning.waking import wake
from ..nets import Net
from ..recipe import Choice, Recipe, pick

__all__ = ["CudaSession", "instruction_set", "prepare", "why_not"]

GROUP = 16
"""Steps in one graph: enough to hide a launch (about 10 microseconds), few enough to capture in a second."""


def why_not(recipe: Recipe) -> str | None:
    """No GPU, dropout, clipping, or an optimizer without a rule here."""
    if not torch.cuda.is_available():
        return "there is no CUDA device, or torch was built without CUDA"
    return _lacks(recipe)


def instruction_set() -> str:
    """The GPU's name."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"


def _lacks(recipe: Recipe) -> str | None:
    optimizer = pick(optimizers, recipe.optimizer, "optimizer")
    if optimizer.function not in (optimizers.adam, optimizers.sgd, optimizers.muon):
        return f"it has no optimizer {optimizer.name}"
    if optimizer.function is optimizers.adam and optimizer.argument("decay"):
        return "it has no weight decay"
    way = pick(feedback, recipe.backward, "backward")
    if not way.fact("true"):
        return f"it has no way back of errors but their own, not {way.name}"
    if recipe.dropout:
        return "it has no dropout"
    if recipe.clip:
        return "it does not clip gradients"
    return None


def prepare(net: Net, data: Data, recipe: Recipe, total_steps: int) -> CudaSession:
    """A session on the first CUDA device; EngineError if this engine cannot run the recipe."""
    reason = why_not(recipe)
    if reason:
        raise EngineError(f"engine cuda cannot run this recipe: {reason}")
    torch.backends.cuda.matmul.allow_tf32 = False
    return CudaSession(net, data, recipe, total_steps, torch.device("cuda"), capture=True)


class CudaSession:
    """A `Session` whose weights, moments and data live on `device`."""

    def __init__(
        self, net: Net, data: Data, recipe: Recipe, total_steps: int, device: torch.device, *, capture: bool
    ) -> None:
        reason = _lacks(recipe)
        if reason:
            raise EngineError(f"engine cuda cannot run this recipe: {reason}")
        self.step = 0
        self.plan = Plan(recipe, data.samples, total_steps, data.inputs)
        self._recipe, self._device, self._capture = recipe, device, capture
        self._net = copy.deepcopy(net).to(device)
        self._parameters = dict(self._net.named_parameters())
        self._loss = pick(losses, recipe.loss, "loss")
        self._rule = _Rule(pick(optimizers, recipe.optimizer, "optimizer"), self._net)
        self._inputs = torch.from_numpy(data.inputs).to(device)
        self._targets = torch.from_numpy(data.targets).to(device)
        self._graphs: dict[tuple[int, int], _Graph] = {}

    def advance(self, steps: int) -> npt.NDArray[np.float32]:
        """See `Session.advance`."""
        kept: list[Tensor] = []
        seen: list[tuple[npt.NDArray[np.int32], Tensor]] = []  # samples of this epoch and their errors
        while steps > 0:
            rows = self.plan.minibatch(self.step)
            count = self._together(steps)
            indices, _ = self.plan.stretch(self.step, count)
            graph = self._graph(count, len(rows))
            graph.rows.copy_(torch.from_numpy(indices.astype(np.int64)).view(count, -1))
            graph.factors.copy_(self._rule.factors(self.plan.rates(self.step, count), self.step))
            graph.run()
            kept.append(graph.losses.clone())
            if self.plan.wakes(self.step + count - 1):
                wake(self._net, self._net.encoding(self._inputs[graph.rows[-1]]))
            self.step += count
            steps -= count
            if self.plan.follows_errors:
                seen.append((indices, graph.errors.flatten().clone()))
                if steps == 0 or self.step % self.plan.per_epoch == 0:  # the next order asks for them
                    errors = torch.cat([values for _, values in seen]).float().cpu().numpy()
                    self.plan.record(np.concatenate([at for at, _ in seen]), errors, self.step)
                    seen.clear()
        return torch.cat(kept).cpu().numpy() if kept else np.empty(0, np.float32)

    def _together(self, steps: int) -> int:
        """How many of the next `steps` steps are done by one graph: a group, or one.

        A graph for every remainder would have to be captured. Units are woken between graphs, since how many there
        are is not known beforehand.
        """
        part = self.step % self.plan.per_epoch
        full = self.plan.samples // self.plan.batch  # minibatches of full size in an epoch
        if min(steps, full - part) < GROUP:
            return 1
        return 1 if any(self.plan.wakes(self.step + k) for k in range(GROUP - 1)) else GROUP

    def pull(self, net: Net) -> None:
        """See `Session.pull`."""
        net.load_state_dict({name: value.cpu() for name, value in self._net.state_dict().items()})

    def state(self) -> dict[str, Tensor]:
        """See `Session.state`."""
        return {"step": torch.tensor(self.step), **self.plan.state()} | (
            {
                f"{moment}/{name}": value.detach().cpu().clone()
                for moment, values in self._rule.moments.items()
                for name, value in values.items()
            }
            if self.step
            else {}
        )

    def load(self, net: Net, state: Mapping[str, Tensor]) -> None:
        """See `Session.load`. Copies in place, so that captured graphs stay valid."""
        self.step = int(state["step"])
        self.plan.load(state)
        with torch.no_grad():
            for name, value in net.state_dict().items():
                self._net.state_dict()[name].copy_(value)
            for moment, values in self._rule.moments.items():
                for name, value in values.items():
                    if self.step:
                        value.copy_(remembered(state, moment, name, value.shape))

    def close(self) -> None:
        """See `Session.close`."""
        self._graphs.clear()

    def _graph(self, count: int, batch: int) -> _Graph:
        key = (count, batch)
        if key not in self._graphs:
            saved = self._saved() if self._capture else None
            self._graphs[key] = _Graph(count, batch, self._device, self._step, self._capture)
            if saved is not None:
                self._restore(saved)  # warming up and capturing took real steps
        return self._graphs[key]

    def _step(self, rows: Tensor, factors: Tensor) -> tuple[Tensor, Tensor | None]:
        """One step on the samples `rows` (batch,), at the factors of `_Rule.factors`; the loss before it, and of
        each sample where the plan follows errors."""
        outputs, targets = self._forward(self._inputs[rows]), self._targets[rows]
        loss = self._loss(outputs, targets)
        gradients = torch.autograd.grad(loss, list(self._parameters.values()))
        with torch.no_grad():
            errors = losses.each(self._loss, outputs, targets) if self.plan.follows_errors else None
            self._rule.apply(self._parameters, dict(zip(self._parameters, gradients, strict=True)), factors)
        return torch.as_tensor(loss.detach()), errors

    def _forward(self, inputs: Tensor) -> Tensor:
        """The net with the operands of `recipe.precision`; see eager's `_head`, which this follows."""
        net = self._net
        if self._recipe.precision in ("float32", "auto", "auto-all"):
            result: Tensor = net(inputs)
            return result
        exact = 1 if self._recipe.precision == "bfloat16" else 0  # coordinates need float32

        def product(index: int, layer: Any, value: Tensor) -> Tensor:
            if index < exact:
                return torch.as_tensor(layer(value))
            return torch.as_tensor(_Product.apply(value, layer.weight) + layer.bias)  # type: ignore[no-untyped-call]

        return net.head(net.encoding(inputs), product=product)

    def _saved(self) -> list[Tensor]:
        return [t.detach().clone() for t in self._tensors()]

    def _restore(self, saved: list[Tensor]) -> None:
        with torch.no_grad():
            for tensor, value in zip(self._tensors(), saved, strict=True):
                tensor.copy_(value)

    def _tensors(self) -> list[Tensor]:
        moments = [value for values in self._rule.moments.values() for value in values.values()]
        return [*self._parameters.values(), *moments]


class _Product(torch.autograd.Function):
    """x W^T and its gradients with bfloat16 operands and float32 sums and results."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        x, weight = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x, weight)
        return _product(x, weight.T)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        delta = delta.bfloat16()
        return _product(delta, weight), _product(delta.T, x)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a b in float32 from bfloat16 operands; only CUDA's product can leave its float32 sums unrounded."""
    return torch.mm(a, b, out_dtype=torch.float32) if a.is_cuda else a.float() @ b.float()


class _Graph:
    """`count` steps on minibatches of `batch`: static inputs, and one call that does them all."""

    def __init__(
        self,
        count: int,
        batch: int,
        device: torch.device,
        step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]],
        capture: bool,
    ) -> None:
        self.rows = torch.zeros(count, batch, dtype=torch.int64, device=device)
        self.factors = torch.zeros(count, 3, device=device)
        self.losses = torch.zeros(count, device=device)
        self.errors = torch.zeros(count, batch, device=device)  # of each sample, where the plan follows them
        self._step = step
        self._captured: Any = None
        if not capture:
            return
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # lazy initialisation of libraries may not happen inside a capture
            self._all()
        torch.cuda.current_stream().wait_stream(side)
        self._captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._captured):
            self._all()

    def run(self) -> None:
        """Do the steps."""
        if self._captured is not None:
            self._captured.replay()
        else:
            self._all()

    def _all(self) -> None:
        for index in range(len(self.rows)):
            loss, errors = self._step(self.rows[index], self.factors[index])
            self.losses[index] = loss
            if errors is not None:
                self.errors[index] = errors


class _Rule:
    """Adam, SGD or Muon on all parameters at once, with every number that changes from step to step in a tensor."""

    def __init__(self, choice: Choice, net: Net) -> None:
        self._choice = choice
        self._adam = choice.function is not optimizers.sgd
        made, parameters = choice(net), dict(net.named_parameters())
        self.moments: dict[str, dict[str, Tensor]] = {}
        for name, kept in optimizers.memory(net, made).items():
            for moment in kept:
                self.moments.setdefault(moment, {})[name] = torch.zeros_like(parameters[name])
        names = {id(parameter): name for name, parameter in parameters.items()}
        self._turned: list[str] = []  # matrices that move along directions made orthogonal
        self._shares: dict[str, float] = {}  # of the rate, of all others
        for optimizer in made:
            for group in optimizer.param_groups:
                here = [names[id(p)] for p in group["params"]]
                if isinstance(optimizer, optimizers.Muon):
                    self._turned += here
                else:
                    self._shares |= dict.fromkeys(here, float(group["factor"]))

    def factors(self, rates: npt.NDArray[np.float64], first: int) -> Tensor:
        """(steps, 3): step size, Adam's 1 / sqrt of the second moment's bias correction, and the rate itself."""
        table = np.zeros((len(rates), 3), np.float32)
        table[:, 0] = table[:, 2] = rates
        if self._adam:
            number = np.arange(first + 1, first + len(rates) + 1)
            beta1, beta2 = self._choice.argument("beta1"), self._choice.argument("beta2")
            table[:, 0] = rates / (1 - beta1**number)
            table[:, 1] = 1 / np.sqrt(1 - beta2**number)
        return torch.from_numpy(table)

    def apply(
        self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor], factors: Tensor
    ) -> None:
        """Move the parameters in place."""
        values, slopes = ([of[name] for name in self._shares] for of in (parameters, gradients))
        if self._adam:
            beta1, beta2 = self._choice.argument("beta1"), self._choice.argument("beta2")
            first, second = (list(self.moments[m].values()) for m in ("exp_avg", "exp_avg_sq"))
            torch._foreach_lerp_(first, slopes, 1 - beta1)
            torch._foreach_mul_(second, beta2)
            torch._foreach_addcmul_(second, slopes, slopes, 1 - beta2)
            below = torch._foreach_sqrt(second)
            torch._foreach_mul_(below, factors[1])
            torch._foreach_add_(below, self._choice.argument("eps"))
            moves = list(torch._foreach_div(first, below))
        elif self.moments:
            buffers = list(self.moments["momentum_buffer"].values())
            torch._foreach_mul_(buffers, self._choice.argument("momentum"))
            torch._foreach_add_(buffers, slopes)
            moves = [b.clone() for b in buffers]
        else:
            moves = [g.clone() for g in slopes]
        torch._foreach_mul_(moves, list(self._shares.values()))
        torch._foreach_mul_(moves, factors[0])
        torch._foreach_sub_(values, moves)
        for name in self._turned:
            self._turn(parameters[name], gradients[name], self.moments["momentum_buffer"][name], factors[2])

    def _turn(self, value: Tensor, slope: Tensor, buffer: Tensor, rate: Tensor) -> None:
        """`optimizers.Muon`, whose rate is a number of the host."""
        momentum = self._choice.argument("momentum")
        buffer.lerp_(slope, 1 - momentum)
        ahead = slope.lerp(buffer, momentum)
        turned = optimizers.orthogonal(ahead, self._choice.argument("steps"), self._choice.argument("blocks"))
        value.sub_(turned * (rate * math.sqrt(max(1, len(value) / value.shape[1]))))
