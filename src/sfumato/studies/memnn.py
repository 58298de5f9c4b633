"""A net with a memory of sentences looks up two of them to answer a question that needs both.

What the paper says
-------------------
A memory network writes each sentence of a story into a slot. Asked something, it looks up the slot that fits
the question best, then the one that fits the question and the first slot, then says the word that fits all of
them. Fitting is a product of embedded bags of words; which of two slots is the later one enters as signs of
their own. It is trained with the right slots given.

In a simulated world of people who walk about and carry things, a net with two look-ups and times answered 99.9
% of the questions where somebody or something is, one with a single look-up 44.4 %, an LSTM 29.0 % (unverified:
from memory).

What we run
-----------
A world of our own making with bAbI's words: four people, three things, six places; each statement is a move, a
picking up or a dropping. Stories of ten statements; half of the questions are where a person is (one statement
answers), half where a thing is (two are needed: who had it, and where they were). 3,000 training stories with a
question each, 500 of each kind to be asked about. Four nets: two look-ups with times, one look-up, two without
times, and an LSTM of 50 units that reads the words of the story and the question. Embeddings of 50 numbers,
margin 0.1, 1,000 steps of 32, Adam; each chooses among three rates on other stories.

The world is checked against the files of bAbI (tasks 1 and 2, 4,000 questions): read by its rules, they give
the answers and the supporting statements that the files name, or the study refuses to run. And the nets are
asked the test questions of task 2 with at most twenty statements before them, though they learned from our
world alone.

Criterion, fixed before the first full run: over five seeds, on questions of two facts, two look-ups with times
answer at least 95 % right, one look-up at least 30 points less, no times at least 20 points less, and the LSTM
at most 60 %.

What differs
------------
Adam instead of SGD, all wrong slots in the loss instead of samples of them, one story a question, ten
statements (the paper: 10,000 in one stream, unverified). A person's question has its one statement as both
supports. What says which of two slots is older is 1 or -1, where the paper has 1 or 0 (unverified): with those
nothing could speak for the newer one.

How large it is
---------------
The paper's world is of this size; stories are short, and there are 3,000 questions.

Result
------
**holds**: two facts: two look-ups, times 99.8 %, one look-up 16.0 %, two look-ups, no times 61.2 %, LSTM 18.0
%. 5 seeds, 3.1 minutes of the processor, 2026-11-28, AMD EPYC (avx512bf16): `sfumato study memnn`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sfumato import Picture, Recipe, tasks
from sfumato.data import Stream
from sfumato.drawing.charts import CATEGORIES, Series, chart
from sfumato.errors import RecipeError, TaskError
from sfumato.learning.torch_session import TorchSession
from sfumato.nets import recurrent
from sfumato.nets.memory import MemoryNet
from sfumato.nets.recurrent import Recurrent
from sfumato.studies import READING_LIST, Arm, Results, Verdict, because, files_of, mean_text, only

__all__ = ["CLAIM", "DRAWING", "PAPER", "SEEDS", "figure", "judge", "runs"]

PAPER = READING_LIST["memnn"]

CLAIM = (
    "A memory net with two look-ups and times answers at least 95 % of the questions that need two statements; "
    "with one look-up it loses at least 30 points, without times 20, and an LSTM answers at most 60 %."
)

SEEDS, DATA = 5, ("babi-en",)

AFTERWARDS = (
    "the LSTM does no better than guessing one of six places: 1,000 steps on 3,000 stories are too few for it, and "
    "how far it gets with more was not tried. The memory nets answer bAbI's questions as well as our own."
)

MISSING = "question answering on a large scale; words never seen; exact matching; difficulties 1 and 3"

# The world --------------------------------------------------------------------------------------------------------

PEOPLE = ("daniel", "john", "mary", "sandra")
THINGS = ("apple", "football", "milk")
PLACES = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")
MOVES = ("moved to", "went to", "journeyed to", "travelled to", "went back to")
TAKES = ("got", "took", "grabbed", "picked up")
DROPS = ("dropped", "discarded", "left", "put down")

WORDS = sorted(
    {*PEOPLE, *THINGS, *PLACES, *" ".join((*MOVES, *TAKES, *DROPS)).split(), "the", "there", "where", "is"}
)

LENGTH = 10


class Question(NamedTuple):
    """A story's statements, what is asked, the word that answers, and the two statements that say so."""

    story: tuple[str, ...]
    asked: str
    answer: str
    supports: tuple[int, int]


