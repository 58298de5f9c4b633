"""What a report says in words: titles, the recipe, where a run comes from, its times, and how to make it again."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import tasks
from ...errors import SfumatoError
from ...recipe import NAMED, Recipe, difference, flags, net_text
from ...words import COUNTED, duration, metric_name, metric_text, si

if TYPE_CHECKING:
    from ...runs import RunDirectory

__all__ = ["Row", "commands", "origin", "recipe", "scores", "short", "title", "value"]

Row = tuple[str, str, bool]
"""A name, its value, and whether it stands out."""


def title(run: RunDirectory) -> str:
    """What was learned: the picture's name, or the name of the data."""
    source = run.origin.get("source")
    if source:
        return Path(str(source)).stem or str(source)
    return "mona-lisa" if run.recipe.task == "picture" else run.recipe.task


def short(run: RunDirectory) -> str:
    """Net, optimizer and budget in a line."""
    recipe = run.recipe
    parts = [f"{net_text(recipe.net)} {value(recipe.activation)}"]
    if recipe.encoding != "none":
        parts.append(f"{value(recipe.encoding)} encoding")
    parts.append(f"{recipe.optimizer} {recipe.rate:g}")
    parts.append(f"batch {recipe.batch:,}")
    parts.append(f"{recipe.steps:,} steps" if recipe.steps else f"{recipe.epochs:g} epochs")
    return " · ".join([*parts, f"seed {recipe.seed}"])


def scores(run: RunDirectory) -> dict[str, str]:
    """The newest scores by their names."""
    return {metric_name(k): metric_text(k, v) for k, v in run.last.items() if k not in COUNTED}


def value(thing: Any) -> str:
    """A recipe's value as a person would type it."""
    if callable(thing):
        return getattr(thing, "__name__", "callable")
    if isinstance(thing, tuple):
        return (
            net_text(thing) if thing and all(isinstance(v, int) for v in thing) else ",".join(map(str, thing))
        )
    if isinstance(thing, Mapping):
        return ", ".join(f"{k}={v}" for k, v in thing.items())
    return f"{thing:g}" if isinstance(thing, float) else str(thing)


def recipe(run: RunDirectory) -> list[Row]:
    """Every field; those stand out that differ from the task's own recipe."""
    try:
        usual = tasks.task(run.recipe.task).RECIPE
    except SfumatoError:
        usual = Recipe(task=run.recipe.task)
    changed = difference(usual, run.recipe)
    return [
        (f.name.replace("_", " "), value(getattr(run.recipe, f.name)) or "none", f.name in changed)
        for f in dataclasses.fields(run.recipe)
    ]


def origin(run: RunDirectory) -> list[Row]:
    """Where the run was made, and how long it took."""
    facts, last = run.origin, run.last
    rows: list[tuple[str, Any]] = [
        ("source", Path(str(facts["source"])).name if facts.get("source") else "built in"),
        ("started", str(facts.get("started", "")).replace("T", " ")),
        ("state", run.state),
        ("engine", facts.get("engine")),
        ("threads", facts.get("threads")),
        ("seed", run.recipe.seed),
        ("processor", facts.get("processor")),
        ("Python", facts.get("python")),
        *dict(facts.get("packages", {})).items(),
        ("samples", facts.get("samples")),
        ("parameters", facts.get("parameters")),
    ]
    if facts.get("forked"):
        rows.append(("forked from", Path(str(facts["forked"])).name))
    if last:
        seconds, epoch = float(last.get("seconds") or 0), float(last.get("epoch") or 0)
        rows += [
            ("steps", f"{last['step']:,} of {last.get('total_steps', last['step']):,}"),
            ("epochs", f"{epoch:,.4g}"),
            ("training", duration(seconds) if seconds >= 10 else f"{seconds:.2f} s"),
            ("frames and metrics", f"{float(last.get('watching_seconds') or 0):.2f} s"),
        ]
        if seconds > 0 and facts.get("samples"):
            rows.append(("samples a second", si(epoch * int(facts["samples"]) / seconds)))
    return [
        (name, f"{thing:,}" if isinstance(thing, int) and name != "seed" else str(thing), False)
        for name, thing in rows
        if thing not in (None, "")
    ]


def commands(run: RunDirectory) -> list[tuple[str, str]]:
    """(what, command line) pairs that make the run again: as it was typed, and in full from its recipe."""
    made: list[tuple[str, str]] = []
    argv = [str(a) for a in run.origin.get("argv", [])]
    if argv and Path(argv[0]).name in ("sfumato", "__main__.py", "cli.py"):
        made.append(("As it was typed", shlex.join(["sfumato", *argv[1:]])))
    full = _fork(run) if run.origin.get("forked") else _full(run)
    if full:
        made.append(("From its recipe", shlex.join(full)))
    if run.state == "interrupted":
        made.append(("To go on", shlex.join(["sfumato", "resume", run.name])))
    return made


def _fork(run: RunDirectory) -> list[str]:
    """The command that leaves the run's parent where it did; empty where its origin does not say."""
    parent, _, step = str(run.origin["forked"]).rpartition(" at step ")
    changes = run.origin.get("forked_with")
    if not parent or not step.isdigit() or not isinstance(changes, Mapping):
        return []
    line = ["sfumato", "resume", Path(parent).name, "--fork", step]
    if "polish" in run.origin:
        line += ["--polish", str(run.origin["polish"])]
    for field, wanted in changes.items():
        parts = (
            {f"options.{k}": v for k, v in wanted.items()} if isinstance(wanted, Mapping) else {field: wanted}
        )
        for name, part in parts.items():
            line += ["--set", f"{name}={_typed(tuple(part) if isinstance(part, list) else part)}"]
    return line


def _full(run: RunDirectory) -> list[str]:
    """The command in full: the nearest named recipe and all that differs from it; empty where none can say it."""
    verb = {"picture": "paint", "digits": "digits"}.get(run.recipe.task)
    if verb is None:
        return []
    known = {**(NAMED if verb == "paint" else {}), **tasks.task(run.recipe.task).RECIPES}
    usual = tasks.task(run.recipe.task).RECIPE
    # Another name than the usual one must save some options to be worth its surprise.
    name = min(known, key=lambda n: len(difference(known[n][0], run.recipe)) - 3 * (known[n][0] == usual))
    line = ["sfumato", verb]
    source = run.origin.get("source")
    if source:
        text = Path(str(source)).name
        line += ["--data", text] if verb == "digits" else [f"./{text}" if text.startswith("-") else text]
    line += ["--recipe", name]
    for field, (_, wanted) in difference(known[name][0], run.recipe).items():
        if callable(wanted):
            return []
        if field == "options":
            if set(known[name][0].options) - set(wanted):
                return []  # an option can be set, not taken away
            for key, part in dict(wanted).items():
                line += ["--set", f"options.{key}={part}"]
        elif field in flags(verb):
            line += [f"--{field.replace('_', '-')}", _typed(wanted)]
        else:
            line += ["--set", f"{field}={_typed(wanted)}"]
    frames = dict(run.origin.get("watch", {})).get("frames", "48")
    return [*line, *(["--frames", str(frames)] if frames != "48" else [])]


def _typed(thing: Any) -> str:
    """Exactly, unlike `value`: repr of a float reads back as the same number."""
    if isinstance(thing, tuple) and thing and all(isinstance(v, int) for v in thing):
        return net_text(thing)
    if isinstance(thing, tuple):
        return ",".join(map(repr, thing))
    return repr(thing) if isinstance(thing, float) else str(thing)
