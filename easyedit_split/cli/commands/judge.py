"""``easyedit-split judge``: generate answers at a few m and score them by a judge, for ``recommend --texts``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import pandas as pd
import typer
from rich.table import Table

from ...analysis.agreement import agreement, read_grades
from ...config import parse_grid
from ...judges.base import asks, learns
from ...judges.calibrations import Calibrations
from ...judges.judge_texts import judge_texts, judge_written
from ...model.load_options import LoadOptions
from ...model.sites import Site
from ...steering.artifact import Artifact
from ...steering.generate import GenerateConfig
from ...sweep_table import check_suffix, write_table
from ...text.prompt_tokens import Template
from ...types import ConfigError, Pair
from ..console import bar, out, say, say_written
from ..inputs import check_artifact, open_data, open_model
from ..interrupts import NOTHING, keeping
from ..judging import DEFAULTS as BY_ITSELF
from ..judging import JudgeOptions, asks_judge
from ..loading import DEFAULTS, loads_model
from ..options import (
    DATA_HELP,
    MODEL_HELP,
    ColumnsOption,
    DropBadOption,
    OtherWeightsOption,
    OverwriteOption,
    SplitSeedOption,
)
from ..output_paths import check_file
from ..rescue import write_or_rescue
from ..written_texts import read_written

EPILOG = """Example: easyedit-split judge --model testbed:gemma2 --data testbed:power --intervention power-vector
--m 0,4,8,16 --out texts.parquet

