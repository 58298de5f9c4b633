"""Every number of the neurons table against a slow, obvious computation; ablation; the gallery of a run."""

from __future__ import annotations

import copy
import csv
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from small_net import KINDS, XY, H, W, net, targets

from sfumato import nets
from sfumato.errors import RecipeError, RunError
from sfumato.nets import Net
from sfumato.neurons import importance, raster, statistics
from sfumato.recipe import Recipe


def exact(some: Net) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Pre-activations and activations of all layers in float64."""
    with torch.no_grad():
        layers = copy.deepcopy(some).double().hidden(torch.from_numpy(XY).double())
        return [(layer.pre.numpy(), layer.post.numpy()) for layer in layers]


@pytest.mark.parametrize("activation", KINDS)
def test_mean_active_and_dead_agree_with_plain_averages(activation: str) -> None:
    some = net(activation)
    for rows, (pre, post) in zip(statistics.table(some, XY), exact(some), strict=True):
        for i in range(rows.units):
            # float32 activations of size about 1, summed: a few units of the seventh digit.
            assert rows.mean[i] == pytest.approx(sum(post[:, i]) / len(post), abs=2e-6)
            assert rows.active[i] == pytest.approx(sum(v > 0 for v in pre[:, i]) / len(pre), abs=1e-9)
            silent = all(v <= 0 for v in pre[:, i])
            constant = max(post[:, i]) - min(post[:, i]) <= 1e-6
            assert bool(rows.dead[i]) == (silent if "relu" in activation else constant)


@pytest.mark.parametrize("activation", KINDS)
def test_saturation_is_where_the_slope_is_nearly_flat(activation: str) -> None:
    some = net(activation)
    function = some.activation

    def slope(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        h = 1e-7
        up, down = (function(torch.from_numpy(x + d)).numpy() for d in (h, -h))
        return np.abs(up - down) / (2 * h)

    steepest = slope(np.linspace(-3, 3, 6001)).max()
    for rows, (pre, _) in zip(statistics.table(some, XY), exact(some), strict=True):
        expected = (slope(pre) < statistics.FLAT * steepest).mean(0)
        # Difference quotients and derivatives may disagree on a pixel that lies on the threshold itself.
        np.testing.assert_allclose(rows.saturated, expected, atol=1.01 / (H * W))


def test_a_rectifier_is_saturated_where_it_is_silent() -> None:
    rows = statistics.table(net(), XY)[1]
    np.testing.assert_allclose(rows.saturated, 1 - rows.active, atol=1e-12)


@pytest.mark.parametrize("activation", KINDS)
def test_twins_have_the_largest_pearson_correlation(activation: str) -> None:
    some = net(activation)
    for rows, (_, post) in zip(statistics.table(some, XY), exact(some), strict=True):
        for i in range(rows.units):
            varied = [j for j in range(rows.units) if np.ptp(post[:, j]) > 1e-6]
            if i not in varied:
                assert rows.twin[i] == -1 and math.isnan(rows.twin_correlation[i])
                continue
            found = {j: np.corrcoef(post[:, i], post[:, j])[0, 1] for j in varied if j != i}
            # Products are float32 within a block: correlations are good to about five digits.
            assert rows.twin_correlation[i] == pytest.approx(max(found.values()), abs=2e-5)
            assert found[int(rows.twin[i])] == pytest.approx(max(found.values()), abs=4e-5)


def test_twins_are_found_though_activations_have_a_large_mean() -> None:
    some = net("relu")
    with torch.no_grad():
        some.layers[0].bias.add_(300.0)  # type: ignore[operator]
    rows, (_, post) = statistics.table(some, XY)[0], exact(some)[0]
    correlations = np.corrcoef(post.T)
    np.fill_diagonal(correlations, -2)
    # Activations of 300 with a spread of 1 keep four digits of it in float32.
    np.testing.assert_allclose(rows.twin_correlation, correlations.max(1), atol=2e-3)


@pytest.mark.parametrize("activation", KINDS)
def test_twins_are_looked_for_on_some_inputs_and_all_else_on_all(
    activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, few = net(activation), raster.sample(H * W, 90)
    monkeypatch.setattr(raster, "TILE_VALUES", 9 * 64)  # several blocks
    whole = statistics.table(some, XY)
    monkeypatch.setattr(statistics, "PAIRED", 90)
    for rows, all_of, (_, post) in zip(statistics.table(some, XY), whole, exact(some), strict=True):
        for name in ("active", "dead", "saturated"):
            assert np.array_equal(getattr(rows, name), getattr(all_of, name)), name
        np.testing.assert_allclose(rows.mean, all_of.mean, atol=2e-6)  # float32 sums of values about 1
        for i in range(rows.units):
            varied = [j for j in range(rows.units) if np.ptp(post[few, j]) > 1e-6]
            if i not in varied:
                assert rows.twin[i] == -1 and math.isnan(rows.twin_correlation[i])
                continue
            found = [np.corrcoef(post[few, i], post[few, j])[0, 1] for j in varied if j != i]
            assert rows.twin_correlation[i] == pytest.approx(max(found), abs=2e-5)  # as above


def test_layers_are_measured_alone() -> None:
    some, wanted = net(), targets()
    whole = statistics.table(some, XY, wanted)
    told: list[str] = []
    (second,) = statistics.table(some, XY, wanted, layers=[2], tell=told.append)
    assert list(second.rows()) == list(whole[1].rows()) and second.layer == 2
    assert [text for text in told if "layer" in text] == ["what each neuron of layer 2 is worth"]
    with pytest.raises(RecipeError, match="layer 4 does not exist"):
        statistics.table(some, XY, layers=[4])


def test_a_layer_of_one_unit_has_no_twin() -> None:
    some = nets.build(Recipe(net=(1,), seed=0), 2, 3)
    (rows,) = statistics.table(some, XY, targets())
    assert rows.twin.tolist() == [-1]


def test_numbers_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    some, wanted = net("tanh"), targets()
    whole = statistics.table(some, XY, wanted)
    monkeypatch.setattr(statistics, "tile_pixels", lambda units: 31)
    monkeypatch.setattr(importance, "tile_pixels", lambda units: 64)
    monkeypatch.setattr(importance, "BLOCK", 37)
    for a, b in zip(whole, statistics.table(some, XY, wanted), strict=True):
        for name in ("mean", "active", "saturated", "twin_correlation", "importance"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-4)


def test_without_targets_there_is_no_importance() -> None:
    rows = statistics.table(net(), XY)
    assert all(np.isnan(r.importance).all() and r.importance_samples == 0 for r in rows)
    assert next(rows[0].rows())["importance_decibels"] is None


def test_outgoing_weights_are_those_of_the_readout() -> None:
    some = net()
    rows = statistics.table(some, XY)
    assert np.isnan(rows[0].outgoing).all() and np.isnan(rows[1].outgoing).all()
    np.testing.assert_array_equal(rows[2].outgoing, some.readout.weight.detach().double().numpy().T)


@pytest.mark.parametrize("chosen", [[(1, 3)], [(2, 0), (3, 6), (1, 8)], []])
def test_an_ablated_net_computes_as_if_the_activation_were_zero(chosen: list[tuple[int, int]]) -> None:
    some = net("sigmoid", skip=True)
    weights = {name: p.clone() for name, p in some.state_dict().items()}
    without = statistics.ablate(some, chosen)
    with torch.no_grad():
        x = torch.from_numpy(XY)
        value = encoded = some.encoding(x)
        for n, layer in enumerate(some.layers, 1):
            value = some.activation(layer(value))
            for at, unit in chosen:
                if at == n:
                    value[:, unit] = 0
        expected = some.readout(value) + some.skip(encoded)  # type: ignore[misc]
        torch.testing.assert_close(without(x), expected, atol=1e-6, rtol=1e-5)
    assert all(torch.equal(p, weights[name]) for name, p in some.state_dict().items())


@pytest.mark.parametrize("pair", [(0, 1), (4, 0), (1, 9), (2, -1)])
def test_ablating_what_does_not_exist_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(RecipeError, match="does not exist"):
        statistics.ablate(net(), [pair])


def test_looking_leaves_nothing_behind() -> None:
    some = net("tanh")
    before = {name: p.clone() for name, p in some.state_dict().items()}
    statistics.table(some, XY, targets())
    assert all(torch.equal(p, before[name]) for name, p in some.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in some.parameters()) and torch.is_grad_enabled()
    with torch.no_grad():
        some.readout.bias[0] = math.inf
    with pytest.raises(RunError, match="not finite"):
        statistics.table(some, XY)


def test_the_file_holds_the_table(tmp_path: Path) -> None:
    tables = statistics.table(net(), XY, targets())
    path = statistics.write_csv(tables, tmp_path / "new" / "neurons.csv")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    expected = [row for one in tables for row in one.rows()]
    assert len(lines) == len(expected) == 9 + 8 + 7
    assert "weight_green" in lines[0]
    for line, row in zip(lines, expected, strict=True):
        for name, value in row.items():
            if value is None:
                assert line[name] == ""
            elif isinstance(value, bool):
                assert line[name] == str(value).lower()
            else:
                assert float(line[name]) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("outputs", [1, 4, 10])
def test_any_number_of_outputs_has_a_weight_column_each(outputs: int) -> None:
    rows = list(statistics.table(net(outputs=outputs), XY, targets(outputs))[2].rows())
    assert sum(name.startswith("weight_") for name in rows[0]) == outputs
