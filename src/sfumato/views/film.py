"""The film of a run: frames at an even pace, each shown equally long, the last one held.

By default the pace is that of visible change (`timeline`): a net learns most of what can be seen in its first
epochs, so that frames at even steps would show a rush and then a still.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..drawing import video
from ..drawing.video import Frame
from ..errors import RunError
from ..files import replacing
from . import film_panels, timeline
from .frames import Fit, caption, opened, to_srgb

if TYPE_CHECKING:
    from ..runs import RunDirectory

__all__ = ["film", "rate"]

HOLD = 1.5
"""Seconds for which the last frame stands."""


def film(
    run: RunDirectory,
    kind: str = "auto",
    *,
    path: str | os.PathLike[str] | None = None,
    captions: bool = False,
    size: str | tuple[int, int] | None = None,
    with_: Sequence[str] = (),
    hold: float = HOLD,
    pace: str = "",
    tell: Callable[[str], None] = lambda text: None,
) -> Path:
    """Make the film of a run and return its path: `film.<kind>` in its folder, or `path`.

    kind: `mp4` (extra `video`), `webp`, `gif`, or `auto`: mp4 where it can be written, else webp. captions: epoch
    and PSNR in a strip below the picture. size: (width, height), "600x858" or "2x", frames resampled; without it
    GIF shows frames as they are, MP4 and WebP twice as large (`frames.DOUBLED`); tiny ones grow by whole factors,
    those beyond LONGEST shrink. with_: panels beside the painting, see `panels`. hold: seconds of the last frame.
    pace: which frames are shown, see `timeline.PACES`; `change` if empty. Panels drawn from kept weights show each
    kept step, and take no pace. tell: hears how far the film is.

    WebP carries the picture's colour profile. MP4 and GIF cannot: their frames are converted to sRGB, so that
    they look the same; a profile that cannot be read is then left out. Memory: a few frames.
    Raises MissingExtra for mp4 without PyAV, RecipeError for a kind or size that cannot be meant, RunError where
    the run has no frames, a frame is damaged, or the disk refuses; no half file is left.
    """
    kind = video.kind_of(kind)
    if kind == "mp4":
        video.require_mp4()
    if pace:
        timeline.check(pace)
    if with_:
        count, frames, icc = film_panels.frames(run, with_, size=size, pace=pace)
    else:
        count, frames, icc = _frames(run, kind, captions, size, pace)
    goal = Path(path) if path is not None else run.file(f"film.{kind}")
    fps, frames = rate(count), _told(frames, count, tell)
    with replacing(goal) as passing:
        if kind == "webp":
            video.webp(passing, frames, fps, hold, icc)
        else:
            (video.mp4 if kind == "mp4" else video.gif)(passing, frames, fps, hold)
    return goal


def _told(frames: Iterator[Frame], count: int, tell: Callable[[str], None]) -> Iterator[Frame]:
    for k, frame in enumerate(frames, 1):
        tell(f"frame {k} of {count}")
        yield frame


def rate(count: int) -> int:
    """Frames a second: 12, but fewer for few frames and more for many, so that a film takes 4 to 8 seconds.

    At least 2 and at most 30, beyond which frames would only be missed: longer series take longer.
    """
    return round(min(30, max(2, min(max(12, count / 8), max(2, count / 4)))))


def _frames(
    run: RunDirectory, kind: str, captions: bool, size: str | tuple[int, int] | None, pace: str
) -> tuple[int, Iterator[Frame], bytes | None]:
    """How many frames, the frames as they are shown, and the colour profile that they still need."""
    listed = run.frames()
    if not listed:
        raise RunError(f"{run.folder} holds no frames\nhint: sfumato resume {shlex.quote(str(run.folder))}")
    chosen = timeline.shown(listed, pace)
    first = opened(chosen[0][1])
    icc = first.info.get("icc_profile")
    keeps = kind == "webp" and first.mode == "RGB"
    transform = None if keeps or not icc else to_srgb(icc, first.mode)
    fit = Fit(first.size, size, captions, doubled=kind != "gif")
    lines = {line["step"]: line for line in run.history} if captions else {}

    def shown() -> Iterator[Frame]:
        for step, path in chosen:
            image = opened(path)
            image = transform.apply(image) if transform else image.convert("RGB")
            yield fit(image, caption(step, lines.get(step, {})) if captions else None)

    return len(chosen), shown(), icc if keeps else None
