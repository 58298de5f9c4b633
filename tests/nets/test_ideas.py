"""Nets that are more than linear maps with a function between: against a witness in NumPy, gradients included."""

from __future__ import annotations

import math

import numpy as np
import oracle
import pytest
import torch
from small_picture import picture_data
from twin import parameters

from sfumato import nets
from sfumato.errors import RecipeError
from sfumato.nets import activations, build
from sfumato.nets.competition import mean_square_of_largest
from sfumato.nets.gates import ComplexLinear
from sfumato.neurons.importance import importance
from sfumato.neurons.statistics import ablate, table
from sfumato.picture.metrics import psnr
from sfumato.recipe import Recipe, pick, public

MILD = {"wire": "wire:omega=2,scale=0.5", "topk": "topk:k=3", "h_siren": "h_siren:omega=2"}
"""Where the default is for hundreds of units, or so steep that a difference of the loss says nothing."""

GENTLE = {"fourier_filter": "fourier_filter:scale=4", "gabor_filter": "gabor_filter:scale=4", **MILD}
WAYS = [
    *((GENTLE.get(name, name), 0) for name in oracle.LAYERS),
    *((name, residual) for name in ("tanh", "relu", "prelu", "lwta:block=3") for residual in (1, 2)),
    (MILD["wire"], 2),
    (GENTLE["gabor_filter"], 1),
    ("maxout:pieces=3", 0),
    ("lwta:block=4", 0),
]
EVERY_WAY = pytest.mark.parametrize(("activation", "residual"), WAYS)
INPUTS = torch.rand(9, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def net_of(activation: str, residual: int, **more: object) -> nets.Net:
    recipe = Recipe(net=(6, 6, 6, 6), activation=activation, residual=residual, skip=True, seed=3, **more)
    net = build(recipe, 2, 3).double()
    with torch.no_grad():
        net.skip.weight.fill_(0.3)  # a skip connection starts at 0, and would prove nothing
    return net


def reference(net: nets.Net, p: dict[str, np.ndarray], residual: int) -> np.ndarray:
    arguments = dict(net.activation.arguments)
    return oracle.outputs(p, 2 * INPUTS.numpy() - 1, 4, net.activation.name, residual, **arguments)


@EVERY_WAY
def test_outputs_are_those_of_the_witness(activation: str, residual: int) -> None:
    net = net_of(activation, residual)
    found = net(INPUTS).detach().numpy()
    expected = reference(net, parameters(net), residual)
    # Both in float64, sums in another order.
    assert np.abs(found - expected).max() <= 1e-12 * max(1.0, np.abs(expected).max())
    assert np.ptp(expected, 0).all()


@EVERY_WAY
def test_gradients_are_differences_of_the_witness(activation: str, residual: int) -> None:
    """Central differences of a loss of the NumPy net by each number that is learned, at steps of 1e-6."""
    net = net_of(activation, residual)
    net(INPUTS).square().mean().backward()
    p = parameters(net)
    rng = np.random.default_rng(0)
    for name, parameter in net.named_parameters():
        values, gradient = p[name].ravel(), parameter.grad.numpy().ravel()
        assert gradient.any(), f"{name} has no gradient"
        for at in rng.choice(len(values), min(6, len(values)), replace=False):
            kept, losses = values[at], []
            for step in (1e-6, -1e-6):
                values[at] = kept + step
                losses.append((reference(net, p, residual) ** 2).mean())
            values[at] = kept
            difference = (losses[0] - losses[1]) / 2e-6
            # The third derivative times 1e-12, and 1e-16 of rounding over 2e-6.
            assert abs(difference - gradient[at]) <= 1e-6 * max(1.0, np.abs(gradient).max()), name


@EVERY_WAY
def test_what_a_neuron_is_worth_is_what_its_removal_costs(activation: str, residual: int) -> None:
    """Two ways: the layers behind run again on the inputs where it speaks, and a net in which it is silent."""
    net = net_of(activation, residual).float()
    data = picture_data(9, 7)
    before = psnr(np.clip(nets.predict(net, data.inputs), 0, 1), data.targets)
    for layer in range(1, 5):
        worth = importance(net, layer, data.inputs, data.targets)
        for unit in range(6):
            poorer = ablate(net, [(layer, unit)])
            after = psnr(np.clip(nets.predict(poorer, data.inputs), 0, 1), data.targets)
            assert worth[unit] == pytest.approx(before - after, abs=1e-3)  # float32, of some 10 dB


@EVERY_WAY
def test_its_neurons_have_statistics(activation: str, residual: int) -> None:
    net = net_of(activation, residual).float()
    data = picture_data(9, 7)
    for neurons in table(net, data.inputs, data.targets):
        assert len(neurons.mean) == 6 and np.isfinite(neurons.mean).all()
        assert ((neurons.saturated >= 0) & (neurons.saturated <= 1)).all()


@EVERY_WAY
def test_parameters_are_counted_without_being_made(activation: str, residual: int) -> None:
    recipe = Recipe(net=(6, 6, 6), activation=activation, residual=residual, encoding="fourier:bands=4")
    net = build(recipe, 2, 3)
    assert nets.parameter_count(recipe, net.encoding, 3) == net.parameter_count


# Single facts ------------------------------------------------------------------------------------------------


def test_lwta_lets_the_first_of_equals_pass_and_a_lone_unit_always() -> None:
    x = torch.tensor([[1.0, 1.0, -2.0, -1.0, -5.0]])
    assert activations.lwta(x, block=2).tolist() == [[1, 0, 0, -1, -5]]


def test_topk_keeps_the_largest_and_not_the_farthest_from_0() -> None:
    x = torch.tensor([[1.0, -9.0, 3.0, 2.0]])
    assert activations.topk(x, k=2).tolist() == [[0, 0, 3, 2]]
    assert activations.topk(x, k=4).tolist() == x.tolist()


def test_a_complex_layer_is_pytorchs_own() -> None:
    layer = ComplexLinear(6, 4, False)
    own = torch.nn.Linear(3, 2, dtype=torch.complex64)
    with torch.no_grad():
        layer.real.copy_(own.weight.real)
        layer.imaginary.copy_(own.weight.imag)
        layer.offset.copy_(torch.cat([own.bias.real, own.bias.imag]))
        z = torch.randn(5, 3, dtype=torch.complex64)
        expected = own(z)
        found = layer(torch.cat([z.real, z.imag], 1))
    assert torch.allclose(found, torch.cat([expected.real, expected.imag], 1), atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_mean_square_of_the_largest_number(count: int) -> None:
    drawn = torch.randn(400_000, count, generator=torch.Generator().manual_seed(0)).amax(1).square()
    # Its standard error over 400,000 draws is below 0.003.
    assert mean_square_of_largest(count) == pytest.approx(float(drawn.mean()), abs=0.012)
    assert mean_square_of_largest(2) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("activation", ["maxout", "maxout:pieces=5", "lwta", "lwta:block=4", "prelu", "gelu"])
def test_starts_keep_the_size_of_the_signal(activation: str) -> None:
    net = build(Recipe(net=(300,) * 6, activation=activation), 2, 3)
    x = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0))
    sizes = [float(values.post.detach().square().mean()) for values in net.hidden(x)]
    # A factor 2 off in the variance would be 2^5 over five layers; GELU's own is 0.85 of a rectifier's a layer.
    assert max(sizes) / min(sizes) < 4


