"""From a recipe to a run, in the order of the flow. Read this file first.

    recipe + source -> data -> net -> train -> tick -> watchers -> run directory -> painting, film

`perform` starts a run, `resume` and `fork` go on with one. Each makes ready and yields; what then happens is the
same for all, and stands in `following`.
"""

from __future__ import annotations

import io
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import engine, nets, picture, tasks
from .budget import Pace, plan
from .errors import RecipeError, RunError
from .following import Ready, Say, followed
from .learning import losses, optimizers
from .learning.averaging import Averaged
from .learning.lbfgs import POLISH
from .learning.loop import drive
from .learning.plan import Plan
from .learning.session import Session, Tick
from .recipe import Recipe, difference, pick, steps_per_epoch
from .runs import RunDirectory
from .runs.directory import checkpoint_file
from .runs.origin import arithmetic, describe
from .runs.watch import Looks, Until, Watch
from .training import advice, begin

__all__ = ["fork", "perform", "prepare", "resume", "settle"]


def prepare(recipe: Recipe, source: str | picture.Picture | None) -> tuple[Any, Any]:
    """The data of a recipe's task and the untrained net that fits them."""
    if isinstance(source, picture.Picture) and recipe.task != "picture":
        raise RecipeError(f"task {recipe.task} does not learn a picture that is given in memory")
    task = tasks.task(recipe.task)
    data = task.load(source, recipe)
    if hasattr(task, "build"):
        return data, task.build(recipe, data)
    aspect = float(data.facts.get("aspect", 1.0))
    net = nets.build(recipe, data.inputs.shape[1], data.targets.shape[1], aspect=aspect)
    # Tried once here, so that a wrong argument is refused before anything is written.
    optimizers.check(pick(optimizers, recipe.optimizer, "optimizer"), net)
    Plan(recipe, data.samples, 1, data.inputs)
    pick(losses, recipe.loss, "loss")(torch.zeros(1, 1), torch.zeros(1, 1))
    return data, net


def settle(recipe: Recipe) -> engine.Settled:
    """`engine.settle`; a task that trains by itself needs no engine."""
    recipe.to_json()  # what a run cannot keep is refused before anything is done
    if hasattr(tasks.task(recipe.task), "begin"):
        return engine.Settled(recipe, "torch", ())
    return engine.settle(recipe)


def _begin(
    net: Any, data: Any, recipe: Recipe, chosen: str, watch: Watch, state: Mapping[str, Tensor] | None = None
) -> Session:
    """The session of a task that trains by itself, or the engine's; state: to go on from."""
    task = tasks.task(recipe.task)
    session: Session
    if hasattr(task, "begin"):
        session = task.begin(net, data, recipe, recipe.total_steps(data.samples))
    else:
        session = begin(net, data, recipe, chosen)
    if watch.preview_ema:
        session = Averaged(session, net, watch.preview_ema)
    if state is not None:
        session.load(net, state)
    return session


