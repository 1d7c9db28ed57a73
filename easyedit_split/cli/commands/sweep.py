"""``easyedit-split sweep``: score answer pairs over m and write a table of losses and log-odds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import pandas as pd

from ...analysis.grow import decay_report, next_points
from ...datasets.base import PairTable
from ...files.journal import Journal
from ...judges.base import learns
from ...judges.calibrations import Calibrations
from ...model.load_options import LoadOptions
from ...model.sites import Site
from ...scoring.crew import crew_here
from ...scoring.sweep_pairs import known_unit, sweep_pairs, with_max_length
from ...steering.artifact import Artifact
from ...steering.strength_grid import AUTO, parse_strengths
from ...sweep_curves import check_aggregate, curves_of
from ...sweep_table import check_suffix, finite_points, write_table
from ...text.prompt_tokens import Template
from ...types import ConfigError, DataError
from ..beside import COLLATERAL, JUDGED, TEXTS, beside, judge_texts_of, measure_collateral, write_texts
from ..console import bar, say, say_written, speak
from ..engine_options import CacheOption, EngineOption, engine_config
from ..fingerprint import model_identity, pairs_identity
from ..inputs import open_data, open_model
from ..judging import DEFAULTS as BY_ITSELF
from ..judging import JudgeOptions, asks_judge
from ..loading import DEFAULTS, loads_model
from ..options import (
    AggregateOption,
    CollateralOption,
    ColumnsOption,
    ConceptIdOption,
    DataOption,
    DropBadOption,
    GridOption,
    InterventionOption,
    LimitOption,
    MaxLengthOption,
    ModelOption,
    NormalizeOption,
    OtherWeightsOption,
    OverwriteOption,
    RefineOption,
    SplitSeedOption,
    TableOutOption,
    TestSplitOption,
    TextsOption,
)
from ..output_paths import check_file
from ..resuming import resumable, unfinished
from ..summary import print_summary

EPILOG = """Example: easyedit-split sweep --model testbed:gemma2 --data testbed:power --intervention power-vector
--m -20:20:41 --out power.parquet

Example: easyedit-split sweep --model testbed:gemma2 --data testbed:power --intervention power-vector
--m 0:16:9 --texts 6 --judge testbed --out power.parquet"""


@loads_model
@asks_judge
def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    data: DataOption,
    intervention: InterventionOption,
    to: TableOutOption,
    m: GridOption = AUTO,
    refine: RefineOption = False,
    split: TestSplitOption = None,
    split_seed: SplitSeedOption = 0,
    columns: ColumnsOption = None,
    concept_id: ConceptIdOption = None,
    limit: LimitOption = None,
    max_length: MaxLengthOption = None,
    normalize: NormalizeOption = "sum",
    aggregate: AggregateOption = "pairs",
    collateral: CollateralOption = False,
    texts: TextsOption = None,
    judging: JudgeOptions = BY_ITSELF,
    drop_bad: DropBadOption = False,
    other_weights: OtherWeightsOption = False,
    loading: LoadOptions = DEFAULTS,
    engine: EngineOption = "auto",
    cache: CacheOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Score answer pairs over a range of m: preference and utility log-odds (Eq. 7, 8).

    A killed sweep goes on where it stopped when the same command is given again. Started by ``accelerate launch``,
    several processes share the work; the table is that of one.
    """
    speak((crew := crew_here()).rank == 0)
    grid = parse_strengths(m)
    kind, means, how = parse_normalize(normalize), check_aggregate(aggregate), engine_config(engine, cache)
    _check_outputs(to, collateral, texts, overwrite, judging, lock=crew.rank == 0)
    artifact = with_max_length(Artifact.from_pretrained(intervention, other_weights=other_weights), max_length)
    table = open_data(data, split, "test", split_seed, columns, concept_id, drop_bad, limit)
    network, tokenizer = open_model(model, loading if loading.device else replace(loading, device=crew.device))
    unit = artifact.unit if grid.unit == "m" else known_unit(network, tokenizer, table, artifact)
    points = grid.in_m(unit.r_per_m if unit else 0.0)
    journal = Journal.beside(to, _identity(artifact, engine, network, tokenizer, model, table), crew.rank)
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
    if crew.rank == 0:
        judge = partial(_judged, data, split_seed, columns, concept_id, drop_bad, judging)
        loaded = (network, tokenizer, artifact, table, result, to, judge)
        _write(result, means, to, journal, partial(_write_beside, *loaded, collateral=collateral, texts=texts))


