"""Both commands on a bare machine: what is brought, what is said where it cannot be; nothing is done twice."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import environment
import pytest
import toolchain

ROOT = Path(__file__).parents[1]


def script(path: Path, text: str) -> None:
    """A program of a few lines of shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def have(monkeypatch: pytest.MonkeyPatch, name: str, there: Callable[[], bool]) -> None:
    """Another answer to whether the machine has a tool."""
    monkeypatch.setitem(toolchain.TOOLS, name, dataclasses.replace(toolchain.TOOLS[name], there=there))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """All of PATH: a folder with a shell and little more. Not root; with Python's headers and ensurepip."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "env", "true", "cp"):
        (folder / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    have(monkeypatch, "headers", lambda: True)
    have(monkeypatch, "ensurepip", lambda: True)
    have(monkeypatch, "browser", lambda: toolchain.chromium() is not None)
    toolchain.answers.cache_clear()
    yield folder
    toolchain.answers.cache_clear()


@pytest.fixture
def checkout(tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What set-up reads of a checkout, and a `.venv` whose python notes what it was asked in `asked`."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("pyproject.toml", "constraints.txt", "CMakeLists.txt"):
        shutil.copy(ROOT / name, folder)
    script(folder / ".venv" / "bin" / "python", 'echo "$@" >> asked')
    monkeypatch.chdir(folder)
    monkeypatch.setattr(environment, "ROOT", folder)
    return folder


def asked(checkout: Path) -> str:
    """What .venv's python was asked since the last time."""
    told = checkout / "asked"
    text = told.read_text() if told.exists() else ""
    told.unlink(missing_ok=True)
    return text


def debian(programs: Path, *brought: str) -> None:
    """An `apt-get` that installs the given programs, whatever it is asked for, and a sudo that asks no password."""
    script(programs / "sudo", '[ "$1" = -n ] && shift && exec "$@"')
    script(programs / ".program", "exit 0")
    copies = "; ".join(f'cp "{programs}/.program" "{programs}/{name}"' for name in brought)
    script(programs / "apt-get", f'case "$*" in *install*) {copies or ":"};; esac; echo "apt $*" >> asked')