@followed
def perform(
    recipe: Recipe,
    source: str | picture.Picture | None = None,
    *,
    out: str | os.PathLike[str] = "runs",
    name: str | None = None,
    watch: Watch | None = None,
    until: Until | None = None,
    budget: float | None = None,
    watchers: Sequence[Callable[[Tick], None]] = (),
    say: Say = lambda event, facts: None,
    draft: bool = False,
) -> Iterator[Ready]:
    """Train the recipe's net on `source` (None: the task's own default) and leave a run directory under `out`.

    watch: what is kept; the defaults of `Watch` if None. budget: seconds for training and watching together, from
    now on; they decide the recipe's steps and the number of frames, see `budget`.
    draft: the caller settles the finished run and gives it its place: only a checkpoint on the way waits for the
    disk, and none is written at the end of the budget.
    watchers: further callables that get every tick. Ctrl-C and SIGTERM finish the step, save, and return the
    run with `stopped_by` set. Raises SfumatoError subclasses; what was written until then stays readable.
    """
    since = time.perf_counter()
    if not os.fspath(out) or "\0" in os.fspath(out):
        raise RecipeError(f"out={os.fspath(out)!r} is no folder\nhint: --out runs")
    recipe, chosen, notes = settle(recipe)
    watch = asked = watch or Watch()
    watch.check()
    data, net = prepare(recipe, source)
    if until is not None:
        _check_target(until, tasks.task(recipe.task), data, net)
    pace = None
    if budget is not None and "digest" in data.facts:  # its shards are no plan that can be cut
        raise RecipeError(f"task {recipe.task} has no budget in seconds\nhint: epochs, or until='time=60s'")
    if budget is not None:
        say("note", {"text": "measuring how fast this machine trains, about a second ..."})
        far = recipe.replace(steps=1 << 30)
        planned = plan(
            recipe,
            lambda copy: _begin(copy, data, far, chosen, asked),
            data,
            net,
            tasks.task(recipe.task),
            watch,
            seconds=budget,
            since=since,
        )
        recipe, watch, notes = planned.recipe, planned.watch, (planned.text, *notes)
        pace = Pace(budget, since + budget - planned.reserve, planned.frame)
    shown: picture.Picture | None = data.facts.get("picture")
    label = name or (shown.name if shown else str(data.facts.get("name", recipe.task)))
    named = source.name if isinstance(source, picture.Picture) else source
    origin = describe(recipe, named, data, net, chosen, watch) | ({"budget": budget} if budget else {})
    origin |= {"until": str(until)} if until else {}
    session = _begin(net, data, recipe, chosen, watch)  # what it refuses leaves no run behind
    looks = Looks(watch, session.plan)
    with RunDirectory.create(out, recipe, label, origin, _target_files(shown), wait=not draft) as run:
        for note in [*(shown.notes if shown else ()), *notes, *data.facts.get("notes", ())]:
            say("note", {"text": note})
        yield Ready(run, data, net, session, {}, looks, until, watchers, say, pace, draft)


@followed
def resume(
    run: RunDirectory,
    *,
    epochs: float | None = None,
    until: Until | None = None,
    source: str | None = None,
    watchers: Sequence[Callable[[Tick], None]] = (),
    say: Say = lambda event, facts: None,
    draft: bool = False,
) -> Iterator[Ready]:
    """Go on with an interrupted run, or with a finished one for more `epochs` in all.

    source: the picture of a run that is too large to keep a copy of it; no path that a run names is followed.
    draft: as in `perform`.

    On the same engine, thread count and instruction set the result is bit for bit that of a run that never stopped,
    unless `epochs` changes the schedule; where they differ, a note says so. until: the run's target from now on; if
    None, the one that it has and has not reached yet. Raises RunError if another process holds the run, or nothing
    is left to do.
    """
    with run.lock():
        recipe = run.recipe if epochs is None else run.recipe.replace(epochs=epochs, steps=0)
        recipe, chosen, notes = settle(recipe)
        data, net = _prepare_again(run, recipe, source)
        state: dict[str, Tensor] | None = None
        facts: dict[str, Any] = {}
        if run.file("checkpoint.safetensors").exists():
            weights, state, facts = run.checkpoint()
            run.fit(net, weights)
            if int(facts["step"]) >= recipe.total_steps(data.samples) and (epochs or _finished(run)):
                if int(facts["step"]) < run.recipe.total_steps(data.samples):
                    raise RunError(
                        f"{run.folder} has reached {recipe.epochs:g} epochs already: step {facts['step']}\n"
                        f"hint: sfumato resume {run.folder} goes on to the end that it was planned for"
                    )
                longer = round(2 * int(facts["step"]) / steps_per_epoch(data.samples, recipe.batch)) or 1
                state_of_it = f"past {epochs:g} epochs" if epochs else "done"
                raise RunError(
                    f"{run.folder} is {state_of_it}: it stands at step {facts['step']}\n"
                    f"hint: sfumato resume {shlex.quote(str(run.folder))} --epochs {longer}"
                )
        new_target = until is not None
        if until is not None:
            _check_target(until, tasks.task(recipe.task), data, net)
        elif (target := Until.of(run.origin.get("until"))) is not None and not target.met(run.last):
            until = target
        session = _begin(net, data, recipe, chosen, run.watch, state)  # what it refuses has changed nothing
        looks = Looks(run.watch, session.plan, run.origin.get("first_step", 0))
        run.change_recipe(recipe)
        if new_target:
            run.change_origin(until=str(until))
        looked = bool(facts.get("looked", state is not None))
        run.forget_after(int(facts.get("step", 0)) - (0 if looked else 1))
        if state is not None:
            notes = (*notes, *_other_bits(run, recipe, chosen, int(facts["step"])))
        for note in notes:
            say("note", {"text": note})
        yield Ready(run, data, net, session, facts, looks, until, watchers, say, draft=draft)


