"""What learns: networks built from a recipe, their activations and encodings."""

from __future__ import annotations

from .net import Layer, Net, build, parameter_count, predict, sketch, start

__all__ = ["Layer", "Net", "build", "parameter_count", "predict", "sketch", "start"]
