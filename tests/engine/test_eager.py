"""The specification engine against the float64 oracle: gradients, steps, traces."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
import torch
from compare import bound, close, equal_bits, same_gradients
from twin import one_hot, parameters, session, witness

from sfumato.data import Data
from sfumato.engine import eager
from sfumato.learning import losses
from sfumato.nets import activations
from sfumato.recipe import Recipe, named, public

ACTIVATIONS = [
    *oracle.ACTIVATIONS,
    "leaky_relu:slope=0.2",
    "sine:omega=5",
    "finer:omega=5",
    "gaussian:scale=3",
]
ENCODINGS = [
    "none",
    "raw",
    "fourier:bands=6,sigma=2",
    "positional:bands=3",
    "one_blob:bins=5",
    "triangle:bands=3",
    "grid:levels=3,base=4,log2_table=12",
    "grid:levels=4,base=4,log2_table=5",
]
ROWS = np.arange(0, 221, 3, dtype=np.int32)


def check_gradients(recipe: Recipe, data: Data, dtype: torch.dtype) -> None:
    net, running = session(recipe, data, dtype)
    model, x = witness(net, recipe, data)
    loss, gradients = running.gradient(ROWS)
    p = parameters(net)
    reference_loss, reference = model.gradients(p, x, data.targets.astype(float), ROWS.tolist())
    kind = "gradient float64" if dtype == torch.float64 else "gradient float32"
    if recipe.activation in ("finer", "sinc") and dtype == torch.float32:
        kind += ", steep"
    close(loss, reference_loss, **bound(kind))
    assert gradients.keys() == reference.keys() == p.keys()
    for name in gradients:
        assert reference[name].any(), "a dead net proves nothing"
        same_gradients(gradients[name].numpy(), reference[name], dtype=str(dtype)[6:], **bound(kind))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_of_every_activation(
    tiny: Data, recipe: Recipe, activation: str, dtype: torch.dtype
) -> None:
    check_gradients(recipe.replace(activation=activation, net="7,3,17"), tiny, dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("skip", [False, True])
def test_gradients_of_every_encoding(
    tiny: Data, recipe: Recipe, encoding: str, skip: bool, dtype: torch.dtype
) -> None:
    check_gradients(recipe.replace(encoding=encoding, skip=skip), tiny, dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("loss", [*oracle.LOSSES, "cross_entropy:smoothing=0.1"])
def test_gradients_of_every_loss(tiny: Data, recipe: Recipe, loss: str, dtype: torch.dtype) -> None:
    data = one_hot(tiny) if loss.startswith("cross") else tiny
    check_gradients(recipe.replace(loss=loss), data, dtype)


def test_the_oracle_knows_every_variant_of_the_package() -> None:
    assert oracle.ACTIVATIONS.keys() | oracle.LAYERS.keys() == public(activations).keys()
    assert {n for n, f in public(activations).items() if getattr(f, "across", False)} == oracle.LAYERS.keys()
    assert oracle.LOSSES.keys() == public(losses).keys()


@pytest.mark.parametrize("width", [1, 7, 17, 300, 301])
def test_gradients_at_odd_sizes(tiny: Data, recipe: Recipe, width: int) -> None:
    check_gradients(recipe.replace(net=(width, width), activation="silu"), tiny, torch.float32)


def check_steps(recipe: Recipe, data: Data, optimizer: oracle.Adam | oracle.Sgd, limit: str) -> None:
    """Weights and losses after the recipe's steps in float64, package against oracle."""
    net, running = session(recipe, data, torch.float64)
    model, x = witness(net, recipe, data)
    p, steps = parameters(net), recipe.steps
    batches = [running.plan.minibatch(s).tolist() for s in range(steps)]
    trace = oracle.train(
        model, p, x, data.targets.astype(float), batches, running.plan.rates(0, steps).tolist(), optimizer
    )
    close(running.advance(steps), np.array(trace), **bound("trace"))
    running.pull(net)
    for name, value in parameters(net).items():
        close(value, p[name], **bound(limit))


@pytest.mark.parametrize("activation", ["relu", "tanh", "sine"])
def test_twenty_steps_of_adam(tiny: Data, recipe: Recipe, activation: str) -> None:
    limit = "adam 20 sine" if activation == "sine" else "adam 20"
    check_steps(recipe.replace(activation=activation, steps=20), tiny, oracle.Adam(), limit)


