"""`easyedit-split sweep`: score answer pairs over m, as a table of losses and log-odds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import pandas as pd
import typer

from ..artifact import Artifact
from ..config import parse_grid
from ..pipeline import sweep as sweep_pairs
from ..storage import Journal
from ..sweep import check_suffix, undefined_count, write_table
from .common import DATA_HELP, MODEL_HELP, bar, console, open_data, open_model, out, refuse_existing

EPILOG = """Example: easyedit-split sweep --model testbed:gemma2 --data testbed:power --intervention power-vector
--m -20:20:41 --out power.parquet"""


def command(
    model: Annotated[str, typer.Option(help=MODEL_HELP)],
    data: Annotated[str, typer.Option(help=DATA_HELP)],
    intervention: Annotated[Path, typer.Option(help="Folder that `train` wrote.")],
    to: Annotated[Path, typer.Option("--out", help="Table to write: .parquet, .csv or .json.")],
    m: Annotated[str, typer.Option(help="start:stop:count, both ends included, or numbers with commas.")] = "-20:20:41",
    split: Annotated[str | None, typer.Option(help="test (default for datasets with splits), dev or train.")] = None,
    split_seed: Annotated[int, typer.Option(help="Seed of the dataset's split.")] = 0,
    columns: Annotated[
        str | None, typer.Option(help="Columns of your own file: prompt=A,positive=B,negative=C.")
    ] = None,
    concept_id: Annotated[int | None, typer.Option(help="One concept of a dataset with several.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many pairs (of each concept).")] = None,
    normalize: Annotated[
        str, typer.Option(help="Log-odds from summed losses (sum, the paper's) or per-token means (mean).")
    ] = "sum",
    drop_bad: Annotated[bool, typer.Option("--drop-bad", help="Leave out bad rows and name them.")] = False,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16, float64. Default: as saved.")] = None,
    device: Annotated[str | None, typer.Option(help="e.g. cpu, cuda, cuda:1, auto.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing --out.")] = False,
) -> None:
    """Score answer pairs over a range of m: preference and utility log-odds (Eq. 7, 8).

    A killed sweep goes on where it stopped when the same command is given again.
    """
    points = parse_grid(m, "--m")
    kind = parse_normalize(normalize)
    check_suffix(to)
    refuse_existing(to, overwrite)
    artifact = Artifact.from_pretrained(intervention)
    table, source = open_data(
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
    to.parent.mkdir(parents=True, exist_ok=True)
    fingerprint = {
        "artifact": artifact.digest(),
        "model": model,
        "dtype": str(next(network.parameters()).dtype),
        "data": [source.sha256, source.split, list(table.rows)],
    }
    journal = Journal.beside(to, fingerprint)
    with bar("scoring") as advance:
        result = sweep_pairs(
            network,
            tokenizer,
            table.pairs,
            artifact,
            points,
            source=source,
            normalize=kind,
            drop_bad=drop_bad,
            progress=advance,
            journal=journal,
        )
    write_table(result, to)
    journal.finish()
    print_summary(result)
    console.print(f"{len(result)} rows written to [bold]{to}[/bold]")


def parse_normalize(text: str) -> Literal["sum", "mean"]:
    """``sum`` or ``mean``.

    Raises:
        ConfigError: anything else.
    """
    from ..types import ConfigError

    if text not in ("sum", "mean"):
        raise ConfigError(f"--normalize {text}: allowed are sum and mean")
    return cast(Literal["sum", "mean"], text)


def print_summary(table: pd.DataFrame, most: int = 13) -> None:
    """Mean preference and utility over pairs at up to ``most`` of the m's, and how many pairs have no utility."""
    from rich.table import Table

    undefined, pairs = undefined_count(table)
    bad = table.assign(bad=table["status"] != "ok").groupby(["concept", "pair"])["bad"].transform("any")
    means = pd.DataFrame(
        {
            "pref": table.groupby(["m1", "m2"])["pref"].mean(),
            "util": table[~bad].groupby(["m1", "m2"])["util"].mean(),
        }
    ).reset_index()
    places = sorted(
        {round(i * (len(means) - 1) / max(1, min(most, len(means)) - 1)) for i in range(min(most, len(means)))}
    )
    shown = Table("m", "preference (nats)", "utility (nats)", title=f"mean of {pairs} pairs", box=None)
    for _, row in means.iloc[places].iterrows():
        label = f"{row.m1:g}" if row.m1 == row.m2 else f"{row.m1:g}, {row.m2:g}"
        shown.add_row(label, f"{row.pref:+.2f}", f"{row.util:+.2f}")
    out.print(shown)
    if undefined:
        console.print(f"utility is undefined at some m for {undefined} of {pairs} pairs: they are left out of it")
