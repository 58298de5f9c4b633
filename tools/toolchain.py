"""What a target needs from the machine itself: is it there, how does it come, what is left out without it.

Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from steps import step

_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@functools.cache
def answers(program: str) -> bool:
    """Whether a program is on PATH and runs: Ubuntu's and Apple's stand-ins only ask to be installed."""
    found = shutil.which(program)
    return found is not None and succeeds(found, "--version")


def compiler() -> bool:
    """Any C++ compiler that CMake would find."""
    given = os.environ.get("CXX", "").split()
    return any(answers(name) for name in [*given[:1], "c++", "g++", "clang++"])


def headers() -> bool:
    """Python's headers, which Debian packs apart from Python."""
    return Path(sysconfig.get_path("include"), "Python.h").is_file()


def ensurepip() -> bool:
    """What brings pip into a virtual environment; Debian packs that apart from Python too."""
    return succeeds(sys.executable, "-c", "import ensurepip")


def chromium() -> str | None:
    """The path of a Chromium or Chrome on PATH that runs."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((shutil.which(name) for name in names if answers(name)), None)


@functools.cache
def browser() -> bool:
    """Whether the tests have a browser: one on PATH, or Playwright's own, if it starts."""
    if chromium():
        return True
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return False
    with sync_playwright() as driver:
        try:
            driver.chromium.launch(args=["--no-sandbox"]).close()
        except Error:
            return False
    return True


@dataclass(frozen=True)
class Tool:
    """Something of the machine's: how Debian names it and others get it, and what does not happen without it."""

    there: Callable[[], bool]
    name: str
    debian: tuple[str, ...]
    without: str
    elsewhere: str


NO_NATIVE = "the native engine is left out: PyTorch trains instead, slower (README, 'How fast is it?')"

TOOLS = {
    "compiler": Tool(
        compiler, "C++ compiler", ("g++",), NO_NATIVE, "any with C++20, on macOS xcode-select --install"
    ),
    "headers": Tool(
        headers,
        f"Python.h for {sys.executable}",
        (f"{_PYTHON}-dev",),
        NO_NATIVE,
        "make PYTHON=/path/to/another/python",
    ),
    "ensurepip": Tool(
        ensurepip,
        f"ensurepip in {sys.executable}",
        (f"{_PYTHON}-venv",),
        "nothing can be installed into .venv",
        "make PYTHON=/path/to/another/python",
    ),
    "browser": Tool(
        browser,
        "Chromium",
        ("chromium", "fonts-dejavu-core"),
        "the tests in a browser are left out",
        ".venv/bin/playwright install --with-deps chromium",
    ),
}


def lack(*names: str) -> str:
    """What does not happen for want of tools, and how to get them: two lines. What is named first says what."""
    tools = [TOOLS[name] for name in names]
    packages = " ".join(package for tool in tools for package in tool.debian)
    return (
        f"no {' and no '.join(tool.name for tool in tools)} here, so {tools[0].without}\n"
        f"hint: apt install {packages} (Debian), or {tools[0].elsewhere}; then the same make again"
    )


def bring(name: str) -> bool:
    """Install a tool from Debian, as root or where sudo asks nothing; whether it is there afterwards."""
    tool = TOOLS[name]
    if tool.there():
        return True
    root = _as_root()
    # Ubuntu's chromium is a snap, which containers cannot start.
    if root is not None and shutil.which("apt-get") and not (name == "browser" and "ubuntu" in _release()):
        apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-o", "Acquire::Retries=1"]
        apt += ["-o", "DPkg::Lock::Timeout=120"]
        packages = " ".join(tool.debian)
        if step("apt-get update", [*apt, "update"]):
            step(f"apt-get install {packages}", [*apt, "install", "--no-install-recommends", *tool.debian])
    answers.cache_clear()
    browser.cache_clear()
    return tool.there()


def succeeds(*command: str) -> bool:
    try:
        return not subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def _as_root() -> list[str] | None:
    """What to put before a command that needs root; None where a password would be asked."""
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if shutil.which("sudo") and succeeds("sudo", "-n", "true") else None


def _release() -> str:
    try:
        return Path("/etc/os-release").read_text(encoding="utf-8").lower()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(not TOOLS[sys.argv[1]].there())
