"""Activations files: rows are the model's own, dh is what the intervention does at m = 1, the analysis reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from easyedit_split import log_odds
from easyedit_split.analysis import read_activations
from easyedit_split.scoring.activations import collect_activations, write_activations
from easyedit_split.scoring.score import score
from easyedit_split.steering.artifact import Artifact
from easyedit_split.types import ConfigError, DataError, FloatArray

from ..steering.test_attach import made
from ..tiny import tiny_model
from .test_scoring import pairs


def test_a_vectors_change_is_the_vector_and_the_rows_are_the_models_own(tmp_path: Path) -> None:
    model, data = tiny_model("qwen2"), pairs(6)
    intervention = made(model, "vector", (1,), skip_prefix=False)
    arrays = collect_activations(model, data, 1, Artifact({"default": intervention}), most=10_000)
    positions = sum(len(pair.positive) + len(pair.negative) - 1 for pair in data)
    assert arrays["h"].shape == (positions, 32)
    assert len(np.unique(arrays["h"], axis=0)) == positions, "the last prompt token is one row, not one for each answer"
    assert arrays["pair"].tolist() == [p.index for p in data for _ in range(len(p.positive) + len(p.negative) - 1)]
    assert arrays["n_undefined"] == 0
    (v,) = intervention.parameters()
    assert np.allclose(arrays["dh"], v.detach().double().numpy(), atol=1e-9)
    with torch.no_grad():
        ids = torch.tensor([data[0].prompt + data[0].positive])
        states = model(input_ids=ids, output_hidden_states=True).hidden_states[2][0]
    start = len(data[0].prompt) - 1
    assert np.allclose(arrays["h"][: len(data[0].positive)], states[start : start + len(data[0].positive)], atol=1e-9)
    scores = score(model, data)
    assert arrays["pref"][0] == pytest.approx(scores.L_n[0] - scores.L_p[0])
    write_activations(arrays, tmp_path / "acts.npz", model="tiny", layer=1)
    read = read_activations(tmp_path / "acts.npz")
    assert np.array_equal(read.h, arrays["h"])
    assert read.w_util is not None
    assert read.label == "tiny 1"
    assert read.pair is not None
    assert np.array_equal(read.pair, arrays["pair"])


def test_pairs_without_utility_are_left_out_counted_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, data = tiny_model("qwen2"), pairs(6)
    defined = log_odds.utility

    def undefined(which: list[int]) -> Callable[..., FloatArray]:
        def utility(L_p: FloatArray, L_n: FloatArray) -> FloatArray:
            values = defined(L_p, L_n).copy()
            values[which] = np.nan
            return values

        return utility

    monkeypatch.setattr(log_odds, "utility", undefined([1, 4]))
    arrays = collect_activations(model, data, 1)
    assert arrays["n_undefined"] == 2
    assert set(arrays["pair"]) == {0, 2, 3, 5}
    assert "undefined for 2 of 6 pairs" in caplog.text
    monkeypatch.setattr(log_odds, "utility", undefined(list(range(6))))
    with pytest.raises(DataError, match="undefined for all 6 pairs"):
        collect_activations(model, data, 1)


def test_a_weight_update_moves_each_row_its_own_way_and_without_one_diff_mean_is_taken() -> None:
    model, data = tiny_model("gemma2"), pairs(6)
    lora = Artifact({"default": made(model, "lora", (0,), placement="block_output")})
    arrays = collect_activations(model, data, 1, lora, most=50)
    assert np.ptp(arrays["dh"], axis=0).min() > 0
    plain = collect_activations(model, data, 1, most=50)
    assert np.ptp(plain["dh"], axis=0).max() == 0
    assert np.abs(plain["dh"]).max() > 0
    assert np.array_equal(plain["h"], arrays["h"])


def test_a_layer_before_the_intervention_is_refused() -> None:
    model = tiny_model("llama")
    with pytest.raises(ConfigError, match="after layer 0"):
        collect_activations(model, pairs(3), 0, Artifact({"default": made(model, "vector", (1,))}))
    with pytest.raises(ConfigError, match="layer 9 does not exist"):
        collect_activations(model, pairs(3), 9)
