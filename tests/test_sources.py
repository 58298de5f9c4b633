"""A compiled engine of other sources than the checkout's is refused aloud, and never trains in silence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sfumato import _sources

_native = pytest.importorskip("sfumato._native", reason="the native engine is not built")

NATIVE = Path(__file__).parents[1] / "native"

BEGIN = f"""
import sys
from pathlib import Path
import sfumato._native
from sfumato import _sources
_sources.beside = lambda: Path({str(NATIVE)!r})  # as in an editable install, also where the package is installed
"""


def outcome(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """An interpreter of its own, as the module is looked at once."""
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ,
    )


PLANTED = {
    "of other sources": "sfumato._native.sources = '0' * 64\n",
    "from before there were digests": "del sfumato._native.sources\n",
}


@pytest.mark.parametrize("planted", PLANTED)
def test_an_engine_of_other_sources_is_refused_aloud(planted: str, tmp_path: Path) -> None:
    code = PLANTED[planted] + (
        "from sfumato.__main__ import main\n"
        "tiny = ['--net', '4', '--set', 'steps=2', '--film', 'none', '--no-preview']\n"
        "print(main(['paint', '--engine', 'native', *tiny]), flush=True)\n"
        "print('then auto', file=sys.stderr, flush=True)\n"
        "print(main(['paint', *tiny]), flush=True)\n"
        "print(main(['doctor']), flush=True)\n"
        "from sfumato.fused import FusedMLP\n"
        "FusedMLP(2, [4], 3)\n"
    )
    done = outcome(code, tmp_path)
    out, (refused, rest) = done.stdout.splitlines(), done.stderr.split("then auto")
    said = "the compiled engine is of other sources than native/"
    assert out[0] == "3" and said in refused and "make paint" in refused
    assert f"engine native is passed over: {said}" in rest and "--editable" in rest
    run = Path(out[1])
    assert json.loads((tmp_path / run / "origin.json").read_text())["engine"] == "eager"
    assert any(line.startswith("engine native") and said in line for line in out)
    assert any(line.split() == ["native", "isa", "none"] for line in out)
    assert f"FusedMLP needs the native engine: {said}" in rest.splitlines()[-2]


def test_the_engine_of_these_sources_is_taken(tmp_path: Path) -> None:
    done = outcome(
        "from sfumato.engine import native\nprint(native.missing(), native.usable_sets())", tmp_path
    )
    assert done.stdout.startswith("None ['"), done.stdout + done.stderr


def test_every_source_that_is_compiled_counts_and_nothing_else(tmp_path: Path) -> None:
    native = tmp_path / "native"
    shutil.copytree(NATIVE, native)
    before = _sources.digest(native)
    assert before == _native.sources
    (native / "notes.txt").write_text("of no unit")
    (native / "check" / "nets.cc").write_text("of no unit of the module")
    assert _sources.digest(native) == before
    seen = {before}
    for path in sorted([*native.glob("*.cc"), *native.glob("*.h")]):
        path.write_bytes(path.read_bytes() + b"\n")
        seen.add(_sources.digest(native))
    (native / "pool.cc").rename(native / "team.cc")
    seen.add(_sources.digest(native))
    (native / "team.cc").unlink()
    seen.add(_sources.digest(native))
    assert len(seen) == 3 + len([*native.glob("*.cc"), *native.glob("*.h")]) + 1


def test_an_installed_package_has_no_sources_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed = tmp_path / "lib" / "python" / "site-packages" / "sfumato" / "_sources.py"
    monkeypatch.setattr(_sources, "__file__", str(installed))
    assert _sources.beside() is None and _sources.why_stale("anything") is None
    checkout = tmp_path / "src" / "sfumato" / "_sources.py"
    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "bind.cc").touch()
    monkeypatch.setattr(_sources, "__file__", str(checkout))
    assert _sources.beside() == tmp_path / "native"
    assert "hint: " in str(_sources.why_stale("anything"))
