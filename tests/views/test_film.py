"""Films: every frame once and the last one held, nothing scaled, nothing half written, memory that stays small."""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms
from small_picture import colours

from sfumato import picture
from sfumato.drawing import video
from sfumato.drawing.video import Frame
from sfumato.errors import MissingExtra, RecipeError, RunError
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.views import film
from sfumato.views.frames import SMALLEST, caption, wanted_size

WIDTH, HEIGHT = 75, 107
"""Both sides odd, and large enough for no enlargement."""


def synthetic(
    folder: Path, count: int = 9, width: int = WIDTH, height: int = HEIGHT, icc: bytes | None = None
) -> Run:
    """A run whose frames fade from grey to a picture, with metrics; steps 0, 1, 4, 9 ... as in log-spacing."""
    with Run.create(folder, Recipe(net=(4,)), "synthetic", {"inputs": 2, "outputs": 3}) as run:
        pass
    whole = colours(height, width).reshape(height, width, 3)
    for k in range(count):
        share = k / max(1, count - 1)
        values = (0.5 * (1 - share) + whole * share).astype(np.float32)
        shown = picture.from_array(values, icc=icc)
        path = run.folder / "frames" / f"{k * k:06d}.jpg"
        path.write_bytes(picture.encode(shown, "jpeg", quality=95))
        run.add_metrics({"step": k * k, "total_steps": 100, "epoch": k * k / 10, "psnr": 10.0 + k})
    return run


def decoded(path: Path) -> tuple[list[Frame], list[float]]:
    """Frames as RGB and the seconds for which each stands."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
            rate = container.streams.video[0].average_rate
        assert rate is not None
        return frames, [1 / float(rate)] * len(frames)
    frames, seconds = [], []
    with Image.open(path) as image:
        for k in range(getattr(image, "n_frames", 1)):
            image.seek(k)
            frames.append(np.asarray(image.convert("RGB")))
            seconds.append(image.info["duration"] / 1000)
    return frames, seconds


def halved(frame: npt.NDArray[Any], height: int = HEIGHT, width: int = WIDTH) -> npt.NDArray[Any]:
    """A frame of a doubled film at the picture's own size: means of four pixels; padding falls away."""
    own = frame[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
    return own.mean(axis=(1, 3)).squeeze()


def frames_of(run: Run) -> list[Frame]:
    return [np.asarray(Image.open(path).convert("RGB")) for _, path in run.frames()]


# Time and place ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", video.KINDS)
def test_every_frame_is_shown_once_in_order_and_the_last_one_is_held(kind: str, tmp_path: Path) -> None:
    run = synthetic(tmp_path)
    made = film.film(run, kind)
    assert made == run.folder / f"film.{kind}"
    frames, seconds = decoded(made)
    wanted = frames_of(run)
    fps = film.rate(9)
    held = round(film.HOLD * fps) if kind == "mp4" else 1
    assert len(frames) == len(wanted) + held - 1
    # In levels of 255, on average: mp4 halves the colours' resolution; 256 dithered colours for a picture of all
    # hues are some 256 / 256^(1/3) = 40 levels apart.
    allowed = {"mp4": 3, "webp": 3, "gif": 10}[kind]
    for k, got in enumerate(frames[: len(wanted)]):
        own = got if kind == "gif" else halved(got)
        errors = [np.abs(own.astype(float) - other).mean() for other in wanted]
        assert errors[k] < allowed
        assert int(np.argmin(errors)) == k, "frames out of order"
    total = sum(seconds)
    # GIF counts in hundredths of a second, WebP in thousandths.
    assert total == pytest.approx((len(wanted) - 1) / fps + film.HOLD, abs=0.005 * len(wanted) + 0.5 / fps)


def test_mp4_pads_odd_sides_by_repeating_and_scales_nothing(tmp_path: Path) -> None:
    frames, _ = decoded(film.film(synthetic(tmp_path), "mp4", size=(WIDTH, HEIGHT)))
    assert frames[0].shape == (HEIGHT + 1, WIDTH + 1, 3)
    last = frames[-1].astype(int)
    # The padded row is a copy before encoding; the codec may move it by a few levels.
    assert np.abs(last[-1] - last[-2]).mean() < 3
    assert np.abs(last[:, -1] - last[:, -2]).mean() < 3


@pytest.mark.parametrize("kind", ("webp", "gif"))
def test_webp_and_gif_keep_odd_sides(kind: str, tmp_path: Path) -> None:
    frames, _ = decoded(film.film(synthetic(tmp_path), kind, size=(WIDTH, HEIGHT)))
    assert frames[0].shape == (HEIGHT, WIDTH, 3)


def test_mp4_can_be_scrubbed_and_starts_at_once(tmp_path: Path) -> None:
    run = synthetic(tmp_path, count=40)
    made = film.film(run, "mp4")
    with av.open(str(made)) as container:
        stream = container.streams.video[0]
        keys = [k for k, frame in enumerate(container.decode(video=0)) if frame.key_frame]
        assert stream.pix_fmt == "yuv420p" and stream.codec_context.name == "h264"
        # Marked as BT.709 with the sRGB curve, so that no player guesses.
        context = stream.codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 13)
    assert np.diff(keys).max() <= video.GROUP
    data = made.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_colours_keep_their_brightness(tmp_path: Path) -> None:
    made = film.film(synthetic(tmp_path), "mp4")
    with av.open(str(made)) as container:
        *_, last = container.decode(video=0)
    wanted = frames_of(synthetic(tmp_path))[-1].astype(float)
    luma = wanted @ np.array([0.2126, 0.7152, 0.0722]) * 219 / 255 + 16  # ITU-R BT.709, limited range
    got = halved(last.to_ndarray()[: 2 * HEIGHT])
    assert np.abs(got - luma).mean() < 1.5  # crf 21, four pixels to one
    assert abs((got - luma).mean()) < 0.5  # no shift of the whole picture


