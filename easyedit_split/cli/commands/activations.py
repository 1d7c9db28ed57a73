"""``easyedit-split activations``: write hidden states of one layer, and how an intervention changes them, to a file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ...config import TokenConfig, require
from ...model.describe import recorded_name
from ...model.load_options import LoadOptions
from ...scoring.activations import collect_activations, write_activations
from ...scoring.encode_table import encode_table
from ...steering.artifact import Artifact
from ...text.prompt_tokens import Template
from ..console import console, say_written
from ..inputs import check_artifact, open_data, open_model
from ..loading import DEFAULTS, loads_model
from ..options import (
    DataOption,
    DropBadOption,
    MaxLengthOption,
    ModelOption,
    OtherWeightsOption,
    OverwriteOption,
    SplitSeedOption,
    TestSplitOption,
)
from ..output_paths import check_file
from ..rescue import write_or_rescue

EPILOG = """Example: easyedit-split activations --model testbed:gemma2 --data testbed:power --layer 3
--intervention power-vector --out acts.npz"""


@loads_model
def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    data: DataOption,
    layer: Annotated[int, typer.Option(help="Index of the block whose output is taken, from 0.")],
    to: Annotated[Path, typer.Option("--out", help="File to write, .npz.")],
    intervention: Annotated[
        Path | None, typer.Option(help="Folder that `train` wrote; without it dh is DiffMean's vector.")
    ] = None,
    split: TestSplitOption = None,
    split_seed: SplitSeedOption = 0,
    most: Annotated[int, typer.Option(help="Largest number of rows to keep.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the random choice of rows.")] = 0,
    max_length: MaxLengthOption = None,
    drop_bad: DropBadOption = False,
    other_weights: OtherWeightsOption = False,
    loading: LoadOptions = DEFAULTS,
    overwrite: OverwriteOption = False,
) -> None:
    """Collect activations at one layer, and their change at m = 1 (Fig. 3, Assumptions 4.1, 4.2)."""
    require(to.suffix == ".npz", f"{to}: activations are written as .npz: choose that ending")
    require(most >= 20, f"--most {most}: at least 20 rows are needed to describe a manifold")
    check_file(to, overwrite)
    artifact = None if intervention is None else Artifact.from_pretrained(intervention, other_weights=other_weights)
    table = open_data(data, split, default_split="test", seed=split_seed, drop_bad=drop_bad)
    network, tokenizer = open_model(model, loading)
    if artifact is not None:
        check_artifact(artifact, network, tokenizer, model)
    tokens = TokenConfig() if artifact is None else artifact.tokens
    template = Template(tokenizer, tokens if max_length is None else dataclasses.replace(tokens, max_length=max_length))
    pairs = encode_table(table, template, network, drop_bad=drop_bad).rows
    with console.status("collecting"):
        arrays = collect_activations(network, pairs, layer, artifact, pad_id=template.pad_id, most=most, seed=seed)
    write_or_rescue(to, lambda place: write_activations(arrays, place, model=recorded_name(model), layer=layer))
    say_written(f"{len(arrays['h'])} rows of width {arrays['h'].shape[1]}", to)
