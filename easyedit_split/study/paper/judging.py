"""Items ``judge``: scores of generated answers, a row of ``layout.JUDGED_COLUMNS`` and scores for each answer.

A judge that must learn first is calibrated once for each concept, on its training pairs and the unsteered answers to
the dev prompts, whichever run is judged; all runs of a dataset share the block that it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ...judges.base import AXBENCH, Calibration, Judge, Service, learns, prepared_judge, scores_of
from ...judges.judge_texts import AGAINST
from ...judges.self import cut_off
from ...sweep_table import write_table
from ...types import DataError, Pair
from .answering import Answer
from .bench import Bench
from .layout import BASELINE, JUDGED_COLUMNS, SCORE, STRENGTHS
from .plan import Run
from .readers import read_results
from .splits import some


def judge_run(bench: Bench, run: Run) -> None:
    """Judge all answers of a run by every judge of its dataset, and write the table.

    Args:
        bench: of the run's model and dataset.
        run: whose answers are written.
    """
    names = (BASELINE,) if run.cell.baseline else STRENGTHS
    found = [name for name in names if run.paths.generated(name).is_file()]
    answers = {name: _read(bench, run, name) for name in found}
    parts = [
        judged(bench, judge, name, answers[name]) for judge in bench.data.judges for name in found if answers[name]
    ]
    write_table(pd.concat(parts, ignore_index=True), run.paths.judged)


def judged(bench: Bench, judge: str, strength: str, answers: Sequence[Answer]) -> pd.DataFrame:
    """Score answers by one judge.

    Args:
        bench: of their model and dataset.
        judge: a registered judge.
        strength: name of their m, for the table.
        answers: to pairs of any concepts.

    Returns:
        A row for each answer, in order; a score that the judge does not give is NaN.
    """
    rows: dict[int, dict[str, Any]] = {}
    for concept in dict.fromkeys(answer.pair.concept for answer in answers):
        places = [place for place, answer in enumerate(answers) if answer.pair.concept == concept]
        members = [answers[place] for place in places]
        cut = [cut_off(a.text, a.ended, a.bare.ended) for a in members]
        prompts, texts = [a.pair.prompt for a in members], [a.text for a in members]
        found = scores_of(_judge(bench, judge, concept), prompts, texts, [a.pair for a in members], cut)
        for place, answer, broken, scores in zip(places, members, cut, found, strict=True):
            known = (judge, strength, answer.m, concept or "", answer.row, str(answer.pair.prompt), answer.text, broken)
            rows[place] = dict(zip(JUDGED_COLUMNS, known, strict=True)) | {
                f"{SCORE}{name}": float(value) for name, value in scores.items()
            }
    return pd.DataFrame([rows[place] for place in range(len(answers))])


def _judge(bench: Bench, name: str, concept: str | None) -> Judge:
    """A judge of one concept's answers, made once while the process lives."""
    key = ("judge", name, concept)
    if key not in bench.kept:
        calibration = _calibration(bench, concept) if learns(name) else None
        bench.kept[key] = prepared_judge(name, calibration, _service(bench))
    judge: Judge = bench.kept[key]
    return judge


def _service(bench: Bench) -> Service:
    """What a judge that asks a model elsewhere grades: AxBench's scales, and power where the dataset is about it."""
    scales = ("power", *AXBENCH) if "power" in bench.data.scores else AXBENCH
    return Service(url=bench.plan.judge_url, scales=scales)


def _calibration(bench: Bench, concept: str | None) -> Calibration:
    limit = bench.plan.calibration
    concepts = bench.pairs.train.concepts()
    chosen = some(bench.pairs.train, limit * len(concepts))
    mine: list[Pair] = [pair for pair in chosen if pair.concept == concept]
    others = [(pair.prompt, pair.positive) for pair in chosen if pair.concept != concept]
    prompts = [pair.prompt for pair in bench.pairs.judged_dev]
    own = [(text.prompt, text.text) for text in bench.bare(prompts)]
    against = others[:: max(1, len(others) // AGAINST)]
    return Calibration(bench.model, bench.template, mine, own, bench.block, against)


def _read(bench: Bench, run: Run, strength: str) -> list[Answer]:
    """The answers of a results file, with the pairs that they belong to."""
    table = bench.pairs.answered
    pairs = dict(zip(table.rows, table.pairs, strict=True))
    bare = dict(zip(table.rows, bench.bare([pair.prompt for pair in table]), strict=True))
    found = []
    for row in read_results(run.paths, strength):
        if row.pair not in pairs:
            raise DataError(f"{run.paths.generated(strength)}: no pair {row.pair} is among the test prompts: delete it")
        found.append(Answer(pairs[row.pair], row.pair, row.m, row.pred[0], row.ended, bare[row.pair]))
    return found
