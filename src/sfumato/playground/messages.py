"""What a page may ask for: every message is checked here, against one table, before anything else sees it.

    parse('{"type": "step", "count": 1}')  ->  {"type": "step", "count": 1}

The table is the protocol: a message has exactly the fields of its type, of the kinds and within the bounds that are
written here. No message can name a file: pictures and runs are named by keys that the server has handed out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import RecipeError

__all__ = ["COMMANDS", "MOST_BYTES", "parse"]

MOST_BYTES = 1 << 16
"""A message from a page is a few hundred bytes; the socket refuses larger ones before they are read."""

Check = Callable[[Any], bool]


def whole(low: int, high: int) -> Check:
    """An integer from `low` to `high`, both included; True and False are none."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def text(most: int) -> Check:
    """A printable string of at most `most` characters."""
    return lambda value: isinstance(value, str) and len(value) <= most and (not value or value.isprintable())


def flag(value: Any) -> bool:
    """True or False."""
    return isinstance(value, bool)


def layers(value: Any) -> bool:
    """A list of at most 64 numbers of hidden layers, from 1."""
    number = whole(1, 1000)
    return isinstance(value, list) and len(value) <= 64 and all(number(one) for one in value)


def fields(value: Any) -> bool:
    """Recipe fields as typed: at most 40 names, each with a short text, a finite number, or True or False."""
    if not isinstance(value, dict) or len(value) > 40:
        return False
    word, small = text(40), text(200)
    return all(word(key) and (small(one) or flag(one) or number(one)) for key, one in value.items())


def number(value: Any) -> bool:
    """A finite number of ordinary size."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return plain and math.isfinite(value) and abs(value) < 1 << 63


STEP = whole(0, 1 << 40)
KEY = text(200)

COMMANDS: Mapping[str, Mapping[str, Check]] = {
    "ack": {"id": whole(0, 1 << 53)},  # a picture was drawn: the next one of its kind may come
    # What this page shows now: hidden layers of the first run, or of the one beside
    "watch": {"layers": layers, "beside": layers, "visible": flag},
    "start": {"recipe": fields, "picture": KEY},  # a new run
    "play": {},
    "pause": {},
    "step": {"count": whole(1, 100_000)},
    "speed": {"level": whole(1, 5)},
    "stop": {},  # end the run; its directory stays and can be resumed
    "fork": {"run": KEY, "step": STEP, "changes": fields},
    "resume": {"run": KEY},
    "race": {"run": KEY, "recipe": fields},  # that run anew, and beside it one by this recipe
    "alone": {},  # the run beside ends, the other one goes on
}
"""Type of message -> its fields, all of them required, each with its check."""


def parse(message: str | bytes) -> dict[str, Any]:
    """The message as a dict with `type` and exactly the fields that COMMANDS lists for it.

    Raises RecipeError for anything else, with a line that says what is wrong; the message's own text is never
    repeated in it.
    """
    if len(message) > MOST_BYTES:
        raise RecipeError(f"message refused: more than {MOST_BYTES:,} bytes")
    try:
        body = json.loads(message, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RecipeError("message refused: not JSON") from error
    kind = body.get("type") if isinstance(body, dict) else None
    if not isinstance(kind, str) or kind not in COMMANDS:
        raise RecipeError("message refused: no known type")
    wanted = COMMANDS[kind]
    if set(body) - {"type"} != set(wanted):
        raise RecipeError(f"message refused: {kind} has the fields {', '.join(wanted) or 'type alone'}")
    for name, fine in wanted.items():
        if not fine(body[name]):
            raise RecipeError(f"message refused: {kind}.{name} is out of range")
    return dict(body)


def _no_constant(name: str) -> float:
    """JSON knows no NaN and no Infinity, although Python's reader does."""
    raise ValueError(name)
