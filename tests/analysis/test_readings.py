"""Reading sheets are blind and whole, and scores of them give what was planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmark_files import benchmark

SHEET, REPORT, MAIN = benchmark("readings_sheet"), benchmark("readings_report"), benchmark("readings")
PAIRS = benchmark("readings_pairs")
AT = ("half", "once", "twice")
DEFINITIONS = {"a": "It is a.", "b": "It is b."}


def cell(concept: str, form: str, m: float | None = 1.0) -> dict[str, Any]:
    test = {"preference": 2.0, "utility": 1.0, "raised": 3, "pairs": 4}
    record = {"concept": concept, "form": form, "objective": "split", "layer": 3, "m": m, "kl": 0.1, "r_per_m": 0.5}
    return {**record, "reason": "why", "test": None if m is None else test}


def texts(concept: str, form: str, prompts: int = 5) -> list[dict[str, Any]]:
    written = [
        {"at": at, "m": m, "prompt": f"{concept}{k}?", "text": f"{concept} {form} {at} {k}"}
        for at, m in zip(AT, (0.5, 1.0, 2.0), strict=True)
        for k in range(prompts)
    ]
    asked = [f"{concept}{k}?" for k in range(prompts)]
    return list(SHEET.texts_of({**cell(concept, form), "texts": written}, [f"{concept} bare"] * prompts, asked))


def scores(key: list[dict[str, Any]], value: Any) -> list[dict[str, Any]]:
    """A reader who gives each text what ``value(row of the key)`` says."""
    return [{"id": row["id"], **value(row)} for row in {row["id"]: row for row in key}.values()]


def test_a_sheet_holds_every_text_once_without_a_label_and_the_key_tells_whose_it_is() -> None:
    written = texts("a", "lora") + texts("b", "vector")
    parts, key = SHEET.make_sheets(written, DEFINITIONS, part=9)
    rows = [row for part in parts for row in part]
    assert [len(part) for part in parts] == [8, 8, 8, 8, 8]
    assert all(set(row) == {"id", "concept", "definition", "prompt", "text"} for row in rows)
    found = {(shown["concept"], shown["prompt"], shown["text"]) for shown in rows}
    assert found == {(row["concept"], row["prompt"], row["text"]) for row in written}
    assert {row["id"] for row in rows} == {row["id"] for row in key}
    by_id = {row["id"]: row["text"] for row in rows}
    assert all(row["at"] in by_id[row["id"]] for row in key)
    order = [row["text"] for part in parts for row in part]
    assert order != sorted(order)
    assert SHEET.make_sheets(written, DEFINITIONS, part=9) == (parts, key)


def test_texts_that_come_later_get_sheets_of_their_own_and_the_others_keep_their_ids() -> None:
    first, second = texts("a", "lora"), texts("b", "vector")
    parts, key = SHEET.make_sheets(first, DEFINITIONS)
    more, all_keys = SHEET.make_sheets(first + second, DEFINITIONS, old=parts[0])
    assert {row["concept"] for part in more for row in part} == {"b"}
    assert [row for row in all_keys if row["concept"] == "a"] == key
    assert len({row["id"] for row in all_keys}) == len(parts[0]) + sum(map(len, more))
    assert SHEET.make_sheets(first, DEFINITIONS, old=parts[0]) == ([[]], key)
    with pytest.raises(ValueError, match="no cell wrote t0000"):
        SHEET.make_sheets(second, DEFINITIONS, old=parts[0])


def test_what_was_read_can_be_rebuilt_from_its_sheets_and_key() -> None:
    """So that cells made later, elsewhere, join the earlier ones without their folders."""
    first, second = texts("a", "lora"), texts("b", "vector")
    parts, key = SHEET.make_sheets(first, DEFINITIONS)
    rebuilt = SHEET.texts_before(key, parts[0])
    assert SHEET.make_sheets(rebuilt + second, DEFINITIONS, old=parts[0]) == SHEET.make_sheets(
        first + second, DEFINITIONS, old=parts[0]
    )
    assert {SHEET.cell_of(row) for row in rebuilt} == {("a", "lora", "split"), ("a", "", "")}


def test_one_text_of_two_cells_is_read_once_and_counts_for_both() -> None:
    written = texts("a", "lora")
    for row in written:
        row["text"] = "the same"
    twins = [{**row, "form": "vector"} for row in written if row["at"] != "bare"]
    parts, key = SHEET.make_sheets(written + twins, DEFINITIONS)
    assert len(parts[0]) == 5
    assert len(key) == 5 * (1 + 2 * 3)
    read = SHEET.readings_of(key, [{row["id"]: row for row in scores(key, lambda _: ones(2))}])
    assert len(read) == 7
    assert all(len(reading.overall) == 5 for reading in read.values())


def ones(value: int) -> dict[str, int]:
    return dict.fromkeys(SHEET.ASKED, value)


def planted(row: dict[str, Any]) -> dict[str, int]:
    """Half does not carry the concept, once is good, twice is broken in one of five texts."""
    given = {"bare": (0, 2, 2), "half": (0, 2, 2), "once": (2, 2, 1), "twice": (2, 0 if row["place"] == 0 else 2, 1)}
    return dict(zip(SHEET.ASKED, given[row["at"]], strict=True))


def test_the_report_finds_what_was_planted(tmp_path: Path) -> None:
    _, key = SHEET.make_sheets(texts("a", "lora") + texts("b", "vector"), DEFINITIONS)
    SHEET.write_lines(tmp_path / "one.jsonl", scores(key, planted))
    SHEET.write_lines(tmp_path / "two.jsonl", scores(key, planted))
    cells = [cell("a", "lora"), cell("b", "vector"), cell("b", "local_weight", None)]
    said = REPORT.report(cells, key, [tmp_path / "one.jsonl", tmp_path / "two.jsonl"])
    assert "| a | lora x split | 0% / 100% / 100% | 100% / 100% / 80% | 0.00 / 1.50 / 1.20 |" in said
    assert "| a | unsteered |  0%  |  100%  |  0.00  |" in said
    assert "| a | lora x split | +1.50 [+1.50, +1.50] | +0.30 [+0.00, +0.90] |" in said
    assert "Of 3 cells 1 are refused an m. Of the other 2, at m*: 2 carry" in said
    assert "0 are beaten" in said
    assert "| concept | 40 | 1.00 | 1.00 |" in said


def test_control_a_better_half_is_told() -> None:
    _, key = SHEET.make_sheets(texts("a", "lora"), DEFINITIONS)
    values = {"half": 2, "once": 1, "twice": 1, "bare": 0}
    read = SHEET.readings_of(key, [{r["id"]: r for r in scores(key, lambda row: ones(values[row["at"]]))}])
    assert "1 are beaten" in REPORT.verdict([cell("a", "lora")], read)


def test_files_of_two_parts_are_one_reader_and_two_of_one_part_are_two() -> None:
    first, second = {"t1": ones(1)}, {"t2": ones(2)}
    assert REPORT.merged([first, second]) == [{**first, **second}]
    assert REPORT.merged([first, first]) == [first, first]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "t9", **ones(1)}, "row 2: id 't9' is not in the key"),
        ({"id": "t1", **ones(3)}, "row 2: concept is 3; allowed are 0, 1 and 2"),
        ({"id": "t1", "concept": 1, "fluent": 1}, "row 2: topic is None"),
        ({"id": "t0", **ones(1)}, "row 2: t0 is scored twice"),
    ],
)
def test_a_bad_score_is_named(row: dict[str, Any], message: str) -> None:
    key = [{"id": "t0"}, {"id": "t1"}]
    with pytest.raises(ValueError, match=message):
        SHEET.checked_scores([{"id": "t0", **ones(1)}, row], key, "f")


def test_a_text_without_a_score_is_named() -> None:
    _, key = SHEET.make_sheets(texts("a", "lora"), DEFINITIONS)
    with pytest.raises(ValueError, match="has no score"):
        SHEET.readings_of(key, [{}])


def test_the_interval_of_a_paired_difference_covers_what_was_planted() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        a, b = rng.normal(0.5, 0.5, 10), rng.normal(0, 0.5, 10)
        _, low, high = SHEET.paired_difference(a, b, seed)
        hits += low <= 0.5 <= high
    assert 0.85 <= hits / 200 <= 0.98


@pytest.mark.parametrize("concept", list(MAIN.DEFINITIONS))
def test_the_prompts_that_were_read_are_test_prompts_of_the_concept(concept: str) -> None:
    """The concepts are found by number in the shipped dataset: another number's prompts were never answered."""
    table = PAIRS.pairs_of(concept, "test")
    assert (table.name, table.concepts()) == (concept, (None,))
    rows = [row for path in MAIN.HERE.glob("sheet-*.jsonl") for row in SHEET.read_lines(path)]
    read = {row["prompt"] for row in rows if row["concept"] == concept}
    assert read == {pair.prompt for pair in table[:10]}
    others = [name for name in MAIN.DEFINITIONS if name != concept]
    assert not any(read & {pair.prompt for pair in PAIRS.pairs_of(name, "test")} for name in others)


def test_kept_cells_sheets_and_key_belong_together() -> None:
    if not MAIN.KEY.is_file():
        pytest.skip("no sheets are kept yet")
    cells, key = json.loads(MAIN.CELLS.read_text("utf-8")), SHEET.read_lines(MAIN.KEY)
    rows = [row for path in MAIN.HERE.glob("sheet-*.jsonl") for row in SHEET.read_lines(path)]
    assert {row["id"] for row in rows} == {row["id"] for row in key}
    given = {(c["concept"], c["form"], c["objective"]) for c in cells if c["m"] is not None}
    assert {(r["concept"], r["form"], r["objective"]) for r in key if r["at"] != "bare"} == given
