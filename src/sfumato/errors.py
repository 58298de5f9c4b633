"""The few exceptions of the package, each with the exit code that the command line returns for it.

    SfumatoError
      RecipeError    2  unknown field or variant, wrong type, out of range, arguments that do not fit
      PictureError   2  unreadable, empty, not finite, wrong channels
      TaskError      2  data missing or malformed; a task file lacks one of its five names
      RunError       1  not a run directory, a newer format, a broken checkpoint; NaN, disk, memory while running
        Diverged     1  the loss is not finite or explodes: running it again gives the same
      EngineError    3  not built, or cannot run this recipe: carries the sentence of `why_not`
      MissingExtra   3  an extra or codec is absent: carries the install line
      MissingData    3  what a study learns from is not here: carries the path looked for

This module imports nothing, so that any other may import it. A message says what, where, and a hint, in one
to three lines.
"""

from __future__ import annotations

__all__ = [
    "Diverged",
    "EngineError",
    "MissingData",
    "MissingExtra",
    "PictureError",
    "RecipeError",
    "RunError",
    "SfumatoError",
    "TaskError",
]


class SfumatoError(Exception):
    """Anything the package refuses to do, said in one to three lines."""

    exit_code: int = 1


class RecipeError(SfumatoError):
    """A recipe or an option that cannot be meant."""

    exit_code = 2


class PictureError(SfumatoError):
    """A file that is no picture, or a picture that cannot be learned."""

    exit_code = 2


class TaskError(SfumatoError):
    """Data that is missing or malformed, or a task file that is incomplete."""

    exit_code = 2


class RunError(SfumatoError):
    """A run that cannot be read, or that failed while running."""

    exit_code = 1


class Diverged(RunError):
    """A training whose loss is not finite or explodes: a function of the recipe, so trying again is no use."""


class EngineError(SfumatoError):
    """An engine that is not built here, or that lacks something the recipe asks for."""

    exit_code = 3


class MissingExtra(SfumatoError):
    """An optional dependency that is not installed."""

    exit_code = 3


class MissingData(SfumatoError):
    """Data that a study learns from and the package does not carry."""

    exit_code = 3
