"""Make the built-in Mona Lisa again: `python examples/make_sample.py PICTURE [FOLDER]`.

Trains the recipe below on the picture of the 2012 post, stores the weights in half precision and writes the
card. Takes about five minutes on two cores with the eager engine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from safetensors.torch import save_file

import sfumato.samples
from sfumato import nets, picture
from sfumato.picture import metrics
from sfumato.recipe import named
from sfumato.tasks import picture as task
from sfumato.training import train

RECIPE = named("sharp").replace(epochs=250.0, engine="eager")


def main(source: str, folder: str = str(Path(sfumato.samples.__file__).parent)) -> None:
    """Train, store as float16, and measure what the stored weights paint."""
    target = picture.load(source)
    data = task.pixel_data(target, RECIPE)
    net = nets.build(RECIPE, 2, 3, aspect=target.height / target.width)
    total = RECIPE.total_steps(data.samples)
    for tick in train(net, data, RECIPE, beats=range(0, total, max(1, total // 20))):
        print(f"step {tick.step}/{total}  loss {tick.loss:.6f}  {tick.seconds:.0f} s", file=sys.stderr)
    halves = {name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}
    net.load_state_dict({name: tensor.float() for name, tensor in halves.items()})
    reached = metrics.psnr(target.values, task.draw(net, data).values)
    path = Path(folder) / "mona-lisa.safetensors"
    save_file(halves, path)
    keep = ("net", "activation", "encoding", "optimizer", "rate", "schedule", "batch", "epochs", "seed")
    card = {
        "name": "mona-lisa",
        "width": target.width,
        "height": target.height,
        "recipe": {key: getattr(RECIPE, key) for key in keep},
        "parameters": net.parameter_count,
        "bytes": path.stat().st_size,
        "psnr": round(reached, 2),
        "psnr_of": "the half-precision weights against the JPEG's stored values, clipped, not rounded",
        "picture": "Leonardo da Vinci, Mona Lisa, about 1503-1506; the 300x429 JPEG of the 2012 experiment",
        "source": "evolvingstuff/MonaLisa @ f3a7f7edca358ac1e186ca9012a976e94c853719 : data/Mona Lisa.jpg",
        "sha256": "8df228e63754c9135e381efd4d653f9492de9a837b02df9e657e2cafc63ae1cb",
        "rights": "the painting is in the public domain; the repository of the JPEG is under the MIT licence",
        "profile": "stored values were learned; the JPEG's colour profile is not part of the network",
        "make": "python examples/make_sample.py 'Mona Lisa.jpg'",
    }
    (Path(folder) / "mona-lisa.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(f"{reached:.2f} dB, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
