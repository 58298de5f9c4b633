"""Keep the results of a study's full run with the package, and write docs/reading-list.md from all that are kept.

    python tools/reading_list.py                        docs/reading-list.md anew
    python tools/reading_list.py --keep NAME FOLDER     first keep what `sfumato study NAME --out FOLDER` left

Keeping copies results and figure into src/sfumato/studies/results/ and writes the Result of the study's docstring.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
STUDIES = ROOT / "src" / "sfumato" / "studies"


MOST_BYTES = 150_000
"""Of a figure: all of them come with the package."""


def small_png(path: Path) -> bytes:
    """A figure as a PNG of at most `MOST_BYTES`, if need be in 256 colours; SystemExit where that is not enough.

    The colours are those that lie farthest apart: a choice by area would give up the few pixels of a legend.
    """
    from PIL import Image

    figure = Image.open(path).convert("RGB")
    for made in (figure, figure.quantize(256, method=Image.Quantize.MAXCOVERAGE)):
        file = io.BytesIO()
        made.save(file, "png", optimize=True)
        if len(file.getvalue()) <= MOST_BYTES:
            return file.getvalue()
    sys.exit(
        f"{path} is too large to be kept, {len(file.getvalue()):,} bytes: draw fewer or smaller pictures"
    )


def keep(name: str, folder: Path) -> None:
    """Copy results, figure and the facts of the run; SystemExit for a quick run or an incomplete one."""
    from sfumato.studies._kept import time_of

    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    if results["study"] != name or results["quick"] or results["verdict"] is None:
        sys.exit(f"{folder} holds no full run of {name}")
    figure = small_png(folder / "figure.png")
    (STUDIES / "results" / f"{name}.png").write_bytes(figure)
    body = json.dumps({"made": made, "results": results}, indent=1, sort_keys=True)
    (STUDIES / "results" / f"{name}.json").write_text(body + "\n", encoding="utf-8")
    verdict = results["verdict"]
    where = f"{made['date']}, {made['processor']} ({made['instruction_set']}): `{made['command']}`"
    spent = f"{made['seeds']} seeds, {time_of(made)}"
    told = f"**{verdict['holds']}**: {verdict['why']}. {spent}, {where}."
    told = textwrap.fill(told, 112, break_long_words=False, break_on_hyphens=False)
    path = STUDIES / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'(\nResult\n-{6}\n).*?(?=\n""")', lambda m: m[1] + told, text, count=1, flags=re.DOTALL)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", nargs=2, metavar=("NAME", "FOLDER"))
    asked = parser.parse_args().keep
    if asked:
        keep(asked[0], Path(asked[1]))
    from sfumato.studies._kept import reading_list

    (ROOT / "docs" / "reading-list.md").write_text(reading_list(), encoding="utf-8")


if __name__ == "__main__":
    main()
