"""The present moment of a run in training, kept on disk because someone wants to look at it closely."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import RunError

__all__ = ["LAST", "Moment"]

LAST = 1 << 40
"""Stands for the last step of a run that has ended: the kept step nearest to it is taken."""

PATIENCE = 10.0
"""Seconds to wait for a trainer, which answers between two steps."""


class Moment:
    """Asks a trainer to keep the weights of its present step. ask: sends the command."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._waiting: list[asyncio.Future[int]] = []

    async def step(self) -> int:
        """The step whose weights have been kept; RunError where the trainer does not answer or has died."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._ask()
        try:
            return await asyncio.wait_for(future, PATIENCE)
        except TimeoutError as error:
            raise RunError("training is busy: a single step takes long\nhint: try again") from error

    def kept(self, step: int) -> None:
        """The trainer has kept the weights of that step."""
        for future in self._waiting:
            if not future.done():
                future.set_result(step)
        self._waiting.clear()

    def died(self) -> None:
        """The trainer will not answer any more."""
        for future in self._waiting:
            if not future.done():
                future.set_exception(RunError("the training process has died"))
        self._waiting.clear()