def test_a_film_takes_four_to_eight_seconds() -> None:
    for count in (16, 24, 33, 48, 64, 90, 96, 120, 150, 240):
        assert 4 / 1.13 <= count / film.rate(count) <= 8 * 1.13, count  # frames a second are whole numbers
    assert film.rate(1) == 2 and film.rate(64) == 12 and film.rate(100_000) == 30


def lines() -> Frame:
    """Lines and dots of one pixel in red, green and blue on grey."""
    frame = np.full((96, 120, 3), 128, np.uint8)
    frame[:, 20], frame[:, 41], frame[30], frame[51] = RED, BLUE, RED, BLUE
    step = np.arange(40)
    frame[55 + step, 60 + step] = GREEN
    frame[90, 100:110:3] = RED
    return frame


RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)


@pytest.mark.parametrize(
    # What was measured: mp4 0.84 and 0.57, webp 0.75 and 0.55, gif all of it. Undoubled, mp4 kept 0.42 and 0.15.
    ("kind", "mean", "least"),
    [("mp4", 0.75, 0.45), ("webp", 0.65, 0.4), ("gif", 0.97, 0.9)],
)
def test_small_saturated_details_survive(kind: str, mean: float, least: float, tmp_path: Path) -> None:
    wanted = lines()
    run = synthetic(tmp_path, 3, 120, 96)
    for _, path in run.frames():
        Image.fromarray(wanted).save(path, quality=100, subsampling=0)
    shown = decoded(film.film(run, kind))[0][-1].astype(float)
    shown = shown if kind == "gif" else halved(shown, 96, 120)
    colour, colour_wanted = (f - f.mean(axis=2, keepdims=True) for f in (shown, wanted.astype(float)))
    kept = (colour * colour_wanted).sum(2) / np.maximum((colour_wanted**2).sum(2), 1)
    kept = kept[(wanted != 128).any(axis=2)]
    assert kept.mean() > mean and kept.min() > least


# Sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", video.KINDS)
@pytest.mark.parametrize("width, height", [(1, 1), (1, 300), (500, 1), (5, 7)])
def test_tiny_pictures_make_films_that_show_their_pixels(
    kind: str, width: int, height: int, tmp_path: Path
) -> None:
    frames, _ = decoded(film.film(synthetic(tmp_path, 3, width, height), kind))
    shape = frames[-1].shape
    assert min(shape[:2]) >= SMALLEST
    assert max(shape[:2]) <= 1024
    if (width, height) == (5, 7):
        assert shape[1] in (65, 66) and shape[0] in (91, 92)
        source = frames_of(synthetic(tmp_path, 3, width, height))[-1]
        middles = frames[-1][6:91:13, 6:65:13].astype(int)
        assert np.abs(middles - source).mean() < 8  # chroma at half resolution, blocks of 13 pixels


def test_a_size_resamples_the_frames(tmp_path: Path) -> None:
    run = synthetic(tmp_path, 3)
    assert decoded(film.film(run, "webp", size="150x200"))[0][0].shape == (200, 150, 3)
    assert decoded(film.film(run, "webp", size="2x"))[0][0].shape == (2 * HEIGHT, 2 * WIDTH, 3)


