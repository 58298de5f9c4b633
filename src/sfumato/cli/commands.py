"""The command line: one command in, its exit code out. The verbs stand in `training`, `viewing` and `comparing`.

stdout carries the result only (a path, a table, JSON); progress, warnings and errors go to stderr. Exit codes: 0
ok; 1 the run failed; 2 usage; 3 a missing extra, engine or codec; 4 a stated target not reached; 130 Ctrl-C and
143 SIGTERM, state saved.
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import IO

from ..errors import RecipeError, RunError, SfumatoError
from ..words import printable
from . import training, viewing  # noqa: F401  # their verbs join `app`
from .app import app

__all__ = ["app", "main"]

# Many runs: their verbs are read when they are called.
app.command(
    "sfumato.cli.comparing:compare",
    name="compare",
    help="Several recipes under one budget: tables, verdicts, plots.",
)
app.command(
    "sfumato.cli.comparing:sweep",
    name="sweep",
    help="Many values of a recipe's fields, here or on a cluster.",
)
app.command(
    "sfumato.cli.studying:study",
    name="study",
    help="The reading list, runnable: papers' claims tested on small nets.",
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    _streams()
    sys.exit(call(list(sys.argv[1:] if argv is None else argv)))


def call(argv: list[str]) -> int:
    """One command; the exit code instead of leaving. `--debug` anywhere shows tracebacks."""
    debug = "--debug" in argv
    argv = [a for a in argv if a != "--debug"]
    try:
        result = app(argv, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except SfumatoError as error:
        return _failed(error, error.exit_code, argv, debug)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (BrokenPipeError, SystemExit):  # rich, which prints the help, turns the one into the other
        _abandon(sys.stdout)  # its reader has what it wanted (| head)
        return 0
    except MemoryError as error:
        return _failed(
            RunError(f"out of memory: {error}\nhint: a smaller --batch or picture"), 1, argv, debug
        )
    except Exception as error:
        from cyclopts import CycloptsError

        if isinstance(error, CycloptsError):
            return _failed(_plain(error), 2, argv, debug)
        if debug:
            raise
        if (
            isinstance(error, OSError) and error.filename is None
        ):  # of no file: it is a stream that takes nothing
            _abandon(sys.stdout)
            reason = error.strerror or str(error)
            text = (
                f"the output cannot be written: {reason}\nhint: what was made is kept; sfumato runs lists it"
            )
            return _failed(RunError(text), 1, [], debug)
        short = str(error).strip().split("\n")[0]
        return _failed(
            RunError(f"{type(error).__name__}: {short}\nhint: --debug shows the traceback"), 1, argv, debug
        )


def _plain(error: Exception) -> Exception:
    """A complaint of the parser's in our words, where its own say little."""
    more = getattr(error, "unused_tokens", None)
    if not more:
        return error
    verb = (getattr(error, "command_chain", None) or ("sfumato",))[-1]
    what = "one picture: sfumato compare takes several" if verb == "paint" else f"less: sfumato {verb} --help"
    return RecipeError(f"{' '.join(more)!r} is too much\nhint: sfumato {verb} takes {what}")


def _streams() -> None:
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


def _failed(error: Exception, code: int, argv: list[str], debug: bool) -> int:
    if debug:
        traceback.print_exc()
    text = " ".join(str(error).split()) if code == 2 and not isinstance(error, SfumatoError) else str(error)
    if "--json" in argv:
        print(json.dumps({"v": 1, "event": "error", "exit": code, "message": text}), flush=True)
    lines = [printable(line) for line in text.split("\n")] if text else [type(error).__name__]
    print("\n  ".join([f"error: {lines[0]}", *lines[1:]]), file=sys.stderr)
    return code
