"""Alternative curve that is smooth at m = 0: one validity decay around one centre for both signs of m.

    D(m)    = (1 + (m - c)^2 / L)^(-p)                     for all m
    pref(m) = (alpha m + beta) D(m) + b,                   util(m) = beta D(m) + b                          nats

Eq. 12 gives each side of zero its own centre, L and p, so that the slope jumps at m = 0; here it cannot. Three numbers
fewer. It is the fit of a one-sided sweep, with its side continued beyond zero, so the same search serves. On a sweep
that is one-sided already it is the paper's form itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ...sweep_curves import Kind
from ...types import FloatArray
from .curves import CurveParams
from .decay import RationalQuadratic
from .fit_curve import curve_at
from .least_squares import search, solution_params
from .problem import FitError, curve_problem
from .varpro import OPTIMAL, PLATEAUED


@dataclass(frozen=True)
class OneDecay:
    """Fitted curve with one smooth decay for both signs of m.

    Attributes:
        kind: which equation.
        params: alpha, beta, b and the plus side's centre, L and p, which hold on both sides.
        n_params: free parameters.
    """

    kind: Kind
    params: CurveParams
    n_params: int

    def __call__(self, m: Float[FloatArray, " q"]) -> Float[FloatArray, " q"]:
        """Value of the curve at m, nats.

        Args:
            m: steering factors, in any order.
        """
        return curve_at(self.kind, m, self.params)


def fit_one_decay(m: Float[FloatArray, " n"], y: Float[FloatArray, " n"], kind: Kind) -> OneDecay:
    """Fit a curve with one smooth decay for both signs of m.

    Args:
        m: steering factors, any order, each once.
        y: preference or utility log-odds at m, nats.
        kind: which equation.

    Raises:
        DataError: the points cannot be fitted.
        FitError: the search did not converge.
    """
    problem = curve_problem(m, y, kind)
    one_sided = RationalQuadratic(problem.decay.x, 0, two_sided=False)
    problem = replace(problem, decay=one_sided)
    found, _ = search(problem)
    best = int(found.cost.argmin())
    if int(found.status[best]) not in (OPTIMAL, PLATEAUED):
        raise FitError(f"the {kind} curve with one smooth decay did not converge over {len(m)} points.")
    p = solution_params(problem, found, best)
    both = replace(p, m_minus=p.m_plus, L_minus=p.L_plus, p_minus=p.p_plus)
    return OneDecay(kind, both, one_sided.n_params + (3 if problem.with_alpha else 2))


def is_two_sided(m: Float[FloatArray, " n"]) -> bool:
    """Whether both signs of m were swept.

    Args:
        m: steering factors.
    """
    return bool(np.any(m < 0) and np.any(m > 0))
