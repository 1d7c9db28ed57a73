"""Workflow from pairs to a steered model: layer scan, training, sweep, fit, choice of m, side effects and texts.

    pairs -> layer scan -> train each objective -> choose m on dev pairs -> sweep the test pairs -> KL and texts there

Every step is one of the package's verbs, and each decision is kept with what it rests on. Nothing is written here;
``study.report`` does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from ..analysis import Recommendation, SweepFit, fit_sweep
from ..analysis.choose_m.evidence import Evidence, evidence_at
from ..analysis.choose_m.scored_pairs import ScoredPairs
from ..analysis.grow import decay_report
from ..scoring.sweep_pairs import sweep_pairs
from ..steering.artifact import Artifact
from ..steering.generate import GenerateConfig
from ..steering.sweep_texts import sweep_texts
from ..sweep_curves import curves_of
from ..text.prompt_tokens import Template
from ..training.layer_scan import best_layer, scan_pairs
from ..training.recipes import Recipe, compose, model_recipe
from ..training.run_config import RunConfig
from ..training.train_pairs import train_artifacts
from .choose import choose_m, side_effects
from .kept import NOWHERE, Kept
from .plan import SteerData, SteerPlan, epochs_for
from .teller import Teller

AUTO = "auto"
FALLBACK_R = 0.5
"""Shown where no m can be recommended."""
LEVEL = 0.95
"""Coverage of the confidence intervals."""
TOO_STRONG = 3.0
"""Times the chosen m: far too strong, so that it is seen what that looks like."""


@dataclass(frozen=True)
class Trained:
    """The trained intervention of one objective, with its sweep, fits and chosen m.

    Attributes:
        run: its configuration.
        artifact: the intervention.
        table: its sweep over the test pairs.
        fit: both fitted curves.
        choice: the recommended m, or why there is none; chosen on dev pairs where there are some.
        m: the recommended m; that of r = 0.5 where there is none.
        dev_table: sweep of the dev pairs that chose m; None where the test pairs did.
        test: what m does to the test pairs; None where these chose it, or no m was recommended.
        judged: texts and their scores, where texts were judged.
    """

    run: RunConfig
    artifact: Artifact
    table: pd.DataFrame
    fit: SweepFit
    choice: Recommendation
    m: float
    dev_table: pd.DataFrame | None = None
    test: Evidence | None = None
    judged: pd.DataFrame | None = None

    @property
    def r_per_m(self) -> float:
        """Strength r at m = 1."""
        unit = self.artifact.unit
        return unit.r_per_m if unit else float("nan")

    @property
    def wanted(self) -> float:
        """Mean log-probability, on the pairs that chose m, of the wanted answers at the swept m nearest to it, nats."""
        table = self.table if self.dev_table is None else self.dev_table
        losses = table.groupby("m1")["L_p"].mean()
        return -float(losses.iloc[int(np.abs(losses.index.to_numpy() - self.m).argmin())])


@dataclass(frozen=True)
class SteerResult:
    """Results of a run of ``steer``.

    Attributes:
        model: the model's name.
        data: what it was trained and scored on.
        plan: what was asked for.
        scan: the layer scan's table; None where layers were given.
        trained: one for each objective.
        side_effects: as ``collateral`` gives them, at half, once and twice the chosen m; None where not asked for.
        texts: as ``sweep_texts`` gives them.
        decay: one sentence on how much of utility's decay the best one's sweep shows.
    """

    model: str
    data: SteerData
    plan: SteerPlan
    scan: pd.DataFrame | None
    trained: tuple[Trained, ...]
    side_effects: pd.DataFrame | None
    texts: pd.DataFrame
    decay: str

    @property
    def best(self) -> Trained:
        """The objective with the greatest mean log-probability of the wanted answers at its chosen m."""
        return max(self.trained, key=lambda item: item.wanted)


def steer(
    model: nn.Module,
    tokenizer: Any,
    data: SteerData,
    plan: SteerPlan,
    *,
    model_name: str,
    tell: Teller,
    kept: Kept = NOWHERE,
) -> SteerResult:
    """Run a plan: scan layers, train, sweep, choose m, measure side effects and generate texts.

    Args:
        model: a causal LM; left as it is.
        tokenizer: its own.
        data: pairs to train on, to choose the layer on and to score.
        plan: what to do.
        model_name: how records name the model; recipes go by it.
        tell: hears what is done, found and decided.
        kept: what an interrupted run of the same kind had finished, and where this one keeps what it finishes.

    Raises:
        ConfigError: a setting that is unknown, impossible or does not fit the model.
        DataError: a row that cannot be encoded.
        RunStopped: a loss or gradient was not finite.
    """
    recipes = [_recipe(plan, objective, model_name, data) for objective in plan.objectives]
    scan = None
    if plan.scan or any(recipe.needs_layers for recipe in recipes):
        scan = _scan(model, tokenizer, data, recipes[0].with_layers([0], AUTO).run_config(), tell, kept)
        recipes = [recipe.with_layers([best_layer(scan)], "a layer scan of the model") for recipe in recipes]
    runs = [recipe.run_config() for recipe in recipes]
    artifacts = _all_trained(model, tokenizer, data, runs, model_name, tell, kept)
    trained = tuple(
        _swept(model, tokenizer, data, plan, run, artifact, model_name, tell, kept)
        for run, artifact in zip(runs, artifacts, strict=True)
    )
    best = max(trained, key=lambda item: item.wanted)
    effects = None
    if plan.neutral:
        strengths = [0.5 * best.m, best.m, 2 * best.m]
        effects = side_effects(model, tokenizer, best.artifact, strengths, plan, tell, kept)
    texts = _texts(model, tokenizer, data, plan, best, tell, kept)
    decay = decay_report(curves_of(best.table)[0])
    return SteerResult(model_name, data, plan, scan, trained, effects, texts, decay)


def _recipe(plan: SteerPlan, objective: str, model_name: str, data: SteerData) -> Recipe:
    """Training settings of one objective; a model without a recipe is trained for +m and -m, with the plan's epochs."""
    own = [f"train.epochs={epochs_for(len(data.training))}", "train.directions=both"]
    overrides = [*(own if model_recipe(model_name) is None else []), *plan.overrides]
    overrides += [f"layers={list(plan.layers)}"] if plan.layers else []
    return compose(plan.form, objective, model=model_name, dataset=data.training.name, overrides=overrides)


