"""This machine: its processor and the cores that this process may use."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["available_threads", "cpu_info", "processor"]


def available_threads() -> int:
    """Cores this process may use: its affinity mask, where the system tells, else all."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def processor() -> str:
    """The processor's name, where the system tells it."""
    return cpu_info("model name") or platform.processor() or platform.machine()


def cpu_info(key: str) -> str:
    """The first entry of that name in /proc/cpuinfo; empty where there is none."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    except OSError:
        pass
    return ""
