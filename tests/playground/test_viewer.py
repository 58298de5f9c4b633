"""What a page may ask of a run: answers come from its files, of the kept step nearest to the one asked for."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import sfumato
from sfumato import picture
from sfumato.errors import PictureError, RecipeError, RunError
from sfumato.neurons.importance import importance
from sfumato.picture import pixels
from sfumato.playground import viewer
from sfumato.playground.samples import SAMPLES
from sfumato.recipe import Recipe
from sfumato.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("viewer")
    values = np.random.default_rng(0).integers(0, 256, (9, 13, 3)) / np.float32(255)
    picture.save(picture.from_array(values), folder / "photo.png")
    recipe = Recipe(net=(6, 5), batch=32, epochs=4, engine="eager", rate=0.01)
    watch = sfumato.Watch("4", "4", film="none")
    return sfumato.perform(
        recipe, str(folder / "photo.png"), out=folder / "runs", watch=watch, progress=False
    )


def pixels_of(png: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def asked(run: Run, what: str, **arguments: Any) -> tuple[Mapping[str, Any], bytes]:
    facts, content = viewer.QUESTIONS[what](str(run.folder), **arguments)
    json.dumps(facts)  # it travels
    return facts, content


def test_a_still_is_the_net_of_the_nearest_kept_step(run: Run) -> None:
    for step in (*run.steps(), 10_000):
        facts, png = asked(run, "still", step=step)
        assert facts["run"] == run.name and facts["step"] == run.kept_step(step)
        wanted = run.image(facts["step"]).values.clip(0, 1)
        assert np.array_equal(pixels_of(png), np.rint(wanted * 255).astype(np.uint8))


def test_a_run_that_goes_on_is_read_anew(run: Run) -> None:
    last = run.steps()[-1]
    before = asked(run, "still", step=last)[1]
    path = run.folder / "weights" / f"{last:06d}.safetensors"
    kept = path.read_bytes()
    try:
        run.save_weights(last, run.net(0))
        assert asked(run, "still", step=last)[1] == asked(run, "still", step=0)[1] != before
    finally:
        path.write_bytes(kept)


def test_neurons_and_walls_are_of_the_layer_that_was_asked_for(run: Run) -> None:
    facts, _ = asked(run, "wall", step=0, layer=2, together=11)
    assert [(wall["layer"], wall["units"]) for wall in facts["layers"]] == [(2, 5)] and facts["step"] == 0
    facts, png = asked(run, "neuron", step=10_000, layer=1, index=3)
    assert (facts["layer"], facts["index"], facts["step"]) == (1, 3, run.steps()[-1])
    assert pixels_of(png).shape == (9, 13)


def test_without_neurons_it_paints_worse_or_better_and_says_how_much(run: Run) -> None:
    facts, png = asked(run, "without", step=10_000, removed=[(2, 0), (1, 5)])
    assert facts["before"] == asked(run, "still", step=10_000)[0]["psnr"] != facts["psnr"]
    assert not np.array_equal(pixels_of(png), pixels_of(asked(run, "still", step=10_000)[1]))
    for wrong in ((0, 0), (3, 0), (1, 6), (2, -1)):
        with pytest.raises(RecipeError, match=f"neuron {wrong[0]}:{wrong[1]} does not exist"):
            asked(run, "without", step=0, removed=[wrong])


def test_the_order_by_importance_is_that_of_what_each_neuron_is_worth(run: Run) -> None:
    facts, _ = asked(run, "order", step=10_000, layer=2, by="importance")
    net, target = run.net(run.steps()[-1]), run.target
    xy = pixels.coordinates(9, 13)
    worth = importance(net, 2, xy, target.values.reshape(len(xy), -1), samples=1500)
    assert np.allclose(facts["worth"], worth, atol=1e-4)
    assert facts["order"] == sorted(range(5), key=lambda unit: -worth[unit])
    similar, _ = asked(run, "order", step=0, layer=1, by="similarity")
    assert sorted(similar["order"]) == list(range(6)) and similar["worth"] == []


def test_a_story_lists_what_can_be_asked_for(run: Run) -> None:
    said = viewer.story(str(run.folder))
    assert json.loads(json.dumps(said))["kept"] == run.steps()
    assert said["frames"] == [step for step, _ in run.frames()] and said["history"] == run.history


@pytest.mark.parametrize("file", viewer.EXPORTS)
def test_every_export_is_a_file_of_its_kind(run: Run, file: str) -> None:
    content = viewer.export(str(run.folder), file, None, 0)
    begins = {"png": b"\x89PNG", "gif": b"GIF89a", "webp": b"RIFF", "html": b"<!doctype html>"}
    suffix = file.rpartition(".")[2]
    assert content.startswith(begins.get(suffix, content[:1])) and len(content) > 200
    assert (b"ftyp" in content[:16]) == (suffix == "mp4")


def test_an_export_has_the_size_and_step_that_were_asked_for(run: Run) -> None:
    assert pixels_of(viewer.export(str(run.folder), "painting.png", "2x", None)).shape == (18, 26, 3)
    first = pixels_of(viewer.export(str(run.folder), "painting.png", None, 0))
    assert np.array_equal(first, pixels_of(asked(run, "still", step=0)[1]))


@pytest.mark.parametrize("file", ["../secret.png", "painting.jpg", "", "checkpoint.safetensors"])
def test_no_other_file_is_handed_out(run: Run, file: str) -> None:
    with pytest.raises(RecipeError, match="cannot be exported"):
        viewer.export(str(run.folder), file, None, None)


def test_the_whole_run_as_an_archive_opens_again_and_holds_nothing_from_outside(
    run: Run, tmp_path: Path
) -> None:
    with zipfile.ZipFile(io.BytesIO(viewer.export(str(run.folder), "run.zip", None, None))) as archive:
        archive.extractall(tmp_path)
    again = Run(tmp_path / run.name)
    assert again.recipe == run.recipe and again.steps() == run.steps() and again.history == run.history
    assert not (again.folder / "lock").exists() and again.state == "done"
    (tmp_path / "secret").write_text("of somebody else")
    (again.folder / "frames" / "notes.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(RunError, match=r"frames/notes\.txt is a link"):
        viewer.export(str(again.folder), "run.zip", None, None)


def test_an_upload_is_checked_and_named_as_its_owner_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "0123abcd"
    path.write_bytes(b"no picture at all")
    with pytest.raises(PictureError, match=r"holiday\.jpg") as caught:
        viewer.picture(str(path), "holiday.jpg")
    assert "0123abcd" not in str(caught.value) and str(tmp_path) not in str(caught.value)
    monkeypatch.setattr(viewer, "MOST_UPLOADED", 100)
    picture.save(
        picture.from_array(np.random.default_rng(0).random((40, 30, 3), np.float32)), tmp_path / "large.png"
    )
    facts, png = viewer.picture(str(tmp_path / "large.png"), "large.png")
    assert facts["width"] * facts["height"] <= 100 and pixels_of(png).shape[:2] == (
        facts["height"],
        facts["width"],
    )
    assert (tmp_path / "large.png").read_bytes() == png, "what is learned is what the page was shown"


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (512, 512), (513, 512), (1600, 900)])
def test_what_is_learned_of_an_upload_is_as_large_as_the_page_says(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """What is trained reads the same file again, and once learned all four million pixels of a photo."""
    path = tmp_path / "0a1b"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)).save(path, "PNG")
    facts, _ = viewer.picture(str(path), "photo.png")
    assert facts["width"] * facts["height"] <= viewer.MOST_UPLOADED
    learned = picture.load(path)
    assert (learned.width, learned.height) == (facts["width"], facts["height"])
    if size[0] * size[1] <= viewer.MOST_UPLOADED:
        assert (learned.width, learned.height) == size and not facts["notes"]


def test_every_title_is_a_picture_that_can_be_written(tmp_path: Path) -> None:
    assert [key for key, _ in viewer.titles()] == ["mona-lisa", *SAMPLES]
    facts, png = viewer.sample("disc", str(tmp_path / "disc.png"))
    assert (tmp_path / "disc.png").read_bytes() == png
    assert pixels_of(png).shape == (facts["height"], facts["width"], 3)
    with pytest.raises(KeyError):
        viewer.sample("disk", str(tmp_path / "disk.png"))


def test_a_run_without_weights_says_what_to_do(run: Run, tmp_path: Path) -> None:
    with Run.create(tmp_path, run.recipe, "new", dict(run.origin)) as fresh:
        pass
    with pytest.raises(RunError, match="holds no weights yet\nhint: pause it"):
        asked(fresh, "still", step=0)
