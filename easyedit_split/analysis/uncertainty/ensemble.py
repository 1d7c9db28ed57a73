"""Bootstrap draws or derivative steps of one fitted curve, evaluated together in free coordinates.

y(m) = alpha x G(x) + beta' (G(x) - 1) + y0,    x = m / max|m|,    G = D / D(0)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ...types import FloatArray
from ..fit.decay import RationalQuadratic, SideValues
from ..fit.identify import Coordinates


@dataclass(frozen=True)
class Ensemble:
    """Bootstrap draws or derivative steps of one fitted curve, in free coordinates.

    Attributes:
        coords: the estimate.
        theta: ``[B q]`` free shape coordinates.
        sigma: ``[B]`` relative sign of the centres.
        linear: ``[B 3]`` (y0, beta', alpha) in scaled m.
    """

    coords: Coordinates
    theta: FloatArray
    sigma: FloatArray
    linear: FloatArray

    def _decay(self, m: FloatArray) -> RationalQuadratic:
        own = self.coords.decay
        n_left = int((m < 0).sum()) if own.two_sided else (len(m) if own.n_left else 0)
        return RationalQuadratic(m / self.coords.scale, n_left, own.two_sided)

    def values(self, m: Float[FloatArray, " g"]) -> Float[FloatArray, "B g"]:
        """Values of every draw's curve at sorted m, nats.

        Args:
            m: sorted.
        """
        decay = self._decay(m)
        log_G = decay.log_relative(self.theta, self.sigma)
        y0, beta, alpha = (self.linear[:, k : k + 1] for k in range(3))
        return alpha * decay.x * np.exp(log_G) + beta * np.expm1(log_G) + y0

    def derivatives(self, m: Float[FloatArray, " g"]) -> Float[FloatArray, "B g"]:
        """Derivative of every draw's curve at sorted m, nats per unit of m.

        Args:
            m: sorted.
        """
        decay = self._decay(m)
        G = np.exp(decay.log_relative(self.theta, self.sigma))
        beta, alpha = self.linear[:, 1:2], self.linear[:, 2:3]
        slope = decay.log_slope(self.theta, self.sigma)
        return (alpha + (alpha * decay.x + beta) * slope) * G / self.coords.scale

    def slopes(self) -> Float[FloatArray, "B 2"]:
        """Slopes at m = 0 from the left and the right, nats per unit of m; NaN for a sign of m not swept."""
        out = np.full((len(self.theta), 2), np.nan)
        for column, side in self._sides():
            d_log_G = 2 * side.p * side.c / (side.L * np.exp(side.kappa_over_p))
            out[:, column] = (self.linear[:, 2] + self.linear[:, 1] * d_log_G) / self.coords.scale
        return out

    def breakdowns(self) -> Float[FloatArray, "B 2"]:
        """The m where D = 1/2 beyond the peak, negative and positive; NaN for a sign of m not swept."""
        out = np.full((len(self.theta), 2), np.nan)
        for column, side in self._sides():
            reach = np.sqrt(side.L * np.expm1(np.minimum(np.log(2.0) / side.p, 700.0)))
            out[:, column] = (side.c + (reach if column else -reach)) * self.coords.scale
        return out

    def _sides(self) -> list[tuple[int, SideValues]]:
        """Index and values for each swept sign of m (0 minus, 1 plus)."""
        decay = self.coords.decay
        columns = (1, 0) if decay.two_sided else ((0,) if decay.n_left else (1,))
        return list(zip(columns, decay.sides(self.theta, self.sigma), strict=True))


def ensemble(coords: Coordinates, z: Float[FloatArray, "B k"]) -> Ensemble:
    """The ensemble with one draw for each row of z = (y0, beta'[, alpha], theta).

    Args:
        coords: the estimate.
        z: one version a row.
    """
    linear = np.zeros((len(z), 3))
    linear[:, : coords.n_linear] = z[:, : coords.n_linear]
    return Ensemble(coords, z[:, coords.n_linear :], np.full(len(z), coords.sigma), linear)
