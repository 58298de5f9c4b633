"""A command as a step that a person can follow: its title, how far it is, its seconds; all else goes to a log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

LOG = Path("build/set-up.log")
"""What pip, apt-get and the compiler had to say, relative to the checkout."""


class Failed(Exception):
    """A step that failed, with one to three lines for whoever waits."""


def say(line: str) -> None:
    """One line, at once: the next may be minutes away."""
    print(line, flush=True)


def step(title: str, command: list[str], env: Mapping[str, str] | None = None) -> bool:
    """Run a command with its output in LOG, and say whether it succeeded.

    On a terminal the line under way shows the seconds and the log's last line.
    """
    LOG.parent.mkdir(exist_ok=True)
    moving = sys.stdout.isatty()
    print(f"  {title} ...", end="", flush=True)
    begin = time.monotonic()
    with LOG.open("a", encoding="utf-8") as log:
        print("$", *command, file=log, flush=True)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env
        )
        while True:
            try:
                code = process.wait(timeout=0.25)
                break
            except subprocess.TimeoutExpired:
                if moving:
                    _show(f"  {title} ... {time.monotonic() - begin:.0f} s  {_last()}")
            except BaseException:
                process.terminate()
                raise
    end = f"{time.monotonic() - begin:.0f} s" if code == 0 else "failed"
    if moving:
        _show(f"  {title} ... {end}")
        say("")
    else:
        say(f" {end}")
    return code == 0


def complaint() -> str:
    """The lines of the last command's output that say what was wrong, three at most; and where the rest is."""
    said = LOG.read_text(encoding="utf-8", errors="replace").rsplit("\n$ ", 1)[-1].splitlines()[1:]
    wrong = [line.strip() for line in said if line.lower().lstrip().startswith(("error", "e:", "fatal"))]
    return "\n".join([*(wrong or said)[-3:], f"hint: the whole story is in {LOG}"])


def _last() -> str:
    with LOG.open("rb") as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - 2000))
        lines = log.read().decode("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else ""


def _show(line: str) -> None:
    width = shutil.get_terminal_size().columns - 1
    print(f"\r{''.join(c for c in line if c.isprintable())[:width]}\x1b[K", end="", flush=True)
