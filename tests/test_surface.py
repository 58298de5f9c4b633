"""What is public: names that exist, of the kind they seem, and an import that stays light."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import sfumato

MODULES = sorted(
    m.name for m in pkgutil.walk_packages(sfumato.__path__, "sfumato.") if not m.name.endswith("_native")
)


def test_looking_at_the_package_loads_neither_torch_nor_numpy() -> None:
    here = str(Path(sfumato.__file__).parents[1])
    code = (
        f"import sys; sys.path[:0] = {[here, *sys.path]!r}\n"
        "import sfumato, sfumato.recipe, sfumato.recipe.beats, sfumato.errors\n"
        "sfumato.Recipe, sfumato.RecipeError, dir(sfumato)\n"
        "sfumato.read_recipe('classic').to_json(), sfumato.recipe.beats.parse('150', 10**6)\n"
        f"assert sfumato.__file__ == {sfumato.__file__!r}\n"
        "print(sorted({'torch', 'numpy', 'PIL', 'rich', 'safetensors'} & set(sys.modules)))"
    )
    # -S: this very package, whatever an editable installation would put before it.
    command = [sys.executable, "-S", "-W", "error", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sfumato.__all__)
def test_every_public_name_is_a_function_or_a_class_also_the_second_time(name: str) -> None:
    """A submodule of the same name would take a function's place once it is imported."""
    for _ in range(2):
        value = getattr(sfumato, name)
        assert inspect.isclass(value) or inspect.isfunction(value)
        assert value.__name__ == name and inspect.getdoc(value)
    assert f"sfumato.{name}" not in MODULES
    assert name in dir(sfumato)


def test_the_package_knows_its_version() -> None:
    assert sfumato.__version__ == importlib.metadata.version("sfumato")


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pant'"):
        _ = sfumato.pant


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for_and_lists_what_it_has(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    assert module.__doc__ and module.__doc__.strip()[0].isalnum()
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public), f"{name}.__all__ names {public}, which does not exist"
        value = getattr(module, public)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__module__.startswith("sfumato"), f"{name} exports {value}"
            assert inspect.getdoc(value), f"{name}.{public} has no docstring"


def test_every_error_has_its_exit_code() -> None:
    from sfumato import errors

    codes = {name: getattr(errors, name).exit_code for name in errors.__all__}
    assert codes == {
        "SfumatoError": 1,
        "RunError": 1,
        "Diverged": 1,
        "RecipeError": 2,
        "PictureError": 2,
        "TaskError": 2,
        "EngineError": 3,
        "MissingExtra": 3,
        "MissingData": 3,
    }
    assert all(issubclass(getattr(errors, name), errors.SfumatoError) for name in codes)
    for name, code in codes.items():
        assert f"{name}" in (errors.__doc__ or "") and (
            name == "SfumatoError" or f" {code} " in errors.__doc__
        )
