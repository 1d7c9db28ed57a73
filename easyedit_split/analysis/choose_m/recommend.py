"""Which m?

    aim "answer"        the m at which the wanted answers are likeliest                                (`from_pairs`)
    aim "preference"    the m of greatest fitted preference, fitted utility within a budget of its maximum
                                                                                                       (`from_curves`)

The first needs no budget: preference and utility are weighed in one currency, the wanted answer's log-probability. So
whoever names a budget is taken to want what it buys. What m gains and costs is measured on the pairs, whichever way it
was chosen: near m = 0 a fit of a far sweep may be off by nats. A table without pairs has no answers of its own, only
their mean; there the fitted curves stand for one.
"""

from __future__ import annotations

from dataclasses import replace

from ...sweep_curves import SweepLike
from ...types import ConfigError, DataError
from ..fit.sweep_fit import SweepFit, fit_sweep
from ..uncertainty.spread import Spread
from .budget import Budget
from .from_curves import MIN_R2, from_curves
from .from_pairs import ScoredPairs, effect_at, from_pairs
from .recommendation import AIMS, Aim, Direction, Recommendation, check_wish, nothing


def recommend(
    item: SweepFit | SweepLike,
    *,
    aim: Aim | None = None,
    budget: Budget | None = None,
    direction: Direction = "raise",
    level: float = 0.95,
    spread: Spread | None = None,
    min_r2: float = MIN_R2,
) -> Recommendation:
    """Choose m for one intervention.

    Args:
        item: a sweep of one intervention (table, path or curve), or its fits where there are some already.
        aim: see the top of the module; None is "answer", and "preference" where a budget is given.
        budget: utility that may be lost; under "preference" 10 % of the swept range unless given, under "answer" no
            limit unless given.
        direction: "raise" or "lower" the preference.
        level: of the intervals from pairs.
        spread: of the fits: gives the intervals of what is chosen on fitted curves; without it there are none.
        min_r2: a curve fitted worse than this is not used.

    Raises:
        ConfigError: unknown aim or direction, level outside (0, 1).
        DataError: aim "answer", and utility is undefined for every pair.
    """
    if not isinstance(item, SweepFit):
        item = _one(item)
    aim = aim or ("answer" if budget is None else "preference")
    if aim not in AIMS:
        raise ConfigError(f"aim {aim!r} is unknown; use one of {', '.join(AIMS)}.")
    check_wish(direction, level)
    if aim == "answer" and item.curve.preference.has_pairs:
        return from_pairs(item.curve, budget=budget, direction=direction, level=level)
    if item.preference is None or item.utility is None:
        return nothing(" ".join(item.problems) or f"{item.curve.name}: not fitted")
    choice = from_curves(
        item.preference, item.utility, aim=aim, budget=budget, direction=direction, spread=spread, min_r2=min_r2
    )
    if choice.m is None or not item.curve.preference.has_pairs:
        return choice
    found = effect_at(ScoredPairs.of(item.curve, direction), choice.m, level)
    if found.gain <= 0:
        promised = f"the fitted curves gain {choice.gain:.2f} nats at m = {choice.m:.3g}"
        return nothing(f"{promised}, but the pairs' preference is no better there", choice.budget)
    return replace(
        choice,
        gain=found.gain,
        paid=found.paid,
        gain_interval=found.gain_interval,
        paid_interval=found.paid_interval,
        helped=found.helped,
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
