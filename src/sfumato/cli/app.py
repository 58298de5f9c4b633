"""The application to which verbs are added, and what they share. Nothing heavy at the top."""

from __future__ import annotations

from cyclopts import App, Parameter

from .precedence import lower_levels

__all__ = ["DOCS", "app", "flag"]

DOCS = "Every figure and recipe: README.md and docs/ of the project."
EVERYWHERE = (
    "Every command takes --debug (tracebacks). Options also come from a table [paint] in sfumato.toml and from "
    "SFUMATO_PAINT_EPOCHS and the like. Exit codes: 0 ok, 1 failed, 2 usage, 3 something is missing here, "
    "4 a stated target not reached, 130 Ctrl-C and 143 SIGTERM with the state saved."
)


def _version() -> str:
    from importlib.metadata import version

    return version("sfumato")


app = App(
    name="sfumato",
    help="A fast bench for neural networks that paint: watch a network learn a picture, and look inside it.",
    help_epilogue="Start with: sfumato paint\n\n" + EVERYWHERE + "\n\n" + DOCS,
    version=_version,
    result_action="return_value",
    config=lower_levels,
    suppress_keyboard_interrupt=False,  # `call` says that it stopped
    default_parameter=Parameter(negative=()),
)


def flag(text: str, *names: str) -> Parameter:
    """An option with its help; names: other than that of the parameter."""
    return Parameter(name=names or None, help=text)
