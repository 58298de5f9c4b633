"""The digits task: what is loaded, held out, scored and drawn."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import struct
import sys

import numpy as np
import pytest
import torch

from sfumato import engine
from sfumato.data import Data
from sfumato.engine import eager
from sfumato.errors import EngineError, RecipeError, TaskError
from sfumato.nets import build
from sfumato.recipe import Recipe
from sfumato.tasks import _idx, digits
from sfumato.training import train

COUNTS = (120, 24)
SMALL = {"net": (20,), "threads": 1}


def drawn_digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of 6x5, class k lights column k % 5 if k < 5 and row k % 5 else, under some noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(10, size=count).astype(np.uint8)
    images = generator.integers(60, size=(count, 6, 5)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        if label < 5:
            image[:, label] = 220
        else:
            image[label - 5] = 220
    return images, labels


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A tiny set in the place of MNIST's four files."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    hashes = {}
    for kind, count, seed in (("train", COUNTS[0], 1), ("test", COUNTS[1], 2)):
        images, labels = drawn_digits(count, seed)
        bodies = {
            "images": struct.pack(">IIII", 2051, count, 6, 5) + images.tobytes(),
            "labels": struct.pack(">II", 2049, count) + labels.tobytes(),
        }
        for part, body in bodies.items():
            file = _idx.FILES[f"{kind}_{part}"]
            (folder / f"{file}.gz").write_bytes(gzip.compress(body))
            hashes[file] = hashlib.sha256(body).hexdigest()
    source = dataclasses.replace(_idx.SETS["mnist"], sha256=hashes, counts=COUNTS)
    monkeypatch.setitem(_idx.SETS, "mnist", source)
    monkeypatch.setenv("SFUMATO_DATA", str(tmp_path))


def test_the_test_set_is_held_out_and_pixels_lie_in_0_to_1(mnist):
    data = digits.load("mnist", digits.RECIPE)
    images, labels = drawn_digits(*COUNTS[:1], 1)
    np.testing.assert_array_equal(data.inputs, images.reshape(120, 30).astype(np.float32) / np.float32(255))
    assert (data.targets.argmax(1) == labels).all() and (data.targets.sum(1) == 1).all()
    assert data.hidden_inputs.shape == (24, 30)
    assert data.facts["side"] == (6, 5) and data.facts["name"] == "mnist"


def test_validation_holds_out_the_last_sixth_and_leaves_the_test_set_alone(mnist):
    whole = digits.load("mnist", digits.RECIPE)
    data = digits.load("mnist", digits.RECIPE.replace(options={"split": "validation"}))
    assert (data.inputs == whole.inputs[:100]).all() and (data.hidden_inputs == whole.inputs[100:]).all()
    assert (data.hidden_targets == whole.targets[100:]).all()


def test_nothing_named_means_mnist(mnist):
    assert digits.load(None, digits.RECIPE).facts["name"] == "mnist"


def test_without_mnist_the_small_digits_are_learned_and_that_is_said(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="digits8x8 come with scikit-learn")
    monkeypatch.setenv("SFUMATO_DATA", str(tmp_path))
    data = digits.load(None, digits.RECIPE)
    assert data.facts["name"] == "digits8x8" and data.inputs.shape == (1500, 64)
    assert len(data.facts["notes"]) == 1 and "\n" not in data.facts["notes"][0]
    assert "missing" in data.facts["notes"][0]
    assert data.inputs.min() == 0 and data.inputs.max() == 1
    with pytest.raises(_idx.Absent):
        digits.load("mnist", digits.RECIPE)  # who names it gets it or an error
    assert (
        len(digits.load("digits8x8", digits.RECIPE.replace(options={"split": "validation"})).inputs) == 1200
    )


def test_broken_mnist_is_not_replaced_in_silence(mnist, tmp_path):
    (tmp_path / "mnist" / f"{_idx.FILES['test_labels']}.gz").write_bytes(b"")
    with pytest.raises(TaskError, match="not the published file"):
        digits.load(None, digits.RECIPE)


def test_small_digits_without_scikit_learn_give_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(Exception, match=r"pip install 'sfumato\[sklearn\]'"):
        digits.load("digits8x8", digits.RECIPE)


def test_unknown_sets_and_options_are_refused():
    with pytest.raises(TaskError, match="--data mnist, fashion, kmnist, digits8x8"):
        digits.load("cifar", digits.RECIPE)
    with pytest.raises(RecipeError, match="split: test or validation"):
        digits.load("mnist", digits.RECIPE.replace(options={"split": "train"}))
    with pytest.raises(RecipeError, match="held_out='checker': task digits hides no pixels"):
        digits.load("mnist", digits.RECIPE.replace(held_out="checker"))
    for value in (0, 1.5, True, "10"):
        with pytest.raises(RecipeError, match="samples: 1 or more"):
            digits.load("mnist", digits.RECIPE.replace(options={"samples": value}))


def test_fewer_samples_are_the_first_ones_left_by_the_split(mnist):
    options = {"split": "validation", "samples": 40}
    data = digits.load("mnist", digits.RECIPE.replace(options=options))
    whole = digits.load("mnist", digits.RECIPE)
    assert (data.inputs == whole.inputs[:40]).all() and (data.hidden_inputs == whole.inputs[100:]).all()


@pytest.mark.parametrize("name", digits.RECIPES)
def test_named_recipes_learn_and_are_scored(mnist, name):
    recipe = digits.RECIPES[name][0].replace(**SMALL, epochs=20.0)
    recipe = recipe.replace(batch=min(recipe.batch, 8), rate=max(recipe.rate, 0.01))
    data = digits.load("mnist", recipe)
    net = build(recipe, 30, 10)
    errors = []
    for tick in train(net, data, recipe):
        picture = digits.draw(tick.net, data)
        errors.append(digits.score(tick.net, data, picture)["test_error"])
    assert errors[-1] < 0.1 < errors[0] <= 1


def test_the_score_is_the_share_of_misread_digits(mnist):
    data = digits.load("mnist", digits.RECIPE)
    net = build(digits.RECIPE.replace(**SMALL), 30, 10)
    with torch.no_grad():
        net.readout.weight.zero_()
        net.readout.bias.copy_(torch.arange(10.0))  # always a nine
    nines = (data.hidden_targets.argmax(1) == 9).mean()
    assert digits.score(net, data, digits.draw(net, data)) == {"test_error": pytest.approx(1 - nines)}


def test_named_recipes_are_the_ones_of_the_bench():
    recipe = digits.RECIPES["2012"][0]
    assert (recipe.net, recipe.batch, recipe.skip, recipe.options["order"]) == ((6000,), 1, True, "file")
    assert engine.settle(recipe).engine == "regrouped"
    assert digits.RECIPES["best"][0].net == (6000,)
    with pytest.raises(EngineError, match="one hidden layer"):
        engine.settle(recipe.replace(net=(20, 20)))


def test_2012_starts_and_steps_as_the_original_did():
    """Weights of every layer N(0, (0.2 / sqrt(n + 1))^2), the hidden rate 0.3 / sqrt(785) = 0.0107, the readout's
    0.3 / sqrt(6000 + 784 + 1) = 0.00364."""
    recipe = digits.RECIPES["2012"][0]
    net = build(recipe, 784, 10)
    assert net.layers[0].weight.std().item() == pytest.approx(0.2 / 785**0.5, rel=0.01)
    assert net.readout.weight.std().item() == pytest.approx(0.2 / 6785**0.5, rel=0.03)
    x = np.zeros((1, 784), np.float32)
    data = Data(x, np.eye(10, dtype=np.float32)[:1], x[:0], np.zeros((0, 10), np.float32))
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    error = (net(torch.from_numpy(x)) - torch.from_numpy(data.targets)).detach()[0]
    session = eager.prepare(net, data, recipe.replace(engine="eager", threads=1), 1)
    session.advance(1)
    session.pull(net)
    moved = net.readout.bias.detach() - before["readout.bias"]
    torch.testing.assert_close(moved, -0.00364 * error, rtol=2e-3, atol=1e-7)  # 0.00364 has three figures
    pull = (
        before["readout.weight"].T
        @ error
        * (1 * (before["layers.0.bias"] > 0) + 0.01 * (before["layers.0.bias"] <= 0))
    )
    torch.testing.assert_close(
        net.layers[0].bias.detach() - before["layers.0.bias"], -0.0107 * pull, rtol=2e-3, atol=1e-8
    )


def test_rounding_all_operands_changes_little(mnist):
    recipe = digits.RECIPES["best"][0].replace(**SMALL, batch=16, dropout=())
    data = digits.load("mnist", recipe)
    losses = []
    for precision in ("float32", "bfloat16-all"):
        session = eager.prepare(build(recipe, 30, 10), data, recipe.replace(precision=precision), 40)
        losses.append(session.advance(40))
    # bfloat16 has 8 bits: 2^-9 a product at most, and losses are near 2.
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=2e-2)
    assert (losses[0] != losses[1]).any()


def test_decay_shrinks_weights_and_not_biases(mnist):
    """With a gradient of 0 nothing else moves them: two steps of rate 0.1, decay 0.5 leave (1 - 0.05)^2."""
    recipe = digits.RECIPES["best"][0].replace(
        **SMALL, optimizer="adam:decay=0.5", rate=0.1, schedule="constant"
    )
    recipe = recipe.replace(warmup=0.0, dropout=(), precision="float32", loss="half_square")
    data = digits.load("mnist", recipe)
    net = build(recipe, 30, 10)
    with torch.no_grad():
        net.readout.weight.zero_()
        net.readout.bias.zero_()
        net.layers[0].bias.fill_(3.0)
    before = net.layers[0].weight.detach().clone()
    zero = Data(data.inputs, np.zeros_like(data.targets), data.inputs[:0], data.targets[:0])
    session = eager.prepare(net, zero, recipe, 2)
    session.advance(2)
    session.pull(net)
    torch.testing.assert_close(net.layers[0].weight.detach(), before * 0.95**2)
    assert (net.layers[0].bias == 3).all()


def test_a_recipe_is_its_own_json():
    for recipe, _ in digits.RECIPES.values():
        assert Recipe.from_json(recipe.to_json()) == recipe