def answered(story: Sequence[str], asked: str) -> tuple[str, tuple[int, int]] | None:
    """By the world's rules: the answer to "where is [the] X", and its statements; None where nothing says so.

    A person is where they last moved to. A thing is where the last one who had it is, or was when it was left.
    """
    target = asked.split()[-1]
    until, about = len(story), -1
    if target in THINGS:
        about = max((i for i, one in enumerate(story) if target in one.split()), default=-1)
        if about < 0:
            return None
        target, verb = story[about].split()[:2]
        if verb in {v.split()[0] for v in DROPS}:
            until = about
    moves = [
        i for i, one in enumerate(story[:until]) if one.split()[0] == target and one.split()[-1] in PLACES
    ]
    if not moves:
        return None
    return story[moves[-1]].split()[-1], (about if about >= 0 else moves[-1], moves[-1])


def tell(random: np.random.Generator, length: int = LENGTH) -> list[str]:
    """A story: everybody does what the world allows; who has not moved yet is nowhere."""
    where: dict[str, str] = {}
    lying = {thing: str(random.choice(PLACES)) for thing in THINGS}
    holding: dict[str, str] = {}
    story: list[str] = []

    def pick(words: Sequence[str]) -> str:
        return words[int(random.integers(len(words)))]

    while len(story) < length:
        person = pick(PEOPLE)
        mine = [thing for thing, holder in holding.items() if holder == person]
        near = [thing for thing, place in lying.items() if where.get(person) == place]
        act = random.random()
        if act < 0.3 and near:
            thing = pick(near)
            del lying[thing]
            holding[thing] = person
            story.append(f"{person} {pick(TAKES)} the {thing}" + (" there" if random.random() < 0.5 else ""))
        elif act < 0.45 and mine:
            thing = pick(mine)
            del holding[thing]
            lying[thing] = where[person]
            story.append(f"{person} {pick(DROPS)} the {thing}" + (" there" if random.random() < 0.5 else ""))
        else:
            where[person] = pick([place for place in PLACES if place != where.get(person)])
            story.append(f"{person} {pick(MOVES)} the {where[person]}")
    return story


def questions(count: int, seed: int) -> list[Question]:
    """`count` stories with a question each, about a person and about a thing by turns."""
    random = np.random.default_rng([seed, 31])
    found: list[Question] = []
    while len(found) < count:
        story = tell(random)
        about = THINGS if len(found) % 2 else PEOPLE
        target = about[int(random.integers(len(about)))]
        asked = f"where is the {target}" if len(found) % 2 else f"where is {target}"
        known = answered(story, asked)
        if known:
            found.append(Question(tuple(story), asked, *known))
    return found


def babi(text: str) -> list[Question]:
    """The questions of a file of bAbI, each with the statements above it; supports as the file names them."""
    found: list[Question] = []
    story: list[str] = []
    numbers: dict[str, int] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(" ")
        if number == "1":
            story, numbers = [], {}
        asked, *answer = rest.split("\t")
        words = " ".join(re.findall(r"[a-z]+", asked.lower()))
        if answer:
            named = [numbers[n] for n in answer[1].split()]
            found.append(Question(tuple(story), words, answer[0].strip(), (named[0], named[-1])))
        else:
            numbers[number] = len(story)
            story.append(words)
    return found


def agree(known: Sequence[Question]) -> None:
    """Raise TaskError unless the world's rules give answers and supports of all questions."""
    for number, one in enumerate(known):
        ours = answered(one.story, one.asked)
        if ours != (one.answer, one.supports):
            raise TaskError(
                f"question {number}, {one.asked}: bAbI says {one.answer} by {one.supports}, we {ours}"
            )


