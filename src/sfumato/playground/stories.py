"""What is to be said of a run on the page: its recipe, its net, its picture, and how to make it again."""

from __future__ import annotations

import json
import shlex
from typing import Any

from ..recipe import NAMED, difference, net_text
from ..runs import RunDirectory
from ..views.report._words import commands

__all__ = ["about"]


def about(run: RunDirectory, total_steps: int | None = None) -> dict[str, Any]:
    """Facts of a run as JSON values: they come from recipe.json and origin.json, no weights are read."""
    origin, recipe = run.origin, run.recipe
    last = run.last
    command, python = remade(run)
    return {
        "run": run.name,
        "recipe": json.loads(recipe.to_json()),
        "net": net_text(recipe.net),
        "widths": list(recipe.net),
        "parameters": origin.get("parameters"),
        "samples": origin.get("samples"),
        "outputs": origin.get("outputs"),
        "engine": origin.get("engine"),
        "threads": origin.get("threads"),
        "forked": origin.get("forked"),
        "started": origin.get("started"),
        "total_steps": total_steps or last.get("total_steps") or 0,
        "state": run.state,
        "last": last,
        "command": command,
        "python": python,
    }


def remade(run: RunDirectory) -> tuple[str, str]:
    """The command and the Python lines that make the same run.

    A picture is named by the run's own copy: what a page has brought or made is gone when its server ends. Which
    moments are kept changes no weight, and a page keeps many.
    """
    source = run.origin.get("source")
    copy = str(run.folder / "target.png") if source else None
    said = next((line for what, line in commands(run) if what == "From its recipe"), "").split(" --frames ")[
        0
    ]
    words = shlex.split(said)
    if copy and len(words) > 2:
        words[2] = copy
    return shlex.join(words), python_lines(run, copy)


def python_lines(run: RunDirectory, source: str | None) -> str:
    """A few lines of Python that make the same run of that picture; None: of the built-in one."""
    usual = min(NAMED, key=lambda name: len(difference(NAMED[name][0], run.recipe)))
    changes = [
        f"{field}={net_text(wanted) if field == 'net' else wanted!r}"
        if field != "net"
        else f"net={net_text(wanted)!r}"
        for field, (_, wanted) in difference(NAMED[usual][0], run.recipe).items()
    ]
    recipe = f"sfumato.read_recipe({usual!r})" + (f".replace({', '.join(changes)})" if changes else "")
    return f"import sfumato\n\nrecipe = {recipe}\nrun = sfumato.perform(recipe, {source!r})\n"