def test_sizes_are_pixels_or_factors() -> None:
    assert wanted_size("1200x1716", 300, 429) == (1200, 1716)
    assert wanted_size((7, 9), 300, 429) == (7, 9)
    for text in ("4x", "x4", "4", " 4X "):
        assert wanted_size(text, 300, 429) == (1200, 1716)
    assert wanted_size("0.5x", 301, 1) == (150, 1)
    with pytest.raises(RecipeError, match="1200x1716"):
        wanted_size("1200x", 300, 429)
    for text in ("0x", "0x10", "", "x", "10x10x10", "-3x", "nanx", "big", "1e9x"):
        with pytest.raises(RecipeError):
            wanted_size(text, 300, 429)


def test_large_frames_are_reduced_by_a_whole_factor(tmp_path: Path) -> None:
    frames, _ = decoded(film.film(synthetic(tmp_path, 2, 4100, 70), "webp"))
    assert frames[0].shape == (SMALLEST, 2050, 3)


# Captions ------------------------------------------------------------------------------------------------------


def test_captions_stand_below_the_painting_and_cover_none_of_it(tmp_path: Path) -> None:
    run = synthetic(tmp_path, width=301, height=65)
    plain, captioned = (film.film(run, "gif", captions=c, path=tmp_path / f"{c}.gif") for c in (False, True))
    without, with_ = decoded(plain)[0], decoded(captioned)[0]
    strips = []
    for a, b in zip(without, with_, strict=True):
        assert b.shape[1] == 301 and 20 <= b.shape[0] - a.shape[0] <= 40
        # Only the palette differs, which the strip shares: see above for its steps.
        assert np.abs(a.astype(int) - b[: len(a)]).mean() < 10
        strips.append(b[65:])
    for strip in strips:
        left, right = strip[:, :150].max(), strip[:, 150:].max()
        assert left > 200 and right > 200, "epoch on the left, PSNR on the right"
    assert not np.array_equal(strips[0], strips[1])


def test_captions_say_what_the_metrics_say() -> None:
    assert caption(7, {"epoch": 12.345, "psnr": 26.714}) == ("epoch 12.3", "26.71 dB")
    assert caption(7, {"epoch": 1250.0, "psnr": None}) == ("epoch 1,250", "exact")
    assert caption(7, {"epoch": 0.05, "test_error": 0.0123}) == ("epoch 0.05", "1.23 % errors")
    assert caption(7000, {}) == ("step 7,000", "")


