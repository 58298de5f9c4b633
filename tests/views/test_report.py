"""The page of a run: complete, escaped, self-contained, within its size; and made also where a run lacks things."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_picture import colours

from sfumato import api
from sfumato.__main__ import main
from sfumato.errors import RecipeError, RunError
from sfumato.neurons import statistics
from sfumato.picture import from_array, pixels, save
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.runs.watch import Watch
from sfumato.views import report
from sfumato.views.report import _curves, _neurons, _pictures, _words
from sfumato.words import metric_text

TINY = Recipe(net=(9, 7), batch=64, steps=24, rate=0.01, engine="eager", threads=1)


def made(folder: Path, recipe: Recipe = TINY, name: str = "scene", size: tuple[int, int] = (26, 20)) -> Run:
    """A run of 24 steps on a picture of 20 x 26, without a film of its own."""
    height, width = size
    source = folder / f"{name}.png"
    save(from_array(colours(height, width).reshape(height, width, 3)), source)
    watch = Watch(frames="6", keep="3", film="none")
    return api.perform(recipe, str(source), out=folder / "runs", watch=watch)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return made(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return report.page([run])


class Reader(HTMLParser):
    """Tags and attributes of a page; ids; texts of <th>; what stands open at the end."""

    EMPTY = frozenset({"meta", "img", "input", "br", "link", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def facts(page: str) -> dict[str, Any]:
    """What the page hands to its script."""
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', page, re.S)
    assert found
    result: dict[str, Any] = json.loads(found[1])
    return result


# The page ----------------------------------------------------------------------------------------------------


def test_a_page_is_whole_and_well_formed(page: str) -> None:
    reader = Reader(page)
    assert not reader.open
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for heading in ("Painting and target", "Learning", "Neurons", "Neurons in numbers", "How it was made"):
        assert f">{heading}</h2>" in page


def test_a_page_points_to_nothing_outside_itself(page: str) -> None:
    for tag, attributes in Reader(page).tags:
        assert tag not in ("link", "iframe", "object")
        for name in ("src", "href", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    assert not re.search(r"https?://|@import", page)
    assert "default-src 'none'" in page


def test_every_picture_has_words_and_every_control_a_name(page: str) -> None:
    labelled = page.count("<label")
    controls = 0
    for tag, attributes in Reader(page).tags:
        if tag == "img":
            assert attributes.get("alt")
        if tag in ("svg", "video"):
            assert attributes.get("aria-label") or attributes.get("aria-hidden")
        if tag in ("input", "select") and not attributes.get("aria-label"):
            controls += 1
    assert controls <= labelled  # the others stand inside a label


def test_nothing_that_a_run_says_becomes_code(tmp_path: Path) -> None:
    """Names, recipes, origins and metrics may come from a stranger."""
    evil = "<script>alert(1)</script>\"'</title>"
    run = made(tmp_path)
    origin = json.loads((run.folder / "origin.json").read_text())
    origin |= {"source": f"x/{evil}.png", "processor": evil, "argv": ["sfumato", "paint", evil]}
    origin["packages"] = {evil: evil}
    (run.folder / "origin.json").write_text(json.dumps(origin))
    line = run.last | {evil: 1.0, "note": evil}
    run.add_metrics(line | {"step": run.last["step"] + 1})
    for text in (report.page([Run(run.folder)]), report.page([Run(run.folder)] * 2)):
        assert "<script>alert" not in text
        assert sum(tag == "script" for tag, _ in Reader(text).tags) == 2
        assert not Reader(text).open
        facts(text)
    assert "<script" not in report.summary(Run(run.folder))


def test_the_page_of_a_usual_net_stays_below_its_limit() -> None:
    """Tiles are the bulk of it: even noise, which JPEG hates, ends at 1.15 MB and 4/3 of that as text."""
    tiles = np.random.default_rng(0).integers(0, 239, (300, 104, 72), dtype=np.uint8)
    smooth = (tiles // 8 + np.linspace(60, 180, 72).astype(np.uint8)[None, None]).astype(np.uint8)
    made = _neurons._encoded([smooth], _pictures.palettes.palette("diverging"))
    assert sum(len(uri) for uri, _, _ in made) < 1.6e6


def test_the_tiles_are_the_neurons_they_say(run: Run) -> None:
    """A tile's colours, read back, are the pre-activations at its pixels, mean over 2 x 2 points."""
    net = run.net()
    sheet = _neurons.sheets_of_picture(net, 26, 20, "centres")[1]
    h, w = sheet.tile
    image = Image.open(io.BytesIO(base64.b64decode(sheet.uri.partition(",")[2])))
    drawn = np.asarray(image.convert("RGB"))
    place = 4
    top, left = place // sheet.columns * h, place % sheet.columns * w
    tile = drawn[top : top + h, left : left + w].astype(float)
    points = torch.from_numpy(pixels.coordinates(2 * h, 2 * w))
    pre = list(net.hidden(points))[1].pre[:, sheet.units[place]].detach().numpy()
    means = pre.reshape(h, 2, w, 2).mean((1, 3))
    bound = np.sort(np.abs(means).ravel())[int(np.ceil(0.98 * means.size)) - 1]
    expected = np.rint((np.clip(means / bound, -1, 1) + 1) * 119).astype(int)
    table = _pictures.palettes.palette("diverging")
    assert np.abs(table[expected].astype(float) - tile).max() <= 4  # float32 sums may round to the next index


