"""Read texts to be judged: of ``judge``, ``sweep --texts`` or ``apply --out``, or any table of prompts and texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..datasets.files import read_table
from ..files.reading import shown
from ..judges.judge_texts import TEXT_COLUMNS
from ..text.conversation import as_prompt
from ..types import DataError, Pair

STRENGTH = ("m1", "m")


def read_written(path: Path, pairs: Sequence[Pair] | None) -> tuple[pd.DataFrame, list[Pair]]:
    """Texts of a file, and the pair that each one answers.

    Args:
        path: .parquet, .csv, .tsv, .json or .jsonl.
        pairs: known by their prompts, or by number where the file has no more; None where there are none, so that each
            prompt stands for a pair without answers.

    Returns:
        ``judge_texts.TEXT_COLUMNS``, and a pair for each row.

    Raises:
        DataError: a row without a text, a prompt or a strength, or a prompt that no pair has.
    """
    known = list(pairs or ())
    places: dict[str, int] = {}
    for place, pair in enumerate(known):
        places.setdefault(pair.prompt, place)
    rows, answered = [], []
    for number, row in enumerate(read_table(path).rows):
        where = f"{path}, row {number}"
        place = _place(row, where, known, places, grows=pairs is None)
        pair, said = known[place], _number(row.get("prompt"))
        answered.append(pair)
        cut = str(row.get("cut_off", "")).casefold() in ("true", "1", "1.0")
        kept = place if said is None else said
        rows.append((_strength(row, where), kept, str(pair.prompt), pair.concept or "", _text(row, where), cut))
    return pd.DataFrame(rows, columns=list(TEXT_COLUMNS)), answered


def _number(value: Any) -> int | None:
    """A whole number that a field holds, in a csv file as text; None for anything else."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer():
        return int(value)
    return None


def _strength(row: Mapping[str, Any], where: str) -> float:
    value = next((row[name] for name in STRENGTH if name in row), 0.0)
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(f"{where}: m is {shown(value)}; it must be a number: judge texts of one intervention")
    return found


def _text(row: Mapping[str, Any], where: str) -> str:
    value = row.get("text")
    if not isinstance(value, str):
        found = "missing" if value is None else f"a {type(value).__name__}"
        raise DataError(f"{where}: field 'text' is {found}, wanted the text that is to be judged")
    return value


def _place(row: Mapping[str, Any], where: str, pairs: list[Pair], places: dict[str, int], *, grows: bool) -> int:
    """Place of the pair that a row's text answers: by its question or prompt, else by its number."""
    field = "question" if row.get("question") else "prompt"
    value, number = row.get(field), _number(row.get(field))
    if number is not None and value not in places:
        if not grows and 0 <= number < len(pairs):
            return number
        known = f"is none of the {len(pairs)} pairs" if not grows else "is a number, and no data are given"
        raise DataError(f"{where}: prompt {number} {known}: give the --data that it is of")
    try:
        prompt = as_prompt(value)
    except DataError as error:
        raise DataError(f"{where}: field {field!r} {error}") from error
    if prompt not in places:
        if not grows:
            raise DataError(f"{where}: no pair of the data has the prompt {shown(prompt)}: give the data it is of")
        places[prompt] = len(pairs)
        pairs.append(Pair(prompt, "", ""))
    return places[prompt]
