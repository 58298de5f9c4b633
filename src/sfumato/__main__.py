"""The way in: `sfumato` and `python -m sfumato`. Imports nothing itself, so that Ctrl-C is heard from the start."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """One command; its exit code. argv: its words; those of this process if None.

    A Ctrl-C before the command line is there ends in a word and exit 130 too, not in a traceback.
    """
    try:
        from .cli.commands import app
        from .cli.outcome import Outcome, open_streams
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    if argv is None:
        open_streams()
        argv = sys.argv[1:]
    with Outcome(argv) as outcome:
        outcome.code = app(outcome.arguments, exit_on_error=False, print_error=False) or 0
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
