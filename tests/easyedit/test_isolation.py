"""Nothing of the plugin stops the host: each upstream name that it touches is changed, one at a time, and caa runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import easyedit_split.easyedit as plugin

from .breakages import BREAKAGES, broken, caa
from .hosts import STANDIN, HostUnderTest


@pytest.mark.parametrize(("kind", "name"), BREAKAGES, ids=[f"{kind}-{Path(name).name}" for kind, name in BREAKAGES])
def test_caa_runs_whatever_upstream_changes(
    source: Path, alone: None, loaded_once: None, kind: str, name: str, qwen: Path, tmp_path: Path
) -> None:
    root = tmp_path / "host"
    if not broken(source, root, kind, name):
        pytest.skip("this host has no such name")
    sys.path.insert(0, str(root))
    plugin.register()
    (result,) = caa(
        HostUnderTest(source.name if source is STANDIN else "clone", root), tmp_path, qwen, f"{kind}:{name}"
    )
    assert len(result["pred"]) == 1
