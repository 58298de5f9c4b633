"""JAX and drjit.nn as rivals for benchmarks/engine.py, each trained as its own documentation does.

Neither is needed by anything else: install them beside sfumato for the benchmark only (`pip install jax drjit`;
drjit also wants LLVM's shared library, named by DRJIT_LIBLLVM_PATH; 14 and 15 cannot compile for every processor).
Both take minibatches and rate of the other side, train in float32, and are compiled before they are timed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sfumato.data import Array, Data
from sfumato.learning.plan import Plan
from sfumato.nets import Net
from sfumato.nets.encodings import Grid
from sfumato.recipe import Recipe

GROUP = 8
"""Minibatches that JAX goes through in one compiled loop."""


def weights_of(net: Net) -> list[tuple[Array, Array]]:
    """(out, in) weights and biases of all layers."""
    layers = [*net.layers, net.readout]
    return [(layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()) for layer in layers]


def full_minibatch(plan: Plan, number: int) -> Array:
    """The `number`-th minibatch of full size: another size would have to be compiled anew."""
    epoch, part = divmod(number, plan.samples // plan.batch)
    return plan.minibatch(epoch * plan.per_epoch + part)


def jax(net: Net, data: Data, recipe: Recipe, threads: int) -> Callable[[int], object]:
    """Adam by a loop that XLA compiles whole, state given away to it; a grid by corners computed once."""
    flags = "--xla_cpu_multi_thread_eigen=false" if threads == 1 else ""
    if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2":
        flags += " --xla_cpu_max_isa=AVX2"
    os.environ["XLA_FLAGS"] = flags
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax as library
    from jax import numpy as jnp

    parameters: dict[str, Any] = {"layers": [(jnp.asarray(w.T), jnp.asarray(b)) for w, b in weights_of(net)]}
    grid = net.encoding if isinstance(net.encoding, Grid) else None
    with torch.no_grad():
        places = torch.from_numpy(data.inputs)
        found = grid.corners(places) if grid is not None else (net.encoding(places),)
    seen = tuple(jnp.asarray(value.numpy()) for value in found)
    if grid is not None:
        parameters["table"] = jnp.asarray(grid.table.detach().numpy())
    targets = jnp.asarray(data.targets)
    beta1, beta2 = 0.9, 0.999

    def loss_of(now: dict[str, Any], rows: Any) -> Any:
        if grid is None:
            value = seen[0][rows]
        else:
            indices, shares = seen[0][rows], seen[1][rows]
            corners = now["table"][indices]
            value = (corners * shares[..., None]).sum(-2).reshape(len(rows), -1)
        for index, (weight, bias) in enumerate(now["layers"]):
            value = value @ weight + bias
            value = jnp.maximum(value, 0) if index + 1 < len(now["layers"]) else value
        return ((value - targets[rows]) ** 2).mean()

    def step(state: Any, rows: Any) -> Any:
        now, first, second, number = state
        slopes = library.grad(loss_of)(now, rows)
        number = number + 1
        first = library.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, first, slopes)
        second = library.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, slopes)
        rate, root = recipe.rate / (1 - beta1**number), (1 - beta2**number) ** 0.5
        now = library.tree.map(lambda p, m, v: p - rate * m / (v**0.5 / root + 1e-8), now, first, second)
        return (now, first, second, number), None

    run = library.jit(lambda state, rows: library.lax.scan(step, state, rows)[0], donate_argnums=0)
    zeros = library.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, library.tree.map(jnp.zeros_like, parameters), jnp.zeros(()))
    plan, done = Plan(recipe, data.samples, 1 << 20, data.inputs), 0

    def advance(steps: int) -> None:
        nonlocal state, done
        while steps:
            count = min(steps, GROUP)
            rows = np.stack([full_minibatch(plan, done + k) for k in range(count)])
            state = run(state, jnp.asarray(rows))
            done, steps = done + count, steps - count
        library.block_until_ready(state)

    return advance


def drjit(net: Net, data: Data, recipe: Recipe, threads: int) -> Callable[[int], object]:
    """A drjit.nn network trained by drjit.opt.Adam through its LLVM backend, in products of whole tensors.

    The cooperative vectors of its documentation unroll a layer of 300 into the code of one sample. The start is
    drjit's own (Xavier): its time does not depend on it.
    """
    import drjit as dr
    from drjit import nn, opt
    from drjit.llvm import ad as llvm

    dr.set_thread_count(threads)
    layers: list[Any] = []
    for width in net.widths:
        layers += [nn.Linear(-1, width), nn.ReLU()]
    module: Any = nn.Sequential(*layers, nn.Linear(-1, net.outputs)).alloc(llvm.TensorXf, 2)
    optimizer = opt.Adam(lr=recipe.rate)
    optimizer.update(module)
    with torch.no_grad():
        places = net.encoding(torch.from_numpy(data.inputs)).numpy()
    plan, done = Plan(recipe, data.samples, 1 << 20, data.inputs), 0

    def advance(steps: int) -> None:
        nonlocal done
        for _ in range(steps):
            rows = full_minibatch(plan, done)
            module.update(optimizer)
            wanted = llvm.TensorXf(np.ascontiguousarray(data.targets[rows].T))
            painted = module(llvm.TensorXf(np.ascontiguousarray(places[rows].T)))
            dr.backward(dr.mean(dr.square(painted - wanted)))
            optimizer.step()
            done += 1
        dr.eval(optimizer)
        dr.sync_thread()

    return advance
