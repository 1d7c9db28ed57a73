"""Options that several commands share, each with its help, written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MODEL_HELP = "Hugging Face id, a folder, a .gguf file, smollm2, or testbed:gemma2 / testbed:qwen2."
DATA_HELP = (
    "everyday, psychopathy, powerseeking, axbench (optionally :PATH), testbed:reviews|persona|power|concepts, "
    "or a jsonl/json/csv/parquet file."
)
_DEFAULT = "default, where the dataset or file has splits"

ModelOption = Annotated[str, typer.Option("--model", help=MODEL_HELP)]
DataOption = Annotated[str, typer.Option("--data", help=DATA_HELP)]
InterventionOption = Annotated[Path, typer.Option("--intervention", help="Folder that `train` wrote.")]
TrainSplitOption = Annotated[str | None, typer.Option("--split", help=f"train ({_DEFAULT}), dev or test.")]
TestSplitOption = Annotated[str | None, typer.Option("--split", help=f"test ({_DEFAULT}), dev or train.")]
SplitSeedOption = Annotated[int, typer.Option("--split-seed", help="Seed of the dataset's split.")]
ColumnsOption = Annotated[
    str | None, typer.Option("--columns", help="Columns of your own file: prompt=A,positive=B,negative=C.")
]
ConceptIdOption = Annotated[int | None, typer.Option("--concept-id", help="One concept of a dataset with several.")]
LimitOption = Annotated[int | None, typer.Option("--limit", help="At most so many pairs (of each concept).")]
DropBadOption = Annotated[bool, typer.Option("--drop-bad", help="Leave out bad rows and name them.")]
DtypeOption = Annotated[
    str | None, typer.Option("--dtype", help="float32, bfloat16, float16, float64. Default: as saved.")
]
DeviceOption = Annotated[str | None, typer.Option("--device", help="e.g. cpu, cuda, cuda:1, auto.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing --out.")]
