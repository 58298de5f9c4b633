"""Which frames a film shows: even steps of what is asked for, the first and the last always."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_film import decoded, synthetic

from sfumato.drawing.palettes import oklab
from sfumato.errors import RecipeError, RunError
from sfumato.views import export, film, film_panels, timeline

COUNT = 24


def faded(folder: Path, shares: list[float]) -> timeline.Listed:
    """Frames that are `share` of the way from grey to a picture of soft colours; steps are k * k."""
    folder.mkdir(exist_ok=True)
    y, x = np.mgrid[0:96, 0:72] / 96
    whole = np.stack([x, y, 1 - x], 2)
    listed = []
    for k, share in enumerate(shares):
        path = folder / f"{k * k:06d}.jpg"
        values = 0.5 * (1 - share) + whole * share
        Image.fromarray((values * 255).round().astype(np.uint8)).save(path, quality=95)
        listed.append((k * k, path))
    return listed


def indices(listed: timeline.Listed, pace: str = "") -> list[int]:
    return [listed.index(one) for one in timeline.shown(listed, pace)]


EARLY = [min(1.0, k / 8) for k in range(COUNT)]
LATE = [max(0.0, (k - (COUNT - 9)) / 8) for k in range(COUNT)]


def test_a_run_that_changes_only_early_is_no_still_at_the_end(tmp_path: Path) -> None:
    chosen = indices(faded(tmp_path, EARLY))
    assert set(range(9)) <= set(chosen) and chosen[-1] == COUNT - 1
    assert sum(k >= 9 for k in chosen) <= 2, (
        "what stands still is shown once, and where JPEG rounds differently"
    )


def test_a_run_that_changes_only_late_is_not_grey_at_the_start(tmp_path: Path) -> None:
    chosen = indices(faded(tmp_path, LATE))
    assert set(range(COUNT - 9, COUNT)) <= set(chosen) and chosen[0] == 0
    assert sum(k < COUNT - 9 for k in chosen) <= 2


def test_steps_of_a_film_look_equal_where_enough_was_kept(tmp_path: Path) -> None:
    """A run of the usual kind: a quick rise, then ever slower."""
    listed = faded(tmp_path, [1 - np.exp(-k / 40) for k in range(100)])
    every = timeline.change([path for _, path in listed])
    seen = every[indices(listed)] / every[-1]
    quarters = np.diff(np.interp([0, 0.25, 0.5, 0.75, 1], np.linspace(0, 1, len(seen)), seen))
    kept = np.diff(np.interp([0, 0.25, 0.5, 0.75, 1], np.linspace(0, 1, len(every)), every / every[-1]))
    assert kept.max() > 0.4 and kept.min() < 0.15, "what all frames would show"
    assert quarters == pytest.approx(0.25, abs=0.04)


def test_a_frame_before_a_leap_does_not_stand_for_long(tmp_path: Path) -> None:
    chosen = indices(faded(tmp_path, [0.0, *(0.9 + 0.1 * k / 30 for k in range(31))]))
    assert max(chosen.count(k) for k in chosen) == timeline.LONGEST and chosen[:4] == [0, 0, 0, 1]


@pytest.mark.parametrize("pace", timeline.PACES)
def test_paces_keep_the_order_and_both_ends_and_depend_on_the_files_alone(pace: str, tmp_path: Path) -> None:
    listed = faded(tmp_path, EARLY)
    chosen = indices(listed, pace)
    assert chosen == sorted(chosen) and chosen[0] == 0 and chosen[-1] == COUNT - 1
    assert indices(listed, pace) == chosen
    if pace == "all":
        assert chosen == list(range(COUNT))


def test_paces_of_epochs_and_log_by_hand(tmp_path: Path) -> None:
    listed = faded(tmp_path, [0.5] * 5)  # steps 0 1 4 9 16
    assert indices(listed, "epochs") == [0, 2, 3, 3, 4]  # places 0 4 8 12 16: 8 and 12 are nearest to 9
    # log(1 + step): 0 0.69 1.61 2.30 2.83; places 0 0.71 1.42 2.12 2.83
    assert indices(listed, "log") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", (1, 2))
@pytest.mark.parametrize("pace", timeline.PACES)
def test_one_or_two_frames_are_all_shown(count: int, pace: str, tmp_path: Path) -> None:
    assert indices(faded(tmp_path, [0.0, 1.0][:count]), pace) == list(range(count))


def test_a_run_in_which_nothing_changes_shows_its_ends(tmp_path: Path) -> None:
    assert set(indices(faded(tmp_path, [0.3] * COUNT))) <= {0, 1, COUNT - 1}


@given(moves=st.lists(st.floats(0, 1e3), min_size=2, max_size=60))
def test_even_places(moves: list[float]) -> None:
    places = np.concatenate([[0.0], np.cumsum(moves)])
    chosen = timeline.even(places)
    assert chosen == sorted(chosen) and chosen[0] == 0 and chosen[-1] == len(moves)
    gaps = np.diff(places[chosen])
    step = places[-1] / len(moves)
    # No gap is wider than a step and the widest leap between neighbours: each place has a frame within half of it.
    assert gaps.max() <= step + max(moves) * (1 + 1e-9)


def test_oklab_by_its_source() -> None:
    """White, black, and sRGB red, green, blue as Ottosson's page gives them, to three places."""
    known = {
        (255, 255, 255): (1.0, 0.0, 0.0),
        (0, 0, 0): (0.0, 0.0, 0.0),
        (255, 0, 0): (0.628, 0.225, 0.126),
        (0, 255, 0): (0.866, -0.234, 0.179),
        (0, 0, 255): (0.452, -0.032, -0.312),
    }
    for colour, lab in known.items():
        assert oklab(np.array(colour, np.uint8)) == pytest.approx(lab, abs=6e-4)


