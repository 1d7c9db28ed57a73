"""Workflow from pairs to a steered model: layer scan, training, sweep, fit, choice of m, side effects and texts.

    pairs -> layer scan -> train each objective -> sweep over r until the decay shows -> choose m -> KL and texts there

Every step is one of the package's verbs, and each decision is kept with what it rests on. Nothing is written here;
``study.report`` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from torch import nn

from ..analysis import Collateral, Recommendation, SweepFit, fit_sweep, recommend
from ..analysis.grow import decay_report, next_points
from ..datasets.everyday import neutral_prompts
from ..scoring.collateral import collateral
from ..scoring.sweep_pairs import known_unit, sweep_pairs
from ..steering.artifact import Artifact
from ..steering.generate import GenerateConfig
from ..steering.strength_grid import parse_strengths
from ..steering.sweep_texts import sweep_texts
from ..sweep_curves import curves_of
from ..text.prompt_tokens import Template
from ..training.layer_scan import best_layer, scan_pairs
from ..training.recipes import Recipe, compose, model_recipe
from ..training.run_config import RunConfig
from ..training.train_pairs import train_artifact
from .plan import SteerData, SteerPlan, epochs_for

AUTO = "auto"
WIDEST_R = 2.0
"""As far as side effects are measured where they limit m."""
FALLBACK_R = 0.5
"""Shown where no m can be recommended."""
TOO_STRONG = 3.0
"""Times the chosen m: far too strong, so that it is seen what that looks like."""


@runtime_checkable
class Teller(Protocol):
    """Interface for progress reports of a run: messages and progress bars."""

    def say(self, text: str) -> None:
        """Report one result or decision in a sentence.

        Args:
            text: the sentence.
        """
        ...

    def bar(self, label: str) -> AbstractContextManager[Callable[..., None]]:
        """Show a progress bar.

        Args:
            label: what is under way.

        Returns:
            ``advance(done, total, note)``, in a context manager.
        """
        ...


@dataclass(frozen=True)
class Trained:
    """The trained intervention of one objective, with its sweep, fits and chosen m.

    Attributes:
        run: its configuration.
        artifact: the intervention.
        table: its sweep over the test pairs.
        fit: both fitted curves.
        choice: the recommended m, or why there is none.
        m: the recommended m; that of r = 0.5 where there is none.
    """

    run: RunConfig
    artifact: Artifact
    table: pd.DataFrame
    fit: SweepFit
    choice: Recommendation
    m: float

    @property
    def r_per_m(self) -> float:
        """Strength r at m = 1."""
        unit = self.artifact.unit
        return unit.r_per_m if unit else float("nan")

    @property
    def wanted(self) -> float:
        """Mean log-probability of the wanted answers at the swept m nearest to the chosen one, nats."""
        losses = self.table.groupby("m1")["L_p"].mean()
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
    model: nn.Module, tokenizer: Any, data: SteerData, plan: SteerPlan, *, model_name: str, tell: Teller
) -> SteerResult:
    """Run a plan: scan layers, train, sweep, choose m, measure side effects and generate texts.

    Args:
        model: a causal LM; left as it is.
        tokenizer: its own.
        data: pairs to train on, to choose the layer on and to score.
        plan: what to do.
        model_name: how records name the model; recipes go by it.
        tell: hears what is done, found and decided.

    Raises:
        ConfigError: a setting that is unknown, impossible or does not fit the model.
        DataError: a row that cannot be encoded.
        RunStopped: a loss or gradient was not finite.
    """
    recipes = [_recipe(plan, objective, model_name, data) for objective in plan.objectives]
    scan = None
    if plan.scan or any(recipe.needs_layers for recipe in recipes):
        scan = _scan(model, tokenizer, data, recipes[0].with_layers([0], AUTO).run_config(), tell)
        recipes = [recipe.with_layers([best_layer(scan)], "a layer scan of the model") for recipe in recipes]
    runs = [recipe.run_config() for recipe in recipes]
    trained = tuple(_trained(model, tokenizer, data, plan, run, model_name, tell) for run in runs)
    best = max(trained, key=lambda item: item.wanted)
    effects = None
    if plan.neutral:
        strengths = [0.5 * best.m, best.m, 2 * best.m]
        effects = _side_effects(model, tokenizer, best.artifact, strengths, plan, tell)
    texts = _texts(model, tokenizer, data, plan, best, tell)
    decay = decay_report(curves_of(best.table)[0])
    return SteerResult(model_name, data, plan, scan, trained, effects, texts, decay)


def _recipe(plan: SteerPlan, objective: str, model_name: str, data: SteerData) -> Recipe:
    """Training settings of one objective; a model without a recipe is trained for +m and -m, with the plan's epochs."""
    own = [f"train.epochs={epochs_for(len(data.training))}", "train.directions=both"]
    overrides = [*(own if model_recipe(model_name) is None else []), *plan.overrides]
    overrides += [f"layers={list(plan.layers)}"] if plan.layers else []
    return compose(plan.form, objective, model=model_name, dataset=data.training.name, overrides=overrides)


