"""Objects that show themselves in a notebook, made from a run when they are first looked at."""

from __future__ import annotations

import base64
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..drawing.canvas import Drawing
    from ..runs import RunDirectory

__all__ = ["Atlas"]


class Atlas:
    """The contact sheets of all hidden layers of a run of the picture task, at one kept step."""

    def __init__(self, run: RunDirectory, step: int | None = None) -> None:
        """step: the kept one nearest to it is shown; None: the newest."""
        self.run, self.step = run, step

    @cached_property
    def sheets(self) -> list[Drawing]:
        """One a hidden layer, first layer first. Raises RunError where the run has no target or no weights."""
        from .atlas import Gallery

        gallery = Gallery(self.run)
        layers = len(gallery.net(self.step).widths)
        return [gallery.sheet(layer, self.step) for layer in range(1, layers + 1)]

    def _repr_html_(self) -> str:
        shown = []
        for layer, sheet in enumerate(self.sheets, 1):
            data = base64.b64encode(sheet.png()).decode()
            alt = f"Contact sheet of layer {layer} of {len(self.sheets)}"
            shown.append(f'<img alt="{alt}" style="max-width:100%" src="data:image/png;base64,{data}">')
        return "<br>".join(shown)

    def __repr__(self) -> str:
        return f"Atlas({self.run!r}, step={self.step})"
