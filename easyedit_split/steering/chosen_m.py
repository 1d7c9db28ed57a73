"""The steering strength m that an artifact stores for a concept, with the evidence for the choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import require


@dataclass(frozen=True, slots=True)
class ChosenM:
    """The steering strength chosen for a concept, with the evidence for it.

    Attributes:
        m1: factor of dW.
        m2: factor of db.
        evidence: how it was chosen and what was measured there, plain JSON values.
    """

    m1: float
    m2: float
    evidence: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("m1", "m2"):
            value = getattr(self, name)
            require(abs(value) < float("inf"), f"{name} is {value}, must be finite")

    @property
    def strength(self) -> float | tuple[float, float]:
        """The strength as one float where both factors are equal, else ``(m1, m2)``."""
        return self.m1 if self.m1 == self.m2 else (self.m1, self.m2)

    @classmethod
    def of(cls, m: float | tuple[float, float], evidence: Mapping[str, Any] | None = None) -> ChosenM:
        """Make from a strength in the form that ``attach`` takes.

        Args:
            m: one float, or ``(m1, m2)``.
            evidence: see the class.
        """
        m1, m2 = m if isinstance(m, tuple) else (m, m)
        return cls(float(m1), float(m2), dict(evidence or {}))
