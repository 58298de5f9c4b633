"""Studies go on where they were stopped, choose rates alike, give equal bits, and refuse what cannot be meant."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from here import Here

from sfumato.__main__ import main
from sfumato.compare import workers
from sfumato.errors import MissingData, RecipeError
from sfumato.recipe import Recipe
from sfumato.studies import Arm, Outcome, Verdict, _running, difference, he_init, study


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in this process."""
    monkeypatch.setattr(workers, "Pool", Here)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


TINY = Recipe(net=(8,), batch=64, steps=20, engine="eager", options={"max_pixels": 400})

ARMS = [
    Arm("slow", TINY, rates=(1e-5, 1e-4), tuned_by="loss", trial={}),
    Arm("fast", TINY.replace(activation="tanh"), rates=(1e-3, 1e-2), tuned_by="loss", trial={}),
]


def verdict(results: dict[str, list[Outcome]]) -> Verdict:
    gap = difference(results, "fast", "slow", "psnr")
    word = {1: "holds", -1: "does not hold", 0: "undecided"}[gap.better]
    return Verdict([["gap", "dB"], ["psnr", f"{gap.mean:.1f}"]], word, "by PSNR")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, here: None) -> None:
    """`he_init` with two small arms in place of its own."""
    monkeypatch.setattr(he_init, "runs", lambda quick: ARMS)
    monkeypatch.setattr(he_init, "judge", verdict)


def test_rates_are_chosen_with_a_seed_that_is_not_judged(tiny: None, tmp_path: Path) -> None:
    done = _running.run("he_init", tmp_path, seeds=3)
    assert {name: list(rates) for name, rates in done.rates.items()} == {
        "slow": ["1e-05", "0.0001"],
        "fast": ["0.001", "0.01"],
    }
    assert [o.rate for o in done.results["fast"]] == [0.01] * 3 and done.seeds == [0, 1, 2]
    assert done.verdict is not None and done.verdict.table[0] == ["gap", "dB"] and not done.failed
    seeds = [json.loads(p.read_text())["seed"] for p in tmp_path.glob("runs/*/recipe.json")]
    assert sorted(seeds) == [0, 0, 1, 1, 2, 2, *[_running.TUNING_SEED] * 4]