def _check_outputs(
    to: Path, collateral: bool, texts: int | None, overwrite: bool, judging: JudgeOptions, *, lock: bool
) -> None:
    """Raise for output files that cannot be written, and for a judge that cannot judge, before anything is scored."""
    if judging != BY_ITSELF and (judging.judge is None or texts is None):
        raise ConfigError("--judge NAME scores the texts of --texts N: give both, or neither")
    check_suffix(to)
    judged = [beside(to, JUDGED)] if judging.judge is not None else []
    check_file(to, overwrite, lock=lock)
    for path in (*_side_files(to, collateral, texts), *judged):
        check_file(path, overwrite or unfinished(to), lock=lock)
    if judged and lock:
        judging.check()


def _identity(
    artifact: Artifact, engine: str, network: Any, tokenizer: Any, model: str, table: PairTable
) -> dict[str, Any]:
    """Fingerprint of everything that a sweep depends on, which a resumed one must match."""
    made_by = {"artifact": artifact.identity(), "engine": engine}
    return {**made_by, **model_identity(network, tokenizer, model), **pairs_identity(table)}


def _write(table: pd.DataFrame, aggregate: str, to: Path, journal: Journal, beside_it: Callable[[], None]) -> None:
    """Write side files and table; print its means over pairs, the loss of utility, and its path.

    The table is the last: while it is missing, the same command goes on.
    """
    with resumable(journal):
        beside_it()
        write_table(table, to)
    journal.finish()
    known = finite_points(table, to.name)
    print_summary(known, aggregate=aggregate)
    for curve in curves_of(known):
        say(decay_report(curve))
    say_written(f"{len(table)} rows", to)


def _write_beside(
    network: Any,
    tokenizer: Any,
    artifact: Artifact,
    table: PairTable,
    scored: pd.DataFrame,
    to: Path,
    judge: Callable[..., None],
    *,
    collateral: bool,
    texts: int | None,
) -> None:
    """Measure and write the requested additions, side effects and texts, at every m whose losses are finite."""
    swept = _finite_m(scored, str(to)) if collateral or texts else []
    if not swept:
        return
    if collateral:
        measure_collateral(network, tokenizer, artifact, swept, beside(to, COLLATERAL))
    if texts is not None:
        judge(
            network,
            tokenizer,
            artifact,
            table,
            write_texts(network, tokenizer, artifact, table, swept, beside(to, TEXTS), texts),
            to,
        )


def _finite_m(scored: pd.DataFrame, source: str) -> list[float]:
    """None where losses are finite at no m, which is an error once the table is written."""
    try:
        return [float(value) for value in finite_points(scored, source)["m1"].unique()]
    except DataError:
        return []


def _judged(
    data: str,
    split_seed: int,
    columns: str | None,
    concept_id: int | None,
    drop_bad: bool,
    judging: JudgeOptions,
    network: Any,
    tokenizer: Any,
    artifact: Artifact,
    table: PairTable,
    texts: pd.DataFrame,
    to: Path,
) -> None:
    """Have the texts judged, where a judge is named; one that learns gets the train split's pairs."""
    if judging.judge is None:
        return
    calibrations = None
    if learns(judging.judge):
        pairs = open_data(data, "train", "train", split_seed, columns, concept_id, drop_bad).pairs
        block = max(Site.parse(key).block for key in artifact.config.sites)
        calibrations = Calibrations(network, Template(tokenizer, artifact.tokens), block, pairs)
    judge_texts_of(texts, table, artifact, beside(to, JUDGED), judging, calibrations)


def _side_files(to: Path, collateral: bool, texts: int | None) -> list[Path]:
    """Paths of the additional tables."""
    found = [beside(to, COLLATERAL)] if collateral else []
    return found + ([] if texts is None else [beside(to, TEXTS)])


def parse_normalize(text: str) -> Literal["sum", "mean"]:
    """The loss normalisation selected by ``--normalize``: ``sum`` or ``mean``.

    Args:
        text: the option's text.

    Raises:
        ConfigError: anything else.
    """
    if text not in ("sum", "mean"):
        raise ConfigError(f"--normalize {text}: allowed are sum and mean")
    return cast(Literal["sum", "mean"], text)
