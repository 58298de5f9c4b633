"""Activations of hidden layers, each with its facts beside it.

The module is the registry: every function of `__all__` is a variant of the recipe's `activation`. A function
takes a tensor of any shape and keyword parameters, and returns a tensor of the same shape. One whose units look
at each other takes (N, units); one that needs more names it as further arguments, and `Units` hands it over
(`gates` and `competition` hold those). What others ask of it stands in `@facts`, and nowhere is its name compared:

    init        the rule by which a layer with it starts, see `layer_initializers`
    layer       the linear map before it, where that is no nn.Linear: (inputs, units, first, **arguments) -> module
    learned     what each layer of it learns beside that map: (units, inputs, depth, generator, **arguments) ->
                named tensors as they start
    across      its units are no functions of one number each
    multiple    a layer's units must be a multiple of it
    readout     bound of the readout's first weights, from its inputs and the activation's arguments; else
                sqrt(3 / inputs)
    rectifier   0 or a straight line on either side of 0: a unit that is positive nowhere can be dead
    exact_zero  it is exactly 0 for pre-activations that are not positive
    boundary    False where the sign of the pre-activation means nothing, so that pictures show the activation
    native      the native engine's name for it; native_parameter: the argument that it takes along;
                native_values: those of its values that the engine can do, where it cannot do all
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import RecipeError
from ..recipe.variants import facts
from . import layer_initializers as init
from .competition import lwta, maxout, topk
from .gates import fourier_filter, gabor_filter, prelu, wire

__all__ = [
    "finer",
    "fourier_filter",
    "gabor_filter",
    "gaussian",
    "gelu",
    "h_siren",
    "leaky_relu",
    "lwta",
    "maxout",
    "prelu",
    "relu",
    "sigmoid",
    "silu",
    "sinc",
    "sine",
    "spder",
    "tanh",
    "topk",
    "wire",
]


def _periodic_readout(inputs: int, *, omega: float, **arguments: object) -> float:
    """sqrt(6 / n) / omega: as a hidden layer of sines starts (Sitzmann et al. 2020, its published code)."""
    return math.sqrt(6 / inputs) / omega


@facts(init=init.he, rectifier=True, exact_zero=True, native="relu")
def relu(x: Tensor) -> Tensor:
    """Rectified linear unit, max(x, 0): the unit of the 2012 post.

    Paper: Nair and Hinton 2010. Layers start by `he`.
    """
    return functional.relu(x)


@facts(init=init.he, rectifier=True, native="leaky_relu", native_parameter="slope")
def leaky_relu(x: Tensor, *, slope: float = 0.01) -> Tensor:
    """x where x >= 0, `slope` times x elsewhere, so that a unit that never fires can come back.

    slope: in [0, 1). Paper: Maas et al. 2013. Layers start by `he`. Raises RecipeError if slope is outside.
    """
    if not 0 <= slope < 1:
        raise RecipeError(f"leaky_relu: slope={slope} must lie in [0, 1)")
    return functional.leaky_relu(x, slope)


@facts(init=init.glorot, native="tanh")
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, in (-1, 1). Layers start by `glorot`."""
    return torch.tanh(x)


@facts(init=init.glorot, native="sigmoid")
def sigmoid(x: Tensor) -> Tensor:
    """Logistic function, in (0, 1). Layers start by `glorot`."""
    return torch.sigmoid(x)


@facts(init=init.he, native="silu")
def silu(x: Tensor) -> Tensor:
    """x times its logistic function: a smooth relative of the rectifier.

    Paper: Elfwing et al. 2018, arXiv 1702.03118. Layers start by `he`.
    """
    return functional.silu(x)


@facts(init=init.siren, readout=_periodic_readout, boundary=False, native="sine", native_parameter="omega")
def sine(x: Tensor, *, omega: float = 30.0) -> Tensor:
    """Sine of `omega` times x: one layer reaches high frequencies, so detail arrives early.

    omega: radians per unit of x, > 0; the result lies in [-1, 1]. Layers start by `siren`.
    Raises RecipeError if omega <= 0. Paper: Sitzmann et al. 2020, arXiv 2006.09661, section 3.2.
    """
    _positive("sine", "omega", omega)
    return torch.sin(omega * x)


