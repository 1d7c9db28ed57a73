"""Model comparison: the paper's curve against alternative curves, by cross-validation and BIC.

held-out R2 = 1 - sum over folds of squared errors on points left out / SST,      folds: every K-th point by m
BIC         = n log(SSE / n) + k log n                                            (lower is better)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..sweep_curves import Kind
from ..types import ConfigError, DataError, FloatArray
from .fit.fit_curve import information_criteria, r_squared
from .fit.problem import FitError, curve_problem
from .fit.rivals import MODELS, paper, serves
from .fit.weights import spacing_weights

FOLDS = 5


@dataclass(frozen=True, slots=True)
class ModelScore:
    """Goodness of fit of one model to a curve.

    Attributes:
        name: of the model.
        n_params: free parameters.
        r2: coefficient of determination on the fitted points.
        held_out_r2: the same on points left out (cross-validation); NaN where the fit of a fold did not converge, or
            leaves a side without points, or nothing was cross-validated.
        rmse: root mean squared error, nats.
        aic: Akaike information criterion; lower is better.
        bic: Bayesian information criterion; lower is better.
    """

    name: str
    n_params: int
    r2: float
    held_out_r2: float
    rmse: float
    aic: float
    bic: float


def compare_models(
    m: Float[FloatArray, " n"], y: Float[FloatArray, " n"], kind: Kind, *, folds: int | None = FOLDS
) -> list[ModelScore]:
    """Fit the paper's curve and the alternative models to one curve, best BIC first.

    Args:
        m: swept m.
        y: log-odds, nats.
        kind: ``preference`` or ``utility``.
        folds: of the cross-validation; None for none, without the refits.

    Raises:
        DataError: the points cannot be fitted, or too few are left when a fold is taken out.
        ConfigError: fewer than two folds.
    """
    if folds is not None and folds < 2:
        raise ConfigError(f"folds is {folds}; held-out points need at least 2.")
    problem = curve_problem(m, y, kind)
    m, y = problem.m, problem.y
    if folds is not None and (left := len(m) - -(-len(m) // folds)) < problem.n_params:
        raise DataError(
            f"{len(m)} points in {folds} folds leave {left} to fit {problem.n_params} parameters; "
            "sweep more values of m or ask for more folds."
        )
    weights, scores = spacing_weights(m), []
    for name, fit in MODELS.items():
        if not serves(name, m, kind):
            continue
        try:
            fitted = fit(m, y, kind)
        except FitError:
            if fit is paper:
                raise
            continue  # a rival that cannot be fitted does not compete
        predicted = fitted.curve(m)
        sse = float(weights @ np.square(y - predicted))
        aic, bic = information_criteria(sse, len(m), fitted.n_params, problem.span)
        held_out = float("nan") if folds is None else _held_out(m, y, kind, name, folds)
        rmse = float(np.sqrt(sse / len(m)))
        scores.append(ModelScore(name, fitted.n_params, r_squared(y, predicted, weights), held_out, rmse, aic, bic))
    return sorted(scores, key=lambda score: score.bic)


def _held_out(m: FloatArray, y: FloatArray, kind: Kind, name: str, folds: int) -> float:
    predicted = np.empty_like(y)
    fold = np.arange(len(m)) % folds
    for k in range(folds):
        out = fold == k
        try:
            predicted[out] = MODELS[name](m[~out], y[~out], kind).curve(m[out])
        except FitError:
            return float("nan")
    return r_squared(y, predicted, spacing_weights(m))
