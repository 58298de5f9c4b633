"""The painting in the terminal: which way, what is written, and never where nobody would see it."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.cli import preview


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


PLAIN = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (PLAIN, "blocks"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        (PLAIN | {"KITTY_WINDOW_ID": "1"}, "kitty"),
        (PLAIN | {"TERM_PROGRAM": "ghostty"}, "kitty"),
        (PLAIN | {"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        (PLAIN | {"LC_TERMINAL": "iTerm2"}, "iterm"),
        (PLAIN | {"TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-sixel"}, "sixel"),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, "blocks"),
        (PLAIN | {"TMUX": "/tmp/x", "TERM_PROGRAM": "iTerm.app"}, "blocks"),
        ({"TERM": "dumb"}, ""),
        ({}, ""),
        (PLAIN | {"NO_COLOR": "1"}, ""),
    ],
)
def test_the_environment_says_the_way(environment: dict[str, str], expected: str) -> None:
    assert preview.way(environment) == expected


def colourful(width: int = 40, height: int = 60) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    values = np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], 2)
    return Image.fromarray(values.astype(np.uint8))


def test_half_blocks_hold_two_pixels_each() -> None:
    text = preview.drawn(colourful(), "blocks", 80, 30, {"COLORTERM": "truecolor"})
    lines = text.splitlines()
    assert len(lines) <= preview.TALLEST and all(line.endswith("\x1b[0m") for line in lines)
    cells = re.findall(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀", lines[0])
    assert len(cells) == lines[0].count("▀") == 32  # 48 rows of pixels, two thirds as many columns
    assert int(cells[0][0]) < 20 and int(cells[-1][0]) > 235, "red grows to the right"
    assert int(cells[0][1]) < int(cells[0][4]), "the lower pixel is greener"
    few = preview.drawn(colourful(), "blocks", 80, 30, {})
    codes = [int(code) for code in re.findall(r"[34]8;5;(\d+)", few)]
    assert codes and min(codes) >= 16 and max(codes) <= 231
    plain = preview.drawn(Image.new("RGB", (9, 9), (95, 135, 215)), "blocks", 80, 30, {})
    assert set(re.findall(r"[34]8;5;(\d+)", plain)) == {str(16 + 36 * 1 + 6 * 2 + 4)}, "xterm's own levels"


@pytest.mark.parametrize(("columns", "rows"), [(8, 6), (20, 10), (200, 100), (10, 100), (100, 7)])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (300, 429), (7, 5)])
def test_previews_fit_the_terminal(columns: int, rows: int, size: tuple[int, int]) -> None:
    text = preview.drawn(colourful(*size), "blocks", columns, rows, {})
    lines = text.splitlines()
    assert 1 <= len(lines) <= min(rows - 4, preview.TALLEST) + 1
    assert max(line.count("▀") for line in lines) <= min(columns - 1, preview.WIDEST)


def test_a_terminal_without_room_gets_none() -> None:
    assert preview.drawn(colourful(), "blocks", 7, 30, {}) == ""
    assert preview.drawn(colourful(), "kitty", 80, 5, {}) == ""
    assert preview.drawn(colourful(), "", 80, 30, {}) == ""


def test_kitty_and_iterm_carry_a_png_whole() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8))
    messages = re.findall(
        r"\x1b_G(?:a=T,f=100,)?m=(\d);([^\x1b]*)\x1b\\", preview.drawn(noise, "kitty", 80, 30, {})
    )
    assert len(messages) > 1 and [m for m, _ in messages] == ["1"] * (len(messages) - 1) + ["0"]
    assert all(len(part) <= preview.CHUNK for _, part in messages)
    shown = [base64.b64decode("".join(part for _, part in messages))]
    text = preview.drawn(noise, "iterm", 80, 30, {})
    (found,) = re.findall(r"\x1b\]1337;File=inline=1;size=(\d+);[^:]*:([^\a]*)\a", text)
    shown.append(base64.b64decode(found[1]))
    assert int(found[0]) == len(shown[1])
    for data in shown:
        with Image.open(io.BytesIO(data)) as image:
            assert image.width <= 80 * preview.CELL[0] and image.height <= 30 * preview.CELL[1]


def test_sixels_decode_to_the_picture() -> None:
    """By the definition: `#k` picks a colour, a letter is six pixels of a column, `$` goes back, `-` down."""
    image = colourful(120, 90)
    text = preview.drawn(image, "sixel", 13, 60, {})
    body = re.fullmatch(r'\x1bPq"1;1;(\d+);(\d+)(.*)\x1b\\\n', text, re.DOTALL)
    assert body
    width, height = int(body[1]), int(body[2])
    colours: dict[int, tuple[float, ...]] = {}
    pixels = np.zeros((height + 6, width, 3))
    left, top, at = 0, 0, 0
    for token in re.findall(r"#\d+;2;\d+;\d+;\d+|#\d+|[?-~]|[$-]", body[3]):
        if token.startswith("#") and ";" in token:
            number, _, *rgb = (int(part) for part in token[1:].split(";"))
            colours[number] = tuple(2.55 * v for v in rgb)
        elif token.startswith("#"):
            at = int(token[1:])
        elif token == "$":
            left = 0
        elif token == "-":
            left, top = 0, top + 6
        else:
            for k in range(6):
                if (ord(token) - 63) >> k & 1:
                    pixels[top + k, left] = colours[at]
            left += 1
    wanted = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS), float)
    assert np.abs(pixels[:height] - wanted).mean() < 8  # 128 colours for 10,800 pixels
    assert not pixels[height:].any()


def test_nothing_is_shown_in_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "painting.png"
    colourful().save(path)
    terminal, pipe = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stdout", Terminal())
    assert preview.show(path, terminal, PLAIN) and "▀" in terminal.getvalue()
    assert not preview.show(path, pipe, PLAIN) and pipe.getvalue() == ""
    monkeypatch.setattr("sys.stdout", io.StringIO())
    terminal = Terminal()
    assert not preview.show(path, terminal, PLAIN) and terminal.getvalue() == ""


def test_a_terminal_of_another_alphabet_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "painting.png"
    colourful().save(path)
    monkeypatch.setattr("sys.stdout", Terminal())

    class Latin(Terminal):
        def write(self, text: str) -> int:
            text.encode("latin-1")
            return super().write(text)

    assert not preview.show(path, Latin(), PLAIN)
