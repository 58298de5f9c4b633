"""metrics.jsonl: one JSON object a beat, checked as it is read, so that nobody else has to."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import Any

from ..errors import RunError

__all__ = ["parsed", "value"]

LARGEST = 1 << 62

TIMES = ("v", "epoch", "seconds", "watching_seconds")
"""Keys that are always numbers, from 0 on; null means elsewhere that nothing was measured, or infinity."""

_NUMBER = re.compile(r"(v|epoch|.*seconds|cores|loss|psnr.*|ssim.*|.*_error)\Z", re.DOTALL)
"""Keys that are numbers or null; others may be text."""


def value(text: str | bytes) -> Any:
    """JSON, of which Python's reader takes more than is JSON: ValueError for Infinity, NaN, nesting without end,
    and numbers of thousands of digits."""
    try:
        return _JSON.decode(text if isinstance(text, str) else text.decode())
    except RecursionError as error:
        raise ValueError("brackets without end") from error


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_JSON = json.JSONDecoder(parse_constant=_refused)


def parsed(text: str, where: str) -> list[dict[str, Any]]:
    """The lines in the order of the file. A last line that a crash has torn is left out; any other that is not an
    object of a step and finite numbers is damage: RunError with its number."""
    lines = text.split("\n")
    whole, torn = lines[:-1], lines[-1]
    found = []
    for number, line in enumerate(whole, 1):
        if not line.strip("\x00 \r"):  # what a power cut leaves where bytes were not written yet
            continue
        try:
            found.append(_checked(value(line)))
        except ValueError as error:
            reason = str(error) if len(str(error)) < 90 else str(error)[:80] + "..."
            raise RunError(f"{where} is damaged: line {number}: {reason}") from error
    with suppress(ValueError):
        found.append(_checked(value(torn)))
    return found


def _checked(line: Any) -> dict[str, Any]:
    if not isinstance(line, dict):
        raise ValueError("not an object")
    if "step" not in line:
        raise ValueError("it has no step")
    for key, found in line.items():
        whole = isinstance(found, int) and not isinstance(found, bool) and abs(found) <= LARGEST
        if key in ("step", "total_steps"):
            fine = whole and found >= 0
        else:
            fine = whole or (isinstance(found, float) and math.isfinite(found))
            fine = (fine and (key not in TIMES or found >= 0)) or (found is None and key not in TIMES)
            fine = fine or (isinstance(found, str) and not _NUMBER.match(key))
        if not fine:
            raise ValueError(f"{key[:40]} is {str(found)[:40]}")
    return line
