"""The native engine against the eager one: traces, states, cuts, refusals. Kernels: `test_native_kernels.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compare import bound, close
from nanobind.stubgen import StubGen
from small_picture import picture_data
from test_native_kernels import SETS, arrays, samples, trainer

import sfumato
from sfumato import engine, nets
from sfumato.engine import eager, native
from sfumato.errors import EngineError, RunError
from sfumato.learning import losses, optimizers
from sfumato.recipe import NAMED, Recipe, pick

_native = pytest.importorskip("sfumato._native", reason="the native engine is not built")


SMALL = Recipe(net=(16, 16), batch=48, threads=1)
VARIANTS: dict[str, dict[str, Any]] = {
    "relu, adam": {},
    "sine": {"activation": "sine:omega=30"},
    "finer": {"activation": "finer:omega=10"},
    "fourier, warm-up": {"encoding": "fourier:bands=8,sigma=2", "warmup": 0.5},
    "momentum": {"optimizer": "sgd:momentum=0.9", "rate": 0.1},
    "clipped": {"clip": 0.01, "optimizer": "sgd", "rate": 1.0},
    "skip, l1": {"skip": True, "loss": "l1"},
    "smoothed cross-entropy": {
        "loss": "cross_entropy:smoothing=0.1",
        "optimizer": "adam:beta2=0.99,eps=1e-15",
    },
    "sample by sample": {"optimizer": "sgd:fan_in=True", "rate": 0.1, "batch": 1, "skip": True},
    "sample by sample, adam": {"batch": 1},
    "whole picture": {"batch": 221},
    "stratified, two threads": {"sampling": "stratified", "threads": 2},
    "sampling by error": {"sampling": "error", "loss": "l1"},
    "sampling by error, sample by sample": {"sampling": "error", "optimizer": "sgd", "batch": 1},
    "woken": {"wake": 3, "init": "published:gain=0.1", "rate": 0.1, "optimizer": "sgd"},
    "dropout": {"dropout": (0.2, 0.5), "encoding": "fourier:bands=8,sigma=2"},
    "dropout, leaky, skip": {"dropout": (0.1, 0.3), "skip": True, "activation": "leaky_relu:slope=0.1"},
    "dropout, sine, grid": {
        "dropout": (0.3, 0.0),
        "encoding": "grid:levels=3,base=4",
        "activation": "sine:omega=5",
    },
    "dropout of hidden units": {"dropout": (0.0, 0.4), "batch": 1},
    "decay": {"optimizer": "adam:decay=0.5", "encoding": "grid:levels=3,base=4"},
    "grid, two threads": {"encoding": "grid:levels=6,base=4,growth=1.5,log2_table=6", "threads": 2},
    "grid, three features, skip": {"encoding": "grid:levels=3,features=3,base=4,log2_table=5", "skip": True},
    "grid, clipped": {"encoding": "grid:levels=3,base=4", "clip": 0.01, "optimizer": "sgd", "rate": 1.0},
    "lwta": {"activation": "lwta", "net": (16, 17)},
    "prelu": {"activation": "prelu", "net": (16, 13), "rate": 0.01},
    "feedback alignment": {"backward": "feedback-alignment"},
    "grid, sample by sample": {
        "encoding": "grid:levels=3,base=4",
        "batch": 1,
        "optimizer": "sgd",
        "rate": 0.1,
    },
}


def sessions(recipe: Recipe, steps: int = 40) -> tuple[nets.Net, Any, Any]:
    data = picture_data(13, 17)
    net = nets.build(recipe, 2, 3)
    return net, eager.prepare(net, data, recipe, steps), native.prepare(net, data, recipe, steps)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("isa", SETS)
def test_eight_steps_equal_the_eager_engine(name: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_ISA", isa)
    equal_steps(SMALL.replace(**VARIANTS[name]))


def equal_steps(recipe: Recipe) -> None:
    """Losses, weights and the optimizer's memory of both engines are the same after eight steps."""
    _, theirs, ours = sessions(recipe)
    close(ours.advance(8), theirs.advance(8), **bound("trace"))
    first, second = nets.build(recipe, 2, 3), nets.build(recipe, 2, 3)
    ours.pull(first)
    theirs.pull(second)
    for (label, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        close(a.detach(), b.detach(), rel=1e-4, why=f"{label}: Adam's first steps divide by gradients near 0")
    a, b = ours.state(), theirs.state()
    assert a.keys() == b.keys()
    for key in a:
        close(a[key], b[key], rel=1e-4, why=f"{key}: as above")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"encoding": "grid:levels=3,base=4"},
        {"activation": "lwta"},
        {"activation": "prelu", "dropout": (0.0, 0.3)},
        {"backward": "feedback-alignment"},
        {"backward": "feedback-alignment", "activation": "tanh"},
    ],
)
def test_eight_steps_in_bfloat16_equal_the_eager_engine(changes: dict[str, Any]) -> None:
    recipe = SMALL.replace(**({"net": (24, 16), "precision": "bfloat16"} | changes))
    data = picture_data(13, 17)
    net = nets.build(recipe, 2, 3)
    theirs = eager.prepare(net, data, recipe, 40)
    ours = native.NativeSession(net, data, recipe, 40)  # also where the processor has no products of bfloat16
    close(
        ours.advance(8),
        theirs.advance(8),
        rel=1e-3,
        why="now and then a sum falls on the other side of a rounding",
    )


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("net", [(24, 40, 16), (9, 9), (1, 7), (33,), (100, 120)])
@pytest.mark.parametrize(
    ("threads", "more"), [(1, ""), (2, ""), (1, ",steps=4,blocks=2"), (2, ",steps=1,blocks=3")]
)
def test_muon_turns_hidden_matrices_by_the_formula(
    isa: str, net: tuple[int, ...], threads: int, more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_ISA", isa)
    recipe = SMALL.replace(net=net, optimizer=f"muon:momentum=0.9,auxiliary=0.1{more}", threads=threads)
    choice = pick(optimizers, recipe.optimizer)
    steps, blocks = choice.argument("steps"), choice.argument("blocks")
    start, theirs, ours = sessions(recipe)
    weights = {name: p.detach().double() for name, p in start.named_parameters()}
    buffers = {f"layers.{i}.weight": torch.zeros(1) for i in range(1, len(net))}
    for step in range(3):
        _, gradients = theirs.gradient(theirs.plan.minibatch(step))
        rate = theirs.plan.rates(step, 1)[0]
        close(
            ours.advance(1),
            theirs.advance(1),
            rel=0.02,
            why="native's products in Muon round to bfloat16 where the processor has them",
        )
        moved = nets.build(recipe, 2, 3)
        ours.pull(moved)
        for name, p in moved.named_parameters():
            if name not in buffers:
                continue
            gradient = gradients[name].double()
            buffers[name] = 0.9 * buffers[name] + 0.1 * gradient
            turn = optimizers.orthogonal(0.1 * gradient + 0.9 * buffers[name], steps, blocks)
            expected = -rate * max(1, p.shape[0] / p.shape[1]) ** 0.5 * turn
            off = float((p.detach() - weights[name] - expected).norm() / expected.norm())
            # float32 sums; with bfloat16 operands five steps keep two digits
            assert off < (0.04 if _native.half_is_fast(isa) else 1e-3), (name, step, off)
        theirs.load(moved, ours.state())
        weights = {name: p.detach().double() for name, p in moved.named_parameters()}


@pytest.mark.parametrize(
    "name", ["relu, adam", "momentum", "sample by sample", "muon", "lwta", "prelu", "feedback alignment"]
)
def test_the_engines_take_over_from_one_another(name: str) -> None:
    recipe = SMALL.replace(**(VARIANTS | {"muon": {"optimizer": "muon"}})[name])
    tolerance = (
        bound("trace")
        if name != "muon"
        else {"rel": 0.02, "why": "native's Muon rounds to bfloat16 where that is fast"}
    )
    net, theirs, ours = sessions(recipe)
    theirs.advance(4)
    theirs.pull(net)
    ours.load(net, theirs.state())
    close(ours.advance(4), theirs.advance(4), **tolerance)
    back = nets.build(recipe, 2, 3)
    ours.pull(back)
    _, fresh, _ = sessions(recipe)
    fresh.load(back, ours.state())
    close(fresh.advance(4), ours.advance(4), **tolerance)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch": 1, "optimizer": "sgd", "rate": 0.05},
        {"clip": 0.1},
        {"encoding": "grid:levels=4,log2_table=7"},
        {"activation": "lwta", "backward": "feedback-alignment"},
        {"activation": "prelu", "encoding": "grid:levels=4,log2_table=7"},
    ],
)
def test_runs_are_bit_equal_wherever_they_are_cut(threads: int, changes: dict[str, Any]) -> None:
    recipe = SMALL.replace(threads=threads, net=(40, 30), **changes)
    ends = []
    for cuts in ([20], [1] * 20, [7, 6, 7], [20]):
        _, _, ours = sessions(recipe)
        losses = np.concatenate([ours.advance(k) for k in cuts])
        net = nets.build(recipe, 2, 3)
        ours.pull(net)
        ends.append(
            [
                losses,
                *[p.detach().numpy() for p in net.parameters()],
                *[v.numpy() for v in ours.state().values()],
            ]
        )
        ours.close()
    for end in ends[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(end, ends[0], strict=True))


