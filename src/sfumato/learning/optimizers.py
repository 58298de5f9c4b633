"""How weights move: variants of the recipe's `optimizer`.

Each takes the net and keyword parameters and returns a list of torch optimizers that are stepped together,
every parameter group with a `factor` by which the schedule's rate is multiplied. The formulas are PyTorch's
own classes; this module says which parameter gets which. Facts beside a variant: `native`, the native engine's name
for it, `native_arguments`, its name for each argument, `fixed_factors`, that groups differ by their rates alone,
`check`, which refuses arguments that cannot be meant, `whole_data`, that a step needs all samples.
"""

from __future__ import annotations

import inspect
import math

import torch
from torch import Tensor

from ..errors import RecipeError
from ..nets import Net
from ..recipe.variants import Choice, facts
from .lbfgs import Lbfgs
from .soap import Soap

__all__ = ["adam", "check", "lbfgs", "memory", "muon", "sgd", "soap"]

A, B, C = 3.4445, -4.7750, 2.0315
"""Jordan's polynomial a x + b x^3 + c x^5: the steepest at 0 that keeps singular values in 0.7 ... 1.2."""

SMALLEST_NORM = 1e-7
"""Norms are taken to be at least this, so that a gradient of zeros stays one."""


def _check_adam(beta1: float, beta2: float, eps: float, decay: float = 0.0) -> None:
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and eps > 0):
        raise RecipeError(f"adam: beta1={beta1} and beta2={beta2} must lie in [0, 1), eps={eps} above 0")
    if not 0 <= decay < 1e6:
        raise RecipeError(f"adam: decay={decay} must not be negative")


def _check_sgd(momentum: float) -> None:
    if not 0 <= momentum < 1:
        raise RecipeError(f"sgd: momentum={momentum} must lie in [0, 1)")


def _check_muon(
    momentum: float, beta1: float, beta2: float, eps: float, auxiliary: float, steps: int, blocks: int
) -> None:
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and eps > 0):
        raise RecipeError(f"muon: beta1={beta1} and beta2={beta2} must lie in [0, 1), eps={eps} above 0")
    if not auxiliary > 0 or not 0 <= momentum < 1:
        raise RecipeError(f"muon: auxiliary={auxiliary} must be > 0 and momentum={momentum} in [0, 1)")
    if not 1 <= steps <= 100 or blocks < 1:
        raise RecipeError(f"muon: steps={steps} must lie in 1 to 100 and blocks={blocks} be at least 1")


@facts(
    check=_check_adam,
    native="adam",
    native_arguments={"beta1": "first", "beta2": "second", "eps": "epsilon", "decay": "decay"},
)
def adam(
    net: Net, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, decay: float = 0.0
) -> list[torch.optim.Optimizer]:
    """Adam on everything.

    beta1, beta2: decay of the two moments, in [0, 1). eps: added to the root of the second moment, > 0. decay: at
    each step weights, but not biases, shrink by the share rate x decay, >= 0 (Loshchilov and Hutter 2019, arXiv
    1711.05101, algorithm 2). Paper: Kingma and Ba 2015, arXiv 1412.6980, algorithm 1 (eps outside the root, as in
    PyTorch).
    """
    _check_adam(beta1, beta2, eps, decay)
    if decay:
        weights = [p for p in net.parameters() if p.ndim > 1]
        biases = [p for p in net.parameters() if p.ndim <= 1]
        groups = [
            {"params": weights, "factor": 1.0, "weight_decay": decay},
            {"params": biases, "factor": 1.0, "weight_decay": 0.0},
        ]
        return [_adam(groups, beta1, beta2, eps)]
    return [_adam([{"params": list(net.parameters()), "factor": 1.0}], beta1, beta2, eps)]