def _scan(model: nn.Module, tokenizer: Any, data: SteerData, run: RunConfig, tell: Teller) -> pd.DataFrame:
    with tell.bar("layer scan") as advance:
        scan = scan_pairs(model, tokenizer, data.training, run.tokens, held_out=data.dev, progress=advance)
    tell.say(f"layer {best_layer(scan)}: it gains most preference with the wanted answers at least as likely")
    return scan


def _trained(
    model: nn.Module, tokenizer: Any, data: SteerData, plan: SteerPlan, run: RunConfig, model_name: str, tell: Teller
) -> Trained:
    """Train one objective, sweep it, fit the curves and choose m."""

    def report(concept: str, done: int, total: int, loss: float) -> None:
        advance(done, total, f"loss {loss:.2f}")

    with tell.bar(f"training {run.form} x {run.objective}") as advance:
        artifact = train_artifact(model, tokenizer, data.training, run, model_name=model_name, progress=report)
    grid = parse_strengths(plan.m)
    points = grid.in_m(known_unit(model, tokenizer, data.test, artifact).r_per_m)
    rule = next_points(points, grows=grid.grows, refine=plan.refine)
    with tell.bar("scoring") as advance_sweep:
        table = sweep_pairs(
            model, tokenizer, data.test, artifact, points, model_name=model_name, next_points=rule,
            progress=advance_sweep,
        )  # fmt: skip
    fit = fit_sweep(curves_of(table), keep_going=True)[0]
    choice = recommend(fit, collateral=_limit(model, tokenizer, artifact, table, plan, tell))
    unit = artifact.unit
    fallback = FALLBACK_R / unit.r_per_m if unit and unit.r_per_m > 0 else 1.0
    m = fallback if choice.m is None else choice.m
    tell.say(f"{run.form} x {run.objective}: {choice.reason}" + ("" if choice.m is None else f", m = {choice.m:.3g}"))
    return Trained(run, artifact, table, fit, choice, m)


def _limit(
    model: nn.Module, tokenizer: Any, artifact: Artifact, table: pd.DataFrame, plan: SteerPlan, tell: Teller
) -> Collateral | None:
    """Side effects over the swept m with |r| up to ``WIDEST_R``, and their allowed maximum; None without a limit."""
    if plan.max_kl is None:
        return None
    near = table.loc[table["r"].abs() <= WIDEST_R, "m1"].unique()
    return Collateral.of(_side_effects(model, tokenizer, artifact, sorted(near), plan, tell), plan.max_kl)


def _side_effects(
    model: nn.Module, tokenizer: Any, artifact: Artifact, m: Sequence[float], plan: SteerPlan, tell: Teller
) -> pd.DataFrame:
    prompts, template = neutral_prompts(plan.neutral), Template(tokenizer, artifact.tokens)
    with tell.bar("side effects") as advance:
        return collateral(model, template, prompts, artifact.only(), m, progress=advance)


def _texts(
    model: nn.Module, tokenizer: Any, data: SteerData, plan: SteerPlan, best: Trained, tell: Teller
) -> pd.DataFrame:
    """Answers to held-out prompts without steering, at the chosen m, at a multiple of it, and at its negative."""
    template = Template(tokenizer, best.artifact.tokens)
    prompts = {best.artifact.concepts[0]: [pair.prompt for pair in data.test[: plan.texts]]}
    strengths = [0.0, best.m, TOO_STRONG * best.m, -best.m]
    config = GenerateConfig(max_new_tokens=plan.max_new_tokens)
    with tell.bar("writing") as advance:
        return sweep_texts(model, template, best.artifact, prompts, strengths, config=config, progress=advance)
