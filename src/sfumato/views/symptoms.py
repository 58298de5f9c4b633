"""What went wrong with a run, from its files: `learning.symptoms` of its metrics and its kept weights."""

from __future__ import annotations

import dataclasses

from ..learning.symptoms import Finding, findings
from ..nets import encodings
from ..neurons.flat import flat_shares
from ..neurons.previews import is_rectifier
from ..recipe import pick
from ..runs import RunDirectory

__all__ = ["symptoms"]


def symptoms(run: RunDirectory) -> list[Finding]:
    """What can be said of a run of the task `picture`, the gravest first; nothing of other tasks."""
    history = run.history
    if run.recipe.task != "picture" or not history or not run.steps():
        return []
    net, target = run.net(), run.target
    return findings(
        dataclasses.asdict(run.recipe),
        [(line["step"], line["loss"]) for line in history if line.get("loss") is not None],
        [(line["step"], line["psnr"]) for line in history if line.get("psnr") is not None],
        flat=flat_shares(net, target.height, target.width, where=run.recipe.coordinates),
        rectifier=is_rectifier(net),
        plain=pick(encodings, run.recipe.encoding, "encoding").fact("plain", False),
        total_steps=history[-1].get("total_steps", 0),
    )
