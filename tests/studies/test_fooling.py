"""Fooling pictures: painter and archive against NumPy, distances by hand, an evolution that goes on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sfumato.data import Stream
from sfumato.errors import RecipeError, RunError
from sfumato.nets import build
from sfumato.recipe import Recipe
from sfumato.studies import fooling
from sfumato.studies._running import Done
from sfumato.studies.fooling import RECIPE, Archive, Encoding, Evolution, nearest


def data(name: str) -> Stream:
    classifier = build(Recipe(net=(9,), seed=3), 12, 4)
    facts = {"encoding": Encoding(name, (3, 4), RECIPE), "classifier": classifier}
    return Stream(lambda step: None, batch=6, samples=6, facts=facts)


def test_painted_pictures_are_those_of_numpy() -> None:
    """sigmoid(W3 sin(6 (W2 sin(6 (W1 p + b1)) + b2)) + b3) at the centres of pixels, scaled to [-1, 1]; float32."""
    encoding = Encoding("painted", (3, 4), RECIPE)
    genomes = encoding.born(2, torch.Generator().manual_seed(0))
    y, x = np.mgrid[0:3, 0:4]
    for genome, found in zip(genomes.double().numpy(), encoding.pictures(genomes), strict=True):
        value = np.stack([(x.ravel() + 0.5) / 4, (y.ravel() + 0.5) / 3], 1) * 2 - 1
        at = 0
        for rows, columns in ((12, 2), (12, 12), (1, 12)):
            weight = genome[at : at + rows * columns].reshape(rows, columns)
            bias = genome[at + rows * columns : at + rows * columns + rows]
            at += rows * columns + rows
            value = value @ weight.T + bias
            value = np.sin(6 * value) if rows > 1 else 1 / (1 + np.exp(-value))
        assert at == len(genome) and np.allclose(found.numpy(), value[:, 0], atol=2e-5)


def test_the_archive_keeps_the_surest_of_each_class() -> None:
    archive = Archive(2, 1)
    archive.add(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.2, 0.1], [0.9, 0.0], [0.3, 0.4]]))
    assert archive.genomes.tolist() == [[2.0], [3.0]]
    archive.add(
        torch.tensor([[4.0]]), torch.tensor([[0.9, 0.5]])
    )  # no surer of the first, surer of the second
    assert archive.genomes.tolist() == [[2.0], [4.0]] and torch.equal(archive.sure, torch.tensor([0.9, 0.5]))


def test_distances_are_to_the_nearest_digit() -> None:
    digits = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert nearest(torch.tensor([[3.0, 0.0], [3.0, 5.0]]), digits).tolist() == [3.0, 1.0]


@pytest.mark.parametrize("name", fooling.ENCODINGS)
def test_an_evolution_that_stopped_goes_on_exactly(name: str) -> None:
    stream = data(name)
    net = Archive(4, stream.facts["encoding"].size)
    whole, first = (Evolution(net, stream, RECIPE, 8) for _ in range(2))
    losses = whole.advance(8)
    early, half = first.advance(3), Archive(*net.genomes.shape)
    first.pull(half)
    again = Evolution(net, stream, RECIPE, 8)
    again.load(half, first.state())
    assert np.array_equal(np.concatenate([early, again.advance(5)]), losses)
    assert (np.diff(losses) <= 0).all(), "an elite is never lost"


def test_directly_encoded_children_stay_grey_values_and_change_a_tenth() -> None:
    encoding, random = Encoding("direct", (40, 50), RECIPE), torch.Generator().manual_seed(1)
    parents = encoding.born(5, random)
    children = encoding.changed(parents, random)
    assert float(children.min()) >= 0 and float(children.max()) <= 1
    share = float((children != parents).float().mean())
    assert abs(share - 0.1) < 0.012  # four deviations of 10,000 pixels


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(RecipeError, match="direct, painted"):
        Encoding("sculpted", (2, 2), RECIPE)
    with pytest.raises(RunError, match="read by jobs only"):
        fooling.load(None, RECIPE)


def test_the_quick_version_fools_more_than_noise_does(quick: Callable[[str], Done]) -> None:
    results = quick("fooling").results
    for name in fooling.ENCODINGS:
        outcome = results[name][0]
        assert outcome["median"] > outcome["noise"] + 0.1