@facts(check=_check_sgd, native="sgd", native_arguments={"momentum": "first"}, fixed_factors=True)
def sgd(net: Net, *, momentum: float = 0.0, fan_in: bool = False) -> list[torch.optim.Optimizer]:
    """Stochastic gradient descent, with momentum if asked for.

    momentum: in [0, 1). fan_in: divide each layer's rate by sqrt(n + 1), n its inputs, as the 2012 program did.
    """
    _check_sgd(momentum)
    groups = []
    for module in net.modules():
        own = list(module.parameters(recurse=False))
        if own:
            linear = fan_in and hasattr(module, "in_features")
            factor = 1 / math.sqrt(net.fan_in(module) + 1) if linear else 1.0
            groups.append({"params": own, "factor": factor})
    return [torch.optim.SGD(groups, lr=0.0, momentum=momentum)]


@facts(
    check=_check_muon,
    native="muon",
    native_arguments={
        "beta1": "first",
        "beta2": "second",
        "eps": "epsilon",
        "momentum": "momentum",
        "auxiliary": "auxiliary",
        "steps": "muon_steps",
        "blocks": "muon_blocks",
    },
)
def muon(
    net: Net,
    *,
    momentum: float = 0.95,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    auxiliary: float = 0.05,
    steps: int = 5,
    blocks: int = 1,
) -> list[torch.optim.Optimizer]:
    """Muon on the matrices between hidden layers, Adam on all else.

    The momentum of each hidden matrix is made nearly orthogonal by Newton-Schulz steps before it is applied, so
    that all its directions learn alike; see `orthogonal`. auxiliary: Adam's rate as a share of Muon's, > 0.
    steps: of Newton and Schulz, 1 to 100. blocks: of units, at least 1; each block of a matrix's rows is made
    orthogonal by itself, and two cost 0.43 of the arithmetic of one (MuonBP, arXiv 2510.16981, blocks only).
    Source: Jordan et al. 2024, Muon; for coordinate networks arXiv 2512.14366.
    """
    _check_muon(momentum, beta1, beta2, eps, auxiliary, steps, blocks)
    matrices = [p for layer in list(net.layers)[1:] for p in layer.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in net.parameters() if id(p) not in chosen]
    both: list[torch.optim.Optimizer] = [_adam([{"params": rest, "factor": auxiliary}], beta1, beta2, eps)]
    if matrices:
        groups = [{"params": matrices, "factor": 1.0}]
        both.insert(0, Muon(groups, momentum, steps, blocks))
    return both


def _check_soap(beta1: float, beta2: float, eps: float, every: int) -> None:
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and eps > 0 and 1 <= every <= 10_000):
        raise RecipeError(
            f"soap: beta1={beta1}, beta2={beta2} must lie in [0, 1), eps={eps} above 0, every={every} in 1 to 10000"
        )


@facts(check=_check_soap)
def soap(
    net: Net, *, beta1: float = 0.95, beta2: float = 0.95, eps: float = 1e-8, every: int = 10
) -> list[torch.optim.Optimizer]:
    """Adam in the eigenbasis of Shampoo's preconditioners: every matrix learns along its own axes.

    beta1, beta2: decay of the two moments and, beta2, of the preconditioners, in [0, 1). eps: > 0. every: steps
    between two bases, 1 to 10,000; see `Soap`. Weight decay is 0. Paper: Vyas et al. 2024, arXiv 2409.11321,
    algorithm 3; its rate is 3e-3.
    """
    _check_soap(beta1, beta2, eps, every)
    return [Soap([{"params": list(net.parameters()), "factor": 1.0}], beta1, beta2, eps, every)]


def _check_lbfgs(pairs: int) -> None:
    if not 1 <= pairs <= 100:
        raise RecipeError(f"lbfgs: pairs={pairs} must lie in 1 ... 100")


@facts(check=_check_lbfgs, whole_data=True)
def lbfgs(net: Net, *, pairs: int = 10) -> list[torch.optim.Optimizer]:
    """L-BFGS on all samples at once with a line search: a polish, for nets that noise no longer helps.

    pairs: past steps that shape the next one, 1 to 100. The rate is the first length that a line search tries: 1,
    at a constant schedule, is what theory asks for. Batch must hold all samples. Source: Nocedal and Wright 2006,
    Numerical Optimization, algorithms 7.4 and 3.1; see `Lbfgs`.
    """
    _check_lbfgs(pairs)
    return [Lbfgs([{"params": list(net.parameters()), "factor": 1.0}], pairs)]