# Films at a pace -----------------------------------------------------------------------------------------------


def test_a_film_shows_the_chosen_frames_with_their_epochs(tmp_path: Path) -> None:
    run = synthetic(tmp_path, COUNT)
    for (_, path), (_, other) in zip(run.frames(), faded(tmp_path / "late", LATE), strict=True):
        path.write_bytes(other.read_bytes())
    chosen = timeline.shown(run.frames())
    assert len({step for step, _ in chosen}) < COUNT / 2
    frames, _ = decoded(film.film(run, "gif", captions=True))
    assert len(frames) == len(chosen)
    everything, _ = decoded(film.film(run, "gif", pace="all", captions=True))
    assert len(everything) == COUNT
    strip = frames[1][-15:].astype(int)
    same = [np.abs(strip - other[-15:]).mean() for other in everything]
    assert int(np.argmin(same)) == run.frames().index(chosen[1]), "a caption tells its own frame's epoch"
    assert film_panels.frames(run, ("curve",))[0] == len(chosen)


def test_paces_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    run = synthetic(tmp_path, 3)
    for call in (
        lambda: film.film(run, "gif", pace="chance"),
        lambda: export.export(run, tmp_path / "film.gif", pace="chance"),
    ):
        with pytest.raises(RecipeError, match="did you mean 'change'"):
            call()
    with pytest.raises(RecipeError, match="a sheet takes no pace"):
        export.export(run, tmp_path / "sheet.png", pace="log")
    with pytest.raises(RecipeError, match="drawn from kept weights"):
        film.film(run, "gif", with_=("error",), pace="log")


def test_a_damaged_frame_is_named_before_a_film_begins(tmp_path: Path) -> None:
    run = synthetic(tmp_path, 5)
    path = run.frames()[2][1]
    path.write_bytes(b"no picture")
    with pytest.raises(RunError, match=f"{path.name} is damaged"):
        timeline.shown(run.frames())


@pytest.mark.parametrize("pace", timeline.PACES)
@pytest.mark.parametrize("other", ["size", "mode"])
def test_a_frame_of_another_kind_is_named_at_every_pace(pace: str, other: str, tmp_path: Path) -> None:
    """One of another size ended in NumPy's own words where frames were compared."""
    run = synthetic(tmp_path, 5)
    path = run.frames()[3][1]
    with Image.open(path) as image:
        wrong = image.resize((3, 2)) if other == "size" else image.convert("L")
    wrong.save(path)
    for shown in (
        lambda: timeline.shown(run.frames(), pace),
        lambda: export.export(run, tmp_path / "f.gif", pace=pace),
    ):
        with pytest.raises(RunError, match=rf"{path.name} is \S+ \S+, the first RGB .*\nhint: delete it"):
            shown()
