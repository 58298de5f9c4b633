"""A run as one file: paintings at any size in bounded memory, sheets, nets that load back; refusals in words."""

from __future__ import annotations

import errno
import json
import resource
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from safetensors.torch import load_file, save_file
from small_picture import colours
from test_film import decoded, synthetic

from sfumato import nets, painting, picture
from sfumato.data import Array
from sfumato.errors import MissingExtra, PictureError, RecipeError, RunError
from sfumato.picture import pixels
from sfumato.picture.png import Scanlines
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.views.export import export, load_net, sheet
from sfumato.views.report import write

SMALL = Recipe(
    net=(12, 7), activation="sine:omega=30", encoding="fourier:bands=4,sigma=2", coordinates="corners"
)
WIDTH, HEIGHT = 23, 31


def painted(
    folder: Path, recipe: Recipe = SMALL, channels: int = 3, icc: bytes | None = None, task: str = "picture"
) -> Run:
    """A run with a target, an untrained net at steps 0, 10 and 20, and a checkpoint at step 20."""
    recipe = recipe.replace(task=task)
    origin = {"inputs": 2, "outputs": channels, "aspect": HEIGHT / WIDTH}
    with Run.create(folder, recipe, "painted", origin) as run:
        pass
    target = colours(HEIGHT, WIDTH, channels).reshape(HEIGHT, WIDTH, channels)
    picture.save(picture.from_array(target, icc=icc), run.folder / "target.png")
    for step in (0, 10, 20):
        net = nets.build(recipe.replace(seed=step), 2, channels, aspect=HEIGHT / WIDTH)
        run.save_weights(step, net)
    run.save_checkpoint(net.state_dict(), {}, {"step": 20, "seconds": 1.0})
    return run


def pixels_of(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image)


