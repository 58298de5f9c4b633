"""Nets that answer from a memory of sentences: which ones matter is chosen, one by one, then a word is said.

Sentences are bags of words, (words,) counts each. A net's memory is what it is asked about, no part of its weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Matcher", "MemoryNet"]


class Matcher(nn.Module):
    """How well something fits to a question and to what was found in the memory so far: (Q q + F found) . (C c).

    Each has its own embedding of words (three copies of a dictionary); `times` embeds the three signs of `older`.
    """

    def __init__(self, words: int, width: int, timed: bool) -> None:
        super().__init__()
        self.question, self.found, self.candidate = (nn.Linear(words, width, bias=False) for _ in range(3))
        self.times = nn.Linear(3, width, bias=False) if timed else None
        for part in self.children():
            nn.init.normal_(part.weight, 0, width**-0.5)  # type: ignore[arg-type]  # a linear map's

    def asked(self, question: Tensor, found: Tensor) -> Tensor:
        """question, found (N, words) -> (N, width)."""
        result: Tensor = self.question(question) + self.found(found)
        return result

    def score(self, asked: Tensor, candidates: Tensor) -> Tensor:
        """asked (N, width), candidates (N, T, words) -> (N, T)."""
        return torch.einsum("nw,ntw->nt", asked, self.candidate(candidates))

    def advantage(self, asked: Tensor, now: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """What its time is worth to a memory of moment a (N, T) against one of b (N, T), asked at now (N,)."""
        if self.times is None:
            return asked.new_zeros(a.shape)
        return torch.einsum(
            "nw,ntw->nt", asked, self.times(older(now[:, None].expand_as(a), a, b).to(asked.dtype))
        )


def older(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Whether x is older than y, x than z, y than z: moments (...) -> 1 or -1, (..., 3).

    The paper has 1 and 0; with these nothing speaks for the newer of two memories whose words fit alike.
    """
    return 2 * torch.stack([x < y, x < z, y < z], -1).long() - 1


class MemoryNet(nn.Module):
    """Looks up `hops` memories, the second by the question and the first, and says a word.

    Paper: Weston, Chopra and Bordes 2015, arXiv 1410.3916, sections 3.1 and 3.4.
    """

    def __init__(self, words: int, *, width: int = 50, hops: int = 2, timed: bool = True) -> None:
        super().__init__()
        self.hops = hops
        self.output, self.response = Matcher(words, width, timed), Matcher(words, width, False)

    def loss(
        self, question: Tensor, facts: Tensor, supports: Tensor, answer: Tensor, margin: float = 0.1
    ) -> Tensor:
        """Margins of the right memories over all others, and of the right word over all others.

        question (N, words), facts (N, T, words), supports (N, 2) the right memories, answer (N,) the right word.
        """
        rows, moments = torch.arange(len(facts)), torch.arange(facts.shape[1]).expand(facts.shape[:2])
        found, now = torch.zeros_like(question), torch.full((len(facts),), facts.shape[1])
        total = question.new_zeros(())
        for hop in range(self.hops):
            right = supports[:, hop]
            asked = self.output.asked(question, found)
            scores = self.output.score(asked, facts)
            here = right[:, None].expand_as(moments)
            lead = scores[rows, right][:, None] - scores
            above = margin - lead - self.output.advantage(asked, now, here, moments)
            below = margin - lead + self.output.advantage(asked, now, moments, here)
            others = moments != here
            total = total + ((above.relu() + below.relu()) * others).sum(1).mean()
            found, now = found + facts[rows, right], right
        said = self._words(question, found)
        wrong = torch.arange(said.shape[1]) != answer[:, None]
        return total + ((margin - said[rows, answer][:, None] + said).relu() * wrong).sum(1).mean()

    def _words(self, question: Tensor, found: Tensor) -> Tensor:
        every = torch.eye(question.shape[1], dtype=question.dtype).expand(len(question), -1, -1)
        return self.response.score(self.response.asked(question, found), every)

    @torch.no_grad()
    def forward(self, question: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """The word that is said (N,), and the memories that were looked up (N, hops)."""
        rows, looked = torch.arange(len(facts)), []
        found, now = torch.zeros_like(question), torch.full((len(facts),), facts.shape[1])
        for _ in range(self.hops):
            asked = self.output.asked(question, found)
            scores, best = self.output.score(asked, facts), torch.zeros(len(facts), dtype=torch.long)
            for moment in range(1, facts.shape[1]):
                at = torch.full_like(best, moment)
                lead = scores[rows, at] - scores[rows, best]
                lead = lead + self.output.advantage(asked, now, at[:, None], best[:, None])[:, 0]
                best = torch.where(lead > 0, at, best)
            looked.append(best)
            found, now = found + facts[rows, best], best
        return self._words(question, found).argmax(1), torch.stack(looked, 1)
