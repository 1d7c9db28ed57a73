"""The files of an artifact: their names, the digest of their content, and strict reading.

    digest = sha256(canonical configuration, then each tensor's name, dtype, shape and bytes, in order of names)

Canonical JSON has sorted keys and no spaces. The digest finds damage and edits; it is no signature. Nothing that is
read is executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..files.reading import cut, listed, parse_json, read_bounded, shown
from ..types import ArtifactError

FORMAT_VERSION = 1
CONFIG_FILE = "steering_config.json"
TENSOR_FILE = "steering.safetensors"
HISTORY_FILE = "history.jsonl"
FILES = (CONFIG_FILE, TENSOR_FILE, HISTORY_FILE)


def replaceable(folder: Path) -> bool:
    """Whether a folder may be overwritten by an artifact: it holds one of this package, or is empty.

    Args:
        folder: where an artifact would be written.
    """
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        read_config(folder)
    except ArtifactError:
        return False
    return True


def check_place(folder: Path, overwrite: bool) -> None:
    """Raise unless an artifact may be written to a folder.

    Args:
        folder: where it is to be.
        overwrite: whether an artifact that is there may be replaced.

    Raises:
        ArtifactError: the folder exists and ``overwrite`` is not set, or holds something that is not an artifact.
    """
    if folder.exists() and not overwrite:
        raise ArtifactError(f"{folder} exists already: choose another folder, or overwrite it explicitly")
    if folder.exists() and not replaceable(folder):
        raise ArtifactError(f"{folder} holds something that is not an artifact: choose another folder")


def require_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise where a tensor to be saved contains a value that is not finite.

    Args:
        tensors: by name.

    Raises:
        ArtifactError: the first such tensor.
    """
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ArtifactError(f"{name} holds a value that is not finite: the intervention is not saved")


def canonical(value: Mapping[str, Any]) -> bytes:
    """Serialise a configuration as canonical JSON, for hashing.

    Args:
        value: plain JSON values.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over a configuration (without its digest) and tensors.

    Args:
        config: plain JSON values.
        tensors: by name.
    """
    total = hashlib.sha256(canonical(config))
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{total.hexdigest()}"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file.

    Args:
        path: the file.

    Raises:
        ArtifactError: missing or not readable.
    """
    try:
        return load(read_bounded(path, ArtifactError))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; an intervention is a folder with {TENSOR_FILE}") from None
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise ArtifactError(f"{path} cannot be read: {cut(str(error), 120)}") from error


@torch.no_grad()
def fill(path: Path, parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Copy a file's tensors into the parameters of the same names.

    Args:
        path: the file, for messages.
        parameters: what is to be filled.
        tensors: what the file holds.

    Raises:
        ArtifactError: another set of names, or a tensor of another shape or dtype, or with a value that is not finite.
    """
    if set(parameters) != set(tensors):
        off = listed(sorted(set(parameters) ^ set(tensors)), 4)
        raise ArtifactError(f"{path}: tensors missing or unexpected: {off}")
    for name, parameter in parameters.items():
        tensor = tensors[name]
        if tensor.shape != parameter.shape:
            raise ArtifactError(f"{path}: {name} is {list(tensor.shape)}, wanted {list(parameter.shape)}")
        if tensor.dtype != parameter.dtype:
            raise ArtifactError(f"{path}: {name} is {tensor.dtype}, wanted {parameter.dtype}")
        if not bool(torch.isfinite(tensor).all()):
            raise ArtifactError(f"{path}: {name} holds a value that is not finite")
        parameter.copy_(tensor)


def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration file of an artifact.

    Args:
        folder: an artifact's folder.

    Raises:
        ArtifactError: missing, not JSON, not of this package, or of a newer format.
    """
    path = folder / CONFIG_FILE
    if folder.is_file():
        raise ArtifactError(
            f"{folder}: is a file, and an intervention is a folder that `train` wrote: read other tools' files with "
            "`easyedit-split import FILE --from FORMAT --out FOLDER`"
        )
    try:
        stored: Any = parse_json(read_bounded(path, ArtifactError).decode("utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; an intervention is a folder with {CONFIG_FILE}") from None
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not readable as JSON: {cut(str(error), 120)}") from error
    if not isinstance(stored, dict) or stored.get("package") != "easyedit_split":
        raise ArtifactError(f"{path}: not an artifact of easyedit_split")
    version = stored.get("format_version")
    if type(version) is not int or not 0 < version <= FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: format_version {shown(version)}, this release reads up to {FORMAT_VERSION}: upgrade"
        )
    return stored


def read_history(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the training history by concept; empty where there is none. It is not part of the digest.

    Args:
        folder: an artifact's folder.

    Raises:
        ArtifactError: a line that is not a concept's step with its numbers.
    """
    path = folder / HISTORY_FILE
    history: dict[str, list[dict[str, Any]]] = {}
    try:
        lines = read_bounded(path, ArtifactError).decode("utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            step = parse_json(line)
            concept = step.pop("concept")
            if not isinstance(concept, str) or not all(isinstance(value, int | float) for value in step.values()):
                raise ValueError(f"line {number}: a step holds a concept's name and numbers, not {shown(line)}")
            history.setdefault(concept, []).append(step)
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{path}: not a training history: {cut(str(error), 160)}") from error
    return history


def write_files(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    history: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """Write the files of an artifact into an empty folder.

    Args:
        folder: where to write.
        config: the configuration with its digest.
        tensors: every parameter, by name.
        history: training history by concept.
    """
    (folder / TENSOR_FILE).write_bytes(save(dict(tensors)))
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")
    write_history(folder / HISTORY_FILE, history)


def write_history(path: Path, history: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write the training history, one JSON line per step; no file where there is none.

    Args:
        path: the file.
        history: steps by concept.
    """
    lines = [json.dumps({"concept": concept, **step}) for concept, steps in history.items() for step in steps]
    if lines:
        path.write_text("\n".join(lines) + "\n", "utf-8")