def bags(sentences: Sequence[str]) -> Tensor:
    """Sentences as counts of words: (N, words). Raises KeyError for a word that the world lacks."""
    at = {word: i for i, word in enumerate(WORDS)}
    cells = [(row, at[word]) for row, sentence in enumerate(sentences) for word in sentence.split()]
    counts = np.zeros((len(sentences), len(WORDS)), np.float32)
    np.add.at(counts, tuple(np.array(cells).T), 1)
    return torch.from_numpy(counts)


class Batch(NamedTuple):
    """Questions of equally long stories: (N, words), (N, T, words), (N, 2), (N,), all words (N, L, words)."""

    question: Tensor
    facts: Tensor
    supports: Tensor
    answer: Tensor
    read: Tensor


READ = 6 * LENGTH + 4
"""Words of the longest story with its question; an LSTM reads shorter ones later."""


def batch_of(some: Sequence[Question], read: int) -> Batch:
    """Questions as tensors; `read`: words of the longest, shorter ones begin with words of nothing."""
    facts = bags([sentence for one in some for sentence in one.story]).view(len(some), -1, len(WORDS))
    texts = [" ".join((*one.story, one.asked)).split() for one in some]
    words = bags([word for text in texts for word in [""] * (read - len(text)) + text]).view(
        len(some), read, -1
    )
    answers = torch.tensor([WORDS.index(one.answer) for one in some])
    supports = torch.tensor([one.supports for one in some])
    return Batch(bags([one.asked for one in some]), facts, supports, answers, words)


# The task ---------------------------------------------------------------------------------------------------------

RECIPE = Recipe(task="memnn", net=(50,), batch=32, steps=1000, rate=3e-3, options={"net": "memory"})
RECIPES: Mapping[str, tuple[Recipe, str]] = {}

NETS = ("memory", "one look-up", "no times", "lstm")


def load(source: str | None, recipe: Recipe) -> Stream:
    """Batches of 3,000 questions; options: `net` (one of NETS), `split`, `babi` (asks bAbI's too), `questions`.

    Raises RecipeError for another net, TaskError where bAbI's files and the world disagree.
    """
    only(recipe, "net", "split", "babi", "questions")
    if recipe.options.get("net", "memory") not in NETS:
        raise RecipeError(f"options.net={recipe.options['net']!r} is unknown\nhint: {', '.join(NETS)}")
    learned = batch_of(questions(int(recipe.options.get("questions", 3000)), seed=1), READ)
    split = str(recipe.options.get("split", "test"))
    asked = batch_of(
        questions(1000 if recipe.options.get("babi") else 200, seed=3 if split == "test" else 2), READ
    )
    foreign: list[Batch] = []
    if recipe.options.get("babi"):
        files = files_of("babi-en")
        texts = {n: files[n].decode() for n in files if re.search(r"/qa[12]_", n)}
        for text in texts.values():
            agree(babi(text))
        (name,) = (n for n in texts if "/qa2_" in n and n.endswith("test.txt"))
        short = [one for one in babi(texts[name]) if len(one.story) <= 20]
        for length in sorted({len(one.story) for one in short}):
            some = [one for one in short if len(one.story) == length]
            foreign.append(batch_of(some, 6 * length + 4))

    def draw(step: int) -> Batch:
        random = np.random.default_rng([recipe.seed, 5, step])
        rows = torch.from_numpy(random.integers(0, len(learned.answer), recipe.batch))
        return Batch(*(part[rows] for part in learned))

    facts = {"name": "world", "asked": asked, "babi": foreign, "split": split}
    return Stream(draw, batch=recipe.batch, samples=len(learned.answer), facts=facts)