FORK_KEEPS = ("task", "net", "encoding", "skip", "optimizer", "coordinates", "held_out", "init")


@followed
def fork(
    run: RunDirectory,
    step: int | None,
    changes: Mapping[str, Any],
    *,
    polish: int = 0,
    out: str | os.PathLike[str] = "runs",
    watchers: Sequence[Callable[[Tick], None]] = (),
    say: Say = lambda event, facts: None,
) -> Iterator[Ready]:
    """A new run that leaves `run` at `step` (None: where it stands) exactly, some recipe fields changed from there.

    Weights and optimizer at `step` are the run's own: its checkpoint's if that is where it stands, else replayed
    from there or from the start. polish: so many steps of L-BFGS on all samples (see `POLISH`) end the run; they
    count from 0, and only the weights are handed over. Raises RecipeError for a field that decides the net's shape
    or the optimizer's memory, a step outside the run's budget, or a task that hands neither over.
    """
    if polish < 0:
        raise RecipeError(f"polish={polish} must be at least 1 step")
    if "digest" in run.origin:
        raise RecipeError(
            f"a run of task {run.recipe.task} cannot be forked: it keeps no copy of its picture"
        )
    if polish and hasattr(tasks.task(run.recipe.task), "begin"):
        raise RecipeError(f"task {run.recipe.task} trains by itself: it takes no other optimizer")
    for name in sorted(set(changes) & set(FORK_KEEPS) - ({"optimizer"} if polish else set())):
        raise RecipeError(f"a fork cannot change {name}: weights and optimizer are handed over")
    step = int(run.checkpoint()[2]["step"]) if step is None else step
    ending = POLISH | {"steps": polish, "batch": int(run.origin.get("samples", 1))} if polish else {}
    recipe, chosen, notes = settle(run.recipe.replace(**(ending | dict(changes))))
    data, net = _prepare_again(run, run.recipe)
    new_data, new_net = _prepare_again(run, recipe)
    if [p.shape for p in new_net.parameters()] != [p.shape for p in net.parameters()]:
        raise RecipeError(f"a fork cannot change the net's shape: {', '.join(changes)} would")
    total = run.recipe.total_steps(data.samples)
    latest = total if polish else min(total, recipe.total_steps(new_data.samples) - 1)
    if not 0 <= step <= latest:
        raise RecipeError(f"fork step {step} must lie in the budgets of both runs: 0 to {latest}")
    state: dict[str, Tensor] | None = None
    seconds = 0.0
    if run.file("checkpoint.safetensors").exists():
        weights, kept, facts = run.checkpoint()
        if int(facts["step"]) <= step:
            run.fit(net, weights)
            state, seconds = kept, float(facts["seconds"])
    before = settle(run.recipe)
    session = _begin(net, data, before.recipe, before.engine, run.watch, state)
    with closing(drive(session, net, [step], pulse=0.2, seconds=seconds, hint=advice(run.recipe))) as ticks:
        for tick in ticks:
            say(
                "doing",
                {"text": f"training again to step {step}, where the fork leaves: {tick.step} of {step}"},
            )
            if tick.step == step:
                net, state, seconds = tick.net, tick.session.state(), tick.seconds
                break
    new_net.load_state_dict(net.state_dict())
    first_step = 0 if polish else step
    new_session = _begin(new_net, new_data, recipe, chosen, run.watch, None if polish else state)
    if polish:
        notes = (*notes, f"{recipe.optimizer} remembers nothing at first; its steps count from 0")
        state, seconds = new_session.state(), 0.0
    # Handed over before training begins, so that a fork that is killed at once goes on from here too.
    facts = {"step": first_step, "seconds": seconds, "looked": False}
    files = {"checkpoint.safetensors": checkpoint_file(net.state_dict(), state or {}, facts)}
    first = run.origin.get("source")  # where the picture came from, not the run's copy of it
    origin = describe(recipe, first, new_data, new_net, chosen, run.watch)
    origin |= {"forked": f"{run.folder} at step {step}", "first_step": first_step}
    origin |= {"polish": polish} if polish else {}
    changed = difference(run.recipe.replace(**ending), recipe)
    origin["forked_with"] = {name: part for name, (_, part) in changed.items()}
    shown: picture.Picture | None = new_data.facts.get("picture")
    label = Path(first).stem if first else "mona-lisa" if shown else recipe.task
    looks = Looks(run.watch, new_session.plan, first_step)
    with RunDirectory.create(out, recipe, label, origin, files | _target_files(shown)) as new:
        for note in notes:
            say("note", {"text": note})
        yield Ready(new, new_data, new_net, new_session, facts, looks, None, watchers, say)


