"""Encodings against slow and obvious ones."""

from __future__ import annotations

import math

import numpy as np
import oracle
import pytest
import torch
from compare import bound, close
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.errors import RecipeError
from sfumato.nets import encodings
from sfumato.recipe import pick

POINTS = np.array([[0, 0], [1, 1], [0, 1], [1, 0], [0.5, 0.5], [0.25, 0.75], [0.123, 0.987], [1 / 3, 2 / 3]])


def test_none_maps_the_unit_square_to_minus_one_and_one() -> None:
    x = torch.tensor([[0.0, 0.5, 1.0]])
    assert encodings.none(3)(x).tolist() == [[-1, 0, 1]]
    assert encodings.raw(3)(x).tolist() == x.tolist()


@pytest.mark.parametrize("text", ["fourier:bands=5,sigma=3", "fourier:bands=1,seed=8", "positional:bands=4"])
def test_waves_are_sines_and_cosines_of_whole_turns(text: str) -> None:
    module = pick(encodings, text)(2).double()
    found = module(torch.from_numpy(POINTS)).numpy()
    reference = oracle.waves(POINTS, module.frequencies.numpy())
    if module.identity:
        close(found[:, :2], 2 * POINTS - 1, **bound("float64"))
    close(
        found[:, -reference.shape[1] :],
        reference,
        rel=1e-12,
        why="phases of 100 radians, two ways to multiply",
    )


def test_positional_is_equation_4_of_the_paper() -> None:
    """sin(2^k pi p), cos(2^k pi p) for p = 2x - 1 are those of 2^k 2 pi x, the sign at k = 0 apart."""
    x = 0.3
    p = 2 * x - 1
    found = encodings.positional(1, bands=3)(torch.tensor([[x]], dtype=torch.float64))[0].tolist()
    assert found[0] == pytest.approx(p)
    for k in range(3):
        sign = -1 if k == 0 else 1
        assert found[1 + k] == pytest.approx(sign * math.sin(2**k * math.pi * p))
        assert found[4 + k] == pytest.approx(sign * math.cos(2**k * math.pi * p))


def test_fourier_frequencies_have_the_stated_deviation_and_seed() -> None:
    module = encodings.fourier(2, bands=5000, sigma=7.0)
    assert float(module.frequencies.std()) == pytest.approx(
        7, rel=0.03
    )  # 10,000 draws: 0.7% is one deviation
    assert float(module.frequencies.mean()) == pytest.approx(0, abs=0.35)
    again, other = (
        encodings.fourier(2, bands=5000, sigma=7.0),
        encodings.fourier(2, bands=5000, sigma=7.0, seed=1),
    )
    assert torch.equal(module.frequencies, again.frequencies)
    assert not torch.equal(module.frequencies, other.frequencies)


def test_frequencies_are_not_trained_but_travel_with_the_weights() -> None:
    module = encodings.fourier(2, bands=3)
    assert not list(module.parameters()) and set(module.state_dict()) == {"frequencies"}


GRIDS = [
    {"levels": 1, "base": 1, "log2_table": 4},
    {"levels": 3, "base": 4, "growth": 1.5, "features": 3},
    {"levels": 3, "base": 4, "aspect": 1.43},
    {"levels": 4, "base": 5, "growth": 2.0, "log2_table": 6},
    {"levels": 2, "base": 9, "log2_table": 1},
]


def filled(arguments: dict[str, float]) -> encodings.Grid:
    module = encodings.grid(2, **arguments).double()
    with torch.no_grad():
        module.table.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
    return module


@pytest.mark.parametrize("arguments", GRIDS, ids=str)
def test_the_grid_is_the_obvious_bilinear_look_up(arguments: dict[str, float]) -> None:
    module = filled(arguments)
    uses = oracle.grid_uses(POINTS, module.cells, int(arguments.get("log2_table", 14)))
    reference = oracle.grid(module.table.detach().numpy(), uses)
    close(module(torch.from_numpy(POINTS)).detach().numpy(), reference, **bound("float64"))
    assert len(module.table) == sum(
        min((a + 1) * (d + 1), 2 ** arguments.get("log2_table", 14)) for a, d in module.cells
    )


@pytest.mark.parametrize("arguments", GRIDS, ids=str)
@settings(max_examples=25, deadline=None)
@given(x=st.floats(0, 1, width=32, allow_subnormal=False), y=st.floats(0, 1, width=32, allow_subnormal=False))
def test_weights_are_shares_and_entries_exist(arguments: dict[str, float], x: float, y: float) -> None:
    module = encodings.grid(2, **arguments)
    indices, weights = module.corners(torch.tensor([[x, y]]))
    assert (weights >= 0).all() and weights.sum(2).numpy() == pytest.approx(1, abs=1e-6)  # float32
    assert (indices >= 0).all() and (indices < len(module.table)).all()
    for level, (offset, size) in enumerate(zip(module.offsets, module.sizes, strict=True)):
        assert ((indices[:, level] >= offset) & (indices[:, level] < offset + size)).all()


def test_the_grid_does_not_jump_at_the_borders_of_its_cells() -> None:
    module = filled({"levels": 1, "base": 4, "log2_table": 8})
    for border in (0.25, 0.5, 0.75):
        near = torch.tensor([[border - 1e-9, 0.3], [border + 1e-9, 0.3]], dtype=torch.float64)
        a, b = module(near).detach().numpy()
        assert np.abs(a - b).max() < 1e-7  # slope at most 2 x 4 cells


def test_corners_of_the_picture_are_table_entries() -> None:
    module = filled({"levels": 1, "base": 3, "log2_table": 8, "features": 1})
    found = module(torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=torch.float64))[:, 0]
    assert torch.equal(found, module.table[[0, 3, 12, 15], 0])


def test_levels_grow_and_follow_the_shape_of_the_picture() -> None:
    module = encodings.grid(2, levels=3, base=8, growth=1.5, aspect=1.43)
    assert module.cells == [(8, 12), (12, 18), (18, 26)]
    assert encodings.grid(2, levels=1, base=8, aspect=0.01).cells == [(8, 1)]


def test_two_passes_give_one_gradient() -> None:
    """`corners` once and `blend` often, as the engine does it, is `forward`."""
    module, x = filled(GRIDS[3]), torch.from_numpy(POINTS)
    assert torch.equal(module.blend(*module.corners(x)), module(x))
    assert torch.autograd.gradcheck(lambda _: module(x), (module.table,))


@pytest.mark.parametrize(
    "text",
    [
        *(f"fourier:{a}" for a in ("bands=0", "sigma=0", "sigma=nan", "sigma=inf")),
        *("positional:bands=0", "positional:bands=25"),
        *(f"grid:{a}" for a in ("levels=0", "levels=33", "features=0", "base=0", "base=2000000")),
        *(f"grid:{a}" for a in ("growth=0.9", "growth=nan", "growth=16", "growth=15,levels=32")),
        *(f"grid:{a}" for a in ("log2_table=0", "log2_table=25", "aspect=0", "aspect=nan", "aspect=inf")),
    ],
)
def test_arguments_out_of_range_are_refused(text: str) -> None:
    name, _, argument = text.partition(":")
    with pytest.raises(RecipeError, match=f"^{name}: .*{argument.split('=')[0]}"):
        pick(encodings, text)(2)


def test_a_grid_of_three_inputs_is_refused() -> None:
    with pytest.raises(RecipeError, match="needs 2 inputs"):
        encodings.grid(3)
