"""What a file's name asks for, and which options go with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import RecipeError
from sfumato.views import suffixes


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("painting.png", "painting"),
        ("poster.JPG", "painting"),
        ("a/b/sheet.png", "sheet"),
        ("my-contact-sheet.webp", "sheet"),
        ("worksheets.png", "painting"),
        ("film.webp", "film"),
        ("last.film.webp", "film"),
        ("filming.webp", "painting"),
        ("x.mp4", "film"),
        ("x.gif", "film"),
        ("film.png", "painting"),
        ("net.safetensors", "net"),
        ("report.HTM", "page"),
        ("big.tif", "painting"),
    ],
)
def test_the_name_tells_the_kind(name: str, kind: str) -> None:
    assert suffixes.kind_of(Path(name)) == kind


def test_a_kind_that_is_said_outranks_the_name() -> None:
    assert suffixes.kind_of(Path("x.png"), "sheet") == "sheet"
    assert suffixes.kind_of(Path("x.webp"), "film") == "film"
    with pytest.raises(RecipeError, match=r"x\.png: a film is written as \.mp4, \.webp, \.gif"):
        suffixes.kind_of(Path("x.png"), "film")
    with pytest.raises(RecipeError, match="kind='flim' is unknown; known are painting, film"):
        suffixes.kind_of(Path("x.png"), "flim")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        *(
            (f"foo{suffix}", f"did you mean 'foo{kin}'")
            for kin, others in suffixes.KIN.items()
            for suffix in others.split()
        ),
        ("foo.onnx", "cannot be written yet"),
        ("foo.pngg", r"did you mean 'foo\.png'"),
        ("foo", "these can be written"),
    ],
)
def test_other_types_meet_the_one_that_does_the_same_here(name: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        suffixes.kind_of(Path(name))


GIVEN: dict[str, Any] = {"size": "4x", "step": 0, "with": ("error",), "captions": True, "pace": "log"}


@pytest.mark.parametrize("kind", suffixes.TAKES)
@pytest.mark.parametrize("name", GIVEN)
def test_an_option_of_another_kind_is_refused_and_ones_own_taken(kind: str, name: str) -> None:
    path, nothing = Path("x.y"), {"size": None, "step": None, "with": (), "captions": False, "pace": ""}
    suffixes.check_options(path, kind, nothing)
    if name in suffixes.TAKES[kind]:
        suffixes.check_options(path, kind, nothing | {name: GIVEN[name]})
    else:
        with pytest.raises(RecipeError, match=f"x.y: a {kind} takes no {name}"):
            suffixes.check_options(path, kind, nothing | {name: GIVEN[name]})


def test_every_option_is_of_some_kind() -> None:
    assert {name for takes in suffixes.TAKES.values() for name in takes} == set(GIVEN)
