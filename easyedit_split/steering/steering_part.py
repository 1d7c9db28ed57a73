"""One term of a steering (an artifact's concept at a strength m), of which a sum has several.

h' = (W + m1 dW) h + (b + m2 db)          Eq. 4, (m1, m2) the m that was named, else the artifact's own, else 1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..config import TokenConfig
from ..types import ConfigError
from .artifact import DEFAULT_CONCEPT, Artifact
from .chosen_m import ChosenM
from .intervention import Intervention

FixedM = float | int | tuple[float, float]
"""A steering strength of plain numbers: one m, or ``(m1, m2)``."""


def fixed_m(m: FixedM) -> float | tuple[float, float]:
    """Convert a strength to plain floats.

    Args:
        m: one m, or ``(m1, m2)``.
    """
    return (float(m[0]), float(m[1])) if isinstance(m, tuple) else float(m)


def shared_tokens(tokens: Sequence[TokenConfig], names: Sequence[str]) -> TokenConfig:
    """The token settings that all parts have in common.

    Args:
        tokens: of each part.
        names: what each is called in messages.

    Raises:
        ConfigError: two differ, so that they would be given different prompts.
    """
    first = asdict(tokens[0])
    for other, name in zip(tokens[1:], names[1:], strict=True):
        for key, value in asdict(other).items():
            if value != first[key]:
                raise ConfigError(
                    f"{names[0]} and {name} write prompts differently: tokens.{key} is {first[key]!r} and {value!r}: "
                    "train both with the same"
                )
    return tokens[0]


@dataclass(frozen=True, slots=True)
class Part:
    """One term of a steering: an artifact, one of its concepts, and a strength m.

    Attributes:
        artifact: where it comes from.
        concept: which of the artifact's concepts; None where none was chosen yet.
        own: the m that was named for it, with the evidence; None for what the artifact keeps.
    """

    artifact: Artifact
    concept: str | None
    own: ChosenM | None = None

    @property
    def chosen(self) -> ChosenM:
        """The strength m in effect: the user's choice, else the one stored in the artifact for the concept, else 1."""
        kept = None if self.concept is None else self.artifact.chosen.get(self.concept)
        return self.own or kept or ChosenM.of(1.0)

    def with_chosen(self) -> Artifact:
        """The artifact with the user's choice of m stored in it; unchanged where there is none."""
        artifact = self.artifact
        if self.own is not None:
            for concept in artifact.concepts if self.concept is None else (self.concept,):
                artifact = artifact.with_m(self.own.strength, concept, evidence=self.own.evidence)
        return artifact

    @property
    def intervention(self) -> Intervention:
        """The artifact's intervention for the concept.

        Raises:
            ConfigError: the artifact holds several concepts and none was chosen.
        """
        return self.artifact[self.concept]

    def at(self, m: FixedM, evidence: Mapping[str, Any] | None = None) -> Part:
        """The same intervention at another m.

        Args:
            m: one m, or ``(m1, m2)``.
            evidence: how it was chosen, plain JSON values.
        """
        return replace(self, own=ChosenM.of(fixed_m(m), evidence))

    def scaled(self, factor: float) -> Part:
        """The same intervention at ``factor`` times its m.

        Args:
            factor: any number.
        """
        return self.at((factor * self.chosen.m1, factor * self.chosen.m2))

    def _concepts(self) -> str:
        names = self.artifact.concepts if self.concept is None else (self.concept,)
        return ", ".join(name for name in names if name != DEFAULT_CONCEPT)

    def facts(self) -> dict[str, str]:
        """A description for people: form, objective, sites, m, data and model."""
        config, record = self.artifact.config, self.artifact.record
        data, model = record.get("data", {}), record.get("model", {})
        rows = f"{data['pairs']} pairs" if "pairs" in data else ""
        source = ", ".join(part for part in (data.get("split", ""), rows) if part)
        method = f"{config.form} x {record['objective']}" if record.get("objective") else config.form
        sites = ", ".join(config.sites)
        where = sites if all(key.endswith(".residual") for key in config.sites) else f"{sites} ({config.placement})"
        strength = self.chosen.strength
        values = {
            "what": method,
            "where": where,
            "m": f"{strength:g}" if isinstance(strength, float) else f"({strength[0]:g}, {strength[1]:g})",
            "concept": self._concepts(),
            "data": f"{data.get('name', '')} ({source})" if source else str(data.get("name", "")),
            "model": str(model.get("id", "")),
        }
        return {key: value for key, value in values.items() if value}
