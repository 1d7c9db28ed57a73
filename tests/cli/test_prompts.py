"""`apply --prompts`: a line of a text file or a row of a table is one prompt, whole and as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from easyedit_split.cli.prompts import read_prompts
from easyedit_split.types import ConfigError, DataError

PROMPTS = ['She said "lead, or follow".', "Two\u2028parts", "last\x0bone"]


@pytest.mark.parametrize("field", ["prompt", "question"])
@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_gives_one_prompt_a_row(tmp_path: Path, ending: str, field: str, encoding: str) -> None:
    table, file = pd.DataFrame({"id": [3, 4, 5], field: PROMPTS}), tmp_path / f"p.{ending}"
    if ending == "parquet":
        table.to_parquet(file)
    elif ending == "csv":
        table.to_csv(file, index=False, encoding=encoding)
    else:
        rows = table.to_dict("records")
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        text = json.dumps(rows, ensure_ascii=False) if ending == "json" else "\n".join(lines)
        file.write_text(text, encoding)
    assert read_prompts(None, file) == PROMPTS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_text_file_gives_one_prompt_a_line(tmp_path: Path, encoding: str, end: str) -> None:
    file = tmp_path / "p.txt"
    file.write_bytes((end.join(["", *PROMPTS[:2], " ", PROMPTS[2]]) + end).encode(encoding))
    assert read_prompts(None, file) == PROMPTS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.md", "Hello", r"p.md: prompts are read from .txt \(one a line\) or .jsonl, .json, .csv, .tsv or .parquet"),
        ("p", "Hello", "p: prompts are read from .txt"),
        ("p.txt", " \n", "p.txt: holds no prompt"),
        ("p.txt", b"\xff", "p.txt: cannot be read"),
        ("p.csv", "text\nHello\n", "p.csv: its columns are text; wanted one called prompt or question"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": 3}', "p.jsonl, row 1: field 'prompt' is a int"),
        ("p.jsonl", '{"prompt": "a"}\n{"question": "b"}', "p.jsonl, row 1: field 'prompt' is missing"),
        ("p.jsonl", '{"prompt": " "}', "p.jsonl, row 0: field 'prompt' is empty"),
        ("p.jsonl", "Hello", "p.jsonl, line 1: not valid JSON"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_prompts(None, tmp_path / name)


def test_one_of_the_two_is_given(tmp_path: Path) -> None:
    assert read_prompts(["a\nb", "c"], None) == ["a\nb", "c"]
    for prompt, file in ((None, None), (["a"], tmp_path / "p.txt")):
        with pytest.raises(ConfigError, match="one of the two"):
            read_prompts(prompt, file)
    with pytest.raises(DataError, match="no such file"):
        read_prompts(None, tmp_path / "absent.txt")
