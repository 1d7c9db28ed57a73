"""Choose m on development pairs, so that test pairs can say what it is worth.

    sweep of the dev pairs -> texts on some of their prompts at a few r, judged -> ``recommend``

Where there are no dev pairs the test pairs choose, and whoever reports says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import nn

from ..analysis import Collateral, JudgedTexts, Recommendation, SweepFit, fit_sweep, recommend
from ..analysis.grow import next_points
from ..datasets.base import PairTable
from ..datasets.everyday import neutral_prompts
from ..judges.judge_texts import judge_texts
from ..judges.self import FEWEST
from ..scoring.collateral import collateral
from ..scoring.sweep_pairs import known_unit, sweep_pairs
from ..steering.artifact import Artifact
from ..steering.generate import GenerateConfig
from ..steering.strength_grid import parse_strengths
from ..sweep_curves import curves_of
from ..text.prompt_tokens import Template
from .kept import NOWHERE, Kept
from .plan import SteerPlan
from .teller import Teller

WIDEST_R = 2.0
"""As far as side effects are measured where they limit m."""
JUDGED_R = (0.06, 0.12, 0.24, 0.48, 0.96)
"""Strengths at which texts are judged, beside the one that the pairs alone would choose."""


@dataclass(frozen=True)
class Chosen:
    """The recommended m, with the sweep, fits and judged texts behind it.

    Attributes:
        table: sweep of the pairs that chose m.
        fit: both fitted curves of it.
        choice: the recommended m, or why there is none.
        judged: texts and their scores; None where none were judged.
    """

    table: pd.DataFrame
    fit: SweepFit
    choice: Recommendation
    judged: pd.DataFrame | None = None


def choose_m(
    model: nn.Module,
    tokenizer: Any,
    training: PairTable,
    pairs: PairTable,
    artifact: Artifact,
    plan: SteerPlan,
    *,
    model_name: str,
    tell: Teller,
    kept: Kept = NOWHERE,
) -> Chosen:
    """Sweep pairs that were not trained on and choose m there.

    Args:
        model: the bare model.
        tokenizer: the model's.
        training: what the artifact was trained on; judges learn from it.
        pairs: that choose m.
        artifact: one intervention.
        plan: grid, limits, and how many texts are judged.
        model_name: how the table names the model.
        tell: hears how far it is.
        kept: what an interrupted run had finished.

    Raises:
        DataError: a row that cannot be encoded.
    """
    made_with = artifact.identity()
    grid = parse_strengths(plan.m)
    points = grid.in_m(known_unit(model, tokenizer, pairs, artifact).r_per_m)
    rule = next_points(points, grows=grid.grows, refine=plan.refine)
    with tell.bar(f"scoring {pairs.split or 'held-out'} pairs") as advance:
        table = sweep_pairs(
            model,
            tokenizer,
            pairs,
            artifact,
            points,
            model_name=model_name,
            next_points=rule,
            progress=advance,
            journal=kept.section(f"the sweep that chooses m, of {made_with}"),
        )
    fit = fit_sweep(curves_of(table), keep_going=True)[0]
    limit = _limit(model, tokenizer, artifact, table, plan, tell, kept)
    choice = recommend(fit, collateral=limit)
    asked = _judged_points(artifact, table, choice) if plan.judged else []
    if asked and len(training) < FEWEST:
        tell.say(f"the pairs alone choose m: {len(training)} training pairs teach no judge of texts, {FEWEST} would")
        asked = []
    judged = None
    if asked:
        judged = kept.table(
            f"judged texts at {asked}, of {made_with}",
            lambda: _judged(model, tokenizer, training, pairs, artifact, asked, plan, tell),
        )
        choice = recommend(fit, collateral=limit, texts=JudgedTexts.of(judged))
    return Chosen(table, fit, choice, judged)


def side_effects(
    model: nn.Module,
    tokenizer: Any,
    artifact: Artifact,
    m: Sequence[float],
    plan: SteerPlan,
    tell: Teller,
    kept: Kept = NOWHERE,
) -> pd.DataFrame:
    """KL per token and changed answers on neutral prompts.

    Args:
        model: the bare model.
        tokenizer: the model's.
        artifact: one intervention.
        m: at which.
        plan: says on how many prompts.
        tell: hears how far it is.
        kept: what an interrupted run had finished.
    """
    prompts, template = neutral_prompts(plan.neutral), Template(tokenizer, artifact.tokens)

    def measure() -> pd.DataFrame:
        with tell.bar("side effects") as advance:
            return collateral(model, template, prompts, artifact.only(), m, progress=advance)

    return kept.table(f"side effects at {list(m)}, of {artifact.identity()}", measure)


def _limit(
    model: nn.Module,
    tokenizer: Any,
    artifact: Artifact,
    table: pd.DataFrame,
    plan: SteerPlan,
    tell: Teller,
    kept: Kept,
) -> Collateral | None:
    """Side effects over the swept m up to ``WIDEST_R``, and how much of them is allowed; None without a limit."""
    if plan.max_kl is None:
        return None
    near = table.loc[(table["r"] > 0) & (table["r"] <= WIDEST_R), "m1"].unique()
    points = sorted(float(m) for m in near)
    return Collateral.of(side_effects(model, tokenizer, artifact, points, plan, tell, kept), plan.max_kl)


def _judged_points(artifact: Artifact, table: pd.DataFrame, choice: Recommendation) -> list[float]:
    """The m at which texts are judged, 0 among them; empty where no other lies in the sweep."""
    unit = artifact.unit
    if unit is None or unit.r_per_m <= 0:
        return []
    asked = [r / unit.r_per_m for r in JUDGED_R] + ([] if choice.m is None else [choice.m])
    points = sorted({0.0, *(m for m in asked if m <= table["m1"].max())})
    return points if len(points) > 1 else []


def _judged(
    model: nn.Module,
    tokenizer: Any,
    training: PairTable,
    pairs: PairTable,
    artifact: Artifact,
    points: Sequence[float],
    plan: SteerPlan,
    tell: Teller,
) -> pd.DataFrame:
    """Texts on some of the pairs' prompts, scored by the bare model."""
    template, config = Template(tokenizer, artifact.tokens), GenerateConfig(max_new_tokens=plan.max_new_tokens)
    with tell.bar("judging texts") as advance:
        judged, accuracy = judge_texts(
            model, template, artifact, training, pairs[: plan.judged], points, config=config, progress=advance
        )
    for share in accuracy.values():
        tell.say(f"texts were judged by the bare model; its probe tells {share:.0%} of held-out training answers apart")
    return judged
