"""Read prompts from ``--prompt`` or a file: one per line in .txt, else one per row, in a field ``prompt`` or
``question``.
"""

from __future__ import annotations

from pathlib import Path

from ..datasets.files import read_table
from ..datasets.pairing import text_of
from ..types import ConfigError, DataError

FIELDS = ("prompt", "question")
TABLES = (".jsonl", ".json", ".csv", ".parquet")


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
    if file.suffix == ".txt":
        return _lines(file)
    if file.suffix in TABLES:
        return _rows(file)
    raise DataError(
        f"{file}: prompts are read from .txt (one a line) or {', '.join(TABLES)} (a field prompt): use one of these"
    )


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}): give a text file in UTF-8") from error
    texts = [line for line in text.split("\n") if line.strip()]  # no other sign ends a line, U+2028 among them
    if not texts:
        raise DataError(f"{file}: holds no prompt")
    return texts


def _rows(file: Path) -> list[str]:
    table = read_table(file)
    field = next((name for name in FIELDS if name in table.columns), None)
    if field is None:
        raise DataError(f"{file}: its columns are {', '.join(table.columns)}; wanted one called {' or '.join(FIELDS)}")
    texts = []
    for number, row in enumerate(table.rows):
        try:
            texts.append(text_of(row, field))
        except DataError as error:
            raise DataError(f"{file}, row {number}: {error}: give it a text") from error
    return texts
