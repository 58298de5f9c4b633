"""The native engine: C++ that trains without coming back to Python between steps (`sfumato._native`).

It does what `eager` does, in float32, with the same minibatches and rates. What it lacks, `why_not` names. The
module is optional: without it, or where it is of other sources than the checkout's (`_compiled`), the package
works and this engine says so.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .._compiled import MISSING
from ..data import Array, Data
from ..errors import EngineError
from ..learning import losses, optimizers
from ..learning.detour import fixed_matrices
from ..learning.plan import Plan
from ..learning.session import remembered
from ..learning.waking import wake
from ..machine import available_threads
from ..nets import Net, activations, layers
from ..nets.encodings import Grid
from ..recipe import Choice, Recipe, pick
from ._torch import borrowed
from .eager import DROPOUT_STREAM

with contextlib.suppress(ImportError):  # then MISSING says so
    import sfumato._native as _native

__all__ = [
    "NativeSession",
    "can_paint",
    "instruction_set",
    "lacking",
    "missing",
    "peak",
    "predict",
    "prepare",
    "set_weights",
    "settings_of",
    "start",
    "trainer",
    "usable_sets",
    "why_not",
]

KEPT_BYTES = 1 << 30
"""Encoded inputs up to this size are computed once; larger ones anew for each stretch."""

STRETCH_ROWS = 1 << 22
"""Samples handed over at a time, so that their order takes 16 MB at most and Ctrl-C is heard between calls."""

PAINTED_ROWS = 1 << 16
"""Samples encoded at a time when painting."""


def missing() -> str | None:
    """Why the module cannot be used here for anything, as a sentence and a hint; None where it can."""
    return MISSING


def usable_sets() -> list[str]:
    """Instruction sets that can run here, best first; empty if the module is missing."""
    return [] if missing() else list(_native.usable_sets())


def peak(isa: str = "") -> float:
    """FLOP a second that one core's float32 multiply-adds reach at this moment, measured in a few milliseconds.

    isa: as in `trainer`. The module must not be missing.
    """
    return float(_native.peak(isa))


def instruction_set() -> str:
    """The one that a session takes here."""
    return os.environ.get("SFUMATO_ISA") or next(iter(usable_sets()), "none")


def why_not(recipe: Recipe) -> str | None:
    """The first thing that the native engine lacks for this recipe, as a sentence; None if it can run it."""
    if reason := missing():
        return reason
    activation = pick(activations, recipe.activation, "activation")
    if lacks := lacking(activation):
        return f"it has {lacks}"
    layer = pick(layers, recipe.layer, "layer")
    if not layer.fact("plain"):
        return f"it has no layers {layer.name}"
    if recipe.residual:
        return "it has no residual connections"
    loss = pick(losses, recipe.loss, "loss")
    if loss.fact("native") not in _native.Loss.__members__:
        return f"it has no loss {loss.name}"
    optimizer = pick(optimizers, recipe.optimizer, "optimizer")
    if optimizer.fact("native") not in _native.Method.__members__:
        return f"it has no optimizer {optimizer.name}"
    if (
        recipe.precision != "float32"
        and not recipe.precision.startswith("auto")
        and not _native.half_is_fast()
    ):
        return "this processor has no products of bfloat16, and imitating them is slower than float32"
    return None


def prepare(net: Net, data: Data, recipe: Recipe, total_steps: int) -> NativeSession:
    """A session that starts from the weights of `net`; EngineError if this engine cannot run the recipe."""
    reason = why_not(recipe)
    if reason:
        raise EngineError(f"engine native cannot run this recipe: {reason}")
    return NativeSession(net, data, recipe, total_steps)


class NativeSession:
    """A `Session` whose weights live in the C++ module."""

    def __init__(self, net: Net, data: Data, recipe: Recipe, total_steps: int) -> None:
        self.step = 0
        self.plan = Plan(recipe, data.samples, total_steps, data.inputs)
        self._encoding = net.encoding.eval()
        self._recipe = recipe
        self._mirror = copy.deepcopy(net)
        self._names = list(_parameters(net))
        self._moments = _moments(net, pick(optimizers, recipe.optimizer, "optimizer"))
        self._trainer = trainer(net, recipe)
        self._inputs, self._targets = data.inputs, data.targets
        width = 2 if isinstance(net.encoding, Grid) else int(net.encoding.width)  # type: ignore[arg-type]
        self._resident = data.samples * width * 4 <= KEPT_BYTES
        if self._resident:
            self._trainer.set_data(_encoded(self._encoding, data.inputs), data.targets)

    def advance(self, steps: int) -> npt.NDArray[np.float32]:
        """See `Session.advance`."""
        losses, done = np.empty(steps, np.float32), 0
        most = max(1, STRETCH_ROWS // self.plan.batch)
        while done < steps:
            count = self.plan.known(self.step, min(steps - done, most))
            wakes = next((k for k in range(1, count + 1) if self.plan.wakes(self.step + k - 1)), 0)
            count = wakes or count
            order, sizes = rows, _ = self.plan.stretch(self.step, count)
            errors = np.empty(len(rows), np.float32) if self.plan.follows_errors else None
            if not self._resident:
                self._trainer.set_data(_encoded(self._encoding, self._inputs[order]), self._targets[order])
                order = np.arange(len(order), dtype=np.int32)
            rates, seeds = self.plan.rates(self.step, count), self._seeds(count)
            self._trainer.advance(order, sizes, rates, losses[done : done + count], seeds, errors)
            self.step += count
            done += count
            if errors is not None:
                self.plan.record(rows, errors, self.step)
            if wakes:
                self._wake(rows[-int(sizes[-1]) :])
        return losses

    def _seeds(self, count: int) -> npt.NDArray[np.uint32] | None:
        """Of each step's dropout; PyTorch's CPU generator reads the lower half of the eager engine's 64 bits."""
        if not self._recipe.dropout:
            return None
        steps = range(self.step, self.step + count)
        streams = (np.random.SeedSequence([self._recipe.seed, DROPOUT_STREAM, step]) for step in steps)
        return np.array([stream.generate_state(2)[1] for stream in streams], np.uint32)

    @torch.no_grad()
    def _wake(self, rows: npt.NDArray[np.int32]) -> None:
        """A forward pass of the layers by PyTorch, every so many steps."""
        net = self._mirror
        self.pull(net)
        with borrowed(self._recipe.threads):
            wake(net, net.encoding(torch.from_numpy(self._inputs[rows])))
        set_weights(self._trainer, _parameters(net).values())

    def gradient(self, rows: npt.NDArray[np.int32]) -> tuple[float, dict[str, Tensor]]:
        """Loss and gradient of the samples `rows` at the present weights, for tests."""
        if not self._resident:
            self._trainer.set_data(_encoded(self._encoding, self._inputs[rows]), self._targets[rows])
            rows = np.arange(len(rows), dtype=np.int32)
        loss, arrays = self._trainer.gradient(rows)
        return loss, {n: torch.from_numpy(a) for n, a in zip(self._names, arrays, strict=True)}

    def pull(self, net: Net) -> None:
        """See `Session.pull`."""
        with torch.no_grad():
            for parameter, array in zip(
                _parameters(net).values(), self._trainer.get(_native.Kind.values), strict=True
            ):
                parameter.copy_(torch.from_numpy(array))

    def state(self) -> dict[str, Tensor]:
        """See `Session.state`."""
        result = {"step": torch.tensor(self.step)} | self.plan.state()
        if self.step:
            for kind, moments in self._moments.items():
                for name, array in zip(self._names, self._trainer.get(_native.Kind[kind]), strict=True):
                    if name in moments:
                        result[f"{moments[name]}/{name}"] = torch.from_numpy(array)
        return result

    def load(self, net: Net, state: Mapping[str, Tensor]) -> None:
        """See `Session.load`; raises RunError if the state belongs to another net or optimizer."""
        parameters = _parameters(net)
        step = int(state["step"])
        loaded: dict[str, list[Array]] = {}
        for kind, moments in self._moments.items():
            loaded[kind] = []
            for name, parameter in parameters.items():
                kept = step and name in moments
                value = (
                    remembered(state, moments[name], name, parameter.shape)
                    if kept
                    else torch.zeros_like(parameter)
                )
                loaded[kind].append(_array(value))
        set_weights(self._trainer, _parameters(net).values())
        for kind, arrays in loaded.items():
            self._trainer.set(_native.Kind[kind], arrays)
        self._trainer.updates = self.step = step
        self.plan.load(state)

    @property
    def work(self) -> tuple[float, float]:
        """Multiplications between hidden layers and into the readout so far, and what they were with every unit.

        (0, 0) where silent units are not looked for: only rectified units and those that compete (LWTA) are.
        """
        done, every = self._trainer.work
        return done, every

    def close(self) -> None:
        """See `Session.close`."""
        del self._trainer


