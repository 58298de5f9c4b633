"""All verbs of the command line, in one application: those that train, those that look, those of many runs.

stdout carries the result only (a path, a table, JSON); progress, warnings and errors go to stderr. Exit codes: 0
ok; 1 the run failed; 2 usage; 3 a missing extra, engine or codec; 4 a stated target not reached; 130 Ctrl-C and
143 SIGTERM, state saved.
"""

from __future__ import annotations

from . import training, viewing  # noqa: F401  # their verbs join `app`
from .app import app

__all__ = ["app"]

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
