"""What is watched and kept of a run, and the target that ends it early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import RecipeError
from ..recipe import beats

if TYPE_CHECKING:
    from ..learning.session import Tick

__all__ = ["Until", "Watch"]


@dataclass(frozen=True)
class Watch:
    """What is watched and kept; it never changes the weights.

    frames: beats of frames and metrics, as `beats.parse` reads them. keep: beats of kept weights. film: suffix
    of the film, or empty. captions: epoch and PSNR written into the film. checkpoint: seconds between
    checkpoints.
    """

    frames: str = "48"
    keep: str = "16"
    film: str = "auto"
    captions: bool = False
    checkpoint: float = 10.0

    def steps(self, total: int) -> tuple[list[int], list[int]]:
        """The steps of frames and of kept weights in a run of `total` steps; RecipeError for a bad text."""
        return beats.parse(self.frames, total), beats.parse(self.keep, total)


@dataclass(frozen=True)
class Until:
    """A target that ends the run early: `psnr=30` (dB, read at beats) or `time=60s` (training seconds)."""

    name: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Until:
        """Raises RecipeError if the text is neither."""
        name, _, value = text.partition("=")
        try:
            number = float(value.removesuffix("s").removesuffix("dB").strip())
        except ValueError:
            number = -1.0
        if name not in ("psnr", "time") or not number > 0:
            raise RecipeError(f"until={text!r} is unknown\nhint: psnr=30 or time=60s")
        return cls(name, number)

    def reached(self, tick: Tick, line: Mapping[str, Any]) -> bool:
        """Whether the run may stop at this tick."""
        if self.name == "time":
            return tick.seconds >= self.value
        fresh = line.get("step") == tick.step
        return fresh and (line.get("psnr") is None or float(line["psnr"]) >= self.value)
