"""`train --unpaired` on AxBench's table of answers without partners."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from easyedit_split.steering.artifact import Artifact

from ..small import parameters
from .shared import Run


@pytest.fixture
def axbench(tmp_path: Path) -> Path:
    rows = [
        {"input": f"Ask {i}", "output": f"answer {i}", "output_concept": "joy" if i % 2 else "EEEEE",
         "concept_genre": "text", "category": "positive" if i % 2 else "negative", "concept_id": 4 if i % 2 else -1}
        for i in range(7)
    ]  # fmt: skip
    path = tmp_path / "table.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


def test_the_command_fits_one_concept_of_an_unpaired_table(
    run: Run,
    model: Path,
    axbench: Path,
    tmp_path: Path,
) -> None:
    line = ("train", "--model", model, "--data", f"axbench:{axbench}", "--objective", "diff_mean", "--layer", 1)
    code, _, err = run(*line, "--out", tmp_path / "paired")
    assert code == 2
    assert "not paired" in err
    assert "--unpaired" in err
    code, _, err = run(*line, "--unpaired", "--concept-id", 4, "--out", tmp_path / "v")
    assert code == 0, err
    assert "3 answers with the concept, 4 of genre 'text' without" in err
    artifact = Artifact.from_pretrained(tmp_path / "v")
    assert artifact.concepts == ("joy",)
    assert artifact.record["data"]["negatives"] == 4
    assert parameters(artifact.only())[0].norm() > 0


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ((), "--unpaired fits one concept: name it with --concept-id N"),
        (("--concept-id", 4, "--limit", 2), "leave out --limit"),
        (("--concept-id", 5), "no concept 5"),
        (("--concept-id", 4, "--objective", "sft"), "'sft' needs two answers"),
    ],
)
def test_what_makes_no_unpaired_run_is_one_sentence(
    more: tuple[object, ...],
    match: str,
    run: Run,
    model: Path,
    axbench: Path,
    tmp_path: Path,
) -> None:
    objective = () if "--objective" in more else ("--objective", "diff_mean")
    line = ("train", "--model", model, "--data", axbench, *objective, "--layer", 1, "--unpaired")
    code, _, err = run(*line, "--out", tmp_path / "v", *more)
    assert code == 2
    assert match in err
    assert not (tmp_path / "v").exists()
