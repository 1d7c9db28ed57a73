"""Datasets: formats, the paper's splits, and every bad row named; real files where they are at hand."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from easyedit_split.config import ConfigError
from easyedit_split.datasets import DATASETS, PairTable, load_dataset, load_unpaired
from easyedit_split.datasets.base import Columns, Request
from easyedit_split.types import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"
Rows = list[dict[str, Any]]


@pytest.fixture
def real() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the public datasets are not beside this checkout (../shared/data)")
    return SHARED


def write(path: Path, rows: Rows) -> Path:
    """``rows`` in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def persona(count: int) -> Rows:
    keys = ("question", "answer_matching_behavior", "answer_not_matching_behavior")
    return [dict(zip(keys, (f"Statement {i}?", " Yes", " No"), strict=True)) for i in range(count)]


def offers(count: int) -> Rows:
    return [
        {"question": f"Offer {i}, or not?", "matching": f"Yes, {i}", "not_matching": f"No, {i}"} for i in range(count)
    ]


def axbench(concepts: int = 10, each: int = 72) -> Rows:
    return [
        {
            "input": f"Ask {i}",
            "winning_output": f"with {c} {i}",
            "losing_output": f"without {i}",
            "output_concept": f"concept {c}",
            "concept_id": c,
            "concept_genre": "text",
            "category": "positive",
        }
        for c in range(concepts)
        for i in range(each)
    ]


# --- formats -------------------------------------------------------------------------------------------------------


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


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [{"ask": "a?", "good": "b", "bad": "c", "topic": "t"}])
    with pytest.raises(DataError, match=r"its columns are ask, good, bad, topic; wanted prompt, positive, negative or"):
        load_dataset(str(path))
    named = {"prompt": "ask", "positive": "good", "negative": "bad", "concept": "topic"}
    (pair,) = load_dataset(str(path), columns=named).pairs
    assert (pair.prompt, pair.positive, pair.negative, pair.concept) == ("a?", "b", "c", "t")
    with pytest.raises(DataError, match=r"needs a column 'god' \(did you mean 'good'\?\)"):
        load_dataset(str(path), columns={**named, "positive": "god"})
    with pytest.raises(ConfigError, match=r"unknown key 'positiv' \(did you mean 'positive'"):
        load_dataset(str(path), columns={"positiv": "good"})


def test_concepts_of_an_own_file_are_kept(tmp_path: Path) -> None:
    rows = [{"prompt": f"{i}", "positive": "y", "negative": "n", "concept": "ab"[i % 2]} for i in range(6)]
    table = load_dataset(str(write(tmp_path / "mine.jsonl", rows)), limit=2)
    assert set(table.concepts()) == {"a", "b"}
    assert len(table.pairs) == 4, "the limit is of each concept"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": \n', r"a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", b'{"prompt": "a"}\n\n[1]\n', r"a.jsonl, line 3: holds a list, wanted an object"),
        ("a.jsonl", b'{"prompt": "a", "prompt": "b"}\n', r"a.jsonl, line 1: .*key 'prompt' stands twice"),
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": "\xff"}\n', r"a.jsonl, line 2: byte 0xff is not UTF-8"),
        ("a.json", b'{"prompt": "a"}', r"a.json: holds a dict, wanted a list"),
        ("a.json", b"[1]", r"a.json, row 0: holds a int, wanted an object"),
        ("a.json", b"[" * 100_000, r"a.json: not valid JSON"),
        ("a.csv", b"prompt,positive,negative\na,b,c\nd,e\n", r"a.csv, line 3: 2 cells under 3 columns"),
        ("a.csv", b"prompt,positive,negative\na,b,c,d\n", r"a.csv, line 2: 4 cells under 3 columns"),
        ("a.csv", b'prompt,positive,negative\na,"b,c\n', r"a.csv, line \d: not valid CSV"),
        ("a.csv", b"prompt,prompt,negative\na,b,c\n", r"a.csv, line 1: column 'prompt' stands twice"),
        ("a.csv", b"prompt,positive,negative\n", r"a.csv: holds no rows"),
        ("a.csv", b"", r"a.csv: holds no rows"),
        ("a.parquet", b"PAR1 no", r"a.parquet: not readable as Parquet"),
        ("a.txt", b"x", r"a.txt: unknown ending 'txt'.*; allowed: jsonl, json, csv, parquet"),
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


