"""Averaged weights for previews: what they are, that training knows nothing of them, that resuming is exact."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from sfumato import engine, experiment
from sfumato.errors import RecipeError, RunError
from sfumato.learning.averaging import EVERY, Averaged
from sfumato.learning.session import Tick
from sfumato.painting import paint
from sfumato.picture import metrics
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory
from sfumato.runs.watch import Watch
from sfumato.training import begin, train

SMALL = Recipe(net=(12, 7), batch=16, epochs=6.0, threads=1, rate=0.01)
QUIET = Watch(frames="6", keep="3", film="none", checkpoint=1e9)
AVERAGED = Watch(frames="6", keep="3", film="none", checkpoint=1e9, preview_ema=0.9)
ENGINES = [name for name in ("eager", "native") if engine.engine(name).why_not(SMALL) is None]


def parts(run: RunDirectory) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights, and state with the average, of a run's end."""
    weights, state, _ = run.checkpoint()
    return weights, state


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", ENGINES)
def test_training_knows_nothing_of_the_average_and_frames_show_it(
    name: str, photo: Path, tmp_path: Path
) -> None:
    recipe = SMALL.replace(engine=name)
    plain = experiment.perform(recipe, str(photo), out=tmp_path, watch=QUIET)
    run = experiment.perform(recipe, str(photo), out=tmp_path, watch=AVERAGED)
    (weights, state), (other, averaged) = parts(plain), parts(run)
    assert equal(weights, other)
    assert equal(state, {n: t for n, t in averaged.items() if not n.startswith("average/")})
    scores = [
        {k: v for k, v in line.items() if k.startswith(("psnr", "ssim", "loss"))} for line in run.history
    ]
    told = [{k: v for k, v in line.items() if not k.endswith("_ema")} for line in scores]
    assert told == [{k: line[k] for k in told[0]} for line in plain.history], "scores are of the weights"

    data, net = experiment.prepare(recipe, str(photo))
    run.fit(net, weights)
    session = Averaged(begin(net, data, recipe, name), net, 0.9)
    session.load(net, averaged)
    shown = data.facts["picture"]
    average = paint(session.average(net), shown.height, shown.width)
    assert run.last["psnr_ema"] == pytest.approx(metrics.psnr(shown.values, average.values), abs=1e-4)
    assert run.last["psnr_ema"] != pytest.approx(run.last["psnr"], abs=1e-3)
    frame, ours = run.frames()[-1][1].read_bytes(), plain.frames()[-1][1].read_bytes()
    assert frame != ours, "the frame is the average's"
    assert run.frames()[0][1].read_bytes() == plain.frames()[0][1].read_bytes(), (
        "before the first look: as it is"
    )
    assert (run.folder / "painting.png").read_bytes() == (plain.folder / "painting.png").read_bytes()


def test_the_average_is_what_its_formula_says(photo: Path) -> None:
    recipe, decay, steps = SMALL.replace(engine="eager"), 0.9, 5 * EVERY + 3
    data, net = experiment.prepare(recipe, str(photo))
    session = Averaged(begin(net, data, recipe, "eager"), net, decay)
    assert all(map(torch.equal, session.average(net).parameters(), net.parameters()))
    for count in (1, 6, 9, 20, steps - 36):  # however it is cut
        session.advance(count)
    looks: list[list[torch.Tensor]] = []
    data, other = experiment.prepare(recipe, str(photo))
    for tick in train(other, data, recipe, beats=range(steps)):
        if tick.step and tick.step % EVERY == 0 and tick.step <= steps:
            looks.append([p.detach().double() for p in tick.net.parameters()])
    shares = [decay ** (EVERY * (len(looks) - 1 - number)) for number in range(len(looks))]
    for at, found in enumerate(session.average(net).parameters()):
        wanted = sum(share * look[at] for share, look in zip(shares, looks, strict=True)) / sum(shares)
        assert torch.allclose(found.double(), wanted, rtol=0, atol=1e-6), "five sums in float32"


@pytest.mark.parametrize("name", ENGINES)
def test_resuming_and_forking_keep_the_average_to_the_bit(name: str, photo: Path, tmp_path: Path) -> None:
    recipe = SMALL.replace(engine=name)
    whole = experiment.perform(recipe, str(photo), out=tmp_path, watch=AVERAGED)

    def stop(tick: Tick) -> None:
        if tick.step >= 19 and not tick.last:
            os.kill(os.getpid(), signal.SIGTERM)

    run = experiment.perform(recipe, str(photo), out=tmp_path, watch=AVERAGED, watchers=[stop])
    assert run.state == "interrupted"
    again = experiment.resume(RunDirectory(run.folder))
    twin = experiment.fork(whole, 21, {}, out=tmp_path)
    for other in (again, twin):
        assert all(map(equal, parts(whole), parts(other)))
        assert other.last["psnr_ema"] == whole.last["psnr_ema"]
        assert other.frames()[-1][1].read_bytes() == whole.frames()[-1][1].read_bytes()


def test_a_decay_that_averages_nothing_is_refused(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"preview_ema=1 must lie in \[0, 1\)"):
        experiment.perform(SMALL, str(photo), out=tmp_path, watch=Watch(preview_ema=1))
    data, net = experiment.prepare(SMALL.replace(engine="eager"), str(photo))
    session = Averaged(begin(net, data, SMALL, "eager"), net, 0.9)
    with pytest.raises(RunError, match="lacks the average"):
        session.load(net, {"step": torch.tensor(0)})