@pytest.mark.parametrize("loss", ["mse", "l1", "half_square", "cross_entropy:smoothing=0.1"])
@pytest.mark.parametrize("changes", [{}, {"threads": 2}, {"optimizer": "sgd", "batch": 1}])
def test_the_loss_of_each_sample_is_that_of_the_sample_alone(loss: str, changes: dict[str, Any]) -> None:
    """At a rate of 0 all steps see the same net, so an epoch says what every sample's loss is."""
    recipe = SMALL.replace(loss=loss, sampling="error", rate=1e-30, schedule="constant", **changes)
    net, _, ours = sessions(recipe)
    data = picture_data(13, 17)
    ours.advance(ours.plan.per_epoch)
    with torch.no_grad():
        outputs, targets = net(torch.from_numpy(data.inputs)), torch.from_numpy(data.targets)
    expected = losses.each(pick(losses, loss), outputs, targets)
    close(ours.state()["sampling/errors"], expected, rel=1e-5, why="sums in another order")
    assert float(expected.mean()) == pytest.approx(float(pick(losses, loss)(outputs, targets)), rel=1e-5)


def test_inputs_encoded_stretch_by_stretch_are_sampled_by_error_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = SMALL.replace(sampling="error")
    _, _, kept = sessions(recipe)
    monkeypatch.setattr(native, "KEPT_BYTES", 0)
    monkeypatch.setattr(native, "STRETCH_ROWS", 100)
    _, _, ours = sessions(recipe)
    assert np.array_equal(ours.advance(12), kept.advance(12))


