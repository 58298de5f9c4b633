"""Every file call of a run, a resume and a fork: killed before it, or refused by the disk. See `calls`.

Enumerated, not random: a child for each call, all compared bit for bit with a run that nothing disturbed. The
disk's faults take turns, a call each, to be quick; `calls` without --turns tries each of them at each call.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CALLS = Path(__file__).with_name("calls.py")


@pytest.mark.parametrize("faults", [["kill"], ["ENOSPC", "EIO", "EROFS"]])
@pytest.mark.parametrize("verb", ["perform", "resume", "fork"])
def test_no_file_call_is_one_too_many(tmp_path: Path, verb: str, faults: list[str]) -> None:
    command = [sys.executable, str(CALLS), str(tmp_path), verb, *faults, "--turns"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    counted, *findings = map(json.loads, done.stdout.splitlines())
    assert counted["calls"] > 50, counted
    assert {"open", "write", "fsync", "os.rename"} <= set(counted["names"])
    assert findings == []
