"""Formats: recognised by columns, no value converted; damage anywhere is one sentence with its line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from easyedit_split.datasets import load_dataset
from easyedit_split.types import DataError

from .tables import offers, write

# --- formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize(
    "names", [("prompt", "positive", "negative"), ("question", "matching", "not_matching")], ids=["own", "easyedit2"]
)
def test_formats_are_recognised_by_their_columns(tmp_path: Path, ending: str, names: tuple[str, str, str]) -> None:
    texts = [("Is it, “so”?", "Yes,\nreally", "NA"), ("123", "None", "null"), (" x ", "true", "nan")]
    path = write(tmp_path / f"mine.{ending}", [dict(zip(names, row, strict=True)) for row in texts])
    table = load_dataset(str(path))
    assert [(p.prompt, p.positive, p.negative) for p in table.pairs] == texts, "no value is converted or trimmed"
    assert (table.name, table.rows, table.source) == ("mine", (0, 1, 2), str(path))
    assert len(table.sha256) == 64
    assert table.notes == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": \n', r"a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", b'{"prompt": "a"}\n\n[1]\n', r"a.jsonl, line 3: holds a list, wanted an object"),
        ("a.jsonl", b'{"prompt": "a", "prompt": "b"}\n', r"a.jsonl, line 1: .*key 'prompt' appears twice"),
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": "\xff"}\n', r"a.jsonl, line 2: byte 0xff is not UTF-8"),
        ("a.json", b'{"prompt": "a"}', r"a.json: holds a dict with the keys prompt, wanted a list"),
        ("a.json", b"[1]", r"a.json, row 0: holds a int, wanted an object"),
        ("a.json", b"[" * 100_000, r"a.json: not valid JSON"),
        ("a.csv", b"prompt,positive,negative\na,b,c\nd,e\n", r"a.csv, line 3: 2 cells under 3 columns"),
        ("a.csv", b"prompt,positive,negative\na,b,c,d\n", r"a.csv, line 2: 4 cells under 3 columns"),
        ("a.csv", b'prompt,positive,negative\na,"b,c\n', r"a.csv, line \d: not valid CSV"),
        ("a.csv", b"prompt,prompt,negative\na,b,c\n", r"a.csv, line 1: column 'prompt' appears twice"),
        ("a.csv", b"prompt,positive,negative\n", r"a.csv: holds no rows"),
        ("a.csv", b"", r"a.csv: holds no rows"),
        ("a.parquet", b"PAR1 no", r"a.parquet: not readable as Parquet"),
        ("a.txt", b"x", r"a.txt: unknown ending 'txt'.*; allowed: jsonl, json, csv, tsv, parquet"),
        ("a.pkl", b"cos\nsystem\n(S'true'\ntR.", r"a.pkl: unknown ending 'pkl'"),
    ],
)
def test_damaged_files_are_named_with_their_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_dataset(str(tmp_path / name))


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfprompt,positive,negative\r\na,b,c\r\n")
    assert load_dataset(str(tmp_path / "a.csv")).pairs[0].prompt == "a"


# --- the real files --------------------------------------------------------------------------------------------------


def test_damage_anywhere_never_escapes_as_another_error(tmp_path: Path) -> None:
    """Random bytes changed in good files: pairs or one clear sentence, nothing else."""
    rng = random.Random(0)
    for ending in ("jsonl", "json", "csv", "parquet"):
        good = write(tmp_path / f"good.{ending}", offers(6)).read_bytes()
        path = tmp_path / f"bad.{ending}"
        messages = []
        for _ in range(60):
            data = bytearray(good)
            for _ in range(3):
                data[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(bytes(data))
            try:
                load_dataset(str(path))
            except DataError as error:
                messages.append(str(error))
        assert messages
        assert all(message.startswith(str(path)) for message in messages)
