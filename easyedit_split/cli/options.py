"""Options that several commands share, each with its help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..registry import names_without_loading


def _names(folder: str, group: str) -> tuple[str, ...]:
    """Names of the registered entries, without loading them."""
    return names_without_loading(f"easyedit_split.{folder}", f"easyedit_split.{group}")


def _any_of(folder: str, group: str) -> str:
    *first, last = _names(folder, group)
    return f"{', '.join(first)} or {last}." if first else f"{last}."


MODEL_HELP = "Hugging Face id, a folder, a .gguf file, smollm2, or testbed:gemma2 / testbed:qwen2."
DATA_HELP = (
    f"{', '.join(name for name in _names('datasets', 'datasets') if name != 'local')} (optionally :PATH), "
    "testbed:reviews|persona|power|concepts, or a file (jsonl, json, csv, tsv, parquet, .gz) or folder of pairs."
)
_DEFAULT = "default, where the dataset or file has splits"

ModelOption = Annotated[str, typer.Option("--model", help=MODEL_HELP)]
DataOption = Annotated[str, typer.Option("--data", help=DATA_HELP)]
InterventionOption = Annotated[Path, typer.Option("--intervention", help="Folder that `train` wrote.")]
InterventionsOption = Annotated[
    list[Path], typer.Option("--intervention", help="Folder that `train` wrote; repeat the option to apply several.")
]
OtherWeightsOption = Annotated[
    bool,
    typer.Option("--other-weights", help="Steer a model of the recorded name though its weights are other ones."),
]
TrainSplitOption = Annotated[str | None, typer.Option("--split", help=f"train ({_DEFAULT}), dev or test.")]
TestSplitOption = Annotated[str | None, typer.Option("--split", help=f"test ({_DEFAULT}), dev or train.")]
SplitSeedOption = Annotated[int, typer.Option("--split-seed", help="Seed of the dataset's split.")]
ColumnsOption = Annotated[
    str | None, typer.Option("--columns", help="Columns of your own file: prompt=A,positive=B,negative=C.")
]
ConceptIdOption = Annotated[int | None, typer.Option("--concept-id", help="One concept of a dataset with several.")]
LimitOption = Annotated[int | None, typer.Option("--limit", help="Largest number of pairs (of each concept).")]
MaxLengthOption = Annotated[
    int | None, typer.Option("--max-length", help="Longest row (prompt and answer), in tokens. Default: as trained.")
]
TrainMaxLengthOption = Annotated[
    int | None, typer.Option("--max-length", help="Longest row (prompt and answer), in tokens. Default: 512.")
]
DropBadOption = Annotated[bool, typer.Option("--drop-bad", help="Leave out bad rows and name them.")]
FormOption = Annotated[str, typer.Option("--form", help=_any_of("steering.forms", "forms"))]
ObjectiveOption = Annotated[str, typer.Option("--objective", help=_any_of("training.objectives", "objectives"))]
LayerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--layer",
        help="Block index from 0 (repeat for several), or auto, a scan of some. Default: the recipe's, else auto.",
    ),
]
PlacementOption = Annotated[
    str | None,
    typer.Option(
        "--placement",
        help="Where the change is added: site (the steered map's output) or block_output (the block's, as EasyEdit2).",
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML file with settings that replace the recipe's.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, e.g. --set train.lr=0.01; overrides all others.")
]
RunSeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of the training run.")]
UnpairedOption = Annotated[bool, typer.Option("--unpaired", help="AxBench's table of unpaired answers, for diff_mean.")]
ShowOption = Annotated[bool, typer.Option("--show", help="Print every setting and where it comes from; do nothing.")]
ArtifactOutOption = Annotated[Path, typer.Option("--out", help="Folder for the artifact.")]
TableOutOption = Annotated[Path, typer.Option("--out", help="Table to write: .parquet, .csv or .json.")]
GridOption = Annotated[
    str,
    typer.Option(
        "--m",
        help="start:stop:count, both ends included, or numbers with commas; in units of r = |m dh| / |h|: "
        "r:0.05:4:17 (geometric) or r:+-0.05:4:17 (both signs); auto grows outward until utility has lost 80 % of "
        "its range, then fills in where the curves are still uncertain.",
    ),
]
RefineOption = Annotated[
    bool, typer.Option("--refine", help="Then refine the grid where the wanted answers are likeliest.")
]
NormalizeOption = Annotated[
    str, typer.Option("--normalize", help="Log-odds from summed losses (sum, the paper's) or per-token means (mean).")
]
AggregateOption = Annotated[
    str,
    typer.Option(
        "--aggregate",
        help="Printed mean: of the pairs' log-odds (pairs), or log-odds of their mean losses (odds_of_mean).",
    ),
]
CollateralOption = Annotated[
    bool, typer.Option("--collateral", help="Also measure KL and changed answers on 64 neutral prompts.")
]
TextsOption = Annotated[
    int | None, typer.Option("--texts", help="Also generate answers to this many prompts at each m.")
]
LauncherOption = Annotated[
    str,
    typer.Option(
        "--launcher",
        help=f"Who starts the processes: {_any_of('study.paper.launchers', 'launchers')} With ray they run on a Ray "
        "cluster whose machines share --out: RAY_ADDRESS, else one that `ray start` started here, else this machine.",
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing --out.")]
