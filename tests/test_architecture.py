"""What must never import what: the rules of docs/design.md, read from the syntax trees.

Wings are the folders and files of the package, in the order of WINGS; imports inside functions count as much as
those at the top, and what a module reaches by way of others counts as much as what it imports itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import sfumato
from sfumato.recipe import registries

ROOT = Path(sfumato.__file__).parent

WINGS = [
    *("errors", "machine", "timing", "words", "files"),
    *("data", "recipe", "picture", "nets", "learning", "engine"),
    *("painting", "training", "many", "fused", "drawing", "neurons", "samples", "tasks", "runs", "views"),
    *(
        "budget",
        "following",
        "experiment",
        "progress",
        "run",
        "api",
        "compare",
        "studies",
        "playground",
        "cli",
    ),
    "estimator",
]
"""From the facts to the doors: a wing imports only those that stand before it."""

DOORS = {"run", "api", "cli", "compare", "playground", "estimator", "studies"}
"""Imported by no other wing than one another; `studies` by the command line alone."""

NOTHING = {"errors", "machine", "timing", "words"}
"""They import no other room of the package; `files` only `errors`."""

HEAVY = {
    "av",
    "matplotlib",
    "optuna",
    "pooch",
    "ray",
    "sklearn",
    "skimage",
    "starlette",
    "tifffile",
    "uvicorn",
}
"""Extras: imported where they are used, so that the package works without them."""

Trees = Mapping[str, ast.Module]


def read(root: Path) -> dict[str, ast.Module]:
    """`engine.eager` -> its syntax tree, for every module under `root`; the package itself is ``."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(trees: Trees, name: str, *, top_only: bool = False) -> Iterator[str]:
    """What a module imports when it runs, type checking apart: `engine.plan` inside, `torch` outside.

    top_only: not what its functions import.
    """
    package = any(other.startswith(f"{name}.") for other in trees) or name == ""
    base = name.split(".") if name else []
    base = base if package else base[:-1]
    waiting: list[ast.AST] = [trees[name]]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.removeprefix("sfumato.") if alias.name.startswith("sfumato.") else alias.name
        elif isinstance(node, ast.ImportFrom):
            up = base[: len(base) - (node.level - 1)] if node.level else []
            home = [*up, *(node.module.split(".") if node.module else [])]
            own = node.level > 0
            if not own and home[0] == "sfumato":
                home, own = home[1:], True
            for alias in node.names:
                inner = ".".join([*home, alias.name])
                yield inner if own and inner in trees else ".".join(home)
        elif not (top_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))):
            waiting += ast.iter_child_nodes(node)


def inside(trees: Trees, name: str, **options: bool) -> set[str]:
    """The modules of this package that a module imports; to import one is to run the packages around it."""
    found = {other for other in imports(trees, name, **options) if other in trees and other}
    around = {".".join(other.split(".")[:i]) for other in found for i in range(1, other.count(".") + 1)}
    return (found | around) - {name} - {".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)}


def wing(name: str) -> str:
    return name.split(".")[0]


def reach(trees: Trees, name: str) -> set[str]:
    """All modules that running a module and its functions can lead to."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for other in inside(trees, waiting.pop()) - seen:
            seen.add(other)
            waiting.append(other)
    return seen


def faults(trees: Trees) -> list[str]:
    """Every broken rule of the tree, as a sentence; none in a house in order."""
    rank = {name: place for place, name in enumerate(WINGS)}
    rooms = {name for name in trees if name and not wing(name).startswith("_")}
    found = [f"{name} is in no wing of the list" for name in sorted(rooms) if wing(name) not in rank]
    for name in sorted(n for n in rooms if wing(n) in rank):
        here = wing(name)
        for other in sorted(inside(trees, name)):
            there = wing(other)
            if there not in rank or there == here:
                continue
            if rank[there] > rank[here]:
                found.append(f"{name} imports {other}, which stands after it")
            if (there in DOORS and here not in DOORS) or (there == "studies" and here != "cli"):
                found.append(f"{name} imports the door {other}")
            if here in NOTHING or (here == "files" and there != "errors"):
                found.append(f"{name} imports {other}, and should import nothing")
            if here == "learning" and there == "engine":
                found.append(f"{name} imports an engine: {other}")
        if here == "runs" and "views" in {wing(other) for other in reach(trees, name)}:
            found.append(f"{name} reaches a view")
        if here == "tasks" and here != name:
            others = {m for m in inside(trees, name) if m.startswith("tasks.") and not m[6:].startswith("_")}
            found += [f"{name} imports the task {other}" for other in sorted(others)]
    return found + circles(trees)


def circles(trees: Trees) -> list[str]:
    """Modules that lead back to themselves, by imports at the top or in functions."""
    graph = {name: inside(trees, name) & trees.keys() for name in trees if name}
    for name, needs in graph.items():  # a package's own modules are part of it, not a detour
        needs -= {other for other in needs if name.startswith(f"{other}.")}
    while graph:
        free = [name for name, needs in graph.items() if not needs & graph.keys()]
        if not free:
            return [f"a circle among {', '.join(sorted(_knot(graph)))}"]
        for name in free:
            del graph[name]
    return []


def _knot(graph: dict[str, set[str]]) -> set[str]:
    """What of a graph without a free end lies on a circle: drop those that nothing left leads to."""
    left = dict(graph)
    while True:
        wanted = set().union(*(needs & left.keys() for needs in left.values()))
        if wanted == left.keys():
            return wanted
        left = {name: needs for name, needs in left.items() if name in wanted}


VARIANTS = tuple(registries.of_fields().values())
"""Registries whose names are compared nowhere else: whoever asks reads an attribute of the function."""

PLAIN = {"blocks", "error", "none", "random"}
"""Names of variants that are words of other vocabularies too."""

TABLES = {"compare.sweep", "compare.sweep_file"}
"""Where `grid` is a table of a file, not an encoding."""


def public(tree: ast.Module) -> set[str]:
    """The functions that a module lists in its `__all__`."""
    listed: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
        ):
            listed = set(ast.literal_eval(node.value))
    beside = {a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names}
    return listed & ({node.name for node in tree.body if isinstance(node, ast.FunctionDef)} | beside)


def compared_names(trees: Trees) -> list[str]:
    """Where a variant's name is compared as text, outside its own wing."""
    found = []
    for home in VARIANTS:
        names = public(trees[home]) - PLAIN
        for name, tree in trees.items():
            if wing(name) in (wing(home), "recipe"):
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.Compare):
                    texts = {text for side in (node.left, *node.comparators) for text in _words(side)}
                    found += [
                        f"{name} compares {home.split('.')[1]}: {text!r}" for text in sorted(texts & names)
                    ]
    return found


