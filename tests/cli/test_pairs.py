"""`pairs` makes of prompts a file that `train` reads as it is; how it was made stands beside; a killed run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from easyedit_split.cli.commands import pairs
from easyedit_split.datasets import load_dataset
from easyedit_split.storage import StorageError
from easyedit_split.study import missing_answers
from easyedit_split.text.conversation import Conversation

from .shared import Run, Sentence, hidden, read_rows, train_line, write_rows

ALPACA = [
    {"instruction": f"Say something nice about {what}.", "input": where, "output": f"{what} is lovely"}
    for what, where in (("rain", "in May"), ("bread", ""), ("tea", ""))
]
TALKS = [
    {"conversations": [{"from": "human", "value": f"Hi {k}"}, {"from": "gpt", "value": f"Hello {k}!"}]}
    for k in range(3)
]
MESSAGES = [
    {
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": f"Q {k}"},
            {"role": "assistant", "content": f"A {k}"},
        ]
    }
    for k in range(3)
]


def line(model: Path, source: object, to: Path, *more: object) -> tuple[object, ...]:
    return ("pairs", "--model", model, "--from", source, "--out", to, "--max-new-tokens", 4, *more)


@pytest.mark.parametrize("rows", [ALPACA, TALKS, MESSAGES])
def test_files_with_one_answer_become_pairs_that_train_reads(
    run: Run, model: Path, tmp_path: Path, rows: list[dict[str, object]]
) -> None:
    source, to = write_rows(tmp_path / "one.jsonl", rows), tmp_path / "pairs.jsonl"
    code, out, err = run(*line(model, source, to))
    assert code == 0, err
    assert "3 pairs written" in err
    assert "  + " in out, "a pair to look at"
    made = read_rows(to)
    assert [row["row"] for row in made] == [0, 1, 2]
    assert all(row["written"] == ["negative"] and row["negative"].strip() for row in made)
    table = load_dataset(str(to))
    assert len(table) == 3
    assert isinstance(table[0].prompt, Conversation) == (rows is MESSAGES), "a system message makes a conversation"
    assert hidden(tmp_path) == [], "nothing under way is left"
    code, _, err = run(*train_line(model, to, tmp_path / "artifact"))
    assert code == 0, err


def test_prompts_and_one_sentence_become_pairs(run: Run, sentence: Sentence, model: Path, tmp_path: Path) -> None:
    source, to = tmp_path / "prompts.txt", tmp_path / "pairs.jsonl"
    source.write_text("How was lunch?\nWhat about rain?\n", "utf-8")
    assert "has no answer" in sentence(*line(model, source, to))
    told = ("--system", "Cheer!", "--concept", "joy", "--sample", "--seed", 1)
    code, _, err = run(*line(model, source, to, *told))
    assert code == 0, err
    about = json.loads((tmp_path / "pairs.about.json").read_text("utf-8"))
    assert about["lacking"] == {"given": "none", "instruction": "Cheer!", "concept": "joy", "in_prompt": False}
    assert (about["seed"], about["do_sample"], Path(about["model"]["id"]).name) == (1, True, model.name)
    assert about["from"]["rows"] == 2
    assert about["pairs"] + len(about["left_out"]) == 2
    assert {row["concept"] for row in read_rows(to)} == {"joy"}
    before = to.read_bytes()
    assert "exists already" in sentence(*line(model, source, to, *told))
    assert run(*line(model, source, to, *told, "--overwrite"))[0] == 0
    assert to.read_bytes() == before, "a seed says the same again"


def test_axbench_gets_pairs_with_the_papers_splits(
    run: Run, sentence: Sentence, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {
            "input": f"Question {k} of {concept}?",
            "output": f"Answer {k} with {concept}",
            "output_concept": f"concept {concept}",
            "concept_genre": "text",
            "category": "positive",
            "concept_id": concept,
        }
        for concept in range(2)
        for k in range(73)
    ]
    other = {"input": "Else?", "output": "No", "output_concept": "EEEEE", "category": "negative", "concept_id": -1}
    pd.DataFrame([*rows, {**other, "concept_genre": "text"}]).to_parquet(tmp_path / "axbench_concept10_train.parquet")
    to = tmp_path / "pairs.jsonl"
    assert "no axbench_concept10_train.parquet" in sentence(*line(model, "axbench", to))
    monkeypatch.setenv("EASYEDIT_SPLIT_DATA", str(tmp_path))
    code, _, err = run(*line(model, "axbench", to, "--limit", 72))
    assert code == 0, err
    table = load_dataset(f"axbench:{to}", split="train")
    assert len(table) == 2 * 64
    assert len(load_dataset(f"axbench:{to}", split="test")) == 2 * 8
    assert table.concepts() == ("concept 0", "concept 1")
    assert table[0].positive.startswith("Answer")
    assert len(load_dataset(str(to))) == 144, "and as a file of its own"
    code, _, err = run(
        *line(
            model,
            f"axbench:{tmp_path / 'axbench_concept10_train.parquet'}",
            to,
            "--overwrite",
            "--concept-id",
            1,
            "--limit",
            2,
        )
    )
    assert code == 0, err
    assert [row["concept_id"] for row in read_rows(to)] == [1, 1]


def test_a_killed_run_goes_on(run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, to = write_rows(tmp_path / "one.jsonl", ALPACA), tmp_path / "pairs.jsonl"
    assert run(*line(model, source, to, "--batch-size", 1))[0] == 0
    whole = to.read_bytes()
    made = missing_answers.generate_texts
    counted: list[int] = []

    def stop(*given: object, **settings: object) -> object:
        def progress(done: int, of: int) -> None:
            counted.append(done)
            if done == 2:
                raise KeyboardInterrupt

        return made(*given, **{**settings, "progress": progress})  # type: ignore[arg-type]

    monkeypatch.setattr(missing_answers, "generate_texts", stop)
    to.unlink()
    assert run(*line(model, source, to, "--batch-size", 1, "--overwrite"))[0] == 130
    assert not to.exists()
    assert hidden(tmp_path), "control: finished answers are kept"
    monkeypatch.setattr(missing_answers, "generate_texts", made)
    assert run(*line(model, source, to, "--batch-size", 1, "--overwrite"))[0] == 0
    assert to.read_bytes() == whole


@pytest.mark.usefixtures("no_model")
def test_bad_options_come_first(sentence: Sentence, tmp_path: Path) -> None:
    source, to = write_rows(tmp_path / "one.jsonl", ALPACA), tmp_path / "pairs.jsonl"
    assert "written as .jsonl" in sentence(*line(tmp_path, source, tmp_path / "pairs.csv"))
    assert "allowed are positive, negative and none" in sentence(*line(tmp_path, source, to, "--answers", "both"))
    assert "--system" in sentence(*line(tmp_path, source, to, "--answers", "none"))
    assert "--concept-id is for AxBench's table" in sentence(*line(tmp_path, source, to, "--concept-id", 1))
    assert "no such file" in sentence(*line(tmp_path, tmp_path / "none.jsonl", to))
    assert "at least 1" in sentence(*line(tmp_path, source, to, "--limit", 0))
    assert "concept's name is empty" in sentence(*line(tmp_path, source, to, "--concept", " "))
    blank = write_rows(tmp_path / "blank.jsonl", [{**ALPACA[0], "concept": "  "}])
    assert "row 0: field 'concept' is empty" in sentence(*line(tmp_path, blank, to))


def test_every_row_keeps_its_split_however_the_column_is_written(run: Run, model: Path, tmp_path: Path) -> None:
    rows = [{**row, " Split": split} for row, split in zip(ALPACA, ("train", "train", "test"), strict=True)]
    source, to = write_rows(tmp_path / "one.jsonl", rows), tmp_path / "pairs.jsonl"
    assert run(*line(model, source, to))[0] == 0
    assert [row["split"] for row in read_rows(to)] == ["train", "train", "test"]
    assert len(load_dataset(str(to), split="test")) == 1


@pytest.mark.parametrize("kept", [True, False])
def test_what_was_stopped_between_its_two_files_goes_on(
    run: Run, sentence: Sentence, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    source, to = write_rows(tmp_path / "one.jsonl", ALPACA), tmp_path / "pairs.jsonl"
    assert run(*line(model, source, tmp_path / "whole.jsonl"))[0] == 0
    real = pairs.write_whole

    def full(path: Path, write: Any) -> None:
        if path == to:
            raise StorageError(f"{path} cannot be written (No space left on device): choose another place")
        real(path, write)

    with monkeypatch.context() as here:
        here.setattr(pairs, "write_whole", full)
        assert "run the same command again to resume" in sentence(*line(model, source, to))
    assert hidden(tmp_path) == [".pairs.jsonl.journal"]
    if not kept:  # control: a record of something else is not written over
        (tmp_path / ".pairs.jsonl.journal").unlink()
        assert "pairs.about.json exists already" in sentence(*line(model, source, to))
        return
    code, _, err = run(*line(model, source, to))
    assert code == 0, err
    assert to.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert hidden(tmp_path) == []
