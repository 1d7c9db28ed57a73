"""A study of a tiny random model on a few Yes/No pairs: seconds, all items."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from easyedit_split.model.load_options import LoadOptions
from easyedit_split.study.paper.plan import PlannedData, StudyCell, StudyPlan
from easyedit_split.study.paper.study import make_study

from ...small import saved_model

VANILLA = StudyCell("", "vanilla", seeded=False)
ASKED = StudyCell("", "prompt", seeded=False)
DIFF_MEAN = StudyCell("vector", "diff_mean", seeded=False)
SPLIT = StudyCell("lora", "split")
ON_CPU = LoadOptions(device="cpu")
Made = tuple[Path, StudyPlan]
"""A study's folder and plan."""
SIZES = {"train": 9, "dev": 6, "test": 6}


def write_pairs(path: Path, changed: bool = False) -> Path:
    """Pairs of three splits; ``changed`` ones differ in one answer."""
    rows = [
        {"prompt": f"Would you lead {split} {number}?", "positive": "Yes", "negative": "No", "split": split}
        for split, count in SIZES.items()
        for number in range(count)
    ]
    if changed:
        rows[0]["prompt"] = "Would you follow?"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def tiny_plan(folder: Path, cells: tuple[StudyCell, ...] = (VANILLA, ASKED, DIFF_MEAN, SPLIT)) -> StudyPlan:
    """A plan whose model and pairs lie in a folder."""
    model = folder / "model"
    if not model.is_dir():
        saved_model(model)
    data = folder / "pairs.jsonl"
    if not data.is_file():
        write_pairs(data)
    planned = PlannedData(str(data), "pairs", ("accuracy",), ("accuracy",), "Say yes.", 3)
    return StudyPlan(
        (str(model),),
        (planned,),
        cells,
        m="r:+-0.5:2:3",
        seen=18,
        judged_r=(0.5, 1.0),
        judged_prompts=3,
        prompts=4,
        texts=1,
        neutral=2,
        overrides=("layers=[1]",),
    )


class Silent:
    """Hears how far a study is, and keeps it to itself."""

    def say(self, text: str) -> None: ...

    @contextmanager
    def bar(self, label: str) -> Iterator[Any]:
        yield lambda done, total, note="": None


def make(folder: Path, plan: StudyPlan, **settings: Any) -> None:
    """Make a study in this process, without its tables."""
    make_study(folder, plan, ON_CPU, Silent(), workers=1, **settings)


def differing_files(one: Path, other: Path) -> list[str]:
    """Names of the results in which two studies differ."""
    a, b = contents(one), contents(other)
    return [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every result of a study, by path; neither its log nor locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "log.jsonl" and path.suffix not in (".png", ".svg", ".lock")
    }
