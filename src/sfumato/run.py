"""A run in a person's hands: its directory and every view of it. The only room that joins memory and views."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import RecipeError
from .runs.directory import RunDirectory

if TYPE_CHECKING:
    from .drawing.canvas import Drawing
    from .picture import Picture
    from .views.notebook import Atlas
    from .views.report import Report

__all__ = ["Run"]


class Run(RunDirectory):
    """One run directory, with its pictures, films, files and pages; each is made when it is asked for."""

    @classmethod
    def of(cls, directory: RunDirectory) -> Run:
        """The same run with its views."""
        run = cls(directory.folder)
        run.stopped_by, run.reached = directory.stopped_by, directory.reached
        run.verdict = directory.verdict
        return run

    def image(self, step: int | None = None, size: str | tuple[int, int] | None = None) -> Picture:
        """What the net paints at `step` (None: now), at (width, height), "1200x1716", "4x", or the own size.

        Raises RecipeError for a size without pixels, or of more than memory is taken for.
        """
        from .painting import paint
        from .picture import LARGEST
        from .views.frames import wanted_size

        target = self.target
        width, height = target.width, target.height
        if size is not None:
            width, height = wanted_size(size, width, height)
        if width * height > LARGEST:
            raise RecipeError(
                f"size {width}x{height} is too large for memory: at most {LARGEST:,} pixels\n"
                "hint: export('painting.png', size=...) needs no memory for it"
            )
        return paint(self.net(step), height, width, where=self.recipe.coordinates, icc=target.icc)

    def export(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write the run as the file that the suffix asks for; see `sfumato.views.export.export`."""
        from .views.export import export

        return export(self, path, **options)

    def neurons(self, layer: int, step: int | None = None) -> Drawing:
        """The contact sheet of a hidden layer, from 1, at the kept step nearest to `step` (None: now)."""
        from .views.atlas import Gallery

        return Gallery(self).sheet(layer, step)

    def atlas(self, step: int | None = None) -> Atlas:
        """The contact sheets of all hidden layers; in a notebook they show themselves."""
        from .views.notebook import Atlas

        return Atlas(self, step)

    def report(self, path: str | os.PathLike[str] | None = None) -> Report:
        """Write the page that tells the run's story: `report.html` in its directory, or `path`."""
        from .views.report import write

        return write([self], path)

    def _repr_html_(self) -> str:
        from .views.report import summary

        return summary(self)

    def _repr_png_(self) -> bytes | None:
        from . import picture

        return picture.encode(self.image(), "png") if self.file("target.png").exists() else None
