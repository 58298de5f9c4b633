"""How a run opens and closes, in sentences."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from ..words import COUNTED, metric_name, metric_text, si

if TYPE_CHECKING:
    from ..runs import RunDirectory

__all__ = ["closing", "opening"]


def opening(facts: Mapping[str, Any]) -> list[str]:
    """What is going to be learned, by what and where."""
    from .. import tasks
    from ..recipe import difference, net_text

    run, data = facts["run"], facts["data"]
    parameters = run.origin.get("parameters", 0)
    engine, threads = run.origin.get("engine", "?"), run.origin.get("threads", "?")
    changed = difference(tasks.task(run.recipe.task).RECIPE, run.recipe)
    listed = "  ".join(f"{k}={net_text(b) if k == 'net' else b}" for k, (_, b) in changed.items())
    shape = (
        "x".join(map(str, reversed(data.facts["picture"].values.shape[:2])))
        if "picture" in data.facts
        else ""
    )
    what = f"{shape} = {data.samples:,} pixels" if shape else f"{data.samples:,} samples"
    return [
        *_sentence(facts),
        f"recipe  {listed or 'the default'}",
        f"net     {net_text(run.recipe.net)} {run.recipe.activation}, {parameters:,} parameters; {what}",
        f"engine  {engine}, {threads} threads, seed {run.recipe.seed}, {si(facts['total_steps'])} steps",
        f"run     {run.folder}",
    ]


def _symptoms(run: RunDirectory) -> list[str]:
    """What went wrong with a training, and what to try; nothing where all is well."""
    from ..views.symptoms import symptoms

    try:
        found = symptoms(run)
    except RunError:  # a run without a picture or a net: nothing can be said
        return []
    return [line for one in found for line in (f"note    {one.text}", f"        try: {one.advice}")]


def _sentence(facts: Mapping[str, Any]) -> list[str]:
    """What is going on, in a sentence; none for tasks that are no pictures."""
    run, data = facts["run"], facts["data"]
    if "picture" not in data.facts or not run.recipe.net:
        return []
    shape = data.facts["picture"].values.shape
    return [
        f"A network of {sum(run.recipe.net):,} neurons learns the {shape[1]}x{shape[0]} picture"
        f" {data.facts['picture'].name!r}: told a place (x, y), it is to say the colour there."
    ]


def closing(facts: Mapping[str, Any], *, python: bool = False) -> list[str]:
    """How a run ends. python: what may be done next is said in Python, not in commands."""
    run, line, tick = facts["run"], facts["line"], facts["tick"]
    where = shlex.quote(str(run.folder))
    if run.stopped_by:
        return [
            f"stopped at step {tick.step} of {tick.total_steps}, all saved",
            "go on: sfumato.resume(run)" if python else f"go on: sfumato resume {where}",
        ]
    picture = run.recipe.task == "picture"
    file = "painting.png --size 4x" if picture else "report.html"
    commands = [f"next    sfumato atlas {where}", f"        sfumato export {where} {file}"]
    methods = [
        "next    run.atlas(), run.report()",
        '        run.export("painting.png", size="4x")' if picture else "",
    ]
    scores = [f"{metric_name(k)} {metric_text(k, v)}" for k, v in line.items() if k not in COUNTED]
    wall, training, watching = facts["wall"], facts["training"], facts["watching"]
    other = max(0.0, wall - training - watching - facts["finishing"])
    return [
        ", ".join(scores),
        *([run.verdict] if run.verdict else []),
        *_symptoms(run),
        f"time    {wall:.1f} s = training {training:.1f} + frames and metrics {watching:.1f}"
        f" + painting and film {facts['finishing']:.1f} + weights and checkpoints {other:.1f}",
        f"see     {run.folder / 'painting.png'}",
        *(filter(None, methods) if python else commands),
    ]
