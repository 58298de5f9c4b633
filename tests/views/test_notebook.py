"""What a run shows of itself in a notebook is made when it is looked at, and holds all it shows."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image
from small_net import H, W, net, targets

from sfumato import picture
from sfumato.errors import RunError
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.views import atlas, notebook


@pytest.fixture
def run(tmp_path: Path) -> Run:
    with Run.create(tmp_path, Recipe(net=(9, 8, 7), seed=5), "test", {"inputs": 2, "outputs": 3}) as made:
        pass
    picture.save(picture.from_array(targets().reshape(H, W, 3)), made.folder / "target.png")
    made.save_weights(0, net())
    return made


def test_each_layer_is_a_picture_inside_the_page_in_order_and_with_words_for_who_cannot_see(run: Run) -> None:
    shown = notebook.Atlas(run)._repr_html_()
    assert re.findall(r'alt="([^"]*)"', shown) == [f"Contact sheet of layer {n} of 3" for n in (1, 2, 3)]
    pictures = re.findall(r"data:image/png;base64,([\w+/=]+)", shown)
    gallery = atlas.Gallery(run)
    for layer, data in enumerate(pictures, 1):
        assert base64.b64decode(data) == gallery.sheet(layer).png()
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            image.load()
    assert len(pictures) == 3 and "http" not in shown


def test_nothing_is_read_before_it_is_looked_at_and_once_then(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []
    real = Run.net

    def counting(self: Run, step: int | None = None) -> object:
        asked.append(step)
        return real(self, step)

    monkeypatch.setattr(Run, "net", counting)
    shown = notebook.Atlas(run, 0)
    assert repr(shown) == f"Atlas({run!r}, step=0)" and asked == []
    first = shown.sheets
    count = len(asked)
    assert shown.sheets is first and len(asked) == count and set(asked) == {0}


def test_a_run_without_weights_or_picture_says_so_when_it_is_looked_at(run: Run) -> None:
    (run.folder / "weights" / "000000.safetensors").unlink()
    with pytest.raises(RunError, match="holds no weights"):
        _ = notebook.Atlas(run).sheets
    (run.folder / "target.png").unlink()
    with pytest.raises(RunError, match="holds no target picture"):
        _ = notebook.Atlas(run).sheets
