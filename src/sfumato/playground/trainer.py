"""The training process: waits for a command, performs an ordinary run with the stream as one more watcher,
and again.

A message from the server is a dict that `messages` or the server has checked. What goes back is ("event", facts) or
("picture", channel, header, bytes). When the pipe ends, the run is saved and the process ends.
"""

from __future__ import annotations

import dataclasses
import inspect
import traceback
from multiprocessing.connection import Connection
from typing import Any

from ..errors import RecipeError, SfumatoError
from ..recipe import NAMED, Recipe, public, read_recipe
from .workers import deaf

__all__ = ["main"]


def main(pipe: Connection, out: str) -> None:
    """Serve until the pipe ends. out: folder of run directories."""
    deaf()
    import torch

    # Looks are small: on a busy machine a second thread of PyTorch's mostly waits for its turn (20 s against 1.4 s
    # for the default picture). Engines have threads of their own.
    torch.set_num_threads(1)
    pipe.send(("event", {"event": "menus", **menus()}))
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # PyTorch's first one imports a compiler: a second
    from .. import experiment  # noqa: F401  # everything heavy is imported while the page is still opening
    from ..engine import native  # noqa: F401
    from .stream import Stream

    if not pipe.poll(0.2):  # decoding the default picture takes a second; it is remembered
        from .. import samples

        samples.mona_lisa()
    pipe.send(("event", {"event": "awake"}))
    looking, layers, speed = False, [], 5
    command: dict[str, Any] | None = None
    while True:
        try:
            command = command or pipe.recv()
        except (EOFError, OSError):
            return
        kind = command["type"]
        if kind == "leave":
            return
        if kind == "wants":
            looking, layers = command["looking"], command["layers"]
        elif kind == "speed":
            speed = command["level"]
        if kind not in ("start", "fork", "resume"):
            command = None
            continue
        stream = Stream(pipe, paused=command["paused"], looking=looking, layers=layers, speed=speed)
        try:
            _perform(command, out, stream)
        except (SfumatoError, MemoryError) as error:
            text = str(error) or "out of memory\nhint: a smaller net, batch or picture"
            stream.end("failed", text)
        except Exception as error:  # a fault of ours must not take the next run with it
            traceback.print_exc()
            first = (str(error).splitlines() or [""])[0][:200]
            stream.end("failed", f"{type(error).__name__}: {first}\nhint: the terminal shows where")
        if stream.gone:
            return
        looking, layers, speed, command = stream.looking, stream.layers, stream.speed, stream.after


def _perform(command: dict[str, Any], out: str, stream: Any) -> None:
    """Start, fork or resume as the command says, to the end of the run or of the page's patience."""
    from .. import experiment
    from ..runs import RunDirectory
    from ..runs.watch import Watch
    from . import limits

    told: dict[str, Any] = {"watchers": [stream], "say": stream.say}
    if command["type"] == "start":
        asked = command["recipe"]
        recipe = asked if isinstance(asked, Recipe) else recipe_of(asked)
        limits.check(recipe, command["pixels"], command["aspect"])
        steps = key_steps(recipe.total_steps(command["pixels"]))
        listed = ",".join(map(str, steps))
        watch = Watch(frames=listed, keep=listed, film="none")
        run = experiment.perform(
            recipe, command["source"], out=out, name=command["name"], watch=watch, **told
        )
    else:
        kept, changes = RunDirectory(command["folder"]), command.get("changes", {})
        for recipe in (
            kept.recipe,
            kept.recipe.replace(**changes),
        ):  # a fork first makes the net that it leaves
            limits.check(recipe, kept.origin.get("samples", 1), kept.origin.get("aspect", 1.0))
        if command["type"] == "fork":
            run = experiment.fork(kept, command["step"], changes, out=out, **told)
        else:
            run = experiment.resume(kept, **told)
    stream.end("stopped" if run.stopped_by else "done")


def key_steps(total: int, count: int = 48) -> list[int]:
    """About `count` steps to come back to, frames and weights alike: geometric, with gaps that are neither so small
    that drawing takes longer than training nor so large that the end stands still."""
    least, most = max(1, total // 2000), max(1, 2 * total // count)
    steps, at = [0], 0
    while at < total:
        at = min(total, at + max(least, min(most, round(0.2 * at))))
        steps.append(at)
    return steps


def recipe_of(fields: dict[str, Any]) -> Recipe:
    """The recipe that the page asks for: `base` names one, all other fields change it.

    Raises RecipeError where a field cannot be meant.
    """
    rest = dict(fields)
    base = str(rest.pop("base", "classic"))
    if base not in NAMED:
        raise RecipeError(f"recipe {base!r} is unknown; known are {', '.join(NAMED)}")
    for name in ("task", "options", "format"):
        if name in rest:
            raise RecipeError(f"a page cannot set {name}")
    return read_recipe(base).replace(**rest)


def menus() -> dict[str, Any]:
    """All that can be chosen, from the package's own registries: names with a line that explains each."""
    from ..drawing import palettes
    from ..engine import names
    from ..learning import optimizers, schedules
    from ..machine import available_threads
    from ..nets import activations, encodings
    from ..picture import held_out

    described = {
        "activation": activations,
        "encoding": encodings,
        "optimizer": optimizers,
        "schedule": schedules,
        "held_out": held_out,
    }
    variants = {field: [_variant(name, f) for name, f in public(m).items()] for field, m in described.items()}
    recipes = [
        {"name": name, "text": text, "recipe": dataclasses.asdict(recipe) | {"net": list(recipe.net)}}
        for name, (recipe, text) in NAMED.items()
        if recipe.task == "picture"
    ]
    tables = {
        name: palettes.palette(name)[: palettes.LEVELS].tobytes().hex() for name in ("diverging", "heat")
    }
    return {
        "variants": variants,
        "recipes": recipes,
        "engines": ["auto", *names()],
        "threads": available_threads(),
        "palettes": tables,
        "levels": palettes.LEVELS,
    }


def _variant(name: str, function: Any) -> dict[str, str]:
    """Its name, its docstring's first line, and the arguments that it takes, as `omega=30.0`."""
    keywords = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    arguments = ",".join(f"{p.name}={p.default}" for p in keywords)
    return {"name": name, "text": (function.__doc__ or "").strip().partition("\n")[0], "arguments": arguments}
