"""Files as other tools write them: each becomes the pairs that its owner meant, or is refused by a sentence."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from easyedit_split.datasets import load_dataset
from easyedit_split.datasets.in_memory import as_pairs
from easyedit_split.text.conversation import Conversation, as_prompt, in_front, plain
from easyedit_split.types import DataError, Pair

Q, GOOD, BAD = "Do you like rain?", "I love it!", "It ruins my day."


def said(*pairs: str) -> list[dict[str, str]]:
    return [dict(zip(("role", "content"), pair.split(": ", 1), strict=True)) for pair in pairs]


ASKED, YES, NO = said(f"user: {Q}"), said(f"assistant: {GOOD}"), said(f"assistant: {BAD}")
EARLIER = said("system: Be brief.", "user: Hello.", "assistant: Hi.", f"user: {Q}")
SHAREGPT = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hello."},
            {"from": "gpt", "value": "Hi."}, {"from": "human", "value": Q}]  # fmt: skip

PARTS = [{"type": "text", "text": Q}]
IMAGE = [{"role": "user", "content": [{"type": "image"}]}]

LONE = {
    "this package's": {"prompt": Q, "positive": GOOD, "negative": BAD},
    "TRL's texts": {"prompt": Q, "chosen": GOOD, "rejected": BAD},
    "TRL's messages": {"prompt": ASKED, "chosen": YES, "rejected": NO},
    "one message each": {"prompt": ASKED, "chosen": YES[0], "rejected": NO[0]},
    "TRL's implicit prompt": {"chosen": ASKED + YES, "rejected": ASKED + NO},
    "UltraFeedback's": {"prompt": Q, "chosen": ASKED + YES, "rejected": ASKED + NO},
    "HH-RLHF's": {
        "chosen": f"\n\nHuman: {Q}\n\nAssistant: {GOOD}",
        "rejected": f"\n\nHuman: {Q}\n\nAssistant: {BAD}",
    },
    "capitals": {" Prompt": Q, "POSITIVE": GOOD, "Negative ": BAD},
    "contents in parts": {"prompt": [{"role": "user", "content": PARTS}], "chosen": GOOD, "rejected": BAD},
    "nulls, as of parquet": {"messages": [{**ASKED[0], "name": None}], "positive": GOOD, "negative": BAD},
}  # fmt: skip
TALKS = {
    "messages": {"messages": EARLIER, "positive": GOOD, "negative": BAD},
    "TRL's implicit prompt": {"chosen": EARLIER + YES, "rejected": EARLIER + NO},
    "ShareGPT's preferences": {
        "conversations": SHAREGPT,
        "chosen": {"from": "gpt", "value": GOOD},
        "rejected": {"from": "gpt", "value": BAD},
    },
    "a system column": {"System": "Be brief.", "prompt": EARLIER[1:], "chosen": GOOD, "rejected": BAD},
    "Alpaca's preferences": {
        "instruction": Q,
        "input": "",
        "system": "Be brief.",
        "history": [["Hello.", "Hi."]],
        "chosen": GOOD,
        "rejected": BAD,
    },
}


@pytest.mark.parametrize("name", LONE)
def test_a_lone_question_is_a_text(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([LONE[name]]))
    (pair,) = load_dataset(str(tmp_path / "a.json")).pairs
    assert pair == Pair(Q, GOOD, BAD)
    assert not isinstance(pair.prompt, Conversation)
    assert as_pairs([LONE[name]]).pairs == (pair,), "in memory as in files"


@pytest.mark.parametrize("name", TALKS)
def test_several_messages_are_a_conversation(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(TALKS[name]) + "\n")
    (pair,) = load_dataset(str(tmp_path / "a.jsonl")).pairs
    assert isinstance(pair.prompt, Conversation)
    assert list(pair.prompt.messages) == EARLIER
    assert (pair.positive, pair.negative) == (GOOD, BAD)
    assert as_pairs([TALKS[name]]).pairs == (pair,)
    assert as_pairs([(EARLIER, GOOD, BAD)]).pairs == (pair,)


def test_what_stands_below_an_instruction_is_part_of_the_question(tmp_path: Path) -> None:
    row = {"instruction": "Sum this up:", "input": "It rained.", "chosen": GOOD, "rejected": BAD}
    assert as_pairs([row]).pairs[0].prompt == "Sum this up:\nIt rained."


def test_a_conversation_is_known_by_its_messages_and_not_by_how_it_reads() -> None:
    talk = as_prompt(EARLIER)
    lookalike = str(talk)
    assert talk == lookalike
    assert plain(talk) != plain(lookalike)
    assert as_pairs([Pair(talk, "a", "b")]).sha256 != as_pairs([Pair(lookalike, "a", "b")]).sha256
    one, other = as_prompt(said("system: a\nuser: b", "user: c")), as_prompt(said("system: a", "user: b", "user: c"))
    assert str(one) != str(other), "lines of a message cannot pass for a message"
    assert in_front("Please:", talk).endswith(f"user: Please: {Q}")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"positive": "a", "negative": "b"}, "wanted a column 'prompt' besides the two answers"),
        ({"instruction": Q, "input": "", "output": GOOD}, r"one answer to each prompt \(in 'output'\), a pair"),
        ({"conversations": SHAREGPT}, r"one answer .* \(at the end of 'conversations'\), .*split pairs --from"),
        ({"text": Q, "Response": GOOD}, r"one answer to each prompt \(in 'Response'\), .*column 'negative'$"),
        ({"statement": "Ice is cold.", "label": 1}, "columns are statement, label; wanted prompt, positive, negative"),
        ({"chosen": GOOD, "rejected": BAD}, "hold no prompt .*: add a column 'prompt'"),
        ({"chosen": ASKED + YES, "rejected": EARLIER + NO}, "conversations that differ before their last message"),
        ({"prompt": "Else?", "chosen": ASKED + YES, "rejected": ASKED + NO}, "'prompt' is not the question of the con"),
        ({"chosen": ASKED, "rejected": ASKED + NO}, "'chosen' ends with a message of the user, wanted an assistant's"),
        ({"messages": ASKED + YES, "positive": GOOD, "negative": BAD}, "ends with a message of the assistant, wanted"),
        ({"messages": [{"text": Q}], "positive": GOOD, "negative": BAD}, "has a message 0 with the keys text"),
        ({"prompt": IMAGE, "chosen": "a", "rejected": "b"}, "part that is 'image', and only text can be"),
        ({"prompt": said("user: "), "chosen": "a", "rejected": "b"}, r"message 0 \(user\) that is empty"),
        ({"prompt": EARLIER, "system": "Else.", "chosen": "a", "rejected": "b"}, "message besides the system col"),
        ({"prompt": "Nice \ud83d", "positive": "a", "negative": "b"}, r"line 1: .*'.{1,2}ud83d', half of a character"),
        ({"prompt": said("user: \ud83d"), "positive": "a", "negative": "b"}, "line 1: .* half of a character"),
        ({"prompt": Q, "positive": "a", "negative": "b\ud83d"}, "line 1: .* half of a character"),
        ({"prompt": Q, "positive": [GOOD, "Yes"], "negative": BAD}, "field 'positive' is a list"),
        ({"prompt": Q, "positive": GOOD, "negative": BAD, "tools": "{"}, "tools that are not JSON"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_meant_is_refused_by_a_sentence(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(str(tmp_path / "a.jsonl"))
    assert len(str(caught.value)) < 300 + len(str(tmp_path))
    assert "\n" not in str(caught.value)


# --- kinds of files --------------------------------------------------------------------------------------------------

ROWS = [{"prompt": f"{Q} {i}", "positive": GOOD, "negative": BAD} for i in range(3)]


@pytest.mark.parametrize(
    "name", ["a.jsonl.gz", "a.json.gz", "a.csv.gz", "a.tsv", "a.tsv.gz", "a.parquet", "lists.json"]
)
def test_kinds_of_files_hold_the_same_rows(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS)
    text = {
        "jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
        "json": json.dumps([list(row.values()) for row in ROWS] if name == "lists.json" else ROWS),
        "csv": frame.to_csv(index=False),
        "tsv": frame.to_csv(index=False, sep="\t"),
    }
    path, kind = tmp_path / name, name.removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        frame.to_parquet(path)
    else:
        path.write_bytes(gzip.compress(text[kind].encode()) if name.endswith(".gz") else text[kind].encode())
    assert [pair.prompt for pair in load_dataset(str(path))] == [row["prompt"] for row in ROWS]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "".join(json.dumps(row) + "\n" for row in ROWS), "holds one object a line: name it .jsonl"),
        ("a.jsonl", json.dumps(ROWS[0], indent=2), "goes on over lines: write one a line, or save a list as .json"),
        ("a.json", json.dumps({"data": ROWS}), "a dict with the keys data, wanted a list .*: save that list alone"),
        ("a.json", json.dumps([[GOOD, BAD]]), "row 0: holds a list of 2, wanted an object .*, or a list of prompt"),
        ("a.csv", "prompt;positive;negative\na;b;c\n", "wanted cells that are separated by commas"),
        ("a.jsonl.gz", "{}", "not readable as gzip"),
    ],
)
def test_a_file_of_another_kind_than_its_ending_says_so(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        load_dataset(str(tmp_path / name))


SHARDS = {"train-00000-of-00002": ROWS[:1], "train-00001-of-00002": ROWS[1:2], "validation": ROWS[2:]}


def test_a_folder_as_on_the_hub_has_its_splits(tmp_path: Path) -> None:
    data = tmp_path / "mine" / "data"
    data.mkdir(parents=True)
    for name, rows in SHARDS.items():
        pd.DataFrame(rows).to_parquet(data / f"{name}.parquet")
    (data / "README.md").write_text("no data")
    folder = str(tmp_path / "mine")
    assert [p.prompt for p in load_dataset(folder, split="train")] == [row["prompt"] for row in ROWS[:2]]
    assert load_dataset(folder, split="train").rows == (0, 1)
    assert [p.prompt for p in load_dataset(folder, split="dev")] == [ROWS[2]["prompt"]]
    assert load_dataset(folder, split="validation") == load_dataset(folder, split="dev")
    with pytest.raises(DataError, match=r"has the splits dev, train: name one"):
        load_dataset(folder)
    with pytest.raises(DataError, match=r"has no split 'test', only dev, train"):
        load_dataset(folder, split="test")


def test_a_split_column_is_read_however_it_is_written(tmp_path: Path) -> None:
    names = (" Train", "TEST ", "validation")
    rows = [dict(row, Split=split) for row, split in zip(ROWS, names, strict=True)]
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False)
    for place, split in enumerate(("train", "test", "dev")):
        assert load_dataset(str(tmp_path / "a.csv"), split=split).rows == (place,)
    pd.DataFrame([dict(ROWS[0], split="fold 3")]).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(DataError, match=r"row 0: field 'split' is 'fold 3', allowed: train, .*rename the column"):
        load_dataset(str(tmp_path / "b.csv"), split="train")
