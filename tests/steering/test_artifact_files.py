"""Files of an artifact that are damaged, edited or do not fit together are refused with a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.artifact_files import CONFIG_FILE, FORMAT_VERSION, HISTORY_FILE, TENSOR_FILE, digest_of
from easyedit_split.types import ArtifactError

from .artifacts import artifact

FIRST = "default/0.mlp.down_proj.lora_A"


# --- loading what is wrong -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return artifact("lora").save_pretrained(tmp_path / "out")


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ArtifactError, match=match):
        Artifact.from_pretrained(folder)


def edit(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], object], *, seal: bool = True) -> None:
    """Change configuration and tensors; ``seal`` gives the result a digest of its own."""
    stored = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    tensors: dict[str, Any] = safetensors.torch.load_file(folder / TENSOR_FILE)
    change(stored, tensors)
    safetensors.torch.save_file(tensors, folder / TENSOR_FILE)
    if seal:
        stored["digest"] = digest_of({key: value for key, value in stored.items() if key != "digest"}, tensors)
    (folder / CONFIG_FILE).write_text(json.dumps(stored), "utf-8")


def test_control_an_edit_that_changes_nothing_is_accepted(folder: Path) -> None:
    saved = Artifact.from_pretrained(folder).digest()
    for seal in (False, True):
        edit(folder, lambda stored, tensors: None, seal=seal)
        assert Artifact.from_pretrained(folder).digest() == saved


@pytest.mark.parametrize("place", [-1, -400])
def test_a_flipped_bit_in_the_tensors_is_found(folder: Path, place: int) -> None:
    data = bytearray((folder / TENSOR_FILE).read_bytes())
    data[place] ^= 1
    (folder / TENSOR_FILE).write_bytes(bytes(data))
    refused(folder, "digest does not match")


@pytest.mark.parametrize(
    "change",
    [
        lambda stored, tensors: stored.update(placement="block_output"),
        lambda stored, tensors: stored["record"].update(seed=4),
        lambda stored, tensors: stored.update(digest="sha256:0"),
        lambda stored, tensors: stored.pop("digest"),
        lambda stored, tensors: stored.update(added=1),
        lambda stored, tensors: tensors.update({"default/0.mlp.down_proj.lora_A": torch.zeros(4, 48)}),
        lambda stored, tensors: tensors.update(
            {name: tensor.double() for name, tensor in tensors.items()}  # same values, other bytes
        ),
    ],
)
def test_an_edit_after_saving_is_found(folder: Path, change: Any) -> None:
    edit(folder, change, seal=False)
    refused(folder, "digest does not match")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s, t: t.pop("default/2.mlp.down_proj.lora_B"), "missing or unexpected: default/2.mlp.down_proj.lora_B"),
        (lambda s, t: t.update(extra=torch.zeros(1)), "missing or unexpected: extra"),
        (lambda s, t: t.update({FIRST: torch.zeros(48, 4)}), r"is \[48, 4\], wanted \[4, 48\]"),
        (lambda s, t: t.update({FIRST: torch.zeros(4, 48).double()}), r"is torch.float64, wanted torch.float32"),
        (lambda s, t: t[FIRST].fill_(torch.nan), "lora_A holds a value that is not finite"),
        (lambda s, t: s.update(format_version=FORMAT_VERSION + 1), r"format_version 2, .* up to 1: upgrade"),
        (lambda s, t: s.pop("format_version"), "format_version None"),
        (lambda s, t: s.update(package="peft"), "not an artifact of easyedit_split"),
        (lambda s, t: s.update(placment="site"), r"unknown key 'placment'.*did you mean 'placement'"),
        (lambda s, t: s.update(placement="everywhere"), r"'everywhere' is not allowed"),
        (lambda s, t: s.update(form="lroa"), r"unknown form 'lroa'.*'lora'"),
        (lambda s, t: s.update(form_config={"rank": 4, "rnak": 1}), r"unknown key 'rnak'"),
        (lambda s, t: s.update(form_config={"rank": 3}), r"is \[4, 48\], wanted \[3, 48\]"),
        (lambda s, t: s["sites"].append("0.mlp.down_proj"), "sites holds one twice"),
        (lambda s, t: s["sites"].append("down_proj"), "is not a site"),
        (lambda s, t: s["shapes"].pop("2.mlp.down_proj"), r"'2.mlp.down_proj' is missing"),
        (lambda s, t: s["shapes"].update({"2.mlp.down_proj": [-48, 32]}), "wanted two widths"),
        (lambda s, t: s["shapes"].update({"2.mlp.down_proj": "wide"}), CONFIG_FILE),
        (lambda s, t: s.pop("record"), "'record' is missing"),
        (lambda s, t: s.pop("sites"), "sites missing"),
        (lambda s, t: s.update(concepts=[]), "at least one"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_together_are_refused(folder: Path, change: Any, match: str) -> None:
    edit(folder, change)
    refused(folder, match)


@pytest.mark.parametrize("file", [CONFIG_FILE, TENSOR_FILE])
def test_a_missing_or_torn_file_is_refused(folder: Path, file: str, tmp_path: Path) -> None:
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: len(data) // 2])
    refused(folder, file)
    (folder / file).unlink()
    refused(folder, file)
    refused(tmp_path / "nowhere", "no such file")
    shutil.rmtree(folder)


def test_history_is_optional_but_not_garbage(folder: Path) -> None:
    (folder / HISTORY_FILE).unlink()
    assert Artifact.from_pretrained(folder).history == {}
    for line in ('{"step": 1}', '{"concept": 1, "step": 1}', '{"concept": "a", "loss": "low"}', '["a"]'):
        (folder / HISTORY_FILE).write_text(line + "\n")
        refused(folder, "not a training history")
    (folder / HISTORY_FILE).write_text('{"concept": "a", "step": 1, "loss": 0.5}\n')
    assert Artifact.from_pretrained(folder).history == {"a": [{"step": 1, "loss": 0.5}]}


def test_the_digest_covers_names_dtypes_shapes_and_values() -> None:
    """The same bytes under another name, dtype or shape are another artifact."""
    given = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    same = {"a": given.clone()}
    others = (
        {"b": given},
        {"a": given.view(torch.int32)},
        {"a": given.view(torch.float16).reshape(2, 6)},
        {"a": given.reshape(3, 2)},
        {"a": given + 1},
        {"a": given[:1], "b": given[1:]},
    )
    digests = [digest_of({"form": "x"}, tensors) for tensors in ({"a": given}, *others)]
    assert digest_of({"form": "x"}, same) == digests[0]
    assert len({*digests, digest_of({"form": "y"}, same)}) == len(digests) + 1
