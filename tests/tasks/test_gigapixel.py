"""A picture in shards: what a shard is, that training on shards resumes bit for bit, and what it paints."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from compare import equal_bits
from PIL import Image
from twin import parameters

from sfumato import experiment
from sfumato.errors import PictureError, RecipeError, RunError, TaskError
from sfumato.learning.loop import drive
from sfumato.picture.tiles import opened, write_tiled
from sfumato.runs.watch import Until, Watch
from sfumato.tasks import gigapixel
from sfumato.views.export import export

SMALL = gigapixel.RECIPE.replace(
    net="2x8",
    encoding="grid:levels=3,base=4,log2_table=8",
    batch=512,
    epochs=2.0,
    threads=1,
    options={"shard": 9000},
)
QUIET = Watch(frames="3", film="none")


def pixels_of(height: int, width: int, channels: int, dtype: type = np.uint8) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    top = np.iinfo(dtype).max
    return np.random.default_rng(3).integers(0, top, shape, dtype, endpoint=True)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(pixels_of(150, 210, 3)).save(path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "options", [{"tile": (64, 96)}, {"rowsperstrip": 17}, {"tile": (32, 32), "compression": "zlib"}]
)
def test_a_window_of_a_tiff_is_that_part_of_the_whole(
    tmp_path: Path, dtype: type, channels: int, options: dict[str, object]
) -> None:
    values = pixels_of(150, 210, channels, dtype)
    kind = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=kind, **options)
    tiles = opened(tmp_path / "a.tif")
    assert (tiles.height, tiles.width, tiles.channels) == (150, 210, channels)
    whole = values.reshape(150, 210, channels).astype(np.float32) / np.iinfo(dtype).max
    for top, left, height, width in ((0, 0, 150, 210), (140, 200, 10, 10), (31, 60, 64, 97), (0, 209, 1, 1)):
        found = tiles.read(top, left, height, width)
        assert np.array_equal(found, whole[top : top + height, left : left + width])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(256, 256), (300, 513), (1, 1), (700, 20)])
def test_tiles_that_are_written_are_the_bands_that_came(
    tmp_path: Path, size: tuple[int, int], channels: int
) -> None:
    values = pixels_of(*size, channels).reshape(*size, channels)
    cuts = [0, 1, min(199, size[0]), size[0]]
    bands = (values[a:b] for a, b in pairwise(cuts) if b > a)
    write_tiled(tmp_path / "out.tif", bands, *size, channels)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].is_tiled
    assert np.array_equal(tifffile.imread(tmp_path / "out.tif").reshape(values.shape), values)


def test_an_epoch_of_shards_sees_every_pixel(photo: Path) -> None:
    """The tiles of 64 pixels overlap at two borders, and two are seen again to fill the last shard."""
    data = gigapixel.load(str(photo), SMALL)
    assert (data.side, data.tiles, data.shards, data.samples) == (64, 2, 6, 12 * 64**2)
    seen = np.zeros((150, 210), int)
    for visit in range(data.shards):
        for top, left in data.chosen(visit):
            seen[top : top + 64, left : left + 64] += 1
    assert seen.min() == 1
    assert not np.array_equal(data.chosen(0), data.chosen(data.shards)), "another order in the next epoch"
    assert np.array_equal(data.chosen(3), gigapixel.load(str(photo), SMALL).chosen(3))


def test_a_shard_holds_the_pixels_at_their_places(photo: Path) -> None:
    data = gigapixel.load(str(photo), SMALL)
    shard = data.data(data.chosen(1), data.side)
    whole = np.asarray(Image.open(photo)).astype(np.float32) / 255
    columns = np.round(shard.inputs[:, 0] * 210 - 0.5).astype(int)
    rows = np.round(shard.inputs[:, 1] * 150 - 0.5).astype(int)
    assert np.array_equal(shard.targets, whole[rows, columns])


@pytest.mark.parametrize("stop", [7, 16, 17, 40])
def test_training_that_was_cut_anywhere_ends_in_the_same_bits(photo: Path, stop: int) -> None:
    """A visit has 16 steps: inside one, at its end, and behind."""
    data = gigapixel.load(str(photo), SMALL)
    total = SMALL.total_steps(data.samples)
    whole, net = gigapixel.build(SMALL, data), gigapixel.build(SMALL, data)
    for _ in drive(gigapixel.begin(whole, data, SMALL, total), whole):
        pass
    first = gigapixel.begin(net, data, SMALL, total)
    first.advance(stop)
    first.pull(net)
    state = first.state()
    first.close()
    second = gigapixel.begin(net, data, SMALL, total)
    second.load(net, state)
    for _ in drive(second, net):
        pass
    equal_bits(parameters(whole), parameters(net))


def test_a_run_of_shards_resumes_paints_and_exports(photo: Path, tmp_path: Path) -> None:
    half = experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET, until=Until.parse("psnr=1"))
    with pytest.raises(RunError, match=r"--source FILE, the file that was photo\.png"):
        experiment.resume(half)
    Image.fromarray(pixels_of(210, 150, 3)).save(tmp_path / "other.png")
    with pytest.raises(RunError, match="is not the picture that"):
        experiment.resume(half, source=str(tmp_path / "other.png"))
    run = experiment.resume(half, source=str(photo))
    assert (
        run.last["step"] == run.last["total_steps"]
        and run.last["psnr"] > 5
        and run.origin["size"] == [210, 150]
    )
    painted = export(run, tmp_path / "painting.png", size="2x")
    with Image.open(painted) as image:
        assert image.size == (420, 300)
    large = export(run, tmp_path / "painting.tif", size=(2400, 1800))
    with tifffile.TiffFile(large) as file:
        assert file.pages[0].is_tiled and file.pages[0].shape == (1800, 2400, 3)


def test_shards_learn_what_the_picture_holds(tmp_path: Path) -> None:
    """A ramp, whose error after two epochs on shards is that of a task that has all pixels at once, within 3 dB."""
    y, x = np.mgrid[:150, :210]
    ramp = np.stack([x / 210, y / 150, 0.5 + 0 * x], -1)
    Image.fromarray((ramp * 255).astype(np.uint8)).save(tmp_path / "ramp.png")
    run = experiment.perform(SMALL, str(tmp_path / "ramp.png"), out=tmp_path, watch=QUIET)
    plain = SMALL.replace(task="picture", options={})
    other = experiment.perform(plain, str(tmp_path / "ramp.png"), out=tmp_path, watch=QUIET)
    assert run.last["psnr"] > other.last["psnr"] - 3 > 15


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"held_out": "0.1"}, RecipeError, "hides no pixels"),
        ({"sampling": "error"}, RecipeError, "follows single pixels"),
        ({"options": {"shards": 3}}, RecipeError, "no option 'shards'"),
        ({"options": {"shard": "many"}}, RecipeError, "whole number"),
    ],
)
def test_what_has_no_meaning_for_shards_is_refused(
    photo: Path, changes: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        gigapixel.load(str(photo), SMALL.replace(**changes))


def test_what_a_run_of_shards_cannot_do_is_refused_by_name(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="gigapixel has no budget in seconds"):
        experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET, budget=9.0)
    assert not tmp_path.joinpath("runs").exists()
    run = experiment.perform(SMALL, str(photo), out=tmp_path, watch=QUIET)
    for polish in (0, 3):
        with pytest.raises(RecipeError, match="gigapixel cannot be forked: it keeps no copy of its picture"):
            experiment.fork(run, 2, {}, polish=polish, out=tmp_path)


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="needs a picture file"):
        gigapixel.load(None, SMALL)
    with pytest.raises(PictureError, match="there is no picture"):
        gigapixel.load(str(tmp_path / "none.png"), SMALL)
    (tmp_path / "bad.tif").write_bytes(b"II*\0nonsense")
    with pytest.raises(PictureError, match="cannot be read as a TIFF"):
        gigapixel.load(str(tmp_path / "bad.tif"), SMALL)
    tifffile.imwrite(tmp_path / "float.tif", torch.rand(9, 9).numpy())
    with pytest.raises(PictureError, match="8 or 16 bits"):
        gigapixel.load(str(tmp_path / "float.tif"), SMALL)
    values = pixels_of(200, 200, 1)
    tifffile.imwrite(tmp_path / "cut.tif", values, tile=(64, 64), compression="zlib")
    whole = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError):
        gigapixel.load(str(tmp_path / "cut.tif"), SMALL)