def _words(side: ast.expr) -> Iterator[str]:
    """The texts that a side of a comparison is, or is a collection of."""
    for part in [side, *getattr(side, "elts", ())]:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


TREES = read(ROOT)


def test_the_house_is_in_order() -> None:
    assert faults(TREES) == []


def test_names_of_variants_are_compared_nowhere_else() -> None:
    found = [one for one in compared_names(TREES) if one.split()[0] not in TABLES or "'grid'" not in one]
    assert found == []


QUICK = ["runs.directory", "runs.index", "cli.commands", "recipe.fields", "playground.server", ""]


@pytest.mark.parametrize("name", QUICK)
def test_quick_rooms_wait_with_torch_and_numpy(name: str) -> None:
    """Listing runs, printing help, serving a page must be quick: importing torch takes longer than all the rest."""
    seen, waiting = set(), [name]
    while waiting:
        one = waiting.pop()
        seen.add(one)
        outside = {wing(m) for m in imports(TREES, one, top_only=True)}
        assert not outside & {"torch", "numpy", "safetensors", "av"}, one
        waiting += inside(TREES, one, top_only=True) - seen


@pytest.mark.parametrize("name", TREES)
def test_heavy_guests_wait_in_functions(name: str) -> None:
    top = {wing(m) for m in imports(TREES, name, top_only=True)}
    allowed = {"playground": {"starlette", "uvicorn"}, "estimator": {"sklearn"}}.get(wing(name), set())
    assert not top & (HEAVY - allowed)
    if wing(name) != "compare" and name != "compare.workers":
        assert "ray" not in {wing(m) for m in imports(TREES, name)}


def test_registries_hold_nothing_but_their_members() -> None:
    from sfumato import engine, tasks

    for folder, listed in (("engine", engine.names()), ("tasks", tasks.names())):
        files = {path.stem for path in (ROOT / folder).glob("*.py") if not path.stem.startswith("_")}
        assert files == set(listed)


def test_test_modules_have_names_of_their_own() -> None:
    """pytest puts every folder of tests on one path: of two modules with one name the second is never found. So
    nobody imports from a conftest either, of which each folder may have one."""
    trees = read(Path(__file__).parent)
    names = [name.split(".")[-1] for name in trees if not name.endswith("conftest")]
    assert {name for name in names if names.count(name) > 1} == set()
    assert [name for name, tree in trees.items() if "conftest" in imports(trees, name)] == []


def planted(files: Mapping[str, str]) -> dict[str, ast.Module]:
    """The house with some lines added to its modules."""
    trees = dict(TREES)
    for name, text in files.items():
        body = list(trees[name].body) if name in trees else []
        trees[name] = ast.Module([*body, *ast.parse(text).body], [])
    return trees


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"runs.directory": "def look():\n    from ..views import film"},
            "imports views.film, which stands after",
        ),
        ({"runs.index": "def look():\n    from ..experiment import perform"}, "reaches a view"),
        (
            {
                "neurons.cards": "def a():\n    from .regions import b",
                "neurons.regions": "def b():\n    from .spectrum import c",
                "neurons.spectrum": "def c():\n    from .cards import a",
            },
            "a circle among neurons.cards, neurons.regions, neurons.spectrum",
        ),
        ({"tasks.digits": "def other():\n    from .picture import score"}, "tasks.digits imports the task"),
        ({"learning.loop": "def go():\n    from .. import engine"}, "imports an engine"),
        ({"words": "from .errors import RunError"}, "should import nothing"),
        ({"views.film": "from ..run import Run"}, "imports the door run"),
        ({"playground.hub": "from ..studies import study"}, "imports the door studies"),
        ({"corridor": "x = 1"}, "corridor is in no wing"),
    ],
)
def test_the_rules_see_what_they_forbid(files: dict[str, str], says: str) -> None:
    assert any(says in fault for fault in faults(planted(files))), faults(planted(files))


@pytest.mark.parametrize(
    "text", ['def f(name):\n    return name == "relu"', 'def f(name):\n    return name in ("sine", "other")']
)
def test_a_name_of_an_activation_compared_in_an_engine_is_seen(text: str) -> None:
    assert len(compared_names(planted({"engine.eager": text}))) == 1 + len(compared_names(TREES))


def test_the_reader_of_imports_knows_levels_aliases_functions_and_type_checking() -> None:
    assert {"nets", "nets.encodings", "learning.plan", "torch"} <= set(imports(TREES, "engine.eager"))
    assert "api" not in inside(TREES, "")
