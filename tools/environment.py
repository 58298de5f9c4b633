"""Set up what the Makefile's targets need, step by step, and only what is not there yet.

    python3 tools/environment.py paint              .venv with what `sfumato paint` needs, native engine compiled
    python3 tools/environment.py compiler test      the same with all that the tests need, and a compiler before it
    python3 tools/environment.py browser            Chromium for the tests: Debian's, else Playwright's own

What is done is remembered in .venv, with a digest of all it was made from. Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import tomllib
from pathlib import Path

import toolchain
from steps import LOG, Failed, complaint, say, step

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(".venv")
PYTHON = str(VENV / "bin" / "python")
DONE = VENV / ".set-up.json"
EXTRAS = {"paint": "video", "test": "dev"}
NATIVE = ("compiler", "headers")
ENVIRONMENT = os.environ | {
    "PATH": os.pathsep.join([str(ROOT / VENV / "bin"), os.environ.get("PATH", os.defpath)]),
    "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),  # another torch must not slip in through a dependency
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
PIP = [PYTHON, "-m", "pip", "install"]
CPU_BUILDS = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of builds without GPU libraries: 0.2 instead of several GB to fetch on Linux."""


def main(wishes: list[str]) -> int:
    """Fulfil the wishes from left to right: 1 if one that nothing works without failed."""
    os.chdir(ROOT)
    LOG.parent.mkdir(exist_ok=True)
    try:
        with Path(LOG.parent, ".set-up.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # `make -j` may ask twice at once
            for wish in wishes:
                fulfil(wish)
    except Failed as error:
        print(f"sfumato: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def fulfil(wish: str) -> None:
    """One word of the command line."""
    if wish in EXTRAS:
        install(wish)
    elif wish == "browser":
        browser()
    elif not toolchain.bring(wish) and wish not in NATIVE:  # what lacks without those, `install` says
        raise Failed(toolchain.lack(wish))


def install(kind: str) -> None:
    """The virtual environment, its packages, and sfumato itself in editable form with its native engine."""
    done = _done()
    lacking = [name for name in NATIVE if not toolchain.TOOLS[name].there()]
    listed = _digest("pyproject.toml", "constraints.txt", facts=lacking)
    # An editable install finds a module by the place it had when it was installed.
    places = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("src/**/*.py"))]
    built = _digest("pyproject.toml", "CMakeLists.txt", "native/*", facts=[*lacking, *places])
    if done == done | {"root": str(ROOT), kind: listed, "engine": built} and Path(PYTHON).exists():
        return
    say(f"Setting up .venv for `make {kind}`, once. What pip and the compiler say goes to {LOG}.")
    LOG.write_text("", encoding="utf-8")
    if done.get("root", str(ROOT)) != str(ROOT) or not Path(PYTHON).exists():
        done = {}  # scripts in .venv name the folder it was made in
        virtual_environment()
    pip()
    if done.get(kind) != listed:
        packages(kind, native=not lacking)
        # what tests need includes what painting needs
        done |= {"root": str(ROOT), "paint": listed, kind: listed}
        DONE.write_text(json.dumps(done), encoding="utf-8")
    if done.get("engine") != built:
        package(lacking)
        DONE.write_text(json.dumps(done | {"engine": built}), encoding="utf-8")


def virtual_environment() -> None:
    """`.venv`, without pip."""
    title = "virtual environment with Python " + ".".join(map(str, sys.version_info[:3]))
    if not step(title, [sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)]):
        raise Failed(f"no virtual environment could be made\n{complaint()}")


def pip() -> None:
    """Pip into `.venv`: by ensurepip, else by a pip that this Python has, else by Debian's ensurepip."""
    if toolchain.succeeds(PYTHON, "-m", "pip", "--version"):
        return
    outside = [sys.executable, "-m", "pip"]
    if not toolchain.ensurepip() and toolchain.succeeds(*outside, "--version"):
        command = [*outside, "--python", PYTHON, "install", "pip"]
    elif toolchain.bring("ensurepip"):
        command = [PYTHON, "-m", "ensurepip", "--default-pip"]
    else:
        raise Failed(toolchain.lack("ensurepip"))
    if not step("pip", command):
        raise Failed(f"pip could not be installed into .venv\n{complaint()}")


def packages(kind: str, native: bool) -> None:
    """PyTorch, the other dependencies, and what the package is built with."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    extra = project["project"]["optional-dependencies"][EXTRAS[kind]]
    wanted = [*project["project"]["dependencies"], *extra, *project["build-system"]["requires"]]
    if native:
        wanted += ["cmake>=3.26", "ninja>=1.11"]
    torch = next(line for line in Path("constraints.txt").read_text().split() if line.startswith("torch=="))
    if sys.platform == "linux" and not Path("/proc/driver/nvidia/version").exists():
        command = [*PIP, "--no-deps", "--retries", "0", "--timeout", "20", "--index-url", CPU_BUILDS, torch]
        step("PyTorch for CPUs, as no NVIDIA GPU is here", command)  # where it fails: the usual build, next
    if not step(f"{len(wanted)} packages and what they need", [*PIP, *wanted], env=ENVIRONMENT):
        raise Failed(f"packages could not be installed; is there a network?\n{complaint()}")


def package(lacking: list[str]) -> None:
    """Sfumato itself, editable: a change in src/ needs no new install. Without a compiler as pure Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    title = "sfumato" if lacking else f"sfumato, native engine compiled on {cores} cores"
    # In .venv and not in isolation: what was compiled once is not compiled again, and no network is asked.
    command = [*PIP, "--verbose", "--no-deps", "--no-build-isolation", "--editable", "."]
    if lacking:
        command.append("--config-settings=wheel.cmake=false")
    if not step(title, command, env=ENVIRONMENT | {"CMAKE_BUILD_PARALLEL_LEVEL": str(cores)}):
        raise Failed(f"sfumato could not be installed into .venv\n{complaint()}")
    if lacking:
        say(f"note: {toolchain.lack(*lacking)}")
    if not lacking and not toolchain.succeeds(PYTHON, "-c", "import sfumato._native"):
        say(f"note: the native engine did not compile (it needs C++20), so {toolchain.NO_NATIVE}")
        say(f"hint: {LOG} has the compiler's errors")


def browser() -> None:
    """Chromium for the tests: Debian's package, else Playwright's download; where neither comes, that is said."""
    has = [PYTHON, str(ROOT / "tools" / "toolchain.py"), "browser"]
    if toolchain.succeeds(*has) or toolchain.bring("browser"):
        return
    download = [PYTHON, "-m", "playwright", "install", "--only-shell", "chromium"]
    if not (step("Chromium, from Playwright", download) and toolchain.succeeds(*has)):
        say(f"note: {toolchain.lack('browser')}")


def _done() -> dict[str, str]:
    try:
        found = json.loads(DONE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(*patterns: str, facts: list[str]) -> str:
    """One text for the contents of files and for facts of the machine."""
    digest = hashlib.sha256(json.dumps([sys.platform, *facts]).encode())
    for path in sorted(path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
