"""The way in: `sfumato` and `python -m sfumato`. Imports nothing itself, so that Ctrl-C is heard from the start."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; a Ctrl-C before it is there ends in a word and exit 130, not in a traceback."""
    try:
        from .cli.commands import main as run

        run()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
