"""The atlas of a run: sheets, table and chosen neurons of the kept step that was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_net import XY, H, W, net, targets

from sfumato import picture
from sfumato.errors import RecipeError
from sfumato.neurons import previews, statistics
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.views import atlas


@pytest.fixture
def run(tmp_path: Path) -> Run:
    recipe = Recipe(net=(9, 8, 7), seed=5)
    with Run.create(tmp_path, recipe, "test", {"inputs": 2, "outputs": 3, "aspect": H / W}) as made:
        pass
    wanted = picture.from_array(targets().reshape(H, W, 3))
    picture.save(wanted, made.folder / "target.png")
    for step, factor in ((0, 1.0), (10, 1.5), (25, 0.5)):
        some = net()
        with torch.no_grad():
            for parameter in some.parameters():
                parameter.mul_(factor)
        made.save_weights(step, some)
        made.add_metrics({"step": step, "total_steps": 25})
    return made


def test_a_run_writes_sheets_table_and_chosen_neurons(run: Run) -> None:
    paths = atlas.Gallery(run, sort="importance").write(chosen="2:7,3:0-1")
    names = [path.relative_to(run.folder / "atlas").as_posix() for path in paths]
    assert names == [
        "layer-1.png",
        "layer-2.png",
        "layer-3.png",
        "neurons.csv",
        "layer-2/neuron-7.png",
        "layer-3/neuron-0.png",
        "layer-3/neuron-1.png",
    ]
    with Image.open(paths[4]) as image:
        assert image.size == (W, H) and "step 25" in image.info["Comment"]


def test_a_step_is_the_kept_one_nearest_to_it(run: Run) -> None:
    made = atlas.Gallery(run, size=(30, 40))
    paths = made.write(step=12, layers=[2], chosen="1:0", table=False)
    assert [p.relative_to(run.folder).as_posix() for p in paths] == [
        "atlas/step-000010/layer-2.png",
        "atlas/step-000010/layer-1/neuron-0.png",
    ]
    with Image.open(paths[1]) as image:
        assert image.size == (30, 40)
    with pytest.raises(RecipeError, match="layer 9"):
        made.write(layers=[9])


def test_colours_and_order_hold_still_over_the_steps_of_a_film(run: Run) -> None:
    made = atlas.Gallery(run, still=True)
    still = made.over_time
    for step in (0, 10, 25):
        for view, scale in zip(previews.preview(made.net(step), H, W), still.scales, strict=True):
            assert (scale.high >= previews.scale(view).high).all()
    sheets = [made.sheet(2, step) for step in (0, 10, 25)]
    assert len({drawn.indices.shape for drawn in sheets}) == 1
    alone = made.neuron(2, 3, 10)
    again = made.neuron(2, 3, 25)
    assert alone.indices.shape == again.indices.shape == (H, W)
    assert (alone.indices != again.indices).any()


def test_the_table_of_a_run_is_that_of_its_net_and_target(run: Run) -> None:
    made = atlas.Gallery(run)
    found = made.table(10)
    expected = statistics.table(made.net(10), XY, run.target.values[..., :3].reshape(-1, 3))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.importance, b.importance)
    assert made.card(3, 1, 10).channels == 3


def test_the_table_of_a_large_picture_is_made_on_a_choice_of_pixels(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atlas, "LARGEST_TABLE", 100)
    assert atlas.Gallery(run).table()[2].importance_samples == 100


def test_origin_is_not_touched_by_the_views(run: Run) -> None:
    before = (run.folder / "origin.json").read_text()
    atlas.Gallery(run).write()
    assert json.loads(before) == json.loads((run.folder / "origin.json").read_text())
