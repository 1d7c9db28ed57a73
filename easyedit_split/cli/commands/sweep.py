"""``easyedit-split sweep``: score answer pairs over m, as a table of losses and log-odds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from ...analysis import look_closer
from ...config import parse_grid
from ...means import check_aggregate
from ...scoring.sweep_pairs import sweep_pairs
from ...steering.artifact import Artifact
from ...storage import Journal
from ...sweep_table import check_suffix, write_table
from ...types import ConfigError
from ..console import bar, open_data, open_model, resumable, say_written
from ..fingerprint import model_identity, pairs_identity
from ..options import (
    ColumnsOption,
    ConceptIdOption,
    DataOption,
    DeviceOption,
    DropBadOption,
    DtypeOption,
    InterventionOption,
    LimitOption,
    ModelOption,
    OverwriteOption,
    SplitSeedOption,
    TestSplitOption,
)
from ..output_paths import check_file
from ..summary import print_summary

EPILOG = """Example: easyedit-split sweep --model testbed:gemma2 --data testbed:power --intervention power-vector
--m -20:20:41 --out power.parquet"""


def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    data: DataOption,
    intervention: InterventionOption,
    to: Annotated[Path, typer.Option("--out", help="Table to write: .parquet, .csv or .json.")],
    m: Annotated[str, typer.Option(help="start:stop:count, both ends included, or numbers with commas.")] = "-20:20:41",
    refine: Annotated[
        bool, typer.Option("--refine", help="Then score further m, to where the wanted answers are likeliest.")
    ] = False,
    split: TestSplitOption = None,
    split_seed: SplitSeedOption = 0,
    columns: ColumnsOption = None,
    concept_id: ConceptIdOption = None,
    limit: LimitOption = None,
    normalize: Annotated[
        str, typer.Option(help="Log-odds from summed losses (sum, the paper's) or per-token means (mean).")
    ] = "sum",
    aggregate: Annotated[
        str,
        typer.Option(help="Printed: means of pairs' log-odds (pairs), or odds of their mean losses (odds_of_mean)."),
    ] = "pairs",
    drop_bad: DropBadOption = False,
    dtype: DtypeOption = None,
    device: DeviceOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Score answer pairs over a range of m: preference and utility log-odds (Eq. 7, 8).

    A killed sweep goes on where it stopped when the same command is given again.
    """
    points = parse_grid(m, "--m")
    kind, means = parse_normalize(normalize), check_aggregate(aggregate)
    check_suffix(to)
    check_file(to, overwrite)
    artifact = Artifact.from_pretrained(intervention)
    table = open_data(
        data,
        split,
        default_split="test",
        seed=split_seed,
        columns=columns,
        concept_id=concept_id,
        drop_bad=drop_bad,
        limit=limit,
    )
    network, tokenizer = open_model(model, dtype, device)
    known = {"artifact": artifact.identity(), **model_identity(network, tokenizer, model), **pairs_identity(table)}
    journal = Journal.beside(to, known)
    with bar("scoring") as advance, resumable(journal):
        result = sweep_pairs(
            network,
            tokenizer,
            table,
            artifact,
            points,
            model_name=model,
            normalize=kind,
            drop_bad=drop_bad,
            next_points=look_closer if refine else None,
            progress=advance,
            journal=journal,
        )
    write_table(result, to)
    journal.finish()
    print_summary(result, aggregate=means)
    say_written(f"{len(result)} rows", to)


def parse_normalize(text: str) -> Literal["sum", "mean"]:
    """The normalisation that ``--normalize`` names: ``sum`` or ``mean``.

    Args:
        text: the option's text.

    Raises:
        ConfigError: anything else.
    """
    if text not in ("sum", "mean"):
        raise ConfigError(f"--normalize {text}: allowed are sum and mean")
    return cast(Literal["sum", "mean"], text)
