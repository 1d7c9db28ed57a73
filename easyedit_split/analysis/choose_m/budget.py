"""Limit on the loss of utility that a choice of m may cause.

allowed loss = share x (max util - min util)   or   nats
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ...types import ConfigError, FloatArray


@dataclass(frozen=True, slots=True)
class Budget:
    """Largest loss of utility allowed: a share of its swept range (default 10 %), or nats.

    Attributes:
        share: fraction of the swept range of utility, in (0, 1).
        nats: utility, in nats; ``share`` is not used then.
    """

    share: float | None = 0.10
    nats: float | None = None

    def __post_init__(self) -> None:
        if (self.share is None) == (self.nats is None):
            raise ConfigError("a budget is either a share of the swept utility range or a number of nats; give one.")
        if self.share is not None and not 0 < self.share <= 1:
            raise ConfigError(f"budget share is {self.share}; it must lie in (0, 1], e.g. 0.1 for 10 %.")
        if self.nats is not None and not 0 < self.nats < float("inf"):
            raise ConfigError(f"budget is {self.nats} nats; it must be a positive number.")

    def allowed(self, util: Float[FloatArray, "B g"]) -> Float[FloatArray, " B"]:
        """Largest loss of utility allowed to each row, nats below its maximum.

        Args:
            util: utility at each m of a sweep, nats.
        """
        if self.share is not None:
            return self.share * np.asarray(np.ptp(util, axis=1), dtype=np.float64)
        assert self.nats is not None
        return np.full(len(util), self.nats)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read a budget: ``"10%"`` (share of the swept range), ``"2.5"`` or ``"2.5 nats"``.

        Args:
            text: as ``--budget`` takes it.
        """
        body = text.strip().removesuffix("nats").strip()
        try:
            if body.endswith("%"):
                return cls(share=float(body[:-1]) / 100)
            return cls(share=None, nats=float(body))
        except ValueError as error:
            raise ConfigError(f"budget {text!r} is neither a share like '10%' nor nats like '2.5'.") from error
