"""Neuron pictures against direct evaluation at single pixels, orders and selections against their definitions."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sfumato import nets
from sfumato.drawing import canvas, palettes
from sfumato.drawing.palettes import LEVELS, MIDDLE, PAPER
from sfumato.errors import RecipeError, RunError, SfumatoError
from sfumato.nets import Layer, Net
from sfumato.neurons import full_size, orders, previews, raster, sheets
from sfumato.picture import pixels
from sfumato.recipe import Recipe

H, W = 23, 17


def net(activation: str = "relu", encoding: str = "none", widths: tuple[int, ...] = (12, 9, 7)) -> Net:
    return nets.build(Recipe(net=widths, activation=activation, encoding=encoding, seed=3), 2, 3)


def read(path: Path) -> np.ndarray:
    """Palette indices of a PNG file."""
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)


def at(some: Net, layer: int, row: int, column: int) -> Layer:
    """Direct evaluation of one pixel centre."""
    with torch.no_grad():
        x = torch.tensor([[(column + 0.5) / W, (row + 0.5) / H]])
        return list(some.hidden(x))[layer - 1]


# Full-size pictures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "tanh", "sine:omega=6", "leaky_relu:slope=0.1"])
@pytest.mark.parametrize("view", ["signed", "grey"])
def test_full_size_pictures_agree_with_direct_evaluation_at_single_pixels(
    tmp_path: Path, activation: str, view: str
) -> None:
    some = net(activation)
    views = previews.preview(some, H, W, view=view)
    scales = [previews.scale(v) for v in views]
    paths = full_size.plates(some, tmp_path, H, W, scales)
    assert len(paths) == 12 + 9 + 7
    pictures = {p: read(p) for p in paths}
    for layer, unit, row, column in [(1, 0, 0, 0), (2, 8, 22, 16), (3, 6, 11, 3), (3, 0, 5, 16)]:
        values = at(some, layer, row, column)
        direct = values.post if view == "grey" or activation.startswith("sine") else values.pre
        s = scales[layer - 1]
        low, high = float(s.low[unit]), float(s.high[unit])
        exact = np.clip((float(direct[0, unit]) - low) / (high - low), 0, 1) * (LEVELS - 1)
        width = len(str(some.widths[layer - 1] - 1))
        index = pictures[tmp_path / f"layer-{layer}" / f"neuron-{unit:0{width}d}.png"][row, column]
        # Rounding to the nearest index is half a step; the rest is float32 in another order of summation.
        assert abs(index - exact) <= 0.5 + 1e-2


def test_one_neuron_drawn_alone_is_the_picture_in_its_file(tmp_path: Path) -> None:
    some = net()
    scales = [previews.scale(v) for v in previews.preview(some, H, W)]
    (path,) = full_size.plates(some, tmp_path, H, W, scales, [(2, 5)])
    alone = full_size.neuron(some, 2, 5, H, W, scales[1])
    assert (read(path) == alone.indices).all()
    with Image.open(path) as image:
        assert image.info["Comment"].startswith("neuron 2:5, index 0 = ")


def test_white_is_the_firing_boundary(tmp_path: Path) -> None:
    some = net()
    scale = previews.scale(previews.preview(some, H, W)[0])
    indices = full_size.neuron(some, 1, 4, H, W, scale).indices.astype(int)
    with torch.no_grad():
        pre = next(some.hidden(torch.from_numpy(pixels.coordinates(H, W)))).pre[:, 4].reshape(H, W).numpy()
    assert (indices[pre > 0] >= MIDDLE).all() and (indices[pre < 0] <= MIDDLE).all()


def test_pictures_do_not_depend_on_bands_blocks_or_flushes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = net()
    scales = [previews.scale(v) for v in previews.preview(some, H, W)]
    whole = full_size.plates(some, tmp_path / "a", H, W, scales)
    monkeypatch.setattr(full_size, "BAND_BYTES", 28 * (W + 1) * 3)
    monkeypatch.setattr(full_size, "PENDING_BYTES", 100)
    monkeypatch.setattr(full_size, "tile_pixels", lambda units: 5)  # parts of a row
    parts = full_size.plates(some, tmp_path / "b", H, W, scales, threads=3)
    for a, b in zip(whole, parts, strict=True):
        assert (read(a) == read(b)).all()


class Counting:
    """Any object with `hidden(x)` is a net; this one notes how many inputs it was asked for at a time."""

    def __init__(self, inner: Net, fail_after: int = 1 << 30) -> None:
        self.inner, self.calls, self.fail_after = inner, [], fail_after

    calls: list[int]

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return self.inner.parameters()

    def hidden(self, x: Tensor) -> Iterator[Layer]:
        self.calls.append(len(x))
        if len(self.calls) > self.fail_after:
            raise RunError("the disk is on fire")
        return self.inner.hidden(x)


def test_memory_is_bounded_by_blocks_and_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(net())
    monkeypatch.setattr(raster, "TILE_VALUES", 12 * 100)
    scales = [previews.scale(v) for v in previews.preview(counting, 60, 40, tile=(12, 8))]
    assert max(counting.calls) <= 100
    counting.calls.clear()
    monkeypatch.setattr(full_size, "BAND_BYTES", 2 * 41 * 10)
    seen: list[tuple[int, ...]] = []
    real = np.zeros
    monkeypatch.setattr(np, "zeros", lambda shape, *a, **k: (seen.append(shape), real(shape, *a, **k))[1])
    full_size.plates(counting, tmp_path, 60, 40, scales, [(1, 0), (3, 2)])
    assert max(counting.calls) <= 100 and sum(counting.calls) == 60 * 40 + 1
    bands = [shape for shape in seen if isinstance(shape, tuple) and len(shape) == 3]
    assert bands == [(2, 10, 41)]  # ten rows of two neurons at a time, whatever the picture's height


def test_a_failure_leaves_no_file_and_no_hook_behind(tmp_path: Path) -> None:
    some = net()
    scales = [previews.scale(v) for v in previews.preview(some, H, W)]
    with pytest.raises(RunError, match="on fire"):
        full_size.plates(Counting(some, fail_after=1), tmp_path, H, W, scales)
    assert list(tmp_path.iterdir()) == []
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in some.modules())
    assert all(p.grad is None and p.requires_grad for p in some.parameters()) and torch.is_grad_enabled()


def test_an_old_picture_survives_a_failure(tmp_path: Path) -> None:
    some = net()
    scales = [previews.scale(v) for v in previews.preview(some, H, W)]
    (path,) = full_size.plates(some, tmp_path, H, W, scales, [(1, 3)])
    before = path.read_bytes()
    with pytest.raises(RunError):
        full_size.plates(Counting(some, fail_after=1), tmp_path, H, W, scales, [(1, 3)])
    assert path.read_bytes() == before


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    some = net()
    scales = [previews.scale(v) for v in previews.preview(some, H, W)]
    with torch.no_grad():
        some.layers[1].weight[0, 0] = math.nan  # type: ignore[index, operator]
    with pytest.raises(RunError, match="not finite"):
        previews.preview(some, H, W)
    with pytest.raises(RunError, match="not finite"):
        full_size.plates(some, tmp_path, H, W, scales)


@pytest.mark.parametrize("pair", [(0, 0), (4, 0), (1, 12), (2, -1)])
def test_neurons_that_do_not_exist_are_refused(tmp_path: Path, pair: tuple[int, int]) -> None:
    some = net()
    scales = [previews.scale(v) for v in previews.preview(some, H, W)]
    with pytest.raises(RecipeError, match="does not exist"):
        full_size.plates(some, tmp_path, H, W, scales, [pair])
    with pytest.raises(RecipeError, match="does not exist"):
        full_size.neuron(some, *pair, H, W, scales[0])


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


def test_a_sheet_shows_each_tile_in_the_colours_of_its_values() -> None:
    view = previews.preview(net(), H, W, tile=(12, 10))[0]
    scale = previews.scale(view)
    arranged = np.array([7, 2, 11])
    drawn = sheets.sheet(view, scale, arranged=arranged)
    for unit in arranged:
        tile = palettes.index(view.values[unit], scale.low[unit], scale.high[unit])
        windows = np.lib.stride_tricks.sliding_window_view(drawn.indices, tile.shape)
        assert (windows == tile).all((2, 3)).sum() == 1
    assert drawn.picture().values.shape == (*drawn.indices.shape, 3)


@pytest.mark.parametrize(("count", "size"), [(1, (40, 30)), (7, (3, 5)), (300, (8, 6)), (40, (30, 90))])
def test_sheets_of_any_number_and_shape_hold_all_tiles(count: int, size: tuple[int, int]) -> None:
    tiles = np.arange(count * size[0] * size[1]).reshape(count, *size) % LEVELS
    drawn = canvas.tiled(
        tiles.astype(np.uint8),
        palettes.palette("grey"),
        captions=[str(i) for i in range(count)],
        heading="A heading that is far too long for a narrow sheet " * 3,
        facts="facts",
        legend="a legend " * 30,
        ends=("-1", "1"),
    )
    height, width = drawn.indices.shape
    assert (drawn.indices < PAPER).sum() >= count * size[0] * size[1]
    assert (drawn.indices[:, -5:] == PAPER).all() and (drawn.indices[-5:] == PAPER).all()
    assert Image.open(io.BytesIO(drawn.png())).size == (width, height)


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(RecipeError, match="at least one"):
        canvas.tiled(np.zeros((0, 4, 4), np.uint8), palettes.palette("grey"))


# Orders and selections ---------------------------------------------------------------------------------------


def test_each_order_follows_its_key() -> None:
    view = previews.preview(net(widths=(40, 30)), H, W)[1]
    worth = np.random.default_rng(0).normal(size=30)
    keys = {
        "index": -np.arange(30.0),
        "mean": view.mean,
        "contrast": view.values.std((1, 2)),
        "dead": view.active,
        "importance": worth,
    }
    for by, key in keys.items():
        found = orders.order(view, by, importance=worth)
        assert sorted(found.tolist()) == list(range(30))
        assert (np.diff(key[found]) <= 0).all()
    with pytest.raises(RecipeError, match="table first"):
        orders.order(view, "importance")
    with pytest.raises(RecipeError, match="beauty"):
        orders.order(view, "beauty")


@pytest.mark.parametrize("dead", [0, 3, 12])
def test_by_similarity_dead_units_close_the_sheet(dead: int) -> None:
    lost = np.isin(np.arange(12), [5, 0, 9] if dead == 3 else range(dead))
    view = dataclasses.replace(previews.preview(net(), H, W)[0], dead=lost)
    found = orders.order(view, "similarity")
    assert sorted(found.tolist()) == list(range(12))
    assert np.array_equal(np.sort(lost), lost[found])


@pytest.mark.parametrize("count", [1, 2, 3, 60])
@pytest.mark.parametrize("seed", range(4))
def test_mutual_twins_stand_side_by_side(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(count, 4, 5)).astype(np.float32)
    similar = orders.correlations(values)
    path = orders.chain(similar, neighbours=5).tolist()
    assert sorted(path) == list(range(count))
    np.fill_diagonal(similar, -np.inf)
    nearest = similar.argmax(1)
    for a, b in enumerate(nearest.tolist()):
        if count > 1 and nearest[b] == a:
            assert abs(path.index(a) - path.index(b)) == 1


def test_correlations_are_pearsons_and_zero_for_constant_pictures() -> None:
    values = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    values[3] = 2.5
    found = orders.correlations(values)
    others = [0, 1, 2, 4]
    expected = np.corrcoef(values[others].reshape(4, -1))
    np.testing.assert_allclose(found[np.ix_(others, others)], expected, atol=1e-5)
    assert (found[3] == 0).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2:117", [(2, 117)]),
        ("2:117,3:5", [(2, 117), (3, 5)]),
        (" 1:0 , 1:0, 3:4-6", [(1, 0), (3, 4), (3, 5), (3, 6)]),
        ("3:all", [(3, i) for i in range(7)]),
    ],
)
def test_selections_are_read_as_typed(text: str, expected: list[tuple[int, int]]) -> None:
    assert orders.parse_neurons(text, (300, 300, 7)) == expected


def test_all_selects_every_neuron_of_every_layer() -> None:
    assert len(orders.parse_neurons("all", (300, 20, 7))) == 327


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no selection"),
        ("2", "is no selection"),
        ("2:", "is no selection"),
        ("2:1-", "is no selection"),
        ("a:b", "is no selection"),
        ("2:1;3:4", "is no selection"),
        ("²:1", "is no selection"),
        ("0:1", "layer 0 does not exist"),
        ("4:1", "layer 4 does not exist"),
        ("3:7", "neurons 0 ... 6"),
        ("3:5-4", "out of range"),
        ("9" * 50 + ":1", "is no selection"),
    ],
)
def test_selections_that_cannot_be_meant_say_what_may_be(text: str, said: str) -> None:
    with pytest.raises(SfumatoError) as caught:
        orders.parse_neurons(text, (300, 300, 7))
    assert said in str(caught.value) and len(str(caught.value).splitlines()) <= 3
