"""``--intervention`` once or several times: what is applied, each with its concept and its own strengths.

--intervention A --intervention B --m 4            both at m = 4
--intervention A --intervention B --m 4 --m=-2     A at 4, B at -2; several m each are taken side by side
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import TokenConfig
from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..steering.finite_logits import Strengths
from ..steering.intervention import Intervention
from ..steering.steering_part import shared_tokens
from ..steering.strength_grid import StrengthGrid, parse_strengths
from ..types import ConfigError
from .console import say
from .inputs import check_artifact


@dataclass(frozen=True)
class NamedIntervention:
    """One of the interventions of a command line.

    Attributes:
        artifact: where it comes from.
        concept: which of its concepts.
        folder: as it was named.
    """

    artifact: Artifact
    concept: str
    folder: Path

    @property
    def intervention(self) -> Intervention:
        """What is applied."""
        return self.artifact[self.concept]

    @property
    def r_per_m(self) -> float | None:
        """Relative change at m = 1; None where the artifact does not say."""
        return self.artifact.unit.r_per_m if self.artifact.unit else None


def read_several(
    folders: Sequence[Path], concept: str | None, other_weights: bool = False
) -> tuple[NamedIntervention, ...]:
    """Read the interventions of a command line.

    Args:
        folders: ``--intervention``, as often as it was given.
        concept: ``--concept``; of several interventions it is for those that hold several concepts.
        other_weights: ``--other-weights``.

    Raises:
        ConfigError: no such concept, one named twice, or interventions that write prompts differently.
        ArtifactError: a folder that is none.
    """
    if len(set(folders)) < len(folders):
        raise ConfigError("--intervention names one folder twice: name it once, at the sum of both m")
    found = []
    for folder in folders:
        artifact = Artifact.from_pretrained(folder, other_weights=other_weights)
        wanted = concept if len(folders) == 1 or len(artifact.concepts) > 1 else None
        found.append(NamedIntervention(artifact, concept_of(artifact, wanted), folder))
    shared_tokens([one.artifact.tokens for one in found], [str(one.folder) for one in found])
    return tuple(found)


def tokens_of_all(chosen: Sequence[NamedIntervention]) -> TokenConfig:
    """The token settings that all of them share.

    Args:
        chosen: from ``read_several``.
    """
    return chosen[0].artifact.tokens


def check_models(chosen: Sequence[NamedIntervention], network: Any, tokenizer: Any, name: str) -> None:
    """Raise unless each fits the model; print what differs from its record.

    Args:
        chosen: from ``read_several``.
        network: the model.
        tokenizer: its tokenizer.
        name: ``--model``.

    Raises:
        ArtifactError: another architecture, a site that does not fit, or other weights.
    """
    for one in chosen:
        of_which = f" of {one.folder}" if len(chosen) > 1 else ""
        check_artifact(one.artifact, network, tokenizer, name, of_which)


def identity_of(chosen: Sequence[NamedIntervention]) -> Mapping[str, Any]:
    """What a journal knows them by.

    Args:
        chosen: from ``read_several``.
    """
    if len(chosen) == 1:
        return {"artifact": chosen[0].artifact.identity(), "concept": chosen[0].concept}
    return {"artifacts": [one.artifact.identity() for one in chosen], "concepts": [one.concept for one in chosen]}


def strengths(written: Sequence[str] | None, chosen: Sequence[NamedIntervention]) -> list[Strengths]:
    """The strengths of ``--m``, given once for all interventions, or once for each; the stored ones where not given.

    Args:
        written: ``--m``, as often as it was given.
        chosen: what is applied.

    Raises:
        ConfigError: another number of them, grids of different lengths, or a grid in r that an artifact cannot read.
    """
    texts = list(written or ())
    if len(texts) not in (0, 1, len(chosen)):
        raise ConfigError(
            f"--m is given {len(texts)} times for {len(chosen)} interventions: give it once, or once for each"
        )
    grids = [None if not texts else parse_strengths(texts[min(i, len(texts) - 1)]) for i in range(len(chosen))]
    each = [wished(grid, one.artifact, one.concept) for grid, one in zip(grids, chosen, strict=True)]
    if len(chosen) == 1:
        return list(each[0])
    longest = max(map(len, each))
    if any(len(values) not in (1, longest) for values in each):
        raise ConfigError(f"--m: {' and '.join(str(len(v)) for v in each)} values: give as many for each, or one")
    columns = [values if len(values) == longest else values * longest for values in each]
    return list(dict.fromkeys(zip(*columns, strict=True)))


def wished(grid: StrengthGrid | None, artifact: Artifact, concept: str) -> tuple[float, ...]:
    """The m of ``--m``; the one stored in the artifact where it is not given.

    Args:
        grid: as the user wrote it.
        artifact: what is applied.
        concept: of the artifact.

    Raises:
        ConfigError: a grid in r, of an artifact that does not say what m = 1 is worth.
    """
    if grid is None:
        return (kept_m(artifact, concept),)
    if grid.unit == "r" and artifact.unit is None:
        raise ConfigError("--m is in r, and this artifact has no record of r at m = 1: give m")
    return grid.in_m(artifact.unit.r_per_m if artifact.unit else 0.0)


def kept_m(artifact: Artifact, concept: str) -> float:
    """The m stored in the artifact for a concept, else 1; prints which of the two.

    Args:
        artifact: one concept or several.
        concept: one of its names.

    Raises:
        ConfigError: it keeps two factors.
    """
    m = artifact.chosen_m(concept)
    if m is None:
        say("no m is stored in this artifact: m = 1 is used (`recommend --save` stores one, --m sets another)")
        return 1.0
    if isinstance(m, tuple):
        raise ConfigError(f"the artifact stores m1 = {m[0]:g} and m2 = {m[1]:g}: choose one with --m")
    say(f"m = {m:.4g}, as stored in the artifact")
    return m


def concept_of(artifact: Artifact, concept: str | None) -> str:
    """The concept selected by ``--concept``.

    Args:
        artifact: one concept or several.
        concept: what was asked for.

    Raises:
        ConfigError: it has no such concept, or none at all, or several of which none is named.
    """
    if concept is not None and artifact.concepts == (DEFAULT_CONCEPT,) and concept != DEFAULT_CONCEPT:
        raise ConfigError(f"--concept {concept}: this artifact was trained without concepts: leave --concept out")
    return artifact.resolve(concept)
