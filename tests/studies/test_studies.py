"""What holds for every study, found by listing: a new one is tested the moment it exists."""

from __future__ import annotations

import ast
import html
import importlib.util
import io
import json
import re
import xml.etree.ElementTree as xml
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sfumato
from sfumato import picture
from sfumato.__main__ import main
from sfumato.errors import RecipeError
from sfumato.studies import HEADINGS, READING_LIST, WORDS, Arm, Verdict, _kept, names, sections, study
from sfumato.studies._kept import kept, listing, reading_list, restored
from sfumato.studies._page import draw, page
from sfumato.studies._running import Done

EVERY = pytest.mark.parametrize("name", names())
ROOT = Path(__file__).parents[2]


@EVERY
def test_every_study_says_what_it_is(name: str) -> None:
    module = study(name)
    assert tuple(sections(module.__doc__ or ""))[1:] == HEADINGS
    assert module.PAPER is READING_LIST[name] and len(module.CLAIM) > 40
    assert module.SEEDS >= 3 and "Criterion" in (module.__doc__ or "")


@EVERY
def test_every_study_has_arms_of_its_own_names(name: str) -> None:
    module = study(name)
    for quick in (True, False):
        arms = module.runs(quick)
        assert all(isinstance(arm, Arm) for arm in arms) and len({arm.name for arm in arms}) == len(arms) > 1
        assert {arm.teacher for arm in arms} - {""} <= {arm.name for arm in arms}
        assert all(arm.tuned_by for arm in arms if arm.rates)
    grids = {len(arm.rates) for arm in module.runs(False) if not arm.seeds}
    assert len(grids) == 1, "every arm is tuned alike"


@pytest.mark.parametrize("name", [one for one in names() if hasattr(study(one), "load")])
def test_a_task_of_a_study_refuses_options_that_mean_nothing_there(name: str) -> None:
    """A word that is misspelt would train what nobody asked for."""
    module = study(name)
    recipe = next(arm.recipe for arm in module.runs(True) if arm.recipe.task == name)
    with pytest.raises(RecipeError, match=r"option.*'wya'"):
        module.load(None, recipe.replace(options={**recipe.options, "wya": 1}))


@EVERY
def test_every_study_imports_public_names_only(name: str) -> None:
    """From modules of the package without an underscore, names of their `__all__`."""
    tree = ast.parse((Path(sfumato.__file__).parent / "studies" / f"{name}.py").read_text(encoding="utf-8"))
    own = [
        n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("sfumato")
    ]
    assert own
    for node in own:
        home = importlib.import_module(str(node.module))
        assert not any(part.startswith("_") for part in home.__name__.split("."))
        for alias in node.names:
            public = alias.name in getattr(home, "__all__", ())
            module = importlib.util.find_spec(f"{home.__name__}.{alias.name}") if not public else None
            assert public or (module and not alias.name.startswith("_")), f"{alias.name} of {home.__name__}"


@EVERY
def test_every_quick_version_runs_and_decides_nothing(name: str, quick: Callable[[str], Done]) -> None:
    done = quick(name)
    verdict = done.verdict
    assert verdict is not None and verdict.holds == "undecided" and not done.failed
    assert verdict.why.startswith("a quick run") and done.seeds == [0]
    assert len({len(row) for row in verdict.table}) == 1 and len(verdict.table) > 1
    json.dumps(done.body(), allow_nan=True)


@EVERY
def test_every_study_draws_its_figure_and_its_mechanism(name: str, quick: Callable[[str], Done]) -> None:
    done = quick(name)
    figure = draw(done)
    assert figure is not None and np.isfinite(figure.values).all() and figure.width <= 1600
    assert xml.fromstring(done.module.DRAWING).tag.endswith("svg")
    text = page(done, figure)
    assert "data:image/png;base64," in text and "data:image/svg+xml;base64," in text
    assert "`" not in text and not re.search(r"(?<!\w)\*\w", text.split("</style>")[1]), (
        "marks of a docstring"
    )
    shows = " ".join(done.module.figure.__doc__.split())
    assert f"<figcaption>{shows}</figcaption>" in html.unescape(text), "the figure is explained below it"
    for heading in HEADINGS[:-1]:
        assert f"<h3>{heading}</h3>" in text


