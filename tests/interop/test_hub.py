"""A steering is pushed to a hub with its card and loaded by its name: against a small server on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from easyedit_split.interop.hub import model_card
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.generate import Generated
from easyedit_split.types import ArtifactError

from .hub_server import hub
from .peers import artifact, exact_world

PUSH = """
import sys
from easyedit_split.interop.hub import push_to_hub
from easyedit_split.steering.generate import Generated
from easyedit_split.steering.steering import Steering
steering = Steering.from_pretrained(sys.argv[1]).at(2.5, evidence={"pairs": 24})
texts = [Generated(0, "Would you?", 2.5, "Yes, | I would")]
print(push_to_hub(steering, "someone/cheerful", figure=sys.argv[2], texts=texts, license="apache-2.0", token="local"))
"""
PULL = """
import sys
from easyedit_split.steering.steering import Steering
from easyedit_split.interop.hub import OnHub
from easyedit_split.types import ArtifactError
steering = Steering.from_pretrained("someone/cheerful")
print(steering.artifact.identity(), steering.m, OnHub.from_pretrained("someone/cheerful").artifact.identity())
try:
    Steering.from_pretrained("someone/nothing")
except ArtifactError as error:
    print(error)
"""


def run(code: str, address: str, home: Path, *arguments: object) -> str:
    settings = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    environment = {**os.environ, **settings, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False, env=environment, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_what_is_pushed_is_loaded_by_its_name(tmp_path: Path) -> None:
    held = artifact(exact_world(), "vector")
    held.save_pretrained(tmp_path / "artifact")
    (tmp_path / "figure.png").write_bytes(b"a picture")
    with hub() as server:
        said = run(PUSH, server.address, tmp_path / "home", tmp_path / "artifact", tmp_path / "figure.png")
        assert "someone/cheerful" in said
        files = server.repositories["someone/cheerful"]
        assert {"steering.safetensors", "steering_config.json", "README.md", "curves.png"} <= set(files)
        card = files["README.md"].decode()
        printed = run(PULL, server.address, tmp_path / "other-home")
    identity, m, again, *rest = printed.split(maxsplit=3)
    assert identity == again == held.identity()
    assert float(m) == 2.5
    assert "not to be had from the hub" in rest[0]
    assert "m1 = 2.5, m2 = 2.5" in card
    assert '"pairs": 24' in card
    assert "Yes, \\| I would" in card
    assert "license: apache-2.0" in card
    assert "![Preference and utility over m](curves.png)" in card


def test_the_card_says_what_is_recorded_and_claims_nothing_else() -> None:
    held = artifact(exact_world(), "vector")
    card = model_card(held, False, (), None)
    assert "license" not in card
    assert "Curves" not in card
    assert "Texts" not in card
    assert "No m was chosen" in card
    assert held.digest() in card
    kept = model_card(held.with_m((1.0, 2.0)), True, (Generated(0, "q", 1.0, "a"),), "mit")
    assert "m1 = 1, m2 = 2" in kept
    assert "No m was chosen" not in kept


def test_a_folder_that_is_there_is_no_name_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*args: object, **settings: object) -> str:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("easyedit_split.steering.hub_files.cache_only", lambda *args: False)
    monkeypatch.chdir(tmp_path)
    held = artifact(exact_world(), "vector")
    held.save_pretrained(tmp_path / "mine" / "vector")
    again = Artifact.from_pretrained("mine/vector")
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in held.tensors().items())
    with pytest.raises(ArtifactError, match="no such file"):
        Artifact.from_pretrained(tmp_path / "none" / "here")
    with pytest.raises(AssertionError, match="asked"):
        Artifact.from_pretrained("none/here")