@pytest.mark.parametrize("width", (1, 90, 300, 1500))
def test_captions_fit_at_every_width(width: int, tmp_path: Path) -> None:
    run = synthetic(tmp_path, 2, width, 64)
    (run.folder / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": s, "epoch": 123456.0, "psnr": 100.25}) + "\n" for s in (0, 1))
    )
    frame = decoded(film.film(run, "gif", captions=True))[0][0]
    strip = frame[-SMALLEST // 4 :].max(2) > 128
    columns = np.flatnonzero(strip.any(0))
    assert columns[0] >= 2 and columns[-1] <= frame.shape[1] - 3
    # A gap of dark columns wider than any between letters parts epoch and PSNR.
    assert np.diff(columns).max() >= 6


# What is missing or broken -------------------------------------------------------------------------------------


def test_without_pyav_auto_makes_webp_and_mp4_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = synthetic(tmp_path)
    assert film.film(run).suffix == ".mp4"
    monkeypatch.setitem(sys.modules, "av", None)
    assert film.film(run).suffix == ".webp"
    with pytest.raises(MissingExtra, match=r'pip install "sfumato\[video\]"'):
        film.film(run, "mp4")


def test_a_pyav_without_its_encoder_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    assert film.film(synthetic(tmp_path)).suffix == ".webp"
    with pytest.raises(MissingExtra, match="libx264"):
        film.film(synthetic(tmp_path), "mp4")


def test_kinds_are_checked_with_near_misses(tmp_path: Path) -> None:
    assert video.kind_of(".MP4") == "mp4"
    with pytest.raises(RecipeError, match="did you mean 'mp4'"):
        film.film(synthetic(tmp_path), "mp5")
    with pytest.raises(RecipeError, match="known are auto, none, mp4, webp, gif"):
        video.kind_of("quicktime")


def test_a_run_without_frames_is_refused(tmp_path: Path) -> None:
    run = synthetic(tmp_path, count=0)
    with pytest.raises(RunError, match="holds no frames"):
        film.film(run)


@pytest.mark.parametrize("kind", video.KINDS)
def test_a_damaged_frame_is_named_and_leaves_the_old_film(kind: str, tmp_path: Path) -> None:
    run = synthetic(tmp_path)
    made = film.film(run, kind)
    before = made.read_bytes()
    path = run.frames()[5][1]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(RunError, match=f"{path.name} is damaged"):
        film.film(run, kind)
    assert made.read_bytes() == before
    assert not list(run.folder.glob(".film*"))


@pytest.fixture
def full_disk() -> Iterator[int]:
    """Files of this process end at 3,000 bytes: what a full disk is to a writer, real write calls included."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    yield 3000
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", video.KINDS)
def test_a_disk_that_fills_up_leaves_no_half_film(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = synthetic(tmp_path)
    request.getfixturevalue("full_disk")
    with pytest.raises(RunError, match=f"cannot write .*film.{kind}"):
        film.film(run, kind)
    assert not list(run.folder.glob("*film*"))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    run = synthetic(tmp_path, 2)
    for kind in video.KINDS:
        with pytest.raises(RunError, match="create the folder"):
            film.film(run, kind, path=tmp_path / "absent" / f"film.{kind}")


# Colour profiles and memory ------------------------------------------------------------------------------------


def swapped() -> bytes:
    """A matrix profile (ICC.1:2001) whose red and blue primaries are exchanged: misread, blue shows as red."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = bytearray(srgb)
    count = struct.unpack(">I", data[128:132])[0]
    entries = {bytes(data[132 + 12 * k : 136 + 12 * k]): 132 + 12 * k for k in range(count)}
    data[entries[b"rXYZ"] : entries[b"rXYZ"] + 4] = b"bXYZ"
    data[entries[b"bXYZ"] : entries[b"bXYZ"] + 4] = b"rXYZ"
    text = "sRGB built-in".encode("utf-16-be")
    at = data.find(text)
    while at >= 0:  # the name too, or it passes for sRGB
        data[at : at + 2] = "x".encode("utf-16-be")
        at = data.find(text)
    return bytes(data)


@pytest.mark.parametrize("kind", video.KINDS)
def test_a_colour_profile_travels_or_is_converted(kind: str, tmp_path: Path) -> None:
    run = synthetic(tmp_path, icc=swapped())
    made = film.film(run, kind)
    shown = decoded(made)[0][-1].astype(int)
    shown = shown if kind == "gif" else halved(shown)
    stored = frames_of(run)[-1].astype(int)
    if kind == "webp":
        with Image.open(made) as image:
            assert image.info["icc_profile"] == swapped()
        assert np.abs(shown - stored).mean() < 4
    else:  # converted: red and blue change places
        assert np.abs(shown - stored[..., ::-1]).mean() < 0.25 * np.abs(shown - stored).mean()


def test_srgb_and_unreadable_profiles_change_nothing(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile at all"):
        run = synthetic(tmp_path / str(len(profile)), 2, icc=profile)
        shown = halved(decoded(film.film(run, "mp4"))[0][-1])
        assert np.abs(shown - frames_of(run)[-1]).mean() < 4


@pytest.mark.parametrize("write", (video.mp4, video.webp, video.gif))
def test_memory_does_not_grow_with_the_length(write: object, tmp_path: Path) -> None:
    asked, alive = 0, 0
    most = 0

    class Counted(np.ndarray):  # type: ignore[type-arg]
        def __del__(self) -> None:
            nonlocal alive
            if self.base is None:
                alive -= 1

    def frames() -> Iterator[Frame]:
        nonlocal asked, alive, most
        for k in range(60):
            frame = np.ndarray.__new__(Counted, (64, 64, 3), np.uint8)
            frame[:] = k
            asked, alive = asked + 1, alive + 1
            most = max(most, alive)
            yield frame

    write(tmp_path / "film", frames(), 12, 1.5)  # type: ignore[operator]
    assert asked == 60
    assert most <= 12, "frames are held back"


def test_grey_frames_make_films(tmp_path: Path) -> None:
    run = synthetic(tmp_path, 2)
    for _, path in run.frames():
        buffer = io.BytesIO()
        with Image.open(path) as image:
            image.convert("L").save(buffer, "JPEG")
        path.write_bytes(buffer.getvalue())
    for kind in video.KINDS:
        shown = decoded(film.film(run, kind))[0][-1].astype(int)
        assert np.ptp(shown, axis=2).mean() < 2  # grey stays grey, within the codec's rounding
