"""A new variant is one file: a function is added to one module of a copy of the package, and all else follows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import sfumato

ACTIVATION = '''

@facts(init=init.glorot)
def softsign(x: Tensor, *, scale: float = 1.0) -> Tensor:
    """scale x / (1 + |scale x|), in (-1, 1)."""
    return functional.softsign(scale * x)


__all__.append("softsign")
'''

SESSION = """
import sys
# An editable install may find the package before PYTHONPATH does.
sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("_editable")]
from sfumato.__main__ import main
assert main(["paint", "photo.png", "--activation", "softsign:scale=2", "--net", "5,4", "--epochs", "2", "--quiet",
             "--film", "none"]) == 0
assert main(["atlas", "last"]) == 0
assert main(["runs", "last"]) == 0
assert main(["paint", "photo.png", "--activation", "softsing", "--dry-run"]) == 2
"""


def test_an_activation_added_in_one_file_trains_is_drawn_listed_and_guessed(tmp_path: Path) -> None:
    package = Path(sfumato.__file__).parent
    shutil.copytree(package, tmp_path / "sfumato", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    with (tmp_path / "sfumato" / "nets" / "activations.py").open("a") as file:
        file.write(ACTIVATION)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    done = subprocess.run(
        [sys.executable, "-c", SESSION],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "did you mean 'softsign'?" in done.stderr
    assert "softsign" in done.stdout
    assert len(list(tmp_path.glob("runs/*/atlas/layer-*.png"))) == 2
