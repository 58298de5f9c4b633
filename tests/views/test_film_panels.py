"""Films with panels: each panel is what the kept weights say, drawn in step, in colours that hold still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_picture import colours
from test_film import decoded, swapped, synthetic

from sfumato import api, nets, picture
from sfumato.drawing import palettes
from sfumato.drawing.video import Frame
from sfumato.errors import RecipeError, RunError
from sfumato.picture import metrics
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.runs.watch import Watch
from sfumato.views import film, film_panels
from sfumato.views.atlas import Gallery
from sfumato.views.export import export
from sfumato.views.film_panels import GAP, MARGIN, TITLE

WIDTH, HEIGHT = 172, 90
"""Small, to be quick; wider than a panel's title needs."""
STEPS = (0, 3, 10, 40)


def learning(
    folder: Path,
    width: int = WIDTH,
    height: int = HEIGHT,
    channels: int = 3,
    icc: bytes | None = None,
    **fields: Any,
) -> Run:
    """A run of which the weights at four steps were kept: nets of a start each, nearer and nearer to the target."""
    recipe = Recipe(net=(9, 5), activation="relu").replace(**fields)
    origin = {"inputs": 2, "outputs": channels, "aspect": height / width}
    with Run.create(folder, recipe, "learning", origin) as run:
        pass
    values = colours(height, width, channels).reshape(height, width, channels)
    picture.save(picture.from_array(values, icc=icc), run.folder / "target.png")
    for k, step in enumerate(STEPS):
        net = nets.build(recipe.replace(seed=k), 2, channels, aspect=height / width)
        run.save_weights(step, net)
    run.save_checkpoint(net.state_dict(), {}, {"step": 40, "seconds": 1.0})
    for step in range(0, 41, 2):
        run.add_metrics({"step": step, "total_steps": 40, "epoch": step / 4, "psnr": 10 + 0.2 * step})
    return run


def made(run: Run, *words: str, **options: Any) -> list[Frame]:
    """The film's frames; without a size, paintings are shown as they are."""
    count, frames, _ = film_panels.frames(run, words, **{"size": (WIDTH, HEIGHT)} | options)
    result = list(frames)
    assert len(result) == count
    assert len({frame.shape for frame in result}) == 1, "frames of unequal size"
    assert result[0].shape[0] % 2 == result[0].shape[1] % 2 == 0
    return result


