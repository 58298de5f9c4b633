"""`compare`, `compare depth` and `sweep` as their users meet them: streams, files, exit codes, one clear line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sfumato.__main__ import main
from sfumato.compare import comparison, workers
from sfumato.recipe import Recipe

SMALL = Recipe(net=(6,), batch=32, steps=4, engine="eager", rate=0.01).to_json()


class Here(workers.Pool):
    """A pool without processes."""

    def results(self, calls: Iterator[Any]) -> Iterator[tuple[Any, Any, BaseException]]:
        for call in calls:
            if call is not None:
                try:
                    yield call[0], call[1](*call[2]), RuntimeError("")
                except Exception as error:
                    yield call[0], None, error
            yield None, None, RuntimeError("")
        yield None, None, RuntimeError("")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(workers, "Pool", Here)
    monkeypatch.setattr(comparison, "Pool", Here)
    (folder / "small.json").write_text(SMALL)


def test_compare_leaves_its_files_and_prints_the_table_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["compare", "photo.png", "--recipes", "small.json", "small.json+rate=0.02"]
    assert main([*told, "--budget", "1epoch", "--seeds", "2", "--tune", "2", "--out", "c"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "c" and "small against small+rate=0.02, seen pixels" in out
    assert "tuning 1/4" in err and "runs 4/4" in err and not set("\r\b\x1b") & set(out + err)
    for name in ("table.txt", "results.csv", "results.parquet", "report.html", "plots/profiles.png"):
        assert (folder / "c" / name).stat().st_size > 0
    page = (folder / "c" / "report.html").read_text()
    assert "small+rate=0.02" in page and "http" not in page.replace("http-equiv", ""), "it asks no network"
    assert main([*told, "--budget", "1epoch", "--seeds", "2", "--tune", "2", "--out", "c", "--quiet"]) == 0
    assert capsys.readouterr() == (out, "")


def test_sweep_prints_the_best_points(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "s.toml").write_text('picture = "photo.png"\nrecipe = "small.json"\n[grid]\nseed = [0, 1]\n')
    assert main(["sweep", "s.toml", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert "2 trials" in out and out.splitlines()[-1] == "sweeps/s" and not err
    assert (folder / "sweeps" / "s" / "results.csv").exists()


def test_a_failed_run_is_exit_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = 'picture = "photo.png"\nrecipe = "small.json"\noptimizer = "sgd"\nsteps = 40\n'
    (folder / "s.toml").write_text(f"{base}[grid]\nrate = [9e5, 0.01]\n")
    assert main(["sweep", "s.toml"]) == 1
    out, err = capsys.readouterr()
    assert "1 failed" in out and "failed: diverged at step" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["compare", "--recipes", "sirn"], 2, "recipe 'sirn' is unknown; did you mean 'siren'?"),
        (["compare", "--recipes", "siren+rat=3"], 2, "'rat' is unknown; did you mean 'rate'?"),
        (["compare", "--recipes", "small.json", "--budget", "soon"], 2, "'soon' is no budget"),
        (["compare", "--recipes", "small.json", "--seeds", "0"], 2, "seeds=0"),
        (["compare", "--recipes", "small.json", "--targets", "high"], 2, "must be numbers"),
        (["compare", "absent.png", "--recipes", "small.json"], 2, "absent.png"),
        (["compare", "--recipes", "small.json+engine=cuda"], 3, "engine cuda"),
        (["compare", "--recipes", "small.json", "--workers", "-1"], 2, "workers=-1"),
        (["compare", "--recipes", "small.json", "--max-pixels", "-1"], 2, "max_pixels=-1"),
        (["compare", "--recipes", "small.json+seed=1"], 2, "seed is set for all recipes alike"),
        (["compare", "--recipes", "small.json", "small.json+held_out=0.1"], 2, "are the same recipe here"),
        (["compare", "photo.png", "./photo.png", "--recipes", "small.json"], 2, "named twice"),
        (
            ["compare", "--recipes", "small.json+activation=sine:omega=0"],
            2,
            "omega=0: sine: omega=0.0 must be",
        ),
        (
            ["compare", "photo.png", "--recipes", "small.json", "--max-pixels", "1"],
            2,
            "hides no pixel of this 1x1",
        ),
        (["compare", "--recipes", "small.json", "--looks", "0"], 2, "looks=0"),
        (["sweep", "s.toml", "--workers", "-1"], 2, "workers=-1"),
        (["sweep", "s.toml", "--gpus", "-1"], 2, "gpus=-1"),
        (["sweep", "s.toml", "--gpus", "nan"], 2, "gpus=nan"),
        (["compare", "depth", "--layers", "0"], 2, "layers='0'"),
        (["compare", "depth", "--layers", "two"], 2, "layers='two' must be numbers"),
        (["compare", "depth", "--layers", "nan"], 2, "layers='nan'"),
        (["compare", "depth", "--equal", ""], 2, "equal='' is unknown"),
        (["compare", "depth", "--equal", "units,units"], 2, "names one of them twice"),
        (["compare", "depth", "--equal", "time"], 2, "equal='time' is unknown"),
        (["sweep", "absent.toml"], 2, "cannot be read"),
        (["sweep", "s.toml", "--ray", "127.0.0.1:1"], 3, "no Ray cluster answers"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(
    arguments: list[str], code: int, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "s.toml").write_text('picture = "photo.png"\nrecipe = "small.json"\n[grid]\nseed = [0, 1]\n')
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert not out and words in err and len(err.strip().splitlines()) <= 3


def test_the_list_of_verbs_reads_neither_torch_nor_ray() -> None:
    code = "import sys; from sfumato.__main__ import main; main(['compare', '--help']);"
    code += "assert not {'torch', 'numpy', 'ray', 'optuna', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
