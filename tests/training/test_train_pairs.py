"""From pairs to artifact to table: the record is complete, concepts are trained apart, bad rows are named."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from easyedit_split import __version__
from easyedit_split.config import TokenConfig
from easyedit_split.datasets.base import PairTable, pairs_hash
from easyedit_split.model.digests import model_digests, versions
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.steering.artifact import Artifact
from easyedit_split.text.prompt_tokens import tokenizer_hash
from easyedit_split.training import train_pairs
from easyedit_split.training.loop import TrainingStopped, train_intervention
from easyedit_split.training.run_config import RunConfig
from easyedit_split.training.train_pairs import RunStopped, train_artifact
from easyedit_split.types import ConfigError, DataError, Pair

from ..small import PAIRS, equal, run_config, world
from ..toy_tokenizers import qwen3

BAD = Pair("Would you?", " ", "No")
FEAR = tuple(Pair(p.prompt, p.positive, p.negative, "fear") for p in PAIRS[:3])
JOY = tuple(Pair(p.prompt, p.negative, p.positive, "joy") for p in PAIRS[2:])


def from_file(pairs: tuple[Pair, ...] = PAIRS) -> PairTable:
    """Pairs as a file's reader names them."""
    return PairTable("power", pairs, (3, 5, 8, 13, 21)[: len(pairs)], "power.csv", "abc", split="train")


def trained(pairs: PairTable | tuple[Pair, ...] = PAIRS, run: RunConfig | None = None, **settings: Any) -> Artifact:
    here = world()
    return train_artifact(here.model, here.tokenizer, pairs, run or run_config(), **settings)


def test_the_record_says_everything_a_result_depends_on() -> None:
    here, run = world(), run_config("lora", directions="both", seed=4, form_config={"rank": 2})
    artifact = train_artifact(here.model, here.tokenizer, from_file(), run, model_name="tiny/qwen2", revision="abc1")
    record = artifact.record
    assert json.loads(json.dumps(record)) == record
    assert record["model"] == {
        "id": "tiny/qwen2", "revision": "abc1", "model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 3,
        "dtype": "float64", "attention": "exact", "quantization": "none", "adapters": [], **model_digests(here.model),
    }  # fmt: skip
    assert record["tokenizer_hash"] == tokenizer_hash(here.tokenizer)
    assert (record["objective"], record["seed"]) == ("split", 4)
    assert RunConfig.read(record["run"]) == run
    assert record["data"] == {
        "name": "power", "split": "train", "sha256": "abc", "pairs_sha256": pairs_hash(PAIRS), "pairs": 5,
        "pair_ids": [pairs_hash([pair])[:12] for pair in PAIRS],
        "dropped": [], "notes": [],
    }  # fmt: skip
    assert record["versions"] == versions()
    assert versions()["easyedit_split"] == __version__
    assert versions()["torch"] == torch.__version__
    assert [step["step"] for step in artifact.history["default"]] == list(range(1, 7))
    assert artifact.config.prefix_ids == here.template.prefix_ids


def test_a_run_can_be_repeated_from_its_record(tmp_path: Path) -> None:
    folder = trained(run=run_config(dropout=0.2, steering_factors=(0.5, 1.0))).save_pretrained(tmp_path / "out")
    stored = Artifact.from_pretrained(folder)
    again = trained(run=RunConfig.read(stored.record["run"]))
    assert equal(stored["default"], again["default"])
    assert not equal(stored["default"], trained()["default"])


def test_the_hash_is_over_texts_concepts_and_order() -> None:
    assert pairs_hash(PAIRS) == pairs_hash(list(PAIRS))
    others = (PAIRS[::-1], PAIRS[:-1], FEAR, tuple(Pair(p.prompt, p.negative, p.positive) for p in PAIRS))
    assert len({pairs_hash(pairs) for pairs in (PAIRS, *others)}) == 5


# --- concepts ------------------------------------------------------------------------------------------------------


def test_concepts_are_trained_apart_and_in_any_order() -> None:
    artifact, reverse = trained(FEAR + JOY), trained(JOY + FEAR)
    assert artifact.concepts == ("fear", "joy")
    here = world(pairs=JOY)
    alone, _ = train_intervention(here.model, here.template, here.rows, run_config(), concept="joy")
    assert equal(artifact["joy"], alone)
    assert all(equal(artifact[concept], reverse[concept]) for concept in ("fear", "joy"))
    assert not equal(artifact["joy"], artifact["fear"])
    assert list(artifact.history) == ["fear", "joy"]


def test_progress_names_the_concept() -> None:
    seen: list[tuple[str, int, int]] = []
    trained(FEAR + JOY, progress=lambda concept, done, total, loss: seen.append((concept, done, total)))
    assert seen == [(concept, k + 1, 4) for concept in ("fear", "joy") for k in range(4)]


@pytest.mark.parametrize("pairs", [FEAR + PAIRS[3:], PAIRS[:2] + JOY])
def test_concepts_stand_on_all_rows_or_none(pairs: tuple[Pair, ...]) -> None:
    here = world()
    with pytest.raises(ConfigError, match=r"row \d has no concept while others have"):
        train_artifact(here.model, here.tokenizer, pairs, run_config())


# --- bad rows ------------------------------------------------------------------------------------------------------


