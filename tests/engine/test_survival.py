"""The native module never takes Python down: too many threads, too little memory, forks, an interpreter that ends.

Each in an interpreter of its own, which has to live to its last line.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("sfumato._native", reason="the native engine is not built")

BEGIN = """
import os, resource, sys, threading
import numpy as np
from test_native_kernels import _native, arrays, samples, trainer

def ready(**settings):
    engine = trainer(**{"inputs": 2, "hidden": [40, 40], "outputs": 3, "threads": 2} | settings)
    engine.set(_native.Kind.values, arrays(engine.shapes))
    engine.set_data(*samples(300, 2, 3))
    return engine

def advance(engine, steps=3, seeds=None):
    order = np.arange(100 * steps, dtype=np.int32) % 300
    losses = np.empty(steps, np.float32)
    engine.advance(order, np.full(steps, 100, np.int32), np.full(steps, 0.01), losses, seeds)
    return losses

def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))

def in_child(work):
    "Whether `work` came back true in a child; one that hangs is ended by its alarm."
    child = os.fork()
    if not child:
        import signal
        signal.alarm(60)
        ok = False
        try:
            ok = work()
        finally:
            os._exit(0 if ok else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def outcome(code: str) -> str:
    """What an interpreter prints; it must end well and say nothing else."""
    run = subprocess.run(
        [sys.executable, "-c", BEGIN + code],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.returncode == 0 and not run.stderr, (run.returncode, run.stderr[-2000:])
    return run.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_too_little_memory_is_an_exception_or_a_correct_result() -> None:
    """Every amount of memory, for all that allocates: trainers, data, many steps, painting, arrays handed out."""
    printed = outcome("""
def limited(room):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    most = used + room if room else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

GRID = {"inputs": 4, "levels": [(9, 9, False), (400, 400, True)], "log2_table": 20}
def train(**settings):
    engine = ready(**settings)
    seeds = np.arange(3, dtype=np.uint32)
    return [advance(engine, seeds=seeds), engine.predict(samples(3000, 2, 3)[0]), *engine.get(_native.Kind.values)]
def wide():
    engine = trainer(inputs=2, hidden=[3000, 3000], outputs=3, threads=2)
    return [engine.predict(np.ones((2, 2), np.float32))]
def painted(engine=ready()):
    return [engine.predict(np.ones((1 << 20, 2), np.float32))]
def data(engine=ready()):
    x, y = samples(1 << 20, 2, 3)
    engine.set_data(x, y)
    losses = np.empty(1, np.float32)
    engine.advance(np.arange(99, dtype=np.int32), np.array([99], np.int32), np.zeros(1), losses)
    return [losses]
def one_by_one():
    engine = ready(method="sgd", first=0.0, hidden=[250, 290])
    losses = np.empty(20, np.float32)
    engine.advance(np.arange(20, dtype=np.int32), np.ones(20, np.int32), np.full(20, 0.1), losses)
    return [losses]
cases = {
    "plain": train, "grid": lambda: train(**GRID), "dropout": lambda: train(dropped_hidden=0.5, hidden=[2000]),
    "half": lambda: train(precision="bfloat16-all"), "muon": lambda: train(method="muon"), "wide": wide,
    "painted": painted, "data": data, "one by one": one_by_one,
    "many threads": lambda: train(threads=64), "far too many": lambda: train(threads=4096, hidden=[4]),
}
counts = {"error": 0, "result": 0}
for name, case in cases.items():
    right = None if name == "far too many" else case()
    for room in [0, *(1 << k for k in range(12, 31, 2 if name != "far too many" else 4))]:
        try:
            limited(room)
            try:
                found = case()
            finally:
                limited(0)
        except (MemoryError, RuntimeError) as error:
            counts["error"] += 1
            continue
        counts["result"] += 1
        if right is not None:
            assert same(found, right), (name, room)
print(counts)
""")
    assert "'error': 0" not in printed and "'result': 0" not in printed


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_what_failed_has_changed_nothing_and_works_with_more_memory() -> None:
    outcome("""
one, other = (ready(hidden=[8], threads=40) for _ in "12")
whole = advance(other, 6)
first = advance(one)
x = np.ones((1 << 24, 2), np.float32)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), resource.RLIM_INFINITY))
failed = 0
for call in (lambda: one.predict(x), lambda: one.set_data(x, x), lambda: ready(threads=400)):
    try:
        call()
    except (MemoryError, RuntimeError, ValueError):
        failed += 1
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert failed == 3
one.set_data(*samples(300, 2, 3))
assert same([np.concatenate([first, advance(one)])], [whole])
""")


def test_a_fork_hangs_nothing_and_changes_no_bit() -> None:
    """A child goes on with the trainer of its parent and with new ones; so do its own child and the parent."""
    outcome("""
engine, witness = ready(), ready()
advance(engine), advance(witness)
expected = [advance(witness, 4), *witness.get(_native.Kind.values)]
def go_on():
    return same([advance(engine, 4), *engine.get(_native.Kind.values)], expected)
def fresh():
    mine = ready()
    advance(mine)
    return same([advance(mine, 4), *mine.get(_native.Kind.values)], expected)
assert in_child(go_on) and in_child(fresh)
assert in_child(lambda: in_child(go_on) and go_on())
assert go_on()
""")


def test_a_trainer_forked_in_the_middle_of_its_work_refuses_and_others_work() -> None:
    outcome("""
busy, idle = ready(hidden=[300, 300]), ready()
advance(idle)
going = threading.Event()
def work():
    while not done:
        going.set()
        advance(busy, 200)
done = False
thread = threading.Thread(target=work)
thread.start()
going.wait()
def child():
    try:
        busy.predict(np.ones((5, 2), np.float32))
        return False
    except RuntimeError as error:
        return "forked" in str(error) and bool(np.isfinite(advance(idle)).all())
results = [in_child(child) for _ in range(5)]
done = True
thread.join()
assert any(results), results  # a fork may fall between two calls, where nothing is refused
assert np.isfinite(advance(busy)).all()
""")


def test_every_engine_works_in_a_child_after_torch_has_used_its_threads() -> None:
    """Waking, encodings and painting go through PyTorch, whose threads do not come along either."""
    outcome("""
import torch
from small_picture import picture_data
from sfumato import engine, nets, painting
from sfumato.recipe import Recipe
torch.set_num_threads(2)
data = picture_data(60, 50)
big = torch.rand(1000, 1000)
(big @ big).exp().sum()
def all_engines():
    (big @ big).exp().sum()
    for name in ("native", "eager", "regrouped"):
        recipe = Recipe(net=(64,) if name == "regrouped" else (64, 64), threads=2, engine=name, batch=1000)
        if name == "regrouped":
            recipe = recipe.replace(batch=1, optimizer="sgd", loss="half_square")
        else:
            recipe = recipe.replace(wake=1)
        assert engine.engine(name).why_not(recipe) is None, engine.engine(name).why_not(recipe)
        net = nets.build(recipe, 2, 3)
        session = engine.engine(name).prepare(net, data, recipe, 100)
        assert np.isfinite(session.advance(40)).all()
        session.pull(net)
        painting.predict(net, data.inputs), nets.predict(net, data.inputs)
    return True
assert all_engines()
assert in_child(all_engines)
assert torch.get_num_threads() == 2
""")


def test_trainers_that_live_when_the_interpreter_ends_are_no_leak_and_no_noise() -> None:
    outcome("""
import itertools, types
kept = ready()
advance(kept)
cycle = types.SimpleNamespace(engine=ready())
cycle.self = cycle
def unfinished():
    engine = ready()
    for _ in itertools.count():
        yield advance(engine)
steps = unfinished()
next(steps)
sys.modules["a place that lives long"] = types.SimpleNamespace(engine=ready())
""")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_daemon_still_at_work_when_the_interpreter_ends_does_not_abort_it(threads: int) -> None:
    outcome(f"""
import time
engine = ready(threads={threads}, hidden=[64, 64])
def work():
    while True:
        advance(engine)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
""")