class Reader(nn.Module):
    """An LSTM that reads a story and its question word by word, and says a word."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = Recurrent(recurrent.lstm(len(WORDS), width), len(WORDS))

    def logits(self, read: Tensor) -> Tensor:
        """(N, L, words) -> (N, words) after the last word."""
        result: Tensor = self.net(read)[:, -1]
        return result


def build(recipe: Recipe, data: Stream) -> nn.Module:
    """The untrained net."""
    kind = recipe.options.get("net", "memory")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if kind == "lstm":
            return Reader(recipe.net[0])
        hops, timed = (1 if kind == "one look-up" else 2), kind != "no times"
        return MemoryNet(len(WORDS), width=recipe.net[0], hops=hops, timed=timed)


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Margins of the memory net; cross-entropy of the LSTM."""
    some = Batch(*batch)
    if isinstance(net, MemoryNet):
        return net.loss(some.question, some.facts, some.supports, some.answer)
    assert isinstance(net, Reader)
    return functional.cross_entropy(net.logits(some.read), some.answer)


def begin(net: nn.Module, data: Stream, recipe: Recipe, total_steps: int) -> TorchSession:
    """Adam, the rate falling linearly to 0, gradients clipped at norm 5."""
    return TorchSession(
        net,
        loss,
        data,
        lambda module: [torch.optim.Adam(module.parameters(), lr=0.0)],
        rate=lambda share: recipe.rate * (1 - share),
        total_steps=total_steps,
        clip=5.0,
    )


@torch.no_grad()
def says(net: nn.Module, some: Batch) -> Tensor:
    """The word that the net says: (N,)."""
    if isinstance(net, MemoryNet):
        return net(some.question, some.facts)[0]  # type: ignore[no-any-return]
    assert isinstance(net, Reader)
    return net.logits(some.read).argmax(1)


def score(net: nn.Module, data: Stream, drawn: Picture) -> dict[str, float]:
    """Shares right: `one_fact`, `two_facts`, of `babi` where it is asked; `wrong`, over all of the world's."""
    asked: Batch = data.facts["asked"]
    right = (says(net, asked) == asked.answer).float()
    found = {"one_fact": float(right[::2].mean()), "two_facts": float(right[1::2].mean())}
    if data.facts["babi"]:
        each = torch.cat([(says(net, some) == some.answer).float() for some in data.facts["babi"]])
        found["babi"] = float(each.mean())
    return found | {"wrong": float(1 - right.mean())}


def draw(net: nn.Module, data: Stream) -> Picture:
    """24 questions, a row each, and the statements of their stories, the oldest left: looked up first (blue),
    second (orange), both (green); grey: right, and not looked up. Of an LSTM its state over the words of one."""
    asked: Batch = data.facts["asked"]
    if isinstance(net, Reader):
        trace = (
            net.net.cell.trace(asked.read[1:2])[0]
            .T.clamp(0, 1)
            .repeat_interleave(4, 0)
            .repeat_interleave(8, 1)
        )
        return Picture(trace[..., None].numpy(), name="state")
    shown = Batch(*(part[1:49:2] for part in asked))
    looked = net(shown.question, shown.facts)[1]
    return Picture(looked_up(looked, shown.supports, shown.facts.shape[1]), name="memory")


def looked_up(looked: Tensor, supports: Tensor, moments: int) -> np.ndarray:
    """Colours (12 N, 12 moments, 3) of what was looked up (N, hops) and what is right (N, 2)."""
    colours = {(1, 0): (0.0, 0.45, 0.70), (0, 1): (0.84, 0.37, 0.0), (1, 1): (0.0, 0.62, 0.45)}
    cells = np.ones((len(looked), moments, 3), np.float32)
    for row in range(len(looked)):
        for moment in range(moments):
            if moment in supports[row].tolist():
                cells[row, moment] = 0.8
            first = int(looked[row, 0]) == moment
            second = int(looked[row, -1]) == moment and looked.shape[1] > 1
            if first or second:
                cells[row, moment] = colours[first, second]
    return cells.repeat(12, 0).repeat(12, 1)


# The study --------------------------------------------------------------------------------------------------------

