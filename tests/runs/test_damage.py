"""Damaged runs: listed with the reason beside sound ones, refused by every verb, removed like any other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sfumato import experiment
from sfumato.__main__ import main
from sfumato.errors import RunError
from sfumato.learning.session import Tick
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.runs import listing, overview
from sfumato.runs.watch import Watch

SMALL = Recipe(net=(5,), batch=32, epochs=2.0, engine="eager", threads=1)
QUIET = Watch(frames="3", keep="2", film="none")


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_text(text)


def metrics(key: str, text: str) -> Callable[[Path], object]:
    """One value of the newest line of metrics, as JSON text."""

    def change(run: Path) -> None:
        path = run / "metrics.jsonl"
        *lines, last = path.read_text().splitlines()
        changed = json.dumps(json.loads(last) | {key: "VALUE"}).replace('"VALUE"', text)
        path.write_text("\n".join([*lines, changed]) + "\n")

    return change


def origin(key: str, text: str) -> Callable[[Path], object]:
    """One value of origin.json, as JSON text."""

    def change(run: Path) -> None:
        path = run / "origin.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: "VALUE"}).replace('"VALUE"', text))

    return change


def recipe(key: str, text: str) -> Callable[[Path], object]:
    def change(run: Path) -> None:
        path = run / "recipe.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: "VALUE"}).replace('"VALUE"', text))

    return change


LONG, DEEP = "9" * 5000, "[" * 100_000
WRONG = ("null", '"x"', "Infinity", "NaN", "1e999", "-1", "0.5", "true", "[]", "{}", LONG, "9" * 4000, DEEP)

DAMAGES = {
    **{f"step {text[:9]}": metrics("step", text) for text in WRONG},
    **{f"psnr {text[:9]}": metrics("psnr", text) for text in ("[]", '"x"', "Infinity", LONG, DEEP)},
    **{f"epoch {text[:9]}": metrics("epoch", text) for text in ("null", '"x"', "true", "1e999")},
    **{f"format {text[:9]}": origin("format", text) for text in WRONG if text != "0.5"},
    **{f"inputs {text[:9]}": origin("inputs", text) for text in WRONG},
    **{f"watch {text[:9]}": origin("watch", text) for text in WRONG if text != "{}"},
    **{f"recipe {text[:9]}": recipe("format", text) for text in ('"x"', "Infinity", "[]", "99", DEEP, LONG)},
    **{f"net {text[:9]}": recipe("net", text) for text in WRONG if text != "true"},
    **{f"{name} {text[:9]!r}": write(name, text)
       for name in ("recipe.json", "origin.json") for text in ("", "{", "[]", "null", DEEP, LONG, "\x00" * 99)},
    **{f"options {text[:9]}": recipe("options", text) for text in ('{"x": NaN}', '{"x": 1e999}', "[1]", DEEP)},
    "watch of a stranger": origin("watch", '{"frames": "48", "more": 1}'),
    "metrics of brackets": write("metrics.jsonl", DEEP + "\n"),
    "metrics of numbers": write("metrics.jsonl", "3\n" + LONG + "\n"),
    "weights/²": lambda run: (run / "weights" / "²00000.safetensors").touch(),
    "frames/x": lambda run: (run / "frames" / "x.jpg").touch(),
    "no recipe": lambda run: (run / "recipe.json").unlink(),
    "no origin": lambda run: (run / "origin.json").unlink(),
    "an empty shell": lambda run: [path.unlink() for path in run.iterdir() if path.is_file()],
    "no text": lambda run: (run / "recipe.json").write_bytes(b"\xff\xfe{"),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy as np

    from sfumato import picture

    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    picture.save(picture.from_array(np.random.default_rng(0).random((9, 13, 3), np.float32)), path)
    return experiment.perform(SMALL, str(path), out=tmp_path_factory.mktemp("runs"), watch=QUIET).folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_run_breaks_nothing_for_the_others(
    made: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    for name in ("a-sound", "damaged", "z-sound"):
        shutil.copytree(made, out / name)
    DAMAGES[damage](out / "damaged")
    (entry,) = [e for e in overview(out) if e.state == "damaged"]
    assert entry.name == "damaged" and entry.why and len(entry.why) < 400 and "\n" not in entry.why
    assert {run.name for run in listing(out)} == {"a-sound", "z-sound"}

    assert main(["runs", "--out", str(out)]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in ("a-sound", "z-sound", "damaged"))
    assert main(["runs", "--json", "--out", str(out)]) == 0
    told = {Path(run["folder"]).name: run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert told["damaged"]["state"] == "damaged" and told["damaged"]["why"] and told["a-sound"]["last"]

    for arguments in (["resume"], ["runs"]):
        code = main([*arguments, str(out / "damaged"), "--out", str(out)])
        said = capsys.readouterr()
        assert code == 1 or "damaged" in said.out, damage
        assert len(said.err.splitlines()) <= 3
    assert main(["runs", "--rm", str(out / "damaged"), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a-sound", "z-sound"]


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "weights/000000.safetensors"])
def test_no_flipped_bit_of_a_checkpoint_or_of_kept_weights_is_used(
    made: Path, tmp_path: Path, name: str
) -> None:
    run = Path(shutil.copytree(made, tmp_path / "run"))
    whole = (run / name).read_bytes()
    step = None if name.startswith("checkpoint") else 0
    for bit in range(3, 8 * len(whole), 101):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        (run / name).write_bytes(changed)
        with pytest.raises(RunError, match=r"damaged|does not say"):
            Run(run).net(step)
    (run / name).write_bytes(whole)
    Run(run).net(step)


def test_checkpoints_from_before_there_were_checksums_still_open(made: Path, tmp_path: Path) -> None:
    """Weights kept the encoding's constants too, in half precision, and nothing said who wrote them."""
    from safetensors.torch import load_file, save_file

    run = Path(shutil.copytree(made, tmp_path / "run"))
    weights, state, facts = Run(run).checkpoint()
    named = {f"weights:{n}": t for n, t in weights.items()} | {f"state:{n}": t for n, t in state.items()}
    old = json.dumps({"format": 1, "step": facts["step"], "seconds": facts["seconds"]})
    save_file(named, run / "checkpoint.safetensors", {"facts": old})
    kept = load_file(run / "weights" / "000000.safetensors")
    save_file(kept, run / "weights" / "000000.safetensors")
    assert Run(run).net(0).parameter_count == Run(run).net().parameter_count
    assert experiment.resume(Run(run), epochs=3).last["step"] == 12