def test_the_table_in_the_page_is_the_neurons_table(run: Run, page: str) -> None:
    table = facts(page)["table"]
    target = run.target
    rows = [
        row
        for one in statistics.table(run.net(), pixels.coordinates(26, 20), target.values.reshape(-1, 3))
        for row in one.rows()
    ]
    assert len(table["rows"]) == 16
    keys = [key for key, _, _ in table["columns"]]
    for shown, row in zip(table["rows"], rows, strict=True):
        for key, value in zip(keys, shown, strict=True):
            if row[key] is None or isinstance(row[key], bool):
                assert value == (None if row[key] is None else int(row[key]))
            else:
                assert value == pytest.approx(row[key], rel=6e-4, abs=1e-9)  # four digits are shown


def test_a_table_on_disk_is_taken_if_it_is_newer_than_the_weights(run: Run, tmp_path: Path) -> None:
    copy = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    rows = statistics.table(copy.net(), pixels.coordinates(26, 20), copy.target.values.reshape(-1, 3))
    statistics.write_csv(rows, copy.folder / "atlas" / "neurons.csv")
    table = _neurons.of_picture(copy, copy.net(), copy.target)
    assert table.note == "measured on all pixels, by sfumato atlas"
    assert table.rows == _neurons._table([r for one in rows for r in one.rows()], "").rows


def test_each_beat_knows_its_frame(run: Run, page: str) -> None:
    beats = facts(page)["runs"][0]["beats"]
    assert [beat["frame"] for beat in beats] == list(range(len(run.frames())))
    assert [beat["step"] for beat in beats] == [step for step, _ in run.frames()]


# Runs that lack something ------------------------------------------------------------------------------------


def test_one_pixel_makes_a_page(tmp_path: Path) -> None:
    text = report.page([made(tmp_path, TINY.replace(steps=2), size=(1, 1))])
    assert not Reader(text).open and "Neurons in numbers" in text


@pytest.mark.parametrize("lost", ["frames", "weights", "target", "painting", "metrics"])
def test_what_a_run_lacks_is_left_out(run: Run, tmp_path: Path, lost: str) -> None:
    copy = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    for path in copy.folder.iterdir():
        if path.stem == lost or (lost == "weights" and path.stem == "checkpoint"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for text in (report.page([copy]), report.page([copy, run])):
        assert (not Reader(text).open and "How it was made" in text) or "What differs" in text
    if lost == "weights":
        assert "neurons left out" in report.page([copy])
    report.summary(copy)


@pytest.mark.parametrize("lines", ["all", "last"])
def test_what_lines_of_metrics_lack_is_left_out(run: Run, tmp_path: Path, lines: str) -> None:
    """A page of a run whose lines lacked seconds or epoch ended in an error of its template."""
    copy = Run(shutil.copytree(run.folder, tmp_path / "run"))
    whole = run.history
    for key in set(whole[-1]) - {"step"}:
        few = [
            {k: v for k, v in line.items() if k != key or (lines == "last" and line is not whole[-1])}
            for line in whole
        ]
        copy.file("metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in few))
        assert not Reader(report.page([copy])).open and not Reader(report.page([copy, run])).open


def test_without_a_video_encoder_the_film_is_single_frames(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pictures, "has_mp4", lambda: False)
    film = _pictures.moving(run)
    assert film and not film.video and len(film.uris) == len(run.frames())
    monkeypatch.setattr(_pictures, "FRAMES_BYTES", 1)
    few = _pictures.moving(run)
    assert few and few.frames == (0, len(run.frames()) - 1)
    text = report.page([run])
    assert not Reader(text).open and "<video" not in text


def test_no_runs_make_no_page() -> None:
    with pytest.raises(RunError, match="at least one run"):
        report.page([])


def test_a_reader_of_digits_shows_its_weights_and_its_mistakes(tmp_path: Path) -> None:
    recipe = Recipe(
        task="digits", net=(12,), batch=100, steps=5, loss="cross_entropy", engine="eager", threads=1
    )
    watch = Watch(frames="2", keep="2", film="none")
    run = api.perform(recipe, "digits8x8", out=tmp_path, watch=watch)
    text = report.page([run])
    assert not Reader(text).open
    assert "weights from each pixel" in text and "Can its confidence be believed?" in text
    assert [len(sheet["units"]) for sheet in facts(text)["sheets"]] == [12]
    confusion = text.partition('class="confusion"')[2].partition("</table>")[0]
    counts = [int(n or 0) for n in re.findall(r"<td(?: [^>]*)?>(\d*)</td>", confusion)]
    assert sum(counts) == 297  # the held-out digits, each once


# Several runs ------------------------------------------------------------------------------------------------


def test_several_runs_say_what_differs(run: Run, tmp_path: Path) -> None:
    other = made(tmp_path, TINY.replace(rate=0.02, net=(5,)))
    text = report.page([run, other])
    assert not Reader(text).open
    assert [name for name, _ in report._changed([run, other])] == ["net", "rate"]
    assert "A: net 9,7, rate 0.01" in text and "B: net 1x5, rate 0.02" in text
    assert len(facts(text)["runs"]) == 2
    both = {p.largest for p in map(_pictures.stills, [run, other]) if p}
    assert text.count(f"{max(both):.3g} or more") == 2  # one error scale for both


# Words and lines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [
        TINY,
        Recipe(),
        Recipe().replace(
            net="300,20", activation="sine:omega=30", rate=1e-4, options={"alpha": True}, clip=0.1
        ),
        Recipe().replace(dropout="0.1,0.2", skip=True, held_out="blocks:share=0.1,size=4", epochs=1 / 3),
        Recipe(task="digits", net=(12,), seed=7),
    ],
)
def test_the_command_makes_the_same_recipe_again(
    recipe: Recipe,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    copy.change_recipe(recipe)
    if recipe.task == "digits":
        copy.origin["source"] = "digits8x8"
    command = shlex.split(dict(_words.commands(copy))["From its recipe"])
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("SFUMATO_")]:
        monkeypatch.delenv(name)
    shutil.copy(str(run.origin["source"]), tmp_path)
    assert command[0] == "sfumato"
    wanted = [*command[1:], "--dry-run"]
    if "--frames" in wanted:
        at = wanted.index("--frames")
        wanted = wanted[:at] + wanted[at + 2 :]
    assert main(wanted) == 0
    assert Recipe.from_json(json.dumps(json.loads(capsys.readouterr().out)["recipe"])) == recipe


