"""`apply --prompts`: a line of a text file or a row of a table is one prompt, whole and as it was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from easyedit_split.cli.prompts import read_prompts
from easyedit_split.datasets.files import read_table
from easyedit_split.datasets.one_answer import read_exchanges
from easyedit_split.text.conversation import as_prompt, plain
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


ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Do you like rain?"}]
SAID = {"role": "assistant", "content": "Yes."}
SHARED = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Do you like rain?"}]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"instruction": "Sum this up:", "input": "It rained.", "output": "Rain."}, "Sum this up:\nIt rained."),
        ({"instruction": "Say hello.", "input": "", "output": "Hello."}, "Say hello."),
        ({"instruction": "Say when.", "context": "At noon.", "response": "Noon."}, "Say when.\nAt noon."),
        ({"input": "Say hello.", "output": "Hello.", "category": "negative"}, "Say hello."),
        ({"messages": [*ASKED, SAID]}, as_prompt(ASKED)),
        ({"messages": ASKED}, as_prompt(ASKED)),
        ({"conversations": [*SHARED, {"from": "gpt", "value": "Yes."}]}, as_prompt(ASKED)),
        ({"system": "Be brief.", "conversations": [SHARED[1], {"from": "gpt", "value": "Yes."}]}, as_prompt(ASKED)),
        ({"prompt": "Do you like rain?", "completion": [SAID]}, "Do you like rain?"),
        ({"prompt": "Do you like rain?", "chosen": "Yes.", "rejected": "No."}, "Do you like rain?"),
    ],
)
def test_files_with_an_answer_to_each_prompt_are_prompts(
    tmp_path: Path, row: dict[str, Any], prompt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(row) + "\n")
    (found,) = read_prompts(None, file)
    assert plain(found) == plain(prompt)
    answered = [str(value) for value in row.values() if "Yes." in str(value)] or {"output", "response"} & set(row)
    assert ("1 of 1 rows hold an answer, which is left out" in " ".join(capsys.readouterr().err.split())) is bool(
        answered
    )
    (one,) = read_exchanges(read_table(file))
    assert one.answer in (None, *("Rain.", "Hello.", "Noon.", "Yes."))


def test_an_answer_that_must_be_there_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    rows = [{"messages": [*ASKED, SAID]}, {"messages": ASKED}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [one.answer for one in read_exchanges(read_table(file))] == ["Yes.", None]
    with pytest.raises(DataError, match=r"a.jsonl, row 1: has no answer to field 'messages'"):
        read_exchanges(read_table(file), answered=True)
    for row, message in (
        ({"messages": [SAID]}, "row 0: field 'messages' holds an answer alone"),
        ({"messages": [*ASKED, SAID], "output": "No."}, "one answer in field 'output' and another at the end"),
        ({"prompt": "a", "output": 3}, "row 0: field 'output' is a int"),
    ):
        file.write_text(json.dumps(row) + "\n")
        with pytest.raises(DataError, match=message):
            read_exchanges(read_table(file))


def test_one_of_the_two_is_given(tmp_path: Path) -> None:
    assert read_prompts(["a\nb", "c"], None) == ["a\nb", "c"]
    for prompt, file in ((None, None), (["a"], tmp_path / "p.txt")):
        with pytest.raises(ConfigError, match="one of the two"):
            read_prompts(prompt, file)
    with pytest.raises(DataError, match="no such file"):
        read_prompts(None, tmp_path / "absent.txt")
