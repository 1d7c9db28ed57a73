"""How long the items of a study take: work counted from its plan, and the speed of a model tried on a few pairs.

    work of an item = pairs x m scored (training: three for each pair, epoch and direction) + tokens written or judged
    seconds         = scored x seconds a pair and m + tokens x seconds a token

Work alone weighs items in the progress shown; ``--dry-run`` tries the models and prints seconds. Both are estimates.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ...judges.base import learns
from ...judges.self import MOST
from ...model.hooks import device_of
from ...scoring.encode_table import encode_table
from ...scoring.engine.scorer import scores_over_m
from ...steering.generate import GenerateConfig, generate_texts
from ...steering.intervention import Intervention
from ...steering.strength_grid import parse_strengths
from ...training.objectives.base import OBJECTIVES
from .bench import Bench
from .layout import STRENGTHS
from .plan import Run
from .work import WorkItem

TRAINED = 3
"""What a step costs, in scores of its pairs: forwards, and backwards about twice that."""
JUDGED = 1
"""What a learning judge takes for a text that it reads after four prompts, in times that writing the longest takes."""
LEARNT = 5
"""What it takes to learn from a pair: both answers after four prompts, and once shuffled; in the same unit, since
training answers are whole.
"""
TRIED_PAIRS, TRIED_PROMPTS, TRIED_TOKENS = 4, 16, 16
"""As many prompts as a study answers at once: one at a time, a token takes several times as long."""
OVERHEAD = 0.3
"""Seconds an item takes that does next to nothing."""


@dataclass(frozen=True, slots=True)
class Work:
    """What an item has to do.

    Attributes:
        scored: pairs times strengths.
        tokens: written at most.
    """

    scored: int
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model is.

    Attributes:
        score: seconds for each pair and strength.
        token: seconds for each token that is written.
    """

    score: float
    token: float

    def seconds(self, work: Work) -> float:
        """Seconds that some work takes.

        Args:
            work: of an item.
        """
        return OVERHEAD + self.score * work.scored + self.token * work.tokens


TYPICAL = Speed(0.005, 0.0003)
"""Of the testbed's models on one core; it weighs items against each other, whatever the model."""


def work_of(bench: Bench, run: Run, item: WorkItem) -> Work:
    """The work of an item, counted from the plan and the pairs.

    Args:
        bench: of the run's model and dataset; its model is not loaded.
        run: which run.
        item: one of its items.
    """
    pairs, plan, longest = bench.pairs, bench.plan, bench.data.max_new_tokens
    grid = len(parse_strengths(plan.m).values) + 1
    positive, few = (grid + 1) // 2, len(plan.judged_r) + 2
    judged = JUDGED if any(learns(name) for name in bench.data.judges) else 0
    answers = 1 if run.cell.baseline else len(STRENGTHS)
    learning = _learning(bench) if judged else 0
    if item.name == "train":
        if OBJECTIVES[run.cell.objective].closed_form:
            return Work(len(pairs.train))
        train = bench.train_config(run.cell, run.seed)
        return Work(TRAINED * len(pairs.train) * train.epochs * (2 if train.directions == "both" else 1))
    known = {
        "sweep train": Work(len(pairs.sweep_train) * grid),
        "sweep dev": Work(len(pairs.dev) * positive),
        "sweep test": Work(len(pairs.test) * (1 if run.cell.baseline else grid)),
        "side effects": Work(plan.neutral * positive),
        "judge dev": Work(0, (1 + judged) * len(pairs.judged_dev) * few * longest + learning),
        "generate": Work(0, answers * len(pairs.answered) * longest),
        "judge": Work(0, judged * answers * len(pairs.answered) * longest + learning),
        "texts": Work(0, len(pairs.shown) * grid * longest),
    }
    return known.get(item.name, Work(0))


def _learning(bench: Bench) -> int:
    """An item's share of the tokens that calibrating the judges is worth: whichever judges first does it for all."""
    plan, train = bench.plan, bench.pairs.train
    concepts = len(train.concepts())
    pairs = concepts * min(MOST, plan.calibration, len(train) // concepts)
    judging = sum(1 if cell.baseline else 2 * len(plan.seeds) for cell in plan.cells)
    return LEARNT * pairs * bench.data.max_new_tokens // judging


def speed_of(bench: Bench) -> Speed:
    """The speed of a model, tried on a few of its pairs.

    Args:
        bench: loads the model where it is not loaded.
    """
    template = bench.template
    rows = encode_table(bench.pairs.test[:TRIED_PAIRS], template, bench.model).rows
    trial = Intervention.create(
        bench.model,
        "vector",
        [bench.usual_block],
        prefix_ids=template.prefix_ids,
        bos_id=template.bos_id,
        openings=template.openings,
    )
    list(scores_over_m(bench.model, rows, trial, [0.0], pad_id=template.pad_id))  # fills the caches
    clock = time.process_time if device_of(bench.model).type == "cpu" else time.perf_counter
    started = clock()
    list(scores_over_m(bench.model, rows, trial, [1.0, 2.0], pad_id=template.pad_id))
    score = (clock() - started) / (2 * len(rows))
    prompts = [pair.prompt for pair in bench.pairs.test[:TRIED_PROMPTS]]
    started = clock()
    generate_texts(bench.model, template, prompts, config=GenerateConfig(TRIED_TOKENS))
    return Speed(score, (clock() - started) / (TRIED_TOKENS * len(prompts)))
