"""A run directory: its name, what its weights are kept as, what of it is read, dropped and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato import nets, picture
from sfumato.errors import RunError
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory
from sfumato.runs.watch import Watch

RECIPE = Recipe(net=(6, 4), activation="sine:omega=9", encoding="fourier:bands=3,sigma=2")
ORIGIN = {"inputs": 2, "outputs": 3, "watch": {"frames": "9"}}


def made(folder: Path, name: str = "mona", files: dict[str, bytes] | None = None) -> RunDirectory:
    with RunDirectory.create(folder, RECIPE, name, ORIGIN, files) as run:
        return run


def net() -> nets.Net:
    return nets.build(RECIPE, 2, 3)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("mona", "mona"),
        ("../../etc/passwd", "etc-passwd"),
        ("a b/c", "a-b-c"),
        ("", "run"),
        ("...", "run"),
        ("Ärger 2.5", "Ärger-2.5"),
        ("x" * 99, "x" * 40),
    ],
)
def test_its_name_says_date_picture_and_net_and_leads_nowhere(tmp_path: Path, name: str, safe: str) -> None:
    run = made(tmp_path, name)
    assert run.folder.parent == tmp_path and run.folder.is_dir()
    date, time, *middle = run.name.split("_")
    assert len(date) == 10 and len(time) == 4
    assert middle[:2] == [safe, "6-4-sine"] and len(middle) == 3


def test_two_runs_of_one_minute_have_two_names(tmp_path: Path) -> None:
    assert made(tmp_path).name != made(tmp_path).name


def test_it_opens_with_what_it_was_made_of(tmp_path: Path) -> None:
    run = RunDirectory(made(tmp_path).folder)
    assert run.recipe == RECIPE and run.watch == Watch(frames="9")
    assert run.history == [] and run.last == {} and run.steps() == [] and run.frames() == []
    assert run.state == "interrupted" and run.damage == ""
    with pytest.raises(RunError, match="holds no weights\nhint: sfumato resume"):
        run.kept_step(None)
    with pytest.raises(RunError, match="holds no checkpoint"):
        run.checkpoint()
    with pytest.raises(RunError, match="holds no target picture"):
        _ = run.target


def test_kept_weights_are_halves_and_what_halves_cannot_hold_is_kept_in_full(tmp_path: Path) -> None:
    run, one = made(tmp_path), net()
    with torch.no_grad():
        one.readout.bias[1] = 70_000.0
    run.save_weights(12, one)
    again = run.net()
    for name, parameter in one.named_parameters():
        wanted = parameter if name == "readout.bias" else parameter.half().float()
        assert torch.equal(dict(again.named_parameters())[name], wanted), name
    for name, constant in one.named_buffers():
        assert torch.equal(dict(again.named_buffers())[name], constant), "constants come from the recipe"


def test_the_nearest_kept_step_is_taken_and_the_checkpoint_is_the_newest(tmp_path: Path) -> None:
    run = made(tmp_path)
    for step in (0, 10, 100):
        one = net()
        with torch.no_grad():
            one.readout.bias.fill_(step)
        run.save_weights(step, one)
    assert run.steps() == [0, 10, 100]
    assert [run.kept_step(step) for step in (0, 6, 54, 60, 900)] == [0, 10, 10, 100, 100]
    assert run.net(9).readout.bias.tolist() == [10] * 3 and run.kept_step(None) == 100
    with torch.no_grad():
        one.readout.bias.fill_(1 / 3)
    run.save_checkpoint(one.state_dict(), {"step": torch.tensor(120)}, {"step": 120, "seconds": 2.5})
    assert run.kept_step(None) == 120
    assert run.net().readout.bias.tolist() == [float(np.float32(1 / 3))] * 3, "in full precision"
    weights, state, facts = run.checkpoint()
    assert weights.keys() == one.state_dict().keys() and state["step"] == 120 and facts["seconds"] == 2.5


def test_what_is_later_than_a_step_is_forgotten_and_a_torn_line_goes(tmp_path: Path) -> None:
    run = made(tmp_path)
    for step in (0, 5, 9):
        run.add_metrics({"step": step, "psnr": 10.0 + step})
        run.save_frame(step, b"jpeg")
        run.save_weights(step, net())
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 12, "ps')
    assert [line["step"] for line in run.history] == [0, 5, 9] and run.last["psnr"] == 19.0
    run.forget_after(5)
    assert (
        [line["step"] for line in run.history] == [step for step, _ in run.frames()] == run.steps() == [0, 5]
    )
    assert (run.folder / "metrics.jsonl").read_text().count("\n") == 2


def test_facts_and_recipe_that_change_are_on_disk(tmp_path: Path) -> None:
    run = made(tmp_path)
    run.change_origin(until="psnr=30")
    run.change_recipe(RECIPE.replace(epochs=7))
    again = RunDirectory(run.folder)
    assert again.origin["until"] == "psnr=30" and again.origin["inputs"] == 2 and again.recipe.epochs == 7


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    run = made(tmp_path)
    with pytest.raises(RunError, match=r"do not fit its recipe\.json\nhint: has recipe\.json been edited"):
        run.fit(net(), nets.build(RECIPE.replace(net=(6, 5)), 2, 3).state_dict())
    lacking = dict(net().state_dict())
    del lacking["readout.bias"]
    with pytest.raises(RunError, match="do not fit"):
        run.fit(net(), lacking)


def test_a_picture_that_is_not_what_was_learned_is_refused(tmp_path: Path) -> None:
    shown = picture.from_array(np.random.default_rng(0).integers(0, 256, (5, 4, 3)) / np.float32(255))
    path = tmp_path / "target.png"
    picture.save(shown, path)
    run = made(tmp_path / "runs", files={"target.png": path.read_bytes()})
    assert np.array_equal(run.target.values, shown.values)
    assert run.source == str(run.folder / "target.png")
    (run.folder / "target.png").write_bytes(path.read_bytes() + b"\0")
    for look in (lambda: run.target, lambda: run.source):
        with pytest.raises(RunError, match=r"target\.png is not what the run learned\nhint: put the first"):
            look()
    (run.folder / "target.png").unlink()
    with pytest.raises(RunError, match=r"lacks target\.png, which it learned"):
        _ = run.target


def test_a_source_that_is_a_path_is_not_followed(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path, RECIPE.replace(task="digits"), "d", {"source": "mnist"}) as run:
        assert run.source == "mnist"
    run.change_origin(source="../../secret")
    with pytest.raises(RunError, match="no path out of a run is followed"):
        _ = run.source


@pytest.mark.parametrize("name", ["12.safetensors", "0000012.safetensors", "abcdef.safetensors"])
def test_weights_named_after_no_step_are_damage(tmp_path: Path, name: str) -> None:
    run = made(tmp_path)
    run.save_weights(3, net())
    (run.folder / "weights" / name).touch()
    assert run.state == "damaged" and f"weights/{name} is named after no step" in run.damage


def test_its_lock_is_its_state(tmp_path: Path) -> None:
    run = made(tmp_path)
    run.add_metrics({"step": 3, "total_steps": 3})
    with run.lock():
        assert RunDirectory(run.folder).state == "running"
    assert run.state == "done"
    (run.folder / "origin.json").write_text(json.dumps(ORIGIN | {"until": "psnr=30"}))
    assert RunDirectory(run.folder).state == "missed"


def test_a_room_is_made_inside_the_run_and_nowhere_else(tmp_path: Path) -> None:
    run = made(tmp_path)
    assert run.room("atlas") == run.folder / "atlas" and run.room("atlas").is_dir()
    for name in ("../elsewhere", "/tmp/elsewhere", "atlas/../../x", "", "."):
        with pytest.raises(RunError, match="is no name within"):
            run.file(name)


@pytest.mark.parametrize("key", ["v", "epoch", "seconds", "watching_seconds"])
def test_times_below_zero_are_damage(tmp_path: Path, key: str) -> None:
    """A page drew them on an axis of logarithms, and ended in a math domain error."""
    with RunDirectory.create(tmp_path, Recipe(), "photo", {}) as run:
        run.add_metrics({"step": 1, key: 0})
        run.add_metrics({"step": 2, key: -1.5})
    assert run.state == "damaged" and f"line 2: {key} is -1.5" in run.damage
