"""Log-odds of whatever the host has applied: ours equal the core's sweep, upstream's equal a computation by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from easyedit_split.easyedit import LogOddsEvaluator
from easyedit_split.easyedit.host.wrappers import layers_of
from easyedit_split.easyedit.strength import applied_methods
from easyedit_split.scoring.engine.engine import EngineConfig
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.types import ConfigError, DataError, Pair

from .flows import applier, bare_model, logits, prompt_ids
from .hosts import ROWS, HostUnderTest

PAIRS = [Pair(row["question"], row["matching"], row["not_matching"]) for row in ROWS]


@pytest.mark.parametrize("positions", ["all", "answer"])
def test_ours_equal_the_cores_sweep(
    host: HostUnderTest, trained: Callable[..., Any], qwen: Path, tmp_path: Path, positions: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    _, vectors = trained(positions=positions)
    values = {"SPLIT": {"layers": [1, 2], "multipliers": [1.0, 1.0]}}
    wrapper = applier(host, tmp_path, qwen, values, vectors={"SPLIT": vectors}).model
    evaluator = LogOddsEvaluator(wrapper, ROWS, (-1.0, 0.0, 2.0))
    before = logits(wrapper.model, prompt_ids(wrapper.tokenizer))
    caplog.clear()
    summary = evaluator.evaluate_all()
    assert not caplog.records  # by the engine, as the sweep: the same bits
    table = sweep_pairs(*bare_model(qwen), PAIRS, vectors.artifact, (-1.0, 0.0, 2.0))
    assert np.array_equal(evaluator.table[["L_p", "L_n", "pref", "util"]], table[["L_p", "L_n", "pref", "util"]])
    plain = sweep_pairs(*bare_model(qwen), PAIRS, vectors.artifact, (-1.0, 0.0, 2.0), engine=EngineConfig(plain=True))
    np.testing.assert_allclose(evaluator.table["L_p"], plain["L_p"], atol=1e-4)
    after = logits(wrapper.model, prompt_ids(wrapper.tokenizer))
    assert torch.equal(before, after)
    assert not torch.equal(after, logits(bare_model(qwen)[0], prompt_ids(wrapper.tokenizer)))  # it still steers
    assert summary["m"] == [-1.0, 0.0, 2.0]
    assert summary["preference"] == [float(table[table["m1"] == m]["pref"].mean()) for m in (-1.0, 0.0, 2.0)]
    assert summary["accuracy"] == [float((table[table["m1"] == m]["pref"] > 0).mean()) for m in (-1.0, 0.0, 2.0)]
    assert len(set(summary["preference"])) == 3
    assert summary["methods"] == ["SPLIT"]
    table.loc[table["m1"] == 2.0, "pref"] = 0.0
    table.loc[table.index[table["m1"] == 0.0][0], "pref"] = math.nan
    evaluator.table = table
    assert evaluator._summary("pairs")["accuracy"][1:] == [None, 0.5], "ties count half, what is undefined is said"


def test_what_the_engine_cannot_score_is_scored_plainly_and_says_so(
    host: HostUnderTest, trained: Callable[..., Any], qwen: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, vectors = trained()
    values = {"SPLIT": {"layers": [1, 2], "multipliers": [1.0, 0.5]}}
    wrapper = applier(host, tmp_path, qwen, values, vectors={"SPLIT": vectors}).model
    caplog.clear()
    LogOddsEvaluator(wrapper, ROWS, 1.0).evaluate_all()
    (line,) = [record.message for record in caplog.records]
    assert "without the engine: interventions of different kinds or strengths" in line
    layers_of(wrapper)[0].add_activations_dict["caa"] = torch.ones(32)
    caplog.clear()
    LogOddsEvaluator(wrapper, ROWS, (0.0, 1.0)).evaluate_all()
    assert [record.message for record in caplog.records][-1].endswith("caa of EasyEdit2 steers the model")


def losses(model: Any, tokenizer: Any, row: dict[str, str], answer: str) -> float:
    """By hand: summed nats of the answer and its end token."""
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": row["question"]}], tokenize=False, add_generation_prompt=True
    )
    start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    end = tokenizer(answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logp = model(torch.tensor([start + end])).logits[0].double().log_softmax(-1)
    return -sum(float(logp[len(start) - 1 + i, token]) for i, token in enumerate(end))


@pytest.mark.parametrize("method", ["caa", "sft"])
def test_upstreams_methods_are_scored_too(host: HostUnderTest, qwen: Path, tmp_path: Path, method: str) -> None:
    if method == "sft":
        host.needs_sound_vector_applier()
    vector = torch.randn(32, generator=torch.Generator().manual_seed(0))
    torch.save(vector, tmp_path / "layer_1.pt")
    values = {method: {"layers": [1], "multipliers": [0.5]}}
    wrapper = applier(host, tmp_path, qwen, values, {method: tmp_path}).model
    evaluator = LogOddsEvaluator(wrapper, ROWS, (0.0, 1.0, -3.0))
    evaluator.evaluate_all()
    bare, tokenizer = bare_model(qwen)
    for m in (0.0, 1.0, -3.0):
        scored = evaluator.table[evaluator.table["m1"] == m]
        handle = bare.model.layers[1].register_forward_hook(lambda module, args, output, m=m: output + 0.5 * m * vector)
        by_hand = [[losses(bare, tokenizer, row, row[key]) for key in ("matching", "not_matching")] for row in ROWS]
        handle.remove()
        assert np.allclose(scored[["L_p", "L_n"]], by_hand, atol=1e-3), m
    assert applied_methods(wrapper) == (method,)
    again = LogOddsEvaluator(wrapper, ROWS, 1.0)  # everything is as it was: the strength was put back
    again.evaluate_all()
    one = evaluator.table[evaluator.table["m1"] == 1]["L_p"]
    assert np.array_equal(again.table["L_p"], one)


def test_the_wrapper_is_left_as_it_was_after_an_error(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    torch.save(torch.ones(32), tmp_path / "layer_1.pt")
    wrapper = applier(host, tmp_path, qwen, {"caa": {"layers": [1], "multipliers": [1.0]}}, {"caa": tmp_path}).model
    layer = wrapper.model.model.layers[1]
    before = layer.add_activations_dict["caa"]
    handle = wrapper.model.model.layers[2].block.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        LogOddsEvaluator(wrapper, ROWS, 5.0).evaluate_all()
    handle.remove()
    assert layer.add_activations_dict["caa"] is before


@pytest.mark.parametrize("own", [False, True])
def test_start_positions_are_of_generation_and_are_set_aside(
    host: HostUnderTest, trained: Callable[..., Any], qwen: Path, tmp_path: Path, own: bool
) -> None:
    torch.save(torch.ones(32), tmp_path / "layer_1.pt")
    if own:
        values = {"SPLIT": {"layers": [1, 2], "multipliers": [1.0, 1.0]}}
        wrapper = applier(host, tmp_path, qwen, values, vectors={"SPLIT": trained()[1]}).model
    else:
        wrapper = applier(host, tmp_path, qwen, {"caa": {"layers": [1], "multipliers": [1.0]}}, {"caa": tmp_path}).model

    def tables() -> list[Any]:
        evaluator = LogOddsEvaluator(wrapper, ROWS, (0.0, 1.0))
        evaluator.evaluate_all()
        return [evaluator.table[name].tolist() for name in ("L_p", "L_n")]

    everywhere, ids = tables(), prompt_ids(wrapper.tokenizer)
    whole = logits(wrapper.model, ids)
    start = ids.shape[1] - 2
    wrapper.set_from_positions(start)
    late = logits(wrapper.model, ids)
    assert not torch.equal(late, whole)  # the control: it does act on calls
    assert tables() == everywhere
    assert {layer.from_position for layer in layers_of(wrapper)} == {start}
    assert torch.equal(logits(wrapper.model, ids), late)
    handle = wrapper.model.model.layers[2].block.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tables()
    handle.remove()
    assert torch.equal(logits(wrapper.model, ids), late)


def test_a_steering_prompt_has_no_strength(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    torch.save(torch.ones(32), tmp_path / "layer_1.pt")
    wrapper = applier(host, tmp_path, qwen, {"caa": {"layers": [1], "multipliers": [1.0]}}, {"caa": tmp_path}).model
    wrapper.reset_all()
    bare = LogOddsEvaluator(wrapper, ROWS, 1.0).evaluate_all()
    wrapper.prompt = "Be nice."
    summary = LogOddsEvaluator(wrapper, ROWS, (0.0, 1.0)).evaluate_all()
    prefixed = [{**row, "question": f"Be nice. {row['question']}"} for row in ROWS]
    del wrapper.prompt
    assert summary["preference"][0] == bare["preference"][0]
    assert summary["preference"][1] == LogOddsEvaluator(wrapper, prefixed, 1.0).evaluate_all()["preference"][0]
    wrapper.prompt = "Be nice."
    with pytest.raises(ConfigError, match="a steering prompt has no strength"):
        LogOddsEvaluator(wrapper, ROWS, 2.0).evaluate_all()


def test_generated_results_are_refused_for_want_of_negatives(
    host: HostUnderTest, trained: Callable[..., Any], qwen: Path, tmp_path: Path
) -> None:
    _, vectors = trained()
    found = applier(
        host, tmp_path, qwen, {"SPLIT": {"layers": [1, 2], "multipliers": [1.0, 1.0]}}, vectors={"SPLIT": vectors}
    )
    results = found.generate({"toy": [{"input": "What is item 3?"}]})
    evaluator = LogOddsEvaluator(found.model)
    with pytest.raises(DataError, match="generated results hold no negative answers"):
        evaluator.evaluate_from_file(tmp_path / "generation" / "toy_results.json")
    with pytest.raises(DataError, match="generated results hold no negative answers"):
        evaluator.evaluate_from_direct(results, "toy")
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    assert evaluator.evaluate_from_file(tmp_path / "rows.json") == evaluator.evaluate_from_direct(ROWS, "rows")


def test_results_are_written_beside_the_text_when_the_top_config_asks(
    host: HostUnderTest, trained: Callable[..., Any], qwen: Path, tmp_path: Path
) -> None:
    _, vectors = trained()
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    asked = {"data": str(file), "m": [0.0, 1.0]}
    values = {"SPLIT": {"layers": [1, 2], "multipliers": [1.0, 1.0]}}
    found = applier(host, tmp_path, qwen, values, vectors={"SPLIT": vectors}, log_odds=asked)
    found.generate({"toy": [{"input": "What is item 3?"}]})
    summary = json.loads((tmp_path / "generation" / "pairs_log_odds.json").read_text())
    assert summary["preference"] == LogOddsEvaluator(found.model, ROWS, (0.0, 1.0)).evaluate_all()["preference"]
    assert len(pd.read_csv(tmp_path / "generation" / "pairs_log_odds.csv")) == 2 * len(ROWS)
    bad = applier(host, tmp_path, qwen, values, vectors={"SPLIT": vectors}, log_odds={**asked, "mm": 1})
    with pytest.raises(ConfigError, match="unknown key 'mm'"):
        bad.generate({"toy": [{"input": "What is item 3?"}]})


@pytest.mark.parametrize("m", [(), (1.0, 1.0), (float("nan"),)])
def test_an_impossible_m_is_refused(m: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="give at least one, each finite and each once"):
        LogOddsEvaluator(object(), ROWS, m)


LOUDNESS = """
class Loudness:
    def __init__(self, folder, scale):
        self.folder, self.scale = folder, scale

    @classmethod
    def from_config(cls, wrapper, settings, results_dir):
        return cls(results_dir, settings["scale"])

    def evaluate_all(self):
        (self.folder / "loudness.txt").write_text(str(self.scale))
        return {"scale": self.scale}
"""


def test_a_third_partys_evaluator_runs_with_generation(
    host: HostUnderTest, trained: Callable[..., Any], qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loud_metrics.py").write_text(LOUDNESS)
    info = tmp_path / "loud_metrics-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud-metrics\nVersion: 1.0\n")
    group = "easyedit_split.easyedit2_evaluators"
    (info / "entry_points.txt").write_text(f"[{group}]\nloudness = loud_metrics:Loudness\n")
    monkeypatch.syspath_prepend(tmp_path)
    _, vectors = trained()
    values = {"SPLIT": {"layers": [1, 2], "multipliers": [1.0, 1.0]}}
    found = applier(host, tmp_path, qwen, values, vectors={"SPLIT": vectors}, loudness={"scale": 3})
    found.generate({"toy": [{"input": "What is item 3?"}]})
    assert (tmp_path / "generation" / "loudness.txt").read_text() == "3"
    quiet = applier(host, tmp_path, qwen, values, vectors={"SPLIT": vectors}, generation_output_dir=str(tmp_path / "q"))
    quiet.generate({"toy": [{"input": "What is item 3?"}]})
    assert not (tmp_path / "q" / "loudness.txt").exists()
