"""The way in: `sfumato` and `python -m sfumato`. Imports nothing heavy: Ctrl-C is heard from the start."""

from __future__ import annotations

import gc
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
    own = argv is None
    if own:
        open_streams()
    with Outcome(sys.argv[1:] if argv is None else argv) as outcome:
        outcome.code = app(outcome.arguments, exit_on_error=False, print_error=False) or 0
    if own:
        gc.freeze()  # else the interpreter looks at every object of PyTorch once more: 0.8 CPU-s without a word
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
