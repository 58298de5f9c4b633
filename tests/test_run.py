"""A run in a person's hands: every view of it, from its files alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sfumato
from sfumato import picture
from sfumato.errors import RecipeError
from sfumato.painting import paint
from sfumato.run import Run
from sfumato.runs import RunDirectory
from sfumato.runs.watch import Watch


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four frames of a small net, 13x9 pixels."""
    folder = tmp_path_factory.mktemp("run")
    values = np.random.default_rng(0).integers(0, 256, (9, 13, 3)) / np.float32(255)
    picture.save(picture.from_array(values), folder / "photo.png")
    watch = Watch(frames="4", film="none")
    fields = {"net": "6,5", "epochs": 4, "batch": 32, "engine": "eager", "optimizer": "adam"}
    return sfumato.paint(folder / "photo.png", out=folder / "runs", watch=watch, progress=False, **fields)


def test_it_says_what_its_directory_said(run: Run) -> None:
    directory = RunDirectory(run.folder)
    directory.stopped_by, directory.reached, directory.verdict = 2, False, "target not reached"
    again = Run.of(directory)
    assert (again.stopped_by, again.reached, again.verdict) == (2, False, "target not reached")
    assert again.folder == run.folder and again.recipe == run.recipe


def test_an_image_is_what_the_net_paints_then_and_at_any_size(run: Run) -> None:
    first, last = run.steps()[0], run.steps()[-1]
    assert np.array_equal(run.image(first).values, paint(run.net(first), 9, 13).values)
    assert not np.array_equal(run.image(first).values, run.image(last).values)
    assert run.image(size=(26, 18)).values.shape == (18, 26, 3)
    painted = picture.load(run.file("painting.png"))
    assert np.abs(run.image().values - painted.values).max() <= 0.5 / 255 + 1e-6


def test_a_size_is_said_as_in_exports(run: Run) -> None:
    for size in ((26, 18), np.array([26, 18]), "26x18", "2x"):
        assert run.image(size=size).values.shape == (18, 26, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(0, 4), (-3, 4), (3.5, 4), (3,), 3, "0x4", (10**5, 10**5), (3, None)])
@pytest.mark.parametrize("view", ["image", "export"])
def test_a_size_that_cannot_be_meant_is_refused(run: Run, view: str, size: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"size|too large"):
        run.image(size=size) if view == "image" else run.export(tmp_path / "a.png", size=size)


def test_its_neurons_are_the_sheet_of_the_layer(run: Run) -> None:
    sheet = run.neurons(2, run.steps()[0])
    assert np.array_equal(sheet.indices, run.atlas(run.steps()[0]).sheets[1].indices)
    assert not np.array_equal(sheet.indices, run.neurons(2).indices)


def test_an_atlas_shows_every_layer_when_it_is_looked_at_and_not_before(run: Run) -> None:
    atlas = run.atlas()
    assert "sheets" not in vars(atlas) and "Atlas" in repr(atlas)
    shown = atlas._repr_html_()
    assert [f'alt="Contact sheet of layer {n} of 2"' in shown for n in (1, 2, 3)] == [True, True, False]


def test_it_is_written_as_the_suffix_asks(run: Run, tmp_path: Path) -> None:
    made = run.export(tmp_path / "big.png", size="2x")
    with Image.open(made) as image:
        assert image.size == (26, 18)
    assert run.report(tmp_path / "page.html").path.read_text().startswith("<!doctype html>")


def test_it_shows_itself_in_a_notebook(run: Run, tmp_path: Path) -> None:
    with Image.open(io.BytesIO(run._repr_png_() or b"")) as image:
        assert image.size == (13, 9)
    assert "<b>photo</b> 6,5 relu" in run._repr_html_()


def test_views_write_nothing_into_the_run(run: Run) -> None:
    before = sorted(path.name for path in run.folder.iterdir())
    run.image()
    run.neurons(1)
    run.atlas()._repr_html_()
    run._repr_html_()
    assert sorted(path.name for path in run.folder.iterdir()) == before
