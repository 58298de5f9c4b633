"""What a whole net does: its error by frequency, and how many directions each layer really uses.

Spectral bias: nets learn slow waves first (Rahaman et al. 2019, ICML, arXiv 1806.08734, section 3, where the
amplitudes learned are divided by those wanted). Effective rank: Roy and Vetterli 2007 (EUSIPCO), section 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ..data import Array
from ..drawing.charts import Series, chart, ramp
from ..errors import RecipeError
from ..nets import Net
from ..picture import Picture
from .raster import Looking, check_finite, sample, tensor

__all__ = [
    "Spectrum",
    "activation_ranks",
    "effective_rank",
    "error_chart",
    "error_spectrum",
    "gradient_ranks",
    "power",
    "rank_chart",
]

Reals = npt.NDArray[np.float64]

SAMPLES = 4096
"""Inputs from which effective ranks are computed, if not said otherwise."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Power by radial frequency. frequency: mean of each ring, cycles per pixel, (rings,), rising, up to 0.71.
    wanted, error: power of the target and of painting - target in each ring, (rings,); the rings and the error's
    mean (not in any ring) add up to the mean squared error. Rings without a frequency are left out."""

    frequency: Reals
    wanted: Reals
    error: Reals

    @property
    def relative(self) -> Reals:
        """error / wanted: 1 where nothing has been learned yet, 0 where all has; nan where nothing is wanted."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.wanted > 0, self.error / self.wanted, np.nan)


