"""Alternative models of a curve, fitted to the same points for comparison with the paper's.

    linear               pref, util = a m + b
    quadratic            pref, util = a m^2 + c m + b
    gaussian decay       Eq. 15 and 17 with D = exp(-r_s m^2)
    exponential decay    Eq. 15 and 17 with D = exp(-r_s |m|)
    one smooth decay     Eq. 15 and 17 with one centre, L and p for both sides: no kink at zero     (``one_decay``)
    switch               the mean over pairs that turn at their own m, preference only                 (``switch``)

r_s has its own value on each side s of zero, so that no rival loses for want of asymmetry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Bool, Float

from ...sweep_curves import Kind
from ...types import FloatArray
from .fit_curve import fit_curve
from .one_decay import fit_one_decay, is_two_sided
from .problem import curve_problem
from .projection import project
from .switch import fit_switch
from .varpro import solve
from .weights import spacing_weights

LOG_RATES = np.log([0.03, 0.3, 1.0, 3.0, 10.0, 30.0, 300.0])
SWITCH_PARAMS = 8
RATE_BOUNDS = (np.log(1e-4), np.log(1e5))


@dataclass(frozen=True)
class Fitted:
    """A fitted alternative model: its curve and its number of free parameters.

    Attributes:
        curve: of m, nats.
        n_params: free parameters.
    """

    curve: Callable[[FloatArray], FloatArray]
    n_params: int


@dataclass(frozen=True)
class PowerDecay:
    """Gaussian or exponential decay log D = -r |x|^power with one rate r for each sign of m; coordinates are log r.

    Attributes:
        x: ``[n]`` sorted m / scale.
        power: 1 exponential, 2 Gaussian.
        two_sided: whether both signs of m were swept.
    """

    x: FloatArray
    power: int
    two_sided: bool

    @cached_property
    def root_weights(self) -> FloatArray:
        """Square roots ``[n]`` of the points' weights."""
        return np.sqrt(spacing_weights(self.x))

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds on log r."""
        n = 2 if self.two_sided else 1
        return np.full(n, RATE_BOUNDS[0]), np.full(n, RATE_BOUNDS[1])

    def retract(self, theta: Float[FloatArray, "S q"]) -> tuple[Float[FloatArray, "S q"], Bool[np.ndarray, " S"]]:
        """The point unchanged: there are no nonlinear constraints.

        Args:
            theta: log rates inside the box.
        """
        return theta, np.zeros(len(theta), dtype=bool)

    def walls(self, theta: Float[FloatArray, "S q"]) -> tuple[Float[FloatArray, "S k q"], Bool[np.ndarray, "S k"]]:
        """Empty arrays: there are no nonlinear constraints.

        Args:
            theta: log rates inside the box.
        """
        return np.zeros((len(theta), 0, theta.shape[1])), np.zeros((len(theta), 0), dtype=bool)

    def log_relative(self, theta: Float[FloatArray, "S q"], sigma: Float[FloatArray, " S"]) -> Float[FloatArray, "S n"]:
        """Log-validity log D, 0 at x = 0.

        Args:
            theta: log rates of S problems.
            sigma: unused.
        """
        return np.asarray(self.jacobian(theta, sigma).sum(axis=2), dtype=np.float64)

    def jacobian(self, theta: Float[FloatArray, "S q"], sigma: Float[FloatArray, " S"]) -> Float[FloatArray, "S n q"]:
        """Jacobian d log D / d log r = log D where x has the rate's sign.

        Args:
            theta: log rates of S problems.
            sigma: unused.
        """
        columns = [self.x >= 0, self.x < 0] if self.two_sided else [np.ones(len(self.x), dtype=bool)]
        own = np.stack(columns, axis=1).astype(np.float64)
        distance = np.abs(self.x) ** self.power
        return np.asarray(-np.exp(theta)[:, None, :] * (distance[:, None] * own), dtype=np.float64)


def polynomial(m: Float[FloatArray, " n"], y: Float[FloatArray, " n"], kind: Kind, degree: int) -> Fitted:
    """Fit a least-squares polynomial in m.

    Args:
        m: swept m.
        y: log-odds, nats.
        kind: unused; a polynomial is the same for both.
        degree: of the polynomial.
    """
    scale = float(np.abs(m).max())
    coefficients = np.polyfit(m / scale, y, degree, w=np.sqrt(spacing_weights(m)))
    return Fitted(lambda at: np.asarray(np.polyval(coefficients, at / scale), dtype=np.float64), degree + 1)


def power_decay(m: Float[FloatArray, " n"], y: Float[FloatArray, " n"], kind: Kind, power: int) -> Fitted:
    """Fit a Gaussian (power 2) or exponential (power 1) decay, from a grid of starting rates.

    Args:
        m: swept m.
        y: log-odds, nats.
        kind: ``preference`` or ``utility``.
        power: 1 or 2.
    """
    problem = curve_problem(m, y, kind)
    decay = PowerDecay(problem.decay.x, power, problem.decay.two_sided)
    n_rates = 2 if decay.two_sided else 1
    theta = np.array(list(product(LOG_RATES, repeat=n_rates)))
    sigma = np.ones(len(theta))
    rows = np.broadcast_to(problem.target, (len(theta), len(m)))
    found = solve(decay, rows, theta, sigma, with_alpha=problem.with_alpha)
    best = int(found.cost.argmin())
    root = decay.root_weights
    shape, one = found.theta[best : best + 1], sigma[:1]
    y0, beta, alpha = project(
        decay.log_relative(shape, one), decay.x, problem.target[None] * root, problem.with_alpha, root
    ).linear[0]

    def curve(at: FloatArray) -> FloatArray:
        there = PowerDecay(at / problem.scale, power, decay.two_sided)
        log_D = there.log_relative(shape, one)[0]
        scaled = alpha * there.x * np.exp(log_D) + beta * np.expm1(log_D) + y0
        return np.asarray(problem.offset + problem.span * scaled, dtype=np.float64)

    return Fitted(curve, n_rates + (3 if problem.with_alpha else 2))


def paper(m: Float[FloatArray, " n"], y: Float[FloatArray, " n"], kind: Kind) -> Fitted:
    """Fit the paper's curve, Eq. 12 with 15 or 17.

    Args:
        m: swept m.
        y: log-odds, nats.
        kind: ``preference`` or ``utility``.
    """
    fit = fit_curve(m, y, kind)
    return Fitted(fit, fit.n_params)


def smooth(m: Float[FloatArray, " n"], y: Float[FloatArray, " n"], kind: Kind) -> Fitted:
    """Fit one smooth decay around one centre.

    Args:
        m: swept m.
        y: log-odds, nats.
        kind: ``preference`` or ``utility``.
    """
    fit = fit_one_decay(m, y, kind)
    return Fitted(fit, fit.n_params)


def switch(m: Float[FloatArray, " n"], y: Float[FloatArray, " n"], kind: Kind) -> Fitted:
    """Fit the mean of bounded preferences that switch at an m of each pair's own.

    Args:
        m: swept m.
        y: log-odds, nats.
        kind: ``preference`` or ``utility``.
    """
    fit = fit_switch(m, y)
    return Fitted(fit, fit.n_params)


MODELS: dict[str, Callable[[FloatArray, FloatArray, Kind], Fitted]] = {
    "rational quadratic (paper)": paper,
    "linear": lambda m, y, kind: polynomial(m, y, kind, 1),
    "quadratic": lambda m, y, kind: polynomial(m, y, kind, 2),
    "gaussian decay": lambda m, y, kind: power_decay(m, y, kind, 2),
    "exponential decay": lambda m, y, kind: power_decay(m, y, kind, 1),
    "one smooth decay": smooth,
    "switch": switch,
}


def serves(name: str, m: Float[FloatArray, " n"], kind: Kind) -> bool:
    """Whether a model applies to a curve and differs there from the other models.

    Args:
        name: a key of ``MODELS``.
        m: swept.
        kind: which curve.
    """
    if name == "one smooth decay":
        return is_two_sided(m)
    return name != "switch" or (kind == "preference" and len(m) > SWITCH_PARAMS)