def eight_bits(values: Array) -> Any:
    return np.floor(np.clip(values, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


# Paintings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ("a.png", "a.webp", "a.tiff", "a.TIF"))
@pytest.mark.parametrize("channels", (1, 3, 4))
def test_a_painting_is_what_the_net_says_at_every_pixel(name: str, channels: int, tmp_path: Path) -> None:
    run = painted(tmp_path, channels=channels)
    made = export(run, tmp_path / name, size=(40, 17))
    values = nets.predict(run.net(), pixels.coordinates(17, 40, where="corners")).reshape(17, 40, channels)
    wanted = eight_bits(values)
    if channels == 1:
        wanted = wanted[..., 0] if made.suffix != ".webp" else np.repeat(wanted, 3, 2)
    assert np.array_equal(pixels_of(made), wanted)


def test_at_its_own_size_a_painting_equals_the_run_s(tmp_path: Path) -> None:
    run = painted(tmp_path)
    picture.save(run.image(), tmp_path / "straight.png")
    made = export(run, tmp_path / "strips.png")
    assert np.array_equal(pixels_of(made), pixels_of(tmp_path / "straight.png"))


@pytest.mark.parametrize("strip", (1, 40, 97, 1 << 18))
@pytest.mark.parametrize("name", ("a.png", "a.tiff", "a.webp"))
def test_bands_of_any_height_give_the_same_picture(
    strip: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = painted(tmp_path)
    whole = pixels_of(export(run, tmp_path / "whole.png", size="2x"))
    monkeypatch.setattr(painting, "STRIP", strip)
    cut = pixels_of(export(run, tmp_path / name, size="2x"))
    assert cut.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    # Products of other shapes are summed in another order: at most one level where a value sits on the border.
    difference = np.abs(cut.astype(int) - whole)
    assert difference.max() <= 1 and difference.mean() < 0.001


def test_jpeg_is_near(tmp_path: Path) -> None:
    run = painted(tmp_path, SMALL.replace(encoding="none", activation="tanh"))
    made = pixels_of(export(run, tmp_path / "a.jpg", size="4x")).astype(int)
    wanted = pixels_of(export(run, tmp_path / "a.png", size="4x"))
    assert np.abs(made - wanted).mean() < 2  # quality 95


def test_a_step_paints_the_kept_weights_nearest_to_it(tmp_path: Path) -> None:
    run = painted(tmp_path)
    made = [pixels_of(export(run, tmp_path / f"{s}.png", step=s)) for s in (0, 10, 12, 20)]
    assert np.array_equal(made[1], made[2])
    assert not np.array_equal(made[0], made[1]) and not np.array_equal(made[1], made[3])


@pytest.mark.parametrize("name", ("a.png", "a.jpg", "a.webp", "a.tiff"))
def test_the_colour_profile_travels(name: str, tmp_path: Path) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    made = export(painted(tmp_path, icc=icc), tmp_path / name)
    with Image.open(made) as image:
        assert image.info["icc_profile"] == icc


def test_a_large_painting_takes_the_memory_of_a_strip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = painted(tmp_path, Recipe(net=(2,)))
    bands: list[int] = []
    predict: Callable[..., Array] = painting.predict

    def counted(net: nets.Net, inputs: Array, *more: Any) -> Array:
        bands.append(len(inputs))
        return predict(net, inputs, *more)

    monkeypatch.setattr(painting, "STRIP", 1 << 14)
    monkeypatch.setattr(painting, "predict", counted)
    export(run, tmp_path / "first.png")  # imports and caches
    bands.clear()
    tracemalloc.start()
    try:
        made = export(run, tmp_path / "large.png", size="1000x1500")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(bands) == 1_500_000 and max(bands) <= 1 << 14 and len(bands) == 94
    assert pixels_of(made).shape == (1500, 1000, 3)
    # As floats the painting alone takes 18 MB, in 8 bits 4.5 MB. A strip takes 100 bytes a pixel: 1.6 MB.
    assert most < 4_000_000


def test_sizes_beyond_a_type_or_beyond_reason_are_refused_before_painting(tmp_path: Path) -> None:
    run = painted(tmp_path)
    with pytest.raises(PictureError, match=r"use \.png"):
        export(run, tmp_path / "a.webp", size="16384x10")
    with pytest.raises(PictureError, match=r"65,500 a side"):
        export(run, tmp_path / "a.jpg", size="10x70000")
    with pytest.raises(RecipeError, match=r"use|\.png"):
        export(run, tmp_path / "a.tiff", size="20000x20000")
    with pytest.raises(RecipeError, match="smaller size"):
        export(run, tmp_path / "a.png", size="999999x999999")
    with pytest.raises(RecipeError, match="1200x1617"):
        export(run, tmp_path / "a.png", size="1200x")
    with pytest.raises(PictureError, match="JPEG cannot hold"):
        export(painted(tmp_path, channels=4), tmp_path / "a.jpg")
    assert not list(tmp_path.glob("*a.*"))


def test_weights_that_are_not_finite_paint_nothing(tmp_path: Path) -> None:
    run = painted(tmp_path)
    weights, state, facts = run.checkpoint()
    weights["readout.bias"][0] = torch.nan
    run.save_checkpoint(weights, state, facts)
    with pytest.raises(PictureError, match="not finite"):
        export(run, tmp_path / "a.png")
    assert not list(tmp_path.glob("*a.png*"))


# Rows to PNG ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", (1, 3, 4))
@pytest.mark.parametrize("cut", (1, 3, 64))
def test_scanlines_write_png_files_that_read_back(channels: int, cut: int, tmp_path: Path) -> None:
    random = np.random.default_rng(channels)
    smooth = np.cumsum(random.integers(-2, 3, (37, 29, channels)), axis=1).astype(np.uint8)
    noise = random.integers(0, 256, (37, 29, channels), dtype=np.uint8)
    for index, values in enumerate((smooth, noise, np.zeros_like(noise), noise[:1, :1])):
        path = tmp_path / f"{index}.png"
        with path.open("wb") as file:
            png = Scanlines(file, *values.shape)
            for top in range(0, len(values), cut):
                png.add(values[top : top + cut])
            png.close()
        assert np.array_equal(pixels_of(path), values[..., 0] if channels == 1 else values)


def test_filters_make_smooth_pictures_small(tmp_path: Path) -> None:
    values = eight_bits(colours(200, 150).reshape(200, 150, 3))
    with (tmp_path / "a.png").open("wb") as file:
        png = Scanlines(file, 200, 150, 3)
        png.add(values)
        png.close()
    Image.fromarray(values).save(tmp_path / "pillow.png", compress_level=3)
    assert (tmp_path / "a.png").stat().st_size < 1.1 * (tmp_path / "pillow.png").stat().st_size


# Nets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [
        SMALL,
        Recipe(net=(5,), skip=True),
        Recipe(net=(8,), encoding="grid:levels=2,base=4", activation="relu"),
        Recipe(net=(9, 9), activation="finer", encoding="positional"),
    ],
    ids=("fourier", "skip", "grid", "positional"),
)
def test_an_exported_net_loads_back_and_paints_bit_equal(recipe: Recipe, tmp_path: Path) -> None:
    run = painted(tmp_path, recipe)
    for step in (None, 10):
        made = export(run, tmp_path / "net.safetensors", step=step)
        net, own = load_net(made), run.net(step)
        xy = pixels.coordinates(HEIGHT, WIDTH)
        assert np.array_equal(nets.predict(net, xy), nets.predict(own, xy))
        assert all(t.dtype == torch.float32 for t in load_file(made).values())


def test_an_exported_net_says_what_it_is(tmp_path: Path) -> None:
    from safetensors import safe_open

    run = painted(tmp_path)
    for step, said in ((None, 20), (0, 0), (13, 10)):
        with safe_open(export(run, tmp_path / "net.safetensors", step=step), framework="pt") as file:
            about = file.metadata()
        facts = json.loads(about["sfumato"])
        assert facts["step"] == said and facts["inputs"] == 2 and facts["outputs"] == 3
        assert Recipe.from_json(about["recipe"]) == run.recipe


def test_files_that_are_no_exported_net_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    with pytest.raises(RunError, match="cannot be read"):
        load_net(path)
    made = export(painted(tmp_path), path)
    data = made.read_bytes()
    for broken in (data[:100], b"", data[:-5], b"\xff" * 64):
        path.write_bytes(broken)
        with pytest.raises(RunError, match="cannot be read"):
            load_net(path)
    path.write_bytes(data)
    tensors = load_file(path)
    recipe = SMALL.to_json()
    facts = {"format": 1, "inputs": 2, "outputs": 3, "aspect": 1.0}
    for about, words in (
        ({}, "nothing of its recipe"),
        ({"sfumato": "{}", "recipe": recipe}, "damaged"),
        ({"sfumato": "[]", "recipe": recipe}, "damaged"),
        ({"sfumato": json.dumps(facts | {"format": 9}), "recipe": recipe}, "update sfumato"),
        ({"sfumato": json.dumps(facts | {"outputs": 4}), "recipe": recipe}, "do not fit"),
        ({"sfumato": json.dumps(facts), "recipe": SMALL.replace(net=(3,)).to_json()}, "do not fit"),
        ({"sfumato": json.dumps(facts), "recipe": "{"}, "do not fit"),
    ):
        save_file(tensors, path, about)
        with pytest.raises(RunError, match=words):
            load_net(path)


# Films and sheets ----------------------------------------------------------------------------------------------


def test_a_sheet_holds_the_first_frame_and_the_last(tmp_path: Path) -> None:
    run = synthetic(tmp_path, count=30, width=120, height=170)
    made = pixels_of(export(run, tmp_path / "sheet.png")).astype(int)
    first, last = (np.asarray(Image.open(run.frames()[k][1])).astype(int) for k in (0, -1))
    gap = 4
    assert np.array_equal(made[gap : gap + 170, gap : gap + 120], first)
    columns, line = 6, (made.shape[0] - gap) // 2 - gap - 170
    left = gap + (columns - 1) * (120 + gap)
    top = gap + 170 + line + gap
    assert made.shape[1] == left + 120 + gap, "twelve tiles in two rows"
    assert np.array_equal(made[top : top + 170, left : left + 120], last)
    below = made[gap + 170 : top - gap]
    for k in range(columns):  # a caption below each
        assert below[:, gap + k * 124 : gap + k * 124 + 120].min() < 100


def test_sheets_come_in_every_size(tmp_path: Path) -> None:
    one = sheet(synthetic(tmp_path, 1, 100, 100))
    assert one.width == 108
    tiny = sheet(synthetic(tmp_path, 5, 1, 1), frames=3)
    assert tiny.width == 3 * 96 + 4 * 4
    large = sheet(synthetic(tmp_path, 2, 1300, 20), frames=2)
    assert large.width <= 2 * 640 + 3 * 16
    with pytest.raises(RunError, match="holds no frames"):
        sheet(synthetic(tmp_path, 0))
    with pytest.raises(RecipeError, match="frames=0"):
        sheet(synthetic(tmp_path, 2), frames=0)


def test_names_tell_films_from_paintings(tmp_path: Path) -> None:
    run = synthetic(tmp_path)
    for name in ("film.webp", "film.gif", "film.mp4", "mona-lisa film.webp"):
        assert len(decoded(export(run, tmp_path / name))[0]) >= 9, name
    still = export(run, tmp_path / "learning-sheet.webp")
    with Image.open(still) as image:
        assert getattr(image, "n_frames", 1) == 1
    moving = export(run, tmp_path / "any.webp", kind="film", captions=True)
    assert len(decoded(moving)[0]) == 9
    other = painted(tmp_path)
    with Image.open(export(other, tmp_path / "painting.webp")) as image:
        assert image.size == (WIDTH, HEIGHT)


def test_mp4_without_pyav_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"sfumato\[video\]"):
        export(synthetic(tmp_path), tmp_path / "film.mp4")


# Refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, words",
    [
        ("painting.pgn", "did you mean 'painting.png'"),
        ("film.mp5", "did you mean 'film.mp4'"),
        ("foo.bmp", r"did you mean 'foo\.png'"),
        ("foo.avif", r"did you mean 'foo\.png'"),
        ("foo.mov", r"did you mean 'foo\.mp4'"),
        ("foo.pt", r"did you mean 'foo\.safetensors'"),
        ("net.safetensor", r"did you mean 'net.safetensors'"),
        ("painting", "of no known type"),
        ("net.onnx", r"cannot be written yet\nhint: these can: painting.png"),
        ("net.glsl", "cannot be written yet"),
        ("painting.docx", "these can be written: painting.png"),
    ],
)
def test_suffixes_are_refused_with_what_exists(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=words):
        export(synthetic(tmp_path, 1), tmp_path / name)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_view_replaces_what_a_run_is_made_of(tmp_path: Path) -> None:
    """An export to RUN/checkpoint.safetensors took the checkpoint's place, and the run could not go on."""
    run = painted(tmp_path)
    run.save_frame(0, b"jpeg")
    elsewhere = tmp_path / "link"
    elsewhere.symlink_to(run.folder)
    before = everything(run.folder)
    assert any("weights" in name for name in before) and any("checkpoint" in name for name in before)
    for name in before:
        for folder in (run.folder, elsewhere):
            path = folder / Path(name).relative_to(run.folder)
            with pytest.raises((RunError, RecipeError)):
                export(run, path)
            with pytest.raises((RunError, RecipeError)):
                write([run], path)
    assert everything(run.folder) == before
    export(run, run.folder / "painting.png", size="2x")  # what is derived may be made anew