def test_a_bad_row_is_named_as_in_its_file() -> None:
    pairs = (*PAIRS[:2], BAD, *PAIRS[2:4])
    with pytest.raises(DataError, match=r"power.csv, row 8: positive is empty.*drop bad rows"):
        trained(from_file(pairs))


def test_bad_rows_are_dropped_named_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    pairs = (*PAIRS[:2], BAD, *PAIRS[2:4])
    with caplog.at_level(logging.WARNING):
        artifact = trained(from_file(pairs), drop_bad=True)
    assert artifact.record["data"]["pairs"] == 4
    assert artifact.record["data"]["dropped"] == ["power.csv, row 8: positive is empty: give it a text"]
    assert "power.csv, row 8" in caplog.text
    assert equal(artifact["default"], trained(PAIRS[:4])["default"])
    with pytest.raises(DataError, match="none of 1 pairs can be used"):
        trained((BAD,), drop_bad=True)
    with pytest.raises(DataError, match="holds no rows"):
        trained(())


def test_notes_say_what_was_done_to_all() -> None:
    spaced = tuple(Pair(p.prompt, f" {p.positive}", f" {p.negative}") for p in PAIRS)
    artifact = trained(spaced)
    assert artifact.record["data"]["notes"] == [
        "one leading space stripped from 10 of 10 answers (chat template in use)"
    ]
    assert equal(artifact["default"], trained()["default"])


# --- a run that stops ----------------------------------------------------------------------------------------------


def test_a_stopped_run_keeps_what_was_finished(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stops_at_joy(*args: Any, **settings: Any) -> Any:
        intervention, history = train_intervention(*args, **settings)
        if settings["concept"] == "joy":
            raise TrainingStopped("the loss of step 3 is nan", intervention, history[:2])
        return intervention, history

    whole = trained(FEAR + JOY)
    monkeypatch.setattr(train_pairs, "train_intervention", stops_at_joy)
    with pytest.raises(RunStopped, match="the loss of step 3 is nan") as caught:
        trained(FEAR + JOY)
    kept = Artifact.from_pretrained(caught.value.artifact.save_pretrained(tmp_path / "kept"))
    assert kept.concepts == ("fear", "joy")
    assert equal(kept["fear"], whole["fear"])
    assert [len(kept.history[concept]) for concept in kept.concepts] == [4, 2]
    assert kept.record["stopped"] == "the loss of step 3 is nan"
    assert "stopped" not in whole.record


# --- sweeping ------------------------------------------------------------------------------------------------------


def test_a_sweep_tokenises_as_the_artifact_was_trained(tmp_path: Path) -> None:
    here = world()
    settings: dict[str, Any] = {"system": "Be kind.", "score_end": False}
    artifact = train_artifact(here.model, here.tokenizer, PAIRS, run_config(tokens=TokenConfig(**settings)))
    loaded = Artifact.from_pretrained(artifact.save_pretrained(tmp_path / "out"))
    assert loaded.tokens == TokenConfig(**settings)
    table = sweep_pairs(here.model, here.tokenizer, from_file(), loaded, (0.0, 1.0))
    same = world(**settings)
    assert table.T_p[:5].tolist() == [len(row.positive) for row in same.rows] != [len(r.positive) for r in here.rows]
    assert table.pair[:5].tolist() == [3, 5, 8, 13, 21]
    assert set(table.dataset) == {"power"}
    assert set(table.split) == {"train"}


def test_training_shows_in_the_sweep_and_swapped_roles_show_the_other_way() -> None:
    here = world()
    run = run_config(epochs=8, batch_size=5, lr=0.3)
    swapped = tuple(Pair(p.prompt, p.negative, p.positive) for p in PAIRS)

    def gain(pairs: tuple[Pair, ...]) -> float:
        artifact = train_artifact(here.model, here.tokenizer, pairs, run)
        table = sweep_pairs(here.model, here.tokenizer, PAIRS, artifact, (0.0, 1.0))
        means = table.groupby("m1").pref.mean()
        return float(means[1.0] - means[0.0])

    assert gain(PAIRS) > 0.5
    assert gain(swapped) < -0.1


def test_another_tokenizer_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    here, artifact = world(), trained()
    with caplog.at_level(logging.WARNING):
        sweep_pairs(here.model, here.tokenizer, PAIRS, artifact, (0.0,))
        assert "tokenizer" not in caplog.text
        sweep_pairs(here.model, qwen3(), PAIRS, artifact, (0.0,))
    assert "is not the one the artifact was trained with" in caplog.text


def test_sweep_passes_everything_on() -> None:
    here, artifact = world(), trained()

    def further(table: pd.DataFrame) -> tuple[float, ...]:
        return () if len(table) > 5 else (2.0,)

    table = sweep_pairs(
        here.model, here.tokenizer, (BAD, *PAIRS), artifact, (0.0,), normalize="mean", drop_bad=True,
        next_points=further,
    )  # fmt: skip
    assert table.m1.tolist() == [0.0] * 5 + [2.0] * 5
    assert table.pair.tolist() == [1, 2, 3, 4, 5] * 2
    np.testing.assert_array_equal(table.pref, table.L_n / table.T_n - table.L_p / table.T_p)
    with pytest.raises(DataError, match="row 0"):
        sweep_pairs(here.model, here.tokenizer, (BAD, *PAIRS), artifact, (0.0,))
