"""The regrouped engine is the plain per-sample loop of `eager`, only faster."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato.data import Data
from sfumato.engine import eager, regrouped
from sfumato.errors import RunError
from sfumato.nets import build
from sfumato.recipe import Recipe

SAMPLES = 300  # two whole groups and a part of one
RECIPE = Recipe(
    task="digits",
    net=(37,),
    activation="leaky_relu:slope=0.01",
    encoding="raw",
    skip=True,
    init="gaussian:scale=0.2",
    loss="half_square",
    optimizer="sgd:fan_in=True",
    rate=0.3,
    schedule="constant",
    batch=1,
    epochs=2.0,
    threads=1,
)
VARIANTS = {
    "2012": {},
    "no-skip": {"skip": False},
    "relu": {"activation": "relu"},
    "shuffled": {"options": {}},
    "plain-rate": {"optimizer": "sgd", "rate": 0.01},
    "falling-rate": {"schedule": "cosine", "warmup": 0.1},
    "inputs-never-zero": {"encoding": "none", "rate": 0.05},
}


def digits(samples: int = SAMPLES, inputs: int = 30) -> Data:
    """Sparse inputs in [0, 1], some columns nearly always 0, one always; the class is the largest of 4 sums."""
    generator = np.random.default_rng(5)
    x = generator.random((samples, inputs), np.float32)
    x[generator.random(x.shape) > np.linspace(0, 0.9, inputs) ** 3] = 0
    y = np.eye(4, dtype=np.float32)[(x @ generator.standard_normal((inputs, 4))).argmax(1)]
    return Data(x, y, x[:0], y[:0])


def sessions(recipe: Recipe, data: Data):
    net = build(recipe, data.inputs.shape[1], data.targets.shape[1])
    total = recipe.total_steps(data.samples)
    return [engine.prepare(net, data, recipe, total) for engine in (eager, regrouped)], net, total


def weights(session, net) -> dict[str, torch.Tensor]:
    session.pull(net)
    return {name: value.detach().clone() for name, value in net.named_parameters()}


@pytest.mark.parametrize("name", VARIANTS)
def test_regrouped_is_the_per_sample_loop(name):
    recipe = RECIPE.replace(options={"order": "file"}).replace(**VARIANTS[name])
    data = digits()
    (plain, fast), net, total = sessions(recipe, data)
    losses = [session.advance(total) for session in (plain, fast)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=1e-5)  # float32 summed in another order
    expected = weights(plain, net)
    for parameter, value in weights(fast, net).items():
        torch.testing.assert_close(value, expected[parameter], rtol=0, atol=1e-5)
    assert losses[0][-100:].mean() < losses[0][:100].mean()  # and the loop learns


def test_beats_do_not_change_weights():
    data = digits()
    (_, whole), net, total = sessions(RECIPE, data)
    (_, cut), _, _ = sessions(RECIPE, data)
    expected = whole.advance(total)
    parts, left = [], total
    for count in [1, 7, 8, 9, 100, 128, 2, 60, *[31] * 100]:
        parts.append(cut.advance(min(count, left)))
        cut.pull(net)  # looking must not settle what is pending
        left -= len(parts[-1])
    assert left == 0
    assert (np.concatenate(parts) == expected).all()
    seen = weights(whole, net)
    assert all((value == seen[name]).all() for name, value in weights(cut, net).items())


@pytest.mark.parametrize("stop", [128, 131, 300, 511])
def test_resuming_equals_never_stopping(stop):
    data = digits()
    (_, straight), net, total = sessions(RECIPE, data)
    straight.advance(stop)
    state = straight.state()
    straight.pull(net)
    (_, again), _, _ = sessions(RECIPE, data)
    again.load(net, state)
    assert again.step == stop
    assert (straight.advance(total - stop) == again.advance(total - stop)).all()
    seen = weights(straight, net)
    assert all((value == seen[name]).all() for name, value in weights(again, net).items())


def test_eager_can_take_over_within_a_group():
    data = digits()
    (plain, fast), net, total = sessions(RECIPE, data)
    (reference, _), _, _ = sessions(RECIPE, data)
    reference.advance(total)
    fast.advance(140)
    fast.pull(net)
    plain.load(net, fast.state())
    plain.advance(60)
    plain.pull(net)
    fast.load(net, plain.state())  # and back, between two multiples of the group
    fast.advance(total - 200)
    expected = weights(reference, net)
    for parameter, value in weights(fast, net).items():
        torch.testing.assert_close(value, expected[parameter], rtol=0, atol=1e-5)


def test_state_of_another_net_is_refused():
    data = digits()
    (_, session), net, _ = sessions(RECIPE, data)
    session.advance(3)
    state = session.state()
    state["frozen/readout.bias"] = torch.zeros(9)
    with pytest.raises(RunError, match="another net"):
        session.load(net, state)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"net": (5, 5)}, "one hidden layer"),
        ({"batch": 2}, "batch=2"),
        ({"optimizer": "adam"}, "adam"),
        ({"optimizer": "sgd:momentum=0.9"}, "momentum"),
        ({"loss": "mse"}, "mse"),
        ({"activation": "tanh"}, "tanh"),
        ({"encoding": "fourier"}, "fourier"),
        ({"clip": 1.0}, "clip"),
        ({"dropout": (0.1, 0.1)}, "dropout"),
        ({"precision": "bfloat16"}, "bfloat16"),
    ],
)
def test_what_cannot_be_regrouped_is_named(change, word):
    assert regrouped.why_not(RECIPE) is None
    assert word in (regrouped.why_not(RECIPE.replace(**change)) or "")
