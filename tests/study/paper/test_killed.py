"""A study that is killed, whenever that is, ends in the bytes of one that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from easyedit_split.files.journal import journal_of
from easyedit_split.storage import unused
from easyedit_split.study.paper.plan import runs_of

from .dying import deaths_of
from .launched import items_in, started
from .tiny_study import Made, differing_files, make, tiny_plan

KILLS = int(os.environ.get("EASYEDIT_SPLIT_KILLS", "4"))
"""Random moments at which a study is killed."""


@pytest.mark.long
def test_killed_at_random_moments_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "whole", tiny_plan(tmp_path))
    rng, kills, studies = random.Random(5), 0, ["killed-0"]
    while kills < KILLS:
        log = tmp_path / studies[-1] / "log.jsonl"
        with started(tmp_path, studies[-1], 1) as process:
            enough = items_in(log) + rng.randint(0, max(1, 20 // KILLS))  # then it is somewhere in the next one
            while process.poll() is None and items_in(log) < enough:
                time.sleep(0.01)
            time.sleep(0.2 * rng.random())
            killed = process.poll() is None
        kills += killed
        if not killed:  # it was quicker: the rest of the kills are another's
            assert process.returncode == 0
            studies.append(f"killed-{len(studies)}")
    with started(tmp_path, studies[-1], 1) as process:
        process.communicate()
    assert process.returncode == 0
    assert kills == KILLS
    assert [differing_files(tmp_path / study, tmp_path / "whole") for study in studies] == [[] for _ in studies]


@pytest.mark.long
def test_killed_at_any_file_operation_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "whole", tiny_plan(tmp_path))
    assert deaths_of(tmp_path, "killed", 45) >= 6
    assert not differing_files(tmp_path / "killed", tmp_path / "whole")
    (left := tmp_path / "killed" / ".tables.0123456789ab.new").mkdir()  # control: what is left would be seen
    (left / "half").write_text("half", "utf-8")
    assert differing_files(tmp_path / "killed", tmp_path / "whole") == [f"{left.name}/half"]


def test_what_a_killed_study_left_is_put_away_when_nothing_is_left_to_make(made: Made, tmp_path: Path) -> None:
    study = shutil.copytree(made[0], tmp_path / "study")
    runs = {run.cell.name: run.paths for run in runs_of(study, made[1])}
    trained, plain = runs["lora-split"], runs["vanilla"]
    left = [
        *map(journal_of, (trained.sweep("test"), trained.texts, trained.generated("recommended"))),
        *(unused(journal_of(path)) for path in (trained.sweep("dev"), trained.generated("published"))),
        *map(
            unused, (plain.judged, trained.generated("published"), study / "plan.json", study / "tables" / "table2.md")
        ),
        unused(trained.artifact) / "steering.safetensors",
        trained.folder / ".artifact.0123456789ab.old" / "steering.safetensors",
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half", "utf-8")
    assert len(differing_files(study, made[0])) == len(left)
    make(study, made[1])
    assert not differing_files(study, made[0])