# --- bad rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positive": None}, "field 'positive' is missing"),
        ({"prompt": " \n"}, "field 'prompt' is empty"),
        ({"negative": "yes"}, "fields 'positive' and 'negative' hold the same answer"),
    ],
)
def test_a_bad_row_is_named_and_dropped_only_on_demand(
    tmp_path: Path, ending: str, change: dict[str, Any], message: str
) -> None:
    rows: Rows = [{"prompt": f"{i}?", "positive": "yes", "negative": "no"} for i in range(5)]
    rows[2] |= change
    path = write(tmp_path / f"mine.{ending}", rows)
    with pytest.raises(DataError, match=f"mine.{ending}, row 2: {message}; mend them, or drop bad rows"):
        load_dataset(str(path))
    table = load_dataset(str(path), drop_bad=True)
    assert table.rows == (0, 1, 3, 4)
    assert table.dropped == (f"{path}, row 2: {message}",)


def test_missing_keys_nan_and_numbers_are_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"prompt": "a", "positive": "b", "negative": "c"}\n'
        '{"prompt": "a", "positive": "b"}\n'
        '{"prompt": "a", "positive": NaN, "negative": "c"}\n'
        '{"prompt": "a", "positive": 1, "negative": "c"}\n'
    )
    with pytest.raises(DataError) as caught:
        load_dataset(str(path))
    for part in (
        "row 1: field 'negative' is missing",
        "row 2: field 'positive' is missing",
        "row 3: field 'positive' is a int (1), wanted text",
    ):
        assert part in str(caught.value)
    assert "row 0" not in str(caught.value)


def test_many_bad_rows_are_counted_and_none_left_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [{"prompt": "", "positive": "a", "negative": "b"}] * 15)
    with pytest.raises(DataError, match=r"row 9: .* and 5 more; mend"):
        load_dataset(str(path))
    with pytest.raises(DataError, match="no good row is left of 15"):
        load_dataset(str(path), drop_bad=True)


# --- the paper's splits --------------------------------------------------------------------------------------------


def of_splits(name: str, **settings: Any) -> dict[str, PairTable]:
    return {split: load_dataset(name, split=split, **settings) for split in ("train", "test", "dev")}


def test_psychopathy_splits(tmp_path: Path) -> None:
    path = write(tmp_path / "psychopathy.jsonl", persona(1000))
    name = f"psychopathy:{path}"
    splits = of_splits(name)
    assert {split: len(table.pairs) for split, table in splits.items()} == {"train": 500, "test": 100, "dev": 100}
    rows = [set(table.rows) for table in splits.values()]
    assert len(set.union(*rows)) == 700, "the splits do not overlap"
    assert all(table.rows == tuple(sorted(table.rows)) for table in splits.values())
    assert load_dataset(name, split="train").rows == load_dataset(name).rows == splits["train"].rows
    assert load_dataset(name, split="train", seed=1).rows != splits["train"].rows
    assert splits["train"].pairs[0].prompt == f"Statement {splits['train'].rows[0]}?"
    assert splits["train"].pairs[0].positive == " Yes"
    assert load_dataset(f"psychopathy:{tmp_path}").rows == splits["train"].rows, "the folder does as well"


def test_splits_stay_the_same_for_ever(tmp_path: Path) -> None:
    path = write(tmp_path / "psychopathy.jsonl", persona(1000))
    assert load_dataset(f"psychopathy:{path}", split="train").rows[:6] == (0, 3, 4, 8, 11, 12)
    assert load_dataset(f"psychopathy:{path}", split="test").rows[:5] == (7, 28, 50, 57, 74)


def test_dropping_a_row_moves_no_other(tmp_path: Path) -> None:
    rows = persona(1000)
    whole = load_dataset(f"psychopathy:{write(tmp_path / 'a.jsonl', rows)}").rows
    rows[whole[3]]["question"] = ""
    less = load_dataset(f"psychopathy:{write(tmp_path / 'b.jsonl', rows)}", drop_bad=True).rows
    assert set(whole) - set(less) == {whole[3]}
    assert len(set(less) - set(whole)) == 1, "one row moves up into its place"


