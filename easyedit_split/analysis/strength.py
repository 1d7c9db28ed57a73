"""Which m? The one at which the wanted answer is likeliest, as long as utility stays within a budget of its maximum.

    m* = argmax score(m)   over   { m swept : util(m) >= max util - budget },     budget = share x (max util - min util)

    aim "answer"        score = log sigma(pref(m) - margin) + log sigma(util(m))
    aim "preference"    score = pref(m)

(or a budget in nats). With no margin the first score is the wanted answer's own log-probability: by Eq. 7 and 8,
sigma(util) is what both answers share and sigma(pref) the wanted one's part of it. The margin says how clear the
preference is to be (3 nats: the wanted answer 20 times likelier); beyond it nothing is paid for more, while the second
aim goes on until the budget is spent. Maxima and minima are those of the fitted curves over the swept range; nothing is
extrapolated. ``direction="lower"`` wants the other answer. "No usable m" is an answer, with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

from easyedit_split.analysis.budget import Budget
from easyedit_split.analysis.fit import CurveFit
from easyedit_split.analysis.spread import Spread
from easyedit_split.types import ConfigError, FloatArray

Direction = Literal["raise", "lower"]
Aim = Literal["answer", "preference"]
AIMS: tuple[Aim, ...] = ("answer", "preference")
MARGIN = 3.0  # nats
RESOLUTION = 2001
MIN_R2 = 0.8


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of an interval, and the coverage that was asked for."""

    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The chosen m, or why there is none.

    Attributes:
        m: None when no m is usable; reason: why not, or what limits m.
        gain: preference gained over m = 0 in the asked direction, nats; paid: utility lost against m = 0, nats
            (negative where utility rises).
        below_max: utility below its maximum over the sweep, nats; budget: what was allowed, nats.
        m_interval: of the choice, made anew for each version of the curves; gain_interval, paid_interval: at this m.
            None without a `Spread`.
        at_edge: m is the end of the sweep: a wider one may find better.
        method: of the intervals.
    """

    m: float | None
    reason: str
    gain: float
    paid: float
    below_max: float
    budget: float
    m_interval: Interval | None
    gain_interval: Interval | None
    paid_interval: Interval | None
    at_edge: bool
    method: str | None


@dataclass(frozen=True, slots=True)
class _Choice:
    """Per version of the curves, each ``[B]``; the names are those of `Recommendation`."""

    m: FloatArray
    gain: FloatArray
    paid: FloatArray
    below_max: FloatArray
    budget: FloatArray


@dataclass(frozen=True, slots=True)
class Rule:
    """What is wanted of m: the aim, its margin (nats), the side (+1 raise, -1 lower), and the price allowed."""

    budget: Budget = field(default_factory=Budget)
    aim: Aim = "answer"
    sign: float = 1.0
    margin: float = MARGIN

    def score(self, pref: FloatArray, util: FloatArray) -> FloatArray:
        """What m* maximises, nats; any shapes that broadcast."""
        if self.aim == "preference":
            return np.asarray(self.sign * pref, dtype=np.float64)
        return np.asarray(
            -np.logaddexp(0.0, self.margin - self.sign * pref) - np.logaddexp(0.0, -util), dtype=np.float64
        )


def choose(
    m: Float[FloatArray, " g"], pref: Float[FloatArray, "B g"], util: Float[FloatArray, "B g"], rule: Rule
) -> Float[FloatArray, " B"]:
    """m* for rows of finely sampled curves; where utility crosses the budget, by linear interpolation."""
    score = rule.score(pref, util)
    spare = util - (util.max(axis=1) - rule.budget.allowed(util))[:, None]
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


def recommend(
    preference: CurveFit,
    utility: CurveFit,
    *,
    budget: Budget | None = None,
    aim: Aim = "answer",
    direction: Direction = "raise",
    spread: Spread | None = None,
    min_r2: float = MIN_R2,
) -> Recommendation:
    """Choose m from fitted curves of one intervention.

    Args:
        preference, utility: fits over the same swept range, which must contain m = 0.
        budget: default 10 % of the swept utility range.
        aim: "answer": the wanted answer clearly and likely; "preference": as much as the budget buys.
        direction: "raise" or "lower" the preference.
        spread: of both fits; gives the intervals, and refuses a gain that other pairs would undo.
        min_r2: a curve fitted worse than this is not used.

    Raises:
        ConfigError: unknown aim or direction, fits of the wrong kinds.
    """
    if aim not in AIMS:
        raise ConfigError(f"aim {aim!r} is unknown; use one of {', '.join(AIMS)}.")
    if direction not in ("raise", "lower"):
        raise ConfigError(f"direction {direction!r} is unknown; use 'raise' or 'lower'.")
    if (preference.kind, utility.kind) != ("preference", "utility"):
        raise ConfigError(f"recommend needs a preference and a utility fit, got {preference.kind} and {utility.kind}.")
    rule = Rule(budget or Budget(), aim, 1.0 if direction == "raise" else -1.0)
    low, high = max(preference.swept[0], utility.swept[0]), min(preference.swept[1], utility.swept[1])
    refusal = _refusal(preference, utility, low, high, min_r2)
    if refusal:
        return _nothing(refusal, rule.budget.nats or float("nan"))
    m = _grid(low, high)
    chosen = _evaluate(m, preference(m)[None], utility(m)[None], rule)
    intervals = _intervals(m, chosen, spread, rule)
    return _answer(chosen, intervals, (low, high), rule, None if spread is None else spread.method)


def _refusal(preference: CurveFit, utility: CurveFit, low: float, high: float, min_r2: float) -> str | None:
    for fit in (preference, utility):
        if not fit.ok:
            return f"the {fit.kind} fit did not converge ({fit.message})"
        if not fit.r2 >= min_r2:
            return f"the {fit.kind} curve is not described by the fit: R2 = {fit.r2:.3f}, at least {min_r2:g} is needed"
    if not low <= 0 <= high:
        return f"the sweep covers {low:g} to {high:g}, without m = 0, so no gain can be stated"
    return None


def _grid(low: float, high: float) -> FloatArray:
    """Fine grid over the sweep that contains 0."""
    return np.union1d(np.linspace(low, high, RESOLUTION), [0.0])


def _evaluate(m: FloatArray, pref: FloatArray, util: FloatArray, rule: Rule) -> _Choice:
    return _at(m, choose(m, pref, util, rule), pref, util, rule)


def _at(m: FloatArray, best: FloatArray, pref: FloatArray, util: FloatArray, rule: Rule) -> _Choice:
    """What each version of the curves gives at its m in `best`."""
    zero = int(np.searchsorted(m, 0.0))
    at_pref = np.array([np.interp(b, m, row) for b, row in zip(best, pref, strict=True)])
    at_util = np.array([np.interp(b, m, row) for b, row in zip(best, util, strict=True)])
    return _Choice(
        best,
        rule.sign * (at_pref - pref[:, zero]),
        util[:, zero] - at_util,
        util.max(axis=1) - at_util,
        rule.budget.allowed(util),
    )


def _intervals(m: FloatArray, chosen: _Choice, spread: Spread | None, rule: Rule) -> dict[str, Interval]:
    """Of m*: chosen anew for each version of the curves. Of gain and paid: at the m* of the estimate."""
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
    chosen: _Choice,
    intervals: dict[str, Interval],
    swept: tuple[float, float],
    rule: Rule,
    method: str | None,
) -> Recommendation:
    m, gain = float(chosen.m[0]), float(chosen.gain[0])
    word = "raises" if rule.sign > 0 else "lowers"
    span = swept[1] - swept[0]
    if gain <= 0 or abs(m) < span / RESOLUTION:
        return _nothing(f"no m within the budget {word} preference beyond m = 0", float(chosen.budget[0]))
    if "gain" in intervals and intervals["gain"].low <= 0:
        level = f"{100 * intervals['gain'].level:g} %"
        reason = f"the gain of {gain:.2f} nats at m = {m:.3g} could be nothing: its {level} interval reaches 0"
        return _nothing(reason, float(chosen.budget[0]))
    at_edge = min(m - swept[0], swept[1] - m) < span / RESOLUTION
    limited = float(chosen.budget[0]) - float(chosen.below_max[0]) < 1e-3 * float(chosen.budget[0])
    peak = "the wanted answer is clear and likeliest here" if rule.aim == "answer" else "preference peaks here"
    reason = "limited by the utility budget" if limited else peak
    if at_edge:
        reason = "the end of the sweep: a wider sweep may find better"
    if "m" in intervals and intervals["m"].low <= 0 <= intervals["m"].high:
        reason += f"; the {100 * intervals['m'].level:g} % interval of m contains 0: other pairs may choose no steering"
    return Recommendation(
        m=m,
        reason=reason,
        gain=gain,
        paid=float(chosen.paid[0]),
        below_max=float(chosen.below_max[0]),
        budget=float(chosen.budget[0]),
        m_interval=intervals.get("m"),
        gain_interval=intervals.get("gain"),
        paid_interval=intervals.get("paid"),
        at_edge=at_edge,
        method=method if intervals else None,
    )


def _nothing(reason: str, budget: float) -> Recommendation:
    nan = float("nan")
    return Recommendation(None, f"no usable m: {reason}", nan, nan, nan, budget, None, None, None, False, None)