@EVERY
def test_what_is_kept_is_what_the_docstring_says(name: str) -> None:
    """Word, date, processor and command of the kept full run stand under Result; the figure is small."""
    found, result = kept(name), sections(study(name).__doc__ or "")["Result"]
    if found is None:
        assert result == "No full run yet."
        return
    text, made = " ".join(result.split()), found["made"]
    body = found["results"]
    for part in (
        body["verdict"]["holds"],
        made["date"],
        made["processor"],
        f"{made['seeds']} seeds",
        made["command"],
    ):
        assert part in text, part
    assert not body["quick"] and body["verdict"]["holds"] in WORDS
    assert len(body["seeds"]) == made["seeds"] >= 3
    image = resources.files("sfumato.studies").joinpath("results", f"{name}.png").read_bytes()
    assert len(image) <= 150_000 and Image.open(io.BytesIO(image)).width <= 1600


@EVERY
def test_the_kept_run_is_shown_without_running_anything(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--kept`: the page, with the figure and the verdict that are kept; refused where there was no full run."""
    found = kept(name)
    if found is None:
        assert main(["study", name, "--kept"]) == 2 and "no full run" in capsys.readouterr().err
        return
    assert main(["study", name, "--kept"]) == 0
    verdict, out = found["results"]["verdict"], folder / "studies" / f"{name}-kept"
    assert f"{verdict['holds']}: {verdict['why']}" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["figure.png", "report.html"]
    image = resources.files("sfumato.studies").joinpath("results", f"{name}.png").read_bytes()
    assert np.array_equal(
        Image.open(out / "figure.png").convert("RGB"), Image.open(io.BytesIO(image)).convert("RGB")
    )
    assert html.escape(found["made"]["processor"]) in (out / "report.html").read_text(encoding="utf-8")
    monkeypatch.setattr(_kept, "kept", lambda name: None)
    assert main(["study", name, "--kept"]) == 2


@EVERY
def test_what_is_kept_is_still_judged_as_it_was(name: str) -> None:
    found = kept(name)
    if found is not None:
        assert restored(name)[0].body() == found["results"]


def test_the_page_of_the_reading_list_is_the_one_that_the_results_make() -> None:
    assert (ROOT / "docs" / "reading-list.md").read_text(encoding="utf-8") == reading_list(), (
        "python tools/reading_list.py makes it anew"
    )


def test_every_row_of_a_table_in_the_reading_list_has_the_cells_of_its_header() -> None:
    """A bar within a cell (|cos|, say) is escaped, so that it does not begin another one."""
    width = 0
    for line in [*reading_list().splitlines(), ""]:
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (width and cells) or cells == width, line
        width = cells


def test_the_list_names_all_papers_in_their_order() -> None:
    lines = listing().splitlines()
    assert [line.split()[:2] for line in lines[1:29]] == [
        [str(paper.number), name] for name, paper in READING_LIST.items()
    ]
    assert [paper.number for paper in READING_LIST.values()] == list(range(1, 29))
    assert set(names()) <= set(READING_LIST)


def test_a_verdict_has_one_of_four_words() -> None:
    with pytest.raises(sfumato.RunError, match="not 'works'"):
        Verdict([["a"]], "works", "")


@pytest.mark.parametrize(
    "broken", ["no headings", "t\n\nResult\n------\nx", "t\n\nWhat the paper says\n----\n\n"]
)
def test_a_docstring_without_its_headings_is_refused(broken: str) -> None:
    with pytest.raises(sfumato.RunError, match="headings"):
        sections(broken)


def test_a_figure_is_a_picture_that_can_be_written(quick: Callable[[str], Done]) -> None:
    figure = draw(quick("he_init"))
    assert figure is not None and picture.encode(figure, "png")[:4] == b"\x89PNG"