def test_too_few_rows_for_the_papers_split(tmp_path: Path) -> None:
    path = write(tmp_path / "psychopathy.jsonl", persona(599))
    with pytest.raises(DataError, match="599 good rows, but 500 train and 100 test rows are needed"):
        load_dataset(f"psychopathy:{path}")
    write(path, persona(600))
    assert len(load_dataset(f"psychopathy:{path}").pairs) == 500
    with pytest.raises(DataError, match="train and test use all 600 rows, nothing is left for dev"):
        load_dataset(f"psychopathy:{path}", split="dev")


def test_powerseeking_has_a_test_file_of_its_own(tmp_path: Path) -> None:
    train = write(tmp_path / "powerseeking_train.csv", offers(640))
    write(tmp_path / "powerseeking_test.csv", offers(200))
    splits = of_splits(f"powerseeking:{tmp_path}")
    assert [len(table.pairs) for table in splits.values()] == [500, 200, 140]
    assert not set(splits["train"].rows) & set(splits["dev"].rows)
    assert splits["dev"].notes == ("powerseeking: dev has 140 pairs, all that train and test leave (200 wanted)",)
    assert [Path(table.source).name for table in splits.values()] == [
        "powerseeking_train.csv",
        "powerseeking_test.csv",
        "powerseeking_train.csv",
    ]
    assert load_dataset(f"powerseeking:{train}", split="test") == splits["test"], "found beside the train file"
    (tmp_path / "powerseeking_test.csv").unlink()
    with pytest.raises(DataError, match=r"the test split needs powerseeking_test.csv beside it"):
        load_dataset(f"powerseeking:{train}", split="test")


def test_powerseeking_under_its_authors_file_names(tmp_path: Path) -> None:
    write(tmp_path / "power-seeking" / "train.csv", offers(500))
    assert len(load_dataset(f"powerseeking:{tmp_path}").pairs) == 500


def test_axbench_splits_within_each_concept(tmp_path: Path) -> None:
    path = write(tmp_path / "dpo_train_data.parquet", axbench(12))
    train, test = (load_dataset(f"axbench:{path}", split=split) for split in ("train", "test"))
    assert (len(train.pairs), len(test.pairs)) == (640, 80)
    assert not set(train.rows) & set(test.rows)
    assert train.concepts() == tuple(f"concept {c}" for c in range(10))
    assert train.notes == (f"{path}: the first 10 of 12 concepts are used",)
    three = load_dataset(f"axbench:{path}", concept_id=3)
    assert three.concepts() == ("concept 3",)
    assert set(three.rows) == {row for row in train.rows if row // 72 == 3}
    assert len(load_dataset(f"axbench:{path}", concept_id=11).pairs) == 64
    assert len(load_dataset(f"axbench:{path}", limit=5).pairs) == 50
    with pytest.raises(DataError, match=r"no concept 12; it has 0, 1, 2"):
        load_dataset(f"axbench:{path}", concept_id=12)
    with pytest.raises(DataError, match=r"concept 0: train and test use all 72 rows, nothing is left for dev"):
        load_dataset(f"axbench:{path}", split="dev")


def test_axbench_leaves_other_categories_out_and_says_so(tmp_path: Path) -> None:
    rows = axbench()
    rows += [{**rows[0], "concept_id": -1, "category": "negative"}] * 7
    table = load_dataset(f"axbench:{write(tmp_path / 'a.parquet', rows)}")
    assert len(table.pairs) == 640
    assert table.notes[0].endswith("7 rows whose category is not 'positive' left out")


def test_axbench_needs_whole_numbers_as_concept_ids(tmp_path: Path) -> None:
    rows = axbench()
    rows[5]["concept_id"] = None
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(DataError, match=r"a.json, row 5: field 'concept_id' is None, wanted a whole number"):
        load_dataset(f"axbench:{path}")


def unpaired(path: Path) -> Path:
    rows = [
        {
            "input": f"Ask {i}",
            "output": f"answer {i}",
            "output_concept": "EEEEE" if i % 2 else "c0",
            "concept_genre": "text" if i < 20 else "code",
            "category": "negative" if i % 2 else "positive",
            "concept_id": -1 if i % 2 else 0,
        }
        for i in range(30)
    ]
    return write(path, [row for row in rows if row["concept_id"] == -1 or row["concept_genre"] == "text"])


def test_the_unpaired_table_is_refused_and_read_only_as_what_it_is(tmp_path: Path) -> None:
    path = unpaired(tmp_path / "axbench_concept10_train.parquet")
    for name in (str(path), f"axbench:{path}"):
        with pytest.raises(DataError, match=r"not paired: .*'winning_output' and 'losing_output'.* with --unpaired"):
            load_dataset(name)
    table = load_unpaired(path, concept_id=0)
    assert (table.concept, len(table.positives), len(table.negatives)) == ("c0", 10, 10)
    assert {e.prompt for e in table.positives}.isdisjoint({e.prompt for e in table.negatives})
    assert all(e.row < 20 for e in table.negatives), "of the concept's genre only"
    with pytest.raises(DataError, match="no concept 4"):
        load_unpaired(path, concept_id=4)
    with pytest.raises(DataError, match="not AxBench's unpaired table"):
        load_unpaired(write(tmp_path / "pairs.parquet", axbench(1)), concept_id=0)


# --- files of one's own: splits are declared, never invented -------------------------------------------------------


def test_a_split_column_decides(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"{i}", "positive": "y", "negative": "n", "split": "test" if i % 3 else "train"} for i in range(9)
    ]
    path = str(write(tmp_path / "mine.csv", rows))
    assert load_dataset(path, split="train").rows == (0, 3, 6)
    assert len(load_dataset(path, split="test").pairs) == 6
    assert len(load_dataset(path).pairs) == 9
    with pytest.raises(DataError, match="no row has split 'dev'; allowed: test, train"):
        load_dataset(path, split="dev")


