"""The model that is scored is the one named, and another than the artifact's is said by every command alike."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from easyedit_split.analysis import read_sweep
from easyedit_split.model.describe import describe
from easyedit_split.model.load import load_model
from easyedit_split.steering.artifact import Artifact
from easyedit_split.sweep_curves import mean_curve
from easyedit_split.text.prompt_tokens import tokenizer_hash

from .. import toy_tokenizers
from ..small import made, world
from .shared import ROWS, Run, apply_line, sweep_line, train_line, write_rows

TOKENIZER = "the tokenizer or its chat template is not the one the artifact was trained with"


@pytest.fixture
def known(model: Path, tmp_path: Path) -> Path:
    """An artifact that knows its model."""
    network, tokenizer = load_model(str(model), device="cpu")
    record = {"model": describe(network, str(model)), "tokenizer_hash": tokenizer_hash(tokenizer)}
    return Artifact({"default": made(world())}, record).save_pretrained(tmp_path / "known")


def test_a_sweep_of_other_weights_names_them_and_says_so(
    run: Run, model: Path, other_model: Path, known: Path, data: Path, tmp_path: Path
) -> None:
    for network, said in ((model, False), (other_model, True)):
        file = tmp_path / f"{network.name}.csv"
        code, _, err = run(*sweep_line(network, data, known, file))
        assert code == 0, err
        assert set(read_sweep(file).model) == {network.name}
        assert (f"id was {model.name}, is {other_model.name}" in err) == said
        assert TOKENIZER not in err


@pytest.mark.parametrize("command", ["inspect", "apply"])
def test_inspect_and_apply_say_it_too(command: str, run: Run, model: Path, other_model: Path, known: Path) -> None:
    for network, said in ((model, False), (other_model, True)):
        line = apply_line(network, known, "--prompt", "Would you?")
        code, _, err = run(*(line if command == "apply" else ("inspect", known, "--model", network)))
        assert code == 0, err
        assert (f"id was {model.name}, is {other_model.name}" in err) == said
        assert TOKENIZER not in err


@pytest.mark.parametrize("command", ["inspect", "apply", "sweep"])
def test_another_tokenizer_is_said(
    command: str, run: Run, model: Path, known: Path, data: Path, tmp_path: Path
) -> None:
    tokenizer = copy.deepcopy(toy_tokenizers.qwen())  # the original is shared by all tests
    tokenizer.chat_template = tokenizer.chat_template + " "
    tokenizer.save_pretrained(tmp_path / "m")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "m" / name).symlink_to(model / name)
    lines = {
        "inspect": ("inspect", known, "--model", tmp_path / "m"),
        "apply": apply_line(tmp_path / "m", known, "--prompt", "Would you?"),
        "sweep": sweep_line(tmp_path / "m", data, known, tmp_path / "s.csv"),
    }
    code, _, err = run(*lines[command])
    assert code == 0, err
    assert TOKENIZER in err


def test_the_printed_means_are_chosen(run: Run, model: Path, known: Path, data: Path, tmp_path: Path) -> None:
    for how in ("pairs", "odds_of_mean"):
        file = tmp_path / f"{how}.csv"
        code, out, err = run(*sweep_line(model, data, known, file, "--aggregate", how))
        assert code == 0, err
        assert f"{mean_curve(read_sweep(file), how).util[0]:+.2f}" in out
        assert ("log-odds of the mean losses" in " ".join(out.split())) == (how == "odds_of_mean")
    code, _, err = run(*sweep_line(model, data, known, tmp_path / "x.csv", "--aggregate", "mean"))
    assert code == 2
    assert "unknown aggregation 'mean'" in err


@pytest.fixture
def same_name(model: Path, other_model: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two models that go by one name: in two folders, with other weights."""
    for folder, found in (("before", model), ("after", other_model)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tiny").symlink_to(found)
    return tmp_path / "before" / "tiny", tmp_path / "after" / "tiny"


@pytest.mark.parametrize("command", ["sweep", "apply", "activations", "export", "judge"])
def test_other_weights_of_the_same_name_are_an_error_that_can_be_allowed(
    command: str, run: Run, same_name: tuple[Path, Path], data: Path, tmp_path: Path
) -> None:
    before, after = same_name
    artifact, to = tmp_path / "artifact", tmp_path / "out"
    assert run(*train_line(before, data, artifact, "--form", "lora"))[0] == 0
    model, given = ("--model", after), ("--intervention", artifact)
    splits = ("train", "train", "dev", "test")
    write_rows(data, [{**r, "prompt": f"{r['prompt']} {k}", "split": s} for k, s in enumerate(splits) for r in ROWS])
    line: tuple[object, ...] = {
        "sweep": sweep_line(after, data, artifact, to.with_suffix(".csv")),
        "apply": apply_line(after, artifact, "--prompt", "Would you?"),
        "activations": (command, *model, *given, "--data", data, "--layer", 1, "--out", to.with_suffix(".npz")),
        "export": (command, artifact, *model, "--to", "peft", "--m", 1, "--out", to),
        "judge": (command, *model, *given, "--data", data, "--m", 1, "--limit", 2, "--out", to.with_suffix(".csv")),
    }[command]
    own = tuple(before if part == after else part for part in line)
    code, _, err = run(*own)
    assert (code, "differs" in err) == (0, False), f"control: the model's own weights: {err}"
    for path in tmp_path.glob("out*"):
        path.rename(tmp_path / f"own-{path.name}")
    code, _, err = run(*line)
    assert code == 2
    assert "the weights of tiny are not those that the artifact was trained with" in err
    assert len(err.split("error: ")[1]) <= 300
    assert not [*tmp_path.glob("out*")]
    code, _, err = run(*line, "--other-weights")
    assert code == 0, err
    assert "differs: its weights are not those that the artifact was trained with" in err
    assert run("inspect", artifact, *model)[0] == 0, "which is asked what fits"
