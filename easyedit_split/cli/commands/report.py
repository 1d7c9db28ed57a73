"""``easyedit-split report``: a folder of results as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...storage import write_whole
from ...study.page.html import chart_library, page_of
from ...study.page.of_steer import is_steer_folder, steer_contents
from ...study.page.of_study import study_contents
from ...study.paper.layout import PLAN
from ...types import ConfigError, DataError
from ..console import bar, say, say_written
from ..options import OverwriteOption
from ..output_paths import check_file

EPILOG = """Example: easyedit-split report study --out report.html

Example: easyedit-split report cheerful --out cheerful.html"""


def command(  # noqa: DOC101, DOC103
    folder: Annotated[Path, typer.Argument(help="Folder that `paper` or `steer` wrote.")],
    to: Annotated[Path, typer.Option("--out", help="Page to write: .html.")],
    overwrite: OverwriteOption = False,
) -> None:
    """Make one self-contained HTML page of results: curves, a slider over m with what the model writes, tables."""
    if to.suffix != ".html":
        raise ConfigError(f"{to}: a page is written as .html: choose this ending")
    check_file(to, overwrite)
    if not (folder / PLAN).is_file() and not is_steer_folder(folder):
        raise DataError(f"{folder}: is no folder that `easyedit-split paper` or `steer` wrote: name one")
    chart_library()
    with bar("reading") as advance:
        read = study_contents if (folder / PLAN).is_file() else steer_contents
        contents = read(folder, advance)
    page, left_out = page_of(contents)
    for note in (*contents.notes, *left_out):
        say(note, "yellow")
    write_whole(to, lambda path: _write(path, page))
    say_written(f"page of {len(contents.runs)} runs", to)


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
