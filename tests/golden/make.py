"""Write the golden files anew: `python tests/golden/make.py`. Tests only read them.

traces.json: losses of the first 8 steps on the 13x17 picture in batches of 48, computed in float64 from the
float32 start. painting.json: a small net's rounded weights and the 5x6 picture that it paints, in grey levels.
Look at the difference before committing it: a changed trace is another algorithm.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from small_picture import BATCH, HEIGHT, WIDTH, picture_data  # noqa: E402 - tests are no package
from twin import session  # noqa: E402

from sfumato.nets import Net, build  # noqa: E402
from sfumato.picture.pixels import coordinates  # noqa: E402
from sfumato.recipe import Recipe  # noqa: E402

STEPS = 8
OPTIMIZERS = {"adam": 0.01, "sgd": 0.1}
ACTIVATIONS = ("relu", "sine", "tanh")
ENCODINGS = ("none", "fourier:bands=8,sigma=1.5", "grid:levels=3,base=4,log2_table=6")


def recipe(optimizer: str, activation: str, encoding: str) -> Recipe:
    """The recipe of one trace."""
    return Recipe(
        net=(16, 16),
        activation=activation,
        encoding=encoding,
        optimizer=optimizer,
        rate=OPTIMIZERS[optimizer],
        warmup=0.25,
        batch=BATCH,
        steps=STEPS,
        engine="eager",
        threads=1,
    )


def names() -> list[str]:
    """`adam relu none`, ...: every trace."""
    return [f"{o} {a} {e}" for o in OPTIMIZERS for a in ACTIVATIONS for e in ENCODINGS]


def trace(name: str, dtype: torch.dtype) -> list[float]:
    """The losses of one trace as the eager engine computes them."""
    _, running = session(recipe(*name.split(" ")), picture_data(HEIGHT, WIDTH), dtype)
    return [float(value) for value in running.advance(STEPS)]


PAINTED = Recipe(net=(6, 5), activation="sine:omega=5", encoding="none", seed=12)


def painted(weights: dict[str, Any]) -> list[list[list[int]]]:
    """The grey levels (5, 6, 3) that a net with the given weights paints."""
    net: Net = build(PAINTED, 2, 3)
    net.load_state_dict({name: torch.tensor(values) for name, values in weights.items()})
    with torch.inference_mode():
        values = net(torch.from_numpy(coordinates(5, 6))).numpy()
    levels: list[list[list[int]]] = (
        np.round(np.clip(values, 0, 1) * 255).astype(int).reshape(5, 6, 3).tolist()
    )
    return levels


def main() -> None:
    torch.set_num_threads(1)
    traces = {name: [float(f"{v:.8g}") for v in trace(name, torch.float64)] for name in names()}
    lines = ",\n".join(f'  "{name}": {json.dumps(values)}' for name, values in traces.items())
    (HERE / "traces.json").write_text("{\n" + lines + "\n}\n")
    net = build(PAINTED, 2, 3)
    with torch.no_grad():
        net.readout.weight *= 8  # more contrast than a start has
    weights = {n: np.round(p.detach().numpy().astype(float), 4).tolist() for n, p in net.named_parameters()}
    body = {"weights": weights, "levels": painted(weights)}
    (HERE / "painting.json").write_text(json.dumps(body) + "\n")


if __name__ == "__main__":
    main()