def test_a_target_that_is_not_the_one_that_was_learned_is_refused(made: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made, tmp_path / "run"))
    shutil.copy(run / "painting.png", run / "target.png")
    for use in (lambda: Run(run).target, lambda: experiment.resume(Run(run), epochs=3)):
        with pytest.raises(RunError, match=r"target\.png is not what the run learned"):
            use()


@pytest.mark.parametrize("gone", ["removed", "renamed"])
@pytest.mark.parametrize("frames", ["3", "8"])
def test_a_run_that_goes_away_while_it_is_trained_ends_with_a_word(
    photo: Path, gone: str, frames: str
) -> None:
    """Once it went on to its end, and made half a directory anew; now nothing is made, and the reason is said."""
    out = photo.parent / "runs"

    def take_away(tick: Tick) -> None:
        for run in out.iterdir() if tick.step else ():
            _ = shutil.rmtree(run) if gone == "removed" else run.rename(photo.parent / "elsewhere")

    watch = Watch(frames=frames, keep="2", film="none")
    with pytest.raises(RunError, match=r"was removed or renamed while it was being written\nhint: "):
        experiment.perform(SMALL.replace(epochs=20.0), str(photo), out=out, watch=watch, watchers=[take_away])
    assert list(out.iterdir()) == []


def test_a_recipe_of_an_enormous_net_is_compared_with_the_weights_before_it_is_made(
    made: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(made, tmp_path / "run"))
    recipe("net", json.dumps([1_000_000] * 64))(run)
    with pytest.raises(RunError, match=r"the weights do not fit its recipe\.json"):
        Run(run).net()
