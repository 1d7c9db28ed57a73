"""Items ``judge``: scores of generated answers, a row of ``layout.JUDGED_COLUMNS`` and scores for each answer.

A judge that must learn first is calibrated once for each concept, on its training pairs, whichever run is judged; all
runs of a dataset share the block that it reads, and what it has learnt is kept beside them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ...judges.base import AXBENCH, Judge, Service, learns, prepared_judge, scores_of
from ...judges.calibrations import Calibrations, kept_judge
from ...judges.self import cut_off
from ...steering.concept_folders import folder_names
from ...sweep_table import write_table
from ...types import DataError
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
    answers = {name: _read(bench, run, name) for name in names if run.paths.generated(name).is_file()}
    write_table(
        pd.concat([judged(bench, judge, answers) for judge in bench.data.judges], ignore_index=True), run.paths.judged
    )


def judged(bench: Bench, judge: str, answers: Mapping[str, Sequence[Answer]]) -> pd.DataFrame:
    """Score answers by one judge; a text that stands there several times, at two strengths say, is read once.

    Args:
        bench: of their model and dataset.
        judge: a registered judge.
        answers: to pairs of any concepts, by the name of their strength.

    Returns:
        A row for each answer, by strength, in order; a score that the judge does not give is NaN.
    """
    every = [(name, answer) for name, members in answers.items() for answer in members]
    scores: dict[_Text, Mapping[str, float]] = {}
    for concept in _in_own_order({answer.pair.concept for _, answer in every}):
        own = {_text(answer): answer.pair for _, answer in every if answer.pair.concept == concept}
        prompts, texts, cut = [pair.prompt for pair in own.values()], [t.text for t in own], [t.broken for t in own]
        found = scores_of(_judge(bench, judge, concept), prompts, texts, list(own.values()), cut)
        scores |= zip(own, found, strict=True)
    return pd.DataFrame([_row(judge, name, answer, scores[_text(answer)]) for name, answer in every])


def _in_own_order(concepts: Collection[str | None]) -> list[str | None]:
    """Concepts in an order of this process's own: processes that begin together calibrate judges of different ones."""
    ordered = sorted(concepts, key=str)
    random.Random(os.getpid()).shuffle(ordered)
    return ordered


class _Text(NamedTuple):
    """What a judge reads of an answer; ``pair`` is the row that its prompt stands in."""

    pair: int
    text: str
    broken: bool


def _text(answer: Answer) -> _Text:
    return _Text(answer.row, answer.text, cut_off(answer.text, answer.ended, answer.bare.ended))


def _row(judge: str, strength: str, answer: Answer, scores: Mapping[str, float]) -> dict[str, Any]:
    pair, read = answer.pair, _text(answer)
    known = (judge, strength, answer.m, pair.concept or "", answer.row, str(pair.prompt), answer.text, read.broken)
    return dict(zip(JUDGED_COLUMNS, known, strict=True)) | {
        f"{SCORE}{name}": float(value) for name, value in scores.items()
    }


def _judge(bench: Bench, name: str, concept: str | None) -> Judge:
    """A judge of one concept's answers, made once while the process lives."""
    key = ("judge", name, concept)
    if key not in bench.kept:
        if learns(name):
            calibration, path = _calibrations(bench).of(concept), _learnt_file(bench, name, concept)
            bench.kept[key] = kept_judge(name, calibration, path)
        else:
            bench.kept[key] = prepared_judge(name, service=service_of(bench))
    judge: Judge = bench.kept[key]
    return judge


def _learnt_file(bench: Bench, name: str, concept: str | None) -> Path:
    """Where a judge that learns keeps what it has learnt for one concept."""
    if concept is None:
        return bench.folder / f"judge-{name}.json"
    folders = folder_names(known for known in bench.pairs.train.concepts() if known is not None)
    return bench.folder / f"judge-{name}-{folders[concept]}.json"


def service_of(bench: Bench) -> Service:
    """What a judge that asks a model elsewhere grades: AxBench's scales, and power where the dataset is about it.

    Args:
        bench: of the dataset.
    """
    scales = ("power", *AXBENCH) if "power" in bench.data.scores else AXBENCH
    return Service(url=bench.plan.judge_url, scales=scales)


def _calibrations(bench: Bench) -> Calibrations:
    if "calibrations" not in bench.kept:
        pairs = bench.pairs.train
        chosen = some(pairs, bench.plan.calibration * len(pairs.concepts())).pairs
        bench.kept["calibrations"] = Calibrations(bench.model, bench.template, bench.block, chosen)
    found: Calibrations = bench.kept["calibrations"]
    return found


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
