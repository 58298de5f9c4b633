"""Two runs at once: both start together, take the same commands, and the pages hear of both."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sfumato import experiment
from sfumato.errors import RunError
from sfumato.playground.hub import Client
from sfumato.playground.messages import parse
from sfumato.playground.moment import LAST
from sfumato.playground.shelf import Shelf, Shelved
from sfumato.playground.sitting import Sitting
from sfumato.recipe import Recipe
from sfumato.runs.watch import Watch

RECIPE = Recipe(net=(6,), batch=16, steps=6, rate=0.01, engine="eager", threads=1)
LINE = {"step": 0, "epoch": 0.0, "seconds": 0.0, "loss": None, "psnr": 9.0}


class Table:
    """A sitting with a kept run, and two trainers that only note what they are told."""

    def __init__(self, photo: Path) -> None:
        out = photo.parent / "runs"
        watch = Watch(frames="2", keep="2", film="none")
        self.kept = experiment.perform(RECIPE, str(photo), out=out, watch=watch)
        self.shelf = Shelf(str(out))
        self.first: list[dict[str, Any]] = []
        self.second: list[dict[str, Any]] = []
        self.sitting = Sitting(
            self.shelf, lambda one: self.first.append(dict(one)), lambda one: self.second.append(dict(one))
        )
        self.page = self.sitting.join()

    def obey(self, **message: Any) -> None:
        self.sitting.obey(self.page, parse(json.dumps(message)))

    def race(self) -> None:
        self.obey(type="race", run=self.kept.name, recipe={"base": "classic", "activation": "tanh"})

    def running(self) -> None:
        """Both have started."""
        self.race()
        self.sitting.rival.hear(("event", {"event": "awake"}))
        self.sitting.hear(("event", run("a", RECIPE)))
        self.sitting.rival.hear(("event", run("b", RECIPE)))
        for hear in (self.sitting.hear, self.sitting.rival.hear):
            hear(("event", {"event": "status", "status": "playing"}))


def run(name: str, recipe: Recipe) -> dict[str, Any]:
    return {"event": "run", "run": name, "recipe": json.loads(recipe.to_json()), "total_steps": 6, "last": {}}


def told(page: Client) -> list[dict[str, Any]]:
    return [json.loads(line) for line in page._news]


def kinds(commands: list[dict[str, Any]]) -> list[str]:
    return [one["type"] for one in commands]


@pytest.fixture
def table(photo: Path) -> Iterator[Table]:
    made = Table(photo)
    yield made
    made.shelf.close()


def test_both_start_when_the_second_process_is_awake_and_on_the_same_picture(table: Table) -> None:
    table.race()
    assert table.first == [] and kinds(table.second) == ["wake"], "the first one waits for the second"
    table.sitting.rival.hear(("event", {"event": "awake"}))
    (first,), second = table.first, table.second[1]
    assert (first["type"], second["type"]) == ("start", "start")
    assert first["recipe"] == table.kept.recipe, "the run shown, from its start"
    assert second["recipe"] == {"base": "classic", "activation": "tanh"}
    for name in ("source", "name", "pixels", "aspect", "paused"):
        assert first[name] == second[name]
    assert first["source"] == str(table.kept.folder / "target.png") and first["name"] == "photo"


@pytest.mark.parametrize("command", [{"type": "play"}, {"type": "pause"}, {"type": "step", "count": 2}])
def test_commands_go_to_both(table: Table, command: dict[str, Any]) -> None:
    table.running()
    table.obey(**command)
    assert table.first[-1] == table.second[-1] == command


def test_pages_hear_of_both_and_a_late_one_catches_up(table: Table) -> None:
    table.running()
    table.sitting.rival.hear(("event", {"event": "beat", "line": LINE}))
    table.sitting.rival.hear(("picture", "painting", {"run": "b", "step": 0}, b"jpeg"))
    table.sitting.rival.hear(("picture", "walls", {"run": "b", "step": 0}, b"jpeg"))
    events = [event["event"] for event in told(table.page)]
    assert events.count("rival beat") == 1
    late = table.sitting.join()
    (everything,) = told(late)
    assert everything["rival"]["run"]["run"] == "b" and everything["rival"]["beats"] == [LINE]
    assert set(late._frames) == {"rival painting", "rival walls"}
    table.sitting.rival.hear(("picture", "painting", {"run": "before", "step": 9}, b"jpeg"))
    assert b"before" not in late._frames["rival painting"].data, "the last words of an earlier run"
    table.obey(type="alone")
    assert not table.sitting.join()._frames


def test_each_is_asked_for_the_neurons_that_pages_show_of_it(table: Table) -> None:
    table.running()
    table.obey(type="watch", layers=[1], beside=[2], visible=True)
    assert table.first[-1] == {"type": "wants", "looking": True, "layers": [1]}
    assert table.second[-1] == {"type": "wants", "looking": True, "layers": [2]}
    table.sitting.leave(table.page)
    for commands in (table.first, table.second):
        assert commands[-1] == {"type": "wants", "looking": False, "layers": []}


@pytest.mark.parametrize("of", ["a", "b"])
@pytest.mark.parametrize("end", ["kept", "done", "died"])
def test_the_present_moment_of_either_is_kept_for_a_close_look(table: Table, of: str, end: str) -> None:
    """Where training ends meanwhile its last weights are meant; where its process dies, that is said."""
    table.running()
    hear, commands = (
        (table.sitting.hear, table.first) if of == "a" else (table.sitting.rival.hear, table.second)
    )

    async def look() -> int:
        looking = asyncio.create_task(table.sitting.kept(of, -1))
        await asyncio.sleep(0)
        assert commands[-1] == {"type": "keep"}
        if end == "kept":
            hear(("event", {"event": "kept", "step": 3}))
        else:
            hear(("event", {"event": "status", "status": "done"}) if end == "done" else None)
        return await looking

    if end == "died":
        with pytest.raises(RunError, match="has died"):
            asyncio.run(look())
    else:
        assert asyncio.run(look()) == (3 if end == "kept" else LAST)
    assert asyncio.run(table.sitting.kept(of, 2)) == 2


def test_the_longer_one_is_what_is_training(table: Table) -> None:
    table.running()
    table.sitting.hear(("event", {"event": "status", "status": "done"}))
    assert table.sitting.snapshot()["status"] == "playing"
    table.obey(type="pause")
    assert kinds(table.second)[-1] == "pause" and kinds(table.first)[-1] != "pause"
    table.sitting.rival.hear(("event", {"event": "status", "status": "done"}))
    assert table.sitting.snapshot()["status"] == "done"


@pytest.mark.parametrize("by", ["alone", "start"])
def test_the_race_ends_and_its_last_words_are_not_heard(table: Table, by: str) -> None:
    table.running()
    table.shelf.shelve(Shelved("disc", "Disc", "disc.png", "disc", b"", 9, 9))
    table.obey(**({"type": "alone"} if by == "alone" else {"type": "start", "recipe": {}, "picture": "disc"}))
    assert kinds(table.second)[-1] == "stop"
    for event in ({"event": "beat", "line": LINE}, {"event": "status", "status": "stopped"}):
        table.sitting.rival.hear(("event", event))
    assert table.sitting.snapshot()["rival"] is None
    assert told(table.page)[-1]["event"] == "status"
    assert table.sitting.snapshot()["status"] == ("playing" if by == "alone" else "starting")


def test_a_second_process_that_dies_or_fails_leaves_the_first_alone(table: Table) -> None:
    table.running()
    table.sitting.rival.hear(None)
    refusals = [event["text"] for event in told(table.page) if event["event"] == "refused"]
    assert len(refusals) == 1 and "B has died" in refusals[0]
    assert table.sitting.snapshot()["status"] == "playing"
    table.second.clear()
    table.first.clear()
    table.race()
    assert kinds(table.second) == ["wake"], "it is started again for the next race"
    table.sitting.rival.hear(None)
    assert kinds(table.first) == ["start"], "where it never wakes up the first one starts alone"


def test_a_run_is_learned_again_from_its_own_copy(table: Table) -> None:
    chosen = table.shelf.picture(table.shelf.learned(table.kept))
    assert chosen.source == str(table.kept.folder / "target.png")
    with Image.open(table.kept.folder / "target.png") as image:
        assert (chosen.width, chosen.height) == image.size


def test_a_run_whose_folder_is_gone_is_refused_and_training_goes_on(table: Table) -> None:
    """Whatever a page asks of it: nothing that is in training is stopped for it."""
    table.running()
    shutil.rmtree(table.kept.folder)
    table.first.clear()
    for message in (
        {"type": "resume"},
        {"type": "fork", "step": 0, "changes": {}},
        {"type": "race", "recipe": {"base": "classic"}},
    ):
        with pytest.raises(RunError, match=r"not there any more|not known"):
            table.obey(run=table.kept.name, **message)
    assert table.first == [] and table.sitting.snapshot()["status"] == "playing"
