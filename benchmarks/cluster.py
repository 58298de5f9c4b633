"""200 short runs on a Ray cluster of three nodes on this machine, two nodes lost and the driver killed on the way.

    python benchmarks/cluster.py             all of it
    python benchmarks/cluster.py --local     without the cluster

Prints how many results there are, how many twice, how many missing, and what a run costs beyond its training: in
one process, in a local pool, on the cluster. After that, what a run costs on the cluster once it is under way: 400
more, from the first result on, in shares of the cores that all nodes and the driver are on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sfumato import picture
from sfumato.compare.tuning import dead_leaves
from sfumato.compare.workers import LIGHT, job, run_all
from sfumato.compare.workers._job import execute
from sfumato.machine import available_threads
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory

RUNS = 200
STEADY = 400
NODES = 3

DRIVER = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from cluster import jobs
from sfumato.compare.workers import run_all
for result in run_all(jobs(Path({place!r})), {out!r}, ray={address!r}):
    print("result", result.job.identity, result.fresh, result.error, flush=True)
"""


def jobs(place: Path, seeds: range = range(RUNS)) -> list[Any]:
    """Nets of 2x32 units that learn a picture of 32x24 pixels for 40 steps: about 20 ms of training."""
    path = place / "leaves.png"
    if not path.exists():
        picture.save(dead_leaves(24, 32), path)
    recipe = Recipe(net=(32, 32), batch=128, steps=40, engine="eager", rate=0.01)
    watch = replace(LIGHT, frames="8")  # as in a sweep
    return [job(recipe.replace(seed=seed), str(path), watch=watch) for seed in seeds]


def cluster_of(nodes: int) -> Any:
    from ray.cluster_utils import Cluster

    slow = {
        "health_check_initial_delay_ms": 5000,
        "health_check_period_ms": 3000,
        "health_check_timeout_ms": 20_000,
    }
    head = {
        "num_cpus": 1,
        "include_dashboard": False,
        "object_store_memory": 100 << 20,
        "_system_config": slow,
    }
    made = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(nodes - 1):
        made.add_node(num_cpus=1, object_store_memory=100 << 20)
    made.wait_for_nodes()
    return made


def overhead(out: Path, wall: float, processes: int, runs: int) -> str:
    """Wall time of a process for each of `runs`, beyond training and watching by the runs' own clocks."""
    lasts = [RunDirectory(path).last for path in out.glob("*_*")]
    spent = sum(float(line["seconds"]) + float(line["watching_seconds"]) for line in lasts) / len(lasts)
    beyond = wall * processes / runs - spent
    return f"{1000 * beyond:.0f} ms a run beyond {1000 * spent:.0f} ms of training and watching"


def alone(place: Path) -> str:
    """Processor time of a job in this process, which no other load blurs."""
    torch.set_num_threads(1)
    few = jobs(place)[:25]
    execute(few[0], str(place / "alone"))
    before = time.process_time()
    lasts = [execute(one, str(place / "alone")).run.last for one in few[1:]]
    used = (time.process_time() - before) / len(lasts)
    training = sum(line["seconds"] * line["cores"] for line in lasts) / len(lasts)
    return f"{1000 * (used - training):.0f} ms of processor time beyond {1000 * training:.0f} ms of training"


def steady(place: Path, address: str) -> str:
    """What all cores of this machine, nodes and driver, spend on a run: workers have started, nothing is lost."""
    came = [
        time.perf_counter()
        for _ in run_all(jobs(place, range(RUNS, RUNS + STEADY)), place / "steady", ray=address)
    ]
    cores = available_threads()
    each = cores * (came[-1] - came[0]) / (len(came) - 1)
    return f"{1000 * each:.0f} ms of {cores} cores a run, training and watching among them"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--local", action="store_true", help="only what needs no Ray")
    local = parser.parse_args().local
    place = Path(tempfile.mkdtemp(prefix="sfc", dir="/tmp"))
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": str(place)}
    (place / "ray").mkdir()
    wanted = {one.identity for one in jobs(place)}

    print(f"one process: {alone(place)}", flush=True)
    started, count = 0.0, 0
    for _ in run_all(jobs(place), place / "local", workers=2):
        started, count = (
            started or time.perf_counter(),
            count + 1,
        )  # from the first result on, torch is loaded
    wall = time.perf_counter() - started
    print(f"local pool of 2: {count} runs, {overhead(place / 'local', wall, 2, count - 1)}", flush=True)

    if local:
        shutil.rmtree(place)
        return
    cluster = cluster_of(NODES)
    out = place / "runs"
    script = DRIVER.format(
        here=str(Path(__file__).parent), place=str(place), out=str(out), address=cluster.address
    )
    seen: list[str] = []
    try:
        for life, limit in ((1, RUNS // 2), (2, RUNS + 1)):
            driver = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
            assert driver.stdout is not None
            fresh, first = 0, 0.0
            for line in driver.stdout:
                if not line.startswith("result "):  # Ray says on stdout, too, what it lost
                    continue
                _, identity, new, error = line.rstrip("\n").split(" ", 3)
                assert not error, error
                seen.append(identity)
                fresh += new == "True"
                first = first or time.perf_counter()
                if fresh in (30, 70) and new == "True" and life == 1:
                    cluster.remove_node(cluster.list_all_nodes()[-1], False)
                    cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
                    print(f"driver {life}: a node lost after {fresh} results", flush=True)
                if fresh == limit:
                    driver.send_signal(signal.SIGKILL)
                    print(f"driver {life}: killed after {fresh} results", flush=True)
                    break
            driver.wait()
            wall = time.perf_counter() - first
        folders = [p.name for p in out.iterdir() if p.is_dir() and not p.name.startswith(".")]
        there = [name.rpartition("_")[2] for name in folders]
        print(
            f"cluster of {NODES}: {len(there)} results, {len(there) - len(set(there))} twice, "
            f"{len(wanted - set(there))} missing, {len(set(there) - wanted)} unasked for"
        )
        print(f"second driver: {fresh} runs in {wall:.1f} s, {overhead(out, wall, NODES, fresh)}")
        print(
            f"kept from the first driver: {len(seen) - len(set(seen))} were handed out again, none was run again"
        )
        print(f"cluster under way: {STEADY} runs, {steady(place, cluster.address)}", flush=True)
    finally:
        cluster.shutdown()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
