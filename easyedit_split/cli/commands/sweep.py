"""``easyedit-split sweep``: score answer pairs over m, as a table of losses and log-odds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from ...analysis.grow import decay_report, next_points
from ...scoring.sweep_pairs import known_unit, sweep_pairs
from ...steering.artifact import Artifact
from ...steering.strength_grid import AUTO, parse_strengths
from ...storage import Journal
from ...sweep_curves import check_aggregate, curves_of
from ...sweep_table import check_suffix, write_table
from ...types import ConfigError
from ..beside import COLLATERAL, TEXTS, beside, measure_collateral, write_texts
from ..console import bar, say, say_written
from ..engine_options import CacheOption, EngineOption, engine_config
from ..fingerprint import model_identity, pairs_identity
from ..inputs import open_data, open_model
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
from ..resuming import resumable
from ..summary import print_summary

EPILOG = """Example: easyedit-split sweep --model testbed:gemma2 --data testbed:power --intervention power-vector
--m -20:20:41 --out power.parquet"""


def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    data: DataOption,
    intervention: InterventionOption,
    to: Annotated[Path, typer.Option("--out", help="Table to write: .parquet, .csv or .json.")],
    m: Annotated[
        str,
        typer.Option(
            help="start:stop:count, both ends included, or numbers with commas; in natural units r:0.05:4:17 (by "
            "factors) or r:+-0.05:4:17 (on both sides); auto grows outward until utility has lost 80 % of its range."
        ),
    ] = AUTO,
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
    collateral: Annotated[
        bool, typer.Option("--collateral", help="Also measure KL and changed answers on 64 neutral prompts.")
    ] = False,
    texts: Annotated[
        int | None, typer.Option("--texts", help="Also write what the model says to so many prompts at each m.")
    ] = None,
    drop_bad: DropBadOption = False,
    dtype: DtypeOption = None,
    device: DeviceOption = None,
    engine: EngineOption = "auto",
    cache: CacheOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Score answer pairs over a range of m: preference and utility log-odds (Eq. 7, 8).

    A killed sweep goes on where it stopped when the same command is given again.
    """
    grid = parse_strengths(m)
    kind, means = parse_normalize(normalize), check_aggregate(aggregate)
    how = engine_config(engine, cache)
    check_suffix(to)
    for path in (to, *_side_files(to, collateral, texts)):
        check_file(path, overwrite)
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
    unit = artifact.unit if grid.unit == "m" else known_unit(network, tokenizer, table, artifact)
    points = grid.in_m(unit.r_per_m if unit else 0.0)
    known = {
        "artifact": artifact.identity(),
        "engine": engine,
        **model_identity(network, tokenizer, model),
        **pairs_identity(table),
    }
    journal = Journal.beside(to, known)
    with bar("scoring") as advance, resumable(journal):
        result = sweep_pairs(
            network,
            tokenizer,
            table,
            artifact,
            points,
            unit=unit,
            model_name=model,
            normalize=kind,
            drop_bad=drop_bad,
            next_points=next_points(points, grows=grid.grows, refine=refine),
            progress=advance,
            journal=journal,
            engine=how,
        )
    write_table(result, to)
    journal.finish()
    print_summary(result, aggregate=means)
    for curve in curves_of(result):
        say(decay_report(curve))
    say_written(f"{len(result)} rows", to)
    swept = [float(value) for value in result["m1"].unique()]
    if collateral:
        measure_collateral(network, tokenizer, artifact, swept, beside(to, COLLATERAL))
    if texts is not None:
        write_texts(network, tokenizer, artifact, table, swept, beside(to, TEXTS), texts)


def _side_files(to: Path, collateral: bool, texts: int | None) -> list[Path]:
    """What is written beside the table."""
    found = [beside(to, COLLATERAL)] if collateral else []
    return found + ([] if texts is None else [beside(to, TEXTS)])


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
