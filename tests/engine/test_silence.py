"""Units that are silent on a whole chunk of rows are skipped by the native engine, and nothing but time changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_native_kernels import SETS, Array, arrays, reference, samples, trainer

_native = pytest.importorskip("sfumato._native", reason="the native engine is not built")

SILENT = -100.0  # a bias that no pre-activation here outweighs


def same(ours: Array, theirs: Any) -> None:
    """Equal to the rounding of sums of a few hundred terms, and 0 where the reference is."""
    distance = np.linalg.norm(ours - theirs)
    assert distance <= 1e-5 * np.linalg.norm(theirs), distance  # see "gradient float32" in compare.py
    assert not ours[theirs == 0].any()


def none(width: int, layer: int) -> list[int]:
    return []


def some(width: int, layer: int) -> list[int]:
    return [unit for unit in range(width) if (unit * 7 + layer) % 3]


def all_but_one(width: int, layer: int) -> list[int]:
    return [unit for unit in range(width) if unit != width // 2]


def one_layer(width: int, layer: int) -> list[int]:
    return list(range(width)) if layer == 1 else some(width, layer)


def one_layer_beside_full_ones(width: int, layer: int) -> list[int]:
    return some(width, layer) if layer == 1 else []


WHO_IS_SILENT = (none, some, all_but_one, one_layer, one_layer_beside_full_ones)


def quiet_trainer(
    monkeypatch: pytest.MonkeyPatch, who: Any, hidden: list[int], *, dense: bool = False, **settings: Any
) -> tuple[Any, list[Array]]:
    """A trainer whose units are silent as told, and its weights."""
    monkeypatch.setenv("SFUMATO_DENSE", "1" if dense else "0")
    engine = trainer(**({"inputs": 2, "outputs": 3, "hidden": hidden} | settings))
    weights = arrays(engine.shapes)
    for layer, width in enumerate(hidden):
        weights[2 * layer + 1][who(width, layer)] = SILENT
    engine.set(_native.Kind.values, weights)
    return engine, weights


def ordered(count: int) -> tuple[Array, Array]:
    """Samples whose neighbours lie side by side, so that units fall silent on chunks of them."""
    x, y = samples(count, 2, 3)
    return np.ascontiguousarray(x[np.argsort(x[:, 0])]), y


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("who", WHO_IS_SILENT)
@pytest.mark.parametrize("hidden", [[64], [90, 33, 100], [300, 64, 257]])
def test_gradients_match_float64(
    isa: str, who: Any, hidden: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for count, threads, skip in ((1, 1, False), (31, 2, True), (200, 3, False)):
        engine, weights = quiet_trainer(monkeypatch, who, hidden, isa=isa, threads=threads, skip=skip)
        x, y = ordered(count)
        engine.set_data(x, y)
        _, gradients = engine.gradient(np.arange(count, dtype=np.int32))
        _, expected, _ = reference(weights, x, y, "relu", "mse", skip)
        for ours, theirs in zip(gradients, expected, strict=True):
            same(ours, theirs)
        done, every = engine.work
        assert every > 0
        assert done <= every
        if any(who(width, layer) for layer, width in enumerate(hidden)):
            assert done < 0.95 * every


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("who", WHO_IS_SILENT)
def test_what_is_painted_does_not_change_in_one_bit(
    isa: str, who: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = [100, 300, 64]
    skipping, _ = quiet_trainer(monkeypatch, who, hidden, isa=isa, threads=2)
    dense, _ = quiet_trainer(monkeypatch, who, hidden, isa=isa, threads=2, dense=True)
    x, _ = ordered(333)
    np.testing.assert_array_equal(skipping.predict(x), dense.predict(x))
    for layer in range(3):
        for pre in (False, True):
            ours, theirs = (engine.activations(layer, x, pre) for engine in (skipping, dense))
            np.testing.assert_array_equal(ours, theirs)
    assert skipping.work[0] < skipping.work[1] or who is none
    assert dense.work == (0, 0)


GRID = {"levels": [(5, 4, False), (9, 9, True)], "features": 3, "log2_table": 5, "inputs": 6}
VARIANTS: dict[str, dict[str, Any]] = {
    "adam": {},
    "muon": {"method": "muon"},
    "momentum, clipped": {"method": "sgd", "first": 0.9, "clip": 0.1},
    "dropout": {"dropped_inputs": 0.1, "dropped_hidden": 0.4},
    "grid": GRID,
    "grid, skip, dropout": {**GRID, "skip": True, "dropped_inputs": 0.2},
    "skip": {"skip": True, "outputs": 3},
    "cross-entropy": {"loss": "cross_entropy"},
    "chunks of 8": {"chunk": 8},
    "chunks of 136": {"chunk": 136},
}


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("threads", [1, 3])
def test_steps_equal_those_of_all_units(
    isa: str, name: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = ordered(300)
    rates, sizes = np.full(6, 1e-4), np.array([300, 77, 1, 64, 130, 300], np.int32)
    order = np.sort(np.random.default_rng(0).integers(0, 300, sizes.sum()).astype(np.int32))
    seeds = np.arange(6, dtype=np.uint32) if "dropped_hidden" in VARIANTS[name] else None
    seeds = np.arange(6, dtype=np.uint32) if "dropped_inputs" in VARIANTS[name] else seeds
    found = []
    for dense in (False, True):
        engine, _ = quiet_trainer(
            monkeypatch, some, [100, 72, 130], dense=dense, isa=isa, threads=threads, **VARIANTS[name]
        )
        engine.set_data(x, y)
        losses = np.empty(6, np.float32)
        engine.advance(order, sizes, rates, losses, seeds)
        found.append([losses, *engine.get(_native.Kind.values), *engine.get(_native.Kind.first)])
    for ours, theirs in zip(*found, strict=True):
        distance = np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), 1e-30)
        assert distance < 1e-4, (name, distance)  # Adam's first steps divide by gradients near 0


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("who", WHO_IS_SILENT)
@pytest.mark.parametrize("precision", ["bfloat16", "bfloat16-all"])
def test_gradients_in_bfloat16_equal_those_of_all_units(
    isa: str, who: Any, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hidden, count in (([100, 72, 130], 200), ([300], 31), ([33, 47], 77)):
        x, y = ordered(count)
        found = []
        for dense in (False, True):
            engine, _ = quiet_trainer(
                monkeypatch,
                who,
                hidden,
                dense=dense,
                isa=isa,
                precision=precision,
                threads=2,
                input_gradient=True,
            )
            gradients, inputs = engine.pullback(x, y, inputs=True)
            found.append([engine.predict(x), *gradients, inputs])
            assert (engine.work[1] > 0) is not dense
        for ours, theirs in zip(*found, strict=True):
            # A sum in another order now and then falls on the other side of a rounding to 8 bits.
            assert np.linalg.norm(ours - theirs) <= 3e-3 * np.linalg.norm(theirs)
            assert not ours[theirs == 0].any()


@pytest.mark.parametrize("isa", SETS)
def test_gradients_of_the_inputs_equal_those_of_all_units(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = ordered(150)
    for who in WHO_IS_SILENT:
        found = [
            quiet_trainer(monkeypatch, who, [100, 40], dense=dense, isa=isa, input_gradient=True, skip=True)[
                0
            ].pullback(x, y, inputs=True)
            for dense in (False, True)
        ]
        for ours, theirs in zip(found[0][0], found[1][0], strict=True):
            same(ours, theirs)
        same(found[0][1], found[1][1])


@pytest.mark.parametrize("isa", SETS)
def test_large_minibatches_have_larger_chunks(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 4096 rows on; just below, and where the last chunk is a ragged one, too."""
    for count, threads in ((4095, 1), (4096, 2), (4203, 1)):
        engine, weights = quiet_trainer(monkeypatch, some, [160, 130], isa=isa, threads=threads)
        x, y = ordered(count)
        engine.set_data(x, y)
        _, gradients = engine.gradient(np.arange(count, dtype=np.int32))
        _, expected, _ = reference(weights, x, y, "relu", "mse", skip=False)
        for ours, theirs in zip(gradients, expected, strict=True):
            same(ours, theirs)


