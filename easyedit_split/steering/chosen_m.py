"""The m that an artifact keeps: the strength that was chosen for a concept, and what speaks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import require


@dataclass(frozen=True, slots=True)
class ChosenM:
    """The strength that a concept is to be steered with.

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
        """One float where both factors are the same, else ``(m1, m2)``."""
        return self.m1 if self.m1 == self.m2 else (self.m1, self.m2)

    @classmethod
    def of(cls, m: float | tuple[float, float], evidence: Mapping[str, Any] | None = None) -> ChosenM:
        """From a strength as ``attach`` takes it.

        Args:
            m: one float, or ``(m1, m2)``.
            evidence: see the class.
        """
        m1, m2 = m if isinstance(m, tuple) else (m, m)
        return cls(float(m1), float(m2), dict(evidence or {}))
