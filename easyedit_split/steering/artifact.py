"""Trained interventions on disk, laid out as PEFT's adapters: ``steering_config.json`` and ``steering.safetensors``.

Tensors are named ``{concept}/{block}.{site}.{parameter}``. The configuration says everything needed to apply and to
repeat: form, sites, placement, token policy, objective, training, model, tokenizer hash, data hash, versions; a digest
covers the tensors and the canonical configuration. ``history.jsonl`` lies beside them for people and plots: nothing is
computed from it, the digest leaves it out, and reading checks its shape only. Saving writes under a temporary name and
moves into place. Loading checks the digest, every name, shape and value, and nothing in the files is executed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from .. import __version__
from ..config import TokenConfig, build, require
from ..files.reading import cut, shown
from ..model.describe import describe, name_of
from ..registry import nearest
from ..storage import new_folder
from ..types import ArtifactError, ConfigError
from .artifact_files import (
    CONFIG_FILE,
    FILES,
    FORMAT_VERSION,
    HISTORY_FILE,
    TENSOR_FILE,
    check_place,
    digest_of,
    fill,
    read_config,
    read_history,
    read_tensors,
    require_finite,
    write_files,
)
from .artifact_model import differences, require_fit
from .artifact_record import check_record, require_digest, require_room
from .chosen_m import ChosenM
from .concept_folders import concept_folders, together
from .hub_files import folder_of
from .intervention import Intervention, InterventionConfig
from .strength_grid import NaturalUnit

DEFAULT_CONCEPT = "default"
UNIT_KEY = "natural_unit"


class Artifact:
    """Trained interventions by concept, all of one configuration, with the record of their training.

    Args:
        interventions: at least one; a dataset of one concept has the single key ``"default"``.
        record: provenance, plain JSON values: ``model``, ``objective``, ``train``, ``tokens``, ``data``, ...
        history: training history by concept, lists of plain mappings.
        chosen: the m that was chosen for a concept, with its evidence; may lack any of them.
        other_weights: whether it may steer a model of the recorded name that has other weights.

    Attributes:
        said: differences of models that the user has been told of.

    Raises:
        ConfigError: no interventions, of different configurations, or an m for a concept that is not there.
    """

    def __init__(
        self,
        interventions: Mapping[str, Intervention],
        record: Mapping[str, Any] | None = None,
        history: Mapping[str, list[dict[str, Any]]] | None = None,
        chosen: Mapping[str, ChosenM] | None = None,
        other_weights: bool = False,
    ) -> None:
        if not interventions:
            raise ConfigError("an artifact needs at least one intervention")
        configs = {concept: i.config for concept, i in interventions.items()}
        if len({repr(config) for config in configs.values()}) > 1:
            raise ConfigError("the interventions of one artifact must share one configuration")
        self.interventions = dict(interventions)
        self.config: InterventionConfig = next(iter(configs.values()))
        self.record = dict(record or {})
        self.history = dict(history or {})
        self.chosen = dict(chosen or {})
        self.other_weights, self.said = other_weights, set[str]()
        for concept in self.chosen:
            require(
                concept in self.interventions, f"an m is chosen for {shown(concept)}{nearest(concept, self.concepts)}"
            )

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of the concepts."""
        return tuple(self.interventions)

    def resolve(self, concept: str | None) -> str:
        """Name of the intervention for a pair's concept; an artifact trained without concepts serves every pair.

        Args:
            concept: the pair's concept; None where it has none.

        Raises:
            ConfigError: it is not among them, or none is named and there are several.
        """
        if len(self.concepts) == 1 and (concept is None or self.concepts == (DEFAULT_CONCEPT,)):
            return self.concepts[0]
        if concept is None:
            raise ConfigError(
                f"this artifact holds {len(self.concepts)} concepts: name one of {', '.join(self.concepts)}"
            )
        if concept not in self.interventions:
            raise ConfigError(f"this artifact has no concept {concept!r}{nearest(concept, self.concepts)}")
        return concept

    def __getitem__(self, concept: str | None) -> Intervention:
        return self.interventions[self.resolve(concept)]

    @property
    def tokens(self) -> TokenConfig:
        """The token settings used in training, which scoring and generation use too.

        Raises:
            ConfigError: the record holds none that can be read.
        """
        return build(TokenConfig, self.record.get("run", {}).get("tokens"), "the artifact's record, tokens")

    @property
    def unit(self) -> NaturalUnit | None:
        """Relative change |dh| / |h| per unit of m, as measured in training; None where it was not.

        Raises:
            ConfigError: the record holds one that cannot be read.
        """
        found = self.record.get(UNIT_KEY)
        return None if found is None else build(NaturalUnit, found, f"the artifact's record, {UNIT_KEY}")

    def chosen_m(self, concept: str | None = None) -> float | tuple[float, float] | None:
        """The steering strength m chosen for a concept; None where none was.

        Args:
            concept: as in ``resolve``.

        Raises:
            ConfigError: as in ``resolve``.
        """
        found = self.chosen.get(self.resolve(concept))
        return None if found is None else found.strength

    def with_m(
        self,
        m: float | tuple[float, float],
        concept: str | None = None,
        *,
        evidence: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """A copy of this artifact with a chosen m for one concept; the parameters are shared.

        Args:
            m: one float, or ``(m1, m2)``.
            concept: as in ``resolve``.
            evidence: how it was chosen and what was measured there, plain JSON values.

        Raises:
            ConfigError: m is not finite, or no such concept.
        """
        chosen = {**self.chosen, self.resolve(concept): ChosenM.of(m, evidence)}
        return Artifact(self.interventions, self.record, self.history, chosen, self.other_weights)

    def only(self) -> Intervention:
        """The one intervention of a single-concept artifact.

        Raises:
            ConfigError: there are several.
        """
        return self[None]

    def to_dict(self) -> dict[str, Any]:
        """The configuration file's content, without the digest."""
        return {
            "format_version": FORMAT_VERSION,
            "package": "easyedit_split",
            "package_version": __version__,
            **dataclasses.asdict(self.config),
            "sites": list(self.config.sites),
            "prefix_ids": list(self.config.prefix_ids),
            "openings": [[list(ids) for ids in opening] for opening in self.config.openings],
            "shapes": {key: list(shape) for key, shape in self._shapes().items()},
            "concepts": list(self.concepts),
            "record": self.record,
            **({"chosen_m": {c: dataclasses.asdict(m) for c, m in self.chosen.items()}} if self.chosen else {}),
        }

    def _shapes(self) -> dict[str, tuple[int, int]]:
        first = next(iter(self.interventions.values()))
        return {site.key: (first[site].d_in, first[site].d_out) for site in first.sites}

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter under its name in the file."""
        return {name: parameter.detach().cpu().contiguous() for name, parameter in self._parameters().items()}

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {
            f"{concept}/{site.key}.{name}": parameter
            for concept, intervention in self.interventions.items()
            for site in intervention.sites
            for name, parameter in intervention[site].named_parameters()
        }

    def digest(self) -> str:
        """SHA-256 over the canonical configuration and every tensor's name, dtype, shape and bytes."""
        return digest_of(self.to_dict(), self.tensors())

    def identity(self) -> str:
        """The digest without the chosen m, so of everything that scores depend on."""
        return Artifact(self.interventions, self.record).digest()

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the artifact to a folder, atomically.

        Args:
            folder: where to write.
            overwrite: replace the artifact that is there; everything else in its folder stays.

        Raises:
            ArtifactError: the folder exists already and ``overwrite`` is not set, or holds something that is not an
                artifact; or a parameter is not finite.
        """
        folder = Path(folder)
        check_place(folder, overwrite)
        tensors = self.tensors()
        require_finite(tensors)
        with new_folder(folder, own=FILES) as temporary:
            write_files(temporary, {**self.to_dict(), "digest": self.digest()}, tensors, self.history)
        return folder

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, other_weights: bool = False) -> Artifact:
        """Read an artifact from a folder.

        Args:
            folder: what ``save_pretrained`` wrote, or ``user/name`` on the Hugging Face hub.
            other_weights: whether it may steer a model of the recorded name that has other weights.

        Raises:
            ArtifactError: a file is missing, damaged or of a newer format, or its digest, names, shapes or values are
                off.
        """
        folder = folder_of(folder)
        if many := concept_folders(folder):
            return cls(*together([cls.from_pretrained(one) for one in many], UNIT_KEY), other_weights)
        stored = read_config(folder)
        tensors = read_tensors(folder / TENSOR_FILE)
        require_digest(folder, stored, tensors)
        return cls._rebuild(folder, stored, tensors, other_weights)

    @classmethod
    def _rebuild(cls, folder: Path, stored: dict[str, Any], tensors: dict[str, Tensor], other: bool) -> Artifact:
        names = {f.name for f in dataclasses.fields(InterventionConfig)}
        try:
            config = build(InterventionConfig, {key: stored[key] for key in names if key in stored}, "configuration")
            check_record(stored)
            shapes = [tuple(stored["shapes"][key]) for key in config.sites]
            concepts = stored["concepts"]
            require_room(folder / TENSOR_FILE, config, shapes, concepts, tensors)
            interventions = {c: Intervention(config, shapes) for c in concepts}
            chosen = {c: build(ChosenM, m, f"chosen_m {shown(c)}") for c, m in stored.get("chosen_m", {}).items()}
            artifact = cls(interventions, stored["record"], read_history(folder), chosen, other)
            known = tuple(artifact.to_dict())
            for key in stored:
                require(key in known, f"unknown key {shown(key)}{nearest(key, known)}")
        except KeyError as error:
            raise ArtifactError(f"{folder / CONFIG_FILE}: {cut(str(error), 60)} is missing") from error
        except (AttributeError, ConfigError, OverflowError, RuntimeError, TypeError, ValueError) as error:
            raise ArtifactError(f"{folder / CONFIG_FILE}: {cut(str(error), 200)}") from error
        fill(folder / TENSOR_FILE, artifact._parameters(), tensors)
        return artifact

    def check_model(
        self, model: nn.Module, *, name: str | None = None, revision: str | None = None, tokenizer: Any = None
    ) -> tuple[str, ...]:
        """Raise unless the model has every site with the stored widths; return other differences from the record.

        Args:
            model: a Hugging Face causal LM.
            name: the model's id; as it was loaded where None. One that nobody knows is no difference.
            revision: the revision that was asked for, where the model does not know its own.
            tokenizer: compared too where it is given.

        Raises:
            ArtifactError: another architecture, a site that does not fit, or other weights under the recorded name.
        """
        found = describe(model, name_of(model, name), revision)
        require_fit(self.record, found, model, self._shapes(), self.config.placement, self.other_weights)
        return differences(self.record, found, tokenizer, model)


__all__ = ["CONFIG_FILE", "DEFAULT_CONCEPT", "HISTORY_FILE", "TENSOR_FILE", "UNIT_KEY", "Artifact"]
