"""Choose m by maximising an objective on the fitted preference and utility curves.

    m* = argmax score(m)   over   { m swept : util(m) >= max util - budget },     budget = share x (max util - min util)

    aim "preference"    score = pref(m)
    aim "answer"        score = log sigma(pref(m)) + log sigma(util(m)), for curves that have no pairs
    aim "capped"        the same less the greatest log sigma(util) on the way from 0 to m: learnt style is not counted

(or a budget in nats, or none). Maxima and minima are those of the fitted curves over the swept range; nothing is
extrapolated. ``direction="lower"`` wants the other answer. "No usable m" is an answer, with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from ...types import ConfigError, FloatArray
from ..fit.fit_curve import CurveFit
from ..uncertainty.spread import Spread
from .budget import Budget
from .interval import Direction, Interval, between
from .result import Aim, Recommendation, check_wish, not_significant, nothing, worded
from .scored_pairs import log_sigma, wanted_log_p

NO_LIMIT = 1e300  # nats
MIN_R2 = 0.8


@dataclass(frozen=True, slots=True)
class _Choice:
    """Chosen m and its gains for each bootstrap draw of the curves, each ``[B]``; the names are those of
    ``Recommendation``.
    """

    m: FloatArray
    gain: FloatArray
    paid: FloatArray
    below_max: FloatArray
    budget: FloatArray


def _capped(pref: FloatArray, util: FloatArray, zero: int) -> FloatArray:
    """Log-probability of the wanted answer less the running maximum of log sigma(utility) outward from m = 0, nats."""
    either = log_sigma(util)
    height = np.concatenate(
        [
            np.maximum.accumulate(either[:, zero::-1], axis=1)[:, :0:-1],
            np.maximum.accumulate(either[:, zero:], axis=1),
        ],
        axis=1,
    )
    return np.asarray(log_sigma(pref) + either - height, dtype=np.float64)


CURVE_SCORES: Mapping[Aim, Callable[[FloatArray, FloatArray, int], FloatArray]] = MappingProxyType(
    {
        "preference": lambda pref, util, zero: pref,
        "answer": lambda pref, util, zero: wanted_log_p(pref, util, 1.0),
        "capped": _capped,
    }
)
"""Of rows of preference (as wanted, up is good) and utility, and the place of m = 0."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Objective and constraint for m: the aim, the allowed loss of utility (None: no limit), the sign (+1 raise, -1
    lower).

    Attributes:
        aim: see the top of the module.
        budget: utility that may be paid; None for no limit.
        sign: +1 to raise the preference, -1 to lower it.
    """

    aim: Aim
    budget: Budget | None = None
    sign: float = 1.0

    def score(
        self, pref: Float[FloatArray, "B g"], util: Float[FloatArray, "B g"], zero: int
    ) -> Float[FloatArray, "B g"]:
        """Objective that m* maximises, nats.

        Args:
            pref: preference of each version of the curves.
            util: utility of each version.
            zero: index of m = 0.
        """
        return CURVE_SCORES[self.aim](self.sign * pref, util, zero)

    def allowed(self, util: Float[FloatArray, "B g"]) -> Float[FloatArray, " B"]:
        """Largest loss of utility allowed to each row, nats below its maximum.

        Args:
            util: utility of each version of the curves.
        """
        return np.full(len(util), NO_LIMIT) if self.budget is None else self.budget.allowed(util)


def choose(
    m: Float[FloatArray, " g"], pref: Float[FloatArray, "B g"], util: Float[FloatArray, "B g"], rule: Rule
) -> Float[FloatArray, " B"]:
    """Maximiser m* of the objective on each row of finely sampled curves; a utility limit is met by linear
    interpolation.

    Args:
        m: sorted.
        pref: preference of each version of the curves, nats.
        util: utility of each version, nats.
        rule: what is wanted.
    """
    score = rule.score(pref, util, int(np.searchsorted(m, 0.0)))
    spare = util - (util.max(axis=1) - rule.allowed(util))[:, None]
    usable = spare >= 0
    on_grid = np.where(usable, score, -np.inf)
    crossing = usable[:, :-1] != usable[:, 1:]
    drop = spare[:, :-1] - spare[:, 1:]
    where = np.divide(spare[:, :-1], drop, out=np.zeros_like(drop), where=crossing)
    at_crossing = np.where(crossing, score[:, :-1] + where * np.diff(score, axis=1), -np.inf)
    candidates = np.concatenate([on_grid, at_crossing], axis=1)
    places = np.concatenate([np.broadcast_to(m, pref.shape), m[:-1] + where * np.diff(m)], axis=1)
    best = candidates.argmax(axis=1)
    return np.take_along_axis(places, best[:, None], axis=1)[:, 0]


def from_curves(
    preference: CurveFit,
    utility: CurveFit,
    *,
    aim: Aim = "preference",
    budget: Budget | None = None,
    direction: Direction = "raise",
    spread: Spread | None = None,
    min_r2: float = MIN_R2,
) -> Recommendation:
    """Choose m from the fitted preference and utility curves of one intervention.

    Args:
        preference: fit of the preference over a swept range that contains m = 0.
        utility: fit of the utility over the same range.
        aim: see the top of the module.
        budget: None is 10 % of the swept utility range under "preference" and no limit under the others.
        direction: "raise" or "lower" the preference.
        spread: of both fits; gives the intervals, and refuses a gain that other pairs would undo.
        min_r2: a curve fitted worse than this is not used.

    Raises:
        ConfigError: fits of the wrong kinds, unknown direction, an aim that curves cannot serve.
    """
    if aim not in CURVE_SCORES:
        raise ConfigError(f"aim {aim!r} cannot be computed from fitted curves; use one of {', '.join(CURVE_SCORES)}.")
    check_wish(direction, 0.95 if spread is None else spread.level)
    if (preference.kind, utility.kind) != ("preference", "utility"):
        raise ConfigError(f"choosing m needs a preference and a utility fit, got {preference.kind} and {utility.kind}.")
    if budget is None and aim == "preference":
        budget = Budget()
    rule = Rule(aim, budget, 1.0 if direction == "raise" else -1.0)
    low, high = max(preference.swept[0], utility.swept[0]), min(preference.swept[1], utility.swept[1])
    refusal = _refusal(preference, utility, low, high, min_r2)
    if refusal:
        return nothing(refusal, None if budget is None else budget.nats)
    m = between(preference.m[(preference.m >= low) & (preference.m <= high)])
    chosen = _evaluate(m, preference(m)[None], utility(m)[None], rule)
    intervals = _intervals(m, chosen, spread, rule)
    return _answer(m, chosen, intervals, rule, None if spread is None else spread.method)


def _refusal(preference: CurveFit, utility: CurveFit, low: float, high: float, min_r2: float) -> str | None:
    for fit in (preference, utility):
        if not fit.ok:
            return f"the {fit.kind} fit did not converge ({fit.message})"
        if not fit.r2 >= min_r2:
            return f"the {fit.kind} fit is poor: R2 = {fit.r2:.3f}, at least {min_r2:g} is needed"
    if not low <= 0 <= high:
        return f"the sweep covers {low:g} to {high:g}, without m = 0, so no gain over m = 0 is known: sweep it too"
    return None


def _evaluate(m: FloatArray, pref: FloatArray, util: FloatArray, rule: Rule) -> _Choice:
    return _at(m, choose(m, pref, util, rule), pref, util, rule)


def _at(m: FloatArray, best: FloatArray, pref: FloatArray, util: FloatArray, rule: Rule) -> _Choice:
    """Values of each bootstrap draw of the curves at its own m in ``best``."""
    zero = int(np.searchsorted(m, 0.0))
    at_pref = np.array([np.interp(b, m, row) for b, row in zip(best, pref, strict=True)])
    at_util = np.array([np.interp(b, m, row) for b, row in zip(best, util, strict=True)])
    return _Choice(
        best,
        rule.sign * (at_pref - pref[:, zero]),
        util[:, zero] - at_util,
        util.max(axis=1) - at_util,
        rule.allowed(util),
    )


def _intervals(m: FloatArray, chosen: _Choice, spread: Spread | None, rule: Rule) -> dict[str, Interval]:
    """Confidence intervals of m*, gain and cost, with m chosen anew for each bootstrap draw of the curves.

    Of gain and cost: at the m* of the estimate.
    """
    varied = None if spread is None else spread.draws or spread
    if varied is None or varied.preference is None or varied.utility is None:
        return {}
    pref, util = varied.preference.values(m), varied.utility.values(m)
    at = _at(m, np.repeat(chosen.m, len(pref)), pref, util, rule)
    draws = {"m": _evaluate(m, pref, util, rule).m, "gain": at.gain, "paid": at.paid}
    out = {}
    for name, values in draws.items():
        low, high = varied.interval(values, np.asarray(getattr(chosen, name)[0]))
        out[name] = Interval(float(low), float(high), varied.level)
    return out


def _answer(
    fine: FloatArray, chosen: _Choice, intervals: dict[str, Interval], rule: Rule, method: str | None
) -> Recommendation:
    m, gain, below = float(chosen.m[0]), float(chosen.gain[0]), float(chosen.below_max[0])
    budget = None if rule.budget is None else float(chosen.budget[0])
    within = "" if budget is None else " within the budget"
    if m == 0.0 and rule.aim != "preference":
        return nothing(f"no m{within} makes the wanted answers likelier than m = 0", budget)
    if m == 0.0 or gain <= 0:
        return nothing(f"no m{within} {'raises' if rule.sign > 0 else 'lowers'} preference compared with m = 0", budget)
    if "gain" in intervals and intervals["gain"].low <= 0:
        return nothing(not_significant(gain, m, intervals["gain"]), budget)
    reason = "fitted preference is greatest here" if rule.aim == "preference" else "the wanted answer is likeliest here"
    if budget is not None and budget - below < 1e-3 * budget:
        reason = "limited by the utility budget"
    reason, at_edge = worded(m, fine, reason, intervals.get("m"))
    return Recommendation(
        m=m,
        reason=reason,
        gain=gain,
        paid=float(chosen.paid[0]),
        below_max=below,
        budget=budget,
        m_interval=intervals.get("m"),
        gain_interval=intervals.get("gain"),
        paid_interval=intervals.get("paid"),
        helped=None,
        at_edge=at_edge,
        method=method if intervals else None,
    )
