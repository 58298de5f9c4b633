"""`FusedMLP` against the same net in plain PyTorch, after anything that may be done to a module."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from compare import close
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune

from sfumato.errors import EngineError, RecipeError

pytest.importorskip("sfumato._native", reason="the native engine is not built")
from sfumato.fused import FusedMLP

WHY = "float32 sums in another order"


class Twin(nn.Module):
    """The same parameters under the same names, one operation after another."""

    def __init__(self, fused: FusedMLP) -> None:
        super().__init__()
        self.activation = fused.activation
        self.layers, self.readout, self.skip = copy.deepcopy((fused.layers, fused.readout, fused.skip))

    def forward(self, x: Tensor) -> Tensor:
        value = x
        for layer in self.layers:
            value = self.activation(layer(value))
        value = self.readout(value)
        return value if self.skip is None else value + self.skip(x)


def pair(*, activation: str = "relu", skip: bool = True) -> tuple[FusedMLP, Twin]:
    torch.manual_seed(0)
    fused = FusedMLP(5, [33, 20], 4, activation=activation, skip=skip, threads=2)
    return fused, Twin(fused)


def results(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs, gradients of the inputs and of all parameters, under their names' order."""
    module.zero_grad()
    x = x.detach().clone().requires_grad_()
    out = module(x)
    functional.huber_loss(out, torch.full_like(out, 0.3), delta=0.2).backward()
    assert x.grad is not None
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in module.parameters()]
    return [out.detach(), x.grad, *(g.clone() for g in grads)]


def agree(fused: nn.Module, twin: nn.Module, rows: int = 143) -> None:
    x = torch.rand(rows, 5)
    for ours, theirs in zip(results(fused, x), results(twin, x), strict=True):
        close(ours, theirs, rel=2e-5, why=WHY)


@pytest.mark.parametrize("activation", ["relu", "sine:omega=5", "silu", "lwta"])
@pytest.mark.parametrize(("hidden", "skip"), [([33, 20], True), ([64], False), ([], True)])
def test_outputs_and_gradients_equal_plain_pytorch(activation: str, hidden: list[int], skip: bool) -> None:
    torch.manual_seed(0)
    fused = FusedMLP(5, hidden, 4, activation=activation, skip=skip, threads=2)
    agree(fused, Twin(fused))


def averaged(module: nn.Module) -> None:
    """An exponential moving average, written by hand."""
    for p in module.parameters():
        p.data.mul_(0.9).add_(0.1 * torch.ones_like(p))


def through_numpy(module: nn.Module) -> None:
    for p in module.parameters():
        p.detach().numpy()[...] *= 0.5


def one_bit(module: nn.Module) -> None:
    bits = next(module.parameters()).detach().view(torch.int32)
    bits[0, 0] ^= 1 << 20


def stepped(module: nn.Module) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01, foreach=True)
    results(module, torch.rand(50, 5, generator=torch.Generator().manual_seed(1)))
    optimizer.step()


def replaced(module: nn.Module) -> None:
    for p in module.parameters():
        p.data = p.data.flip(0).clone()


def strided(module: nn.Module) -> None:
    for p in module.parameters():
        p.data = torch.stack([p.data, p.data], -1)[..., 0] * 1.5


def frozen(module: nn.Module) -> None:
    next(module.parameters()).requires_grad_(False)


def new_layer(module: Any) -> None:
    torch.manual_seed(3)
    module.readout = nn.Linear(20, 4)


def vector(module: nn.Module) -> None:
    values = nn.utils.parameters_to_vector(module.parameters())
    nn.utils.vector_to_parameters(0.9 * values, module.parameters())


def larger(module: nn.Module) -> dict[str, Tensor]:
    return {name: 1.1 * value for name, value in module.state_dict().items()}


