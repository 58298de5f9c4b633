"""What must never import what: the rules of the design, read from the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sfumato

ROOT = Path(sfumato.__file__).parent
FACTS = {
    *("activations", "beats", "colormaps", "data", "encodings", "errors", "heldout", "losses", "metrics"),
    *("picture", "pixels", "recipe", "schedules"),
}
"""Modules that know nothing above them, nor one another but for `errors` and the arrays of `data`."""
SHARED = {"errors", "data"}
MODEL = {"nets", "optimizers"}
MOTION = {"engine", "training"}
VIEWS = {"atlas", "film", "gallery", "report"}
DOORS = {"api", "cli", "comparison", "estimator", "playground", "sweeps"}


def modules() -> dict[str, ast.Module]:
    """`engine.eager` -> its syntax tree, for every module of the package."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name or "__init__"] = ast.parse(path.read_text(encoding="utf-8"))
    return found


TREES = modules()


def imports(name: str, *, top_only: bool = False) -> Iterator[str]:
    """What a module imports when it runs, type checking apart: `engine.plan` inside, `torch` outside.

    top_only: not what its functions import.
    """
    package = (ROOT / Path(*name.split("."))).is_dir() and name != "__init__"
    base = [] if name == "__init__" else name.split(".") if package else name.split(".")[:-1]
    waiting: list[ast.AST] = [TREES[name]]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = base[: len(base) - (node.level - 1)] if node.level else []
            home = [*up, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                inner = ".".join([*home, alias.name])
                yield inner if node.level and inner in TREES else ".".join(home)
        elif not (top_only and isinstance(node, (ast.FunctionDef, ast.Lambda))):
            waiting += ast.iter_child_nodes(node)


def inside(name: str, **options: bool) -> set[str]:
    """The modules of this package that a module imports, itself and its own package apart."""
    return {other for other in imports(name, **options) if other in TREES} - {name, name.split(".")[0]}


def room(name: str) -> str:
    return name.split(".")[0]


def of(rooms: set[str]) -> list[str]:
    return [name for name in TREES if room(name) in rooms]


@pytest.mark.parametrize("name", of(FACTS))
def test_facts_stand_alone(name: str) -> None:
    assert {room(m) for m in inside(name)} - {room(name)} <= SHARED


@pytest.mark.parametrize("name", of(MODEL | MOTION))
def test_models_and_motion_know_nothing_of_files_views_and_doors(name: str) -> None:
    allowed = FACTS | MODEL | (MOTION if room(name) in MOTION else set())
    assert {room(m) for m in inside(name)} <= allowed


def test_runs_open_without_torch() -> None:
    """Listing runs must be quick: importing torch takes longer than all the rest."""
    assert not {room(m) for m in imports("run", top_only=True)} & {"torch", "safetensors"}


@pytest.mark.parametrize("name", of(VIEWS))
def test_views_work_from_what_was_kept(name: str) -> None:
    assert "training" not in {room(m) for m in inside(name)}


@pytest.mark.parametrize("name", [n for n in TREES if n.startswith("tasks.")])
def test_tasks_do_not_know_one_another(name: str) -> None:
    assert not {m for m in inside(name) if m.startswith("tasks.") and m != name}


@pytest.mark.parametrize("name", [n for n in TREES if room(n) not in DOORS | {"__init__", "__main__"}])
def test_nothing_leads_back_to_a_door(name: str) -> None:
    assert not {room(m) for m in inside(name)} & DOORS


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {name: inside(name, top_only=True) for name in TREES}
    while graph:
        free = [name for name, needs in graph.items() if not needs & graph.keys()]
        assert free, f"a circle among {sorted(graph)}"
        for name in free:
            del graph[name]


@pytest.mark.parametrize("name", TREES)
def test_heavy_guests_wait_in_functions(name: str) -> None:
    """Extras are imported where they are used, so that the package works without them."""
    heavy = {"av", "matplotlib", "pooch", "ray", "sklearn", "skimage", "playwright", "hypothesis", "pytest"}
    allowed = {"sklearn"} if room(name) == "estimator" else set()
    assert not {room(m) for m in imports(name, top_only=True)} & (heavy - allowed)


def test_the_rules_see_what_they_forbid() -> None:
    """The reader of imports itself: levels, aliases, functions, type checking."""
    assert {"nets", "encodings", "engine.plan", "torch", "losses"} <= set(imports("engine.eager"))
    assert "torch" in set(imports("nets")) and "activations" in inside("nets")
    assert "api" not in inside("__init__")