def power(values: npt.ArrayLike, rings: int = 16) -> tuple[Reals, Reals, float]:
    """Radially summed power of a picture (H, W) or (H, W, C): frequencies and power (rings,), and its mean's power.

    The picture is continued by mirror images, so that the jump from one border to the opposite one does not
    count as detail; its waves are those of the discrete cosine transform, k / (2 H) cycles per pixel. Rings are
    equally wide in log frequency, channels are averaged. Parseval: the sum of all rings and the mean's power is
    the mean square of the values. Raises RecipeError for fewer than 2 x 2 pixels.
    """
    x = np.asarray(values, np.float64)
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3 or min(x.shape[:2]) < 2 or rings < 1:
        raise RecipeError(
            f"a spectrum needs a picture of at least 2x2 pixels, got {x.shape} and {rings} rings"
        )
    mirrored = np.concatenate([x, x[::-1]], 0)
    mirrored = np.concatenate([mirrored, mirrored[:, ::-1]], 1)
    height, width = mirrored.shape[:2]
    waves = np.fft.rfft2(mirrored, axes=(0, 1))
    squares = (waves.real**2 + waves.imag**2).mean(2) / (height * width) ** 2
    squares[:, 1 : (width + 1) // 2] *= 2  # rfft2 leaves out the mirror half of the columns
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    mean = float(squares[0, 0])
    lowest = 1 / max(height, width)
    edges = np.geomspace(lowest * 0.999, math.sqrt(0.5) * 1.001, rings + 1)
    ring = np.digitize(radius.ravel(), edges) - 1
    inside = (ring >= 0) & (ring < rings)
    # Mirrored pictures have nothing at half a cycle per pixel but rounding noise.
    highest = np.zeros(radius.shape, bool)
    highest[height // 2], highest[:, -1] = True, True
    inside &= ~highest.ravel()
    total = np.bincount(ring[inside], squares.ravel()[inside], rings).astype(np.float64)
    count = np.bincount(ring[inside], minlength=rings)
    where = np.bincount(ring[inside], radius.ravel()[inside], rings)
    used = count > 0
    return where[used] / count[used], total[used], mean


def error_spectrum(wanted: npt.ArrayLike, painted: npt.ArrayLike, rings: int = 16) -> Spectrum:
    """The error of a painting by frequency, beside what was wanted; pictures (H, W, C), painted clipped to [0, 1].

    See `power` for the definition. Raises RecipeError for unequal shapes.
    """
    a, b = np.asarray(wanted, np.float64), np.clip(np.asarray(painted, np.float64), 0, 1)
    if a.shape != b.shape:
        raise RecipeError(f"cannot compare pictures of shapes {a.shape} and {b.shape}")
    frequency, target, _ = power(a, rings)
    return Spectrum(frequency, target, power(b - a, rings)[1])


def error_chart(
    spectra: Mapping[int, Spectrum], *, title: str = "What has been learned, by frequency"
) -> Picture:
    """Relative error against frequency, a line for each step: {step: spectrum} -> a chart, pale early, dark late.

    Spectral bias is the slope: slow waves (left) fall first, fine ones (right) stay near 1.
    """
    steps = sorted(spectra)
    series = [
        Series(f"step {step:,}", spectra[step].frequency, spectra[step].relative, colour)
        for step, colour in zip(steps, ramp(len(steps)), strict=True)
    ]
    return chart(
        series,
        title=title,
        x_label="cycles per pixel",
        y_label="power of the error / power wanted (1 = nothing learned)",
        log_x=True,
        log_y=True,
    )


# Effective rank ----------------------------------------------------------------------------------------------


def effective_rank(matrix: npt.ArrayLike | Tensor) -> float:
    """How many directions a matrix (rows, columns) really uses: exp of the entropy of its singular values.

    With p the singular values divided by their sum, exp(-sum p log p): 1 for rank one, min(rows, columns) for
    equal singular values, 0 for a matrix of zeros. Roy and Vetterli 2007, equation 5. Computed in float64.
    """
    values = torch.linalg.svdvals(torch.as_tensor(matrix).detach().double())
    total = float(values.sum())
    if total == 0:
        return 0.0
    p = values / total
    return float(torch.exp(torch.special.entr(p).sum()))


@torch.no_grad()
def activation_ranks(net: Looking, inputs: Array, *, samples: int | None = SAMPLES) -> tuple[float, ...]:
    """Effective rank of each hidden layer's activations (inputs, units), not centred.

    inputs: (N, D). samples: so many of them, a fixed random choice; None: all, in one matrix a layer.
    """
    check_finite(net)
    x = tensor(net, inputs[sample(len(inputs), samples)])
    return tuple(effective_rank(layer.post) for layer in net.hidden(x))


def gradient_ranks(
    net: Net, inputs: Array, targets: Array, *, samples: int | None = SAMPLES
) -> tuple[float, ...]:
    """Effective rank of what comes back to each hidden layer: the gradient of the mean squared error with respect
    to its pre-activations, a row for each input, (inputs, units).

    inputs (N, D), targets (N, C). At most C in the last layer of rectifiers that are all active; the parameters'
    own gradients are not touched.
    """
    check_finite(net)
    chosen = sample(len(inputs), samples)
    with torch.enable_grad():
        x = tensor(net, inputs[chosen]).requires_grad_()
        encoded = net.encoding(x)
        layers = list(net.following(encoded))
        painted = net.read_out(layers[-1].post, encoded)
        loss = functional.mse_loss(painted, tensor(net, targets[chosen]))
        gradients = torch.autograd.grad(loss, [layer.pre for layer in layers])
    return tuple(effective_rank(gradient) for gradient in gradients)


def rank_chart(
    ranks: Mapping[int, Sequence[float]], *, title: str = "Effective rank", of: str = "activations"
) -> Picture:
    """Effective rank of each layer against training steps: {step: a rank for each layer} -> a chart."""
    steps = np.array(sorted(ranks), np.float64)
    table = np.array([ranks[int(s)] for s in steps], np.float64)
    series = [Series(f"layer {n}", steps, table[:, n - 1]) for n in range(1, table.shape[1] + 1)]
    log = bool(len(steps) > 2 and steps[-1] > 50 * max(1.0, steps[1]))
    return chart(
        series, title=title, x_label="step", y_label=f"effective rank of {of}", log_x=log, from_zero=True
    )
