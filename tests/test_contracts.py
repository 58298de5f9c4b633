"""What holds for every variant, found by listing: a new one is tested the moment it exists."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from compare import equal_bits
from small_picture import picture_data
from twin import one_hot, parameters, session

from sfumato import engine
from sfumato.errors import RecipeError
from sfumato.learning import feedback, losses, optimizers, sampling, schedules
from sfumato.nets import Net, activations, build, encodings, layers, net_initializers
from sfumato.nets.net import Units
from sfumato.picture import held_out, metrics
from sfumato.recipe import Recipe, beats, pick, public

REGISTRIES = {
    "activation": activations,
    "encoding": encodings,
    "layer": layers,
    "backward": feedback,
    "init": net_initializers,
    "optimizer": optimizers,
    "schedule": schedules,
    "sampling": sampling,
    "loss": losses,
    "held_out": held_out,
}
VARIANTS = [(field, name) for field, module in REGISTRIES.items() for name in public(module)]
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
ODD = torch.tensor([[0.0, 1.0], [0.3, 0.7], [1.0, 1.0], [0.5, 0.0], [0.999999, 1e-7]])


@pytest.mark.parametrize(("field", "name"), VARIANTS)
def test_every_variant_says_what_it_does_in_its_first_sentence(field: str, name: str) -> None:
    """Menus show it: one line of at most 110 characters, or its first sentence in the first two lines."""
    text = inspect.getdoc(public(REGISTRIES[field])[name])
    assert text, f"{name} has no docstring"
    paragraph = " ".join(text.split("\n\n")[0].split())
    first = paragraph.split(". ")[0]
    assert first[0].isalnum() and len(first) <= 160 and first.count("`") % 2 == 0
    assert paragraph.endswith((".", ":")) or ". " in paragraph


@pytest.mark.parametrize(("field", "name"), VARIANTS)
def test_every_variant_has_typed_keywords_with_defaults(field: str, name: str) -> None:
    """What may be typed after the colon: a number or True or False, keyword-only, with a default of its type."""
    function = public(REGISTRIES[field])[name]
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.annotation is not parameter.empty
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert type(parameter.default).__name__ == parameter.annotation
            assert type(parameter.default) in (int, float, bool)
        else:
            assert parameter.default is parameter.empty
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize(("field", "name"), VARIANTS)
def test_every_variant_is_a_word_that_can_be_picked(field: str, name: str) -> None:
    assert name.isidentifier() and name == name.lower()
    choice = pick(REGISTRIES[field], name, field)
    assert str(choice) == name and choice.arguments == {}
    with pytest.raises(RecipeError, match=f"{name} has no 'no_such'"):
        pick(REGISTRIES[field], f"{name}:no_such=1", field)
    typed = f"{name}x" if f"{name}x" not in public(REGISTRIES[field]) else f"{name}xx"
    with pytest.raises(RecipeError, match=f"did you mean '{name}'"):
        pick(REGISTRIES[field], typed, field)


# Activations -------------------------------------------------------------------------------------------------

EVERY_ACTIVATION = pytest.mark.parametrize("name", public(activations))
ELEMENTWISE = pytest.mark.parametrize(
    "name", [name for name, function in public(activations).items() if not getattr(function, "across", False)]
)
MILD = {"wire": "wire:omega=2,scale=0.5", "topk": "topk:k=2"}
"""Where the default, made for hundreds of units, leaves nothing of a handful."""


def one_layer(name: str, dtype: torch.dtype, first: bool = False) -> tuple[Units, int]:
    """A layer of six units of the activation after two inputs, and how many sums it takes."""
    choice = pick(activations, MILD.get(name, name))
    units = Units(choice, 6, 2, 3, first).to(dtype)
    units.start(torch.Generator().manual_seed(5))
    make = choice.fact("layer")
    return units, int(make(6, 6, False, **choice.settings).out_features) if make else 6


@DTYPES
@ELEMENTWISE
def test_every_activation_keeps_shape_and_type_and_stays_finite(name: str, dtype: torch.dtype) -> None:
    function = public(activations)[name]
    for shape in ((), (0,), (7,), (3, 4, 5)):
        x = torch.linspace(-30, 30, max(1, int(np.prod(shape))), dtype=dtype)[: int(np.prod(shape))].reshape(
            shape
        )
        kept = x.clone()
        y = function(x)
        assert y.shape == x.shape and y.dtype == dtype and torch.isfinite(y).all()
        assert torch.equal(x, kept), "the input was changed"


@DTYPES
@EVERY_ACTIVATION
@pytest.mark.parametrize("first", [True, False])
def test_every_layer_of_units_is_finite_and_has_a_gradient_at_extremes(
    name: str, first: bool, dtype: torch.dtype
) -> None:
    units, sums = one_layer(name, dtype, first)
    x = torch.tensor([-100.0, -1.0, 0.0, 1.0, 100.0], dtype=dtype)[:, None].repeat(1, sums).requires_grad_()
    kept = x.detach().clone()
    y = units(x, ODD.to(dtype))
    assert y.shape == (5, 6) and y.dtype == dtype and torch.isfinite(y).all()
    assert units(x[:0], ODD[:0].to(dtype)).shape == (0, 6)
    y.sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
    assert torch.equal(x, kept), "the input was changed"


@EVERY_ACTIVATION
@pytest.mark.parametrize("first", [True, False])
def test_every_activation_is_right_in_float64(name: str, first: bool) -> None:
    """Its gradients by the sums and by what it learns, against differences."""
    if name == "finer":
        return  # its backward pass holds a factor constant on purpose; test_eager checks it against the oracle
    units, sums = one_layer(name, torch.float64, first)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(5, sums, dtype=torch.float64, generator=generator).requires_grad_()
    learned = list(units.parameters())

    def said(x: torch.Tensor, *learned: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = units(x, ODD.double())
        return y

    assert torch.autograd.gradcheck(said, (x, *learned))


@DTYPES
@EVERY_ACTIVATION
def test_every_activation_brings_its_start(name: str, dtype: torch.dtype) -> None:
    choice = pick(activations, name)
    rule = choice.fact("init")
    for first in (True, False):
        drawn = []
        for _ in range(2):
            weight, bias = (
                torch.full((9, 5), torch.nan, dtype=dtype),
                torch.full((9,), torch.nan, dtype=dtype),
            )
            rule(weight, bias, first=first, generator=torch.Generator().manual_seed(3), **choice.settings)
            assert torch.isfinite(weight).all() and torch.isfinite(bias).all()
            drawn.append({"weight": weight, "bias": bias})
        equal_bits(*drawn)


# Encodings ---------------------------------------------------------------------------------------------------

EVERY_ENCODING = pytest.mark.parametrize("name", public(encodings))


@DTYPES
@EVERY_ENCODING
def test_every_encoding_has_the_width_it_says(name: str, dtype: torch.dtype) -> None:
    module = public(encodings)[name](2).to(dtype)
    out = module(ODD.to(dtype))
    assert out.shape == (5, module.width) and out.dtype == dtype and torch.isfinite(out).all()
    assert module(ODD[:0].to(dtype)).shape == (0, module.width)


@EVERY_ENCODING
def test_every_encoding_is_decided_by_its_arguments(name: str) -> None:
    one, two = (public(encodings)[name](2) for _ in range(2))
    equal_bits({"out": one(ODD).detach()}, {"out": two(ODD).detach()})


@EVERY_ENCODING
@pytest.mark.parametrize("inputs", [1, 3, 784])
def test_every_encoding_takes_any_number_of_inputs_or_says_why_not(name: str, inputs: int) -> None:
    try:
        module = public(encodings)[name](inputs)
    except RecipeError as error:
        assert "2 inputs" in str(error)
    else:
        assert module(torch.zeros(4, inputs)).shape == (4, module.width)


# Losses ------------------------------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("name", public(losses))
def test_every_loss_is_one_number_that_does_not_grow_with_the_batch(name: str, dtype: torch.dtype) -> None:
    data = one_hot(picture_data(5, 7))
    target = torch.from_numpy(data.targets).to(dtype)
    prediction = torch.from_numpy(data.inputs @ np.ones((2, 3), np.float32)).to(dtype)
    function = public(losses)[name]
    once = function(prediction, target)
    assert once.shape == () and once.dtype == dtype and torch.isfinite(once) and once > 0
    twice = function(torch.cat([prediction] * 2), torch.cat([target] * 2))
    assert float(twice) == pytest.approx(float(once), rel=1e-6)  # the same mean over twice the rows


# Optimizers --------------------------------------------------------------------------------------------------

EVERY_OPTIMIZER = pytest.mark.parametrize("name", public(optimizers))


@DTYPES
@EVERY_OPTIMIZER
def test_every_optimizer_moves_every_parameter_once(name: str, dtype: torch.dtype) -> None:
    batch = 35 if getattr(public(optimizers)[name], "whole_data", False) else 7  # all of 5 x 7 pixels
    changes = {"optimizer": name, "engine": "eager", "threads": 1, "batch": batch, "steps": 9, "rate": 1e-3}
    recipe = Recipe(net=(6, 5, 4), encoding="grid:levels=2,base=2", skip=True, activation="tanh", **changes)
    net = build(recipe, 2, 3)
    owned = [id(p) for o in public(optimizers)[name](net) for g in o.param_groups for p in g["params"]]
    assert sorted(owned) == sorted(id(p) for p in net.parameters())
    assert all(g["factor"] > 0 for o in public(optimizers)[name](net) for g in o.param_groups)
    net, running = session(recipe, picture_data(5, 7), dtype)
    before = parameters(net)
    losses_seen = running.advance(9)
    running.pull(net)
    assert np.isfinite(losses_seen).all() and losses_seen.dtype == np.float32
    for key, value in parameters(net).items():
        assert np.isfinite(value).all() and (value != before[key]).any()


@EVERY_OPTIMIZER
def test_every_optimizer_works_on_a_net_of_one_layer(name: str) -> None:
    recipe = Recipe(net=(4,), optimizer=name, engine="eager", threads=1, steps=3)
    _, running = session(recipe, picture_data(3, 3))
    assert np.isfinite(running.advance(3)).all()


# Schedules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", public(schedules))
def test_every_schedule_starts_at_one_and_never_rises(name: str) -> None:
    share = np.linspace(0, 1, 101)
    factors = public(schedules)[name](share)
    assert factors.shape == share.shape and factors.dtype == np.float64
    assert factors[0] == 1 and (factors >= 0).all() and (np.diff(factors) <= 0).all()


# Samplings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", public(sampling))
@pytest.mark.parametrize(("count", "batch"), [(1, 1), (221, 48), (220, 44), (7, 512), (50, 1)])
def test_every_sampling_is_an_epoch_of_indices_that_the_generator_decides(
    name: str, count: int, batch: int
) -> None:
    curve = np.random.default_rng(1).permutation(count).astype(np.int32)
    errors = np.random.default_rng(2).random(count, np.float32)
    kept = curve.copy(), errors.copy()

    def epoch(seed: int) -> Any:
        return public(sampling)[name](np.random.default_rng(seed), curve, batch, errors)

    found = epoch(3)
    assert found.dtype == np.int32 and found.shape == (count,) and ((found >= 0) & (found < count)).all()
    assert np.array_equal(found, epoch(3)) and (count < 50 or not np.array_equal(found, epoch(4)))
    assert np.array_equal(curve, kept[0]) and np.array_equal(errors, kept[1]), "an argument was changed"


# Engines, metrics, beats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", engine.names())
def test_every_engine_answers_in_a_sentence(name: str) -> None:
    module = engine.engine(name)
    assert module.__doc__ and callable(module.prepare)
    for recipe in (
        Recipe(),
        Recipe(activation="gaussian", encoding="grid", optimizer="muon", dropout=(0.1, 0.1)),
        Recipe(activation="lwta"),
        Recipe(residual=2),
    ):
        answer = module.why_not(recipe)
        assert answer is None or (3 < len(answer) < 300 and not answer.endswith("."))
        assert answer is None or answer.count("\n") <= 1, "a sentence, and a hint at most"


@pytest.mark.parametrize("name", metrics.__all__)
def test_every_metric_is_a_float_of_two_arrays(name: str) -> None:
    function = getattr(metrics, name)
    assert inspect.getdoc(function)
    arguments: Any = (
        (0.01,) if name == "psnr_of_mse" else (np.full((12, 12, 3), 0.5), np.full((12, 12, 3), 0.4))
    )
    assert type(function(*arguments)) is float


@pytest.mark.parametrize("name", sorted(set(beats.__all__) - {"is_number", "parse"}))
def test_every_kind_of_beats_holds_both_ends(name: str) -> None:
    found = getattr(beats, name)(100, [7] if name == "listed" else 7)
    assert found[0] == 0 and found[-1] == 100 and found == sorted(set(found))
    assert inspect.getdoc(getattr(beats, name))


# Nets of every pairing ---------------------------------------------------------------------------------------


@DTYPES
@EVERY_ACTIVATION
@pytest.mark.parametrize("encoding", public(encodings))
def test_every_net_hands_out_its_layers(name: str, encoding: str, dtype: torch.dtype) -> None:
    recipe = Recipe(net=(6, 4), activation=name, encoding=encoding, seed=4)
    net: Net = build(recipe, 2, 3).to(dtype)
    x = ODD.to(dtype)
    layers = list(net.hidden(x))
    assert [layer.post.shape for layer in layers] == [layer.pre.shape for layer in layers] == [(5, 6), (5, 4)]
    for layer, units in zip(layers, net.units, strict=True):
        assert torch.equal(layer.post, units(layer.sums, net.encoding(x))) and layer.post.dtype == dtype
    assert torch.equal(net.readout(layers[-1].post), net(x)) and net(x).shape == (5, 3)
    equal_bits(parameters(net), parameters(build(recipe, 2, 3).to(dtype)))
