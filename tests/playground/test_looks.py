"""What a page is shown says of the net what the net itself says, at the size that was asked for."""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_net import XY, H, W, net, targets

from sfumato.drawing import palettes
from sfumato.nets import Net
from sfumato.neurons import previews
from sfumato.painting import paint
from sfumato.picture import metrics
from sfumato.playground import looks

TARGET = targets().reshape(H, W, 3)


def opened(look: looks.Look) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(look.picture)) as image:
        return np.asarray(image)


def test_a_painting_is_what_the_net_paints_and_its_score_that_of_the_clipped_values() -> None:
    some = net()
    look = looks.painted(some, TARGET, "centres")
    wanted = paint(some, H, W).values.clip(0, 1)
    assert np.array_equal(opened(look), np.rint(wanted * 255).astype(np.uint8)), "stride 1 is exact, as PNG"
    assert look.header["psnr"] == round(metrics.psnr(TARGET, wanted), 3)
    assert (look.header["width"], look.header["height"], look.header["stride"]) == (W, H, 1)
    assert "psnr_seen" not in look.header


@pytest.mark.parametrize("stride", [2, 3, 5])
def test_a_stride_takes_the_middle_of_each_block_of_pixels(stride: int) -> None:
    some, first = net(), stride // 2
    look = looks.painted(some, TARGET, "centres", stride)
    part = paint(some, H, W).values.clip(0, 1)[first::stride, first::stride]
    assert opened(look).shape == part.shape == (look.header["height"], look.header["width"], 3)
    wanted = metrics.psnr(TARGET[first::stride, first::stride], part)
    assert look.header["psnr"] == pytest.approx(wanted, abs=1e-3)


def test_hidden_pixels_have_a_score_of_their_own() -> None:
    some = net()
    hidden = np.zeros((H, W), bool)
    hidden[3:9, 2:7] = True
    look = looks.painted(some, TARGET, "centres", hidden=hidden)
    values = paint(some, H, W).values.clip(0, 1)
    assert look.header["psnr_hidden"] == round(metrics.psnr(TARGET[hidden], values[hidden]), 3)
    assert look.header["psnr_seen"] == round(metrics.psnr(TARGET[~hidden], values[~hidden]), 3)
    for none in (np.zeros((H, W), bool), np.ones((H, W), bool)):
        assert "psnr_hidden" not in looks.painted(some, TARGET, "centres", hidden=none).header


def test_an_exact_painting_has_no_number_that_json_lacks() -> None:
    some = net()
    exact = paint(some, H, W).values.clip(0, 1)
    assert looks.painted(some, exact, "centres").header["psnr"] is None


