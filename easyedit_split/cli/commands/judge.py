"""``easyedit-split judge``: generate answers at a few m and score them by a judge, for ``recommend --texts``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal, cast

import typer
from rich.table import Table

from ...config import parse_grid
from ...judges.base import learns
from ...judges.judge_texts import judge_texts
from ...model.load_options import LoadOptions
from ...steering.artifact import Artifact
from ...steering.generate import GenerateConfig
from ...sweep_table import check_suffix, write_table
from ...text.prompt_tokens import Template
from ...types import ConfigError
from ..console import bar, out, say, say_written
from ..inputs import open_data, open_model
from ..loading import DEFAULTS, loads_model
from ..options import (
    ColumnsOption,
    DataOption,
    DropBadOption,
    InterventionOption,
    ModelOption,
    OverwriteOption,
    SplitSeedOption,
)
from ..output_paths import check_file
from ..rescue import write_or_rescue

EPILOG = """Example: easyedit-split judge --model testbed:gemma2 --data testbed:power --intervention power-vector
--m 0,4,8,16 --out texts.parquet"""
TOLD_APART = 0.8


@loads_model
def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    data: DataOption,
    intervention: InterventionOption,
    to: Annotated[Path, typer.Option("--out", help="Table to write: .parquet, .csv or .json.")],
    m: Annotated[str, typer.Option(help="A few m: numbers with commas, or start:stop:count. 0 is always included.")],
    judge: Annotated[
        str,
        typer.Option(
            help="self: the unsteered model and a probe; testbed: exact, for testbed: data; accuracy: Yes or No."
        ),
    ] = "self",
    split: Annotated[str, typer.Option(help="Split whose prompts are answered: dev or test.")] = "dev",
    split_seed: SplitSeedOption = 0,
    columns: ColumnsOption = None,
    limit: Annotated[int, typer.Option(help="Number of prompts (of each concept).")] = 16,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 64,
    drop_bad: DropBadOption = False,
    loading: LoadOptions = DEFAULTS,
    overwrite: OverwriteOption = False,
) -> None:
    """Score steered texts by a judge, by default the unsteered model: concept, fluency, relevance, faults, 0 to 2 each
    (it needs the train split, on which its probe is trained).
    """
    calibrated = learns(judge)
    check_suffix(to)
    check_file(to, overwrite)
    points = sorted({0.0, *parse_grid(m, "--m")})
    artifact = Artifact.from_pretrained(intervention)
    if split not in ("dev", "test"):
        raise ConfigError(f"--split {split}: allowed are dev and test; the train split is for the probe")
    known = cast(Literal["dev", "test"], split)
    rows = partial(open_data, data, seed=split_seed, columns=columns, drop_bad=drop_bad)
    training = rows(split="train", default_split="train") if calibrated else ()
    held_out = rows(split=known, default_split=known, limit=limit)
    network, tokenizer = open_model(model, loading)
    for note in artifact.check_model(network, name=model, tokenizer=tokenizer):
        say(f"the artifact's model differs: {note}", "yellow")
    config = GenerateConfig(max_new_tokens)
    with bar("judging") as advance:
        template = Template(tokenizer, artifact.tokens)
        table, accuracy = judge_texts(
            network, template, artifact, training, held_out, points, judge=judge, config=config, progress=advance
        )
    write_or_rescue(to, lambda place: write_table(table, place))
    scores = [name for name in table.columns if name not in ("m1", "prompt", "concept", "text")]
    means = table.groupby("m1")[scores].mean()
    shown = Table("m", *means.columns, box=None)
    for strength, row in means.iterrows():
        shown.add_row(f"{strength:g}", *(f"{value:.2f}" for value in row))
    out.print(shown)
    for name, share in accuracy.items():
        doubt = ": its concept score is unreliable" if share < TOLD_APART else ""
        say(f"the probe of {name} classifies {share:.0%} of held-out training answers correctly{doubt}")
    say_written(f"{len(table)} judged texts", to)
