"""Which parameter moves by which rule, and losses by hand."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from compare import close, equal_bits
from small_picture import picture_data
from twin import parameters, session

from sfumato.data import Data
from sfumato.engine.eager import prepare
from sfumato.errors import RecipeError
from sfumato.learning import optimizers
from sfumato.learning.lbfgs import Lbfgs
from sfumato.learning.soap import Soap
from sfumato.nets import build
from sfumato.recipe import Recipe, pick, public


def test_fan_in_divides_each_layers_rate() -> None:
    net = build(Recipe(net=(8, 24), encoding="raw"), 2, 3)
    (sgd,) = optimizers.sgd(net, fan_in=True)
    factors = {id(p): g["factor"] for g in sgd.param_groups for p in g["params"]}
    for layer, inputs in ((net.layers[0], 2), (net.layers[1], 8), (net.readout, 24)):
        for parameter in layer.parameters():
            assert factors[id(parameter)] == pytest.approx(1 / math.sqrt(inputs + 1))
    (plain,) = optimizers.sgd(net)
    assert {g["factor"] for g in plain.param_groups} == {1.0}


def test_one_step_of_gradient_descent_by_hand() -> None:
    """A net of one unit that is linear where it fires. Input 0.5, encoded 0; weights 0.6 and 2, biases 1 and 0.1.

    Hidden value 1, output 2.1, target 0.5, so the mean square is 1.6^2 and the error 2 x 1.6 = 3.2. Gradients:
    readout 3.2 x 1 and 3.2, hidden bias 3.2 x 2, hidden weight 6.4 x 0. Rate 0.01.
    """
    data = Data(
        np.full((1, 1), 0.5, np.float32),
        np.full((1, 1), 0.5, np.float32),
        np.empty((0, 1), np.float32),
        np.empty((0, 1), np.float32),
    )
    recipe = Recipe(
        net=(1,), optimizer="sgd", rate=0.01, schedule="constant", steps=1, engine="eager", threads=1
    )
    net = build(recipe, 1, 1)
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), (0.6, 1.0, 2.0, 0.1), strict=True):
            parameter.fill_(value)
    running = prepare(net, data, recipe, 1)
    assert running.advance(1).tolist() == pytest.approx([1.6**2])
    running.pull(net)
    by_hand = {
        "layers.0.weight": 0.6,
        "layers.0.bias": 1 - 0.064,
        "readout.weight": 2 - 0.032,
        "readout.bias": 0.068,
    }
    for name, value in parameters(net).items():
        assert value.item() == pytest.approx(by_hand[name], rel=1e-6)  # float32


def newton_schulz(matrix: np.ndarray, steps: int = 5) -> np.ndarray:
    """Steps of the quintic of Jordan et al. 2024, through the singular values that it acts on, one by one."""
    u, values, vt = np.linalg.svd(matrix, full_matrices=False)
    values = values / (values**4).sum() ** 0.25
    for _ in range(steps):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return (u * values) @ vt


@pytest.mark.parametrize("net", [(16, 16), (24, 12), (12, 24), (40, 17)])
@pytest.mark.parametrize(("steps", "blocks"), [(5, 1), (4, 2), (1, 3), (3, 100)])
def test_muon_takes_nearly_orthogonal_steps_on_matrices_between_hidden_layers(
    net: tuple[int, int], steps: int, blocks: int
) -> None:
    """The first step's momentum is a multiple of the gradient; blocks are 16 units wide here, or all."""
    recipe = Recipe(
        net=net,
        activation="tanh",
        optimizer=f"muon:steps={steps},blocks={blocks}",
        rate=0.02,
        schedule="constant",
        steps=1,
    )
    built, running = session(recipe.replace(engine="eager", threads=1), picture_data(13, 17), torch.float64)
    before = parameters(built)
    _, gradients = running.gradient(running.plan.minibatch(0))
    running.advance(1)
    running.pull(built)
    step = before["layers.1.weight"] - parameters(built)["layers.1.weight"]
    width = net[1] if blocks == 1 else 16 * -(-net[1] // (16 * blocks))
    slope = gradients["layers.1.weight"].numpy()
    parts = [newton_schulz(slope[low : low + width], steps) for low in range(0, net[1], width)]
    expected = 0.02 * max(1, net[1] / net[0]) ** 0.5 * np.concatenate(parts)
    close(
        step,
        expected,
        rel=1e-6,
        why="a rate in float32, float64 for the rest; tiny singular values are turned",
    )


@pytest.mark.parametrize("shape", [(300, 300), (64, 300), (300, 64)])
@pytest.mark.parametrize("blocks", [1, 2])
def test_singular_values_of_a_decade_and_a_half_come_near_one(shape: tuple[int, int], blocks: int) -> None:
    """Four steps: what lies above 1/30 of the largest ends in 0.6 ... 1.25, and no direction turns back."""
    generator = torch.Generator().manual_seed(0)
    u, _, v = torch.linalg.svd(
        torch.randn(shape, generator=generator, dtype=torch.float64), full_matrices=False
    )
    values = torch.logspace(0, -1.5, min(shape), dtype=torch.float64)
    turned = optimizers.orthogonal(u * values @ v, 4, blocks)
    for block in turned.split(-(-shape[0] // (16 * blocks)) * 16):
        found = torch.linalg.svdvals(block)
        assert float(found.min()) > 0.6 and float(found.max()) < 1.25


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-6, 1.0, 1e12])
def test_no_size_of_gradient_breaks_a_step(scale: float) -> None:
    """Zeros stay zeros, half a matrix of dead units too; everything else is turned whatever its size."""
    matrix = torch.randn(48, 40, generator=torch.Generator().manual_seed(1)) * scale
    matrix[16:] = 0
    turned = optimizers.orthogonal(matrix, 5, 3)
    assert torch.isfinite(turned).all() and (turned[16:] == 0).all()
    lengths = turned[:16].norm(dim=1)
    assert (lengths < 1.25).all() and (scale < 1e-7 or (lengths > 0.6).all())


def test_muon_moves_all_else_by_adam_at_a_share_of_its_rate() -> None:
    """Adam's first step is its rate for every parameter whose gradient is far above eps."""
    recipe = Recipe(
        net=(8, 8), activation="tanh", optimizer="muon:auxiliary=0.25", rate=0.01, schedule="constant"
    )
    net, running = session(
        recipe.replace(engine="eager", threads=1, steps=1), picture_data(13, 17), torch.float64
    )
    before = parameters(net)
    running.advance(1)
    running.pull(net)
    for name, value in parameters(net).items():
        if name != "layers.1.weight":
            step = np.abs(value - before[name])
            close(
                step, np.full_like(step, 0.0025), rel=1e-3, why="|g| / (|g| + 1e-8) for gradients above 1e-5"
            )


def test_rates_of_the_schedule_reach_the_weights() -> None:
    """Gradient descent with a rate halved at each look moves half as far."""
    recipe = Recipe(
        net=(4,), activation="tanh", optimizer="sgd", schedule="constant", steps=1, engine="eager", threads=1
    )
    steps = []
    for rate in (0.1, 0.05):
        net, running = session(recipe.replace(rate=rate), picture_data(5, 5), torch.float64)
        before = parameters(net)["readout.bias"]
        running.advance(1)
        running.pull(net)
        steps.append(parameters(net)["readout.bias"] - before)
    close(steps[0], 2 * steps[1], rel=1e-11, why="differences of numbers near 1/2")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "adam:beta1=1",
            "adam:beta2=-0.1",
            "adam:eps=0",
            "adam:eps=nan",
            "sgd:momentum=1",
            "sgd:momentum=nan",
        ),
        *("muon:auxiliary=0", "muon:momentum=1", "muon:beta1=1"),
    ],
)
def test_arguments_out_of_range_are_refused(text: str) -> None:
    name, argument = text.split(":")
    with pytest.raises(RecipeError, match=f"^{name}: .*{argument.split('=')[0]}="):
        pick(optimizers, text)(build(Recipe(net=(4, 4)), 2, 3))


