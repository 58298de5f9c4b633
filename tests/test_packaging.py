"""Wheel and source distribution: whole, the same bytes each time, with the licences of what is compiled in."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build(code: str, source: Path, out: Path) -> Path:
    """What the build backend makes of `source`, as pip asks it; without the native engine, which takes minutes."""
    code = f"import scikit_build_core.build as build, sys; {code}"
    subprocess.run([sys.executable, "-c", code, str(out)], cwd=source, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


def wheel(source: Path, out: Path) -> Path:
    return build("build.build_wheel(sys.argv[1], {'wheel.cmake': 'false'})", source, out)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel of this tree; and the source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("built")
    packed = build("build.build_sdist(sys.argv[1])", ROOT, folder / "sdist")
    safely = (
        {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    )  # Debian 12 has Python 3.11.2: before filters
    with tarfile.open(packed) as file:
        file.extractall(folder, **safely)
    return wheel(ROOT, folder / "wheel"), folder / packed.name.removesuffix(".tar.gz")


def test_the_wheel_of_the_source_distribution_is_byte_for_byte_that_of_the_tree(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    assert wheel(built[1], tmp_path / "again").read_bytes() == built[0].read_bytes()


def test_the_wheel_has_every_file_of_the_package(built: tuple[Path, Path]) -> None:
    """A line of .gitignore leaves a whole folder out of it."""
    source = ROOT / "src"
    files = [path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    expected = {path.relative_to(source).as_posix() for path in files if path.suffix != ".so"}
    assert expected == {name for name in zipfile.ZipFile(built[0]).namelist() if ".dist-info/" not in name}


def test_the_wheel_carries_the_licences_of_what_is_compiled_in(built: tuple[Path, Path]) -> None:
    files = zipfile.ZipFile(built[0])
    carried = {
        name.rpartition("/")[2]: files.read(name).decode()
        for name in files.namelist()
        if "/licenses/" in name
    }
    assert {"LICENSE", "nanobind.txt", "robin-map.txt"} <= carried.keys()
    (own,) = (path for path in distribution("nanobind").files or [] if path.name == "LICENSE")
    assert carried["nanobind.txt"].split() == own.read_text().split()
    assert "Tessil" in carried["robin-map.txt"] or "tessil" in carried["robin-map.txt"]
