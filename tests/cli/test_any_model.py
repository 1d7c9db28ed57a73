"""Models of no registered family on the command line: trained, swept, applied; and what ``doctor`` says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from .. import toy_tokenizers
from ..zoo.exact import random_model
from .shared import Run, Sentence, sweep_line, train_line

FORMS = {"gpt2": "local_weight", "phi3": "lora", "qwen3_moe": "vector", "gemma3": "local_weight"}


def saved(name: str, folder: Path) -> Path:
    tokenizer = toy_tokenizers.qwen()
    random_model(name, torch.float32, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", FORMS)
def test_train_sweep_and_apply(name: str, run: Run, data: Path, tmp_path: Path) -> None:
    model, to, table = saved(name, tmp_path / name), tmp_path / "steering", tmp_path / "sweep.csv"
    assert run(*train_line(model, data, to, "--form", FORMS[name]))[0] == 0
    for engine in ("auto", "plain"):
        code, _, err = run(*sweep_line(model, data, to, table, "--engine", engine, "--overwrite"))
        assert code == 0, err
        assert "scored plainly" not in err, "the engine refused"
        swept = pd.read_csv(table)
        found = swept[["m1", "L_p"]].groupby("m1").mean().L_p.to_numpy()
        assert len(found) == 5
        assert np.ptp(found) > 1e-4
        if engine == "auto":
            fast = swept.L_p.to_numpy()
    np.testing.assert_allclose(fast, swept.L_p.to_numpy(), atol=1e-4)
    prompts = ("--prompt", "Yes", "--prompt", "Is it so, and why?", "--max-new-tokens", 4)
    code, out, err = run("apply", "--model", model, "--intervention", to, "--m", 4, *prompts)
    assert code == 0, err
    assert out


def test_doctor_shows_what_is_exact(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("doctor", "--model", saved("gpt2", tmp_path / "gpt2"))
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "GPT2LMHeadModel" in rows["model"]
    assert "none: found by structure" in rows["family"]
    assert "3 (GPT2Block), 32 wide" in rows["blocks"]
    assert "exact (" in rows["cache"]
    assert "mlp.down_proj" in rows["mlp.c_proj"]
    assert rows["mlp.c_proj"].rstrip().endswith("yes")
    assert "0-2" in rows["attn.c_attn"]


def test_doctor_says_what_is_not(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("doctor", "--model", saved("mamba", tmp_path / "mamba"))
    assert code == 0
    (line,) = [line for line in out.splitlines() if "dt_proj" in line]
    assert "no (1)" in line


def test_a_map_that_a_model_has_not_is_refused(sentence: Sentence, data: Path, tmp_path: Path) -> None:
    model = saved("qwen3_moe", tmp_path / "moe")
    (model / "model.safetensors").unlink()  # before weights are read
    said = sentence(*train_line(model, data, tmp_path / "out", "--form", "local_weight"))
    assert "unknown site 'mlp.down_proj' in block 1, a Qwen3MoeDecoderLayer" in said
    assert "attn.o_proj" in said