def can_paint(net: Net) -> bool:
    """Whether `predict` works here for this net."""
    return not missing() and net.dense and not net.residual and not lacking(net.activation)


def lacking(activation: Choice) -> str | None:
    """What the module, which must not be missing, lacks of an activation: `no activation ...`; None if nothing."""
    if activation.fact("native") not in _native.Activation.__members__:
        return f"no activation {activation.name}"
    parameter, values = activation.fact("native_parameter"), activation.fact("native_values")
    if values and activation.argument(parameter) not in values:
        return f"no activation {activation.name} but with {parameter}={' or '.join(map(str, values))}"
    return None


def predict(net: Net, inputs: Array, threads: int = 0) -> Array:
    """What `net` puts out for inputs (N, D), in bounded memory: float32 (N, C).

    threads: 0 = all that this process may use. Raises EngineError if the module is missing or lacks the net's
    activation.
    """
    recipe = Recipe(
        net=net.widths, activation=str(net.activation), skip=net.skip is not None, threads=threads
    )
    reason = why_not(recipe)
    if reason:
        raise EngineError(f"engine native cannot paint with this net: {reason}")
    engine = trainer(net, recipe)
    outputs = np.empty((len(inputs), net.outputs), np.float32)
    for low in range(0, len(inputs), PAINTED_ROWS):
        part = slice(low, low + PAINTED_ROWS)
        outputs[part] = engine.predict(_encoded(net.encoding, inputs[part]))
    return outputs


