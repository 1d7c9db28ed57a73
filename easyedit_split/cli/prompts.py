"""Read prompts from ``--prompt`` or a file: one per line in .txt, else one per row, a text or a list of messages.

A column ``system`` is the system message, as in files of pairs. A file with one answer to each prompt (Alpaca's,
ShareGPT's) is read without it.
"""

from __future__ import annotations

from pathlib import Path

from ..datasets.files import ending_of, read_table
from ..datasets.one_answer import read_exchanges
from ..files.reading import read_bounded
from ..types import ConfigError, DataError
from .console import say

TABLES = ".jsonl, .json, .csv, .tsv or .parquet"


def read_prompts(prompt: list[str] | None, file: Path | None) -> list[str]:
    """Read the prompts of ``--prompt`` or ``--prompts``.

    Args:
        prompt: ``--prompt``, as often as it was given.
        file: ``--prompts``.

    Raises:
        ConfigError: neither or both.
        DataError: the file is missing or empty, of another ending, or a row has no prompt; file and row are named.
    """
    if bool(prompt) == (file is not None):
        raise ConfigError("give --prompt TEXT or --prompts FILE, one of the two")
    if prompt:
        return list(prompt)
    assert file is not None
    if file.suffix.lower() == ".txt":
        return _lines(file)
    if ending_of(file) is not None:
        return _rows(file)
    raise DataError(
        f"{file}: prompts are read from .txt (one a line) or {TABLES} (a field prompt or messages): use one of these"
    )


def _lines(file: Path) -> list[str]:
    try:
        text = read_bounded(file, DataError).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise DataError(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}): give a text file in UTF-8") from error
    texts = [line for line in text.split("\n") if line.strip()]  # no other sign ends a line, U+2028 among them
    if not texts:
        raise DataError(f"{file}: holds no prompt")
    return texts


def _rows(file: Path) -> list[str]:
    found = read_exchanges(read_table(file))
    answered = sum(one.answer is not None for one in found)
    if answered:
        say(
            f"{file}: {answered} of {len(found)} rows hold an answer, which is left out: rows are read as prompts",
            "dim",
        )
    return [one.prompt for one in found]
