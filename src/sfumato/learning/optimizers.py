"""How weights move: variants of the recipe's `optimizer`.

Each takes the net and keyword parameters and returns a list of torch optimizers that are stepped together,
every parameter group with a `factor` by which the schedule's rate is multiplied. The formulas are PyTorch's
own classes; this module says which parameter gets which. Facts beside a variant: `native`, the native engine's name
for it, `native_arguments`, its name for each argument, `fixed_factors`, that groups differ by their rates alone.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ..errors import RecipeError
from ..nets import Net
from ..recipe.variants import facts

__all__ = ["adam", "memory", "muon", "sgd"]


@facts(native="adam", native_arguments={"beta1": "first", "beta2": "second", "eps": "eps", "decay": "decay"})
def adam(
    net: Net, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, decay: float = 0.0
) -> list[torch.optim.Optimizer]:
    """Adam on everything.

    beta1, beta2: decay of the two moments, in [0, 1). eps: added to the root of the second moment, > 0. decay: at
    each step weights, but not biases, shrink by the share rate x decay, >= 0 (Loshchilov and Hutter 2019, arXiv
    1711.05101, algorithm 2). Paper: Kingma and Ba 2015, arXiv 1412.6980, algorithm 1 (eps outside the root, as in
    PyTorch).
    """
    _check_adam("adam", beta1, beta2, eps)
    if not 0 <= decay < 1e6:
        raise RecipeError(f"adam: decay={decay} must not be negative")
    if decay:
        weights = [p for p in net.parameters() if p.ndim > 1]
        biases = [p for p in net.parameters() if p.ndim <= 1]
        groups = [
            {"params": weights, "factor": 1.0, "weight_decay": decay},
            {"params": biases, "factor": 1.0, "weight_decay": 0.0},
        ]
        return [_adam(groups, beta1, beta2, eps)]
    return [_adam([{"params": list(net.parameters()), "factor": 1.0}], beta1, beta2, eps)]


@facts(native="sgd", native_arguments={"momentum": "first"}, fixed_factors=True)
def sgd(net: Net, *, momentum: float = 0.0, fan_in: bool = False) -> list[torch.optim.Optimizer]:
    """Stochastic gradient descent, with momentum if asked for.

    momentum: in [0, 1). fan_in: divide each layer's rate by sqrt(n + 1), n its inputs, as the 2012 program did.
    """
    if not 0 <= momentum < 1:
        raise RecipeError(f"sgd: momentum={momentum} must lie in [0, 1)")
    groups = []
    for module in net.modules():
        own = list(module.parameters(recurse=False))
        if own:
            linear = fan_in and isinstance(module, nn.Linear)
            factor = 1 / math.sqrt(net.fan_in(module) + 1) if linear else 1.0
            groups.append({"params": own, "factor": factor})
    return [torch.optim.SGD(groups, lr=0.0, momentum=momentum)]


@facts(
    native="muon",
    native_arguments={
        "beta1": "first",
        "beta2": "second",
        "eps": "eps",
        "momentum": "momentum",
        "auxiliary": "auxiliary",
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
) -> list[torch.optim.Optimizer]:
    """Muon on the matrices between hidden layers, Adam on all else.

    The momentum of each hidden matrix is made nearly orthogonal by five Newton-Schulz steps before it is
    applied, so that all its directions learn alike. auxiliary: Adam's rate as a share of Muon's, > 0.
    Source: Jordan et al. 2024, Muon; for coordinate networks arXiv 2512.14366.
    """
    _check_adam("muon", beta1, beta2, eps)
    if not auxiliary > 0 or not 0 <= momentum < 1:
        raise RecipeError(f"muon: auxiliary={auxiliary} must be > 0 and momentum={momentum} in [0, 1)")
    matrices = [layer.weight for layer in list(net.layers)[1:] if isinstance(layer, nn.Linear)]
    chosen = {id(p) for p in matrices}
    rest = [p for p in net.parameters() if id(p) not in chosen]
    both: list[torch.optim.Optimizer] = [_adam([{"params": rest, "factor": auxiliary}], beta1, beta2, eps)]
    if matrices:
        groups = [{"params": matrices, "factor": 1.0}]
        both.insert(0, torch.optim.Muon(groups, lr=0.0, momentum=momentum, weight_decay=0.0))
    return both


def memory(net: Net, optimizers: list[torch.optim.Optimizer]) -> dict[str, tuple[str, ...]]:
    """What the optimizers remember of each parameter, the first moment first: name -> PyTorch's names for it."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    found: dict[str, tuple[str, ...]] = {}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            kept: tuple[str, ...] = ("momentum_buffer",)
            if isinstance(optimizer, torch.optim.Adam):
                kept = ("exp_avg", "exp_avg_sq")
            elif not group["momentum"]:
                kept = ()
            found |= {names[id(parameter)]: kept for parameter in group["params"]}
    return found


memory._variant = False  # type: ignore[attr-defined]  # not an optimizer, see recipe.public


def _adam(groups: list[dict[str, object]], beta1: float, beta2: float, eps: float) -> torch.optim.Optimizer:
    # The fused kernel makes one pass over memory where the default makes about ten.
    return torch.optim.Adam(
        groups, lr=0.0, betas=(beta1, beta2), eps=eps, fused=True, decoupled_weight_decay=True
    )


def _check_adam(name: str, beta1: float, beta2: float, eps: float) -> None:
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and eps > 0):
        raise RecipeError(f"{name}: beta1={beta1} and beta2={beta2} must lie in [0, 1), eps={eps} above 0")