def settings_of(
    widths: Sequence[int], activation: Choice, *, skip: bool, precision: str, threads: int
) -> _native.Settings:
    """The module's `Settings` of a net of these widths (inputs, hidden layers, outputs), all else at its default.

    precision: of the recipe, `auto` and `auto-all` being float32. threads: 0 = all that this process may use.
    """
    settings = _native.Settings()
    settings.inputs, settings.outputs = widths[0], widths[-1]
    settings.hidden = list(widths[1:-1])
    settings.skip = skip
    settings.activation = _native.Activation[activation.fact("native")]
    if parameter := activation.fact("native_parameter"):
        settings.parameter = float(activation.argument(parameter))
    if not precision.startswith("auto"):
        settings.precision = _native.Precision[precision.replace("-", "_")]
    settings.threads = threads or available_threads()
    return settings


def start(settings: _native.Settings) -> _native.Trainer:
    """The module's `Trainer`, its weights still 0; EngineError for settings that it refuses or cannot afford."""
    try:
        return _native.Trainer(settings)
    except ValueError as error:
        raise EngineError(f"engine native: {error}") from error
    except (MemoryError, RuntimeError) as error:  # the latter: the system gives no more threads
        reason = "not enough memory" if isinstance(error, MemoryError) else str(error)
        raise EngineError(
            f"engine native cannot start with {settings.threads} threads: {reason}\n"
            "hint: fewer threads (--set threads=N), a smaller net, or more memory"
        ) from error


