"""What would stop a study in the middle is said before anything of it is made.

    cells   have settings that fit each other
    judges  that learn have enough training pairs of every concept; that ask a model elsewhere reach it; that do neither
            can judge the pairs' own positive answers
    prompt  the baseline whose instruction names the concept has one to name

and, where the first of its runs begins and a model is there, that every row can be scored and every prompt answered. A
plan and its pairs cannot be changed once runs are there, so hours would be lost. What is made already is not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ...datasets.base import PairTable
from ...judges.base import asks, fewest_pairs, learns, prepared_judge
from ...scoring.encode_table import encode_table
from ...types import DataError
from ..answerable import require_answerable
from .bench import Bench
from .judging import service_of
from .plan import PROMPT, Run
from .sweeping import instructed
from .work import missing


def check_beforehand(benches: Iterable[tuple[Bench, list[Run]]]) -> None:
    """Raise for what could not be made, or not be judged.

    Args:
        benches: of a study, with their runs; no model is loaded.

    Raises:
        ConfigError: settings that do not fit each other, no client or no key of a judge.
        DataError: pairs that a judge or an instruction cannot use.
        ServiceError: nothing listens where a judge is to be asked.
    """
    for bench, runs in benches:
        left = [run for run in runs if missing(run)]
        for run in left:
            if not run.cell.baseline:
                bench.train_config(run.cell, run.seed)
            elif run.cell.objective == PROMPT:
                instructed(bench, bench.pairs.test)
        for judge in bench.data.judges if left else ():
            _check_judge(bench, judge)


def check_rows(bench: Bench) -> None:
    """Raise for a row that the model cannot score, or a prompt that it cannot answer; the model is loaded.

    Args:
        bench: of one model and dataset.

    Raises:
        DataError: file, row and why.
    """
    pairs, template = bench.pairs, bench.template
    scored = [pairs.train, pairs.dev, pairs.test]
    asked = [pairs.judged_dev, pairs.answered, pairs.shown] if bench.data.judges else []
    if bench.data.instruction and any(cell.objective == PROMPT for cell in bench.plan.cells):
        scored.append(instructed(bench, pairs.test))
        asked += [instructed(bench, pairs.answered)] if asked else []
    for table in scored:
        encode_table(table, template, bench.model)
    for table in asked:
        prompts = [pair.prompt for pair in table]
        require_answerable(bench.model, template, prompts, table.rows, bench.data.max_new_tokens, table.source)


def _check_judge(bench: Bench, judge: str) -> None:
    if learns(judge):
        _check_enough(bench.pairs.train, judge)
    elif asks(judge):
        prepared_judge(judge, service=service_of(bench))
    else:
        for table in (bench.pairs.judged_dev, bench.pairs.answered):
            _check_judged(table, judge)


def _check_enough(table: PairTable, judge: str) -> None:
    """Raise where a judge would learn a concept from too few pairs."""
    counts, needed = Counter(pair.concept for pair in table), fewest_pairs(judge)
    for concept, count in counts.items():
        if count < needed:
            whose = "" if len(counts) == 1 else f" of concept {concept!r}"
            raise DataError(
                f"{table.source}: {count} training pairs{whose} are too few for the judge {judge}, it needs {needed}: "
                "give more, or another --judge"
            )


def _check_judged(table: PairTable, judge: str) -> None:
    """Raise for a pair whose own positive answer a judge cannot judge."""
    reader = prepared_judge(judge)
    for row, pair in zip(table.rows, table.pairs, strict=True):
        try:
            reader.judge(pair.prompt, pair.positive, pair)
        except DataError as error:
            raise DataError(f"{table.source}, row {row}: {error}: give another --judge") from error
