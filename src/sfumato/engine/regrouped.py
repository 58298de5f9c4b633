"""Stochastic gradient descent, a sample at a time, at the speed of matrix products: one hidden layer only.

The 2012 program updated all weights after every digit. With one hidden layer that can be regrouped without
changing it. The layer's weights W are frozen for a group of samples; sample n then sees

    s_n = W x_n + sum over m < n of u_m (x_m . x_n),    u_m = -rate g_m,    g_m = dloss_m / ds_m,

x_n with a 1 appended for the bias. All W x_n of a group are one product, all x_m . x_n another (the Gram
matrix), and W += sum u_n x_n^T at the end of the group a third. The readout, which is small, really is walked
sample by sample, so every u_n is the one of the plain loop and only the order of summation differs. A deeper
layer cannot be regrouped: its inputs change within the group.

Both large products are sums of rows: W x_n of the weights of pixel d times x_n[d], the update of the moves u_n
times x_n[d]. Four in five pixels of a digit are 0, and those rows are left out.

Groups lie at multiples of `GROUP` steps within an epoch, wherever the caller cuts, so that looking changes no bit.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data import Data
from ..errors import RunError
from ..learning import feedback, losses, optimizers, sampling
from ..learning.plan import Plan
from ..nets import Net, activations, encodings, layers
from ..recipe import Recipe, pick
from ._torch import borrowed
from .eager import instruction_set

__all__ = ["BLOCK", "GROUP", "RegroupedSession", "instruction_set", "prepare", "why_not"]

GROUP = 192
"""Samples between two updates of the hidden weights. Each update passes over all of them, so larger groups save
memory traffic, and each sample pays for half a group of Gram corrections: with 784-6000 on two cores a pass took
7.8, 7.3, 7.0 and 7.5 s for groups of 96, 128, 192 and 256."""

BLOCK = 8
"""Samples whose corrections are applied one by one; those of older blocks go to the rest of the group at once."""

TILE = 120
"""Hidden units whose weights stay in the cache while a group's sums of rows are formed: 785 x 120 x 4 = 377 kB.
Sums over tiles of 120 took 0.63 of the time of dense products for digits, tiles of 500 as long as those."""

Floats = npt.NDArray[np.float32]


def why_not(recipe: Recipe) -> str | None:
    """The first thing of the recipe that cannot be regrouped, as a sentence; None if all can."""
    if len(recipe.net) != 1:
        return f"regrouping works for one hidden layer, not {len(recipe.net)}"
    if recipe.batch != 1:
        return f"regrouping is for a sample a step, not batch={recipe.batch}"
    chosen = (
        ("optimizer", pick(optimizers, recipe.optimizer, "optimizer"), (optimizers.sgd,)),
        ("loss", pick(losses, recipe.loss, "loss"), (losses.half_square,)),
        (
            "activation",
            pick(activations, recipe.activation, "activation"),
            (activations.relu, activations.leaky_relu),
        ),
        ("backward", pick(feedback, recipe.backward, "backward"), (feedback.backprop,)),
        ("layer", pick(layers, recipe.layer, "layer"), (layers.dense,)),
        ("encoding", pick(encodings, recipe.encoding, "encoding"), (encodings.raw, encodings.none)),
    )
    for field, choice, allowed in chosen:
        if choice.function not in allowed:
            names = " or ".join(function.__name__ for function in allowed)
            return f"regrouping needs {field} {names}, not {choice.name}"
    if pick(optimizers, recipe.optimizer, "optimizer").argument("momentum"):
        return "regrouping has no momentum"
    if recipe.clip:
        return "regrouping has no limit on the gradient (clip)"
    if recipe.wake:
        return "it does not wake silent units"
    if pick(sampling, recipe.sampling, "sampling").fact("follows_errors"):
        return "regrouping does not sample by error"
    if recipe.dropout:
        return "regrouping has no dropout"
    if recipe.precision != "float32" and not recipe.precision.startswith("auto"):
        return f"regrouping computes in float32, not {recipe.precision}"
    return None


def prepare(net: Net, data: Data, recipe: Recipe, total_steps: int) -> RegroupedSession:
    """A session that starts from the weights of `net`."""
    with borrowed(recipe.threads):
        return RegroupedSession(net, data, recipe, total_steps)


class RegroupedSession:
    """A `Session`; see the module.

    N samples, D inputs and a constant 1 in front, H hidden units, C outputs, K samples in the group.
    """

    def __init__(self, net: Net, data: Data, recipe: Recipe, total_steps: int) -> None:
        self.step = 0
        self.plan = Plan(recipe, data.samples, total_steps, data.inputs)
        self._threads = recipe.threads
        with torch.no_grad():
            inputs = net.encoding(torch.from_numpy(data.inputs))
        self._inputs = torch.cat([torch.ones(len(inputs), 1), inputs], 1)  # (N, 1 + D)
        self._targets = data.targets
        optimizer = pick(optimizers, recipe.optimizer, "optimizer")
        self._factors = [
            1 / math.sqrt(net.fan_in(layer) + 1) if optimizer.argument("fan_in") else 1.0
            for layer in (net.layers[0], net.readout)
        ]
        activation = pick(activations, recipe.activation, "activation")
        self._slope = (
            float(activation.argument("slope")) if activation.function is activations.leaky_relu else 0.0
        )
        hidden, outputs = net.widths[0], net.outputs
        rows = self._inputs.shape[1]
        self._hidden: list[Tensor] = []  # (1 + D, up to TILE) each, row 0 the biases
        self._straight = torch.empty(1 if net.skip is None else rows, outputs)  # row 0 the biases
        # Rows 0 ... C - 1 the readout, then the activations of the present block's samples.
        self._readout: Floats = np.empty((outputs + BLOCK, hidden), np.float32)
        self._moves: Floats = np.empty((GROUP, hidden), np.float32)  # u_n
        self._errors: Floats = np.empty((GROUP, outputs), np.float32)  # -rate (y_n - t_n)
        self._group: Tensor | None = None  # its inputs (K, 1 + D)
        self._done = 0  # samples of the present group that have been learned
        self._take(net)

    def advance(self, steps: int) -> Floats:
        """See `Session.advance`."""
        with borrowed(self._threads):
            return self._advance(steps)

    def _advance(self, steps: int) -> Floats:
        result: Floats = np.empty(steps, np.float32)
        at = 0
        while at < steps:
            if self._group is None:
                self._open()
            count = min(steps - at, len(self._order) - self._done)
            self._learn(result[at : at + count])
            at += count
            if self._done == len(self._order):
                self._close()
        return result

    def pull(self, net: Net) -> None:
        """See `Session.pull`; the group's pending updates are added to what is handed out, not to the session."""
        hidden, straight = self._hidden, self._straight
        readout = torch.from_numpy(self._readout[: net.outputs])
        if self._done:
            hidden, straight, readout = [t.clone() for t in hidden], straight.clone(), readout.clone()
            self._apply(hidden, straight, readout)
        self._give(net, hidden, straight, readout)

    def state(self) -> dict[str, Tensor]:
        """See `Session.state`. Within a group also `frozen/<parameter>`, the weights at its first step, `frozen`: a
        session that goes on from there repeats the group's samples, and so ends at the same bits."""
        result = {"step": torch.tensor(self.step)}
        if self._done:
            result |= {f"frozen/{name}": value.clone() for name, value in self._frozen.items()}
            result["frozen"] = torch.tensor(self.step - self._done)
        return result

    def load(self, net: Net, state: Mapping[str, Tensor]) -> None:
        """See `Session.load`; raises RunError if the state belongs to another net.

        The weights in `net` are the ones to go on from. Those of the group's beginning serve to end the group with
        the same rounding, which is possible where repeating its samples arrives at `net` to the bit; not so under
        another rate, seed, data or processor, where a new group begins at this step.
        """
        step = int(state["step"])
        frozen = {n.removeprefix("frozen/"): v for n, v in state.items() if n.startswith("frozen/")}
        if frozen:
            expected = {name: value.shape for name, value in net.named_parameters()}
            if {name: value.shape for name, value in frozen.items()} != expected:
                raise RunError("the checkpoint belongs to another net")
            first = int(state.get("frozen", step - step % self.plan.per_epoch % GROUP))
            self._restore(frozen)
            self.step, self._group, self._done = first, None, 0
            self.advance(step - first)
            again = copy.deepcopy(net)
            self.pull(again)
            pairs = zip(again.parameters(), net.parameters(), strict=True)
            if all(torch.equal(a, b) for a, b in pairs):
                return
        self.step, self._group, self._done = step, None, 0
        self._take(net)

    def close(self) -> None:
        """See `Session.close`."""

    # A group ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Freeze the weights and form the products of the group that the present step belongs to."""
        part = self.step % self.plan.per_epoch
        count = min(GROUP - part % GROUP, self.plan.per_epoch - part)
        self._order = self.plan.stretch(self.step, count)[0]
        x = self._group = self._inputs[torch.from_numpy(self._order)]
        rows = _Rows(x)
        pre = torch.cat([rows.sums(tile) for tile in self._hidden], 1)  # (K, H)
        gram = x @ x.t()  # (K, K)
        straight = x[:, : len(self._straight)]
        self._pre, self._gram = pre.numpy(), gram.numpy()
        self._straight_gram = (gram if len(self._straight) > 1 else torch.ones_like(gram)).numpy()
        self._base = (straight @ self._straight).numpy()  # (K, C)
        self._start = self._readout[: self._base.shape[1]].copy()

    def _learn(self, losses_out: Floats) -> None:
        """Learn the next samples of the group, one after the other, as many as there is room for losses."""
        readout, moves, errors, outputs = self._readout, self._moves, self._errors, self._base.shape[1]
        width = readout.shape[1]
        slope: Floats = np.empty(width, np.float32)
        change: Floats = np.empty(width, np.float32)
        positive = np.empty(width, bool)
        products: Floats = np.empty(len(readout), np.float32)
        weights: Floats = np.empty(len(readout), np.float32)
        # Asked late: a budget may be planned anew within a group.
        rates = self.plan.rates(self.step, len(losses_out))
        for index, rate in enumerate(rates):
            n = self._done
            first = n - n % BLOCK
            if n and n == first:
                self._settle(n)
            rows = outputs + n - first  # of `readout` that are in use
            pre = self._pre[n]
            if n > first:
                np.dot(self._gram[n, first:n], moves[first:n], out=change)
                pre += change
            np.greater(pre, 0, out=positive)
            np.multiply(positive, np.float32(1 - self._slope), out=slope)
            slope += np.float32(self._slope)
            post = readout[rows]
            np.multiply(pre, slope, out=post)
            # The readout is R + sum e_m a_m^T over the block's earlier samples m, applied without forming it.
            product = np.dot(readout[:rows], post, out=products[:rows])
            pulls = self._straight_gram[n, :n].copy()
            pulls[first:] += product[outputs:]
            error = self._base[n] + product[:outputs] + pulls @ errors[:n] - self._targets[self._order[n]]
            losses_out[index] = 0.5 * np.dot(error, error)
            weights[:outputs] = error
            np.dot(errors[first:n], error, out=weights[outputs:rows])
            weights[:rows] *= np.float32(-rate * self._factors[0])
            np.dot(weights[:rows], readout[:rows], out=change)
            np.multiply(change, slope, out=moves[n])
            np.multiply(error, np.float32(-rate * self._factors[1]), out=errors[n])
            self._done += 1
            self.step += 1

    def _settle(self, end: int) -> None:
        """Apply the corrections of the block before sample `end` to the rest of the group and to the readout."""
        block = slice(end - BLOCK, end)
        rest = torch.from_numpy(self._pre[end:])
        rest.addmm_(torch.from_numpy(self._gram[end:, block].copy()), torch.from_numpy(self._moves[block]))
        self._readout[: self._base.shape[1]] += self._errors[block].T @ self._readout[self._base.shape[1] :]

    def _apply(self, hidden: list[Tensor], straight: Tensor, readout: Tensor) -> None:
        """Add the pending updates of the group to the weights given."""
        assert self._group is not None
        x = self._group[: self._done]
        rows, moves = _Rows(x.t()), torch.from_numpy(self._moves[: self._done])
        for tile, part in zip(hidden, torch.split(moves, TILE, 1), strict=True):
            tile += rows.sums(part.contiguous())
        straight.addmm_(x[:, : len(straight)].t(), torch.from_numpy(self._errors[: self._done]))
        first = (self._done - 1) // BLOCK * BLOCK
        late = slice(len(readout), len(readout) + self._done - first)
        readout += torch.from_numpy(self._errors[first : self._done].T @ self._readout[late])

    def _close(self) -> None:
        """End the group: its updates become part of the weights."""
        self._apply(self._hidden, self._straight, torch.from_numpy(self._readout[: self._base.shape[1]]))
        self._group, self._done = None, 0

    # Weights in and out -------------------------------------------------------------------------------------

    @property
    def _frozen(self) -> dict[str, Tensor]:
        """The weights at the beginning of the group, under the net's names."""
        return self._named(self._hidden, self._straight, torch.from_numpy(self._start))

    def _named(self, hidden: list[Tensor], straight: Tensor, readout: Tensor) -> dict[str, Tensor]:
        whole = torch.cat(hidden, 1)
        named = {
            "layers.0.weight": whole[1:].t().contiguous(),
            "layers.0.bias": whole[0].clone(),
            "readout.weight": readout,
            "readout.bias": straight[0].clone(),
        }
        if len(straight) > 1:
            named["skip.weight"] = straight[1:].t().contiguous()
        return named

    @torch.no_grad()
    def _give(self, net: Net, hidden: list[Tensor], straight: Tensor, readout: Tensor) -> None:
        own = dict(net.named_parameters())
        for name, value in self._named(hidden, straight, readout).items():
            own[name].copy_(value)

    def _take(self, net: Net) -> None:
        self._restore({name: value.detach() for name, value in net.named_parameters()})

    def _restore(self, named: Mapping[str, Tensor]) -> None:
        whole = torch.cat([named["layers.0.bias"][None], named["layers.0.weight"].t()])
        self._hidden = [part.contiguous() for part in torch.split(whole, TILE, 1)]
        self._readout[: len(named["readout.bias"])] = named["readout.weight"].numpy()
        self._straight[0] = named["readout.bias"]
        if len(self._straight) > 1:
            self._straight[1:] = named["skip.weight"].t()


class _Rows:
    """A sparse matrix (M, R) that multiplies from the left: each of its rows is a weighted sum of some rows."""

    def __init__(self, matrix: Tensor) -> None:
        matrix = matrix.contiguous()
        where = matrix.nonzero()
        self._columns = where[:, 1].contiguous()
        self._weights = matrix[where[:, 0], where[:, 1]]
        counts = torch.bincount(where[:, 0], minlength=len(matrix))
        self._starts = counts.cumsum(0) - counts

    def sums(self, of: Tensor) -> Tensor:
        """(R, units) -> (M, units)."""
        sums, *_ = torch.embedding_bag(
            of, self._columns, self._starts, mode=0, per_sample_weights=self._weights
        )
        return sums