def _prepare_again(run: RunDirectory, recipe: Recipe, given: str | None = None) -> tuple[Any, Any]:
    """`prepare` from the run's own copy of its picture, or from the one that is given, where the run has none."""
    kept = run.origin.get("digest")
    if kept is not None:
        if given is None:
            raise RunError(
                f"{run.folder} holds no copy of its picture, which is large\n"
                f"hint: --source FILE, the file that was {Path(str(run.origin.get('source'))).name}"
            )
        data, net = prepare(recipe, given)
        if data.facts.get("digest") != kept:
            raise RunError(f"{given} is not the picture that {run.folder} learns: its content differs")
        return data, net
    if given is not None:
        raise RecipeError(f"{run.folder} holds what it learns: it takes no source")
    source = run.source
    if recipe.task == "picture" and run.file("target.npy").exists():
        from .tasks.picture import pixel_data

        target = run.target
        data = pixel_data(target, recipe)
        aspect = target.height / target.width
        return data, nets.build(recipe, data.inputs.shape[1], data.targets.shape[1], aspect=aspect)
    return prepare(recipe, source)


def _check_target(until: Until, task: Any, data: Any, net: Any) -> None:
    """Refuse a target that the scores of this task can never be held against, before anything is written."""
    if until.name == "psnr":
        scores = task.score(net, data, task.draw(net, data))
        if "psnr" not in scores:
            raise RecipeError(
                f"until={str(until)!r}: this task has no PSNR; its scores are {', '.join(scores)}\nhint: time=60s"
            )


def _finished(run: RunDirectory) -> bool:
    """Whether a run whose training is over also has its painting and its film: made after the last checkpoint, so
    not those of a shorter budget."""
    after = run.file("checkpoint.safetensors").stat().st_mtime_ns
    films = [run.file(f"film.{kind}") for kind in ("mp4", "webp", "gif")] if run.watch.film != "none" else []
    made = [[run.file("painting.png")], *([films] if films else [])]
    return all(any(path.exists() and path.stat().st_mtime_ns >= after for path in paths) for paths in made)


def _target_files(target: picture.Picture | None) -> dict[str, bytes]:
    """The picture as PNG for the eye, and as numbers too where 8 bits do not hold the exact values, by name."""
    if target is None:
        return {}
    files = {"target.png": picture.encode(target, "png")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "target.png"
        path.write_bytes(files["target.png"])
        again = picture.load(path, alpha=target.channels == 4, max_pixels=None)
    if again.values.shape != target.values.shape or not np.array_equal(again.values, target.values):
        buffer = io.BytesIO()
        np.save(buffer, target.values, allow_pickle=False)
        files["target.npy"] = buffer.getvalue()
    return files


def _other_bits(run: RunDirectory, recipe: Recipe, chosen: str, step: int) -> list[str]:
    """Note, in origin.json too, that a run goes on with an engine, a thread count or an instruction set that rounds
    differently from those before; none if all are the same."""
    now = arithmetic(recipe, chosen)
    earlier = run.origin.get("continued", [])
    before = {**run.origin, **(earlier[-1] if earlier else {})}
    changed = [
        f"{key} {now[key]} instead of {before[key]}" for key in now if before.get(key, now[key]) != now[key]
    ]
    if not changed:
        return []
    run.change_origin(continued=[*earlier, {"step": step, **now}])
    text = f"goes on with {', '.join(changed)}".replace("_", " ")
    return [f"{text}: other last bits than those of a run that never stopped"]
