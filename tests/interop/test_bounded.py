"""Other tools' files are looked at before they are unpacked, and pipes are not waited for."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from easyedit_split.cli.prompts import read_prompts
from easyedit_split.interop import easyedit_files
from easyedit_split.interop.vectors import file_hash, read_tensors_alone
from easyedit_split.model.adapters import base_of
from easyedit_split.steering.concept_folders import INDEX, read_index
from easyedit_split.types import ArtifactError, ConfigError, DataError


@pytest.mark.parametrize("read", [read_tensors_alone, easyedit_files.read_file])
def test_an_archive_is_measured_unpacked(
    read: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.pt"
    torch.save(torch.zeros(1000), path)
    assert torch.equal(read(path), torch.zeros(1000)), "control"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    assert path.stat().st_size < 3000
    monkeypatch.setenv("EASYEDIT_SPLIT_MAX_BYTES", "3000")
    with pytest.raises(ArtifactError, match=r"holds [\d,]+ bytes, at most 3,000 are read"):
        read(path)


def test_pipes_are_refused_at_once(tmp_path: Path) -> None:
    for name in ("p.txt", "adapter_config.json", INDEX):
        os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="no ordinary file"):
        read_prompts(None, tmp_path / "p.txt")
    with pytest.raises(ConfigError, match="no ordinary file"):
        base_of(str(tmp_path))
    assert read_index(tmp_path) is None, "an index is a file"


def test_a_digest_is_of_all_bytes(tmp_path: Path) -> None:
    data = os.urandom((1 << 20) + 7)
    (tmp_path / "f").write_bytes(data)
    assert file_hash(tmp_path / "f") == hashlib.sha256(data).hexdigest()
