"""Losses: variants of the recipe's `loss`, from predictions and targets, both (N, C), to one number.

A loss is a mean over the minibatch, so that its gradient does not grow with the batch. Facts beside it: `softmax`,
whether it trains the softmax of the outputs; `native`, the native engine's name for it, and
`native_arguments`, its name for each argument.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import RecipeError
from ..recipe.variants import facts

__all__ = ["cross_entropy", "each", "half_square", "l1", "mse"]


@facts(native="mse")
def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of the squared errors over samples and outputs."""
    return functional.mse_loss(prediction, target)


@facts(native="l1")
def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of the absolute errors over samples and outputs; its gradient at 0 is 0."""
    return functional.l1_loss(prediction, target)


@facts(native="half_square")
def half_square(prediction: Tensor, target: Tensor) -> Tensor:
    """Half the squared error, summed over outputs and averaged over samples: the 2012 program's rule, whose
    gradient at an output is the plain difference."""
    return 0.5 * (prediction - target).square().sum(1).mean()


@facts(softmax=True, native="cross_entropy", native_arguments={"smoothing": "smoothing"})
def cross_entropy(prediction: Tensor, target: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the softmax of the outputs against one-hot targets.

    smoothing: share of the target spread evenly over all classes, in [0, 1); RecipeError otherwise. Paper:
    Szegedy et al. 2016, arXiv 1512.00567, section 7.
    """
    if not 0 <= smoothing < 1:
        raise RecipeError(f"cross_entropy: smoothing={smoothing} must lie in [0, 1)")
    soft = target * (1 - smoothing) + smoothing / target.shape[1]
    return -(soft * torch.log_softmax(prediction, 1)).sum(1).mean()


def each(loss: Callable[[Tensor, Tensor], Tensor], prediction: Tensor, target: Tensor) -> Tensor:
    """The loss of each sample alone, (N,), without a gradient; their mean is that of all."""
    with torch.no_grad():
        alone = torch.vmap(lambda p, t: loss(p[None], t[None]))
        return torch.as_tensor(alone(prediction.detach(), target))


each._variant = False  # type: ignore[attr-defined]  # a helper, see `recipe.public`
