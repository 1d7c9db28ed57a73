"""A form and an objective of an installed package in the host's YAML files: their settings are read and checked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import easyedit_split.easyedit as plugin
from easyedit_split.registry import Registry
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.forms.base import FORMS
from easyedit_split.training.objectives.base import OBJECTIVES
from easyedit_split.types import ConfigError

from .flows import applier, bare_model, logits, prompt_ids, train_in_host
from .hosts import ROWS, HostUnderTest

PACKAGE = '''
"""One direction whose length is fixed, and the answers' difference with a weight: a form and an objective."""
from dataclasses import dataclass

import torch
from torch import nn

from easyedit_split.easyedit import Method  # a package may bring both, whatever is imported first
from easyedit_split.steering.forms.base import Form
from easyedit_split.training.objectives.base import TrainedObjective


@dataclass(frozen=True)
class LeashConfig:
    leash: float = 1.0


class Leash(Form):
    name, config_class, default_site, skip_prefix, constant = "leash", LeashConfig, "residual", True, True

    def __init__(self, config, d_in, d_out, generator=None):
        super().__init__(config, d_in, d_out, generator)
        self.v = nn.Parameter(torch.zeros(d_out))

    def weight_product(self, x):
        return None

    def weight_delta(self):
        return None

    def bias_delta(self):
        return self.config.leash * torch.tanh(self.v)


@dataclass(frozen=True)
class GapConfig:
    label_smoothing: float = 0.0
    gamma: float = 1.0


class Gap(TrainedObjective):
    name, config_class = "gap", GapConfig

    def side_loss(self, own, other, bare_own=None, bare_other=None):
        return self.config.gamma * (own.per_token - (1 - self.config.label_smoothing) * other.per_token)


@dataclass(frozen=True)
class ClashConfig:
    leash: float = 1.0


class Clash(Gap):
    name, config_class = "clash", ClashConfig
'''
ENTRIES = """
[easyedit_split.forms]
leash = leashes:Leash

[easyedit_split.objectives]
gap = leashes:Gap
clash = leashes:Clash
"""


@pytest.fixture
def leashes(host: HostUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with the two, seen by the registries and by the host."""
    (tmp_path / "leashes.py").write_text(PACKAGE)
    info = tmp_path / "leashes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leashes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    plugin.unregister()
    with monkeypatch.context() as patch:
        registries: tuple[Registry[Any], ...] = (FORMS, OBJECTIVES)
        for registry in registries:
            patch.setattr(registry, "_entries", dict(registry._entries))
            patch.setattr(registry, "_discovered", False)
        patch.syspath_prepend(tmp_path)
        plugin.register()
        yield
        plugin.unregister()
    sys.modules.pop("leashes", None)
    plugin.register()


GIVEN = {"form": "leash", "leash": 0.25, "objective": "gap", "label_smoothing": 0.5}


@pytest.mark.usefixtures("leashes")
def test_both_train_and_steer_in_the_hosts_flow(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    vectors = train_in_host(host, tmp_path, qwen, ROWS, alg_name="vector", **_without_form(GIVEN))
    assert vectors.artifact.config.form == "vector"  # the control: alg_name vector fixes the form
    vectors = train_in_host(host, tmp_path, qwen, ROWS, alg_name="SPLIT", **_without_objective(GIVEN))
    folder = tmp_path / "vectors" / "toy" / "SPLIT_leash"
    artifact = Artifact.from_pretrained(folder / "steering")
    assert artifact.config.form_config == {"leash": 0.25}
    change = torch.load(folder / "layer_1.pt", weights_only=True)  # a constant change is what the host calls a vector
    assert torch.equal(change, vectors["layer_1"])
    assert 0 < float(change.abs().max()) <= 0.25
    wrapper = applier(
        host, tmp_path, qwen, {"SPLIT": {"layers": [1], "multipliers": [2.0]}}, vectors={"SPLIT": vectors}
    ).model
    bare, tokenizer = bare_model(qwen)
    ids = prompt_ids(tokenizer)
    assert not torch.allclose(logits(wrapper.model, ids), logits(bare, ids))


@pytest.mark.usefixtures("leashes")
def test_an_objectives_own_setting_wins_over_the_hosts_key_of_that_name(
    host: HostUnderTest, qwen: Path, tmp_path: Path
) -> None:
    smooth = train_in_host(host, tmp_path, qwen, ROWS, alg_name="vector", objective="gap", label_smoothing=0.5)
    assert smooth.artifact.record["run"]["objective_config"] == {"label_smoothing": 0.5}
    sharp = train_in_host(host, tmp_path, qwen, ROWS, alg_name="vector", objective="gap")
    assert not torch.equal(smooth["layer_1"], sharp["layer_1"])
    with pytest.raises(ConfigError, match=r"label_smoothing is 0.5, only 0 is supported"):
        train_in_host(host, tmp_path, qwen, ROWS, alg_name="vector", objective="sft", label_smoothing=0.5)


@pytest.mark.usefixtures("leashes")
@pytest.mark.parametrize(
    ("alg_name", "values", "words"),
    [
        ("SPLIT", {"form": "leash", "leesh": 1.0}, r"unknown key 'leesh' \(did you mean 'leash'\?\)"),
        ("SPLIT", {"form": "leesh"}, "unknown form .* 'leesh' .did you mean 'leash'"),
        ("SPLIT", {"form": "leash", "leash": "long"}, "leash"),
        (
            "vector",
            {"objective": "gap", "theta": 0.5, "lambda_p": 3.0},
            r"objective gap does not read lambda_p \(3.0\)",
        ),
        ("vector", {"objective": "gup"}, "unknown objective 'gup' .did you mean 'gap'"),
        ("vector", {"objective": "sft", "gamma": 2.0}, r"objective sft does not read gamma \(2.0\)"),
    ],
)
def test_their_settings_are_checked_as_ours_are(
    host: HostUnderTest, qwen: Path, tmp_path: Path, alg_name: str, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        train_in_host(host, tmp_path, qwen, ROWS, alg_name=alg_name, **values)


@pytest.mark.usefixtures("leashes")
def test_a_setting_with_two_readers_is_refused() -> None:
    from easyedit_split.easyedit.methods import SPLIT
    from easyedit_split.easyedit.settings import train_settings

    hparams = SPLIT.all_train_fields()(layers=[1], form="leash", objective="clash", leash=0.5)
    with pytest.raises(ConfigError, match="leash is a setting of the form and of objective clash"):
        train_settings(hparams, None, None, "x")
    hparams.leash = None
    assert train_settings(hparams, None, None, "x").run.form == "leash"


def test_without_the_package_its_keys_are_unknown(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'leash'"):
        train_in_host(host, tmp_path, qwen, ROWS, **_without_objective(GIVEN))


def _without_form(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("form", "leash")}


def _without_objective(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("objective", "label_smoothing")}
