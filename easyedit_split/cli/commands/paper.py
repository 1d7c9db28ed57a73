"""``easyedit-split paper``: the paper's study on any models and data, from training to tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ...model.load_options import LoadOptions
from ...steering.strength_grid import parse_strengths
from ...study.paper.beforehand import check_beforehand, check_rows
from ...study.paper.compose import study_plan
from ...study.paper.estimate import speed_of, work_of
from ...study.paper.launchers.base import LAUNCHERS, Launcher, require_workers
from ...study.paper.plan import StudyPlan
from ...study.paper.study import benches_of, check_plan, run_study
from ...study.paper.work import missing
from ...study.paper.workers import Opener, one_thread
from ...types import ConfigError
from ..console import ConsoleTeller, out, say_written
from ..interrupts import keeping
from ..loading import DEFAULTS, loads_model
from ..options import MODEL_HELP, DropBadOption, LauncherOption, SetOption
from ..output_paths import hold

EPILOG = """Example: easyedit-split paper --model testbed:gemma2 --model testbed:qwen2 --quick --out study

Example: easyedit-split paper --model smollm2 --datasets powerseeking:data --datasets everyday --quick --out study

Given again with the same --out, it goes on where it was stopped."""


ModelsOption = Annotated[list[str], typer.Option("--model", help=f"{MODEL_HELP} Repeat the option for several.")]
StudyOption = Annotated[
    Path, typer.Option("--out", help="Folder of the study; one that holds a part of it is gone on with.")
]
DatasetsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Dataset (optionally :PATH) or file; repeat the option. Default: the testbed's persona, power and "
        "concepts; for other models everyday, and the paper's whose files are there."
    ),
]
CellsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="FORM-OBJECTIVE, vanilla, prompt, ablations (SPLIT taken apart), across (SPLIT across m), or a YAML file "
        "of cells; repeat the option. Default: the paper's."
    ),
]
JudgesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Judge of all texts, the first of several choosing m: self, testbed, accuracy, openai:MODEL; repeat the "
        "option. With none, texts are neither written nor judged: preference and utility alone. Default: each "
        "dataset's own."
    ),
]
JudgeUrlOption = Annotated[
    str | None, typer.Option(help="With openai:MODEL: address of the API. The key is read from OPENAI_API_KEY.")
]
InstructionOption = Annotated[
    list[str] | None, typer.Option(help="DATASET=SENTENCE of the prompt baseline; {concept} is the pair's.")
]
LongestOption = Annotated[int | None, typer.Option(help="Longest answer, in tokens. Default: the dataset's.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(help="Number of processes. Default: one a GPU; on a CPU one a core, up to four a machine."),
]


@loads_model
def command(  # noqa: DOC101, DOC103
    model: ModelsOption,
    to: StudyOption,
    datasets: DatasetsOption = None,
    cells: CellsOption = None,
    seeds: Annotated[int, typer.Option(help="Number of training seeds.")] = 1,
    judge: JudgesOption = None,
    judge_url: JudgeUrlOption = None,
    instruction: InstructionOption = None,
    max_new_tokens: LongestOption = None,
    settings: SetOption = None,
    drop_bad: DropBadOption = False,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer pairs, m and texts.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan with estimated times; do nothing.")
    ] = False,
    workers: WorkersOption = None,
    launcher: LauncherOption = "local",
    loading: LoadOptions = DEFAULTS,
) -> None:
    """Reproduce the paper's study: train, sweep, fit, choose m, generate and judge every form x objective, then
    tabulate (Tables 2, 3, 5, 6) and plot (Figures 2, 4, 5).
    """
    starts = LAUNCHERS[launcher]()
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
        settings={"drop_bad": drop_bad, "judge_url": judge_url},
    )
    if dry_run:
        print_plan(to, plan, loading, workers, starts)
        return
    hold(to)
    with keeping(lambda: f"interrupted: what is made stays in {to}; the same command goes on"):
        run_study(to, plan, loading, ConsoleTeller(), workers=workers, launch=starts.launch)
    say_written("study", to)


def print_plan(to: Path, plan: StudyPlan, loading: LoadOptions, workers: int | None, launcher: Launcher) -> None:
    """Print what a study will make and about how long that takes, from trying each model on a few pairs.

    Args:
        to: its folder.
        plan: the plan.
        loading: ``--device`` and the like.
        workers: ``--workers``.
        launcher: ``--launcher``.

    Raises:
        ConfigError: the study would be refused.
        DataError: its pairs would be.
    """
    require_workers(workers)
    check_plan(to, plan)
    shown = Table("model", "data", "runs", "items to make", "pairs: train", "test", "m", "about", box=None)
    total, left = 0.0, 0
    opener = Opener(loading)
    check_beforehand(benches_of(to, plan, opener))
    with one_thread(loading):
        for bench, runs in benches_of(to, plan, opener):
            check_rows(bench)
            speed = speed_of(bench)
            todo = [(run, item) for run in runs for item in missing(run)]
            seconds = sum((speed.seconds(work_of(bench, run, item)) for run, item in todo), 0.0)
            sizes = (len(bench.pairs.train), len(bench.pairs.test), len(parse_strengths(plan.m).values) + 1)
            shown.add_row(bench.model_name, bench.data.label, *map(str, (len(runs), len(todo), *sizes)), span(seconds))
            total, left = total + seconds, left + sum(bool(missing(run)) for run in runs)
    out.print(shown)
    count = launcher.count(loading, workers, left)
    out.print(f"{span(total)} of one process; {span(total / count)} of {count}, where each has a core or device")


def span(seconds: float) -> str:
    """A time as people say it.

    Args:
        seconds: how long.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _instructions(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, sentence = text.partition("=")
        if not equals or not name or not sentence.strip():
            raise ConfigError(f"--instruction {text}: write DATASET=SENTENCE")
        if name in found:
            raise ConfigError(f"--instruction {name}=...: given twice, and a dataset takes one sentence: give it once")
        found[name] = sentence
    return found
