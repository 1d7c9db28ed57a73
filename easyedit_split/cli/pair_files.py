"""What ``pairs`` reads and writes: prompts with at most one answer; pairs as rows, and how they were made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..datasets.axbench import is_unpaired
from ..datasets.axbench_exchanges import paired_row, unpaired_file, with_concept
from ..datasets.files import Table, read_table
from ..datasets.local import split_column
from ..datasets.one_answer import Asked, read_exchanges
from ..files.reading import read_bounded
from ..study.missing_answers import Lacking, MadePair, MadePairs
from ..text.conversation import plain
from ..types import ConfigError, DataError
from .console import say
from .prompts import read_prompts

AXBENCH = "axbench"


def read_asked(source: str, concept_id: int | None, limit: int | None) -> tuple[Table, tuple[Asked, ...]]:
    """The file that is named, and its prompts.

    Args:
        source: ``--from``.
        concept_id: ``--concept-id``.
        limit: ``--limit``.

    Raises:
        ConfigError: an option that does not fit the file.
        DataError: the file or a row of it cannot be used.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit {limit}: it must be at least 1")
    named = source == AXBENCH or source.startswith(f"{AXBENCH}:")
    path = Path(source.removeprefix(f"{AXBENCH}:")) if source != AXBENCH else unpaired_file()
    table = _lines(path) if path.suffix.lower() == ".txt" else read_table(path)
    if not named and not is_unpaired(table.columns):
        if concept_id is not None:
            raise ConfigError(f"--concept-id is for AxBench's table, and {path} is another")
        asked = read_exchanges(table)
        return table, asked if limit is None else _first(asked, limit)
    asked, notes = with_concept(table, concept_id)
    for note in notes:
        say(note, "dim")
    return table, asked if limit is None else _first(asked, limit)


def _first(asked: Sequence[Asked], limit: int) -> tuple[Asked, ...]:
    """The first so many rows of each concept."""
    count: dict[str | None, int] = {}
    kept = []
    for one in asked:
        count[one.concept] = count.get(one.concept, 0) + 1
        if count[one.concept] <= limit:
            kept.append(one)
    return tuple(kept)


def _lines(path: Path) -> Table:
    """A text file as a table of prompts."""
    rows = [{"prompt": text} for text in read_prompts(None, path)]
    return Table(path, ("prompt",), rows, hashlib.sha256(read_bounded(path, DataError)).hexdigest())


def pair_rows(made: MadePairs, table: Table, lacking: Lacking) -> list[dict[str, Any]]:
    """Rows of the result: the pair, then where it comes from and what of it was written.

    Args:
        made: the pairs.
        table: the file that the prompts are from.
        lacking: which answers were written.
    """
    found, split = [], split_column(table)
    for pair in made.pairs:
        row = table.rows[pair.asked.row]
        told = {"row": pair.asked.row, "written": list(lacking.written), "cut": list(pair.cut)}
        if is_unpaired(table.columns):
            found.append({**paired_row(row, pair.positive, pair.negative), **told})
            continue
        found.append({**_pair(pair), **({} if split is None or split not in row else {"split": row[split]}), **told})
    return found


def _pair(pair: MadePair) -> dict[str, Any]:
    said = plain(pair.asked.prompt)
    prompt = {"prompt": said} if isinstance(said, str) else {"prompt": said["messages"]}
    tools = {} if isinstance(said, str) or not said["tools"] else {"tools": said["tools"]}
    concept = {} if pair.concept is None else {"concept": pair.concept}
    return {**prompt, "positive": pair.positive, "negative": pair.negative, **concept, **tools}


def made_record(made_by: dict[str, Any], table: Table, made: MadePairs, whole: bool) -> dict[str, Any]:
    """How pairs were made: everything that they depend on.

    Args:
        made_by: model, versions, instruction and settings of generation.
        table: the file that the prompts are from.
        made: the pairs.
        whole: whether rows with a cut answer were left out.
    """
    source = {"file": table.path.name, "sha256": table.sha256, "rows": len(table.rows)}
    counts = {"pairs": len(made.pairs), "cut": sum(bool(pair.cut) for pair in made.pairs), "whole": whole}
    return {"easyedit_split": __version__, "from": source, **counts, "left_out": list(made.left_out), **made_by}
