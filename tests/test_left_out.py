"""What a run of the tests left out stands in its last lines, under one process and under several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = {
    "test_some.py": "import pytest\n@pytest.fixture\ndef browser(): raise AssertionError\n"
    "def test_page(browser): pass\n@pytest.mark.parametrize('n', [1, 2])\ndef test_pages(browser, n): pass\n"
    "def test_other(): pass\n",
    "test_whole.py": "import pytest\npytest.importorskip('sfumato._nothing', reason='it is not built')\n",
    "test_single.py": "import pytest\ndef test_gpu(): pytest.skip('no GPU here')\n",
    "conftest.py": "pytest_plugins = ['left_out']\nimport toolchain\ntoolchain.browser = lambda: False\n",
}


@pytest.mark.parametrize("processes", [[], ["-n", "2"]], ids=["one", "two"])
def test_browser_tests_and_skipped_ones_are_left_out_aloud(processes: list[str], tmp_path: Path) -> None:
    for name, text in TESTS.items():
        (tmp_path / name).write_text(text)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tools")]
    options = ["-q", "-p", "no:cacheprovider", "-o", f"pythonpath={' '.join(paths)}", f"--rootdir={tmp_path}"]
    command = [sys.executable, "-m", "pytest", *options, "-c", "/dev/null", *processes, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-5:]
    assert "1 passed" in last[0] and sorted(last[1:]) == sorted(
        [
            "left out: 3 tests: no Chromium here, so the tests in a browser are left out",
            next(line for line in last if line.startswith("hint: apt install chromium")),
            "left out: 1 test: no GPU here",
            "left out: test_whole.py: it is not built",
        ]
    )