def test_saving_and_loading_changes_no_bit() -> None:
    net, _, ours = sessions(SMALL)
    ours.advance(5)
    ours.pull(net)
    state = ours.state()
    _, _, other = sessions(SMALL)
    other.load(net, state)
    assert np.array_equal(ours.advance(7), other.advance(7))


def test_a_state_without_the_moments_is_refused() -> None:
    net, _, ours = sessions(SMALL)
    with pytest.raises(RunError, match=r"layers\.0\.weight"):
        ours.load(net, {"step": torch.tensor(3)})


def test_the_2012_program_runs_sample_by_sample() -> None:
    recipe = NAMED["2012"][0].replace(net=(30, 20), threads=2)
    _, theirs, ours = sessions(recipe, 221)
    close(ours.advance(221), theirs.advance(221), rel=1e-4, why="221 updates one after the other in float32")


@pytest.mark.parametrize("activation", ["silu", "lwta", "lwta:block=4", "prelu"])
def test_painting_equals_the_net_whatever_the_tile(activation: str) -> None:
    net = nets.build(SMALL.replace(encoding="positional:bands=4", activation=activation, net=(16, 13)), 2, 3)
    assert native.can_paint(net)
    x = picture_data(37, 53).inputs
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    close(native.predict(net, x), expected, rel=1e-5, why="sums in another order")
    engine = native.trainer(net, SMALL.replace(activation=activation))
    with torch.no_grad():
        encoded = net.encoding(torch.from_numpy(x)).contiguous().numpy()
        layers = list(net.hidden(torch.from_numpy(x)))
    why = "sums in another order"
    whole = engine.predict(encoded)
    assert np.array_equal(
        whole, np.concatenate([engine.predict(encoded[:777]), engine.predict(encoded[777:])])
    )
    for index, layer in enumerate(layers):
        close(engine.activations(index, encoded), layer.post, rel=1e-5, why=why)
        close(engine.activations(index, encoded, pre=True), layer.pre, rel=1e-5, why=why)


