"""PyTorch's threads and denormals are settings of the process: engines borrow them and give them back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..machine import available_threads

__all__ = ["borrowed"]

_forked = False


def _after_fork() -> None:
    """One thread: those of PyTorch's pool did not come along, and an operation would wait for them for ever.

    PyTorch's own data loader does the same in its workers.
    """
    global _forked
    _forked = True
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def borrowed(threads: int) -> Iterator[None]:
    """PyTorch works with `threads` threads (0 = all that this process may use) and flushes denormals to zero.

    Moments of dead units decay into denormal numbers, which make Adam up to nine times slower. In a process that
    was forked PyTorch keeps to one thread.
    """
    wanted = 1 if _forked else threads or available_threads()
    before, flushed = torch.get_num_threads(), _flushes()
    # Asked first: another thread may be inside too, and nothing is restored that was not changed.
    if wanted != before:
        torch.set_num_threads(wanted)
    if not flushed:
        torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if wanted != before:
            torch.set_num_threads(before)
        if not flushed:
            torch.set_flush_denormal(False)


def _flushes() -> bool:
    """Whether PyTorch flushes denormals on this thread; there is no function that tells."""
    return not (torch.tensor(1e-40) * 1).item()
