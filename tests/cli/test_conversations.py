"""Conversations, long rows and settings of the chat template on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from .shared import ROWS, Run, Sentence, apply_line, read_rows, sweep_line, train_line, write_rows

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello."},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "Is it so?"},
]


def test_a_longer_row_is_swept_with_the_option_that_the_message_names(
    run: Run, sentence: Sentence, model: Path, artifact: Path, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "long.jsonl", [{**ROWS[0], "prompt": "Is it so? " * 20}])
    short = sentence(*sweep_line(model, data, artifact, tmp_path / "s.csv", "--max-length", 40))
    assert "max_length is 40: raise it (--max-length, tokens.max_length)" in short
    code, _, err = run(*sweep_line(model, data, artifact, tmp_path / "s.csv", "--max-length", 2000))
    assert code == 0, err


def test_prompts_may_be_conversations(run: Run, model: Path, artifact: Path, tmp_path: Path) -> None:
    rows = [{"messages": TALK}, {"messages": [TALK[-1]]}]
    file = write_rows(tmp_path / "p.jsonl", rows)
    code, _, err = run(*apply_line(model, artifact, "--prompts", file, "--m", 1, "--out", tmp_path / "a.jsonl"))
    assert code == 0, err
    found = {row["index"]: row["prompt"] for row in read_rows(tmp_path / "a.jsonl")}
    assert found == {0: "system: Be brief.\nuser: Hello.\nassistant: Hi.\nuser: Is it so?", 1: "Is it so?"}
    write_rows(file, [{"messages": TALK[:3]}])
    code, out, err = run(*apply_line(model, artifact, "--prompts", file))
    assert code == 0, err
    assert "1 of 1 rows hold an answer, which is left out" in err
    assert "Hello." in out


def test_pairs_may_be_conversations_and_the_record_keeps_the_settings(run: Run, model: Path, tmp_path: Path) -> None:
    rows = [{"messages": TALK, "chosen": f"Yes, {i}.", "rejected": f"No, {i}."} for i in range(4)]
    data = write_rows(tmp_path / "talk.jsonl", rows)
    code, _, err = run(*train_line(model, data, tmp_path / "x", "--max-length", 300))
    assert code == 0, err
    record = json.loads((tmp_path / "x" / "steering_config.json").read_text())["record"]
    assert record["run"]["tokens"]["max_length"] == 300
    code, _, err = run(*sweep_line(model, data, tmp_path / "x", tmp_path / "s.csv"))
    assert code == 0, err


def test_what_is_no_setting_and_no_artifact_is_refused(
    sentence: Sentence, model: Path, data: Path, tmp_path: Path
) -> None:
    line = train_line(model, data, tmp_path / "x", "--set", "tokens.template.enable_thinkin=false")
    assert "tokens.template.enable_thinkin: the tokenizer's chat template does not read it" in sentence(*line)
    torch.save(torch.zeros(4), tmp_path / "v.pt")
    err = sentence(*sweep_line(model, data, tmp_path / "v.pt", tmp_path / "s.csv"))
    assert "is a file, and an intervention is a folder that `train` wrote" in err
    assert "import FILE --from FORMAT" in err