def trainer(net: Net, recipe: Recipe, isa: str = "") -> _native.Trainer:
    """The module's `Trainer` of the shape of `net` and with its weights.

    isa: an instruction set of `usable_sets`; "" = SFUMATO_ISA from the environment, else the best.
    """
    settings = settings_of(
        [int(net.encoding.width), *net.widths, net.outputs],  # type: ignore[arg-type]  # an int, see encodings
        net.activation,
        skip=net.skip is not None,
        precision=recipe.precision,
        threads=recipe.threads,
    )
    settings.isa = isa
    loss = pick(losses, recipe.loss, "loss")
    settings.loss = _native.Loss[loss.fact("native")]
    for argument, name in loss.fact("native_arguments", {}).items():
        setattr(settings, name, loss.argument(argument))
    settings.clip = recipe.clip
    settings.dropped_inputs, settings.dropped_hidden = recipe.dropout or (0.0, 0.0)
    _set_rule(settings, net, pick(optimizers, recipe.optimizer, "optimizer"))
    fixed = fixed_matrices(net, recipe)
    settings.feedback = bool(fixed)
    if isinstance(net.encoding, Grid):
        _set_grid(settings.grid, net.encoding)
    engine = start(settings)
    set_weights(engine, _parameters(net).values())
    if fixed:
        engine.set_feedback([_array(matrix) for matrix in fixed])
    return engine


def set_weights(engine: _native.Trainer, parameters: Iterable[Tensor]) -> None:
    """Copy parameters into the module, in its order; ValueError if one is not finite."""
    engine.set(_native.Kind.values, [_array(parameter) for parameter in parameters])


def _set_rule(settings: _native.Settings, net: Net, optimizer: Choice) -> None:
    settings.method = _native.Method[optimizer.fact("native")]
    for argument, name in optimizer.fact("native_arguments").items():
        setattr(settings, name, optimizer.argument(argument))
    if optimizer.fact("fixed_factors"):
        groups = [group for one in optimizer(net) for group in one.param_groups]
        factors = {id(p): float(group["factor"]) for group in groups for p in group["params"]}
        linear = [*net.layers, net.readout, *([net.skip] if net.skip is not None else [])]
        settings.factors = [factors[id(layer.weight)] for layer in linear]


def _moments(net: Net, optimizer: Choice) -> dict[str, dict[str, str]]:
    """What the optimizer remembers: the module's kind of array -> parameter -> PyTorch's name, as in `state`."""
    kept = optimizers.memory(net, optimizer(net))
    kinds = {
        kind: {name: list(moments)[place] for name, moments in kept.items() if len(moments) > place}
        for place, kind in enumerate(("first", "second"))
    }
    return {kind: moments for kind, moments in kinds.items() if moments}


def _set_grid(settings: _native.GridSettings, grid: Grid) -> None:
    settings.levels = [
        _native.GridLevel(across, down, hashed)
        for (across, down), hashed in zip(grid.cells, grid.hashed, strict=True)
    ]
    settings.features = grid.features
    settings.log2_table = max(s.bit_length() - 1 for s in grid.sizes) if any(grid.hashed) else 1


def _parameters(net: Net) -> dict[str, Tensor]:
    """The parameters that the module trains, by name, in its order."""
    found = dict(net.named_parameters())
    order = [f"layers.{i}.{kind}" for i in range(len(net.layers)) for kind in ("weight", "bias")]
    order += ["readout.weight", "readout.bias"] + (["skip.weight"] if net.skip is not None else [])
    order += ["encoding.table"] if isinstance(net.encoding, Grid) else []
    order += [name for name in found if name.startswith("units.")]
    return {name: found[name] for name in order}


def _array(value: Tensor) -> Array:
    return np.ascontiguousarray(value.detach().cpu().float().numpy())


def _encoded(encoding: torch.nn.Module, inputs: Array) -> Array:
    """What the module calls features: the encoded inputs, or the points themselves where it has the grid."""
    if isinstance(encoding, Grid):
        return np.ascontiguousarray(inputs)
    with torch.no_grad():
        return _array(encoding(torch.from_numpy(np.ascontiguousarray(inputs))))
