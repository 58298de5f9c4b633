"""The nearest kept step, and some of many: by hand, and over all small cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

import sfumato
from sfumato.runs import kept
from sfumato.views import export
from sfumato.views.atlas import Gallery


@pytest.mark.parametrize(("step", "found"), [(-5, 0), (0, 0), (4, 0), (5, 0), (6, 10), (25, 30), (1000, 30)])
def test_the_nearest_of_0_10_30(step: int, found: int) -> None:
    assert kept.nearest([0, 10, 30], step) == found


def test_some_of_many_hold_both_ends_are_ordered_and_none_twice() -> None:
    for length in range(1, 12):
        for most in range(1, 12):
            some = kept.spread(range(length), most)
            assert len(some) == min(length, most)
            assert some == sorted(set(some))
            assert some[0] == 0
            assert most == 1 or some[-1] == length - 1
    assert kept.spread([], 3) == []
    assert kept.spread("abcde", 3) == ["a", "c", "e"]


def test_every_view_names_the_step_whose_weights_it_shows(photo: Path, tmp_path: Path) -> None:
    """`net(step)`, sheets and exported nets agree on what is nearest."""
    watch = sfumato.Watch(frames="4", film="none")
    run = sfumato.paint(photo, out=tmp_path, watch=watch, net="5", epochs=3, batch=64)
    for step in (None, -1, 0, 3, run.steps()[-1] + 7):
        shown = run.kept_step(step)
        assert shown in run.steps()
        wanted = run.net(shown).state_dict() if step is not None else run.net().state_dict()
        assert all(bool((value == wanted[name]).all()) for name, value in run.net(step).state_dict().items())
        written = export.export(run, tmp_path / "net.safetensors", step=step)
        with safe_open(written, framework="pt") as file:
            assert json.loads(file.metadata()["sfumato"])["step"] == shown
        assert f"step {shown:,}" in Gallery(run)._title(1, 1, step)