class Muon(torch.optim.Optimizer):
    """Matrices (out, in) move along their momentum made orthogonal, with Nesterov's look ahead.

    The rate of a matrix is multiplied by sqrt(max(1, out / in)), as in PyTorch's Muon, whose products are in
    bfloat16 on every processor; these are in the parameters' own type.
    """

    def __init__(self, groups: list[dict[str, object]], momentum: float, steps: int, blocks: int) -> None:
        super().__init__(groups, {"lr": 0.0, "momentum": momentum})
        self._momentum, self._steps, self._blocks = momentum, steps, blocks

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nothing to return
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - self._momentum)
                turned = orthogonal(p.grad.lerp(buffer, self._momentum), self._steps, self._blocks)
                p.sub_(turned, alpha=group["lr"] * math.sqrt(max(1, len(p) / p.shape[1])))


def orthogonal(matrix: Tensor, steps: int, blocks: int) -> Tensor:
    """`matrix` (out, in) with singular values near 1 in each block of its rows.

    Each block x goes through x <- a x + (b s + c s s) x, s = x x^T, `steps` times. Before the first it is divided
    by |s|^(1/2), which is no less than its largest singular value and much nearer to it than the Frobenius norm
    that Jordan et al. 2024 take: with it, four steps do what five did. Blocks are whole multiples of 16 rows.
    """
    width = -(-len(matrix) // (16 * blocks)) * 16
    whole = matrix / matrix.norm().clamp(min=SMALLEST_NORM)
    turned = []
    for block in whole.split(width):
        x = block if block.shape[0] <= block.shape[1] else block.T
        x = x / (x @ x.T).norm().sqrt().clamp(min=SMALLEST_NORM)
        for _ in range(steps):
            s = x @ x.T
            x = A * x + (B * s + C * s @ s) @ x
        turned.append(x if block.shape[0] <= block.shape[1] else x.T)
    return torch.cat(turned)


def check(optimizer: Choice, net: Net) -> None:
    """Raise RecipeError for arguments of an optimizer that cannot be meant.

    One of this module is not made for it: the first optimizer that PyTorch 2.13 makes imports torch._dynamo, a
    third of the time in which a run starts.
    """
    own = optimizer.fact("check")
    if own is None:
        optimizer(net)
    else:
        own(**{name: optimizer.argument(name) for name in inspect.signature(own).parameters})


check._variant = False  # type: ignore[attr-defined]  # not an optimizer, see recipe.public


def memory(net: Net, optimizers: list[torch.optim.Optimizer]) -> dict[str, dict[str, tuple[int, ...]]]:
    """What the optimizers remember of each parameter: its name -> PyTorch's name for it, the first moment first ->
    its shape."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if isinstance(optimizer, (Soap, Lbfgs)):
                    kept = optimizer.memory(parameter)
                else:
                    moments: tuple[str, ...] = ("momentum_buffer",)
                    if isinstance(optimizer, torch.optim.Adam):
                        moments = ("exp_avg", "exp_avg_sq")
                    elif not group["momentum"]:
                        moments = ()
                    kept = dict.fromkeys(moments, tuple(parameter.shape))
                found[names[id(parameter)]] = kept
    return found


memory._variant = False  # type: ignore[attr-defined]  # not an optimizer, see recipe.public


def _adam(groups: list[dict[str, object]], beta1: float, beta2: float, eps: float) -> torch.optim.Optimizer:
    # The fused kernel makes one pass over memory where the default makes about ten.
    return torch.optim.Adam(
        groups, lr=0.0, betas=(beta1, beta2), eps=eps, fused=True, decoupled_weight_decay=True
    )
