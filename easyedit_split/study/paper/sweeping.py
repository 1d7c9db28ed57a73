"""Items ``sweep`` and ``side effects``: preference and utility over m of each split, and KL on neutral prompts.

The baselines are scored at m = 0: as they stand, and with the instruction before each prompt.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from ...datasets.base import PairTable
from ...scoring.collateral import collateral
from ...scoring.encode_table import encode_table
from ...scoring.engine.scorer import scores_over_m
from ...scoring.sweep_encoded import scored_rows
from ...scoring.sweep_pairs import sweep_pairs
from ...steering.artifact import Artifact
from ...steering.strength_grid import parse_strengths
from ...sweep_table import write_table
from ...text.conversation import in_front
from ...types import DataError, Pair
from ..missing_answers import CONCEPT
from .bench import Bench
from .layout import SweepSplit
from .plan import PROMPT, Run

WIDEST_R = 2.0
"""As far as side effects are measured."""


def sweep_run(bench: Bench, run: Run, split: SweepSplit) -> None:
    """Score a split's pairs over m, and write the table.

    Args:
        bench: of the run's model and dataset.
        run: whose artifact.
        split: which pairs.

    Raises:
        DataError: a row that cannot be encoded.
        ArtifactError: the artifact cannot be read, or is not for this model.
    """
    artifact = Artifact.from_pretrained(run.paths.artifact)
    pairs = {"train": bench.pairs.sweep_train, "dev": bench.pairs.dev, "test": bench.pairs.test}[split]
    journal = bench.journal(run.paths.sweep(split), run, artifact=artifact.identity(), split=split)
    points = swept_m(bench, artifact, split)
    table = sweep_pairs(
        bench.model,
        bench.tokenizer,
        pairs,
        artifact,
        points,
        model_name=run.model,
        journal=journal,
        engine=bench.engine,
    )
    write_table(_labelled(table, run, split), run.paths.sweep(split))
    journal.finish()


def swept_m(bench: Bench, artifact: Artifact, split: SweepSplit) -> list[float]:
    """The m of a run's sweep: the plan's grid, with 0 and the published 1; of dev pairs those that are not negative.

    Args:
        bench: of the run's model and dataset.
        artifact: says what m = 1 is worth.
        split: which pairs.
    """
    unit = artifact.unit
    points = sorted({*parse_strengths(bench.plan.m).in_m(unit.r_per_m if unit else 0.0), 0.0, 1.0})
    return [m for m in points if split != "dev" or m >= 0]


def _labelled(table: pd.DataFrame, run: Run, split: str) -> pd.DataFrame:
    """A table under the study's own names."""
    return table.assign(dataset=run.dataset, split=split, objective=run.cell.method, seed=run.seed)


def sweep_baseline(bench: Bench, run: Run) -> None:
    """Score the test pairs without steering, with the instruction in front for the ``prompt`` baseline.

    Args:
        bench: of the run's model and dataset.
        run: a baseline.

    Raises:
        DataError: a row that cannot be encoded.
    """
    table = instructed(bench, bench.pairs.test) if run.cell.objective == PROMPT else bench.pairs.test
    rows = encode_table(table, bench.template, bench.model).rows
    (scores,) = scores_over_m(bench.model, rows, None, [0.0], pad_id=bench.template.pad_id)
    labels: dict[str, str | int] = {
        "model": run.model,
        "dataset": run.dataset,
        "split": "test",
        "form": "",
        "objective": run.cell.method,
        "site": "",
        "placement": "",
        "seed": run.seed,
    }
    write_table(scored_rows(labels, rows, scores, 0.0, 0.0), run.paths.sweep("test"))


def instructed(bench: Bench, table: PairTable) -> PairTable:
    """Pairs with the instruction in front of their prompts.

    Args:
        bench: has the instruction.
        table: pairs.

    Raises:
        DataError: the instruction names the concept of a pair that has none.
    """
    bare = [row for row, pair in zip(table.rows, table.pairs, strict=True) if pair.concept is None]
    if CONCEPT in bench.data.instruction and bare:
        raise DataError(
            f"{table.source}, row {bare[0]}: has no concept, and the instruction names it as {CONCEPT}: write it out "
            f"(--instruction {bench.data.label}=SENTENCE)"
        )
    return replace(table, pairs=tuple(_instructed(pair, bench.data.instruction) for pair in table.pairs))


def _instructed(pair: Pair, instruction: str) -> Pair:
    return replace(pair, prompt=in_front(instruction.replace(CONCEPT, pair.concept or ""), pair.prompt))


def measure_side_effects(bench: Bench, run: Run) -> None:
    """Measure KL on neutral prompts at m >= 0 up to r = 2, each concept's on an equal share of them.

    Args:
        bench: of the run's model and dataset.
        run: whose artifact.
    """
    artifact = Artifact.from_pretrained(run.paths.artifact)
    unit = artifact.unit
    reach = WIDEST_R / unit.r_per_m if unit else 0.0
    points = [m for m in swept_m(bench, artifact, "dev") if m <= reach]
    parts, concepts = [], artifact.concepts[: len(bench.neutral)]
    for place, concept in enumerate(concepts):
        prompts = bench.neutral[place :: len(concepts)]
        table = collateral(
            bench.model, bench.template, prompts, artifact[concept], points, bare=bench.bare_neutral(prompts)
        )
        parts.append(table.assign(prompt=table["prompt"] * len(concepts) + place))
    joined = pd.concat(parts).sort_values(["m1", "m2", "prompt"], kind="stable").reset_index(drop=True)
    write_table(joined, run.paths.collateral)
