"""What figures of several studies are put together with."""

from __future__ import annotations

import numpy as np

from ..picture import Picture

__all__ = ["stacked"]


def stacked(above: Picture, below: Picture) -> Picture:
    """One colour picture above another, the narrower one with white at its right."""
    width = max(above.width, below.width)
    parts = [
        np.pad(one.values[..., :3], ((0, 0), (0, width - one.width), (0, 0)), constant_values=1)
        for one in (above, below)
    ]
    return Picture(np.concatenate(parts))
