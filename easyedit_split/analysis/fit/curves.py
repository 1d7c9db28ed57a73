"""The curves of Section 4, as pure functions, with their derivatives.

    D(m)    = (1 + (m - m+)^2 / L+)^(-p+)   for m >= 0                       Eq. 12
              (1 + (m - m-)^2 / L-)^(-p-)   for m <  0
    pref(m) = (alpha m + beta) D(m) + b                                      Eq. 15, nats
    util(m) = beta D(m) + b                                                  Eq. 17, nats

Both sides share alpha, beta and b, so a curve is continuous at m = 0 exactly when D+(0) = D-(0) (or, with beta = 0,
always); `continuity_gap` measures it. A side that was not swept has NaN parameters, and evaluating there gives NaN.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import numpy as np
from jaxtyping import Bool, Float

from ...types import FloatArray


@dataclass(frozen=True, slots=True)
class CurveParams:
    """The nine parameters of Eq. 12 and 15; `alpha` = 0 gives Eq. 17.

    Attributes:
        alpha: slope of the undamped log-odds, nats per unit of m.
        beta: log-odds that decay with validity, nats.
        b: log-odds that stay when validity is gone, nats.
        m_plus, m_minus: where each side's validity peaks, in units of m.
        L_plus, L_minus: squared scale of the decay, in units of m squared.
        p_plus, p_minus: tail exponents.
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
    """The parameters in the order of `PARAM_NAMES`."""
    return np.array(astuple(params), dtype=np.float64)


def _right(m: Float[FloatArray, " n"], params: CurveParams) -> Bool[np.ndarray, " n"]:
    """Points on the plus side: m >= 0; m = 0 belongs to the minus side where only that one was swept."""
    return np.asarray(m > 0 if np.isnan(params.L_plus) else m >= 0)


def _per_point(
    m: Float[FloatArray, " n"], params: CurveParams
) -> tuple[Float[FloatArray, " n"], Float[FloatArray, " n"], Float[FloatArray, " n"]]:
    """Centre, L and p of the side each point lies on."""
    right = _right(m, params)
    return (
        np.where(right, params.m_plus, params.m_minus),
        np.where(right, params.L_plus, params.L_minus),
        np.where(right, params.p_plus, params.p_minus),
    )


def validity(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """D(m) of Eq. 12, between 0 and 1."""
    c, L, p = _per_point(m, params)
    return np.exp(-p * np.log1p((m - c) ** 2 / L))


def preference(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """(alpha m + beta) D(m) + b of Eq. 15, nats."""
    return (params.alpha * m + params.beta) * validity(m, params) + params.b


def utility(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """beta D(m) + b of Eq. 17, nats; `alpha` is not used."""
    return params.beta * validity(m, params) + params.b


def validity_dm(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """dD/dm; at m = 0 the derivative from the right."""
    c, L, p = _per_point(m, params)
    return -2.0 * p * (m - c) / (L + (m - c) ** 2) * validity(m, params)


def preference_dm(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """Derivative of Eq. 15 with respect to m, nats per unit of m; at m = 0 from the right."""
    slope = params.alpha * validity(m, params)
    return slope + (params.alpha * m + params.beta) * validity_dm(m, params)


def utility_dm(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, " n"]:
    """Derivative of Eq. 17 with respect to m, nats per unit of m; at m = 0 from the right."""
    return params.beta * validity_dm(m, params)


def validity_gradient(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, "n 6"]:
    """dD/d(m+, L+, p+, m-, L-, p-); the parameters of the other side have derivative 0."""
    c, L, p = _per_point(m, params)
    u = (m - c) ** 2 / L
    D = np.exp(-p * np.log1p(u))
    own = np.stack([2 * p * (m - c) / (L * (1 + u)) * D, p * u / (L * (1 + u)) * D, -np.log1p(u) * D], axis=1)
    right = _right(m, params)[:, None]
    return np.concatenate([np.where(right, own, 0.0), np.where(right, 0.0, own)], axis=1)


def preference_gradient(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, "n 9"]:
    """Derivative of Eq. 15 with respect to each of `PARAM_NAMES`."""
    D = validity(m, params)
    decay = (params.alpha * m + params.beta)[:, None] * validity_gradient(m, params)
    return np.concatenate([np.stack([m * D, D, np.ones_like(m)], axis=1), decay], axis=1)


def utility_gradient(m: Float[FloatArray, " n"], params: CurveParams) -> Float[FloatArray, "n 9"]:
    """Derivative of Eq. 17 with respect to each of `PARAM_NAMES`; the column of alpha is 0."""
    D = validity(m, params)
    decay = params.beta * validity_gradient(m, params)
    return np.concatenate([np.stack([np.zeros_like(m), D, np.ones_like(m)], axis=1), decay], axis=1)


def side_slopes(params: CurveParams) -> tuple[float, float]:
    """Slopes at m = 0 from the left and from the right, nats per unit of m (NaN for a side not swept)."""

    def slope(c: float, L: float, p: float) -> float:
        D0 = float(np.exp(-p * np.log1p(c * c / L)))
        return params.alpha * D0 + params.beta * 2.0 * p * c / (L + c * c) * D0

    left = slope(params.m_minus, params.L_minus, params.p_minus)
    return left, slope(params.m_plus, params.L_plus, params.p_plus)


def continuity_gap(params: CurveParams) -> float:
    """|D+(0) - D-(0)|; NaN when only one side was swept."""
    right = np.exp(-params.p_plus * np.log1p(params.m_plus**2 / params.L_plus))
    left = np.exp(-params.p_minus * np.log1p(params.m_minus**2 / params.L_minus))
    return float(abs(right - left))
