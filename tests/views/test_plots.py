"""Plots of a run, from its kept steps alone, into its atlas."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import torch
from small_net import XY, H, W, net, targets

from sfumato import picture
from sfumato.errors import RecipeError
from sfumato.neurons import regions, spectrum
from sfumato.painting import paint
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.views import plots

STEPS = (0, 10, 25)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    with Run.create(tmp_path, Recipe(net=(9, 8, 7), seed=5), "test", {"inputs": 2, "outputs": 3}) as made:
        pass
    picture.save(picture.from_array(targets().reshape(H, W, 3)), made.folder / "target.png")
    for step in STEPS:
        some, generator = net(), torch.Generator().manual_seed(step)
        with torch.no_grad():
            for parameter in some.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
        made.save_weights(step, some)
    return made


def drawn(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[object]:
    """What is handed to a chart; it is drawn all the same."""
    seen: list[object] = []
    real = getattr(module, name)

    def watching(values: object, **options: object) -> picture.Picture:
        seen.append(values)
        return real(values, **options)

    monkeypatch.setattr(module, name, watching)
    return seen


def test_every_plot_is_written_into_the_runs_atlas(run: Run) -> None:
    paths = plots.write(run, plots.PLOTS)
    assert [path.name for path in paths] == [
        *("regions.png", "region-counts.png", "spectrum.png", "ranks.png", "gradient-ranks.png")
    ]
    assert {path.parent for path in paths} == {run.folder / "atlas"}
    assert all(float(np.ptp(picture.load(path).values)) > 0.5 for path in paths)


def test_what_is_no_plot_is_refused_before_anything_is_drawn(run: Run) -> None:
    for call in (lambda: plots.write(run, ["spectrum", "regoins"]), lambda: plots.check(["regoins"])):
        with pytest.raises(RecipeError, match="plot 'regoins' is unknown; did you mean 'regions'"):
            call()
    assert not (run.folder / "atlas").exists()
    plots.check(plots.PLOTS)


def test_regions_are_counted_at_the_kept_steps(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (counts,) = [drawn(monkeypatch, regions, "count_chart")]
    plots.draw_regions(run)
    assert counts == [{step: regions.regions(run.net(step), H, W).counts for step in STEPS}]


def test_a_step_is_that_of_the_picture_and_not_of_the_curves(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = drawn(monkeypatch, regions, "count_chart")
    first = picture.load(plots.draw_regions(run, 0)[0]).values
    last = picture.load(plots.draw_regions(run, 25)[0]).values
    assert not np.array_equal(first, last) and counts[0] == counts[1]


def test_spectra_and_ranks_are_those_of_the_kept_nets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    errors, ranks = drawn(monkeypatch, spectrum, "error_chart"), drawn(monkeypatch, spectrum, "rank_chart")
    plots.draw_spectrum(run)
    plots.draw_ranks(run)
    assert list(errors[0]) == list(ranks[0]) == list(ranks[1]) == list(STEPS)  # type: ignore[call-overload]
    painted = paint(run.net(10), H, W).values
    wanted = spectrum.error_spectrum(run.target.values, painted)
    pairs = zip(astuple(errors[0][10]), astuple(wanted), strict=True)  # type: ignore[index]
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert ranks[0][10] == spectrum.activation_ranks(run.net(10), XY)  # type: ignore[index]


def test_of_many_kept_steps_a_few_are_drawn_the_first_and_the_last_among_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(30, 90):
        run.save_weights(step, net())
    counts = drawn(monkeypatch, regions, "count_chart")
    plots.draw_regions(run)
    steps = list(counts[0])  # type: ignore[call-overload]
    assert len(steps) <= plots.STEPS and (steps[0], steps[-1]) == (0, 89) and steps == sorted(steps)


def test_without_a_neuron_is_the_painting_of_the_net_whose_weights_from_it_are_gone(run: Run) -> None:
    (path,) = plots.write_without(run, [(3, 4)], 25)
    poorer = run.net(25)
    with torch.no_grad():
        poorer.readout.weight[:, 4] = 0
    wanted = paint(poorer, H, W).values
    found = picture.load(path).values
    assert path.name == "without.png" and np.abs(found - wanted.clip(0, 1)).max() <= 0.5 / 255 + 1e-5
    assert not np.array_equal(found, picture.load(plots.write_without(run, [(3, 5)], 25)[0]).values)
