"""Store the recommended m and its evidence in an artifact; refused when chosen on the artifact's training rows.

chosen_m = {m1, m2, evidence}          in ``steering_config.json``, under the artifact's digest
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..analysis import Aim, Interval, PairedGain, Recommendation, SweepCurve
from ..steering.artifact import Artifact
from ..types import ConfigError


def to_keep_m(folder: Path, curve: SweepCurve) -> Artifact:
    """The artifact that will store an m, checked before anything is chosen.

    Args:
        folder: the artifact.
        curve: the sweep that m is to be chosen on.

    Raises:
        ConfigError: the artifact holds several concepts, or the sweep is of the rows that it was trained on.
        ArtifactError: the artifact is damaged.
    """
    artifact = Artifact.from_pretrained(folder)
    only_concept(artifact)
    refuse_training_rows(artifact, curve, folder)
    return artifact


def keep_m(artifact: Artifact, folder: Path, curve: SweepCurve, choice: Recommendation, aim: Aim) -> None:
    """Store a recommended m in an artifact.

    Args:
        artifact: from ``to_keep_m``.
        folder: its own.
        curve: the sweep that m was chosen on.
        choice: what was recommended.
        aim: what m was to reach.

    Raises:
        ConfigError: no m was recommended.
    """
    if choice.m is None:
        raise ConfigError(f"there is no m to store in {folder}: {choice.reason}")
    kept = artifact.with_m(choice.m, only_concept(artifact), evidence=evidence_record(curve, choice, aim))
    kept.save_pretrained(folder, overwrite=True)


def only_concept(artifact: Artifact) -> str:
    """The artifact's only concept, for which an m is stored.

    Args:
        artifact: of one concept or several.

    Raises:
        ConfigError: it holds several, whose sweep chose one m for all of them.
    """
    if len(artifact.concepts) > 1:
        raise ConfigError(
            f"the artifact holds {len(artifact.concepts)} concepts and the sweep one m for all: store m in "
            "an artifact of each concept alone"
        )
    return artifact.concepts[0]


def refuse_training_rows(artifact: Artifact, curve: SweepCurve, folder: Path) -> None:
    """Raise where an m would be chosen on the rows that the artifact was trained on.

    Args:
        artifact: with the record of its data.
        curve: the sweep.
        folder: of the artifact, for the message.

    Raises:
        ConfigError: dataset and split are those of the training.
    """
    data = artifact.record.get("data", {})
    trained, swept = (data.get("name"), data.get("split", "")), (curve.key.dataset, curve.key.split)
    if curve.key.dataset and trained == swept:
        what = " ".join(part for part in swept if part)
        raise ConfigError(
            f"the sweep is of {what}, the rows that {folder} was trained on, where gains are biased upwards: "
            "sweep held-out rows (--split dev)"
        )


def evidence_record(curve: SweepCurve, choice: Recommendation, aim: Aim) -> dict[str, Any]:
    """How m was chosen and what was measured there, as JSON values.

    Args:
        curve: the sweep.
        choice: what was recommended.
        aim: what m was to reach.
    """
    record: dict[str, Any] = {
        "aim": aim,
        "reason": choice.reason,
        "sweep": curve.name,
        "m_interval": _ends(choice.m_interval),
        "preference_gained": choice.gain,
        "utility_gained": -choice.paid,
    }
    found = choice.evidence
    if found is not None:
        record |= {
            "pairs": found.pairs,
            "pairs_certain": found.certain,
            "pairs_helped": found.helped,
            "log_p_gained": _gain(found.likelier),
            "preference": _gain(found.preference),
        }
    if choice.style is not None and choice.style.learnt:
        record["style_learnt"] = {"m": choice.style.m, "utility_gained": choice.style.rise.mean}
    return record


def _gain(gain: PairedGain) -> dict[str, Any]:
    return {"mean": gain.mean, "student": _ends(gain.student), "bootstrap": _ends(gain.bootstrap)}


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high, interval.level]