def test_a_curve_passes_through_its_points() -> None:
    values = [(0, 0, 0.5), (1, 1, 0.25), (2, 4, 0.125)]
    history = [{"step": s, "epoch": e, "seconds": 2 * e, "loss": y, "psnr": None} for s, e, y in values]
    drawn = {(p.axis, p.log): p for p in _curves.plots([history])}
    assert _curves.metrics([history]) == ["loss"]  # an infinite PSNR cannot be drawn
    points = [tuple(map(float, p.split())) for p in drawn["epoch", False].paths[0][1:].split("L")]
    assert [x for x, _ in points] == [0, 250, 1000]
    heights = [y for _, y in points]
    assert heights == sorted(heights) and heights[1] - heights[0] == pytest.approx(
        heights[2] - heights[1], abs=0.2
    )
    log = [float(p.split()[0]) for p in drawn["epoch", True].paths[0][1:].split("L")]
    assert log == [0, 50, 1000]  # 0, then the first positive one a little to the right, then the last


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-3.0, 27.5), (0.0, 1e-5), (5.0, 5e6)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = _curves.Scale(low, high).ticks()
    assert 3 <= len(ticks) <= 7
    assert all(-1e-9 <= at <= 1 + 1e-9 for at, _ in ticks)


def test_numbers_are_said_as_people_say_them() -> None:
    assert metric_text("psnr", None) == "exact" and metric_text("psnr", 31.256) == "31.26 dB"
    assert metric_text("test_error", 0.0123) == "1.23 %"


# Doors -------------------------------------------------------------------------------------------------------


def test_the_command_line_writes_pages(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "one.html", tmp_path / "two.html"
    assert main(["export", str(run.folder), str(one)]) == 0
    assert main(["runs", str(run.folder), str(run.folder), "--report", str(two)]) == 0
    assert capsys.readouterr().out.split() == [str(one), str(two)]
    assert "Painting and target" in one.read_text() and "2 runs side by side" in two.read_text()
    assert (
        main(["export", str(run.folder), str(tmp_path / "no.html"), "--step", "3"]) == RecipeError.exit_code
    )
    assert main(["runs", "--report", str(two)]) == RecipeError.exit_code


def test_runs_show_themselves(run: Run) -> None:
    written = run.report()
    assert written.path == run.folder / "report.html"
    assert written._repr_html_().startswith("<iframe") and "<script" not in written._repr_html_()
    assert run.atlas()._repr_html_().count("<img") == 2
    assert run.neurons(2, step=0)._repr_png_().startswith(b"\x89PNG")
    shown = run._repr_html_()
    assert "<script" not in shown and "PSNR" in shown and not Reader(shown).open
    written.path.unlink()
