"""Pictures that ship with the package as sfumato's own networks: weights, and a card that tells their origin."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

import numpy as np

from ..errors import RunError
from ..picture import Picture
from ..recipe import Recipe

__all__ = ["card", "mona_lisa"]


def card(name: str = "mona-lisa") -> dict[str, Any]:
    """What is known of a sample: recipe, size, PSNR, source of the picture and rights."""
    text = resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@functools.cache
def mona_lisa() -> Picture:
    """The Mona Lisa at 300x429, decoded from its network and rounded to 8 bits: (429, 300, 3).

    Raises RunError if the installation lacks the weights.
    """
    from safetensors.torch import load

    from .. import nets
    from ..picture import pixels

    about = card()
    try:
        weights = load(resources.files(__name__).joinpath("mona-lisa.safetensors").read_bytes())
    except OSError as error:
        raise RunError("the built-in Mona Lisa is missing\nhint: install sfumato again") from error
    height, width = int(about["height"]), int(about["width"])
    recipe = Recipe().replace(**about["recipe"])
    net = nets.build(recipe, 2, 3, aspect=height / width)
    net.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    values = nets.predict(net, pixels.coordinates(height, width)).reshape(height, width, 3)
    values = np.round(np.clip(values, 0, 1) * 255) / np.float32(255)
    return Picture(values.astype(np.float32), name="mona-lisa", notes=("decoded from its network",))
