"""Items ``judge dev`` and ``choose``: the m of each column of Table 3.

published     m = 1
best          of m = 0, 1 and a few r, the m at which a judge finds answers to dev prompts best; the least of equals
recommended   what ``recommend`` makes of the dev pairs, and of those texts where the judge gives an overall score
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from ...analysis import JudgedTexts, Recommendation, recommend
from ...steering.artifact import Artifact
from ...sweep_table import write_table
from .answering import answers_at
from .bench import Bench, write_json
from .fitting import fitted
from .judging import judged
from .layout import BEST, PUBLISHED, RECOMMENDED, SCORE
from .plan import Run
from .readers import read_judged
from .records import ChosenStrength, plain_rows
from .sweeping import swept_m

PUBLISHED_M = 1.0


def judge_dev(bench: Bench, run: Run) -> None:
    """Answer dev prompts at a few m, judge them by the first judge, and write the table.

    Args:
        bench: of the run's model and dataset.
        run: whose artifact.
    """
    artifact = Artifact.from_pretrained(run.paths.artifact)
    per_m = artifact.unit.r_per_m if artifact.unit else math.nan
    largest = swept_m(bench, artifact, "dev")[-1]
    asked = [r / per_m for r in bench.plan.judged_r]
    points = sorted({0.0, PUBLISHED_M, *(m for m in asked if m <= largest)})
    judge, answers = bench.data.judges[0], answers_at(bench, artifact, bench.pairs.judged_dev, points)
    unsteered, steered = ([a for a in answers if (a.m == 0) is bare] for bare in (True, False))
    if "judged bare" not in bench.kept:  # the same for every run
        bench.kept["judged bare"] = judged(bench, judge, {"dev": unsteered})
    table = pd.concat([bench.kept["judged bare"], judged(bench, judge, {"dev": steered})], ignore_index=True)
    write_table(table, run.paths.judged_dev)


def choose_run(bench: Bench, run: Run) -> None:
    """Choose the three m of a run, and write them.

    Args:
        bench: of the run's model and dataset.
        run: whose dev sweep and judged dev answers are made.
    """
    artifact = Artifact.from_pretrained(run.paths.artifact)
    per_m = artifact.unit.r_per_m if artifact.unit else math.nan
    table = read_judged(run.paths.judged_dev)
    chosen = (
        ChosenStrength(PUBLISHED, PUBLISHED_M, per_m * PUBLISHED_M, "as published"),
        best_judged(table, bench.data.scores, per_m),
        _recommended(run, table, per_m, bench.pairs.dev_is_test),
    )
    write_json(run.paths.chosen, plain_rows(chosen))


def best_judged(table: pd.DataFrame, scores: Sequence[str], r_per_m: float) -> ChosenStrength:
    """The m whose answers a judge scores best; of equals the least.

    Args:
        table: judged answers to dev prompts.
        scores: wanted, the last one that the judge gives counts.
        r_per_m: r at m = 1.
    """
    known = [name for name in scores if f"{SCORE}{name}" in table.columns]
    if not known:
        return ChosenStrength(BEST, None, None, f"the judge gives none of {', '.join(scores)}")
    means = table.groupby("m1")[f"{SCORE}{known[-1]}"].mean().dropna()
    if means.empty:
        return ChosenStrength(BEST, None, None, f"the judge gave no {known[-1]} that can be read")
    m = float(means[means >= means.max() - 1e-9].index.min())
    reason = f"{known[-1]} of dev answers is best here, of {len(means)} m"
    return ChosenStrength(BEST, m, r_per_m * m, reason, float(means.max()))


def _recommended(run: Run, judged_dev: pd.DataFrame, per_m: float, on_test: bool) -> ChosenStrength:
    texts, unread = graded_texts(judged_dev, str(run.paths.judged_dev))
    found: Recommendation = recommend(fitted(run.paths, "dev"), texts=texts)
    reason = found.reason + unread + ("; there is no dev split: the test pairs chose" if on_test else "")
    if found.m is None:
        return ChosenStrength(RECOMMENDED, None, None, reason)
    return ChosenStrength(RECOMMENDED, found.m, per_m * found.m, reason)


def graded_texts(table: pd.DataFrame, source: str) -> tuple[JudgedTexts | None, str]:
    """Judged answers as ``recommend`` takes them, and what is said of those without a grade that can be read.

    Args:
        table: judged answers to dev prompts.
        source: its file, for messages.

    Returns:
        None where the judge gives no overall score, or no prompt has one at every m; the words are empty where nothing
        is left out.
    """
    column = f"{SCORE}overall"
    if column not in table.columns:
        return None, ""
    named = table.assign(prompt=table["concept"] + " " + table["pair"].astype(str), overall=table[column])
    whole = named["overall"].notna().groupby(named["prompt"]).all()
    if not whole.any():
        return None, f"; none of {len(whole)} dev prompts has a readable grade at every m: the pairs alone chose"
    left_out = int((~whole).sum())
    said = f"; {left_out} of {len(whole)} dev prompts lack a readable grade at some m and count nowhere"
    return JudgedTexts.of(named[["m1", "prompt", "overall"]], source), said if left_out else ""