def at(frame: Frame, left: int, top: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Frame:
    """A panel's pixels, its title apart: left and top count from the film's margin."""
    top, left = top + MARGIN + TITLE, left + MARGIN
    return frame[top : top + height, left : left + width]


def test_painting_and_error_are_those_of_the_kept_weights(tmp_path: Path) -> None:
    run = learning(tmp_path)
    target = run.target.values
    film_of = made(run, "error")
    middle = np.abs(run.image(STEPS[2]).values - target).mean(2)
    top = float(f"{np.quantile(middle, 0.99):.1g}")
    for step, frame in zip(STEPS, film_of, strict=True):
        painting = run.image(step).values
        assert np.array_equal(at(frame, 0), np.floor(painting * 255 + 0.5).astype(np.uint8))
        error = palettes.palette("heat")[palettes.index(np.abs(painting - target).mean(2), 0, top)]
        assert np.array_equal(at(frame, WIDTH + GAP), error)


@pytest.mark.parametrize("activation", ("relu", "sine:omega=10"))
def test_neurons_are_those_of_the_kept_weights_in_colours_that_hold_still(
    activation: str, tmp_path: Path
) -> None:
    run = learning(tmp_path, activation=activation)
    still = Gallery(run, sort="contrast").over_time
    rows = (HEIGHT - TITLE - GAP) // 2
    across = round(rows * WIDTH / HEIGHT)
    assert across > 48, "titles are narrower than pictures"
    chosen = [(2, 1), (1, 8), (1, 3)]
    for step, frame in zip(STEPS, made(run, "2:1", "1:8", "1:3", "alone"), strict=True):
        for k, (layer, index) in enumerate(chosen):
            left, top = k % 2 * (across + GAP), k // 2 * (rows + TITLE + GAP)
            drawn = at(frame, left, top, across, rows)
            wanted = still.neuron(run.net(step), layer, index, height=rows, width=across)
            # Sums in another order may move a value over the border between two of the 239 colours.
            assert np.abs(drawn.astype(int) - wanted.palette[wanted.indices]).mean() < 0.05
            assert np.ptp(drawn) > 0


def test_a_layer_is_shown_as_its_sheet(tmp_path: Path) -> None:
    run = learning(tmp_path)
    whole, alone = made(run, "layer:2"), made(run, "layer:2", "alone")
    assert whole[0].shape[0] >= alone[0].shape[0] + HEIGHT
    paper = palettes.PAPER_RGB
    for frame in alone:
        assert tuple(frame[MARGIN, MARGIN]) == paper
    assert not np.array_equal(alone[0], alone[1])


def test_the_curve_grows_and_its_axes_stand_still(tmp_path: Path) -> None:
    run = learning(tmp_path)
    blue = []
    for frame in made(run, "error", "curve"):
        chart = frame[MARGIN + TITLE + HEIGHT + GAP :].astype(int)
        blue.append(int((chart[..., 2] > chart[..., 0] + 100).sum()))
        axis = (np.abs(chart - (110, 112, 116)).max(2) < 30).sum(1)
        assert axis.max() > 0.5 * chart.shape[1], "the axis is drawn at every step"
    assert blue[0] < blue[1] < blue[2] < blue[3]


def test_all_panels_stand_in_step_and_end_with_the_run(tmp_path: Path) -> None:
    run = learning(tmp_path)
    last = made(run, "neurons", "error", "curve")[-1]
    assert np.array_equal(at(last, 0), np.floor(run.image(40).values * 255 + 0.5).astype(np.uint8))
    path = export(run, tmp_path / "film.webp", with_=("neurons", "error", "curve"))
    frames, seconds = decoded(path)
    assert len(frames) == len(STEPS) and seconds[-1] == film.HOLD
    assert min(frames[0].shape[:2]) >= 256, "small paintings are enlarged"


def test_the_curve_alone_needs_no_weights_and_shows_every_frame(tmp_path: Path) -> None:
    run = synthetic(tmp_path, count=7, width=WIDTH, height=HEIGHT)
    frames = made(run, "curve")
    assert len(frames) == 7
    for frame, (_, path) in zip(frames, run.frames(), strict=True):
        assert np.array_equal(at(frame, 0), np.asarray(Image.open(path)))


def test_other_tasks_show_their_errors_as_a_curve(tmp_path: Path) -> None:
    run = synthetic(tmp_path, count=0)
    origin = run.recipe.replace(task="digits")
    run.change_recipe(origin)
    for k, (_, path) in enumerate(synthetic(tmp_path, 4).frames()):
        (run.folder / "frames" / f"{k:06d}.jpg").write_bytes(path.read_bytes())
        run.add_metrics({"step": k, "epoch": k / 2, "test_error": 0.9 / (1 + k)})
    assert len(made(run, "curve")) == 4
    with pytest.raises(RecipeError, match="task digits"):
        film_panels.frames(run, ("error",))


@pytest.mark.parametrize("width, height", [(1, 1), (3, 200), (400, 2), (40, 30), (900, 20)])
def test_every_shape_of_picture_makes_frames_of_one_size(width: int, height: int, tmp_path: Path) -> None:
    run = learning(tmp_path, width, height)
    frames = made(run, "neurons", "error", "curve", size=None)
    assert max(frames[0].shape[:2]) < 3 * 900 + 400


@pytest.mark.parametrize("channels", (1, 4))
def test_grey_and_opacity_are_shown(channels: int, tmp_path: Path) -> None:
    run = learning(tmp_path, channels=channels)
    frame = made(run, "error")[1]
    values = run.image(3).values
    wanted = values if channels == 1 else values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    assert np.abs(at(frame, 0) - 255 * wanted).max() <= 1
    assert metrics.psnr(run.target.values, values) < 40, "there is an error to show"


def test_profiles_are_converted_for_false_colours_to_be_true(tmp_path: Path) -> None:
    run = learning(tmp_path, icc=swapped())
    shown = at(made(run, "error")[2], 0).astype(float)
    stored = run.image(10).values * 255
    straight, crossed = np.abs(shown - stored).mean(), np.abs(shown - stored[..., ::-1]).mean()
    assert crossed < 2 < 0.5 * straight


def test_sizes_are_those_of_the_painting_s_panel(tmp_path: Path) -> None:
    run = learning(tmp_path)
    frame = made(run, "error", size="130x100")[0]
    assert frame.shape == (2 * MARGIN + TITLE + 100 + TITLE % 2, 2 * 170 + GAP + 2 * MARGIN, 3)
    with pytest.raises(RecipeError, match="panels end at"):
        made(run, "error", size="13x")


def test_panels_are_read_as_a_person_types_them() -> None:
    assert film_panels.parse(("Error", " curve")) == film_panels.Wanted(error=True, curve=True)
    assert film_panels.parse(("2:117", "3:5-9", "alone")) == film_panels.Wanted(False, neurons="2:117,3:5-9")
    assert film_panels.parse(("neurons", "layer:2", "layer3")) == film_panels.Wanted(
        neurons="best", layers=(2, 3)
    )
    assert film_panels.parse(("painting", "curve")).painting
    with pytest.raises(RecipeError, match="did you mean 'neurons'"):
        film_panels.parse(("neuron",))
    with pytest.raises(RecipeError, match="known are error, curve"):
        film_panels.parse(("spectrum",))
    with pytest.raises(RecipeError, match="at least one"):
        film_panels.parse(("alone",))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    run = learning(tmp_path)
    for words, said in (
        (("3:0",), "layer 3 does not exist"),
        (("2:5",), "out of range"),
        (("layer:7",), "layer 7"),
    ):
        with pytest.raises(RecipeError, match=said):
            made(run, *words)
    with pytest.raises(RunError, match="holds no frames"):
        film_panels.frames(run, ("curve",))
    with pytest.raises(RunError, match="holds no weights"):
        film_panels.frames(synthetic(tmp_path), ("error",))
    (run.folder / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match="no score"):
        made(run, "curve", "error")


@pytest.mark.parametrize("words", [("curve",), ("curve", "error"), ("curve", "neurons")])
def test_the_axes_of_a_fork_stand_still_from_its_first_step(tmp_path: Path, words: tuple[str, ...]) -> None:
    values = colours(13, 17).reshape(13, 17, 3)
    watch = Watch("12", "8", film="none")
    recipe = {"net": (12,), "batch": 32, "epochs": 30, "engine": "eager"}
    run = api.paint(values, **recipe, out=tmp_path, watch=watch, progress=False)
    fork = api.fork(run, 60, {"rate": run.recipe.rate / 3}, out=tmp_path, progress=False)
    assert fork.steps()[0] == fork.frames()[0][0] == 60
    for one in (run, fork):
        shown = list(film_panels.frames(one, words)[1])
        for area in (np.s_[-180:, :60], np.s_[-40:]):  # numbers of the upright axis, and below the level one
            assert all(np.array_equal(frame[area], shown[0][area]) for frame in shown)
