"""A running average of the weights beside a training that knows nothing of it, for pictures without the noise of
single steps: a constant rate leaves weights that jump about the place that their average lies at.

Source: Polyak and Juditsky 1992, SIAM Journal on Control and Optimization 30; with a decay as in Adam (Kingma and
Ba 2015, arXiv 1412.6980, section 7.2), its share of nothing at the start divided out.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..errors import RunError
from .session import Session

__all__ = ["EVERY", "Averaged"]

EVERY = 8
"""Steps between two looks at the weights: fetching them costs an engine about as much as a small step."""


class Averaged:
    """A `Session` that does what another one does, and averages its weights.

    mean <- d^8 mean + (1 - d^8) weights after every eighth step, d the decay a step, in [0, 1). The steps at which
    it looks do not depend on beats, so that resuming is exact; the weights of the training never change by it.
    """

    def __init__(self, session: Session, net: nn.Module, decay: float) -> None:
        self.step, self.plan = session.step, session.plan
        self._session, self._decay = session, decay**EVERY
        self._now = copy.deepcopy(net)
        self._means = {name: torch.zeros_like(p) for name, p in self._now.named_parameters()}

    def advance(self, steps: int) -> npt.NDArray[np.float32]:
        """See `Session.advance`."""
        losses, last = [np.empty(0, np.float32)], self.step + steps
        while self.step < last:
            losses.append(self._session.advance(min(last - self.step, EVERY - self.step % EVERY)))
            self.step = self._session.step
            if self.step % EVERY == 0:
                self._look()
        return np.concatenate(losses)

    @torch.no_grad()
    def _look(self) -> None:
        self._session.pull(self._now)
        for name, parameter in self._now.named_parameters():
            self._means[name].lerp_(parameter, 1 - self._decay)

    @torch.no_grad()
    def average(self, net: nn.Module) -> nn.Module:
        """A copy of `net`, which has the weights of now, with the average of those until now; until the first look
        a copy as it is."""
        shown = copy.deepcopy(net)
        looks = self.step // EVERY
        if looks:
            for name, parameter in shown.named_parameters():
                parameter.copy_(self._means[name] / (1 - self._decay**looks))
        return shown

    def pull(self, net: nn.Module) -> None:
        """See `Session.pull`: the weights of now."""
        self._session.pull(net)

    def state(self) -> dict[str, Tensor]:
        """See `Session.state`; `average/<parameter>` beside the session's own."""
        means = {f"average/{name}": mean.clone() for name, mean in self._means.items()}
        return self._session.state() | means

    def load(self, net: nn.Module, state: Mapping[str, Tensor]) -> None:
        """See `Session.load`; RunError for a state without an average."""
        for name, mean in self._means.items():
            found = state.get(f"average/{name}")
            if found is None or found.shape != mean.shape:
                raise RunError(f"the checkpoint lacks the average of {name}")
            mean.copy_(found)
        self._session.load(net, {k: v for k, v in state.items() if not k.startswith("average/")})
        self.step = self._session.step

    def close(self) -> None:
        """See `Session.close`."""
        self._session.close()
