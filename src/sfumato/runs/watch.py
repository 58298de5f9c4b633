"""What is watched and kept of a run, and the target that ends it early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import RecipeError
from ..recipe import beats
from ..words import decibels

if TYPE_CHECKING:
    from ..learning.session import Position, Tick

__all__ = ["Looks", "Until", "Watch", "outcome"]


@dataclass(frozen=True)
class Watch:
    """What is watched and kept; it never changes the weights.

    frames: beats of frames and metrics, as `beats.parse` reads them. keep: beats of kept weights. film: suffix
    of the film, auto or none. captions: epoch and PSNR written into the film. checkpoint: seconds between
    checkpoints. preview_ema: decay a step, in [0, 1), of an average of the weights that frames show, its scores
    told beside those of the weights themselves; 0: frames show the weights.
    """

    frames: str = "48"
    keep: str = "16"
    film: str = "auto"
    captions: bool = False
    checkpoint: float = 10.0
    preview_ema: float = 0.0

    def check(self) -> None:
        """Refuse before hours of training what could not be done then: RecipeError for beats, an average or a film
        that can be meant for no run, MissingExtra for a film that cannot be written here."""
        if not 0 <= self.preview_ema < 1:
            raise RecipeError(
                f"preview_ema={self.preview_ema} must lie in [0, 1): 0.99 averages over 100 steps"
            )
        beats.parse(self.frames, 1, "frames")
        beats.parse(self.keep, 1, "keep")
        if self.film not in ("auto", "none"):
            from ..drawing import video

            if video.kind_of(self.film) == "mp4":
                video.require_mp4()

    def steps(self, plan: Position) -> tuple[list[int], list[int]]:
        """The steps of frames and of kept weights in a run of this plan; RecipeError for a bad text.

        Where a budget was planned anew, a number of looks keeps its number and they move with the schedule; steps
        that were asked for stay.
        """
        return self._steps(self.frames, plan, "frames"), self._steps(self.keep, plan, "keep")

    def _steps(self, text: str, plan: Position, name: str) -> list[int]:
        if beats.is_number(text):
            return plan.moved(beats.parse(text, plan.planned_steps, name))
        return beats.parse(text, plan.total_steps, name)


class Looks:
    """The steps at which one run is looked at, from its first on, as its budget is planned at the moment.

    frames, weights: of frames with their metrics, and of kept weights. all: both. The sets change in place.
    """

    def __init__(self, watch: Watch, plan: Position, first: int = 0) -> None:
        """first: where a fork begins, a look of its own. Raises RecipeError for beats that cannot be read."""
        self._watch, self._plan, self._first = watch, plan, first
        self.frames: set[int] = set()
        self.weights: set[int] = set()
        self.all: set[int] = set()
        self.move()

    def move(self) -> None:
        """Follow a plan that has changed."""
        frames, weights = self._watch.steps(self._plan)
        for steps, now in ((self.frames, frames), (self.weights, weights), (self.all, [*frames, *weights])):
            steps.clear()
            steps.update(now, [self._first])


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

    def __str__(self) -> str:
        return f"{self.name}={self.value:.12g}{'s' if self.name == 'time' else ''}"

    @classmethod
    def of(cls, text: object) -> Until | None:
        """The target that a run's origin.json keeps; None where it keeps none."""
        try:
            return cls.parse(text) if isinstance(text, str) else None
        except RecipeError:
            return None

    def reached(self, tick: Tick, line: Mapping[str, Any]) -> bool:
        """Whether the run may stop at this tick; line: the newest of metrics."""
        if self.name == "time":
            return tick.seconds >= self.value
        return line.get("step") == tick.step and decibels(line) >= self.value

    def met(self, line: Mapping[str, Any]) -> bool:
        """Whether a line of metrics is at the target."""
        if self.name == "psnr":
            return decibels(line) >= self.value
        return float(line.get("seconds", 0.0)) >= round(self.value, 4)  # as lines write their seconds

    def verdict(self, line: Mapping[str, Any], reached: bool) -> str:
        """In words what became of the target, of a run whose newest line of metrics is `line`."""
        if reached:
            return f"target {self} reached at step {line.get('step', 0)}"
        if self.name == "time":
            return f"target not reached: {line.get('seconds', 0.0):.4g} of {self.value:g} s of training"
        return f"target not reached: {decibels(line):.2f} of {self.value:g} dB"


def outcome(last: Mapping[str, Any], until: object) -> str:
    """What became of a run that no process holds: `reached` or `missed` where it had a target, else `done` at the
    end of its budget or `interrupted` before. last: its newest line of metrics. until: its target as text, or None.
    """
    done = bool(last) and last["step"] >= last.get("total_steps", 1 << 62)
    target = Until.of(until)
    if target is not None and last and target.met(last):
        return "reached"
    return "interrupted" if not done else "done" if target is None else "missed"
