"""Reading sheets of ``readings.py``, and what blind scores of them say.

    sheet      id, concept, definition, prompt, text                        shuffled, without a label
    key        id, concept, form, objective, at (bare, half, once, twice), m, place (of the prompt)      kept apart
    scores     id, concept, fluent, topic                                   0, 1 or 2 each, by who saw the sheet alone

A text that several cells wrote (the same prompt, the same words) stands on the sheet once and counts for all of them.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ASKED = ("concept", "fluent", "topic")
STRENGTHS = ("half", "once", "twice")
PART = 170
RESAMPLES = 4000
LEVEL = (0.025, 0.975)
Row = dict[str, Any]


def read_lines(path: Path) -> list[Row]:
    """The records of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Records as JSONL."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def texts_of(record: Mapping[str, Any], bare: Sequence[str], prompts: Sequence[str]) -> list[Row]:
    """One cell's texts, and the bare model's under form ``bare``."""
    base = {"concept": record["concept"], "form": record["form"], "objective": record["objective"]}
    rows: list[Row] = [
        {**base, "at": text["at"], "m": text["m"], "place": prompts.index(text["prompt"]), "text": text["text"]}
        for text in record["texts"]
    ]
    rows += [
        {**base, "form": "", "objective": "", "at": "bare", "m": 0.0, "place": place, "text": text}
        for place, text in enumerate(bare)
    ]
    return [{**row, "prompt": prompts[row["place"]]} for row in rows]


def texts_before(key: Sequence[Row], sheets: Sequence[Row]) -> list[Row]:
    """The texts that stand on sheets already, with what the key says of each."""
    shown = {row["id"]: row for row in sheets}
    return [{**row, "prompt": shown[row["id"]]["prompt"], "text": shown[row["id"]]["text"]} for row in key]


def cell_of(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Concept, form and objective of a record or a row of the key; the latter two are empty for unsteered texts."""
    return str(row["concept"]), str(row["form"]), str(row["objective"])


def make_sheets(
    texts: Sequence[Row], definitions: Mapping[str, str], *, part: int = PART, seed: int = 0, old: Sequence[Row] = ()
) -> tuple[list[list[Row]], list[Row]]:
    """New parts of at most ``part`` texts, shuffled, and the key of all; texts on the sheets ``old`` keep their ids."""
    unique: dict[tuple[str, str, str], list[Row]] = {}
    for row in texts:
        unique.setdefault(_text(row), []).append(row)
    ids = {_text(row): row["id"] for row in old}
    if gone := [name for which, name in ids.items() if which not in unique]:
        raise ValueError(
            f"no cell wrote {gone[0]} of the old sheets: give the folder of its cells, or remove the sheets"
        )
    fresh = sorted(which for which in unique if which not in ids)
    random.Random(f"{seed}/{len(ids)}").shuffle(fresh)
    ids |= {which: f"t{number:04d}" for number, which in enumerate(fresh, len(ids))}
    sheet = [
        {
            "id": ids[which],
            "concept": which[0],
            "definition": definitions[which[0]],
            "prompt": which[1],
            "text": which[2],
        }
        for which in fresh
    ]
    labels = ("concept", "form", "objective", "at", "m", "place")
    key = [{"id": ids[which], **{label: row[label] for label in labels}} for which in unique for row in unique[which]]
    count = max(1, -(-len(sheet) // part))
    return [sheet[k::count] for k in range(count)], sorted(key, key=lambda row: str(row["id"]))


def _text(row: Row) -> tuple[str, str, str]:
    return row["concept"], row["prompt"], row["text"]


def checked_scores(rows: Sequence[Row], key: Sequence[Row], source: str) -> dict[str, Row]:
    """Scores by id; an error names the first row that cannot be used."""
    known, found = {row["id"] for row in key}, {}
    for number, row in enumerate(rows, 1):
        where = f"{source}, row {number}"
        if row.get("id") not in known:
            raise ValueError(f"{where}: id {row.get('id')!r} is not in the key")
        for name in ASKED:
            if row.get(name) not in (0, 1, 2):
                raise ValueError(f"{where}: {name} is {row.get(name)!r}; allowed are 0, 1 and 2")
        if row["id"] in found:
            raise ValueError(f"{where}: {row['id']} is scored twice in one file; give each reader a file")
        found[row["id"]] = row
    return found


def harmonic(scores: Sequence[float]) -> float:
    """Harmonic mean; 0 if any score is 0."""
    return 0.0 if min(scores) <= 0 else len(scores) / sum(1 / score for score in scores)


@dataclass(frozen=True)
class Reading:
    """The scores of one cell at one strength, a value per prompt, averaged over readers.

    ``overall`` is the mean of each reader's harmonic mean.
    """

    concept: np.ndarray
    fluent: np.ndarray
    topic: np.ndarray
    overall: np.ndarray

    @property
    def carried(self) -> float:
        """Share of texts whose concept scores at least 1."""
        return float(np.mean(self.concept >= 1))

    @property
    def sound(self) -> float:
        """Share of texts that score at least 1 in fluency and in topic."""
        return float(np.mean((self.fluent >= 1) & (self.topic >= 1)))


def readings_of(key: Sequence[Row], readers: Sequence[Mapping[str, Row]]) -> dict[tuple[str, str, str], Reading]:
    """By (concept, form x objective, strength); texts are in the order of prompts.

    Every text of the key has to be scored by one reader at least.
    """
    groups: dict[tuple[str, str, str], dict[int, list[Row]]] = {}
    for row in key:
        scores = [reader[row["id"]] for reader in readers if row["id"] in reader]
        if not scores:
            raise ValueError(f"{row['id']} has no score: give the files of all parts")
        name = f"{row['form']} x {row['objective']}" if row["at"] != "bare" else "bare"
        groups.setdefault((row["concept"], name, row["at"]), {})[row["place"]] = scores
    found = {}
    for which, places in groups.items():
        texts = [places[place] for place in sorted(places)]
        means = {name: np.array([np.mean([s[name] for s in scores]) for scores in texts]) for name in ASKED}
        overall = np.array([np.mean([harmonic([s[name] for name in ASKED]) for s in scores]) for scores in texts])
        found[which] = Reading(**means, overall=overall)
    return found


def paired_difference(a: np.ndarray, b: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean of a - b and its 95 % interval, a bootstrap over prompts."""
    picks = np.random.default_rng(seed).integers(len(a), size=(RESAMPLES, len(a)))
    low, high = np.quantile((a - b)[picks].mean(axis=1), LEVEL)
    return float(np.mean(a - b)), float(low), float(high)


def agreement(readers: Sequence[Mapping[str, Row]]) -> list[tuple[str, int, float, float]]:
    """Per question: texts that two readers scored, exact agreement, and Cohen's kappa with quadratic weights."""
    found = []
    for name in ASKED:
        pairs = [
            (a[which][name], b[which][name])
            for k, a in enumerate(readers)
            for b in readers[k + 1 :]
            for which in a.keys() & b.keys()
        ]
        if pairs:
            x, y = np.array(pairs, dtype=float).T
            chance = float(((x[:, None] - y[None, :]) ** 2).mean())
            kappa = 1 - float(((x - y) ** 2).mean()) / chance if chance > 0 else math.nan
            found.append((name, len(pairs), float(np.mean(x == y)), kappa))
    return found
