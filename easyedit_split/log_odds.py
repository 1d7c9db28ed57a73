"""Preference and utility log-odds of answer pairs, in float64, by formulas without overflow or cancellation.

    PrefOdds = L_n - L_p                                                           Eq. 7
    UtilOdds = log (e^-L_p + e^-L_n) / (1 - e^-L_p - e^-L_n)                       Eq. 8
             = s - log1mexp(-s),   s = logaddexp(-L_p, -L_n)
    accuracy = share of pairs with PrefOdds > 0, a tie counting one half

    log1mexp(a) = log(1 - e^-a) = log(-expm1(-a)) for a < ln 2, else log1p(-exp(-a))

Utility is undefined where s >= 0: the two "probabilities" then sum to one or more, which per-token mean losses can do.
It is NaN there, and where a loss is not finite; ``status`` says which, and nothing is ever clamped. At m = 0 nothing
special happens: these are functions of losses alone. Units: nats.

Many pairs have one mean: over the pairs of each concept, then over concepts (``mean_over_pairs``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int, Shaped

from .types import FloatArray, IntArray, Scores

OK = "ok"
UTILITY_UNDEFINED = "utility_undefined"
NON_FINITE = "non_finite"

Normalize: TypeAlias = Literal["sum", "mean"]


def log1mexp(a: FloatArray) -> FloatArray:
    """log(1 - e^-a) for a > 0 without cancellation; -inf at 0.

    Args:
        a: any shape, nats.
    """
    a = np.asarray(a, dtype=np.float64)
    with np.errstate(divide="ignore"):
        small = np.log(-np.expm1(-np.minimum(a, np.log(2))))
    return np.where(a < np.log(2), small, np.log1p(-np.exp(-np.maximum(a, np.log(2)))))


def preference(L_p: FloatArray, L_n: FloatArray) -> FloatArray:
    """Preference log-odds, nats (Eq. 7): difference L_n - L_p of negative log-likelihoods; NaN if both are infinite.

    Args:
        L_p: negative log-likelihood of the positive answers, nats, any shape.
        L_n: the same of the negative answers, same shape.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(L_n, dtype=np.float64) - np.asarray(L_p, dtype=np.float64)


def utility(L_p: FloatArray, L_n: FloatArray) -> FloatArray:
    """Utility log-odds, nats (Eq. 8): logit of both answers' total probability; NaN where undefined or not finite.

    util = log(P / (1 - P)) with P = e^-L_p + e^-L_n; undefined where P >= 1 or a loss is not finite.

    Args:
        L_p: negative log-likelihood of the positive answers, nats, any shape.
        L_n: the same of the negative answers, same shape.
    """
    with np.errstate(invalid="ignore"):
        s = np.logaddexp(-np.asarray(L_p, dtype=np.float64), -np.asarray(L_n, dtype=np.float64))
    defined = (s < 0) & np.isfinite(L_p) & np.isfinite(L_n)
    a = np.where(defined, -s, 1.0)
    return np.where(defined, -a - log1mexp(a), np.nan)


def credit(pref: FloatArray, even: float = 0.0) -> FloatArray:
    """Accuracy of each pair: 1 where the positive answer is likelier, 0 where the negative one is, 1/2 for a tie.

    The one rule of this package: accuracy from log-odds is the mean of it over pairs, and chance is one half.

    Args:
        pref: preference log-odds L_n - L_p of any shape, nats.
        even: answers this close to each other, nats, are a tie too; at 0 only those that are exactly equal.

    Returns:
        1, 0.5 or 0 in the shape of ``pref``; NaN where ``pref`` is NaN.
    """
    pref = np.asarray(pref, dtype=np.float64)
    return np.where(np.isnan(pref), np.nan, np.where(np.abs(pref) <= even, 0.5, pref > 0))


def losses(scores: Scores, normalize: Normalize = "sum") -> tuple[FloatArray, FloatArray]:
    """Negative log-likelihoods ``(L_p, L_n)``, ``[n]``: summed over answer tokens (App. C.2), or the mean per token.

    Args:
        scores: summed losses and token counts of ``n`` pairs.
        normalize: ``sum`` or ``mean``.
    """
    if normalize == "sum":
        return scores.L_p, scores.L_n
    return scores.L_p / scores.T_p, scores.L_n / scores.T_n


