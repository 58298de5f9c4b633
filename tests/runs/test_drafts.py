"""A run comes whole, by one rename, and goes by one; what did not become one leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfumato.errors import RunError
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory, remove
from sfumato.runs.lock import is_held

RECIPE = Recipe(net=(5,))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_has_a_name_before_all_of_it_is_there(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Content(dict[str, bytes]):
        """Looks around when its files are asked for."""

        def items(self):  # type: ignore[no-untyped-def]
            for name, content in super().items():
                seen.append([path for path in names(tmp_path) if not path.startswith(".")])
                yield name, content

    files = Content({"target.png": b"one", "target.npy": b"two"})
    with RunDirectory.create(tmp_path, RECIPE, "test", {}, files) as run:
        assert {"target.png", "target.npy"} <= set(names(run.folder))
        assert is_held(run.folder)
    assert len(seen) == 2 and not any(seen), "while its files are written a run has no name that is listed"
    assert names(tmp_path) == [run.name] and not is_held(run.folder)


def test_a_run_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunError), RunDirectory.create(tmp_path, RECIPE, "test", {}, {"no/folder": b""}):
        pass
    assert names(tmp_path) == []


def test_an_error_inside_keeps_the_run_and_drops_its_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunDirectory.create(tmp_path, RECIPE, "test", {}) as run:
        raise ZeroDivisionError
    assert names(tmp_path) == [run.name] and not is_held(run.folder)


def test_a_removed_run_is_gone_and_a_link_to_one_is_refused(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path, RECIPE, "test", {}) as run:
        pass
    link = tmp_path / "link"
    link.symlink_to(run.folder)
    with pytest.raises(RunError, match="a link"):
        remove(link)
    remove(run.folder)
    assert names(tmp_path) == ["link"]
