"""Tokenise answer pairs as the artifact was trained and score them at every m."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from torch import nn

from ..datasets.base import PairTable
from ..datasets.in_memory import PairsLike, as_pairs
from ..files.journal import Parts
from ..log_odds import Normalize
from ..steering.artifact import Artifact
from ..steering.strength_grid import NaturalUnit, StrengthGrid
from ..text.encode_pairs import EncodedPair
from ..text.prompt_tokens import Template
from ..types import Factors
from .encode_table import encode_table
from .engine.config import EngineConfig
from .engine.scorer import scores_over_m
from .natural_unit import natural_unit
from .sweep_encoded import NextPoints, Progress, by_concept, sweep_encoded


def sweep_pairs(
    model: nn.Module,
    tokenizer: Any,
    pairs: PairsLike,
    artifact: Artifact,
    m: Sequence[Factors] | StrengthGrid,
    *,
    unit: NaturalUnit | None = None,
    model_name: str | None = None,
    normalize: Normalize = "sum",
    drop_bad: bool = False,
    next_points: NextPoints | None = None,
    progress: Progress | None = None,
    journal: Parts | None = None,
    engine: EngineConfig | None = None,
) -> pd.DataFrame:
    """Score pairs at every m, tokenised as the artifact was trained.

    The table says r beside m where it is known, and marks pairs that the artifact was trained on (``trained_on``).

    Args:
        model: a Hugging Face causal LM.
        tokenizer: its tokenizer.
        pairs: prompts with their two answers.
        artifact: an intervention for each concept.
        m: floats, or ``(m1, m2)``; or a grid, which may be in r (``strength_grid.parse_strengths``).
        unit: what m = 1 is worth in r; where None as the artifact records it, else measured if a grid in r needs it.
        model_name: how the table names the model; as it was loaded where None.
        normalize: log-odds from summed losses (``sum``) or from means per token (``mean``).
        drop_bad: leave bad rows out and name them, instead of raising.
        next_points: returns further m to score, given the table so far.
        progress: called with (scored, to score).
        journal: keeps each finished (concept, m).
        engine: how losses are computed; the engine's defaults where None.

    Raises:
        DataError: a bad row (named), unless ``drop_bad``.
        ConfigError, ArtifactError: an m, concept or model that does not fit.
    """
    table = as_pairs(pairs, split="test", drop_bad=drop_bad)
    template = Template(tokenizer, artifact.tokens)
    rows = encode_table(table, template, model, drop_bad=drop_bad).rows
    points, unit = _points(m, unit or artifact.unit, lambda: measured_unit(model, rows, artifact, template.pad_id))
    scored = sweep_encoded(
        model,
        rows,
        artifact,
        points,
        pad_id=template.pad_id,
        model_name=model_name,
        tokenizer=tokenizer,
        dataset=table.name,
        split=table.split,
        normalize=normalize,
        next_points=next_points,
        scorer=functools.partial(scores_over_m, config=engine),
        progress=progress,
        journal=journal,
    )
    return _with_r(_with_trained(scored, table, artifact), unit)


def _points(
    m: Sequence[Factors] | StrengthGrid, unit: NaturalUnit | None, measure: Callable[[], NaturalUnit]
) -> tuple[Sequence[Factors], NaturalUnit | None]:
    """The swept m, and r per unit of m where it is known or needed."""
    if not isinstance(m, StrengthGrid):
        return m, unit
    unit = unit or measure()
    return m.in_m(unit.r_per_m), unit


def _with_trained(scored: pd.DataFrame, pairs: PairTable, artifact: Artifact) -> pd.DataFrame:
    """A table that marks, in a column ``trained_on``, the pairs that the artifact was trained on, if there are any."""
    known = set(artifact.record.get("data", {}).get("pair_ids", ()))
    seen = {row for row, name in zip(pairs.rows, pairs.pair_ids, strict=True) if name in known}
    return scored.assign(trained_on=scored["pair"].isin(seen).astype("int64")) if seen else scored


def _with_r(table: pd.DataFrame, unit: NaturalUnit | None) -> pd.DataFrame:
    """A table with r beside m, where it is known and one m scales both dW and db."""
    if unit is None:
        return table
    table["r"] = (unit.r_per_m * table["m1"]).where(table["m1"] == table["m2"])
    return table


def with_max_length(artifact: Artifact, max_length: int | None) -> Artifact:
    """A copy of an artifact that takes rows of another greatest length than it was trained with.

    Args:
        artifact: the artifact; the same where ``max_length`` is None.
        max_length: tokens of a row, prompt and answer.

    Raises:
        ConfigError: fewer than 2.
    """
    if max_length is None:
        return artifact
    tokens = dataclasses.asdict(dataclasses.replace(artifact.tokens, max_length=max_length))
    run = {**artifact.record.get("run", {}), "tokens": tokens}
    return Artifact(
        artifact.interventions,
        {**artifact.record, "run": run},
        artifact.history,
        artifact.chosen,
        artifact.other_weights,
    )


def known_unit(model: nn.Module, tokenizer: Any, pairs: PairsLike, artifact: Artifact) -> NaturalUnit:
    """The strength r at m = 1 of an artifact: from its record, else measured on pairs.

    Args:
        model: the bare model.
        tokenizer: the model's.
        pairs: read only where the record says nothing.
        artifact: of which m = 1 is asked.

    Raises:
        DataError: a bad row (named).
        ConfigError: the artifact does not fit the model, or a pair names a concept that it has not.
    """
    if artifact.unit is not None:
        return artifact.unit
    template = Template(tokenizer, artifact.tokens)
    rows = encode_table(as_pairs(pairs, split="test"), template, model).rows
    return measured_unit(model, rows, artifact, template.pad_id)


def measured_unit(model: nn.Module, rows: Sequence[EncodedPair], artifact: Artifact, pad_id: int = 0) -> NaturalUnit:
    """The strength r at m = 1 of an artifact, measured on these pairs; of several concepts, the median.

    Args:
        model: the bare model.
        rows: encoded pairs, whose concepts the artifact has.
        artifact: of which m = 1 is measured.
        pad_id: any valid id; it changes nothing.

    Raises:
        ConfigError: the artifact does not fit the model, or a pair names a concept that it has not.
    """
    groups = by_concept(rows, artifact).items()
    return NaturalUnit.over([natural_unit(model, members, artifact[name], pad_id=pad_id) for name, members in groups])
