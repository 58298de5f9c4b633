"""How large a net a page may ask for: counted before it is made, whichever field makes it large."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato import nets
from sfumato.errors import RecipeError
from sfumato.learning import optimizers
from sfumato.playground import limits
from sfumato.recipe import Recipe, pick, public
from sfumato.recipe.registries import of_fields
from sfumato.recipe.variants import arguments

SMALL = Recipe(net=(8, 8), batch=64, epochs=1.0)
SAMPLES = 64 * 48

HUGE = (20_000, 200_000, 1 << 31, 1 << 62, 1 << 63, 10**30)
"""What a slip of the keyboard makes of a number; the last two do not fit into 63 bits."""


def variants() -> list[tuple[str, str, str]]:
    """Every whole-number argument of every variant of every field: (field, variant, argument)."""
    found = []
    for field, module in of_fields().items():
        for name, function in public(import_module(f"sfumato.{module}")).items():
            for argument, default in arguments(function).items():
                if isinstance(default, int) and not isinstance(default, bool):
                    found.append((field, name, argument))
    return found


@pytest.fixture
def no_memory() -> Iterator[None]:
    """Half a gigabyte more than now, and no more: what is only counted needs none of it."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + (512 << 20), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def refused(recipe: Recipe, samples: int = SAMPLES, aspect: float = 1.0) -> str:
    try:
        limits.check(recipe, samples, aspect)
    except RecipeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("field", "name", "argument"), variants())
@pytest.mark.usefixtures("no_memory")
def test_no_argument_of_any_variant_makes_more_than_is_allowed(field: str, name: str, argument: str) -> None:
    """Refused in a line, or small when it is made: what was counted is what is there."""
    for value in HUGE:
        recipe = SMALL.replace(**{field: f"{name}:{argument}={value}"})
        said = refused(recipe)
        if said:
            assert "\n" not in said or "\nhint: " in said
            assert len(said) < 500
        elif field in ("encoding", "layer", "activation"):
            with suppress(RecipeError):  # of no size: it is refused when it is made
                net = nets.build(recipe, 2, 3)
                assert sum(p.numel() for p in net.parameters()) <= limits.MOST_PARAMETERS


@pytest.mark.parametrize("field", ["encoding", "layer", "activation"])
def test_a_sketch_has_the_shapes_of_the_net_and_none_of_its_memory(field: str) -> None:
    for name in public(import_module(f"sfumato.{of_fields()[field]}")):
        recipe = SMALL.replace(**{field: name})
        for aspect in (1.0, 1.43):
            sketch, net = (make(recipe, 2, 3, aspect=aspect) for make in (nets.sketch, nets.build))
            made = {n: (p.shape, p.dtype) for n, p in net.state_dict().items()}
            assert made == {n: (p.shape, p.dtype) for n, p in sketch.state_dict().items()}, name
            assert all(p.is_meta for p in sketch.parameters()), name
            assert (sketch.encoding.width, sketch.widths) == (net.encoding.width, net.widths)


def test_what_a_sketch_draws_moves_no_random_state() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    nets.sketch(SMALL, 2, 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"net": "100x9000"}, "has 8,019,945,003 parameters"),
        ({"net": "1000x1000000"}, "parameters"),
        ({"encoding": "fourier:bands=60000", "net": "4x600"}, "parameters"),
        ({"encoding": "grid:features=1024,log2_table=18"}, "parameters|tables"),
        ({"activation": "maxout:pieces=64", "net": "4x600"}, "parameters"),
        ({"activation": "gabor_filter", "net": "1x60000", "encoding": "one_blob:bins=4096"}, "parameters"),
        ({"layer": "fastfood", "net": "100x1000000"}, "parameters"),
        ({"optimizer": "lbfgs:pairs=100", "net": "4x1500"}, "optimizer=lbfgs:pairs=100 remembers"),
        ({"encoding": "fourier:bands=2000", "batch": 1 << 40}, "a step of batch="),
    ],
)
@pytest.mark.usefixtures("no_memory")
def test_what_is_too_large_is_counted_and_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says) as caught:
        limits.check(SMALL.replace(**changes), 1 << 18, 1.0)
    assert "\nhint: " in str(caught.value)


def test_what_the_optimizer_remembers_is_counted_as_it_is() -> None:
    for name in public(optimizers):
        recipe = SMALL.replace(optimizer=name)
        net = nets.build(recipe, 2, 3)
        kept = optimizers.memory(net, pick(optimizers, name, "optimizer")(net))
        counted = limits.remembered(recipe, nets.sketch(recipe, 2, 3))
        assert counted == sum(torch.Size(shape).numel() for one in kept.values() for shape in one.values())


def test_a_tall_picture_makes_a_larger_grid() -> None:
    recipe = SMALL.replace(encoding="grid:log2_table=24,features=4,levels=8,base=16,growth=2")
    assert refused(recipe, aspect=0.5) == "" and "parameters" in refused(recipe, aspect=4.0)


def test_what_people_use_is_taken() -> None:
    for net in ("4x300", "1x6000", "4x1000", "1x60000", "100x300"):
        assert refused(SMALL.replace(net=net, batch=4096), 1 << 18) == ""
    assert refused(SMALL.replace(net="4x300", batch=1 << 18), 1 << 18) == ""
