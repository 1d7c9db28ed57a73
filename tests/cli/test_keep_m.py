"""The recommended m kept in its artifact, used by apply and inspect; never chosen on rows that it was trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from easyedit_split.steering.artifact import Artifact

from ..small import made, world
from .shared import Run, Sentence

M = np.linspace(-4.0, 4.0, 17)


def swept(file: Path, split: str = "dev", lift: float = 2.0, util: float = -0.05) -> Path:
    """A sweep of twelve pairs whose wanted answers are likeliest near m = 3."""
    rows = [
        {
            "dataset": "mine",
            "split": split,
            "pair": str(p),
            "m1": m,
            "pref": -4 + p / 12 + lift * m,
            "util": -5 + util * m * m,
        }
        for p in range(12)
        for m in M
    ]
    pd.DataFrame(rows).to_csv(file, index=False)
    return file


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An artifact that was trained on the train split of ``mine``."""
    record = {"data": {"name": "mine", "split": "train", "pairs": 4}}
    return Artifact({"default": made(world())}, record).save_pretrained(tmp_path / "vector")


def test_the_m_is_kept_with_what_speaks_for_it(run: Run, own: Path, tmp_path: Path) -> None:
    before = Artifact.from_pretrained(own)
    code, _, err = run("recommend", swept(tmp_path / "dev.csv"), "--save", own)
    assert code == 0, err
    assert "is stored in" in err
    assert "report them on other rows" in err
    kept = Artifact.from_pretrained(own)  # the digest holds
    assert kept.chosen_m() == pytest.approx(3.0, abs=1.0)
    assert kept.identity() == before.identity()
    evidence = kept.chosen["default"].evidence
    assert evidence["aim"] == "capped"
    assert evidence["pairs"] == 12
    assert json.loads(json.dumps(evidence)) == evidence
    out = run("inspect", own)[1]
    assert "stored m" in out
    assert '"aim": "capped"' in out


def test_apply_uses_the_kept_m_unless_told(run: Run, own: Path, model: Path, tmp_path: Path) -> None:
    line = ("apply", "--model", model, "--intervention", own, "--prompt", "Hello", "--max-new-tokens", 2)
    code, out, err = run(*line)
    assert code == 0, err
    assert "no m is stored in this artifact: m = 1" in err
    assert run("recommend", swept(tmp_path / "dev.csv"), "--save", own)[0] == 0
    kept = Artifact.from_pretrained(own).chosen_m()
    code, out, err = run(*line)
    assert code == 0, err
    assert f"m = {kept:.4g}, as stored in the artifact" in err
    assert f"m = {kept:g}" in out
    assert "m = 2 " in run(*line, "--m", "2")[1], "control"


def test_training_rows_do_not_choose(sentence: Sentence, run: Run, own: Path, tmp_path: Path) -> None:
    same = swept(tmp_path / "train.csv", split="train")
    assert "the rows that" in sentence("recommend", same, "--save", own)
    assert Artifact.from_pretrained(own).chosen_m() is None
    assert run("recommend", same)[0] == 0, "looking is allowed"


def test_no_m_is_not_kept(sentence: Sentence, run: Run, own: Path, tmp_path: Path) -> None:
    nothing = swept(tmp_path / "dev.csv", lift=0.0)
    code, out, err = run("recommend", nothing, "--save", own)
    assert (code, "there is no m to store" in err) == (2, True)
    assert "no usable m" in out
    both = shutil.copy(swept(tmp_path / "a.csv"), tmp_path / "b.csv")
    assert "are of one intervention; the sweeps hold 2" in sentence(
        "recommend", tmp_path / "a.csv", both, "--save", own
    )


def test_one_table_shows_what_each_aim_would_choose(run: Run, tmp_path: Path) -> None:
    sweep, kl, texts = swept(tmp_path / "dev.csv"), tmp_path / "kl.csv", tmp_path / "texts.csv"
    effects = [{"m1": m, "kl": m * m, "tokens": 10} for m in (-4.0, 1.0, 2.0, 4.0)]
    pd.DataFrame(effects).to_csv(kl, index=False)
    rng = np.random.default_rng(0)
    judged = [
        {"m1": m, "prompt": p, "overall": 0.5 + (m == 2) + 0.1 * rng.random(), "text": f"said at {m:g}"}
        for m in (0.0, 2.0, 4.0)
        for p in range(8)
    ]
    pd.DataFrame(judged).to_csv(texts, index=False)
    out = run("recommend", sweep, "--collateral", kl, "--texts", texts)[1]
    for word in ("capped", "answer", "preference", "kl", "text *", "KL (nats/token)", "text score (of 2)", "said at 2"):
        assert word in out, word
    alone = run("recommend", sweep)[1]
    assert "capped *" in alone
    assert "KL (nats/token)" not in alone, "control"