@facts(init=init.finer, readout=_periodic_readout, boundary=False, native="finer", native_parameter="omega")
def finer(x: Tensor, *, omega: float = 30.0, first_bias: float = 1.0) -> Tensor:
    """Sine whose frequency grows with |x|: sin(omega (|x| + 1) x), the factor |x| + 1 held constant in the
    backward pass, as in the authors' code.

    omega: > 0. first_bias: half width of the first layer's biases, >= 0. Raises RecipeError outside these.
    Paper: Liu et al. 2024, FINER, CVPR, equation 6. Layers start by `finer`.
    """
    _positive("finer", "omega", omega)
    if not 0 <= first_bias < math.inf:
        raise RecipeError(f"finer: first_bias={first_bias} must be finite and not negative")
    return torch.sin(omega * (x.detach().abs() + 1) * x)


@facts(init=init.plain, boundary=False, native="gaussian", native_parameter="scale")
def gaussian(x: Tensor, *, scale: float = 10.0) -> Tensor:
    """exp(-(scale x)^2): a bump around the unit's zero line, in (0, 1].

    scale: > 0, RecipeError otherwise. Paper: Ramasinghe and Lucey 2022, arXiv 2111.15135, in the form of
    Saragadam et al. 2023 (WIRE, arXiv 2301.05187). Layers start by `plain`.
    """
    _positive("gaussian", "scale", scale)
    return torch.exp(-((scale * x) ** 2))


@facts(init=init.he, native="gelu")
def gelu(x: Tensor) -> Tensor:
    """x times the share of a normal distribution that lies below it: a smooth rectifier.

    Paper: Hendrycks and Gimpel 2016, arXiv 1606.08415, section 2 (the exact form). Layers start by `he`.
    """
    return functional.gelu(x)


@facts(init=init.siren, readout=_periodic_readout, boundary=False)
def spder(x: Tensor, *, omega: float = 30.0) -> Tensor:
    """Sine times the root of its phase's size, sin(z) sqrt|z|, z = omega x: a wave that also tells how far it is.

    omega: > 0, RecipeError otherwise. Paper: Shah and Sitawarin 2023, SPDER, arXiv 2306.15242, section 3. Layers
    start by `siren`.
    """
    _positive("spder", "omega", omega)
    phase = omega * x
    # The root's slope at 0 is infinite, though that of the product is 0.
    return torch.sin(phase) * phase.abs().clamp_min(1e-12).sqrt()


@facts(init=init.siren, readout=_periodic_readout, across=True, boundary=False)
def h_siren(x: Tensor, first: bool, *, omega: float = 30.0) -> Tensor:
    """sin(omega sinh(2 x)) in the first layer, whose frequency so grows outwards, and sin(omega x) in the others.

    omega: > 0, RecipeError otherwise. |2 x| is taken to be at most 12, where float32 has lost the phase. Paper:
    Gao and Jaiman 2024, H-SIREN, arXiv 2410.04716, abstract; omega stands where SIREN has it. Layers start by
    `siren`.
    """
    _positive("h_siren", "omega", omega)
    return torch.sin(omega * torch.sinh((2 * x).clamp(-12, 12)) if first else omega * x)


@facts(init=init.plain, boundary=False)
def sinc(x: Tensor, *, omega: float = 30.0) -> Tensor:
    """sin(omega x) / (omega x), 1 at 0: the function that sampling theory builds bounded bandwidths from.

    omega: > 0, RecipeError otherwise. Paper: Saratchandran et al. 2024, arXiv 2402.05427, section 4. Layers start
    by `plain`, as those of `gaussian`; the frequency is ours: the paper chooses one for each signal.
    """
    _positive("sinc", "omega", omega)
    return torch.sinc(omega / math.pi * x)


def _positive(function: str, name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise RecipeError(f"{function}: {name}={value} must be greater than 0 and finite")
