"""Small pictures of all neurons and their colour ranges, against their definitions."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from sfumato import nets
from sfumato.drawing import canvas, palettes
from sfumato.drawing.palettes import PAPER
from sfumato.errors import RecipeError
from sfumato.nets import Net
from sfumato.neurons import previews, sheets
from sfumato.picture import pixels
from sfumato.recipe import Recipe

H, W = 23, 17


def net(activation: str = "relu", encoding: str = "none", widths: tuple[int, ...] = (12, 9, 7)) -> Net:
    return nets.build(Recipe(net=widths, activation=activation, encoding=encoding, seed=3), 2, 3)


# Previews and scales -----------------------------------------------------------------------------------------


def test_a_preview_holds_means_over_points_of_each_pixel() -> None:
    some = net()
    views = previews.preview(some, H, W, tile=(6, 5), samples=3)
    with torch.no_grad():
        layers = list(some.hidden(torch.from_numpy(pixels.coordinates(18, 15))))
    for view, layer in zip(views, layers, strict=True):
        pre = layer.pre.numpy().reshape(6, 3, 5, 3, -1)
        np.testing.assert_allclose(view.values, pre.mean((1, 3)).transpose(2, 0, 1), atol=1e-5)
        np.testing.assert_allclose(view.mean, layer.post.mean(0).numpy(), atol=1e-5)
        np.testing.assert_allclose(view.active, (layer.pre > 0).float().mean(0).numpy(), atol=1e-6)
        assert (view.dead == ((layer.pre > 0).sum(0).numpy() == 0)).all()


def test_a_preview_of_some_layers_is_that_part_of_the_whole() -> None:
    some = net()
    everything = previews.preview(some, H, W, tile=(6, 5))
    (second,) = previews.preview(some, H, W, tile=(6, 5), layers=[2])
    assert second.number == 2 and np.array_equal(second.values, everything[1].values)
    with pytest.raises(RecipeError, match="layer 4 does not exist"):
        previews.preview(some, H, W, layers=[4])
    with pytest.raises(RecipeError, match="signed or grey"):
        previews.preview(some, H, W, view="blue")


def test_units_that_never_fire_are_found_and_labelled_dead() -> None:
    some = net()
    before = set(np.flatnonzero(previews.preview(some, 200, 150)[1].dead).tolist())
    with torch.no_grad():
        some.layers[1].bias[4] = -1e3  # type: ignore[index, operator]
    view = previews.preview(some, 200, 150)[1]
    assert 4 not in before and set(np.flatnonzero(view.dead).tolist()) == before | {4}
    drawn = sheets.sheet(view, previews.scale(view))
    alive = sheets.sheet(dataclasses.replace(view, dead=np.zeros(9, bool)), previews.scale(view))
    assert (drawn.indices[120:] != alive.indices[120:]).any()  # below the heading: the caption
    tiles, table = np.zeros((2, 60, 60), np.uint8), palettes.palette("grey")
    inks = [
        (canvas.tiled(tiles, table, captions=["0", "1"], faint=[lost, False]).indices > PAPER).sum()
        for lost in (False, True)
    ]
    assert inks[1] > inks[0]
    flat = net("tanh")
    with torch.no_grad():
        flat.layers[0].weight[2] = 0  # type: ignore[index, operator]
    assert np.flatnonzero(previews.preview(flat, H, W)[0].dead).tolist() == [2]


@pytest.mark.parametrize("per", ["neuron", "layer"])
def test_scales_are_the_stated_order_statistics(per: str) -> None:
    some = net()
    for kind in ("signed", "grey"):
        view = previews.preview(some, H, W, view=kind)[2]
        scale = previews.scale(view, per=per)
        for unit in range(view.units):
            pool = view.values[unit] if per == "neuron" else view.values
            if kind == "signed":
                ranked = sorted(abs(float(v)) for v in pool.ravel())
                assert scale.high[unit] == np.float32(ranked[math.ceil(0.98 * len(ranked)) - 1])
                assert scale.low[unit] == -scale.high[unit]
            else:
                ranked = sorted(float(v) for v in pool.ravel())
                top = ranked[math.ceil(0.995 * len(ranked)) - 1]
                assert scale.low[unit] == np.float32(ranked[0])
                assert scale.high[unit] == np.float32(top if top > ranked[0] else ranked[0] + 1)
    with pytest.raises(RecipeError, match="neuron or layer"):
        previews.scale(view, per="pixel")


def test_the_widest_scale_holds_all_steps_so_a_film_does_not_flicker() -> None:
    scales = [previews.scale(previews.preview(net(), H, W)[0]) for _ in range(2)]
    scales[1].high[3] *= 2
    scales[0].low[5] -= 1
    both = previews.widest(scales)
    assert (both.high == np.maximum(scales[0].high, scales[1].high)).all()
    assert (both.low == np.minimum(scales[0].low, scales[1].low)).all()
