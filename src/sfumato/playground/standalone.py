"""A run as one file: the playground's page with paintings, neurons and weights inside, and no server.

The page is the built one; its script and its style stand in the file, allowed by their hashes, and the run is
a block of JSON beside them. Frames travel as WebP, a third of what they take on disk, neurons as grey WebP,
and the weights of the last step in half precision, from which the page computes single neurons by itself.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from PIL import Image
from torch import Tensor

from ..drawing import palettes
from ..errors import RunError
from ..nets import Net, encodings
from ..neurons import previews
from ..runs import RunDirectory
from ..runs.kept import spread
from . import looks
from .stories import about

__all__ = ["page"]

MOST_FRAMES = 60
MOST_WALLS = 9
"""Key steps with neurons: nine of them and sixty frames keep the default run below 3 MB."""

MOST_VALUES = 700_000
"""Values of all neurons at one step."""

MOST_WEIGHTS = 1_500_000
"""Parameters that travel along: 4 MB of text. Larger nets show their little pictures only."""

LARGEST = 512
"""Pixels of a frame's longer side."""


def page(run: RunDirectory) -> str:
    """The HTML of a run of the task `picture`; RunError where frames or weights are missing."""
    if not run.frames() or not run.steps():
        raise RunError(f"{run.name} holds no frames or no weights yet\nhint: let it train a little")
    return _html(json.dumps(_packed(run), separators=(",", ":")))


def _packed(run: RunDirectory) -> dict[str, Any]:
    target, where = run.target, run.recipe.coordinates
    walls = {}
    for step in spread(run.steps(), MOST_WALLS):
        net = run.net(step)
        tile = looks.tile_size(max(sum(net.widths), 600), target.height, target.width, MOST_VALUES)
        numbers = list(range(1, len(net.widths) + 1))
        made = looks.walls(net, numbers, target.height, target.width, where, tile)
        walls[step] = {"layers": made.header["layers"], "picture": _text(_webp(made.picture, 70))}
    net = run.net(run.steps()[-1])
    frames = {step: _text(_webp(path.read_bytes(), 78)) for step, path in spread(run.frames(), MOST_FRAMES)}
    shown = {name: table[: palettes.LEVELS].tobytes().hex() for name, table in _tables().items()}
    steps = {int(step) for step in frames}
    history = [line for line in run.history if line["step"] in steps]
    return {
        # Whoever gets the file learns nothing of where it was made.
        "story": {
            **about(run),
            "command": "",
            "python": "",
            "history": history,
            "frames": sorted(steps),
            "kept": list(walls),
        },
        "palettes": shown,
        "levels": palettes.LEVELS,
        "target": _text(_webp(looks.encoded(target.values, "PNG"), 90)),
        "frames": frames,
        "walls": walls,
        "where": where,
        "net": _net(net) if net.parameter_count <= MOST_WEIGHTS else None,
    }


def _tables() -> dict[str, palettes.Palette]:
    return {name: palettes.palette(name) for name in ("diverging", "heat")}


def _net(net: Net) -> dict[str, Any] | None:
    """What src/net.ts of the page computes with; None where it cannot (trainable grids, most activations)."""
    if not net.plain or net.activation.fact("native") is None:
        return None
    made: dict[str, Any] = {
        "activation": net.activation.name,
        "arguments": {k: v for k, v in net.activation.settings.items() if isinstance(v, (int, float))},
        "layers": [_dense(layer) for layer in net.layers],
        "readout": _dense(net.readout),
        "drawsActivation": previews.shows_activation(net, "signed"),
    }
    if isinstance(net.encoding, encodings.Affine):
        made["affine"] = {"scale": net.encoding.scale, "shift": net.encoding.shift}
    elif isinstance(net.encoding, encodings.Waves):
        # Not kept in a run but drawn anew from its recipe, in full: halves of them would be another net's.
        frequencies = _matrix(net.encoding.frequencies, "<f4")
        made["waves"] = {"frequencies": frequencies, "identity": net.encoding.identity}
    else:
        return None
    if net.skip is not None:
        made["skip"] = _matrix(net.skip.weight)
    return made


def _dense(layer: Any) -> dict[str, Any]:
    return {"weight": _matrix(layer.weight), "bias": _matrix(layer.bias[None])}


def _matrix(values: Tensor, kind: str = "<f2") -> dict[str, Any]:
    """Shape and little-endian numbers as text, half precision unless said otherwise: so are kept weights."""
    numbers = values.detach().cpu().numpy().astype(kind)
    return {"shape": list(numbers.shape), "data": _text(numbers.tobytes())}


def _webp(picture: bytes, quality: int) -> bytes:
    """A picture's bytes as WebP, no side longer than LARGEST unless it is a wall of tiles (grey), which stays
    exact."""
    with Image.open(io.BytesIO(picture)) as image:
        if image.mode != "L" and max(image.size) > LARGEST:
            image.thumbnail((LARGEST, LARGEST))
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _html(run: str) -> str:
    """The built page around a run: no address in it, and a policy that lets nothing in but its own two parts."""
    built = files("sfumato.playground").joinpath("page")
    # A script inside HTML ends at the first `</script`, wherever it stands; `<\/` is the same to JavaScript.
    script = built.joinpath("app.js").read_text(encoding="utf-8").replace("</script", "<\\/script")
    style = built.joinpath("app.css").read_text(encoding="utf-8")
    html = built.joinpath("index.html").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    data = run.replace("<", "\\u003c")  # JSON knows the escape, and no tag can begin in it
    parts: Mapping[str, str] = {
        '<script type="module" crossorigin src="/app.js"></script>': "",
        '<link rel="stylesheet" crossorigin href="/app.css">': f"<style>{style}</style>",
        '<meta charset="utf-8" />': f'<meta charset="utf-8" /><meta http-equiv="Content-Security-Policy" '
        f'content="{policy}" />',
        '<div id="app"></div>': f'<div id="app"></div><script type="application/json" id="run">{data}</script>'
        f'<script type="module">{script}</script>',
    }
    for old, new in parts.items():
        if old not in html:
            raise RunError(f"the built page has changed: it lacks {old}\nhint: make page")
        html = html.replace(old, new)
    return html


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