Example: easyedit-split judge --texts texts.parquet --data testbed:power --judge openai:gpt-4.1-mini
--judge-scales power,fluency --out graded.parquet --agree texts.parquet"""
WrittenOption = Annotated[
    Path | None,
    typer.Option(
        "--texts",
        help="Judge texts that are written: a table of `judge`, `sweep --texts` or `apply --out`. Of model, data "
        "and intervention only what the judge reads is needed.",
    ),
]
AgreeOption = Annotated[
    Path | None,
    typer.Option("--agree", help="Table of another judge: print how far the two agree on the same texts."),
]
PromptsOption = Annotated[
    int | None, typer.Option("--limit", help="Number of prompts (of each concept). Default: 16, of written texts all.")
]
TOLD_APART = 0.8
NOT_SCORES = ("m1", "prompt", "question", "concept", "text")
PROMPTS = 16
KEPT = "interrupted: the verdicts given so far are kept; run the same command again to go on"


@loads_model
@asks_judge
def command(  # noqa: DOC101, DOC103
    to: Annotated[Path, typer.Option("--out", help="Table to write: .parquet, .csv or .json.")],
    model: Annotated[str | None, typer.Option("--model", help=MODEL_HELP)] = None,
    data: Annotated[str | None, typer.Option("--data", help=DATA_HELP)] = None,
    intervention: Annotated[Path | None, typer.Option(help="Folder that `train` wrote.")] = None,
    m: Annotated[
        str | None, typer.Option(help="A few m: numbers with commas, or start:stop:count. 0 is always included.")
    ] = None,
    texts: WrittenOption = None,
    agree: AgreeOption = None,
    split: Annotated[str, typer.Option(help="Split whose prompts are answered: dev or test.")] = "dev",
    split_seed: SplitSeedOption = 0,
    columns: ColumnsOption = None,
    limit: PromptsOption = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 64,
    drop_bad: DropBadOption = False,
    other_weights: OtherWeightsOption = False,
    judging: JudgeOptions = BY_ITSELF,
    loading: LoadOptions = DEFAULTS,
    overwrite: OverwriteOption = False,
) -> None:
    """Score steered texts by a judge, by default the unsteered model: concept, fluency, relevance, faults, 0 to 2 each
    (it needs the train split, on which its probe is trained). A language model grades as AxBench does.
    """
    judge, service = judging.name, judging.service()
    _check_given(judge, judging, model, data, intervention, m, texts)
    known = _held_out(split)
    check_suffix(to)
    check_file(to, overwrite)
    judging.check()
    other = None if agree is None else read_grades(agree)
    points = sorted({0.0, *parse_grid(m, "--m")}) if m is not None else []
    artifact = None if intervention is None else Artifact.from_pretrained(intervention, other_weights=other_weights)
    rows = partial(open_data, data or "", seed=split_seed, columns=columns, drop_bad=drop_bad)
    training = rows(split="train", default_split="train").pairs if learns(judge) else ()
    most = PROMPTS if limit is None and texts is None else limit
    pairs = None if data is None else rows(split=split, default_split=known, limit=most).pairs
    written = None if texts is None else read_written(texts, pairs)
    writer = _Writer.opened(model, artifact, loading) if written is None or learns(judge) else None
    with keeping(lambda: KEPT if asks(judge) else NOTHING), bar("judging") as advance:
        told: dict[str, Any] = {"judge": judge, "service": service, "progress": advance}
        if written is not None:
            calibrations = None if writer is None else writer.calibrations(training)
            table, accuracy = judge_written(*written, calibrations=calibrations, **told)
        else:
            assert writer is not None
            asked = (writer.network, writer.template, writer.artifact, training, pairs or (), points)
            table, accuracy = judge_texts(*asked, config=GenerateConfig(max_new_tokens), **told)
    write_or_rescue(to, lambda place: write_table(table, place))
    _print_means(table)
    _say_accuracy(accuracy)
    if other is not None:
        print_agreement(table, other)
    say_written(f"{len(table)} judged texts", to)


def _check_given(
    judge: str,
    judging: JudgeOptions,
    model: str | None,
    data: str | None,
    intervention: Path | None,
    m: str | None,
    texts: Path | None,
) -> None:
    """Raise unless what is needed is given, and nothing that would not count."""
    needed = {"--model": model, "--data": data, "--intervention": intervention}
    if texts is None:
        _require({**needed, "--m": m}, "to write texts")
    elif m is not None:
        raise ConfigError("--m is for texts that are to be written, and --texts names written ones: leave one out")
    elif learns(judge):
        _require(needed, f"for --judge {judge}, which learns from the training pairs")
    elif not asks(judge) or (judging.judge_concept is None and "concept" in judging.service().scales):
        _require({"--data": data}, f"for --judge {judge}" + (", or --judge-concept" if asks(judge) else ""))


def _held_out(split: str) -> Literal["dev", "test"]:
    if split not in ("dev", "test"):
        raise ConfigError(f"--split {split}: allowed are dev and test; the train split is for the probe")
    return cast(Literal["dev", "test"], split)


def _require(given: dict[str, Any], what: str) -> None:
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise ConfigError(f"{', '.join(missing)} missing: needed {what}")


@dataclass(frozen=True)
class _Writer:
    """The model and the intervention that write."""

    network: Any
    template: Template
    artifact: Artifact

    @classmethod
    def opened(cls, model: str | None, artifact: Artifact | None, loading: LoadOptions) -> _Writer:  # noqa: DOC101, DOC103
        """Load the model; both were given."""
        assert model is not None
        assert artifact is not None
        network, tokenizer = open_model(model, loading)
        check_artifact(artifact, network, tokenizer, model)
        return cls(network, Template(tokenizer, artifact.tokens), artifact)

    def calibrations(self, training: tuple[Pair, ...]) -> Calibrations:  # noqa: DOC101, DOC103
        """What a judge that learns is calibrated with: the block is the last steered one."""
        block = max(Site.parse(key).block for key in self.artifact.config.sites)
        return Calibrations(self.network, self.template, block, training)


def _say_accuracy(accuracy: Mapping[str, float]) -> None:
    for name, share in accuracy.items():
        doubt = ": its concept score is unreliable" if share < TOLD_APART else ""
        say(f"the probe of {name} classifies {share:.0%} of held-out training answers correctly{doubt}")


def _print_means(table: pd.DataFrame) -> None:
    """Print each score's mean over the texts at each m, and how many texts have none."""
    scores = [name for name in table.columns if name not in NOT_SCORES]
    means = table.groupby("m1")[scores].mean()
    shown = Table("m", *means.columns, box=None)
    for strength, row in zip(means.index.astype(float), means.to_numpy(dtype=float), strict=True):
        shown.add_row(f"{strength:g}", *(f"{value:.2f}" for value in row))
    out.print(shown)
    missing = {name: int(table[name].isna().sum()) for name in scores}
    if any(missing.values()):
        said = ", ".join(f"{count} of {name}" for name, count in missing.items() if count)
        say(
            f"of {len(table)} texts the judge gave no readable grade, so they are empty and count nowhere: {said}",
            "yellow",
        )


def print_agreement(table: pd.DataFrame, other: pd.DataFrame) -> None:
    """Print how far two judges agree.

    Args:
        table: one judge's texts and scores.
        other: the other judge's.
    """
    named = "question" if "question" in table.columns.intersection(other.columns) else "prompt"
    keys = ("m1", named, "text")
    shown = Table("scale", "texts", "Spearman", "kappa", "mean", "mean of the other", title="agreement", box=None)
    for scale, n, *values in agreement(table, other, keys).itertuples(index=False, name=None):
        shown.add_row(str(scale), str(n), *(f"{value:.2f}" for value in values))
    out.print(shown)
