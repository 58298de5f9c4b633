"""Why a painting is mud: what a run's numbers and its net say, in a line each, with what to try."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ..learning.symptoms import Finding, findings
from ..neurons.flatness import flat_shares
from ..picture import metrics

if TYPE_CHECKING:
    from ..runs import RunDirectory

__all__ = ["diagnosis"]


def diagnosis(run: RunDirectory) -> list[Finding]:
    """What can be said of a run of the task `picture` that is over, the gravest first; empty where all is well.

    Raises RunError where the run has no net or no target.
    """
    if run.recipe.task != "picture":
        return []
    history, target, net = run.history, run.target, run.net()
    average = target.values.mean((0, 1), keepdims=True)
    return findings(
        asdict(run.recipe),
        [(line["step"], line["loss"]) for line in history if line.get("loss") is not None],
        [(line["step"], line["psnr"]) for line in history if line.get("psnr") is not None],
        flat=flat_shares(net, target.height, target.width, run.recipe.coordinates),
        rectifier=bool(net.activation.fact("rectifier", False)),
        total_steps=int(run.last.get("total_steps", 0)),
        mean_colour=metrics.psnr(target.values, average + 0 * target.values),
    )
