"""A trained intervention on disk: ``steering_config.json`` and ``steering.safetensors``, as PEFT keeps its adapters.

Tensors are named ``{concept}/{block}.{site}.{parameter}``. The configuration says everything needed to apply and to
repeat: form, sites, placement, token policy, objective, training, model, tokenizer hash, data hash, versions; a digest
covers the tensors and the canonical configuration. Saving writes under a temporary name and moves into place. Loading
checks the digest, every name, shape and value, and nothing in the files is executed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from . import __version__
from .config import build
from .intervention import Intervention, InterventionConfig
from .registry import nearest
from .sites import Site, Unwrap, same, widths
from .storage import new_folder
from .types import ArtifactError, ConfigError

FORMAT_VERSION = 1
CONFIG_FILE = "steering_config.json"
TENSOR_FILE = "steering.safetensors"
HISTORY_FILE = "history.jsonl"
DEFAULT_CONCEPT = "default"


class Artifact:
    """Interventions by concept, all of one configuration, with the record of how they came to be.

    Args:
        interventions: at least one; a dataset of one concept has the single key ``"default"``.
        record: provenance, plain JSON values: ``model``, ``objective``, ``train``, ``tokens``, ``data``, ...
        history: training history by concept, lists of plain mappings.

    Raises:
        ConfigError: no interventions, or of different configurations.
    """

    def __init__(
        self,
        interventions: Mapping[str, Intervention],
        record: Mapping[str, Any] | None = None,
        history: Mapping[str, list[dict[str, Any]]] | None = None,
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

    @property
    def concepts(self) -> tuple[str, ...]:
        """Names of the concepts."""
        return tuple(self.interventions)

    def __getitem__(self, concept: str | None) -> Intervention:
        if len(self.interventions) == 1 and (concept is None or self.concepts == (DEFAULT_CONCEPT,)):
            return next(iter(self.interventions.values()))
        if concept is None:
            raise ConfigError(
                f"this artifact holds {len(self.concepts)} concepts: name one of {', '.join(self.concepts)}"
            )
        if concept not in self.interventions:
            raise ConfigError(f"this artifact has no concept {concept!r}{nearest(concept, self.concepts)}")
        return self.interventions[concept]

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
            "shapes": {key: list(shape) for key, shape in self._shapes().items()},
            "concepts": list(self.concepts),
            "record": self.record,
        }

    def _shapes(self) -> dict[str, tuple[int, int]]:
        first = next(iter(self.interventions.values()))
        return {site.key: (first[site].d_in, first[site].d_out) for site in first.sites}

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter under its name in the file."""
        return {
            f"{concept}/{site.key}.{name}": parameter.detach().cpu().contiguous()
            for concept, intervention in self.interventions.items()
            for site in intervention.sites
            for name, parameter in intervention[site].named_parameters()
        }

    def digest(self) -> str:
        """SHA-256 over the canonical configuration and every tensor's name, dtype, shape and bytes."""
        return _digest(self.to_dict(), self.tensors())

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the artifact; a reader sees all of it or nothing.

        Raises:
            ArtifactError: the folder exists already and ``overwrite`` is not set, or a parameter is not finite.
        """
        folder = Path(folder)
        if folder.exists() and not overwrite:
            raise ArtifactError(f"{folder} exists already: choose another folder, or overwrite it explicitly")
        tensors = self.tensors()
        for name, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise ArtifactError(f"{name} holds a value that is not finite: the intervention is not saved")
        with new_folder(folder) as temporary:
            safetensors.torch.save_file(tensors, temporary / TENSOR_FILE)
            config = {**self.to_dict(), "digest": self.digest()}
            (temporary / CONFIG_FILE).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")
            self._write_history(temporary / HISTORY_FILE)
        return folder

    def _write_history(self, path: Path) -> None:
        lines = [json.dumps({"concept": concept, **step}) for concept, steps in self.history.items() for step in steps]
        if lines:
            path.write_text("\n".join(lines) + "\n", "utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Artifact:
        """Read an artifact.

        Raises:
            ArtifactError: a file is missing, damaged or of a newer format, or its digest, names, shapes or values are
                off.
        """
        folder = Path(folder)
        stored = _read_config(folder)
        try:
            tensors = safetensors.torch.load_file(folder / TENSOR_FILE)
        except (OSError, SafetensorError) as error:
            raise ArtifactError(f"{folder / TENSOR_FILE} cannot be read: {error}") from error
        digest = stored.pop("digest", None)
        if digest != _digest(stored, tensors):
            raise ArtifactError(
                f"{folder}: the digest does not match, so a file was changed or damaged after saving: save it anew"
            )
        return cls._rebuild(folder, stored, tensors)

    @classmethod
    def _rebuild(cls, folder: Path, stored: dict[str, Any], tensors: dict[str, Tensor]) -> Artifact:
        names = {f.name for f in dataclasses.fields(InterventionConfig)}
        try:
            config = build(InterventionConfig, {key: stored[key] for key in names if key in stored}, "configuration")
            shapes = [tuple(stored["shapes"][key]) for key in config.sites]
            interventions = {c: Intervention(config, shapes) for c in stored["concepts"]}
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{folder / CONFIG_FILE}: {error}") from error
        artifact = cls(interventions, stored["record"], _read_history(folder / HISTORY_FILE))
        expected = artifact.tensors()
        if set(expected) != set(tensors):
            off = ", ".join(sorted(set(expected) ^ set(tensors))[:4])
            raise ArtifactError(f"{folder / TENSOR_FILE}: tensors missing or unexpected: {off}")
        with torch.no_grad():
            for concept, intervention in interventions.items():
                for site in intervention.sites:
                    for name, parameter in intervention[site].named_parameters():
                        _copy(folder, f"{concept}/{site.key}.{name}", tensors, parameter)
        return artifact

    def check_model(self, model: nn.Module, unwrap: Unwrap = same) -> tuple[str, ...]:
        """Raise unless the model has every site with the stored widths; return what else differs from the record.

        Raises:
            ArtifactError: another architecture, or a site that does not fit.
        """
        from .models import describe

        recorded: dict[str, Any] = self.record.get("model", {})
        found = describe(model, "")
        for key in ("model_type", "hidden_size", "num_hidden_layers"):
            if key in recorded and recorded[key] != found[key]:
                raise ArtifactError(
                    f"made for a model with {key} {recorded[key]}, this one has {found[key]}: "
                    f"load {recorded.get('id')!r}"
                )
        for key, shape in self._shapes().items():
            try:
                fits = widths(model, Site.parse(key), self.config.placement, unwrap)
            except ConfigError as error:
                raise ArtifactError(f"does not fit this model: {error}") from error
            if fits != shape:
                raise ArtifactError(f"{key} maps {shape[0]} to {shape[1]}, this model's site {fits[0]} to {fits[1]}")
        return tuple(
            f"{key} was {recorded[key]}, is {found[key]}"
            for key in ("dtype", "attention")
            if key in recorded and recorded[key] != found[key]
        )


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _digest(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256(_canonical(config))
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.view(torch.uint8).numpy().tobytes() if tensor.ndim else tensor.numpy().tobytes())
    return f"sha256:{total.hexdigest()}"


def _copy(folder: Path, name: str, tensors: Mapping[str, Tensor], parameter: nn.Parameter) -> None:
    tensor = tensors[name]
    if tensor.shape != parameter.shape:
        raise ArtifactError(f"{folder / TENSOR_FILE}: {name} is {list(tensor.shape)}, wanted {list(parameter.shape)}")
    if not bool(torch.isfinite(tensor).all()):
        raise ArtifactError(f"{folder / TENSOR_FILE}: {name} holds a value that is not finite")
    parameter.copy_(tensor)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        stored: Any = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; an intervention is a folder with {CONFIG_FILE}") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(stored, dict) or stored.get("package") != "easyedit_split":
        raise ArtifactError(f"{path}: not an artifact of easyedit_split")
    version = stored.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ArtifactError(f"{path}: format_version {version}, this release reads up to {FORMAT_VERSION}: upgrade")
    return stored


def _read_history(path: Path) -> dict[str, list[dict[str, Any]]]:
    history: dict[str, list[dict[str, Any]]] = {}
    if path.exists():
        try:
            for line in path.read_text("utf-8").splitlines():
                step = json.loads(line)
                history.setdefault(step.pop("concept"), []).append(step)
        except (ValueError, KeyError, AttributeError) as error:
            raise ArtifactError(f"{path}: not a training history: {error}") from error
    return history


def norm(intervention: Intervention) -> float:
    """Euclidean norm over all parameters: the size of dW and db together at m = 1 (of A and B for LoRA)."""
    return math.sqrt(sum(float(p.detach().double().square().sum()) for p in intervention.parameters()))
