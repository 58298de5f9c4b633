"""Frames into MP4, WebP and GIF: every one once, evenly, the last one held; nothing scaled and few in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, ImageSequence

from sfumato.drawing import video
from sfumato.drawing.video import Frame
from sfumato.errors import RecipeError

HEIGHT, WIDTH, COUNT, FPS, HOLD = 21, 35, 30, 10, 1.2
"""Odd sides, more than two groups of key frames."""

WRITERS = {"mp4": video.mp4, "webp": video.webp, "gif": video.gif}


def flat(count: int = COUNT, height: int = HEIGHT, width: int = WIDTH) -> list[Frame]:
    """One grey a frame, ever lighter, so that frames are told apart after any codec."""
    return [np.full((height, width, 3), round(20 + 200 * k / count), np.uint8) for k in range(count)]


def shown(path: Path) -> tuple[list[npt.NDArray[np.uint8]], list[float]]:
    """The frames of a film, and the second at which each begins; the end of the last one is appended."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            frames = [(float(f.time or 0), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
            end = float(container.streams.video[0].duration * container.streams.video[0].time_base)  # type: ignore[operator]
        return [f for _, f in frames], [*(t for t, _ in frames), end]
    with Image.open(path) as image:
        made, starts = [], [0.0]
        for one in ImageSequence.Iterator(image):
            made.append(np.asarray(one.convert("RGB")))
            starts.append(starts[-1] + one.info["duration"] / 1000)
    return made, starts


@pytest.mark.parametrize("kind", video.KINDS)
def test_every_frame_comes_once_in_order_and_the_last_one_stands(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"film.{kind}"
    WRITERS[kind](path, flat(), FPS, HOLD)
    frames, starts = shown(path)
    levels = [float(frame.mean()) for frame in frames]
    distinct = levels[:COUNT]
    assert distinct == sorted(distinct)
    # 4:2:0 in limited range and 256 colours both keep a flat grey within two levels
    assert np.abs(np.array(distinct) - [f.mean() for f in flat()]).max() <= 2
    assert np.ptp(levels[COUNT - 1 :]) <= 1, "what is repeated is the last one"
    assert np.allclose(np.diff(starts)[: COUNT - 1], 1 / FPS, atol=1e-3)
    assert starts[-1] == pytest.approx((COUNT - 1) / FPS + HOLD, abs=0.06)


@pytest.mark.parametrize("kind", video.KINDS)
def test_a_film_of_one_frame_is_that_frame(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"film.{kind}"
    WRITERS[kind](path, flat(1), FPS, 0.5)
    frames, _ = shown(path)
    assert all(abs(float(frame.mean()) - 20) <= 2 for frame in frames) and frames


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_sides_are_those_of_the_frames(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"film.{kind}"
    WRITERS[kind](path, flat(3), FPS, HOLD)
    assert all(frame.shape == (HEIGHT, WIDTH, 3) for frame in shown(path)[0])
    with Image.open(path) as image:
        assert image.info["loop"] == 0, "it plays for ever"


def test_mp4_pads_odd_sides_by_their_last_row_and_column_and_can_be_jumped_in(tmp_path: Path) -> None:
    frames = flat()
    for frame in frames:
        frame[-1], frame[:, -1] = 250, 250
    video.mp4(tmp_path / "film.mp4", frames, FPS, HOLD)
    made = shown(tmp_path / "film.mp4")[0]
    assert made[0].shape == (HEIGHT + 1, WIDTH + 1, 3)
    assert made[0][-1].min() > 200 and made[0][:, -1].min() > 200
    with av.open(str(tmp_path / "film.mp4")) as container:
        keys = [
            k for k, packet in enumerate(p for p in container.demux(video=0) if p.size) if packet.is_keyframe
        ]
    assert keys[:3] == [0, video.GROUP, 2 * video.GROUP]
    head = (tmp_path / "film.mp4").read_bytes()
    assert head.index(b"moov") < head.index(b"mdat"), "the index first, so that a page can begin at once"


def test_webp_carries_the_profile(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    video.webp(tmp_path / "film.webp", flat(2), FPS, HOLD, profile)
    with Image.open(tmp_path / "film.webp") as image:
        assert image.info["icc_profile"] == profile


def test_a_gif_keeps_a_rare_colour_that_a_median_cut_would_miss(tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(90, 160, (120, 120, 1), np.uint8).repeat(3, 2)
    frame[60, 20:60] = (255, 0, 0)
    video.gif(tmp_path / "film.gif", [frame], FPS, HOLD)
    line = shown(tmp_path / "film.gif")[0][0][60, 20:60].astype(int)
    assert (line[:, 0] > 200).all() and (line[:, 1:] < 60).all()


@pytest.mark.parametrize("kind", video.KINDS)
def test_frames_are_taken_as_they_come(kind: str, tmp_path: Path) -> None:
    """Not all at once: when the writer asks for a frame, it holds a few of those before and no more."""
    alive: list[int] = []

    def coming() -> Iterator[Frame]:
        import weakref

        kept: list[weakref.ref[Frame]] = []
        for frame in (np.full((16, 16, 3), k, np.uint8) for k in range(60)):
            kept.append(weakref.ref(frame))
            alive.append(sum(one() is not None for one in kept))
            yield frame

    WRITERS[kind](tmp_path / f"film.{kind}", coming(), FPS, HOLD)
    assert len(alive) == 60 and max(alive) <= 8


@pytest.mark.parametrize("kind", video.KINDS)
def test_what_goes_wrong_between_frames_comes_out(kind: str, tmp_path: Path) -> None:
    def breaking() -> Iterator[Frame]:
        yield from flat(3)
        raise OSError("the third frame is gone")

    with pytest.raises(OSError, match="the third frame is gone"):
        WRITERS[kind](tmp_path / f"film.{kind}", breaking(), FPS, HOLD)


def test_kinds_are_what_a_person_types(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [video.kind_of(text) for text in ("mp4", ".WebP", "GIF")] == ["mp4", "webp", "gif"]
    assert video.kind_of("auto") == "mp4"
    monkeypatch.setattr(video, "has_mp4", lambda: False)
    assert video.kind_of("auto") == "webp"
    for text, says in (("wepb", "did you mean 'webp'"), ("quicktime", "known are auto, none, mp4")):
        with pytest.raises(RecipeError, match=says):
            video.kind_of(text)
