"""Memory nets against NumPy: look-ups pair by pair, losses and gradients; times by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato.nets.memory import MemoryNet, older

WORDS, MARGIN = 6, 0.1


def weights(net: MemoryNet) -> dict[str, np.ndarray]:
    return {name.removesuffix(".weight"): p.detach().numpy() for name, p in net.named_parameters()}


def bits(x: int, y: int, z: int) -> np.ndarray:
    return 2 * np.array([x < y, x < z, y < z], float) - 1


def pair(p: dict[str, np.ndarray], asked: np.ndarray, facts: np.ndarray, now: int, i: int, j: int) -> float:
    """s(x, y_i, y_j) of the paper's section 3.4."""
    value = asked @ p["output.candidate"] @ (facts[i] - facts[j])
    return float(value + (asked @ p["output.times"] @ bits(now, i, j) if "output.times" in p else 0.0))


def written_out(
    net: MemoryNet, question: np.ndarray, facts: np.ndarray, supports: np.ndarray, answer: int
) -> float:
    """The loss of one question, term by term."""
    p, total, found, now = weights(net), 0.0, np.zeros(WORDS), len(facts)
    for hop in range(net.hops):
        asked, right = p["output.question"] @ question + p["output.found"] @ found, int(supports[hop])
        for j in range(len(facts)):
            if j != right:
                total += max(0, MARGIN - pair(p, asked, facts, now, right, j))
                total += max(0, MARGIN + pair(p, asked, facts, now, j, right))
        found, now = found + facts[right], right
    said = (p["response.question"] @ question + p["response.found"] @ found) @ p["response.candidate"]
    return total + sum(max(0, MARGIN - said[answer] + said[w]) for w in range(WORDS) if w != answer)


@pytest.mark.parametrize(("hops", "timed"), [(2, True), (1, True), (2, False)])
def test_losses_and_gradients_are_those_written_out(hops: int, timed: bool) -> None:
    """Float64; gradients against differences of 1e-6, away from the margins' kinks by the choice of the seed."""
    torch.manual_seed(1)
    net = MemoryNet(WORDS, width=3, hops=hops, timed=timed).double()
    random = np.random.default_rng(2)
    question, facts = random.normal(size=(2, WORDS)), random.normal(size=(2, 4, WORDS))
    supports, answer = np.array([[1, 3], [2, 0]]), np.array([4, 0])

    def expected() -> float:
        return float(
            np.mean([written_out(net, *one) for one in zip(question, facts, supports, answer, strict=True)])
        )

    found = net.loss(*(torch.from_numpy(x) for x in (question, facts, supports, answer)))
    found.backward()
    assert np.isclose(float(found.detach()), expected(), rtol=1e-12)
    for name, parameter in net.named_parameters():
        value, gradient = parameter.detach().numpy(), parameter.grad
        for at in [(0, 0), (2, value.shape[1] - 1)]:
            kept, ends = value[at], []
            for step in (1e-6, -1e-6):
                value[at] = kept + step
                ends.append(expected())
            value[at] = kept
            assert gradient is not None
            assert np.isclose(float(gradient[at]), (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-8), name


@pytest.mark.parametrize("timed", [True, False])
def test_look_ups_are_duels_from_the_oldest_on(timed: bool) -> None:
    torch.manual_seed(3)
    net = MemoryNet(WORDS, width=3, hops=2, timed=timed).double()
    random = np.random.default_rng(5)
    question, facts = random.normal(size=(20, WORDS)), random.normal(size=(20, 5, WORDS))
    words, looked = net(torch.from_numpy(question), torch.from_numpy(facts))
    p = weights(net)
    for row in range(20):
        found, now = np.zeros(WORDS), 5
        for hop in (0, 1):
            asked, best = p["output.question"] @ question[row] + p["output.found"] @ found, 0
            for i in range(1, 5):
                best = i if pair(p, asked, facts[row], now, i, best) > 0 else best
            assert int(looked[row, hop]) == best
            found, now = found + facts[row, best], best
        said = (p["response.question"] @ question[row] + p["response.found"] @ found) @ p[
            "response.candidate"
        ]
        assert int(words[row]) == int(said.argmax())


def test_which_is_older() -> None:
    x, y, z = torch.tensor([5, 1]), torch.tensor([2, 3]), torch.tensor([4, 0])
    assert older(x, y, z).tolist() == [[-1, -1, 1], [1, -1, -1]]


def test_of_two_memories_that_fit_alike_the_newer_can_win_and_the_older_can() -> None:
    """All words alike; only the third sign of time counts."""
    net = MemoryNet(WORDS, width=1, hops=1, timed=True)
    assert net.output.times is not None
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(1.0)
        for value, winner in ((-1.0, 3), (1.0, 0)):
            net.output.times.weight.copy_(torch.tensor([[0.0, 0.0, value]]))
            assert net(torch.ones(1, WORDS), torch.ones(1, 4, WORDS))[1].tolist() == [[winner]]