def test_a_net_with_a_grid_is_painted() -> None:
    recipe = SMALL.replace(encoding="grid:levels=4,base=5,log2_table=7", net=(20,))
    net = nets.build(recipe, 2, 3, aspect=1.4)
    x = np.concatenate([picture_data(37, 53).inputs, np.array([[0, 0], [1, 1], [0, 1], [1, 0]], np.float32)])
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    close(native.predict(net, x), expected, rel=1e-5, why="sums in another order")


def test_inputs_too_large_to_keep_are_encoded_stretch_by_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = SMALL.replace(encoding="fourier:bands=8,sigma=2")
    _, _, kept = sessions(recipe)
    monkeypatch.setattr(native, "KEPT_BYTES", 0)
    monkeypatch.setattr(native, "STRETCH_ROWS", 100)
    _, _, ours = sessions(recipe)
    assert np.array_equal(ours.advance(12), kept.advance(12))


# Refusals ----------------------------------------------------------------------------------------------------


def test_what_is_lacking_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert native.why_not(Recipe()) is None
    lacks = native.why_not(Recipe(activation="lwta:block=3"))
    assert lacks == "it has no activation lwta but with block=2 or 4"
    assert not native.can_paint(nets.build(SMALL.replace(activation="lwta:block=3"), 2, 3))
    monkeypatch.setenv("SFUMATO_ISA", "plain")
    recipe = SMALL.replace(precision="bfloat16")
    with pytest.raises(EngineError, match="no products of bfloat16"):
        native.prepare(nets.build(recipe, 2, 3), picture_data(4, 4), recipe, 1)