ARMS = {
    "two look-ups, times": "memory",
    "one look-up": "one look-up",
    "two look-ups, no times": "no times",
    "LSTM": "lstm",
}


def runs(quick: bool) -> list[Arm]:
    """Four nets; quick: 400 questions, 150 steps, none of bAbI."""
    more = {"questions": 400} if quick else {"babi": True}
    recipe = RECIPE.replace(steps=150 if quick else 1000, rate=1e-2)
    return [
        Arm(
            name,
            recipe.replace(options={"net": net, **more, "split": "test"}),
            rates=() if quick else (1e-3, 3e-3, 1e-2),
            tuned_by="" if quick else "wrong",
            frames="linear:6",
        )
        for name, net in ARMS.items()
    ]


def judge(results: Results) -> Verdict:
    """See the criterion above."""
    two = {name: float(np.mean([o["two_facts"] for o in results[name]])) for name in results}
    ours = two["two look-ups, times"]
    checks = {
        "two look-ups with times answer at least 95 %": ours >= 0.95,
        "one look-up at least 30 points less": two["one look-up"] <= ours - 0.30,
        "no times at least 20 points less": two["two look-ups, no times"] <= ours - 0.20,
        "the LSTM at most 60 %": two["LSTM"] <= 0.60,
    }
    foreign = "babi" in results["LSTM"][0].lines[-1]
    table = [["net", "rate", "one fact, %", "two facts, %", *(["bAbI task 2, %"] if foreign else [])]]
    for name, outcomes in results.items():
        asked = ("one_fact", "two_facts", *(("babi",) if foreign else ()))
        table.append([name, f"{outcomes[0].rate:g}", *(mean_text(outcomes, one, 1, 100) for one in asked)])
    effect = "two facts: " + ", ".join(f"{name} {100 * value:.1f} %" for name, value in two.items())
    word = "holds" if all(checks.values()) else "does not hold"
    return Verdict(table, word, because(checks, effect), effect, checks)


def figure(results: Results) -> Picture:
    """Questions of two facts that are answered right against steps, a line a seed."""
    series = []
    for number, name in enumerate(results):
        for outcome in results[name]:
            x = np.array([line["step"] for line in outcome.lines], float)
            y = 100 * np.array(outcome.curve("two_facts"))
            series.append(Series("" if outcome.seed else name, x, y, CATEGORIES[number]))
    return chart(
        series,
        title="Where is the milk? Two statements are needed",
        x_label="steps",
        y_label="answered right, %",
        from_zero=True,
    )


DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 230" font-family="sans-serif" font-size="14">
<rect width="760" height="230" fill="#fff"/>
<text x="16" y="28" font-size="16">Where is the milk? Two look-ups, then a word</text>
<g fill="none" stroke="#32333a" stroke-width="1.5"><rect x="30" y="50" width="250" height="26"/>
<rect x="30" y="80" width="250" height="26"/><rect x="30" y="110" width="250" height="26"/>
<rect x="30" y="140" width="250" height="26"/><rect x="30" y="170" width="250" height="26"/></g>
<text x="40" y="68">mary moved to the garden</text><text x="40" y="98" fill="#0072b2">mary got the milk there</text>
<text x="40" y="128">john went to the office</text>
<text x="40" y="158" fill="#d55e00">mary travelled to the kitchen</text>
<text x="40" y="188">john moved to the bedroom</text>
<g fill="none" stroke-width="2.5"><path d="M470 70C400 70 350 92 288 93" stroke="#0072b2"/>
<path d="M470 130C400 130 350 152 288 153" stroke="#d55e00"/></g>
<text x="480" y="74" fill="#0072b2">1: fits the question</text>
<text x="480" y="134" fill="#d55e00">2: fits the question and 1,</text>
<text x="480" y="154" fill="#d55e00">and is the latest that does</text>
<text x="480" y="200">says: kitchen</text>
</svg>"""

tasks.add("memnn", sys.modules[__name__])