WRITES: dict[str, Callable[[Any], object]] = {
    "nothing": lambda m: None,
    "clamp": lambda m: [p.data.clamp_(-0.1, 0.1) for p in m.parameters()],
    "mul": lambda m: [p.data.mul_(0.5) for p in m.parameters()],
    "moving average": averaged,
    "through numpy": through_numpy,
    "one bit": one_bit,
    "no_grad": lambda m: [nn.init.normal_(p, 0, 0.2, torch.Generator().manual_seed(2)) for p in m.parameters()],
    "an optimizer": stepped,
    "new storage": replaced,
    "strided storage": strided,
    "vector": vector,
    "state_dict": lambda m: m.load_state_dict(larger(m)),
    "assigned state_dict": lambda m: m.load_state_dict(larger(m), assign=True),
    "shared memory": lambda m: m.share_memory(),
    "double and back": lambda m: m.double().float(),
    "frozen": frozen,
    "all frozen": lambda m: m.requires_grad_(False),
    "another layer": new_layer,
    "weight norm": lambda m: parametrizations.weight_norm(m.layers[1]),
    "orthogonal": lambda m: parametrizations.orthogonal(m.layers[1]),
    "spectral norm": lambda m: parametrizations.spectral_norm(m.readout).eval(),
    "parametrization removed": lambda m: parametrize.remove_parametrizations(
        parametrizations.weight_norm(m.layers[0]), "weight"
    ),
    "pruned for good": lambda m: prune.remove(prune.l1_unstructured(m.layers[0], "weight", amount=0.5), "weight"),
    "negated view": lambda m: setattr(m.layers[0].weight, "data", torch._neg_view(m.layers[0].weight.data)),
}  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_any_write_is_seen_at_the_next_call(write: str, activation: str) -> None:
    fused, twin = pair(activation=activation)
    agree(fused, twin)
    for module in (fused, twin):
        torch.manual_seed(4)
        WRITES[write](module)
    agree(fused, twin)
    WRITES["mul"](fused), WRITES["mul"](twin)
    agree(fused, twin)


def pickled(module: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(module))  # type: ignore[no-any-return]


def saved(module: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)  # type: ignore[no-any-return]


@pytest.mark.parametrize("how", [copy.deepcopy, pickled, saved, lambda m: pickled(pickled(copy.deepcopy(m)))])
def test_a_copy_is_a_module_of_its_own(how: Any) -> None:
    fused, twin = pair()
    agree(fused, twin)
    copied = how(fused)
    averaged(fused)
    agree(copied, twin)  # which did not see that write
    averaged(twin)
    agree(fused, twin)


def test_an_averaged_model_paints_the_average() -> None:
    fused, twin = pair()
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(0.5)
    ours, theirs = (torch.optim.swa_utils.AveragedModel(m, multi_avg_fn=average) for m in (fused, twin))
    for _ in range(3):
        for module, model in ((fused, ours), (twin, theirs)):
            stepped(module)
            model.update_parameters(module)
        agree(ours.module, theirs.module)


def test_other_weights_can_be_lent_to_it() -> None:
    """torch.func.functional_call; each backward pass uses the weights of its own forward pass."""
    fused, twin = pair()
    x = torch.rand(30, 5)
    lent = [{k: (f * v).detach().requires_grad_() for k, v in twin.named_parameters()} for f in (0.5, 2.0)]
    found = []
    for module in (fused, twin):
        outputs = [torch.func.functional_call(module, weights, (x,)) for weights in lent]
        averaged_out = (outputs[0] * outputs[1]).sum()
        found.append([*outputs, *torch.autograd.grad(averaged_out, [v for w in lent for v in w.values()])])
    for ours, theirs in zip(*found, strict=True):
        close(ours.detach(), theirs.detach(), rel=2e-5, why=WHY)


def test_a_write_between_the_passes_is_refused_or_does_not_matter() -> None:
    """PyTorch notices its own; one behind its back leaves the gradient that of the outputs that were given."""
    fused, twin = pair()
    expected = results(twin, torch.linspace(0, 1, 50).reshape(10, 5))
    x = torch.linspace(0, 1, 50).reshape(10, 5).requires_grad_()
    out = fused(x)
    averaged(fused)
    x.detach().numpy()[...] = 7
    functional.huber_loss(out, torch.full_like(out, 0.3), delta=0.2).backward()
    assert x.grad is not None
    found = [out.detach(), x.grad, *[p.grad for p in fused.parameters() if p.grad is not None]]
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs, rel=2e-5, why=WHY)
    out = fused(x).sum()
    with torch.no_grad():
        fused.readout.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


INPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda x: x,
    "empty": lambda x: x[:0],
    "one row": lambda x: x[:1],
    "transposed": lambda x: x.T.contiguous().T,
    "every other": lambda x: x[::2],
    "expanded": lambda x: x[:1].expand(9, -1),
    "negative view": lambda x: torch._neg_view(x),
    "part": lambda x: torch.cat([x, x], 1)[:, 5:],
}


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_of_any_layout(kind: str) -> None:
    found = []
    for module in pair():
        leaf = torch.rand(64, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
        out = module(INPUTS[kind](leaf))
        weights = torch.rand(1, 4, generator=torch.Generator().manual_seed(1)).expand_as(out)
        gradients = torch.autograd.grad((out * weights).sum(), [leaf, *module.parameters()])
        found.append([out.detach(), *gradients])
    for ours, theirs in zip(*found, strict=True):
        assert ours.shape == theirs.shape
        if theirs.numel() and theirs.any():
            close(ours, theirs, rel=2e-5, why=WHY)
        else:
            assert not ours.any()


def test_gradients_are_made_for_those_who_ask() -> None:
    fused, _ = pair()
    x = torch.rand(9, 5)
    assert not fused.requires_grad_(False)(x).requires_grad
    x.requires_grad_()
    fused(x).sum().backward()
    assert x.grad is not None and all(p.grad is None for p in fused.parameters())
    fused.requires_grad_(True)
    with torch.no_grad():
        assert not fused(x).requires_grad
    with torch.inference_mode():
        averaged(fused)
        assert fused(x).is_inference()
    assert fused(x).requires_grad


def test_both_passes_may_be_repeated() -> None:
    fused, twin = pair()
    x, found = torch.rand(20, 5), []
    for module in (fused, twin):
        module.zero_grad()
        out = module(x).square().sum()
        out.backward(retain_graph=True)
        out.backward()
        torch.utils.checkpoint.checkpoint(module, x, use_reentrant=False).sum().backward()  # type: ignore[attr-defined]
        found.append([p.grad for p in module.parameters()])
    for ours, theirs in zip(*found, strict=True):
        close(ours, theirs, rel=2e-5, why=WHY)


def test_torch_compile_breaks_its_graph_and_goes_on() -> None:
    fused, twin = pair()
    model = nn.Sequential(nn.Linear(5, 5), fused)
    plain = nn.Sequential(copy.deepcopy(model[0]), twin)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, about its compiler
        compiled = torch.compile(model, backend="eager")
        for _ in range(2):
            agree(compiled, plain)
            averaged(model), averaged(plain)


def test_threads_take_turns_with_weights_of_their_own() -> None:
    """Shallow copies, as PyTorch's own replicas are, share the native net and not the weights."""
    fused, twin = pair()
    x = torch.rand(200, 5)
    errors: list[float] = []

    def work(factor: float) -> None:
        replica, plain = copy.copy(fused), copy.deepcopy(twin)
        replica.__dict__["_modules"] = copy.deepcopy(fused._modules)
        for module in (replica, plain):
            for p in module.parameters():
                p.data.mul_(factor)
        expected = results(plain, x)
        for _ in range(30):
            for ours, theirs in zip(results(replica, x), expected, strict=True):
                errors.append(float((ours - theirs).abs().max()))

    threads = [threading.Thread(target=work, args=(factor,)) for factor in (0.5, 1.0, 1.5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 90 * len(results(twin, x)) and max(errors) < 1e-5


def _in_child(fused: FusedMLP, x: Tensor, into: Any) -> None:
    torch.set_num_threads(1)
    averaged(fused)
    into.put(fused(x).detach().numpy())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_it_works_in_a_forked_child() -> None:
    fused, twin = pair()
    x = torch.rand(50, 5)
    fused(x)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: what is tested here
        child = context.Process(target=_in_child, args=(fused, x, queue))
        child.start()
    painted = queue.get()
    child.join()
    averaged(twin)
    close(torch.from_numpy(painted), twin(x).detach(), rel=2e-5, why=WHY)


def second(module: nn.Module) -> None:
    x = torch.rand(9, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
    gradient.square().sum().backward()


def forward_mode(module: nn.Module) -> None:
    with forward_ad.dual_level():
        module(forward_ad.make_dual(torch.rand(9, 5), torch.ones(9, 5)))


def old_weight_norm(module: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        nn.utils.weight_norm(module.layers[1])


X = torch.rand(9, 5)
REFUSED: dict[str, tuple[Callable[[Any], object], str]] = {
    "second derivative": (second, "differentiated once"),
    "forward mode": (forward_mode, "forward-mode"),
    "vmap": (lambda m: torch.func.vmap(m)(X[None]), "torch.func"),
    "func.grad": (lambda m: torch.func.grad(lambda x: m(x).sum())(X), "torch.func"),
    "func.jacrev": (lambda m: torch.func.jacrev(m)(X), "torch.func"),
    "func.jvp": (lambda m: torch.func.jvp(m, (X,), (X,)), "torch.func"),
    "float64 inputs": (lambda m: m(X.double()), "float64"),
    "bfloat16 inputs": (lambda m: m(X.bfloat16()), "bfloat16"),
    "another device": (lambda m: m(X.to("meta")), "meta"),
    "one dimension": (lambda m: m(X[0]), r"\(5,\)"),
    "other columns": (lambda m: m(X[:, :3]), "features must be"),
    "inputs not finite": (lambda m: m(X * np.nan), "not finite"),
    "weights not finite": (lambda m: (nn.init.constant_(m.readout.bias, np.inf), m(X)), "not finite"),
    "float64 weights": (lambda m: m.double()(X), "float64"),
    "one float64 weight": (lambda m: (m.readout.double(), m(X)), "readout.weight is torch.float64"),
    "meta weights": (lambda m: m.to("meta")(X), "meta"),
    "old weight norm": (lambda m: (old_weight_norm(m), m(X)), "WeightNorm"),
    "pruning": (lambda m: (prune.l1_unstructured(m.readout, "weight", amount=0.5), m(X)), "L1Unstructured"),
    "a hook": (lambda m: (m.layers[0].register_forward_hook(lambda *_: None), m(X)), "layers.0 has the hook"),
    "another layer": (lambda m: (setattr(m, "readout", nn.Identity()), m(X)), "Identity"),
    "another shape": (lambda m: (setattr(m, "readout", nn.Linear(20, 9)), m(X)), "must have the shape"),
    "no bias": (lambda m: (setattr(m, "readout", nn.Linear(20, 4, bias=False)), m(X)), "readout has no bias"),
    "one layer more": (lambda m: (m.layers.append(nn.Linear(20, 20)), m(X)), "arrays"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's own, in forward mode
@pytest.mark.parametrize("what", REFUSED)
def test_what_it_cannot_do_is_refused_by_name_and_leaves_it_as_it_was(what: str) -> None:
    call, named = REFUSED[what]
    fused, twin = pair()
    agree(fused, twin)
    with pytest.raises(EngineError, match=named):
        call(copy.deepcopy(fused))
    agree(fused, twin)
    if (
        "weight" not in what
        and "layer" not in what
        and what not in ("pruning", "a hook", "another shape", "no bias")
    ):
        with pytest.raises(EngineError, match=named):
            call(fused)
        agree(fused, twin)


def test_it_trains_as_a_part_of_a_larger_model_with_any_optimizer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), FusedMLP(6, [24, 24], 6), nn.Linear(6, 1))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=3e-3)
    x = torch.rand(256, 2)
    y = torch.sin(6 * x[:, :1]) * x[:, 1:]
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = functional.smooth_l1_loss(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_bfloat16_stays_close_and_gradients_of_constants_are_not_made() -> None:
    torch.manual_seed(0)
    module = FusedMLP(2, [40, 40], 3, precision="bfloat16")
    x = torch.rand(100, 2)
    out = module(x)
    close(out.detach(), Twin(module)(x).detach(), rel=2e-2, why="8 bits in two products")
    out.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())


def test_settings_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(RecipeError, match="swirl"):
        FusedMLP(2, [8], 1, activation="swirl")
    with pytest.raises(EngineError, match="no place for what prelu learns"):
        FusedMLP(2, [8], 1, activation="prelu")
    with pytest.raises(EngineError, match="lwta but with block=2 or 4"):
        FusedMLP(2, [8], 1, activation="lwta:block=5")
    with pytest.raises(EngineError, match="width"):
        FusedMLP(2, [8, 0], 1)
    with pytest.raises(EngineError, match="float16"):
        FusedMLP(2, [8], 1, precision="float16")
