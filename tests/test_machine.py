"""How many threads there are: affinity, control groups of both versions, systems that lack them."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from sfumato import machine

V2, V1 = {"cpu.max": "150000 100000\n"}, {"cpu.cfs_quota_us": "250000\n", "cpu.cfs_period_us": "100000\n"}
NONE = {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/\n", {"": V2}, 1.5),
        ("0::/a/b\n", {"a/b": V2}, 1.5),
        ("0::/a/b\n", {"a": V2, "a/b": {"cpu.max": "max 100000\n"}}, 1.5),  # the group above rules too
        ("0::/a/b\n", {"a": V2, "a/b": {"cpu.max": "50000 100000\n"}}, 0.5),
        ("0::/host/only\n", {"": V2}, 1.5),  # the host's path, seen from inside a container
        ("0::/../other\n", {"": V2}, 1.5),
        ("0::/\n", {"": {"cpu.max": "max 100000\n"}}, math.inf),
        ("0::/\n", {}, math.inf),
        ("3:cpu,cpuacct:/a\n2:memory:/\n0::/\n", {"cpu,cpuacct/a": V1}, 2.5),
        ("3:cpu:/a\n", {"cpu/a": V1, "cpu": NONE}, 2.5),
        ("3:cpu:/a\n", {"cpu/a": NONE}, math.inf),
        ("3:cpuset:/a\n", {"cpu/a": V1}, math.inf),  # another controller's group
        ("", {"": V2}, math.inf),
        ("nonsense\n::\n0::/\n", {"": {"cpu.max": "\n"}}, math.inf),
        ("0::/\n", {"": {"cpu.max": "0 0\n"}}, math.inf),
    ],
)
def test_quotas_of_both_versions_are_read(
    tmp_path: Path, groups: str, files: dict[str, dict[str, str]], cores: float
) -> None:
    proc, mounted = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    (proc / "cgroup").write_text(groups)
    for folder, contents in files.items():
        for name, text in contents.items():
            (mounted / folder).mkdir(parents=True, exist_ok=True)
            (mounted / folder / name).write_text(text)
    assert machine.quota(proc, mounted) == cores


def test_a_system_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert machine.quota(tmp_path / "proc", tmp_path / "cgroup") == math.inf


@pytest.mark.parametrize(("quota", "threads"), [(math.inf, 8), (3.9, 3), (0.5, 1), (100.0, 8)])
def test_threads_are_bounded_by_cores_and_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float, threads: int
) -> None:
    monkeypatch.setattr(machine, "quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert machine.available_threads() == threads
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS and Windows have none
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert machine.available_threads() == threads
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.available_threads() == 1


def test_nothing_else_asks_the_system_for_cores() -> None:
    """One place knows of quotas and of systems without affinity."""
    source = Path(machine.__file__).parent
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert path.name == "machine.py" or not ("sched_getaffinity" in text or "cpu_count" in text), path
