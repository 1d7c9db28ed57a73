"""A stopped sweep or apply goes on from parts of the very same run alone, and bad input begins nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from easyedit_split.cli.fingerprint import model_identity
from easyedit_split.files.journal import Journal
from easyedit_split.model.digests import model_digests

from ..small import world
from .shared import ROWS, Run, Sentence, apply_line, hidden, read_rows, sweep_line, train_line, write_rows

GO_ON = "run the same command again to resume"
Stop = Callable[[int | None], list[int]]


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Stop:
    """``stop(n)``: Ctrl-C comes after n parts, never with None; returns a list that grows with every part."""
    append = Journal.append

    def after(parts: int | None) -> list[int]:
        seen: list[int] = []

        def counted(self: Journal, record: dict[str, object]) -> None:
            append(self, record)
            seen.append(len(seen))
            if len(seen) == parts:
                raise KeyboardInterrupt

        monkeypatch.setattr(Journal, "append", counted)
        return seen

    return after


def swept(run: Run, stop: Stop, *line: object) -> tuple[pd.DataFrame, int]:
    """The finished table and how many parts were scored for it."""
    seen = stop(None)
    code, _, err = run(*line)
    assert code == 0, err
    to = Path(str(line[line.index("--out") + 1]))
    assert f".{to.name}.journal" not in hidden(to.parent)
    return pd.read_csv(to), len(seen)


def stopped(run: Run, stop: Stop, *line: object, parts: int = 2) -> None:
    stop(parts)
    code, _, err = run(*line)
    assert code == 130
    assert GO_ON in err


def test_a_stopped_sweep_says_so_and_goes_on(
    run: Run, stop: Stop, model: Path, data: Path, artifact: Path, tmp_path: Path
) -> None:
    whole, _ = swept(run, stop, *sweep_line(model, data, artifact, tmp_path / "whole.csv"))
    line = sweep_line(model, data, artifact, tmp_path / "new" / "s.csv")
    stopped(run, stop, *line)
    assert hidden(tmp_path / "new") == [".s.csv.journal"]
    again, scored = swept(run, stop, *line)
    assert scored == 3
    assert again.equals(whole)


def test_a_refined_sweep_looks_closer_and_goes_on_too(
    run: Run, stop: Stop, model: Path, data: Path, artifact: Path, tmp_path: Path
) -> None:
    plain, _ = swept(run, stop, *sweep_line(model, data, artifact, tmp_path / "plain.csv"))
    whole, scored = swept(run, stop, *sweep_line(model, data, artifact, tmp_path / "whole.csv", "--refine"))
    assert scored > 5 + 4
    assert whole[: len(plain)].equals(plain), "the grid comes first"
    line = sweep_line(model, data, artifact, tmp_path / "s.csv", "--refine")
    stopped(run, stop, *line, parts=7)
    again, rest = swept(run, stop, *line)
    assert rest == scored - 7
    assert again.equals(whole)


def test_swapped_columns_are_another_run(
    run: Run, stop: Stop, model: Path, data: Path, artifact: Path, tmp_path: Path
) -> None:
    swap = ("--columns", "prompt=prompt,positive=negative,negative=positive")
    fresh, _ = swept(run, stop, *sweep_line(model, data, artifact, tmp_path / "fresh.csv", *swap))
    line = sweep_line(model, data, artifact, tmp_path / "s.csv")
    stopped(run, stop, *line)
    again, scored = swept(run, stop, *line, *swap)
    assert scored == 5
    assert again.equals(fresh)


def test_other_weights_in_the_same_folder_are_another_run(
    run: Run, stop: Stop, model: Path, other_model: Path, data: Path, artifact: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    line = sweep_line(folder, data, artifact, tmp_path / "s.csv")
    shutil.copytree(model, folder)
    stopped(run, stop, *line)
    shutil.rmtree(folder)
    shutil.copytree(other_model, folder)
    again, scored = swept(run, stop, *line)
    assert scored == 5
    fresh, _ = swept(run, stop, *sweep_line(folder, data, artifact, tmp_path / "fresh.csv"))
    assert again.equals(fresh)


def test_another_dtype_is_another_run_of_apply_too(
    run: Run, stop: Stop, model: Path, artifact: Path, tmp_path: Path
) -> None:
    line = apply_line(model, artifact, "--prompt", "Hello", "--prompt", "And?", "--out", tmp_path / "a.jsonl")
    stopped(run, stop, *line)
    seen = stop(None)
    assert run(*line, "--dtype", "float64")[0] == 0
    assert len(seen) == 4


def test_apply_goes_on_with_other_m(run: Run, stop: Stop, model: Path, artifact: Path, tmp_path: Path) -> None:
    line = apply_line(model, artifact, "--prompt", "Hello", "--prompt", "And?")
    to = tmp_path / "a.jsonl"
    stopped(run, stop, *line, "--m", "2", "--out", to, parts=3)
    seen = stop(None)
    code, _, err = run(*line, "--m", "3", "--out", to)
    assert code == 0, err
    assert len(seen) == 2, "what m = 0 said is still there"
    assert [(row["m"], row["index"]) for row in read_rows(to)] == [(0, 0), (0, 1), (3, 0), (3, 1)]
    assert run(*line, "--m", "3", "--out", tmp_path / "fresh.jsonl")[0] == 0
    assert (tmp_path / "fresh.jsonl").read_text() == to.read_text()


def test_control_nothing_is_promised_where_nothing_is_kept(
    run: Run, stop: Stop, model: Path, data: Path, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **settings: object) -> None:
        raise KeyboardInterrupt

    for module in ("train.train_artifact", "sweep.sweep_pairs", "apply.generate_texts"):
        monkeypatch.setattr(f"easyedit_split.cli.commands.{module}", interrupt)
    for line in (
        train_line(model, data, tmp_path / "x"),
        sweep_line(model, data, artifact, tmp_path / "s.csv"),
        apply_line(model, artifact, "--prompt", "Hello"),
        apply_line(model, artifact, "--prompt", "Hello", "--out", tmp_path / "a.jsonl"),
    ):
        code, _, err = run(*line)
        assert code == 130
        assert GO_ON not in err


@pytest.mark.parametrize("name", ["first", "last"])
def test_every_value_counts_as_the_models_identity(name: str) -> None:
    network = nn.ModuleDict({"first": nn.Linear(400, 50), "last": nn.Linear(50, 2)})
    before = model_digests(network)
    assert model_digests(network) == before
    with torch.no_grad():
        network[name].weight[1, 33].mul_(1 + 1e-6)
    assert model_digests(network)["weights"] != before["weights"]


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_other_settings_in_the_same_folder_are_another_run(
    run: Run, stop: Stop, model: Path, data: Path, artifact: Path, tmp_path: Path, file: str
) -> None:
    folder = tmp_path / "model"
    line = sweep_line(folder, data, artifact, tmp_path / "s.csv")
    shutil.copytree(model, folder)
    stopped(run, stop, *line)
    settings = json.loads((folder / file).read_text("utf-8"))
    settings |= {"rms_norm_eps": 1e-3} if file == "config.json" else {"repetition_penalty": 1.3}
    (folder / file).write_text(json.dumps(settings), "utf-8")
    _, scored = swept(run, stop, *line)
    assert scored == 5


def test_the_dtype_the_attention_and_the_tokenizer_count_too() -> None:
    def identity(attention: str, dtype: torch.dtype, family: str = "qwen2", name: str = "tiny") -> str:
        here = world(dtype=dtype)
        here.model.set_attn_implementation(attention)
        found = model_identity(here.model, world(family).tokenizer, name)
        found.pop("weights")  # which knows the dtype too
        return json.dumps(found)

    settings = (("exact", torch.float64), ("eager", torch.float64), ("exact", torch.float32))
    found = [identity(*setting) for setting in settings]
    found += [identity(*settings[0], family="llama"), identity(*settings[0], name="other")]
    assert len(set(found)) == len(found)
    assert identity(*settings[0]) == found[0]
    assert json.loads(found[0])["device"] == "cpu"


def test_bad_input_begins_nothing(sentence: Sentence, model: Path, artifact: Path, tmp_path: Path) -> None:
    long = write_rows(tmp_path / "long.jsonl", [*ROWS, {"prompt": "a " * 900, "positive": "b", "negative": "c"}])
    before = sorted(tmp_path.rglob("*"))
    assert "max_length" in sentence(*sweep_line(model, long, artifact, tmp_path / "new" / "s.csv"))
    assert "empty" in sentence(*apply_line(model, artifact, "--prompt", " ", "--out", tmp_path / "new" / "a.jsonl"))
    twice = ("--prompt", "Hello", "--m", "2,2", "--out", tmp_path / "new" / "a.jsonl")
    assert "twice" in sentence(*apply_line(model, artifact, *twice))
    assert sorted(tmp_path.rglob("*")) == before