def test_named_files_are_splits(tmp_path: Path) -> None:
    train = write(tmp_path / "mine_train.csv", offers(4))
    test = write(tmp_path / "mine_test.csv", offers(3))
    assert len(load_dataset(str(train), split="train").pairs) == 4
    assert load_dataset(str(train), split="test") == load_dataset(str(test)) == load_dataset(str(test), split="test")
    with pytest.raises(DataError, match=r"is the train split by its name, and there is no mine_dev.csv beside it"):
        load_dataset(str(train), split="dev")


def test_no_split_is_invented(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", persona(1000))
    assert len(load_dataset(str(path)).pairs) == 1000
    with pytest.raises(DataError, match=rf"has no split 'test': .*; psychopathy:{path} makes the paper's splits"):
        load_dataset(str(path), split="test")


# --- names and requests --------------------------------------------------------------------------------------------


def test_the_data_folder_is_asked_and_what_is_missing_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYEDIT_SPLIT_DATA", str(tmp_path))
    for name, file, licence in (
        ("psychopathy", "psychopathy.jsonl", "CC-BY-4.0"),
        ("powerseeking", "powerseeking_train.csv", "MIT"),
        ("axbench", "dpo_train_data.parquet", "Apache-2.0"),
    ):
        with pytest.raises(DataError, match=rf"{name}: no {file}.* in {tmp_path}: get it from .*{licence}"):
            load_dataset(name)
    write(tmp_path / "psychopathy.jsonl", persona(1000))
    assert len(load_dataset("psychopathy").pairs) == 500
    monkeypatch.delenv("EASYEDIT_SPLIT_DATA")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"in data \(no such folder\)"):
        load_dataset("psychopathy")
    write(tmp_path / "data" / "psychopathy.jsonl", persona(700))
    assert len(load_dataset("psychopathy").pairs) == 500