# SOAP and L-BFGS ---------------------------------------------------------------------------------------------


def soap_by_formula(
    p: np.ndarray, gradients: list[np.ndarray], rate: float, every: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Vyas et al. 2024, algorithm 3, for one matrix in float64; the first gradient sets up the bases."""
    b, eps = 0.95, 1e-8
    mean, square = np.zeros_like(p), np.zeros_like(p)
    sides = [(1 - b) * gradients[0] @ gradients[0].T, (1 - b) * gradients[0].T @ gradients[0]]
    bases = [np.linalg.eigh(side)[1][:, ::-1] for side in sides]
    for t, g in enumerate(gradients[1:], 1):
        seen = bases[0].T @ g @ bases[1]
        mean = b * mean + (1 - b) * g
        square = b * square + (1 - b) * seen**2
        turned = bases[0].T @ mean @ bases[1] / (1 - b**t)
        p = p - rate * bases[0] @ (turned / (np.sqrt(square / (1 - b**t)) + eps)) @ bases[1].T
        sides = [b * sides[0] + (1 - b) * g @ g.T, b * sides[1] + (1 - b) * g.T @ g]
        if (t + 1) % every == 0:
            bases = [np.linalg.qr(side @ basis)[0] for side, basis in zip(sides, bases, strict=True)]
    return p, bases


def test_soap_moves_matrices_by_its_formula_and_vectors_by_adams() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(4, 3)), list(rng.normal(size=(9, 4, 3)))
    bias, slopes = rng.normal(size=5), list(rng.normal(size=(9, 5)))
    matrix, vector = (torch.nn.Parameter(torch.from_numpy(v.copy())) for v in (start, bias))
    twin = torch.nn.Parameter(vector.detach().clone())
    soap = Soap([{"params": [matrix, vector]}], 0.95, 0.95, 1e-8, 3)
    adam = torch.optim.Adam([twin], lr=0.01, betas=(0.95, 0.95))
    for group in soap.param_groups:
        group["lr"] = 0.01
    for g, s in zip(gradients, slopes, strict=True):
        matrix.grad, vector.grad, twin.grad = (
            torch.from_numpy(g),
            torch.from_numpy(s),
            torch.from_numpy(s.copy()),
        )
        soap.step()
        adam.step()
    expected, _ = soap_by_formula(start, gradients, 0.01, 3)
    # Signs of eigenvectors differ between libraries and cancel; float64.
    assert np.abs(matrix.detach().numpy() - expected).max() < 1e-9
    assert torch.allclose(vector, twin, atol=1e-12)


def test_a_side_too_long_for_a_basis_keeps_its_axes() -> None:
    table = torch.nn.Parameter(torch.zeros(3000, 2))
    assert Soap([{"params": [table]}], 0.9, 0.9, 1e-8, 10).memory(table).keys() == {
        "exp_avg",
        "exp_avg_sq",
        "right",
        "right_basis",
    }


def test_lbfgs_finds_the_bottom_of_a_bowl() -> None:
    """A quadratic of 12 numbers whose axes differ by a factor 1,000; descent would take thousands of steps."""
    rng = np.random.default_rng(1)
    turned = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    bowl = torch.from_numpy(turned @ np.diag(np.logspace(0, 3, 12)) @ turned.T)
    x = torch.nn.Parameter(torch.from_numpy(rng.normal(size=12)))
    lbfgs = Lbfgs([{"params": [x], "lr": 1.0}], 10)

    def loss() -> torch.Tensor:
        return x @ bowl @ x / 2

    seen = []
    for _ in range(150):
        x.grad = None
        loss().backward()
        seen.append(float(loss().detach()))
        lbfgs.step(lambda: float(loss().detach()))
    assert all(after <= before for before, after in pairwise(seen)), "a line search only goes down"
    assert seen[-1] < 1e-12 * seen[0]


def test_lbfgs_wants_all_samples_and_says_how_many() -> None:
    recipe = Recipe(net=(4,), optimizer="lbfgs", batch=7, steps=3, engine="eager", threads=1)
    with pytest.raises(RecipeError, match=r"looks at all 35 samples(.|\n)*--batch 35"):
        session(recipe, picture_data(5, 7))


def test_lbfgs_goes_on_where_adam_stops() -> None:
    """At the end of 200 annealed steps of Adam, 40 steps of L-BFGS lower the loss by half and more."""
    recipe = Recipe(
        net=(16, 16), activation="tanh", rate=0.01, steps=200, batch=35, engine="eager", threads=1
    )
    data = picture_data(5, 7)
    net, running = session(recipe, data)
    before = running.advance(200)[-1]
    running.pull(net)
    polish = recipe.replace(optimizer="lbfgs", rate=1.0, schedule="constant", steps=40)
    after = prepare(net, data, polish, 40).advance(40)[-1]
    assert after < before / 2


@pytest.mark.parametrize("name", public(optimizers))
def test_every_optimizer_goes_on_bit_for_bit(name: str) -> None:
    whole = getattr(public(optimizers)[name], "whole_data", False)
    recipe = Recipe(
        net=(6, 5), optimizer=name, batch=35 if whole else 8, steps=24, rate=0.01, engine="eager", threads=1
    )
    data = picture_data(5, 7)
    net, running = session(recipe, data)
    running.advance(11)
    running.pull(net)
    kept, state = copy.deepcopy(net), running.state()
    running.advance(13)
    running.pull(net)
    other = prepare(kept, data, recipe, 24)
    other.load(kept, state)
    other.advance(13)
    other.pull(kept)
    equal_bits(parameters(net), parameters(kept))
