"""How a command ends: whatever went wrong as a few lines on stderr and an exit code."""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import IO

from ..errors import RunError, SfumatoError
from ..words import printable

__all__ = ["Outcome", "open_streams"]


class Outcome:
    """`with Outcome(argv) as outcome: outcome.code = ...`: what is raised inside is told, and decides the code.

    argv: the words of the command line. `--debug` anywhere among them shows tracebacks; `arguments` are the others.
    """

    code = 0

    def __init__(self, argv: Sequence[str]) -> None:
        self._debug = "--debug" in argv
        self.arguments = [word for word in argv if word != "--debug"]

    def __enter__(self) -> Outcome:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None:
            try:
                sys.stdout.flush()
            except OSError as refused:
                error = refused
        if isinstance(error, KeyboardInterrupt):
            print("stopped", file=sys.stderr)
            self.code = 130
        elif isinstance(error, (BrokenPipeError, SystemExit)):  # rich makes the one of the other
            _abandon(sys.stdout)  # its reader has what it wanted (| head)
            self.code = 0
        elif isinstance(error, SfumatoError):
            self._say(error, error.exit_code)
        elif isinstance(error, Exception):
            return self._unexpected(error)
        return error is None or isinstance(error, (Exception, KeyboardInterrupt, SystemExit))

    def _unexpected(self, error: Exception) -> bool:
        """What is no error of ours in words of ours; False where the traceback is wanted."""
        from cyclopts import CycloptsError

        if isinstance(error, CycloptsError):
            from .refusals import plain

            self._say(plain(error), 2)
        elif isinstance(error, MemoryError):
            self._say(RunError(f"out of memory: {error}\nhint: a smaller --batch or picture"), 1)
        elif self._debug:
            return False
        elif isinstance(error, OSError) and error.filename is None:  # of no file: a stream that takes nothing
            _abandon(sys.stdout)
            self.arguments = []  # no JSON either
            reason = error.strerror or str(error)
            hint = "hint: what was made is kept; sfumato runs lists it"
            self._say(RunError(f"the output cannot be written: {reason}\n{hint}"), 1)
        else:
            short = str(error).strip().split("\n")[0]
            self._say(RunError(f"{type(error).__name__}: {short}\nhint: --debug shows the traceback"), 1)
        return True

    def _say(self, error: Exception, code: int) -> None:
        self.code = code
        if self._debug:
            traceback.print_exc()
        ours = isinstance(error, SfumatoError)
        text = str(error) if ours else " ".join(str(error).split())
        if "--json" in self.arguments:
            print(json.dumps({"v": 1, "event": "error", "exit": code, "message": text}), flush=True)
        lines = [printable(line) for line in text.split("\n")] if text else [type(error).__name__]
        print("\n  ".join([f"error: {lines[0]}", *lines[1:]]), file=sys.stderr)


def open_streams() -> None:
    """Let no stream end a run: a closed one leads nowhere, and what its encoding lacks is escaped."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would take its number, and its text
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+" if number == 0 else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _abandon(stream: IO[str]) -> None:
    """Let what is still to be written to a stream lead nowhere, or Python would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
