"""Every activation that is more than a function of a number, through a whole run: resumed, drawn, exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import equal_bits
from twin import parameters

from sfumato import experiment, nets
from sfumato.engine import native
from sfumato.nets import activations
from sfumato.recipe import Recipe, public
from sfumato.runs.watch import Until, Watch
from sfumato.views.atlas import atlas_of
from sfumato.views.export import export, load_net

ACROSS = [name for name, function in public(activations).items() if getattr(function, "across", False)]
QUIET = Watch(frames="0,3,6", film="none")
RECIPE = Recipe(net=(6, 4), batch=32, steps=9, rate=1e-3, threads=1, engine="eager")


RUNS: list[dict[str, Any]] = [
    *({"activation": name} for name in [*ACROSS, "gelu"]),
    # maxout has several sums a unit: refused, see test_ideas
    *({"activation": name, "residual": 1, "net": (6, 6)} for name in [*ACROSS, "gelu"] if name != "maxout"),
    *(
        {**fields, "engine": "native"}
        for fields in (
            {"activation": "lwta"},
            {"activation": "lwta:block=4", "net": (9, 7)},
            {"activation": "prelu"},
            {"backward": "feedback-alignment"},
        )
        if native.why_not(Recipe(**fields)) is None
    ),
]


@pytest.mark.parametrize("fields", RUNS)
def test_a_run_of_it_resumes_bit_for_bit_and_comes_back_from_its_export(
    fields: dict[str, Any], photo: Path, tmp_path: Path
) -> None:
    recipe = RECIPE.replace(**fields)
    whole = experiment.perform(recipe, str(photo), out=tmp_path, watch=QUIET)
    half = experiment.perform(
        recipe, str(photo), out=tmp_path, watch=QUIET, until=Until.parse("psnr=1"), name="half"
    )
    assert half.last["step"] < 9
    resumed = experiment.resume(half)
    equal_bits(parameters(whole.net()), parameters(resumed.net()))
    exported = load_net(export(whole, tmp_path / "net.safetensors"))
    equal_bits(parameters(whole.net()), parameters(exported))


@pytest.mark.parametrize("name", ACROSS)
def test_its_neurons_are_drawn_and_reported(name: str, photo: Path, tmp_path: Path) -> None:
    run = experiment.perform(RECIPE.replace(activation=name), str(photo), out=tmp_path, watch=QUIET)
    atlas_of(run)
    folder = run.folder / "atlas"
    assert len(list(folder.glob("layer-*.png"))) == 2
    assert (folder / "neurons.csv").read_text().count("\n") == 1 + 6 + 4
    assert export(run, tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("name", ACROSS)
def test_it_learns_digits_too(name: str, tmp_path: Path) -> None:
    recipe = Recipe(
        task="digits", net=(12,), encoding="raw", loss="cross_entropy", activation=name, steps=5, threads=1
    )
    run = experiment.perform(recipe, "digits8x8", out=tmp_path, watch=QUIET)
    assert run.last["step"] == 5 and np.isfinite(run.last["loss"])
    assert isinstance(run.net(), nets.Net)
