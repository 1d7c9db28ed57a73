"""Fit the preference curve (Eq. 15) or the utility curve (Eq. 17) to log-odds over m.

    minimise  sum_i w_i (y_i - curve(m_i))^2   subject to   D+(0) = D-(0)

with w_i from ``weights`` (1 unless points lie in a cluster), by either solver: ``least_squares`` (default; continuity
and the linear parameters eliminated) or ``slsqp`` (the paper's). A fit that did not converge raises ``FitError``, or is
returned with ``ok=False`` where the caller asks for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ...sweep_curves import Kind
from ...types import ConfigError, FloatArray
from . import curves
from .curves import CurveParams
from .identify import Coordinates, at_bound, coordinates, unidentified
from .least_squares import SolverResult, least_squares
from .problem import FitError, Problem, curve_problem
from .slsqp import slsqp

Solver = Literal["least_squares", "slsqp"]
SOLVERS: dict[str, Callable[[Problem], SolverResult]] = {"least_squares": least_squares, "slsqp": slsqp}


@dataclass(frozen=True)
class CurveFit:
    """A fitted preference or utility curve.

    Attributes:
        kind: ``preference`` or ``utility``.
        params: Eq. 12 and 15 or 17; NaN on a side that was not swept; alpha = 0 for utility.
        ok: whether the solver converged.
        message: how the solver ended, in words.
        solver: its name.
        r2: coefficient of determination 1 - SSE / SST on the fitted points, weighted as the fit is.
        rmse: root mean squared error, nats, weighted as the fit is.
        aic: Akaike information criterion n log(SSE / n) + 2 k (SSE no smaller than rounding error).
        bic: Bayesian information criterion n log(SSE / n) + k log n.
        m: ``[n]`` fitted points, sorted.
        y: ``[n]`` their log-odds, nats.
        n_params: free parameters k.
        unidentified: parameters that the points do not identify.
        trade_offs: groups of parameters that change together without changing the curve.
        at_bound: parameters that ended on a bound of the search.
        n_starts: starting points tried.
        n_agree: final runs that reached the best cost.
    """

    kind: Kind
    params: CurveParams
    ok: bool
    message: str
    solver: str
    r2: float
    rmse: float
    aic: float
    bic: float
    m: FloatArray
    y: FloatArray
    n_params: int
    unidentified: tuple[str, ...]
    trade_offs: tuple[tuple[str, ...], ...]
    at_bound: tuple[str, ...]
    n_starts: int
    n_agree: int

    def __call__(self, m: Float[FloatArray, " q"]) -> Float[FloatArray, " q"]:
        """Value of the curve at m, nats.

        Args:
            m: any m.
        """
        return curve_at(self.kind, m, self.params)

    def slope(self, m: Float[FloatArray, " q"]) -> Float[FloatArray, " q"]:
        """Derivative of the curve, nats per unit of m (from the right at m = 0).

        Args:
            m: any m.
        """
        function = curves.preference_dm if self.kind == "preference" else curves.utility_dm
        return function(m, self.params)

    def validity(self, m: Float[FloatArray, " q"]) -> Float[FloatArray, " q"]:
        """Validity D(m) of Eq. 12.

        Args:
            m: any m.
        """
        return curves.validity(m, self.params)

    @property
    def swept(self) -> tuple[float, float]:
        """Smallest and largest fitted m."""
        return float(self.m[0]), float(self.m[-1])

    @property
    def coordinates(self) -> Coordinates:
        """The fit in the free coordinates that its uncertainty is computed in."""
        problem = curve_problem(self.m, self.y, self.kind)
        return coordinates(problem.decay, self.params, problem.scale, problem.with_alpha)


def curve_at(kind: Kind, m: Float[FloatArray, " q"], params: CurveParams) -> Float[FloatArray, " q"]:
    """Value of the curve of Eq. 15 or Eq. 17 at m, nats.

    Args:
        kind: ``preference`` or ``utility``.
        m: any m.
        params: the nine parameters.
    """
    return curves.preference_curve(m, params) if kind == "preference" else curves.utility_curve(m, params)


def fit_curve(
    m: Float[FloatArray, " n"],
    y: Float[FloatArray, " n"],
    kind: Kind,
    *,
    solver: Solver = "least_squares",
    on_failure: Literal["raise", "return"] = "raise",
) -> CurveFit:
    """Fit the preference curve (Eq. 15) or the utility curve (Eq. 17) by weighted least squares.

    Args:
        m: steering factors, any order, each once; one-sided and asymmetric grids are welcome.
        y: preference or utility log-odds at m, nats.
        kind: "preference" (Eq. 15) or "utility" (Eq. 17).
        solver: "least_squares" or "slsqp".
        on_failure: what to do with a fit that did not converge: raise ``FitError``, or return it with ``ok=False``.

    Raises:
        DataError: the points cannot be fitted (see ``curve_problem``).
        FitError: the solver did not converge.
    """
    if solver not in SOLVERS:
        raise ConfigError(f"solver {solver!r} is unknown; use one of {', '.join(SOLVERS)}.")
    problem = curve_problem(m, y, kind)
    result = SOLVERS[solver](problem)
    if not result.ok and on_failure == "raise":
        raise FitError(
            f"the {kind} curve over {len(m)} points did not converge ({solver}: {result.message}); "
            "try the other solver, or on_failure='return' to look at the attempt."
        )
    return _result(problem, result, solver)


def r_squared(
    y: Float[FloatArray, " n"], predicted: Float[FloatArray, " n"], weights: Float[FloatArray, " n"] | None = None
) -> float:
    """Coefficient of determination 1 - SSE / SST; negative where the mean predicts better, NaN for constant y.

    Args:
        y: points, nats.
        predicted: the same points as a curve has them, nats.
        weights: of the points; all alike where None.
    """
    w = np.ones_like(y) if weights is None else weights
    sst = float(w @ np.square(y - w @ y / w.sum()))
    return 1.0 - float(w @ np.square(y - predicted)) / sst if sst > 0 else float("nan")


def information_criteria(sse: float, n: int, k: int, span: float) -> tuple[float, float]:
    """AIC and BIC of a least-squares fit; SSE counts no less than rounding error of the curve's range.

    Args:
        sse: sum of squared errors.
        n: points.
        k: free parameters.
        span: range of the curve, in its unit.
    """
    log_variance = n * np.log(max(sse, n * (1e-15 * span) ** 2) / n)
    return float(log_variance + 2 * k), float(log_variance + k * np.log(n))


def _result(problem: Problem, result: SolverResult, solver: str) -> CurveFit:
    predicted = curve_at(problem.kind, problem.m, result.params)
    weights = np.square(problem.decay.root_weights)
    sse, n = float(weights @ np.square(problem.y - predicted)), len(problem.m)
    aic, bic = information_criteria(sse, n, problem.n_params, problem.span)
    rmse = float(np.sqrt(sse / n))
    coords = coordinates(problem.decay, result.params, problem.scale, problem.with_alpha)
    weak, groups = unidentified(coords, problem.span, rmse)
    return CurveFit(
        kind=problem.kind,
        params=result.params,
        ok=result.ok,
        message=result.message,
        solver=solver,
        r2=r_squared(problem.y, predicted, weights),
        rmse=rmse,
        aic=aic,
        bic=bic,
        m=problem.m,
        y=problem.y,
        n_params=problem.n_params,
        unidentified=weak,
        trade_offs=groups,
        at_bound=at_bound(coords),
        n_starts=result.n_starts,
        n_agree=result.n_agree,
    )
