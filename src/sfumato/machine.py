"""This machine: its processor and the cores that this process may use."""

from __future__ import annotations

import functools
import math
import os
import platform
from pathlib import Path, PurePosixPath

__all__ = ["available_threads", "cpu_info", "processor", "quota"]


def available_threads() -> int:
    """Cores this process may use: its affinity mask, where the system tells, else all; fewer under a quota.

    A quota is rounded down: threads that wait for one another at barriers are all held up when it is used up.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min(cores, quota())))


@functools.cache  # half a millisecond, which every painting would pay
def quota(proc: Path = Path("/proc/self"), mounted: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores that the control groups of this process allow, as a container's `--cpus` sets them; infinite: no limit.

    Both versions are read, the limits of all groups above included: `cpu.max` ("quota period" in microseconds, or
    "max"), and before Linux 4.5 `cpu.cfs_quota_us` (-1: none) and `cpu.cfs_period_us`. proc, mounted: for tests.
    """
    least = math.inf
    for version, group in _groups(proc):
        roots = [mounted] if version == 2 else [mounted / "cpu", mounted / "cpu,cpuacct"]
        for root in roots:
            # In a container the path may be the host's, which is not mounted: then the root is the group itself.
            for folder in [root / group, *(root / parent for parent in group.parents)]:
                least = min(least, _limit(folder, version))
    return least


def _groups(proc: Path) -> list[tuple[int, PurePosixPath]]:
    """(version, path) of the groups that rule this process's time: lines `id:controllers:path` of proc/cgroup."""
    found = []
    for line in _text(proc / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" or "cpu" in controllers.split(","):
            within = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
            found.append((2 if number == "0" else 1, PurePosixPath(*within)))
    return found


def _limit(folder: Path, version: int) -> float:
    if version == 2:
        words = _text(folder / "cpu.max").split()
    else:
        words = (_text(folder / "cpu.cfs_quota_us") + " " + _text(folder / "cpu.cfs_period_us")).split()
    try:
        allowed, period = (int(word) for word in words)
    except ValueError:  # "max", or not there
        return math.inf
    return allowed / period if allowed > 0 and period > 0 else math.inf


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def processor() -> str:
    """The processor's name, where the system tells it."""
    return cpu_info("model name") or platform.processor() or platform.machine()


def cpu_info(key: str) -> str:
    """The first entry of that name in /proc/cpuinfo; empty where there is none."""
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
