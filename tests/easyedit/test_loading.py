"""Keys of loading in EasyEdit2's files: this package loads the model, and what was asked for is in the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from easyedit_split.easyedit.load_fields import LOADING
from easyedit_split.model.load_options import LoadOptions
from easyedit_split.types import ConfigError

from .flows import applier, train_in_host
from .hosts import ROWS, HostUnderTest


def test_the_keys_are_the_loaders_but_for_the_hosts_own() -> None:
    assert {*LOADING, "dtype", "device"} == set(LoadOptions.__dataclass_fields__)


def test_what_a_file_asks_for_is_how_the_model_is_loaded(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    found = train_in_host(host, tmp_path, qwen, ROWS, alg_name="vector", attention="eager")
    assert found.artifact.record["model"]["attention"] == "eager"
    plain = train_in_host(host, tmp_path, qwen, ROWS, alg_name="vector")  # control: the host loads by itself
    assert plain.artifact.record["model"]["attention"] != "eager"
    settings: dict[str, Any] = {"layers": [1], "multipliers": [1.0], "attention": "eager"}
    wrapper = applier(host, tmp_path, qwen, {"vector": settings}, vectors={"vector": found}).model
    assert wrapper.model.config._attn_implementation == "eager"
    with pytest.raises(ConfigError, match="only a model on the hub has revisions"):
        train_in_host(host, tmp_path, qwen, ROWS, alg_name="vector", revision="main")
    again = train_in_host(host, tmp_path, qwen, ROWS, alg_name="vector")  # and the host's own way is back
    assert again.artifact.record["model"]["attention"] == plain.artifact.record["model"]["attention"]