def _scan(model: nn.Module, tokenizer: Any, data: SteerData, run: RunConfig, tell: Teller, kept: Kept) -> pd.DataFrame:
    def make() -> pd.DataFrame:
        with tell.bar("layer scan") as advance:
            return scan_pairs(model, tokenizer, data.training, run.tokens, held_out=data.dev, progress=advance)

    scan = kept.table("layer scan", make)
    tell.say(f"layer {best_layer(scan)}: it gains most preference with the wanted answers at least as likely")
    return scan


def _all_trained(
    model: nn.Module,
    tokenizer: Any,
    data: SteerData,
    runs: Sequence[RunConfig],
    model_name: str,
    tell: Teller,
    kept: Kept,
) -> tuple[Artifact, ...]:
    """Train every objective."""
    steps: dict[tuple[int, str], tuple[int, int]] = {}

    def report(place: int, concept: str, done: int, total: int, loss: float) -> None:
        steps[place, concept] = done, total
        advance(*map(sum, zip(*steps.values(), strict=True)), f"{runs[place].objective}: loss {loss:.2f}")

    with tell.bar("training " + ", ".join(f"{run.form} x {run.objective}" for run in runs)) as advance:
        found = train_artifacts(
            model,
            tokenizer,
            data.training,
            runs,
            model_name=model_name,
            progress=report,
            checkpoints=kept.checkpoints,
        )
    if kept.checkpoints is not None:
        kept.checkpoints.keep()
    return found


def _swept(
    model: nn.Module,
    tokenizer: Any,
    data: SteerData,
    plan: SteerPlan,
    run: RunConfig,
    artifact: Artifact,
    model_name: str,
    tell: Teller,
    kept: Kept,
) -> Trained:
    """Choose m for one objective on the dev pairs, and sweep the test pairs over the same m."""
    chooses = data.test if data.dev is None else data.dev
    chosen = choose_m(
        model, tokenizer, data.training, chooses, artifact, plan, model_name=model_name, tell=tell, kept=kept
    )
    choice, unit = chosen.choice, artifact.unit
    fallback = FALLBACK_R / unit.r_per_m if unit and unit.r_per_m > 0 else 1.0
    m = fallback if choice.m is None else choice.m
    tell.say(f"{run.form} x {run.objective}: {choice.reason}" + ("" if choice.m is None else f", m = {choice.m:.3g}"))
    if data.dev is None:
        return Trained(run, artifact, chosen.table, chosen.fit, choice, m, judged=chosen.judged)
    points = sorted(float(value) for value in chosen.table["m1"].unique())
    with tell.bar("scoring test pairs") as advance_test:
        table = sweep_pairs(
            model,
            tokenizer,
            data.test,
            artifact,
            points,
            model_name=model_name,
            progress=advance_test,
            journal=kept.section(f"the sweep of the test pairs, of {artifact.identity()}"),
        )
    fit = fit_sweep(curves_of(table), keep_going=True)[0]
    found = None if choice.m is None else on_pairs(fit, choice.m)
    return Trained(run, artifact, table, fit, choice, m, chosen.table, found, chosen.judged)


def on_pairs(fit: SweepFit, m: float) -> Evidence:
    """What an m does to the pairs of a sweep that did not choose it.

    Args:
        fit: of that sweep.
        m: inside it.
    """
    return evidence_at(ScoredPairs.of(fit.curve, "raise"), m, LEVEL)


def _texts(
    model: nn.Module, tokenizer: Any, data: SteerData, plan: SteerPlan, best: Trained, tell: Teller, kept: Kept
) -> pd.DataFrame:
    """Answers to held-out prompts without steering, at the chosen m, at a multiple of it, and at its negative."""
    template = Template(tokenizer, best.artifact.tokens)
    prompts = {best.artifact.concepts[0]: [pair.prompt for pair in data.test[: plan.texts]]}
    strengths = [0.0, best.m, TOO_STRONG * best.m, -best.m]
    config = GenerateConfig(max_new_tokens=plan.max_new_tokens)
    with tell.bar("writing") as advance:
        journal = kept.section(f"texts, of {best.artifact.identity()}")
        return sweep_texts(
            model, template, best.artifact, prompts, strengths, config=config, journal=journal, progress=advance
        )
