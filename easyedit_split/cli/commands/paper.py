"""``easyedit-split paper``: the paper's study on any models and data, from training to tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...model.load_options import LoadOptions
from ...study.paper.compose import study_plan
from ...study.paper.plan import StudyPlan, runs_of
from ...study.paper.study import run_study
from ...study.paper.work import missing
from ...types import ConfigError
from ..console import ConsoleTeller, say, say_written
from ..interrupts import keeping
from ..loading import DEFAULTS, loads_model
from ..options import MODEL_HELP, SetOption
from ..output_paths import hold

EPILOG = """Example: easyedit-split paper --model testbed:gemma2 --model testbed:qwen2 --quick --out study

Example: easyedit-split paper --model smollm2 --datasets powerseeking:data --datasets everyday --quick --out study

Given again with the same --out, it goes on where it was stopped."""


@loads_model
def command(  # noqa: DOC101, DOC103
    model: Annotated[list[str], typer.Option("--model", help=f"{MODEL_HELP} Repeat the option for several.")],
    to: Annotated[
        Path, typer.Option("--out", help="Folder of the study; one that holds a part of it is gone on with.")
    ],
    datasets: Annotated[
        list[str] | None,
        typer.Option(
            help="Dataset (optionally :PATH) or file; repeat the option. Default: the testbed's persona, power and "
            "concepts; for other models everyday, and the paper's whose files are there."
        ),
    ] = None,
    cells: Annotated[
        list[str] | None,
        typer.Option(help="FORM-OBJECTIVE, vanilla, prompt, or a YAML file of cells; repeat the option. Default: all."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of training seeds.")] = 1,
    judge: Annotated[
        list[str] | None, typer.Option(help="Judge of all texts; repeat the option. Default: each dataset's own.")
    ] = None,
    instruction: Annotated[
        list[str] | None, typer.Option(help="DATASET=SENTENCE of the prompt baseline; {concept} is the pair's.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Longest answer, in tokens. Default: the dataset's.")
    ] = None,
    settings: SetOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer pairs, m and texts.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan with estimated times; do nothing.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Number of processes. Default: one a GPU; on a CPU one a core, up to four.")
    ] = None,
    loading: LoadOptions = DEFAULTS,
) -> None:
    """Reproduce the paper's study: train, sweep, fit, choose m, generate and judge every form x objective, then
    tabulate (Tables 2, 3, 5, 6) and plot (Figures 2, 4, 5).
    """
    plan = study_plan(
        model,
        datasets or (),
        seeds=seeds,
        quick=quick,
        cells=cells or (),
        judges=judge or (),
        instructions=_instructions(instruction or []),
        max_new_tokens=max_new_tokens,
        overrides=settings or (),
    )
    if dry_run:
        print_plan(to, plan)
        return
    hold(to)
    with keeping(lambda: f"interrupted: what is made stays in {to}; the same command goes on"):
        run_study(to, plan, loading, ConsoleTeller(), workers=workers)
    say_written("study", to)


def print_plan(to: Path, plan: StudyPlan) -> None:
    """Print what a study will make.

    Args:
        to: its folder.
        plan: the plan.
    """
    runs = list(runs_of(to, plan))
    say(f"{len(runs)} runs, {sum(len(missing(run)) for run in runs)} items to make")


def _instructions(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, sentence = text.partition("=")
        if not equals or not name or not sentence.strip():
            raise ConfigError(f"--instruction {text}: write DATASET=SENTENCE")
        found[name] = sentence
    return found
