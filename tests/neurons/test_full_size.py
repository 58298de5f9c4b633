"""Every neuron at full size: direct evaluation at single pixels, bounded memory, whole files or none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sfumato import nets
from sfumato.drawing.palettes import LEVELS, MIDDLE
from sfumato.errors import RecipeError, RunError
from sfumato.nets import Layer, Net
from sfumato.neurons import full_size, previews, raster
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
