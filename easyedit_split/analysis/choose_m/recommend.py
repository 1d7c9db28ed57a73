"""Recommend an m: dispatch on the aim to the choice from pairs, texts or fitted curves.

    aim "capped"        the m at which the wanted answers are likeliest, learnt style not counted      (``from_pairs``)
    aim "answer"        the same with it                                                               (``from_pairs``)
    aim "kl"            the same among the m whose side effects stay within a budget                   (``from_pairs``)
    aim "text"          the m at which a judge finds the texts best                                    (``from_texts``)
    aim "preference"    the m of greatest fitted preference, fitted utility within a budget of its maximum
                                                                                                       (``from_curves``)

Unless an aim is named, all there is is weighed: texts before side effects before pairs alone. The first two need no
budget: preference and utility are weighed in one currency, the wanted answer's log-probability; so whoever names a
utility budget is taken to want what it buys. What m gains and costs is measured on the pairs, whichever way it was
chosen: near m = 0 a fit of a far sweep may be off by nats. A table without pairs has no answers of its own, only their
mean; there the fitted curves stand for one.
"""

from __future__ import annotations

from dataclasses import replace

from ...sweep_curves import SweepCurve, SweepLike
from ...types import ConfigError, DataError
from ..fit.sweep_fit import SweepFit, fit_sweep
from ..uncertainty.spread import Spread
from .beside import Collateral, JudgedTexts
from .budget import Budget
from .evidence import evidence_at, why_not
from .from_curves import MIN_R2, from_curves
from .from_pairs import PAIR_AIMS, from_pairs
from .from_texts import from_texts
from .interval import Direction
from .result import AIMS, Aim, Recommendation, check_wish, nothing
from .scored_pairs import ScoredPairs
from .style import style_of


def default_aim(budget: Budget | None, collateral: Collateral | None, texts: JudgedTexts | None) -> Aim:
    """The aim that uses every kind of data that is given.

    Args:
        budget: utility that may be paid.
        collateral: side effects, where they were measured.
        texts: judged texts, where there are any.
    """
    if texts is not None:
        return "text"
    if collateral is not None:
        return "kl"
    return "capped" if budget is None else "preference"


def recommend(
    item: SweepFit | SweepLike,
    *,
    aim: Aim | None = None,
    budget: Budget | None = None,
    collateral: Collateral | None = None,
    texts: JudgedTexts | None = None,
    direction: Direction = "raise",
    level: float = 0.95,
    spread: Spread | None = None,
    min_r2: float = MIN_R2,
) -> Recommendation:
    """Choose m for one intervention.

    Args:
        item: a sweep of one intervention (table, path or curve), or its fits where there are some already.
        aim: see the top of the module; None weighs all there is.
        budget: utility that may be lost; under "preference" 10 % of the swept range unless given, under the others no
            limit unless given.
        collateral: side effects and what is allowed of them: a limit under every aim but "preference", which knows
            none; "kl" needs them.
        texts: judged; "text" needs them.
        direction: "raise" or "lower" the preference.
        level: of the intervals from pairs.
        spread: of the fits: gives the intervals of what is chosen on fitted curves; without it there are none.
        min_r2: a curve fitted worse than this is not used.

    Raises:
        ConfigError: unknown aim or direction, level outside (0, 1), or an aim without what it needs.
        DataError: pairs that the intervention was trained on; or an aim that reads pairs, and utility is undefined for
            every pair.
    """
    if not isinstance(item, SweepFit):
        item = _one(item)
    _check_held_out(item.curve)
    aim = aim or default_aim(budget, collateral, texts)
    if aim not in AIMS:
        raise ConfigError(f"aim {aim!r} is unknown; use one of {', '.join(AIMS)}.")
    check_wish(direction, level)
    paired = item.curve.preference.has_pairs
    if aim == "text":
        if texts is None or not paired:
            raise ConfigError("aim 'text' needs judged texts and a sweep of pairs.")
        scored = ScoredPairs.of(item.curve, direction)
        return from_texts(texts, scored, budget=budget, collateral=collateral, level=level)
    if aim == "kl" and (collateral is None or not paired):
        raise ConfigError("aim 'kl' needs side effects (collateral) and a sweep of pairs.")
    if aim in PAIR_AIMS and paired:
        return from_pairs(item.curve, aim=aim, budget=budget, collateral=collateral, direction=direction, level=level)
    if collateral is not None:
        raise ConfigError(f"aim {aim!r} takes no limit on side effects: leave collateral out, or choose another aim.")
    if item.preference is None or item.utility is None:
        return nothing(" ".join(item.problems) or f"{item.curve.name}: not fitted")
    choice = from_curves(
        item.preference, item.utility, aim=aim, budget=budget, direction=direction, spread=spread, min_r2=min_r2
    )
    return _measured(choice, ScoredPairs.of(item.curve, direction), level) if paired else choice


def _measured(choice: Recommendation, pairs: ScoredPairs, level: float) -> Recommendation:
    """The choice made on fitted curves, with gain and cost replaced by paired means over the pairs."""
    style = style_of(pairs, level)
    if choice.m is None:
        return replace(choice, style=style)
    found = evidence_at(pairs, choice.m, level)
    if found.preference.mean <= 0:
        promised = f"the fitted curves predict a gain of {choice.gain:.2f} nats at m = {choice.m:.3g}"
        refusal: str | None = f"{promised}, but the mean preference over pairs is no higher there"
    else:
        refusal = why_not(found, level)
    if refusal:
        return nothing(refusal, choice.budget, evidence=found, style=style)
    paid = found.utility.student
    return replace(
        choice,
        gain=found.preference.mean,
        paid=-found.utility.mean,
        gain_interval=found.preference.student,
        paid_interval=None if paid is None else replace(paid, low=-paid.high, high=-paid.low),
        helped=(found.helped, found.pairs),
        evidence=found,
        style=style,
    )


def _check_held_out(curve: SweepCurve) -> None:
    """Refuse a sweep of training pairs, on which any m looks better than it is."""
    if curve.trained_on:
        raise DataError(
            f"{curve.name}: {curve.trained_on} of {len(curve.preference.values)} pairs are pairs that the artifact was "
            "trained on, where any m looks better than it is: sweep held-out rows, e.g. --split dev"
        )


def _one(sweep: SweepLike) -> SweepFit:
    """The fits of a sweep of one intervention.

    Raises:
        DataError: the sweep holds several.
    """
    fits = fit_sweep(sweep, keep_going=True)
    if len(fits) != 1:
        names = "; ".join(fit.curve.name for fit in fits[:4])
        raise DataError(f"the sweep holds {len(fits)} interventions ({names}): give the rows of one")
    return fits[0]
