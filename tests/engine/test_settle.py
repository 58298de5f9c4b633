"""A recipe means one thing, whichever engine is there: decided once, by `engine.settle`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compare import close

from sfumato import engine, nets
from sfumato.data import Data
from sfumato.engine import native
from sfumato.errors import EngineError
from sfumato.learning import feedback, losses, optimizers, sampling, schedules
from sfumato.nets import activations, encodings, layers, net_initializers
from sfumato.recipe import NAMED, Recipe, pick, public
from sfumato.recipe.fields import PRECISIONS
from sfumato.training import train

SMALL = {"net": (6, 4), "batch": 48, "epochs": 3.0, "threads": 1, "precision": "float32"}


def _knows(name: str) -> bool:
    """Whether the native engine has kernels for an activation."""
    return getattr(public(activations)[name], "native", None) is not None


@pytest.mark.parametrize("name", public(activations))
@pytest.mark.parametrize("recipe", NAMED)
def test_any_activation_may_replace_that_of_a_named_recipe(recipe: str, name: str) -> None:
    """What has no meaning for the new unit is set to what it means, and said; the engine has no part in it."""
    wanted = NAMED[recipe][0].replace(activation=name, precision="float32")
    able = [one for one in ("eager", "native") if engine.engine(one).why_not(wanted) is None]
    assert "eager" in able and ("native" in able) == (_knows(name) and bool(native.usable_sets()))
    settled = [engine.settle(wanted.replace(engine=one)) for one in able]
    assert len({one.recipe.replace(engine="auto").to_json() for one in settled}) == 1
    rectifies = activations.__dict__[name].__dict__.get("rectifier", False)
    assert settled[0].recipe.wake == (NAMED[recipe][0].wake if rectifies else 0)
    assert any("wake" in note for note in settled[0].notes) == (bool(NAMED[recipe][0].wake) and not rectifies)


VARIANTS = {
    "activation": activations,
    "encoding": encodings,
    "layer": layers,
    "backward": feedback,
    "init": net_initializers,
    "loss": losses,
    "optimizer": optimizers,
    "schedule": schedules,
    "sampling": sampling,
}
EVERY = [
    *((field, name) for field, module in VARIANTS.items() for name in public(module)),
    *(("precision", name) for name in PRECISIONS),
    *(("skip", True), ("clip", 0.01), ("warmup", 0.5), ("dropout", (0.2, 0.3)), ("coordinates", "corners")),
    *(("batch", 1), ("batch", 500), ("net", (7,)), ("steps", 4)),
]


@pytest.mark.parametrize(("field", "value"), EVERY)
def test_every_variant_means_the_same_to_every_engine(field: str, value: Any, tiny: Data) -> None:
    """The same painting within tolerance, or a refusal by name of an engine that was asked for."""
    recipe = Recipe(**{**SMALL, "wake": 2, "rate": 1e-3, field: value})
    if pick(optimizers, recipe.optimizer, "optimizer").fact("whole_data"):
        recipe = recipe.replace(batch=tiny.samples)
    painted, settled = {}, {}
    for one in ("eager", "auto", "native", "regrouped"):
        try:
            settled[one] = engine.settle(recipe.replace(engine=one))
        except EngineError:
            assert one in ("native", "regrouped")
            continue
        net = nets.build(settled[one].recipe, 2, 3)
        for _ in train(net, tiny, settled[one].recipe.replace(engine=settled[one].engine)):
            pass
        painted[one] = nets.predict(net, tiny.inputs)
    half = {one.recipe.precision for one in settled.values()} != {"float32"}
    for name, other in painted.items():
        if half:
            close(other, painted["eager"], rel=3e-2, why=f"15 steps, operands of 8 bits: {name}")
        else:
            close(
                other, painted["eager"], rel=1e-3, why=f"15 steps in float32, sums in another order: {name}"
            )


def test_a_passed_over_engine_is_said_with_its_price(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(recipe: Recipe) -> str:
        return "it has no such thing\nhint: none"

    monkeypatch.setattr(engine.engine("native"), "why_not", lacks)
    (note,) = engine.settle(Recipe()).notes
    assert note.startswith("engine native is passed over: it has no such thing; PyTorch usually takes")
    assert note.endswith("\nhint: none")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(engine.engine("cuda"), "why_not", lacks)
    assert [note.split()[1] for note in engine.settle(Recipe()).notes] == ["cuda", "native"]


def test_training_in_python_says_it_too(tiny: Data) -> None:
    recipe = Recipe(**SMALL, activation="sine", wake=2)
    net = nets.build(recipe, 2, 3)
    with pytest.warns(UserWarning, match="wake=2 is for rectifiers"):
        next(train(net, tiny, recipe))


@pytest.mark.parametrize(("precision", "half"), [("auto", "bfloat16"), ("auto-all", "bfloat16-all")])
def test_auto_is_what_this_processor_is_good_at(precision: str, half: str) -> None:
    fast = bool(native.usable_sets()) and native.why_not(Recipe(precision=half)) is None
    assert engine.settle(Recipe(precision=precision)).recipe.precision == (half if fast else "float32")
    assert engine.settle(Recipe(precision=precision, engine="eager")).recipe.precision == "float32"