def status(L_p: FloatArray, L_n: FloatArray) -> npt.NDArray[np.object_]:
    """Whether each pair's log-odds are defined: ``ok``, ``utility_undefined`` or ``non_finite``, ``[n]``.

    Args:
        L_p: ``[n]`` losses of the positive answers, nats.
        L_n: ``[n]`` losses of the negative answers, nats.
    """
    finite = np.isfinite(L_p) & np.isfinite(L_n)
    defined = np.isfinite(utility(L_p, L_n))
    return np.where(finite, np.where(defined, OK, UTILITY_UNDEFINED), NON_FINITE).astype(object)


def odds_of_mean(L_p: FloatArray, L_n: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log-odds ``(pref, util)`` of the mean losses over pairs (the first axis), instead of the pairs' mean log-odds.

    Args:
        L_p: ``[n ...]`` losses of the positive answers, nats; the mean is over the first axis.
        L_n: the same of the negative answers.
    """
    means = np.atleast_1d(np.mean(L_p, axis=0)), np.atleast_1d(np.mean(L_n, axis=0))
    return preference(*means), utility(*means)


@dataclass(frozen=True)
class PairOdds:
    """Log-odds (preference or utility) of each pair at each m.

    Attributes:
        m: ``[n]`` sorted.
        values: ``[pairs n]`` log-odds, nats.
        concepts: ``[pairs]`` concept number of each pair.
        has_pairs: False for a bare curve, whose one row is already a mean.
    """

    m: FloatArray
    values: FloatArray
    concepts: IntArray
    has_pairs: bool

    @property
    def weights(self) -> Float[FloatArray, " pairs"]:
        """Weight of each pair in the mean over pairs, then over concepts; they sum to 1."""
        return pair_weights(self.concepts)

    @property
    def mean(self) -> Float[FloatArray, " n"]:
        """The mean curve over m: the mean over pairs, then over concepts, nats."""
        return mean_over_pairs(self.values, self.concepts)


def pair_weights(concepts: Int[IntArray, " pairs"]) -> Float[FloatArray, " pairs"]:
    """Weight of each pair in the mean over pairs, then over concepts: 1 / (number of concepts x pairs of its concept).

    Args:
        concepts: ``[pairs]`` concept number of each pair.
    """
    _, inverse, counts = np.unique(concepts, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(counts) * counts[inverse]), dtype=np.float64)


def mean_deviations(
    values: Float[FloatArray, "pairs n"], concepts: Int[IntArray, " pairs"]
) -> Float[FloatArray, "pairs n"]:
    """Deviations of the pairs from their mean (influence values): rows whose outer products sum to the covariance of
    the mean over pairs, then over concepts.

    With sizes n_c of C concepts: (value - its concept's mean) sqrt(n_c / (n_c - 1)) / (C n_c); every n_c above 1.

    Args:
        values: ``[pairs n]`` nats.
        concepts: ``[pairs]`` concept number of each pair; at least two pairs of each.
    """
    out = np.empty_like(values)
    for concept in np.unique(concepts):
        members = concepts == concept
        size = int(members.sum())
        out[members] = (values[members] - values[members].mean(axis=0)) * np.sqrt(size / (size - 1))
    return out * pair_weights(concepts)[:, None]


def mean_over_pairs(
    values: Float[FloatArray, "pairs n"], concepts: Shaped[npt.NDArray[Any], " pairs"]
) -> Float[FloatArray, " n"]:
    """Mean over the pairs of each concept, then over concepts; NaN where there are no pairs.

    An m's mean has the same bits whatever other m stand beside it.

    Args:
        values: a row per pair, a column per m.
        concepts: the concept of each pair, as numbers or names.
    """
    if not len(values):
        return np.full(values.shape[1], np.nan)
    columns = values.T
    with np.errstate(invalid="ignore"):  # inf - inf, where a loss is not finite
        means = [np.ascontiguousarray(columns[:, concepts == concept]).mean(1) for concept in np.unique(concepts)]
        return np.asarray(np.mean(means, axis=0), dtype=np.float64)