def test_a_rate_that_diverges_is_no_choice_and_no_failure(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = Arm("fast", TINY.replace(optimizer="sgd"), rates=(1e-2, 1e5), tuned_by="loss", trial={})
    monkeypatch.setattr(he_init, "runs", lambda quick: [ARMS[0], wild])
    told: list[str] = []
    done = _running.run("he_init", tmp_path, seeds=2, say=told.append)
    assert [o.rate for o in done.results["fast"]] == [0.01] * 2 and not done.failed
    assert done.rates["fast"]["100000"] is None
    lines = [line for line in told if "rate 100000" in line]
    assert len(lines) == 1 and "no choice: diverged" in lines[0] and "hint" not in lines[0]


def test_equal_seeds_give_equal_bits_and_nothing_is_run_twice(tiny: None, tmp_path: Path) -> None:
    for name in ("a", "b", "b"):
        _running.run("he_init", tmp_path / name, seeds=2)
    a, b = ((tmp_path / name / "results.json").read_bytes() for name in ("a", "b"))
    assert a == b
    assert len(list((tmp_path / "b" / "runs").iterdir())) == 8


def test_the_processor_s_time_is_that_of_all_runs_and_of_the_share_of_a_core_that_each_had(
    tiny: None, tmp_path: Path
) -> None:
    done = _running.run("he_init", tmp_path, seeds=1)
    assert "processor_seconds" in done.made
    lines = list(tmp_path.glob("runs/*/metrics.jsonl"))
    assert len(lines) == 6, "trials and runs"
    for path in lines:
        last = {**json.loads(path.read_text().splitlines()[-1])}
        last |= {"seconds": 30.0, "watching_seconds": 2.0, "cores": 0.25}
        path.write_text(json.dumps(last) + "\n")
    assert _running.processor_seconds(tmp_path / "runs") == 6 * 32 * 0.25


def test_a_budget_begins_no_run_after_its_end_and_more_seeds_go_on(tiny: None, tmp_path: Path) -> None:
    done = _running.run("he_init", tmp_path, seeds=2, budget=1e-9)
    assert not done.seeds and done.verdict is None and not list(tmp_path.glob("runs/*_*"))
    assert len(_running.run("he_init", tmp_path, seeds=1).seeds) == 1
    told: list[str] = []
    assert len(_running.run("he_init", tmp_path, seeds=2, say=told.append).seeds) == 2
    assert sum("there already" in line for line in told) == 6 and len(told) == 8


def test_missing_seeds_and_failures_decide_nothing(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = Arm("fast", TINY.replace(optimizer="sgd", rate=1e5))
    monkeypatch.setattr(he_init, "runs", lambda quick: [ARMS[0], wild])
    done = _running.run("he_init", tmp_path, seeds=2)
    assert done.failed and "diverged" in done.failed[0] and not done.seeds
    done = _running.Done("he_init", he_init, False, 3, seeds=[0, 1])
    done.results = {
        n: [Outcome(s, 1.0, [{"step": 1, "psnr": v + s}]) for s in (0, 1)]
        for n, v in (("slow", 1), ("fast", 9))
    }
    _running._judge(done)
    assert done.verdict is not None and done.verdict.holds == "undecided"
    assert done.verdict.why == "1 of 3 seeds are missing"


LONG = [
    Arm("slow", TINY),
    Arm("fast", TINY.replace(activation="tanh", steps=2500), frames="linear:30"),
]

KILLED = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {tests!r} + "/studies"]
from here import Here
import test_running as here
from sfumato.compare import workers
from sfumato.studies import _running, he_init
workers.Pool, he_init.runs = Here, lambda quick: here.LONG
_running.run("he_init", Path({out!r}), seeds=1)
"""


def test_a_study_that_was_killed_goes_on_and_gives_the_same_bits(
    tmp_path: Path, here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill in the middle of the second run, whose first frames are there."""
    code = KILLED.format(tests=str(Path(__file__).parents[1]), out=str(tmp_path / "killed"))
    child = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"})
    until = time.monotonic() + 120
    while time.monotonic() < until and not list(
        tmp_path.glob("killed/runs/.*-tanh_*/*/frames/000[1-9]*.jpg")
    ):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(list(tmp_path.glob("killed/runs/[!.]*_*"))) == 1 and not list(tmp_path.glob("killed/*.json"))
    monkeypatch.setattr(he_init, "runs", lambda quick: LONG)
    monkeypatch.setattr(he_init, "judge", verdict)
    for name in ("killed", "whole"):
        _running.run("he_init", tmp_path / name, seeds=1)
    killed, whole = ((tmp_path / name / "results.json").read_bytes() for name in ("killed", "whole"))
    assert killed == whole


def test_what_a_study_trains_is_in_the_identity_and_its_words_are_not(tmp_path: Path) -> None:
    text = Path(str(he_init.__file__)).read_text(encoding="utf-8")

    def code(changed: str) -> str:
        path = tmp_path / "one.py"
        path.write_text(changed, encoding="utf-8")
        module = type(he_init)("one")
        module.__file__ = str(path)
        return _running.code_of(module)

    same = text.replace("No full run yet", "A full run").replace(
        "STUCK, LEARNED = 0.9", "STUCK, LEARNED = 0.9"
    )
    assert code(same) == code(text) == _running.code_of(he_init)
    assert code(text + "\nX = 1\n") != code(text)


def test_absent_data_is_one_clear_line_and_exit_3(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SFUMATO_DATA", str(folder))
    monkeypatch.setattr(he_init, "DATA", ("babi-en",), raising=False)
    assert main(["study", "he_init"]) == 3
    said = capsys.readouterr()
    assert said.out == "" and "babi-en.tar.xz is missing" in said.err and "Traceback" not in said.err
    assert not (folder / "studies").exists(), "nothing is begun"
    monkeypatch.setattr(he_init, "DATA", ("mnist",))
    with pytest.raises(MissingData, match="train-images"):
        _running.run("he_init", folder / "x")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["he_int"], "did you mean 'he_init'"),
        (["ntm"], "not built yet: Neural Turing Machines"),
        (["he_init", "--seeds", "-1"], "seeds=-1"),
        (["he_init", "--budget", "soon"], "budget='soon'"),
        (["../he_init"], "is unknown"),
        (["he_init", "--kept", "--quick"], "--kept runs nothing"),
        (["he_init", "--kept", "--seeds", "2"], "--kept runs nothing"),
        (["ntm", "--kept"], "not built yet"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    words: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", *words]) == 2
    said = capsys.readouterr().err
    assert says in said and len(said.splitlines()) <= 3 and not list(folder.iterdir())


def test_jobs_go_to_a_cluster_but_not_where_one_run_reads_another(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def instead(jobs: object, place: Path, **more: object) -> object:
        asked.append(more.pop("ray"))
        return workers.run_all(jobs, place, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(_running, "run_all", instead)
    done = _running.run("he_init", tmp_path / "a", seeds=2, ray="10.0.0.1:6379")
    assert done.seeds == [0, 1] and set(asked) == {"10.0.0.1:6379"}
    with pytest.raises(RecipeError, match="leave out --ray"):
        _running.run("fooling", tmp_path / "b", quick=True, ray="local")
    assert not (tmp_path / "b").exists()


def test_listing_needs_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study"]) == 0
    assert "he_init" in capsys.readouterr().out
    with pytest.raises(RecipeError, match="sfumato study lists them"):
        study("xyz")
