"""Pictures of a comparison: what is handed to each chart, and paintings beside the picture they are of."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato import picture
from sfumato.compare import plots
from sfumato.compare.comparison import Comparison, Contestant, Request, Row, Subject
from sfumato.drawing.charts import Series
from sfumato.errors import RunError
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory

RECIPE = Recipe(net=(4,))
SUBJECT = Subject("a.png", "a", 20, 30, 3, 0)


def row(label: str, subject: str, seed: int, curve: list[tuple[float, float]], **fields: Any) -> Row:
    known = {"psnr": curve[-1][1], "seconds": curve[-1][0], "parameters": 100, "curve": tuple(curve)}
    return Row(label, subject, seed, **{**known, **fields})


def made(rows: list[Row], seeds: int = 3, **fields: Any) -> Comparison:
    request = Request(
        tuple(Contestant(label, RECIPE) for label in ("siren", "classic")), seeds=seeds, **fields
    )
    return Comparison(request, Path(), [SUBJECT], {}, {}, rows)


@pytest.fixture
def charts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Series], dict[str, Any]]]:
    """What is handed to each chart, which is drawn all the same."""
    seen: list[tuple[list[Series], dict[str, Any]]] = []
    real = plots.chart

    def chart(series: list[Series], **options: Any) -> picture.Picture:
        seen.append((series, options))
        return real(series, **options)

    monkeypatch.setattr(plots, "chart", chart)
    return seen


LINES = [
    row("siren", "a", 0, [(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)]),
    row("siren", "a", 1, [(1.5, 12.0), (2.5, 22.0), (3.5, 31.0)]),
    row("siren", "a", 2, [(9.0, 1.0), (9.5, 2.0)]),  # stopped early, and slow
    *(row("classic", "a", seed, [(4.0, 15.0), (8.0, 25.0)]) for seed in range(3)),
]


def test_curves_are_the_medians_of_the_seeds_at_each_beat_that_all_have(charts: Any) -> None:
    plots.curves(made(LINES), SUBJECT)
    (siren, classic), options = charts[0]
    assert siren.label == "siren" and siren.x.tolist() == [1.5, 2.5] and siren.y.tolist() == [10.0, 20.0]
    assert classic.y.tolist() == [15.0, 25.0]
    assert options["log_x"] and "30 s a run" in options["title"]


def test_profiles_say_how_many_targets_are_reached_within_a_factor_of_the_fastest(charts: Any) -> None:
    """As beats tell, siren reaches 20 dB at 3 s and classic at 8 s; 28 dB siren alone; 40 dB nobody."""
    rows = [
        row("siren", "a", 0, [(1.0, 10.0), (3.0, 30.0)]),
        row("classic", "a", 0, [(4.0, 15.0), (8.0, 25.0)]),
    ]
    plots.profiles(made(rows, seeds=1, targets=(20.0, 28.0, 40.0)))
    (siren, classic), _ = charts[0]
    at = dict(zip(np.round(siren.x, 6), siren.y, strict=True))
    assert at[1.0] == pytest.approx(100 * 2 / 3)
    assert classic.y[0] == 0 and classic.y[-1] == pytest.approx(100 / 3)
    assert classic.x[np.argmax(classic.y > 0)] == plots.FACTORS[plots.FACTORS >= 8 / 3][0]


def test_prices_are_a_dot_a_run_and_those_that_failed_have_none(charts: Any) -> None:
    rows = [
        row("siren", "a", 0, [(2.0, 30.0)], parameters=500),
        row("siren", "a", 1, [(3.0, 31.0)], parameters=500, error="diverged"),
        row("classic", "a", 0, [(4.0, 25.0)], parameters=700),
    ]
    for field, dots in (("parameters", [(500, 30.0), (700, 25.0)]), ("seconds", [(2.0, 30.0), (4.0, 25.0)])):
        charts.clear()
        plots.price(made(rows), field)
        dots_of = [list(zip(s.x, s.y, strict=True)) for s in charts[0][0]]
        found = [dot for listed in dots_of for dot in listed if not math.isnan(dot[0])]
        assert found == dots
        assert all(math.isnan(s.x[1]) for s in charts[0][0]), "a gap after each point: no line joins two runs"


def painted(folder: Path, values: np.ndarray[Any, Any]) -> str:
    with RunDirectory.create(folder, RECIPE, "a", {"inputs": 2, "outputs": 3}) as run:
        picture.save(picture.from_array(values.astype(np.float32)), run.folder / "painting.png")
        picture.save(picture.from_array(np.zeros((20, 30, 3), np.float32)), run.folder / "target.png")
    return str(run.folder)


def test_the_painting_shown_is_that_of_the_median_seed_and_crops_lie_where_they_differ(
    tmp_path: Path,
) -> None:
    level = {0: 0.2, 1: 0.4, 2: 0.6}
    rows = []
    for label in ("siren", "classic"):
        for seed, psnr in zip(level, (31.0, 33.0, 32.0), strict=True):
            values = np.full((20, 30, 3), level[seed])
            if label == "classic":
                values[4:8, 22:26] = 1.0  # the only place where recipes differ by more than their ground
            rows.append(row(label, "a", seed, [(1.0, psnr)], folder=painted(tmp_path, values)))
    comparison = made(rows)
    shown = plots.paintings(comparison, SUBJECT).values
    greys = {level: np.isclose(shown, level, atol=0.003).mean() for level in (0.2, 0.4, 0.6)}
    assert greys[0.6] > 0.05 > 0.01 > max(greys[0.2], greys[0.4]), (
        "the third seed is the median of 31, 32 and 33 dB"
    )
    tiles = [picture.from_array(np.full((20, 30, 3), 0.6, np.float32)) for _ in "12"]
    tiles[1].values.flags.writeable = True
    tiles[1].values[4:8, 22:26] = 1.0
    assert plots._where(tiles) == (4, 22, 4)


def test_a_picture_of_which_nothing_was_painted_is_left_out(tmp_path: Path) -> None:
    rows = [
        row("siren", "a", 0, [(1.0, 20.0)], error="diverged"),
        row("classic", "a", 0, [(1.0, 20.0)], error="x"),
    ]
    with pytest.raises(RunError, match="nothing was painted of a"):
        plots.paintings(made(rows), SUBJECT)
    drawn = plots.draw(made([replace(r, psnr=math.nan) for r in rows], seeds=1))
    assert "paintings-a" not in drawn and "parameters" not in drawn


def test_every_picture_has_a_name_and_targets_are_needed_for_profiles(tmp_path: Path) -> None:
    folder = painted(tmp_path, np.random.default_rng(0).random((20, 30, 3)))
    rows = [replace(one, folder=folder) for one in LINES]
    assert set(plots.draw(made(rows))) == {"seconds-a", "profiles", "parameters", "seconds", "paintings-a"}
    assert "profiles" not in plots.draw(made(rows, targets=()))
