"""What is read from the sources of a registry is what its module says once it is imported."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

from sfumato import engine, tasks
from sfumato.errors import EngineError, RecipeError, TaskError
from sfumato.nets import activations
from sfumato.recipe import NAMED_FOR, Recipe, check_names, held_out_pattern, public, registries
from sfumato.recipe.variants import arguments

MODULES = [*registries.of_fields().values(), "nets.recurrent", "learning.curricula"]


@pytest.mark.parametrize("module", MODULES)
def test_names_and_arguments_are_those_of_the_imported_module(module: str) -> None:
    variants = public(importlib.import_module(f"sfumato.{module}"))
    read = registries.signatures(module)
    assert list(read) == list(variants)
    for name, function in variants.items():
        assert read[name] == arguments(function), name
        assert [type(value) for value in read[name].values()] == [
            type(v) for v in arguments(function).values()
        ]


def test_folders_hold_what_is_imported_from_them() -> None:
    assert set(registries.members("engine")) == set(engine.names())
    assert list(registries.members("tasks")) == tasks.names()


def test_every_named_recipe_passes() -> None:
    for listed in NAMED_FOR.values():
        for recipe, _ in listed.values():
            check_names(recipe)
    check_names(Recipe(held_out="0.1", activation=len))


@pytest.mark.parametrize("field", registries.of_fields())
def test_a_misspelt_name_or_argument_of_every_field_is_refused(field: str) -> None:
    variants = registries.signatures(registries.of_fields()[field])
    name = max(variants, key=lambda one: (len(variants[one]), len(one)))
    with pytest.raises(RecipeError, match=f"{field}='{name}x' is unknown; did you mean '{name}'"):
        check_names(Recipe(**{field: f"{name}x"}))
    with pytest.raises(RecipeError, match=f"{name} has no 'zz'"):
        check_names(Recipe(**{field: f"{name}:zz=1"}))
    for argument, default in variants[name].items():
        if default is not inspect.Parameter.empty:
            with pytest.raises(RecipeError, match=f"{argument} must be"):
                check_names(Recipe(**{field: f"{name}:{argument}=word"}))


def test_what_is_added_to_an_imported_registry_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def swirl(x: Any, *, turns: float = 2.0) -> Any:
        return x

    with pytest.raises(RecipeError, match="'swirl' is unknown"):
        check_names(Recipe(activation="swirl"))
    monkeypatch.setattr(activations, "swirl", swirl, raising=False)
    monkeypatch.setattr(activations, "__all__", [*activations.__all__, "swirl"])
    check_names(Recipe(activation="swirl:turns=3"))


@pytest.mark.parametrize("field", registries.of_fields())
def test_it_is_said_alike_before_and_after_the_import(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = registries.of_fields()[field]
    for text in ("zzz", next(iter(registries.signatures(module))) + "x", "a:b", "none:zz=1"):
        said = []
        for _ in "12":
            with pytest.raises(RecipeError) as caught:
                check_names(Recipe(**{field: text}))
            said.append(str(caught.value))
            monkeypatch.delitem(sys.modules, f"sfumato.{module}", raising=False)
        assert said[0] == said[1]
        monkeypatch.undo()


def test_engines_and_tasks_that_do_not_exist_are_refused() -> None:
    with pytest.raises(EngineError, match="engine 'abacus' is unknown; known are auto, cuda, eager"):
        check_names(Recipe(engine="abacus"))
    with pytest.raises(TaskError, match="task 'sudoku' is unknown; known are digits"):
        check_names(Recipe(task="sudoku"))


def test_a_share_alone_is_a_pattern() -> None:
    assert held_out_pattern("0.25") == "random:share=0.25" and held_out_pattern("checker") == "checker"


def test_variants_beside_a_registry_are_followed_and_helpers_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "beside.py").write_text("def other(x, *, size=-1.5, needed, late=max(1, 2)): ...\n")
    (tmp_path / "room" / "main.py").write_text(
        "from .beside import other as far, absent\n__all__ = ['Kind', 'far', 'helper', 'absent']\n"
        "class Kind: ...\ndef own(x, y=3): ...\ndef hidden(x): ...\ndef helper(x): ...\n"
        "helper._variant = False\n__all__ += ['own']\n__all__.append('last')\ndef last(x, *, k=2): ...\n"
    )
    monkeypatch.setattr(registries, "PACKAGE", tmp_path)
    empty = inspect.Parameter.empty
    assert registries.signatures("room.main") == {
        "far": {"size": -1.5, "needed": empty, "late": empty},
        "own": {},
        "last": {"k": 2},
    }


def test_every_field_from_which_a_variant_is_picked_says_where_its_variants_are() -> None:
    """`pick(activations, recipe.activation)` wherever it stands in the package."""
    picked = set()
    for path in registries.PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pick" and len(node.args) > 1:
                module, text = ast.unparse(node.args[0]), node.args[1]
                if isinstance(text, ast.Attribute) and ast.unparse(text.value) == "recipe":
                    picked.add((text.attr, module))
    homes = {(field, module.rpartition(".")[2]) for field, module in registries.of_fields().items()}
    assert homes - {("held_out", "held_out")} == picked, "held_out is picked from its pattern"
