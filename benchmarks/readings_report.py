"""The tables of ``readings.py --score``: what blind readers found at half, once and twice the recommended m."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from readings_sheet import (
    STRENGTHS,
    Reading,
    Row,
    agreement,
    checked_scores,
    paired_difference,
    read_lines,
    readings_of,
)

ENOUGH = 0.8
BARE = "bare"
Readings = Mapping[tuple[str, str, str], Reading]


def report(cells: Sequence[Row], key: Sequence[Row], files: Sequence[Path]) -> str:
    """All tables, as Markdown."""
    readers = merged([checked_scores(read_lines(path), key, str(path)) for path in files])
    found = readings_of(key, readers)
    parts = [
        *(f"**{title}**\n\n{table}" for title, table in (
            ("What was chosen", chosen_table(cells)), ("What was read", read_table(cells, found)),
            ("Against half and twice", difference_table(cells, found)),
        )),
        verdict(cells, found),
    ]  # fmt: skip
    agreed = agreement(readers)
    if agreed:
        rows = [(name, str(n), f"{same:.2f}", f"{kappa:.2f}") for name, n, same, kappa in agreed]
        parts.append("**Two readers of one text**\n\n" + markdown(("", "texts", "the same", "weighted kappa"), rows))
    return "\n\n".join(parts)


def merged(files: Sequence[Mapping[str, Row]]) -> list[dict[str, Row]]:
    """Files as readers: those that share no text become one, since which is whose does not matter to a mean."""
    readers: list[dict[str, Row]] = []
    for scores in files:
        home = next((reader for reader in readers if not reader.keys() & scores.keys()), None)
        if home is None:
            readers.append(dict(scores))
        else:
            home.update(scores)
    return readers


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join([f"| {' | '.join(head)} |", "|" + "-|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)])


def name_of(cell: Mapping[str, Any]) -> str:
    """Form and objective."""
    return f"{cell['form']} x {cell['objective']}"


def chosen_table(cells: Sequence[Row]) -> str:
    """m* of each cell and what it does on the test pairs, or why there is none."""
    rows = []
    for cell in cells:
        start = (cell["concept"], name_of(cell), str(cell["layer"]))
        if cell["m"] is None:
            rows.append((*start, "none", "", "", "", "", cell["reason"].removeprefix("no usable m: ")))
            continue
        test = cell["test"]
        kl = "" if cell["kl"] is None else f"{cell['kl']:.2f}"
        gain = f"{test['preference']:+.1f} ({test['raised']} of {test['pairs']})"
        strength = (f"{cell['m']:.3g}", f"{cell['m'] * cell['r_per_m']:.2f}")
        rows.append((*start, *strength, gain, f"{test['utility']:+.1f}", kl, cell["reason"]))
    head = ("concept", "", "layer", "m*", "r", "preference gained on test", "utility", "KL", "reason")
    return markdown(head, rows)


def read_table(cells: Sequence[Row], found: Readings) -> str:
    """Shares and harmonic means at each strength."""
    rows = []
    for concept in dict.fromkeys(cell["concept"] for cell in cells):
        bare = found.get((concept, BARE, BARE))
        if bare is not None:
            values = (f"{bare.carried:.0%}", f"{bare.sound:.0%}", f"{bare.overall.mean():.2f}")
            rows.append((concept, "unsteered", *(f" {value} " for value in values)))
        for cell in cells:
            if cell["concept"] == concept and cell["m"] is not None:
                at = [found[concept, name_of(cell), strength] for strength in STRENGTHS]
                columns = (
                    " / ".join(f"{r.carried:.0%}" for r in at),
                    " / ".join(f"{r.sound:.0%}" for r in at),
                    " / ".join(f"{r.overall.mean():.2f}" for r in at),
                )
                rows.append((concept, name_of(cell), *columns))
    head = ("at half / once / twice m*", "", "concept >= 1", "fluent and on topic >= 1", "harmonic mean, 0 to 2")
    return markdown(head, rows)


def difference_table(cells: Sequence[Row], found: Readings) -> str:
    """Harmonic mean at m* less that at half and at twice, paired, with intervals; the last rows are over all cells."""
    rows, every = [], {other: [] for other in ("half", "twice")}
    for cell in cells:
        if cell["m"] is None:
            continue
        once = found[cell["concept"], name_of(cell), "once"].overall
        row = [cell["concept"], name_of(cell)]
        for other in every:
            rival = found[cell["concept"], name_of(cell), other].overall
            every[other].append(once - rival)
            row.append(worded(paired_difference(once, rival)))
        rows.append(tuple(row))
    if rows:
        pooled = [np.mean(differences, axis=1) for differences in every.values()]
        rows.append(
            ("all cells", "bootstrap over cells", *(worded(paired_difference(d, np.zeros_like(d))) for d in pooled))
        )
    return markdown(("concept", "", "m* less half m*", "m* less twice m*"), rows)


def worded(difference: tuple[float, float, float]) -> str:
    """A mean and its interval."""
    mean, low, high = difference
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def verdict(cells: Sequence[Row], found: Readings) -> str:
    """How many cells hold what is asked of a recommendation."""
    given = [cell for cell in cells if cell["m"] is not None]
    carried = sound = both = beaten = 0
    for cell in given:
        half, once, twice = (found[cell["concept"], name_of(cell), strength] for strength in STRENGTHS)
        carried += once.carried >= ENOUGH
        sound += once.sound >= ENOUGH
        both += once.carried >= ENOUGH and once.sound >= ENOUGH
        beaten += any(paired_difference(rival.overall, once.overall)[1] > 0 for rival in (half, twice))
    return (
        f"Of {len(cells)} cells {len(cells) - len(given)} are refused an m. Of the other {len(given)}, at m*: "
        f"{carried} carry the concept in at least 8 of 10 texts, {sound} are fluent and on topic in at least 8 of 10, "
        f"{both} do both; {beaten} are beaten by half or twice m* by more than the reading's noise."
    )