def test_filters_start_as_their_published_code() -> None:
    net = build(Recipe(net=(400, 400), activation="gabor_filter"), 2, 3)
    first = net.units[0]
    widths = first.get_parameter("widths").detach()
    assert 0.5 * 3 < float(widths.mean()) < 1.5 * 3  # Gamma(6 / 2 layers, 1)
    frequencies = first.get_parameter("frequencies").detach() / widths.sqrt()[:, None]
    assert float(frequencies.abs().max()) == pytest.approx(256 / math.sqrt(2) / math.sqrt(2), rel=0.02)
    assert not [name for name, _ in net.named_parameters() if name.startswith("layers.0")]
    assert torch.equal(net.layers[0](torch.rand(3, 2)), torch.ones(3, 400))


def test_two_seeds_learn_from_two_starts() -> None:
    one, two = (build(Recipe(net=(8, 8), activation="gabor_filter", seed=s), 2, 3) for s in (1, 2))
    for name, parameter in one.named_parameters():
        if name.startswith("units"):
            assert not torch.equal(parameter, two.get_parameter(name)), name


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"activation": "wire", "net": "2x7"}, "wire: a layer of 7 units is odd"),
        ({"activation": "maxout:pieces=0"}, "pieces=0 must lie in 1"),
        ({"activation": "lwta:block=0"}, "block=0 must lie in 1"),
        ({"activation": "topk:k=0"}, "k=0 must be at least 1"),
        ({"activation": "prelu:slope=1.0"}, "slope=1.0 must lie in"),
        ({"activation": "wire:scale=0.0"}, "scale=0.0 must be greater"),
        ({"activation": "gabor_filter:beta=0.0"}, "beta=0.0 must be finite"),
        ({"activation": "fourier_filter:scale=-1.0"}, "scale=-1.0 must be greater"),
        ({"net": "8,8,4", "residual": 2}, "what leaves layer 1 \\(8 units\\) cannot be added"),
        ({"activation": "maxout", "net": "4x8", "residual": 1}, "cannot be added"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_built(recipe: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        build(Recipe().replace(**recipe), 2, 3)


def test_every_activation_across_units_that_native_lacks_goes_to_pytorch_and_says_so() -> None:
    from sfumato.engine import native

    across = [name for name, function in public(activations).items() if getattr(function, "across", False)]
    lacking = [name for name in across if pick(activations, name).fact("native") is None]
    assert set(across) - set(lacking) == {"lwta", "prelu"}
    for name in [*lacking, "lwta:block=3"]:
        assert native.why_not(Recipe(activation=name)) is not None
