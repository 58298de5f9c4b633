"""`sfumato playground` as a process, for tests of what a person and what a stranger does there."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PATIENCE = 150_000
"""Milliseconds: machines of continuous integration are slow to import torch twice."""


class Server:
    """`sfumato playground` in a process of its own."""

    def __init__(self, out: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "sfumato", "playground", "--no-open", "--out", str(out), *arguments]
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0."), "the first line is the address"

    @property
    def port(self) -> str:
        found = re.search(r":(\d+)/", self.url)
        assert found
        return found[1]

    def stop(self, number: int = signal.SIGINT) -> None:
        """Send a signal and wait until the process has ended."""
        self.process.send_signal(number)
        self.process.wait(20)
        assert self.process.stdout
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("playground"), "--port", "0")
    yield made
    made.stop()


def gone(pids: list[int]) -> None:
    """Wait for the end of processes whose server has ended."""
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end, "a worker outlives its server"
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    """Processes that a server has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def png(width: int = 40, height: int = 30) -> bytes:
    """A small picture of noise as a file."""
    buffer = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()
