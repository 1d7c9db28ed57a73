"""Log-odds of a dataset's test rows, in files of their own, and gone on with after an interruption."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from easyedit_split.easyedit import LogOddsEvaluator
from easyedit_split.easyedit.live import live_on
from easyedit_split.easyedit.scored import WrapperLosses
from easyedit_split.easyedit.wrapper_scores import wrapper_scores
from easyedit_split.sweep_table import read_sweep
from easyedit_split.types import ConfigError, DataError, Pair

from .flows import applier
from .hosts import ROWS, HostUnderTest

PAIRS = [Pair(row["question"], row["matching"], row["not_matching"]) for row in ROWS]


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with EasyEdit2's description of two datasets: one with test rows in pairs, one without."""
    fields = {"question": "q", "matching": "yes", "not_matching": "no"}
    formats: dict[str, dict[str, Any]] = {"train": {}, "generation": {}}
    for name, kept in (("moods", fields), ("texts", {"question": "q", "matching": "yes"})):
        for split, rows in (("train", ROWS[:2]), ("test", ROWS[2:])):
            wanted = fields if split == "train" else kept
            lines = [json.dumps({field: row[key] for key, field in wanted.items()}) for row in rows]
            (tmp_path / f"{name}_{split}.jsonl").write_text("\n".join(lines) + "\n")
        formats["train"][name] = {"file_path": f"./{name}_train.jsonl", "field_names": fields}
        formats["generation"][name] = {"file_path": f"./{name}_test.jsonl", "field_names": {"input": "q"}}
    formats["train"]["alone"] = {"file_path": "./alone.jsonl", "field_names": fields}
    (tmp_path / "hparams" / "Steer").mkdir(parents=True)
    (tmp_path / "hparams" / "Steer" / "dataset_format.yaml").write_text(yaml.safe_dump(formats))
    monkeypatch.chdir(tmp_path)


def test_a_dataset_of_the_host_is_scored_on_its_test_rows(
    host: HostUnderTest, described: None, trained: Callable[..., Any], qwen: Path, tmp_path: Path
) -> None:
    host.module("steer.datasets")
    values = {"SPLIT": {"layers": [1, 2], "multipliers": [1.0, 1.0]}}
    wrapper = applier(host, tmp_path, qwen, values, vectors={"SPLIT": trained()[1]}).model
    found = {}
    for split in ("test", "train"):
        settings = {"data": "moods", "m": [0.0, 1.0], **({} if split == "test" else {"split": split})}
        evaluator = LogOddsEvaluator.from_config(wrapper, settings, tmp_path / split)
        evaluator.evaluate_all()
        found[split] = read_sweep(tmp_path / split / "moods_log_odds.csv")
        assert set(found[split]["split"]) == {split}
    assert [len(table) for table in found.values()] == [2 * 3, 2 * 2]
    wanted = LogOddsEvaluator(wrapper, ROWS[2:], (0.0, 1.0))
    wanted.evaluate_all()
    assert np.array_equal(found["test"]["L_p"], wanted.table["L_p"])
    with pytest.raises(DataError, match=r"the test rows of texts .* hold no negative answers: .*write split: train"):
        LogOddsEvaluator.from_config(wrapper, {"data": "texts"}, tmp_path)
    with pytest.raises(ConfigError, match="knows no test rows of alone: name a file of pairs, or write split: train"):
        LogOddsEvaluator.from_config(wrapper, {"data": "alone"}, tmp_path)
    with pytest.raises(ConfigError, match=r"'mood' is no file and no dataset of EasyEdit2.*did you mean 'moods'"):
        LogOddsEvaluator.from_config(wrapper, {"data": "mood"}, tmp_path)


def test_a_killed_scoring_goes_on_and_ends_in_the_same_table(
    host: HostUnderTest, trained: Callable[..., Any], qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"SPLIT": {"layers": [1, 2], "multipliers": [1.0, 1.0]}}
    wrapper = applier(host, tmp_path, qwen, values, vectors={"SPLIT": trained()[1]}).model
    whole = LogOddsEvaluator(wrapper, ROWS, (-1.0, 0.0, 2.0))
    whole.evaluate_all()
    scored: list[float] = []

    def at_most(most: int) -> Callable[..., Any]:
        def counted(wrapper: Any, rows: Any, m: float, pad_id: int) -> Any:
            if len(scored) == most:
                raise KeyboardInterrupt
            scored.append(m)
            return wrapper_scores(wrapper, rows, m, pad_id)

        return counted

    kept = LogOddsEvaluator(wrapper, ROWS, (-1.0, 0.0, 2.0), name="kept", save_results=True, results_dir=tmp_path / "r")
    monkeypatch.setattr("easyedit_split.easyedit.scored.wrapper_scores", at_most(2))
    with pytest.raises(KeyboardInterrupt):
        kept.evaluate_all()
    assert [path.name for path in (tmp_path / "r").iterdir()] == [".kept_log_odds.csv.journal"]
    monkeypatch.setattr("easyedit_split.easyedit.scored.wrapper_scores", at_most(3))
    kept.evaluate_all()
    assert scored == [-1.0, 0.0, 2.0]
    assert kept.table.drop(columns="dataset").equals(whole.table.drop(columns="dataset"))
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["kept_log_odds.csv", "kept_log_odds.json"]
    fingerprint = WrapperLosses(wrapper, kept.pairs, kept.tokens, "kept").fingerprint
    live_on(wrapper)[0].set_m(0.5)  # the control: another strength is another run
    assert WrapperLosses(wrapper, kept.pairs, kept.tokens, "kept").fingerprint != fingerprint


def test_each_concept_has_its_own_files(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    torch.save(torch.ones(32), tmp_path / "layer_1.pt")
    wrapper = applier(host, tmp_path, qwen, {"caa": {"layers": [1], "multipliers": [1.0]}}, {"caa": tmp_path}).model
    pairs = [Pair(p.prompt, p.positive, p.negative, concept) for p in PAIRS[:2] for concept in ("a b", "a/b")]
    evaluator = LogOddsEvaluator(wrapper, pairs, 1.0, name="c", save_results=True, results_dir=tmp_path / "r")
    for concept in ("a b", "a/b", None):
        evaluator.evaluate_all(concept)
    assert len(list((tmp_path / "r").glob("c_*log_odds.csv"))) == 3