def test_twenty_steps_of_adam_with_its_own_constants(tiny: Data, recipe: Recipe) -> None:
    text = "adam:beta1=0.8,beta2=0.95,eps=1e-4"
    check_steps(recipe.replace(optimizer=text, steps=20), tiny, oracle.Adam(0.8, 0.95, 1e-4), "adam 20")


def test_twenty_steps_of_adam_that_shrinks_weights(tiny: Data, recipe: Recipe) -> None:
    changed = recipe.replace(optimizer="adam:decay=0.5", skip=True, steps=20)
    check_steps(changed, tiny, oracle.Adam(decay=0.5), "adam 20")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_ten_steps_of_adam_after_every_encoding(tiny: Data, recipe: Recipe, encoding: str) -> None:
    """With the grid, entries that no pixel of a minibatch uses move by their momentum all the same."""
    check_steps(recipe.replace(encoding=encoding, skip=True, steps=10), tiny, oracle.Adam(), "adam 20")


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_twenty_steps_of_gradient_descent(tiny: Data, recipe: Recipe, momentum: float) -> None:
    changes = {"optimizer": f"sgd:momentum={momentum}", "rate": 0.1, "steps": 20}
    check_steps(recipe.replace(**changes), tiny, oracle.Sgd(momentum), "adam 20")


def test_the_first_step_of_adam_shows_its_eps(tiny: Data, recipe: Recipe) -> None:
    """At |g| = 1e-6 a first step is 0.990 of the rate with eps = 1e-8, and 0.500 with 1e-6."""
    net, running = session(recipe.replace(schedule="constant", rate=1e-3, steps=1), tiny, torch.float64)
    before = parameters(net)
    for optimizer in running._optimizers:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3
            for parameter in group["params"]:
                parameter.grad = torch.full_like(parameter, 1e-6)
        optimizer.step()
    running.pull(net)
    for name, value in parameters(net).items():
        step = (before[name] - value) / 1e-3
        close(
            step, np.full_like(step, 1 / 1.01), rel=1e-9, why="(g/(g + eps)); the difference loses 1e-13/1e-3"
        )


@pytest.mark.parametrize("skip", [False, True])
def test_clipping_scales_the_whole_gradient(tiny: Data, recipe: Recipe, skip: bool) -> None:
    changed = recipe.replace(clip=0.01, optimizer="sgd", rate=1.0, schedule="constant", steps=1, skip=skip)
    net, running = session(changed, tiny, torch.float64)
    before = parameters(net)
    running.advance(1)
    running.pull(net)
    moved = np.concatenate([(before[n] - v).ravel() for n, v in parameters(net).items()])
    close(np.linalg.norm(moved), 0.01, rel=2e-5, why="PyTorch divides by the norm + 1e-6, here about 0.2")


def test_the_program_of_2012(tiny: Data) -> None:
    """The named recipe takes the same steps as the program's rule written out neuron by neuron."""
    small = named("2012").replace(net="9,5", steps=150, engine="eager", threads=1)
    net, running = session(small, tiny, torch.float64)
    p = parameters(net)
    order = [int(i) for s in range(150) for i in running.plan.minibatch(s)]
    oracle.program_of_2012(
        p, 2, tiny.inputs.astype(float), tiny.targets.astype(float), order, rate=0.1, slope=0.01
    )
    running.advance(150)
    running.pull(net)
    for name, value in parameters(net).items():
        close(value, p[name], rel=1e-11, why="150 steps in float64; a rule so simple does not amplify")


def test_inputs_encoded_once_or_each_time_are_the_same(
    tiny: Data, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    for encoding in ENCODINGS:
        changed = recipe.replace(encoding=encoding)
        _, once = session(changed, tiny)
        kept = once.advance(6)
        monkeypatch.setattr(eager, "KEPT_BYTES", 0)
        _, anew = session(changed, tiny)
        close(anew.advance(6), kept, **bound("float32"))
        monkeypatch.undo()


def test_a_session_does_not_touch_the_net_it_was_given(tiny: Data, recipe: Recipe) -> None:
    net, running = session(recipe, tiny)
    before = parameters(net)
    running.advance(3)
    equal_bits(parameters(net), before)
    running.pull(net)
    assert any((parameters(net)[name] != before[name]).any() for name in before)


def test_pulled_weights_are_a_copy(tiny: Data, recipe: Recipe) -> None:
    net, running = session(recipe, tiny)
    running.pull(net)
    before = parameters(net)
    running.advance(1)
    equal_bits(parameters(net), before)
