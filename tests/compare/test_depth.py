"""Depth: what is held equal really is, the figure, the sentences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from here import Here

from sfumato import nets, picture
from sfumato.compare import comparison, workers
from sfumato.compare.budget import with_parameters
from sfumato.compare.comparison import Contestant, Request
from sfumato.compare.depth import Depths, depth, text
from sfumato.errors import RecipeError
from sfumato.recipe import Recipe

ASKED = Request((Contestant("depth", Recipe()),), seeds=2, tune=0)


def test_parameters_and_units_are_those_of_the_net_of_three_layers() -> None:
    depths = Depths(layers=(1, 2, 3, 6), width=40)
    wanted = nets.build(Recipe(net=(40, 40, 40)), 2, 3).parameter_count
    asked = depths.request("parameters", ASKED)
    assert asked.budget.parameters == wanted and asked.budget.epochs == depths.epochs
    for one in asked.contestants:
        scaled = with_parameters(one.recipe, wanted, 2, 3)
        count = nets.build(scaled, 2, 3).parameter_count
        assert count == pytest.approx(wanted, rel=0.04), "a unit of one more layer is 3 % of so small a net"
    units = depths.request("units", ASKED)
    assert [sum(c.recipe.net) for c in units.contestants] == [120] * 4 and not units.budget.parameters
    assert depths.request("seconds", ASKED).budget.seconds == depths.seconds
    with pytest.raises(RecipeError, match=r"equal='unity' is unknown"):
        depths.request("unity", ASKED)


def test_depths_are_run_drawn_and_told(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Pool", Here)
    monkeypatch.setattr(comparison, "Pool", Here)
    asked = replace(ASKED, pictures=(str(photo),))
    done = depth(Depths((1, 2, 3), 6, epochs=2), ("parameters", "units"), asked, tmp_path / "out")
    assert list(done) == ["parameters", "units"] and all(len(one.rows) == 6 for one in done.values())
    said = text(done)
    assert "Equal units" in said and "1 layer against 2 layers, seen pixels" in said
    assert max(map(len, said.splitlines())) <= 80
    assert (tmp_path / "out" / "depth.txt").read_text() == said + "\n"
    drawn = picture.load(tmp_path / "out" / "depth.png", max_pixels=None)
    assert drawn.width > 300 and (tmp_path / "out" / "units" / "report.html").exists()
