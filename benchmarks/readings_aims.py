"""Which aim would have chosen an m whose texts read well? Every aim against the blind readings that are kept.

    python benchmarks/readings_aims.py benchmarks/readings/scores/*.jsonl

For each cell that was read: the m that each aim chooses from the kept evidence (dev sweep and judged texts of
`benchmarks/readings/evidence`), and what the readers gave the texts at the read m nearest to it on a log scale
(harmonic mean of concept, fluency and topic, 0 to 2). `one SE` is a rule that is tried here and nowhere else: the
least m whose pairs' score is within one standard error, paired over pairs, of the best m's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from readings_report import markdown, merged, name_of
from readings_sheet import STRENGTHS, Row, checked_scores, read_lines, readings_of

from easyedit_split.analysis import JudgedTexts, curves_of, fit_sweep, read_sweep, recommend
from easyedit_split.analysis.choose_m.from_pairs import between
from easyedit_split.analysis.choose_m.scored_pairs import ScoredPairs

FOLDER = Path(__file__).parent / "readings"
TIMES = {"half": 0.5, "once": 1.0, "twice": 2.0}


def one_standard_error(pairs: ScoredPairs) -> float:
    """The least m > 0 that falls behind the best by no more than a standard error."""
    fine = between(pairs.m)
    score = pairs.capped(fine)
    best = int(np.where(fine > 0, pairs.weights @ score, -np.inf).argmax())
    behind = score[:, [best]] - score
    as_good = (pairs.weights @ behind <= pairs.standard_error(behind)) & (fine > 0)
    return float(fine[np.flatnonzero(as_good)[0]])


def choices(cell: Row) -> dict[str, float | None]:
    """What each aim chooses."""
    stem = FOLDER / "evidence" / "-".join((cell["concept"], cell["form"], cell["objective"]))
    (fit,) = fit_sweep(curves_of(read_sweep(f"{stem}.sweep.parquet")), keep_going=True)
    texts = JudgedTexts.of(pd.read_parquet(f"{stem}.texts.parquet"))
    return {
        "text": recommend(fit, aim="text", texts=texts).m,
        "capped": recommend(fit, aim="capped").m,
        "one SE": one_standard_error(ScoredPairs.of(fit.curve, "raise")),
        "answer": recommend(fit, aim="answer").m,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path, nargs="+")
    given = parser.parse_args()
    key, cells = read_lines(FOLDER / "key.jsonl"), pd.read_json(FOLDER / "cells.json").to_dict("records")
    readers = merged([checked_scores(read_lines(path), key, str(path)) for path in given.scores])
    found, rows, sums = readings_of(key, readers), [], {}
    for cell in cells:
        read = {s: found[cell["concept"], name_of(cell), s].overall.mean() for s in STRENGTHS}
        row = [cell["concept"], name_of(cell), f"{max(read.values()):.2f}"]
        for aim, m in choices(cell).items():
            if m is None:
                row.append("none")
                continue
            at = min(STRENGTHS, key=lambda s: abs(np.log(m / (TIMES[s] * cell["m"]))))
            sums.setdefault(aim, []).append(read[at] / max(max(read.values()), 1e-9))
            row.append(f"{m:.3g}: {read[at]:.2f}")
        rows.append(tuple(row))
    rows.append(("mean share of the best", "", "", *(f"{np.mean(shares):.2f}" for shares in sums.values())))
    print(markdown(("concept", "", "best read", *sums), rows))


if __name__ == "__main__":
    main()