def test_units_can_wake_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that was silent on every row trains again as soon as its biases let it."""
    engine, weights = quiet_trainer(monkeypatch, one_layer, [64, 64, 64])
    x, y = ordered(200)
    engine.set_data(x, y)
    rows = np.arange(200, dtype=np.int32)
    _, before = engine.gradient(rows)
    assert not before[0].any()
    assert before[-1].any()
    weights[3][:] = 0.1
    engine.set(_native.Kind.values, weights)
    _, after = engine.gradient(rows)
    _, expected, _ = reference(weights, x, y, "relu", "mse", skip=False)
    for ours, theirs in zip(after, expected, strict=True):
        same(ours, theirs)


def losers(width: int, layer: int) -> list[int]:
    """One of each pair; the last of an odd number has no rival."""
    return [unit for unit in range(width // 2 * 2) if (unit + layer) % 2]


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "bfloat16-all"])
@pytest.mark.parametrize("hidden", [[64], [90, 33, 101]])
def test_competing_units_that_lose_on_a_whole_chunk_are_skipped(
    isa: str, precision: str, hidden: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = {"activation": "lwta", "parameter": 2.0, "input_gradient": True, "precision": precision}
    for count, threads, skip in ((1, 1, False), (31, 2, True), (200, 3, False)):
        x, y = ordered(count)
        found = []
        for dense in (False, True):
            engine, weights = quiet_trainer(
                monkeypatch, losers, hidden, dense=dense, isa=isa, threads=threads, skip=skip, **pairs
            )
            engine.set_data(x, y)
            _, gradients = engine.gradient(np.arange(count, dtype=np.int32))
            painted = engine.predict(x)
            found.append([painted, engine.pullback(x, y, inputs=True)[1], *gradients])
            assert engine.work == (0, 0) if dense else engine.work[0] < 0.7 * engine.work[1]
        _, expected, _ = reference(weights, x, y, "lwta:block=2", "mse", skip)
        if precision == "float32":
            np.testing.assert_array_equal(found[0][0], found[1][0])
            for ours, theirs in zip(found[0][2:], expected, strict=True):
                same(ours, theirs)
        for ours, theirs in zip(*found, strict=True):
            # A sum in another order now and then falls on the other side of a rounding to 8 bits.
            assert np.linalg.norm(ours - theirs) <= 3e-3 * np.linalg.norm(theirs)
            assert not ours[theirs == 0].any()


@pytest.mark.parametrize("activation", ["leaky_relu", "sine", "tanh"])
def test_units_that_are_never_exactly_silent_are_all_computed(activation: str) -> None:
    engine = trainer(inputs=2, hidden=[64, 64], outputs=3, activation=activation, parameter=0.1)
    x, y = ordered(100)
    engine.set_data(x, y)
    engine.gradient(np.arange(100, dtype=np.int32))
    assert engine.work == (0, 0)
