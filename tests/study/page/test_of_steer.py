"""The page of a folder that `steer` wrote: every objective's curves, the texts and m of the kept one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from easyedit_split.cli.console import ConsoleTeller
from easyedit_split.datasets.base import PairTable
from easyedit_split.datasets.in_memory import as_pairs
from easyedit_split.study.page.of_steer import is_steer_folder, steer_contents
from easyedit_split.study.plan import SteerData, SteerPlan
from easyedit_split.study.report import write_result
from easyedit_split.study.steer import SteerResult, steer
from easyedit_split.types import DataError

from ...small import PAIRS, world

PLAN = SteerPlan(
    form="vector",
    objectives=("split", "diff_mean"),
    layers=(1,),
    overrides=("train.epochs=1",),
    m="r:+-0.1:1:3",
    neutral=2,
    texts=2,
    max_new_tokens=4,
)


def table(split: str, start: int, count: int) -> PairTable:
    pairs = [
        dataclasses.replace(PAIRS[i % 5], prompt=f"{i}? {PAIRS[i % 5].prompt}") for i in range(start, start + count)
    ]
    return dataclasses.replace(as_pairs(pairs), split=split)


@pytest.fixture(scope="module")
def result() -> SteerResult:
    here = world("llama")
    data = SteerData(table("train", 0, 10), table("dev", 10, 6), table("test", 16, 6))
    return steer(here.model, here.tokenizer, data, PLAN, model_name="tiny", tell=ConsoleTeller())


def test_curves_of_every_objective_and_texts_of_the_best(result: SteerResult, tmp_path: Path) -> None:
    assert not is_steer_folder(tmp_path)
    write_result(result, tmp_path / "out")
    assert is_steer_folder(tmp_path / "out")
    contents = steer_contents(tmp_path / "out")
    assert [run.cell for run in contents.runs] == ["vector-split", "vector-diff_mean"]
    for run, item in zip(contents.runs, result.trained, strict=True):
        assert run.curves is not None
        assert list(run.curves.m) == sorted(item.table["m1"].unique())
        assert bool(run.written) == (item is result.best)
    best = next(run for run in contents.runs if run.written)
    assert best.curves is not None
    texts = {text.prompt: dict(text.texts) for text in best.written}
    for row in result.texts.itertuples():
        assert texts[str(row.prompt)][float(row.m1)] == row.text
    known = [one.m for one in best.strengths]
    assert known == ([] if result.best.choice.m is None else [result.best.m])
    assert ("form", "vector") in contents.settings
    assert {table.name for table in contents.tables} == {"Side effects on neutral prompts"}


def test_judged_texts_are_shown_too(result: SteerResult, tmp_path: Path) -> None:
    write_result(result, tmp_path)
    rows = [{"m1": m, "prompt": 0, "question": "Asked?", "text": f"at {m}", "overall": 1.0} for m in (0.0, 0.5)]
    pd.DataFrame(rows).to_csv(tmp_path / "judged.csv", index=False)
    best = next(run for run in steer_contents(tmp_path).runs if run.written)
    assert next(dict(text.texts) for text in best.written if text.prompt == "Asked?") == {0.0: "at 0.0", 0.5: "at 0.5"}


def test_a_foreign_table_in_the_folder_is_one_sentence(result: SteerResult, tmp_path: Path) -> None:
    write_result(result, tmp_path)
    whole = {name: (tmp_path / name).read_bytes() for name in ("texts.json", "collateral.csv")}
    for name, text, said in (
        ("texts.json", '[{"prompt": "Q", "m1": 0}]', "column 'text' is missing"),
        ("texts.json", '[{"prompt": "Q", "text": "A", "m1": "low"}]', "column 'm1' holds 'low', wanted numbers"),
        ("collateral.csv", "m1,tokens\n1,2\n", "column 'kl' is missing"),
        ("collateral.csv", "m1,kl,tokens\n1,much,2\n", "kl is 'much'"),
    ):
        (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(DataError, match=rf"{name}.*{said}"):
            steer_contents(tmp_path)
        (tmp_path / name).write_bytes(whole[name])
    assert steer_contents(tmp_path).runs  # control: as it was written
