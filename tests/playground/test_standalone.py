"""A run as one file: what stands in it is the run, and nothing of where it was made or of anywhere else."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from small_net import XY, H, W, targets

import sfumato
from sfumato import picture
from sfumato.errors import RunError
from sfumato.nets import activations, predict
from sfumato.playground import standalone
from sfumato.recipe import Recipe, pick
from sfumato.run import Run

Floats = npt.NDArray[np.float64]


def made(folder: Path, **fields: Any) -> Run:
    picture.save(picture.from_array(targets().reshape(H, W, 3)), folder / "a secret place.png")
    recipe = Recipe(net=(6, 5), batch=64, epochs=2, engine="eager", rate=0.01, **fields)
    watch = sfumato.Watch("3", "3", film="none")
    source = str(folder / "a secret place.png")
    return sfumato.perform(recipe, source, out=folder / "runs", watch=watch, progress=False)


def inside(page: str) -> dict[str, Any]:
    """The block of JSON in a page."""
    (block,) = re.findall(r'<script type="application/json" id="run">(.*?)</script>', page, re.DOTALL)
    return dict(json.loads(block))


def matrix(part: dict[str, Any], kind: str = "<f2") -> Floats:
    values = np.frombuffer(base64.b64decode(part["data"]), kind).astype(np.float64)
    return values.reshape(part["shape"])


def painted(packed: dict[str, Any]) -> Floats:
    """What the numbers of a page paint, in a few lines that know nothing of the package but the activations."""
    import torch

    net = packed["net"]
    x = XY.astype(np.float64)
    if "affine" in net:
        x = net["affine"]["scale"] * x + net["affine"]["shift"]
    else:
        phase = 2 * np.pi * x @ matrix(net["waves"]["frequencies"], "<f4").T
        first = [2 * x - 1] if net["waves"]["identity"] else []
        x = np.concatenate([*first, np.sin(phase), np.cos(phase)], 1)
    encoded = x
    unit = pick(activations, net["activation"]).function
    for layer in net["layers"]:
        sums = x @ matrix(layer["weight"]).T + matrix(layer["bias"])
        x = unit(torch.from_numpy(sums), **net["arguments"]).numpy()
    out = x @ matrix(net["readout"]["weight"]).T + matrix(net["readout"]["bias"])
    return out + (encoded @ matrix(net["skip"]).T if "skip" in net else 0.0)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"activation": "sine:omega=9", "skip": True},
        {"activation": "finer", "encoding": "raw"},
        {"activation": "gaussian", "encoding": "fourier:bands=4,sigma=2", "optimizer": "sgd"},
        {"encoding": "positional:bands=18"},
    ],
)
def test_the_numbers_in_the_page_paint_what_the_net_paints(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Arguments that nobody typed travel too, so that the page needs no defaults of its own."""
    run = made(tmp_path, **fields)
    packed = inside(standalone.page(run))
    wanted = predict(run.net(run.steps()[-1]), XY)
    # Kept weights are halves already. The net's own phase of 2 pi 2^16 is off by 2^-24 of it, 0.03, in float32; as
    # halves the highest frequencies would be infinite.
    assert np.abs(painted(packed) - wanted).max() < (0.05 if "positional" in str(fields) else 2e-3)


def test_what_the_page_cannot_compute_is_left_out_and_shown_as_pictures(tmp_path: Path) -> None:
    packed = inside(standalone.page(made(tmp_path, encoding="grid:levels=2,base=4")))
    assert packed["net"] is None and packed["walls"] and packed["frames"]


def test_frames_walls_and_history_are_those_of_the_run(tmp_path: Path) -> None:
    run = made(tmp_path)
    packed = inside(standalone.page(run))
    steps = [step for step, _ in run.frames()]
    assert packed["story"]["frames"] == [line["step"] for line in packed["story"]["history"]] == steps
    assert list(packed["frames"]) == list(map(str, steps)) and list(packed["walls"]) == list(
        map(str, run.steps())
    )
    for step, path in run.frames():
        with (
            Image.open(io.BytesIO(base64.b64decode(packed["frames"][str(step)]))) as shown,
            Image.open(path) as own,
        ):
            assert shown.size == own.size
            off = np.asarray(shown.convert("RGB"), float) - np.asarray(own.convert("RGB"), float)
            assert np.sqrt((off**2).mean()) < 12, "WebP at quality 78 of noise"
    assert [wall["units"] for wall in packed["walls"][str(steps[-1])]["layers"]] == [6, 5]


def test_nothing_tells_where_it_was_made(tmp_path: Path) -> None:
    run = made(tmp_path)
    page = standalone.page(run)
    assert str(tmp_path) not in page and str(Path.home()) not in page
    packed = inside(page)
    assert packed["story"]["command"] == packed["story"]["python"] == ""


def test_nothing_else_is_let_in_and_nothing_breaks_out(tmp_path: Path) -> None:
    """The policy names the hashes of the script and style that stand there; a name cannot end the block."""
    run = made(tmp_path)
    folder = run.folder.with_name("a<script>alert(1)<_script>")
    run.folder.rename(folder)
    page = standalone.page(Run(folder))
    assert "<script>alert" not in page and inside(page)["story"]["run"] == folder.name
    policy = markup.unescape(re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[0])
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    for kind, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert not re.search(r'(src|href)="(https?:)?//?', page)


def test_a_run_without_frames_or_weights_is_refused(tmp_path: Path) -> None:
    run = made(tmp_path)
    for path in (run.folder / "weights").iterdir():
        path.unlink()
    with pytest.raises(RunError, match="holds no frames or no weights yet\nhint: let it train"):
        standalone.page(run)