SHOWN = ("sheet.png", "film.gif", "film.webp", "page.html")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "net.safetensors", *SHOWN])
def test_a_file_larger_than_is_allowed_is_told_in_two_lines(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """libtiff told of it as "encoder error -2", and on stderr in words of its own."""
    run, path = synthetic(tmp_path, 3) if name in SHOWN else painted(tmp_path), tmp_path / name
    path.write_bytes(b"what was there")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(RunError, match=r"cannot write [^\n]*: File too large\nhint: [^\n]*ulimit"):
            export(run, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capfd.readouterr().err == "" and path.read_bytes() == b"what was there"


def test_a_name_that_no_disk_takes_is_refused_in_two_lines(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write [^\n]*\nhint: "):
        export(painted(tmp_path), tmp_path / f"{'x' * 300}.png")


@pytest.mark.parametrize("name", ["page.png", "page", ".", "origin.json"])
def test_a_page_is_named_as_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"suffix|a page is written as"):
        write([painted(tmp_path)], tmp_path / name)


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("net.safetensors", {"size": "4x"}, "a net takes no size"),
        ("film.gif", {"step": 3}, "a film takes no step"),
        ("painting.png", {"with_": ("error",)}, "a painting takes no with"),
        ("painting.png", {"captions": True}, "a painting takes no captions"),
        ("sheet.png", {"size": "10x10"}, "a sheet takes no size"),
        ("painting.png", {"kind": "film"}, "a film is written as .mp4"),
        ("painting.png", {"kind": "poster"}, "known are painting, film, sheet, net"),
    ],
)
def test_options_that_do_not_apply_are_refused(
    name: str, options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=words):
        export(painted(tmp_path), tmp_path / name, **options)


def test_other_tasks_are_not_painted_at_a_size(tmp_path: Path) -> None:
    run = painted(tmp_path, task="digits")
    with pytest.raises(RecipeError, match="of task digits"):
        export(run, tmp_path / "painting.png", size="4x")
    assert load_net(export(run, tmp_path / "net.safetensors")).outputs == 3


@pytest.mark.parametrize("name", ("painting.png", "sheet.png", "film.gif", "net.safetensors"))
def test_folders_are_checked_first_and_relative_paths_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = painted(tmp_path)
    for step, path in synthetic(tmp_path, 2).frames():
        (run.folder / "frames" / f"{step:06d}.jpg").write_bytes(path.read_bytes())
    with pytest.raises(RunError, match="create the folder"):
        export(run, tmp_path / "absent" / name)
    (tmp_path / name).mkdir()
    with pytest.raises(RunError, match="a folder has that name"):
        export(run, tmp_path / name)
    (tmp_path / name).rmdir()
    monkeypatch.chdir(tmp_path)
    assert export(run, name) == Path(name)
    assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize("name", ("painting.png", "painting.webp", "net.safetensors"))
def test_a_disk_that_fills_up_leaves_the_old_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = painted(tmp_path)
    made = export(run, tmp_path / name)
    before = made.read_bytes()

    def refuse(*args: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Scanlines, "close", refuse)
    monkeypatch.setattr(Image.Image, "save", refuse)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(RunError, match=r"No space left on device\nhint: free some space"):
        export(run, tmp_path / name)
    monkeypatch.undo()
    assert made.read_bytes() == before
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".")] == []