def test_without_the_module_the_engine_says_so() -> None:
    code = (
        "import sys; sys.modules['sfumato._native'] = None\n"
        "from sfumato.engine import native, settle; from sfumato.recipe import Recipe\n"
        "print(native.why_not(Recipe())); print(settle(Recipe())[1])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert "not built" in run.stdout and run.stdout.split()[-1] == "eager"


def test_the_stub_is_what_the_module_says() -> None:
    """`make stub` writes it anew after a change in native/bind.cc."""
    stub = StubGen(_native)
    stub.put(_native)
    assert (Path(sfumato.__file__).parent / "_native.pyi").read_text(encoding="utf-8") == stub.get()


def ready(**settings: Any) -> Any:
    engine = trainer(**{"inputs": 2, "hidden": [5], "outputs": 3} | settings)
    engine.set(_native.Kind.values, arrays(engine.shapes))
    engine.set_data(*samples(10, 2, 3))
    return engine


@pytest.mark.parametrize(
    "settings",
    [
        {"inputs": 0},
        {"outputs": -1},
        {"hidden": [0]},
        {"epsilon": 0.0},
        {"first": 1.0},
        {"threads": 0},
        {"chunk": -1},
        {"isa": "abacus"},
        {"factors": [1.0]},
        {"parameter": float("nan")},
        {"clip": -1.0},
        {"activation": "lwta", "parameter": 3.0},
        {"levels": [(4, 0, False)]},
        {"levels": [(4, 4, False)], "features": 3},
        {"levels": [(4, 4, True)], "log2_table": 25},
        {"levels": [(1 << 15, 1 << 15, False)]},
    ],
)
def test_a_trainer_that_cannot_be_meant_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        trainer(**{"inputs": 2, "hidden": [5], "outputs": 3} | settings)


def test_bad_arrays_raise_and_never_crash() -> None:
    engine = ready()
    x, y = samples(10, 2, 3)
    good = arrays(engine.shapes)
    order, sizes, rates = np.arange(10, dtype=np.int32), np.array([4, 6], np.int32), np.ones(2)
    losses = np.empty(2, np.float32)
    read_only = np.empty(2, np.float32)
    read_only.flags.writeable = False
    refused: list[tuple[type[Exception], Any]] = [
        (TypeError, lambda: engine.set_data(x.astype(float), y)),
        (TypeError, lambda: engine.set_data(x[:, ::-1], y)),
        (TypeError, lambda: engine.set_data(x[0], y)),
        (ValueError, lambda: engine.set_data(x[:, :1].copy(), y)),
        (ValueError, lambda: engine.set_data(x[:9], y)),
        (ValueError, lambda: engine.set_data(x[:0], y[:0])),
        (ValueError, lambda: engine.set_data(np.full_like(x, np.nan), y)),
        (ValueError, lambda: engine.set_data(x, np.full_like(y, np.inf))),
        (ValueError, lambda: engine.set(_native.Kind.values, good[:-1])),
        (ValueError, lambda: engine.set(_native.Kind.values, [good[0].reshape(2, 5), *good[1:]])),
        (ValueError, lambda: engine.set(_native.Kind.values, [good[0] * np.nan, *good[1:]])),
        (TypeError, lambda: engine.set("values", good)),
        (TypeError, lambda: engine.set(_native.Kind.values, [good[0].T.copy().T, *good[1:]])),
        (IndexError, lambda: engine.gradient(np.array([10], np.int32))),
        (IndexError, lambda: engine.gradient(np.array([-1], np.int32))),
        (ValueError, lambda: engine.gradient(np.empty(0, np.int32))),
        (TypeError, lambda: engine.gradient(np.array([1]))),
        (ValueError, lambda: engine.advance(order[:9], sizes, rates, losses)),
        (ValueError, lambda: engine.advance(order, sizes, rates[:1], losses)),
        (ValueError, lambda: engine.advance(order, sizes, rates, losses[:1])),
        (ValueError, lambda: engine.advance(order, np.array([0, 10], np.int32), rates, losses)),
        (ValueError, lambda: engine.advance(order, np.array([20, -10], np.int32), rates, losses)),
        (ValueError, lambda: engine.advance(order, sizes, rates * np.nan, losses)),
        (ValueError, lambda: engine.advance(order, sizes, rates, losses, np.zeros(1, np.uint32))),
        (IndexError, lambda: engine.advance(order + 1, sizes, rates, losses)),
        (TypeError, lambda: engine.advance(order, sizes, rates.astype(np.float32), losses)),
        (TypeError, lambda: engine.advance(order, sizes, None, losses)),
        (TypeError, lambda: engine.advance(order, sizes, rates, read_only)),
        (TypeError, lambda: engine.advance(order, sizes, rates, np.empty(4, np.float32)[::2])),
        (ValueError, lambda: engine.advance(order, sizes, rates, losses, errors=np.empty(9, np.float32))),
        (TypeError, lambda: engine.advance(order, sizes, rates, losses, errors=np.empty(10))),
        (ValueError, lambda: engine.predict(y)),
        (IndexError, lambda: engine.activations(1, x)),
    ]
    before = engine.predict(x)
    for error, call in refused:
        with pytest.raises(error):
            call()
    assert np.array_equal(engine.predict(x), before)


def test_read_only_arrays_are_read_and_nothing_is_a_valid_amount_of_work() -> None:
    engine = ready()
    x, y = samples(10, 2, 3)
    x.flags.writeable = y.flags.writeable = False
    engine.set_data(x, y)
    assert engine.predict(x[:0]).shape == (0, 3)
    nothing = np.empty(0, np.int32)
    before = engine.updates
    engine.advance(nothing, nothing, np.empty(0), np.empty(0, np.float32))
    assert engine.updates == before


def test_denormals_are_flushed_inside_and_only_inside() -> None:
    torch.set_flush_denormal(False)  # the eager engine may have switched it on
    small = np.array([1e-40], np.float32)
    engine = ready()
    rows = np.arange(10, dtype=np.int32)
    for _ in range(3):
        engine.advance(rows, np.array([10], np.int32), np.ones(1), np.empty(1, np.float32))
    assert (small * np.float32(1)).item() > 0  # the caller's mode came back
    weights = arrays(engine.shapes)
    engine.set(_native.Kind.first, [np.full_like(w, 1e-38) for w in weights])
    engine.set(_native.Kind.second, [np.full_like(w, 1e-38) for w in weights])
    engine.set(_native.Kind.values, [w * 0 for w in weights])  # so that hidden gradients are exactly 0
    engine.advance(rows, np.array([10], np.int32), np.zeros(1), np.empty(1, np.float32))
    moments = engine.get(_native.Kind.first)[0]
    assert (moments == 0).all(), "0.9e-38 is denormal and must have become 0"


def test_a_sample_a_step_keeps_the_precision_that_was_asked_for() -> None:
    """It has code of its own, in float32; a limit that is never reached forces the ordinary one."""
    found = {}
    for precision in ("float32", "bfloat16"):
        for clip in (0.0, 1e30):
            engine = ready(method="sgd", first=0.0, hidden=[20, 20], precision=precision, clip=clip)
            losses = np.empty(10, np.float32)
            engine.advance(np.arange(10, dtype=np.int32), np.ones(10, np.int32), np.full(10, 0.1), losses)
            found[precision, clip] = engine.get(_native.Kind.values)[2]
    assert np.array_equal(found["bfloat16", 0.0], found["bfloat16", 1e30])
    assert not np.array_equal(found["bfloat16", 0.0], found["float32", 0.0])


def test_automatic_precision_of_a_sample_a_step_is_float32() -> None:
    assert engine.settle(NAMED["2012"][0].replace(precision="auto")).recipe.precision == "float32"


@pytest.mark.parametrize("isa", native.usable_sets())
def test_a_sample_a_step_gives_the_same_bits_by_one_thread_and_by_two(isa: str) -> None:
    """Two threads halve each layer where that is faster; which way was taken must not show."""
    x, y = samples(77, 2, 3)
    order = np.arange(700, dtype=np.int32) * 31 % 77  # long enough for both ways to have been tried
    found = []
    for threads in (1, 2, 3):
        engine = trainer(
            inputs=2, hidden=[250, 290], outputs=3, method="sgd", first=0.0, threads=threads, isa=isa
        )
        engine.set(_native.Kind.values, arrays(engine.shapes))
        engine.set_data(x, y)
        losses = np.empty(700, np.float32)
        engine.advance(order, np.ones(700, np.int32), np.full(700, 0.01), losses)
        found.append([losses, *engine.get(_native.Kind.values)])
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))
