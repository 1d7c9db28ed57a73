"""``easyedit-split demo``: train, sweep and generate with a small model and data that ship with the package.

| ``--model`` | what is steered                                                   | time, once installed      |
|-------------|-------------------------------------------------------------------|---------------------------|
| ``smollm2``   | a chat model of 135 million parameters, to answer cheerfully      | minutes on two cores      |
| ``testbed``   | a model of the package's own small world, to review with pleasure | about one minute          |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ...registry import nearest
from ...study.plan import SteerPlan, data_for
from ...types import ConfigError
from ..console import say
from ..options import OverwriteOption
from .steer import run_plan

EPILOG = "Example: easyedit-split demo --out demo-out"


@dataclass(frozen=True, slots=True)
class Tour:
    """Model, data and settings of a demo.

    Attributes:
        model: as ``load_model`` takes it.
        data: as ``load_dataset`` takes it.
        plan: of the run.
    """

    model: str
    data: str
    plan: SteerPlan


TOURS = {
    "smollm2": Tour(
        "smollm2",
        "everyday",
        SteerPlan(form="vector", test_pairs=24, max_kl=0.1, judged=0, neutral=16, texts=10, max_new_tokens=32),
    ),
    "testbed": Tour(
        "testbed:gemma2",
        "testbed:reviews",
        SteerPlan(
            form="vector", test_pairs=None, m="-40:40:41", refine=True, judged=0, neutral=0, texts=3, max_new_tokens=30
        ),
    ),
}


def command(  # noqa: DOC101, DOC103
    model: Annotated[str, typer.Option("--model", help="smollm2 (a real chat model) or testbed.")] = "smollm2",
    to: Annotated[Path, typer.Option("--out", help="Folder for artifact, report, tables and figure.")] = Path(
        "demo-out"
    ),
    overwrite: OverwriteOption = False,
) -> None:
    """Train SPLIT, sweep m, choose it, and show what the model writes unsteered, steered and too strongly steered."""
    if model not in TOURS:
        raise ConfigError(f"--model {model}: there is no such demo{nearest(model, tuple(TOURS))}")
    tour = TOURS[model]
    say(f"runs `easyedit-split steer --model {tour.model} --data {tour.data}`, a few minutes", "dim")
    run_plan(tour.model, data_for(tour.data, tour.plan), tour.plan, to, overwrite=overwrite)
