"""The watcher that a page looks through: it pauses, steps, shows and ends a run, and never changes a weight."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato import experiment
from sfumato.errors import SfumatoError
from sfumato.playground.stream import Stream
from sfumato.playground.trainer import key_steps, menus, recipe_of
from sfumato.recipe import NAMED, Recipe
from sfumato.runs import RunDirectory
from sfumato.runs.watch import Watch

RECIPE = Recipe(net=(12, 12), batch=16, steps=40, rate=0.01, engine="eager", threads=1)
WATCH = Watch(frames="4", keep="4", film="none")


class Page:
    """The other end of the pipe: answers events with commands, and keeps what it was sent."""

    def __init__(
        self, answer: Callable[[dict[str, Any]], dict[str, Any] | str | None] = lambda event: None
    ) -> None:
        self.ours, self.theirs = multiprocessing.Pipe()
        self.events: list[dict[str, Any]] = []
        self.pictures: list[tuple[str, dict[str, Any], bytes]] = []
        self._answer = answer
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                message = self.ours.recv()
            except (EOFError, OSError):
                return
            if message[0] == "picture":
                self.pictures.append(message[1:])
                continue
            self.events.append(message[1])
            command = self._answer(message[1])
            if command == "hang up":
                self.ours.close()
                return
            if isinstance(command, dict):
                self.ours.send(command)

    def stop(self) -> None:
        self.theirs.close()
        self._thread.join(5)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]


def performed(
    photo: Path,
    page: Page,
    recipe: Recipe = RECIPE,
    *,
    paused: bool = False,
    looking: bool = True,
    speed: int = 5,
) -> tuple[RunDirectory, Stream]:
    pipe: Connection = page.theirs
    stream = Stream(pipe, paused=paused, looking=looking, layers=[1, 2], speed=speed)
    run = experiment.perform(
        recipe, str(photo), out=photo.parent / "runs", watch=WATCH, watchers=[stream], say=stream.say
    )
    page.stop()
    return run, stream


def weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    return run.checkpoint()[0]


@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_a_page_that_pauses_steps_and_looks_changes_no_bit(photo: Path, engine: str) -> None:
    recipe = RECIPE.replace(engine=engine)
    alone = experiment.perform(recipe, str(photo), out=photo.parent / "runs", watch=WATCH)

    def answer(event: dict[str, Any]) -> dict[str, Any] | None:
        if event["event"] == "status" and event["status"] == "paused":
            paused = len(page.of("status"))
            return {"type": "step", "count": 3} if paused < 5 else {"type": "play"}
        return None

    page = Page(answer)
    watched, _ = performed(photo, page, recipe, paused=True)
    assert all(torch.equal(value, weights(watched)[name]) for name, value in weights(alone).items())
    assert watched.state == "done" and {one[0] for one in page.pictures} == {"painting", "walls"}


def test_a_step_is_a_step(photo: Path) -> None:
    """Paused at 0; one step, then five: news come from exactly there."""
    counts = iter([1, 5])

    def answer(event: dict[str, Any]) -> dict[str, Any] | None:
        if event["event"] == "status" and event["status"] == "paused":
            count = next(counts, None)
            return {"type": "stop"} if count is None else {"type": "step", "count": count}
        return None

    page = Page(answer)
    run, _ = performed(photo, page, paused=True)
    assert run.checkpoint()[2]["step"] == 6 and run.stopped_by == signal.SIGTERM
    assert {0, 1, 6} <= {event["step"] for event in page.of("pulse")}
    stills = [
        header["step"]
        for channel, header, _ in page.pictures
        if channel == "painting" and header["stride"] == 1
    ]
    assert {0, 1, 6} <= set(stills)


@pytest.mark.parametrize("speed", [1, 3, 4, 5])
def test_who_reads_paused_has_read_the_step_where_training_stands(photo: Path, speed: int) -> None:
    """Pause while steps are under way, at every speed: the last news before `paused` is what `kept` then says."""

    def answer(event: dict[str, Any]) -> dict[str, Any] | None:
        if event["event"] == "pulse":
            return {"type": "pause"} if event["step"] > 0 else None
        if event["event"] == "status" and event["status"] == "paused":
            return {"type": "keep"}
        return {"type": "stop"} if event["event"] == "kept" else None

    page = Page(answer)
    performed(photo, page, RECIPE.replace(steps=100_000), speed=speed)
    word = [event["event"] for event in page.events].index("kept")
    before = [event for event in page.events[:word] if event["event"] in ("pulse", "status")]
    assert before[-1] == {"event": "status", "status": "paused"}
    assert before[-2]["event"] == "pulse" and before[-2]["step"] == page.of("kept")[0]["step"]


def test_a_key_held_down_is_as_many_steps(photo: Path) -> None:
    """Steps that are asked for before the last one is done are added up, none is lost."""

    def answer(event: dict[str, Any]) -> dict[str, Any] | None:
        if event["event"] == "status" and event["status"] == "paused":
            if event is page.of("status")[0]:
                for _ in range(6):
                    page.ours.send({"type": "step", "count": 1})
            elif page.of("pulse")[-1]["step"] == 6:
                return {"type": "stop"}
        return None

    page = Page(answer)
    run, _ = performed(photo, page, paused=True)
    assert run.checkpoint()[2]["step"] == 6


def test_a_server_that_is_gone_ends_the_run_and_everything_is_saved(photo: Path) -> None:
    page = Page(lambda event: "hang up" if event["event"] == "pulse" and event["step"] >= 3 else None)
    run, stream = performed(photo, page, RECIPE.replace(steps=100_000))
    assert stream.gone and run.stopped_by == signal.SIGTERM
    assert 3 <= run.checkpoint()[2]["step"] < 100_000 and run.state == "interrupted"


def test_a_new_start_ends_the_run_and_is_handed_on(photo: Path) -> None:
    command = {"type": "start", "recipe": {}, "paused": False}
    page = Page(lambda event: command if event["event"] == "pulse" and event["step"] >= 2 else None)
    _, stream = performed(photo, page, RECIPE.replace(steps=100_000))
    assert stream.after == command and not stream.gone


def test_weights_are_kept_where_someone_looks(photo: Path) -> None:
    def answer(event: dict[str, Any]) -> dict[str, Any] | None:
        if event["event"] == "status" and event["status"] == "paused":
            return {"type": "step", "count": 7} if len(page.of("status")) == 1 else {"type": "keep"}
        return {"type": "stop"} if event["event"] == "kept" else None

    page = Page(answer)
    run, _ = performed(photo, page, paused=True)
    assert page.of("kept")[0]["step"] == 7 and 7 in run.steps()


def test_painting_and_walls_of_a_look_are_of_one_moment_that_was_told(photo: Path) -> None:
    """Together they cost a browser one frame; the painting comes first, as the first that anyone waits for."""
    page = Page()
    performed(photo, page, RECIPE.replace(steps=3000))
    steps = [header["step"] for channel, header, _ in page.pictures if channel == "walls"]
    drawn = [header["step"] for channel, header, _ in page.pictures if channel == "painting"]
    assert steps and set(steps) <= set(drawn) and page.pictures[0][0] == "painting"
    shown = [header["layers"] for channel, header, _ in page.pictures if channel == "walls"]
    assert all([wall["layer"] for wall in layers] == [1, 2] for layers in shown)
    assert steps[0] in {event["step"] for event in page.of("pulse")}


def test_nobody_looking_costs_nothing(photo: Path) -> None:
    page = Page()
    performed(photo, page, looking=False)
    assert page.pictures == [] and page.of("score") == [] and page.of("flat") == []
    assert all(event["viewing"] == 0 for event in page.of("pulse"))


@pytest.mark.parametrize("total", [1, 2, 10, 48, 500, 16_000, 3_000_000])
def test_key_steps_begin_at_0_end_at_the_end_and_are_few(total: int) -> None:
    steps = key_steps(total)
    assert steps[0] == 0 and steps[-1] == total and steps == sorted(set(steps)) and len(steps) <= 60
    if total >= 500:
        assert max(b - a for a, b in pairwise(steps)) <= total / 20


def test_menus_come_from_the_registries() -> None:
    from sfumato.nets import activations

    found = menus()
    assert [one["name"] for one in found["variants"]["activation"]] == activations.__all__
    assert {one["name"]: one["arguments"] for one in found["variants"]["activation"]}["sine"] == "omega=30.0"
    assert [one["name"] for one in found["recipes"]] == list(NAMED)


def test_a_pages_recipe_is_checked() -> None:
    from sfumato.errors import RecipeError

    assert recipe_of({"base": "siren", "rate": "1e-3", "net": "2x8"}).net == (8, 8)
    for wrong, says in [
        ({"base": "nobody"}, "unknown"),
        ({"task": "digits"}, "cannot set task"),
        ({"options": "x"}, "cannot set options"),
        ({"rate": "-1"}, "rate"),
        ({"nonsense": 1}, "unknown"),
    ]:
        with pytest.raises(RecipeError, match=says):
            recipe_of(wrong)


def offered() -> list[tuple[str, str]]:
    """Every entry of every menu, as (field, what the page sends)."""
    found = menus()
    variants = [(field, one["name"]) for field, listed in found["variants"].items() for one in listed]
    bases = [("base", one["name"]) for one in found["recipes"]]
    return [*variants, *bases, *(("engine", name) for name in found["engines"])]


@pytest.mark.parametrize(("field", "name"), offered())
def test_every_entry_of_every_menu_trains_and_is_looked_at_or_says_why_not(
    photo: Path, field: str, name: str
) -> None:
    """Chosen alone beside the small net and picture; where it cannot be, the page gets a reason and a hint."""
    page = Page()
    asked = {"base": "classic", "net": "2x8", "batch": "32", "steps": "3", "threads": "1"}
    try:
        run, _ = performed(photo, page, recipe_of({**asked, field: name}))
    except SfumatoError as error:
        page.stop()
        needs = {
            "lbfgs": "all pixels",
            "cuda": "a GPU",
            "regrouped": "one layer",
            "blocks": "a larger picture",
        }
        assert name in needs
        assert name in str(error) and "hint: " in str(error)
        return
    assert run.state == "done" and run.last["step"] == 3
    assert {one[0] for one in page.pictures} == {"painting", "walls"}
