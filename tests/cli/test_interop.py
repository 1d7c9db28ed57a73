"""`export` and `import`: a file and back from the command line; what cannot be said ends with one sentence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from easyedit_split.model.load import load_model
from easyedit_split.model.load_options import LoadOptions
from easyedit_split.steering.artifact import Artifact

from ..small import made, world
from .shared import Run, Sentence, hidden


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LoRA for the tiny model that keeps an m."""
    held = Artifact({"default": made(world(), "lora")}).with_m(1.5)
    return held.save_pretrained(tmp_path_factory.mktemp("artifacts") / "lora")


def test_a_lora_goes_to_peft_and_back(run: Run, model: Path, lora: Path, tmp_path: Path) -> None:
    code, _, err = run("export", lora, "--to", "peft", "--model", model, "--out", tmp_path / "adapter")
    assert code == 0, err
    assert "m = 1.5" in err
    code, _, err = run("import", tmp_path / "adapter", "--from", "peft", "--model", model, "--out", tmp_path / "again")
    assert code == 0, err
    assert "lora at 1.mlp.down_proj" in err
    first, again = Artifact.from_pretrained(lora), Artifact.from_pretrained(tmp_path / "again")
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in first.tensors().items())
    assert (again.only()["1.mlp.down_proj"].config.scale, again.chosen_m()) == (1.5, 1.0)
    assert hidden(tmp_path) == []


def test_dashes_and_every_token(run: Run, sentence: Sentence, model: Path, artifact: Path, tmp_path: Path) -> None:
    line = ("export", artifact, "--to", "gguf-vector", "--model", model, "--out", tmp_path / "v.gguf")
    assert "keeps no m" in sentence(*line)
    assert "--positions all" in sentence(*line, "--m", 2)
    assert list(tmp_path.iterdir()) == []
    code, _, err = run(*line, "--m", 2, "--positions", "all")
    assert code == 0, err
    assert "nats per token" in err
    code, _, err = run(
        "import", tmp_path / "v.gguf", "--from", "repeng", "--model", model, "--out", tmp_path / "a", "--layer", 1
    )
    assert code == 0, err


def test_what_is_wrong_is_one_sentence(
    sentence: Sentence, no_model: None, model: Path, lora: Path, tmp_path: Path
) -> None:
    to = ("--out", tmp_path / "x")
    line = ("export", lora, "--to", "peft", "--model", model, *to)
    assert "did you mean 'peft'" in sentence("export", lora, "--to", "pefd", *to)
    assert "is only read" in sentence("export", lora, "--to", "caa", *to)
    assert "no use for shard_size" in sentence(*line, "--shard-size", "2GB")
    assert "--m1 and --m2 go together" in sentence(*line, "--m1", 1)
    assert "--m is both" in sentence(*line, "--m1", 1, "--m2", 2, "--m", 3)
    assert "m is 0" in sentence(*line, "--m", 0)
    assert "which model" in sentence("export", lora, "--to", "peft", *to)
    assert "'some' is not allowed" in sentence(*line, "--positions", "some")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine").write_text("mine", "utf-8")
    assert "exists already" in sentence(*line)
    assert "not written by an export" in sentence(*line, "--overwrite")
    bring = ("import", tmp_path / "none", "--from", "peft", "--model", model, "--out", tmp_path / "y")
    assert "no such file" in sentence(*bring)
    assert "no use for shift" in sentence(*bring, "--shift", 1)
    assert "is only written" in sentence("import", lora, "--from", "merged", "--model", model, "--out", tmp_path / "y")


def test_how_the_model_is_loaded_arrives(
    run: Run, model: Path, lora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    def spy(name: str, **settings: Any) -> Any:
        given.append(settings)
        return load_model(name, dtype=settings["dtype"], device="cpu")

    monkeypatch.setattr("easyedit_split.interop.base.load_model", spy)
    wanted = {"device": "auto", "attention": "eager", "offload_folder": "kept", "trust_remote_code": True}
    asked = [word for key, value in wanted.items() for word in (f"--{key.replace('_', '-')}", value)][:-1]
    of = ("--model", model, "--dtype", "float64", *asked)
    assert run("export", lora, "--to", "peft", "--out", tmp_path / "adapter", *of)[0] == 0
    assert run("import", tmp_path / "adapter", "--from", "peft", "--out", tmp_path / "again", *of)[0] == 0
    assert given == [dataclasses.asdict(LoadOptions(dtype="float64", **wanted))] * 2  # type: ignore[arg-type]
    given.clear()
    assert run("export", lora, "--to", "merged", "--out", tmp_path / "merged", *of)[0] == 0
    assert given == [dataclasses.asdict(LoadOptions(**wanted))], "rounded once, when it is written"  # type: ignore[arg-type]
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["dtype"] == "float64"