def test_unknown_names_and_requests() -> None:
    with pytest.raises(DataError, match=r"no dataset and no file is called 'psychopaty' \(did you mean 'psychopathy'"):
        load_dataset("psychopaty")
    with pytest.raises(DataError, match=r"absent.csv: no such file"):
        load_dataset("absent.csv")
    with pytest.raises(DataError, match="unknown split 'training'; allowed: train, test, dev"):
        load_dataset("psychopathy", split="training")
    with pytest.raises(DataError, match="psychopathy takes no concept_id"):
        load_dataset("psychopathy", concept_id=1)
    with pytest.raises(DataError, match="psychopathy takes no columns"):
        load_dataset("psychopathy", columns={"prompt": "x"})
    with pytest.raises(ConfigError, match="limit is 0, must be at least 1"):
        load_dataset("psychopathy", limit=0)
    with pytest.raises(DataError, match="no dataset and no file is called 'local'"):
        load_dataset("local")
    with pytest.raises(DataError, match="local needs a file"):
        DATASETS["local"]().load(Request())


def test_limit_is_a_seeded_part_of_the_split(tmp_path: Path) -> None:
    path = write(tmp_path / "psychopathy.jsonl", persona(1000))
    whole = load_dataset(f"psychopathy:{path}")
    part = load_dataset(f"psychopathy:{path}", limit=20)
    assert set(part.rows) < set(whole.rows)
    assert part.rows != whole.rows[:20]
    assert part.rows == load_dataset(f"psychopathy:{path}", limit=20).rows


@pytest.mark.parametrize("name", ["reviews", "persona", "power", "concepts"])
def test_testbed_pairs_come_through_the_same_door(name: str) -> None:
    splits = of_splits(f"testbed:{name}")
    sizes = [160, 80, 80] if name == "concepts" else [128, 64, 64]
    assert [len(table.pairs) for table in splits.values()] == sizes
    assert splits["train"].source == f"testbed:{name}/train"
    assert splits["train"].sha256 != splits["test"].sha256
    assert load_dataset(f"testbed:{name}") == splits["train"]
    assert len(splits["train"].concepts()) == (10 if name == "concepts" else 1)
    assert len(load_dataset(f"testbed:{name}", limit=3).pairs) == (30 if name == "concepts" else 3)


def test_testbed_concepts_by_number() -> None:
    whole = load_dataset("testbed:concepts", split="test")
    one = load_dataset("testbed:concepts", split="test", concept_id=4)
    assert one.concepts() == (whole.concepts()[4],)
    assert one.pairs == tuple(pair for pair in whole.pairs if pair.concept == whole.concepts()[4])
    with pytest.raises(DataError, match="no concept 10; it has 0 to 9"):
        load_dataset("testbed:concepts", concept_id=10)
    with pytest.raises(DataError, match="testbed dataset 'pover' is unknown"):
        load_dataset("testbed:pover")


def test_every_registered_dataset_says_what_it_is() -> None:
    assert DATASETS.names() == ("axbench", "everyday", "local", "powerseeking", "psychopathy")
    for name in DATASETS:
        dataset = DATASETS[name]
        assert dataset.name == name
        assert dataset.origin
        assert isinstance(dataset.columns, Columns)


# --- the real files ------------------------------------------------------------------------------------------------


def test_real_psychopathy(real: Path) -> None:
    splits = of_splits(f"psychopathy:{real}")
    assert [len(table.pairs) for table in splits.values()] == [500, 100, 100]
    answers = [pair.positive for pair in splits["train"].pairs]
    assert set(answers) == {" Yes", " No"}
    assert 200 < answers.count(" Yes") < 300
    assert len(load_dataset(str(real / "psychopathy.jsonl")).pairs) == 1000


def test_real_powerseeking_names_its_two_bad_rows(real: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(f"powerseeking:{real}")
    for row in (409, 418):
        assert f"row {row}: field 'question' is empty" in str(caught.value)
    assert str(caught.value).count("row ") == 2
    table = load_dataset(f"powerseeking:{real}", drop_bad=True)
    assert len(table.pairs) == 500
    assert len(table.dropped) == 2
    assert len(load_dataset(f"powerseeking:{real}", split="test").pairs) == 200


def test_real_axbench_table_is_unpaired(real: Path) -> None:
    path = real / "axbench_concept10_train.parquet"
    with pytest.raises(DataError, match="not paired"):
        load_dataset(f"axbench:{path}")
    table = load_unpaired(path, concept_id=9)
    assert table.concept == "references to nighttime or nocturnal themes"
    assert (len(table.positives), len(table.negatives)) == (72, 72)


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
