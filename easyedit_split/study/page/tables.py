"""The tables of a study as the page shows them, read from its Markdown: head, cells, what is best and what second."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from ...files.reading import read_bounded
from ...files.tables import decoded
from ...types import DataError
from .contents import PageTable

_BAR = re.compile(r"(?<!\\)\|")
_BEST, _SECOND = re.compile(r"\*\*(.+)\*\*"), re.compile(r"<u>(.+)</u>")


def tables_of(path: Path, heading: str) -> Iterator[PageTable]:
    """Every table of a Markdown file.

    Args:
        path: the file.
        heading: of a table without a line of its own above it.

    Raises:
        DataError: the file cannot be read, or a row has more or fewer cells than the head.
    """
    lines = decoded(read_bounded(path, DataError), path).splitlines()
    said = heading
    for is_table, part in groupby((line.strip() for line in lines if line.strip()), lambda line: line.startswith("|")):
        if not is_table:
            said = " ".join(part).strip("* #")
            continue
        yield _table(said, [_cells(line) for line in part], path)
        said = heading


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _BAR.split(line.strip())[1:-1]]


def _table(name: str, lines: list[list[str]], path: Path) -> PageTable:
    head, rows = lines[0], lines[2:]
    for row in rows:
        if len(row) != len(head):
            raise DataError(f"{path}: a row has {len(row)} cells under {len(head)} columns: run the study again")
    marks, shown = {}, []
    for k, row in enumerate(rows):
        shown.append(tuple(_plain(cell) for cell in row))
        for j, cell in enumerate(row):
            if _BEST.fullmatch(cell) or _SECOND.fullmatch(cell):
                marks[k, j] = "best" if _BEST.fullmatch(cell) else "second"
    return PageTable(name, tuple(map(_plain, head)), tuple(shown), marks)


def _plain(cell: str) -> str:
    found = _BEST.fullmatch(cell) or _SECOND.fullmatch(cell)
    return found.group(1) if found else cell