def test_without_a_compiler_painting_is_set_up_and_the_consequence_is_said(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert environment.main(["paint"]) == 0
    out, pips = capsys.readouterr().out, asked(checkout)
    assert "no C++ compiler" in out and "PyTorch trains instead" in out and "apt install g++" in out
    assert "--config-settings=wheel.cmake=false" in pips
    assert " av>=" in pips and not any(
        name in pips for name in (" cmake>=", " mypy>=", " pytest>=", "playwright")
    )
    assert all(len(line) < 160 for line in out.splitlines()) and len(out.splitlines()) < 9, out


def test_what_is_done_is_not_done_twice_and_what_changed_is(
    checkout: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert environment.main(["paint"]) == 0
    assert asked(checkout) and capsys.readouterr().out
    assert environment.main(["paint"]) == 0
    assert asked(checkout) == "" and capsys.readouterr().out == ""
    script(programs / "g++", "exit 0")
    toolchain.answers.cache_clear()
    assert environment.main(["paint"]) == 0
    assert "native engine compiled" in capsys.readouterr().out and "wheel.cmake=false" not in asked(checkout)
    with (checkout / "CMakeLists.txt").open("a") as file:
        file.write("# a change\n")
    assert environment.main(["paint"]) == 0
    pips = asked(checkout)
    assert "--editable" in pips and "torch" not in pips
    (checkout / "src").mkdir()
    (checkout / "src" / "module.py").touch()
    assert environment.main(["paint"]) == 0
    assert "--editable" in asked(checkout), "an editable install knows modules by their places"
    assert environment.main(["test"]) == 0
    assert " pytest>=" in asked(checkout)
    assert environment.main(["paint"]) == 0
    assert asked(checkout) == "", "what tests need includes what painting needs"


def test_a_failed_step_gives_its_errors_and_the_log_and_is_tried_again(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = checkout / ".venv" / "bin" / "python"
    script(
        python,
        'case "$*" in *rich*) echo "WARNING: noise"; echo "ERROR: No matching distribution"; exit 1;; esac',
    )
    for _ in range(2):
        assert environment.main(["paint"]) == 1
        out, err = capsys.readouterr()
        assert "failed" in out and "noise" not in out + err
        assert "ERROR: No matching distribution" in err and "build/set-up.log" in err
    assert "noise" in (checkout / "build" / "set-up.log").read_text()


def test_an_engine_that_does_not_compile_is_said(
    checkout: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script(programs / "c++", "exit 0")
    script(checkout / ".venv" / "bin" / "python", 'case "$*" in *_native*) exit 1;; esac')
    assert environment.main(["paint"]) == 0
    out = capsys.readouterr().out
    assert "did not compile" in out and "C++20" in out and "build/set-up.log" in out


def test_tools_come_from_debian_where_no_password_is_asked(
    checkout: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    debian(programs, "c++", "chromium")
    script(checkout / ".venv" / "bin" / "python", "command -v chromium > asked-python")
    assert environment.main(["compiler", "browser"]) == 0
    apt, out = asked(checkout), capsys.readouterr().out
    assert "update" in apt and "install --no-install-recommends g++" in apt and "note" not in out
    assert environment.main(["compiler", "browser"]) == 0
    assert "apt" not in asked(checkout) and capsys.readouterr().out == ""


@pytest.mark.parametrize("tool", sorted(toolchain.TOOLS))
def test_a_tool_that_cannot_be_had_is_said_in_two_lines(
    tool: str, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    have(monkeypatch, tool, lambda: False)
    script(
        checkout / ".venv" / "bin" / "python",
        'case "$*" in *pip*--version*|*playwright*|*tool*) exit 1;; esac',
    )
    monkeypatch.setattr(environment.sys, "executable", str(checkout / ".venv" / "bin" / "python"))
    wish = {"headers": "paint", "compiler": "paint", "ensurepip": "paint"}.get(tool, tool)
    code = environment.main([wish])
    out, err = capsys.readouterr()
    lines = [line for line in (out + err).splitlines() if "here, so" in line or line.startswith("hint")]
    assert len(lines) == 2 and toolchain.TOOLS[tool].debian[0] in lines[1], out + err
    assert code == (1 if tool == "ensurepip" else 0), "nothing can be done without it"


def test_a_program_that_only_asks_to_be_installed_is_not_there(programs: Path) -> None:
    script(programs / "chromium-browser", "echo 'requires the chromium snap'; exit 1")
    assert toolchain.chromium() is None
    script(programs / "google-chrome", "exit 0")
    toolchain.answers.cache_clear()
    assert toolchain.chromium() == str(programs / "google-chrome")


def test_playwright_without_its_download_is_no_browser(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    toolchain.browser.cache_clear()
    assert not toolchain.browser()
    toolchain.browser.cache_clear()


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not (found := shutil.which("make")):
        pytest.skip("no make here")
    return subprocess.run([found, "-C", ROOT, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("target", ["paint", "test", "check", "bench", "wheel"])
def test_every_target_sets_up_before_it_works(target: str) -> None:
    lines = make("-n", f"PYTHON={sys.executable}", target).stdout.splitlines()
    work = [number for number, line in enumerate(lines) if line.startswith((".venv", "build/wheel"))]
    set_up = [number for number, line in enumerate(lines) if "tools/environment.py" in line]
    assert set_up and set_up[0] < work[0], lines


def test_without_a_fitting_python_make_says_which_it_needs() -> None:
    done = make("PYTHON=", "paint")
    assert done.returncode and "3.11 or later" in done.stderr and "hint:" in done.stderr


def test_continuous_integration_installs_nothing_itself() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    assert (
        "make test" in text
        and "sanitize" in text
        and not any(word in text for word in ("apt", "pip ", "sudo"))
    )
