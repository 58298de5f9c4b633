"""benchmarks/gpu.py runs from end to end without a GPU, on tiny workloads, no graph captured."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def test_every_row_is_printed_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "record.md"
    main = runpy.run_path(str(BENCHMARK))["main"]
    main(["--device", "cpu", "--small", "--record", str(record)])
    printed = capsys.readouterr().out
    assert printed.strip() == record.read_text(encoding="utf-8").strip()
    rows = [line for line in printed.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 3 + 4 + 1 + 4 + 1
    assert sum("right: losses differ" in row for row in rows) == 3
    assert "WRONG" not in printed
    assert "nan" not in printed


def test_without_a_gpu_it_says_so() -> None:
    if torch.cuda.is_available():
        return
    with pytest.raises(SystemExit, match="no CUDA device"):
        runpy.run_path(str(BENCHMARK))["main"]([])
