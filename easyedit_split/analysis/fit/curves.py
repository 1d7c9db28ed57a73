"""The curves of Section 4 (Eq. 12, 15, 17) and their derivatives, as pure functions.

    D(m)    = (1 + (m - m+)^2 / L+)^(-p+)   for m >= 0                       Eq. 12
              (1 + (m - m-)^2 / L-)^(-p-)   for m <  0
    pref(m) = (alpha m + beta) D(m) + b                                      Eq. 15, nats
    util(m) = beta D(m) + b                                                  Eq. 17, nats

Both sides share alpha, beta and b, so a curve is continuous at m = 0 exactly when D+(0) = D-(0) (or, with beta = 0,
always); ``continuity_gap`` measures it. A side that was not swept has NaN parameters, and evaluating there gives NaN.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import numpy as np
from jaxtyping import Bool, Float

from ...types import FloatArray


@dataclass(frozen=True, slots=True)
class CurveParams:
    """The nine parameters of Eq. 12 and 15; ``alpha`` = 0 gives Eq. 17.

    Attributes:
        alpha: slope of the undamped log-odds, nats per unit of m.
        beta: log-odds that decay with validity, nats.
        b: log-odds that stay when validity is gone, nats.
        m_plus: where validity peaks on the plus side, in units of m.
        L_plus: squared scale of the decay on the plus side, in units of m squared.
        p_plus: tail exponent of the plus side.
        m_minus: where validity peaks on the minus side, in units of m.
        L_minus: squared scale of the decay on the minus side, in units of m squared.
        p_minus: tail exponent of the minus side.
    """

    alpha: float
    beta: float
    b: float
    m_plus: float
    L_plus: float
    p_plus: float
    m_minus: float
    L_minus: float
    p_minus: float


PARAM_NAMES: tuple[str, ...] = tuple(f.name for f in fields(CurveParams))


def params_vector(params: CurveParams) -> Float[FloatArray, " 9"]:
    """The parameters in the order of ``PARAM_NAMES``.

    Args:
        params: the nine parameters.
    """
    return np.array(astuple(params), dtype=np.float64)


def _right(m: Float[FloatArray, " n"], params: CurveParams) -> Bool[np.ndarray, " n"]:
    """Mask of points with m >= 0; m = 0 counts as m < 0 where only negative m were swept."""
    return np.asarray(m > 0 if np.isnan(params.L_plus) else m >= 0)


def _per_point(
    m: Float[FloatArray, " n"], params: CurveParams
) -> tuple[Float[FloatArray, " n"], Float[FloatArray, " n"], Float[FloatArray, " n"]]:
    """Centre, L and p that apply at each point, by the sign of m."""
    right = _right(m, params)
    return (
        np.where(right, params.m_plus, params.m_minus),
        np.where(right, params.L_plus, params.L_minus),
        np.where(right, params.p_plus, params.p_minus),
    )


def validity(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """Validity D(m) of Eq. 12, between 0 and 1.

    Args:
        m: any m.
        params: the nine parameters.
    """
    c, L, p = _per_point(m, params)
    return np.exp(-p * np.log1p((m - c) ** 2 / L))


def preference_curve(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """Preference log-odds (alpha m + beta) D(m) + b of Eq. 15, nats.

    Args:
        m: any m.
        params: the nine parameters.
    """
    return (params.alpha * m + params.beta) * validity(m, params) + params.b


def utility_curve(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """Utility log-odds beta D(m) + b of Eq. 17, nats; ``alpha`` is not used.

    Args:
        m: any m.
        params: the nine parameters.
    """
    return params.beta * validity(m, params) + params.b


def validity_dm(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """Derivative dD/dm; at m = 0 from the right.

    Args:
        m: any m.
        params: the nine parameters.
    """
    c, L, p = _per_point(m, params)
    return -2.0 * p * (m - c) / (L + (m - c) ** 2) * validity(m, params)


def preference_dm(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """Derivative of Eq. 15 with respect to m, nats per unit of m; at m = 0 from the right.

    Args:
        m: any m.
        params: the nine parameters.
    """
    slope = params.alpha * validity(m, params)
    return slope + (params.alpha * m + params.beta) * validity_dm(m, params)


def utility_dm(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """Derivative of Eq. 17 with respect to m, nats per unit of m; at m = 0 from the right.

    Args:
        m: any m.
        params: the nine parameters.
    """
    return params.beta * validity_dm(m, params)


def validity_gradient(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, "n 6"]:
    """Gradient dD/d(m+, L+, p+, m-, L-, p-); the parameters of the other side have derivative 0.

    Args:
        m: any m.
        params: the nine parameters.
    """
    c, L, p = _per_point(m, params)
    u = (m - c) ** 2 / L
    D = np.exp(-p * np.log1p(u))
    own = np.stack([2 * p * (m - c) / (L * (1 + u)) * D, p * u / (L * (1 + u)) * D, -np.log1p(u) * D], axis=1)
    right = _right(m, params)[:, None]
    return np.concatenate([np.where(right, own, 0.0), np.where(right, 0.0, own)], axis=1)


def preference_gradient(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, "n 9"]:
    """Gradient of Eq. 15 with respect to each of ``PARAM_NAMES``.

    Args:
        m: any m.
        params: the nine parameters.
    """
    D = validity(m, params)
    decay = (params.alpha * m + params.beta)[:, None] * validity_gradient(m, params)
    return np.concatenate([np.stack([m * D, D, np.ones_like(m)], axis=1), decay], axis=1)


def utility_gradient(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, "n 9"]:
    """Gradient of Eq. 17 with respect to each of ``PARAM_NAMES``; the column of alpha is 0.

    Args:
        m: any m.
        params: the nine parameters.
    """
    D = validity(m, params)
    decay = params.beta * validity_gradient(m, params)
    return np.concatenate([np.stack([np.zeros_like(m), D, np.ones_like(m)], axis=1), decay], axis=1)


def side_slopes(params: CurveParams) -> tuple[float, float]:
    """Slopes at m = 0 from the left and from the right, nats per unit of m (NaN for a sign of m not swept).

    Args:
        params: the nine parameters.
    """

    def slope(c: float, L: float, p: float) -> float:
        D0 = float(np.exp(-p * np.log1p(c * c / L)))
        return params.alpha * D0 + params.beta * 2.0 * p * c / (L + c * c) * D0

    left = slope(params.m_minus, params.L_minus, params.p_minus)
    return left, slope(params.m_plus, params.L_plus, params.p_plus)


def continuity_gap(params: CurveParams) -> float:
    """Discontinuity of validity at zero, |D+(0) - D-(0)|; NaN when only one sign of m was swept.

    Args:
        params: the nine parameters.
    """
    right = np.exp(-params.p_plus * np.log1p(params.m_plus**2 / params.L_plus))
    left = np.exp(-params.p_minus * np.log1p(params.m_minus**2 / params.L_minus))
    return float(abs(right - left))