@given(st.integers(1, 5000), st.integers(1, 3000), st.integers(1, 3000))
def test_tiles_suit_jpeg_and_the_picture(units: int, height: int, width: int) -> None:
    for side, most in zip(looks.tile_size(units, height, width), (height, width), strict=True):
        assert side % 8 == 0 and 16 <= side <= max(16, 8 * -(-most // 8))
    large = looks.tile_size(units, height, width, 4 * looks.STILL_VALUES)
    assert all(a >= b for a, b in zip(large, looks.tile_size(units, height, width), strict=True))


@pytest.mark.parametrize("activation", ["relu", "sine:omega=8"])
def test_a_wall_holds_every_neuron_of_a_layer_in_its_place(activation: str) -> None:
    some, (h, w) = net(activation), (24, 16)
    look = looks.walls(some, [1, 3], H, W, "centres", (h, w))
    sheet = opened(look).astype(int)
    assert [header["layer"] for header in look.header["layers"]] == [1, 3] and sheet.ndim == 2
    views = previews.preview(some, H, W, tile=(h, w), samples=1, layers=[1, 3])
    for header, view in zip(look.header["layers"], views, strict=True):
        units, columns = header["units"], header["columns"]
        assert units == view.units and header["tile"] == [w, h]
        x, y = header["at"]
        scale = previews.scale(view)
        indices = palettes.index(view.values, scale.low[:, None, None], scale.high[:, None, None])
        for unit in range(units):
            top, left = y + unit // columns * h, x + unit % columns * w
            tile = sheet[top : top + h, left : left + w]
            # JPEG at quality 80 keeps a tile's mean within a level or two, and bleeds into no other tile.
            assert abs(tile.mean() - indices[unit].mean()) < 3, unit
        assert header["range"] == pytest.approx(scale.high.tolist(), rel=1e-3)
        assert header["mean"] == pytest.approx(view.mean.tolist(), rel=1e-3, abs=1e-6)
        assert header["dead"] == np.flatnonzero(view.dead).tolist()
        assert len(header["active"]) == len(header["contrast"]) == units


@given(st.lists(st.floats(-(2.0**60), 2.0**60, width=32)))
def test_numbers_are_told_by_four_digits(values: list[float]) -> None:
    values = [value if abs(value) > 1e-18 else 0.0 for value in values]  # powers of ten are exact up to 22
    for value, told in zip(values, looks._short(values), strict=True):
        assert told == float(f"{told:.4g}")
        assert abs(told - value) <= 0.500001e-3 * abs(value)  # half a unit of the fourth digit


@pytest.mark.parametrize("widths", [(1,) * 800, (400, 3, 3, 3), (7,) * 60, (1,), (300,) * 4, (2, 900)])
def test_walls_of_all_layers_fit_a_picture_and_never_overlap(widths: tuple[int, ...]) -> None:
    """A column of 800 layers would be higher than a WebP can be."""
    h, w = looks.tile_size(sum(widths), 300, 200)
    shapes = [(-(-n // math.isqrt(n)) * h, math.isqrt(n) * w) for n in widths]
    places, (tall, wide) = looks._shelves(shapes)
    taken = np.zeros((tall // 8, wide // 8), int)
    for (left, top), (rows, columns) in zip(places, shapes, strict=True):
        assert left % 8 == top % 8 == 0
        taken[top // 8 : (top + rows) // 8, left // 8 : (left + columns) // 8] += 1
    assert taken.max() == 1 and taken.sum() * 64 == sum(a * b for a, b in shapes)
    assert max(tall, wide) < 8000


def strongest(weights: torch.Tensor) -> list[int]:
    return torch.argsort(-weights.abs())[:6].tolist()


def test_one_neuron_is_told_with_its_partners_before_and_behind() -> None:
    some = net()
    looked = {layer: looks.full_size(some, layer, 4, H, W, "centres") for layer in (1, 2, 3)}
    weights = [layer.weight for layer in some.layers]
    first, middle, last = (looked[layer].header for layer in (1, 2, 3))
    assert first["from"] == [] and last["to"] == [] and first["colour"] == middle["colour"] == []
    assert [unit for unit, _ in middle["from"]] == strongest(weights[1][4])
    assert [unit for unit, _ in middle["to"]] == strongest(weights[2][:, 4])
    assert middle["from"][0][1] == pytest.approx(weights[1][4].tolist()[int(middle["from"][0][0])], abs=1e-4)
    assert last["colour"] == pytest.approx(some.readout.weight[:, 4].tolist(), rel=1e-3)
    values = next(pre for n, (pre, *_) in enumerate(some.hidden(torch.from_numpy(XY)), 1) if n == 2)[
        :, 4
    ].detach()
    # White, the middle of the palette, is where the unit begins to fire.
    signs = opened(looked[2]).astype(int) - palettes.MIDDLE
    sure = values.abs() > 0.05 * middle["range"]
    assert bool((np.sign(signs.reshape(-1)) == torch.sign(values).numpy())[sure.numpy()].all())


def test_the_painting_without_a_neuron_says_what_it_cost_and_changes_no_net() -> None:
    some = net()
    before = {name: value.clone() for name, value in some.state_dict().items()}
    look = looks.without(some, [(3, 1), (2, 5)], TARGET, "centres")
    assert all(torch.equal(value, before[name]) for name, value in some.state_dict().items())
    poorer = poor(some)
    wanted = paint(poorer, H, W).values.clip(0, 1)
    assert np.abs(opened(look) / 255 - wanted).max() <= 0.5 / 255 + 1e-5
    assert look.header["before"] == looks.painted(some, TARGET, "centres").header["psnr"]
    assert look.header["psnr"] == pytest.approx(metrics.psnr(TARGET, wanted), abs=2e-3)
    assert look.header["removed"] == [[3, 1], [2, 5]]


def poor(some: Net) -> Net:
    """The same net, whose neurons 3:1 and 2:5 nobody listens to."""
    made = net()
    made.load_state_dict(some.state_dict())
    with torch.no_grad():
        made.readout.weight[:, 1] = 0
        made.layers[2].weight[:, 5] = 0  # type: ignore[index]
    return made


def test_pictures_of_any_number_of_colours_can_be_sent() -> None:
    for channels, mode in ((1, "L"), (3, "RGB"), (4, "RGB")):
        with Image.open(io.BytesIO(looks.encoded(np.full((8, 8, channels), 0.5, np.float32)))) as image:
            assert image.mode == mode and image.size == (8, 8)
    with Image.open(io.BytesIO(looks.encoded(np.full((8, 8, 4), 0.5, np.float32), "PNG"))) as image:
        assert image.mode == "RGBA"
