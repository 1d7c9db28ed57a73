"""Sweep over m as a table: one row per pair and m with its losses and log-odds (Eq. 7, 8).

``sweep_table.COLUMNS`` names them. Losses are summed nats whatever the odds are computed from. ``util`` is NaN where
``status`` is not ``ok``; a pair that is not ``ok`` at one m is left out of utility at every m by the table's readers,
and counted. With a journal, a killed sweep goes on where it stopped and ends in the same table.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pandas as pd
from torch import nn

from .. import log_odds
from ..files.journal import Parts
from ..log_odds import Normalize
from ..model.describe import name_of
from ..steering.artifact import Artifact
from ..steering.intervention import Intervention
from ..sweep_table import COLUMNS
from ..text.encode_pairs import EncodedPair
from ..types import ConfigError, Factors, Scores
from .crew import Crew, crew_here
from .engine.scorer import scores_over_m
from .kept_scores import KeptScores

logger = logging.getLogger(__name__)

NextPoints: TypeAlias = Callable[[pd.DataFrame], Sequence[Factors]]
Progress: TypeAlias = Callable[[int, int], None]
"""Called after each scored (concept, m) with (done, planned so far)."""


@runtime_checkable
class Scorer(Protocol):
    """Signature of a scorer for sweeps: ``engine.scorer.scores_over_m`` or ``score.plain_scores_over_m``."""

    def __call__(
        self,
        model: nn.Module,
        pairs: Sequence[EncodedPair],
        intervention: Intervention | None,
        ms: Sequence[Factors],
        *,
        pad_id: int,
        known: Collection[int],
    ) -> Iterator[Scores]:
        """Losses of pairs under an intervention at each of many m, in order, except those at the indices in ``known``.

        A score must not depend on what is known, to the last bit: an interrupted sweep ends as one that was not.

        Args:
            model: a Hugging Face causal LM.
            pairs: encoded pairs.
            intervention: what to apply; None for the bare model.
            ms: ``(m1, m2)`` or floats.
            pad_id: any valid id.
            known: places in ``ms`` that are left out.
        """
        ...


def sweep_encoded(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    artifact: Artifact,
    m: Sequence[Factors],
    *,
    pad_id: int = 0,
    model_name: str | None = None,
    tokenizer: Any = None,
    dataset: str = "",
    split: str = "",
    normalize: Normalize = "sum",
    next_points: NextPoints | None = None,
    scorer: Scorer = scores_over_m,
    progress: Progress | None = None,
    journal: Parts | None = None,
    crew: Crew | None = None,
) -> pd.DataFrame:
    """Score every pair at every m, each pair under its own concept's intervention.

    Args:
        model: a Hugging Face causal LM.
        pairs: encoded pairs.
        artifact: an intervention for each concept.
        m: floats, or ``(m1, m2)``.
        pad_id: any valid id; it changes nothing.
        model_name: how the table names the model that is scored; as it was loaded where None.
        tokenizer: what ``pairs`` were encoded with; compared with the artifact's where given.
        dataset: name of the dataset, for the table.
        split: name of the split, for the table.
        normalize: log-odds from summed losses (the paper's curves) or from means per token.
        next_points: given the table so far, returns further m to score, until it returns none; what it names again is
            not scored again.
        scorer: gives the losses.
        progress: called with (scored, to score).
        journal: keeps each finished (concept, m); what it holds already is not scored again.
        crew: the processes that share the work; those that this one was launched with where None.

    Raises:
        ConfigError: no m, an m that is not finite or stands twice, or a concept the artifact has not.
        ArtifactError: the artifact does not fit the model.
    """
    _warn_of_differences(artifact.check_model(model, name=model_name, tokenizer=tokenizer))
    labels = _labels(model, artifact, model_name, dataset, split)
    groups = by_concept(pairs, artifact)
    kept = KeptScores(journal, crew or crew_here())
    points = _checked(m)
    tables: list[pd.DataFrame] = []
    seen: set[tuple[float, float]] = set()
    while points:
        fresh = {
            concept: functools.partial(scorer, model, members, artifact[concept], points, pad_id=pad_id)
            for concept, members in groups.items()
        }
        _fill(kept, points, fresh, progress, len(tables))
        for point, (concept, members) in itertools.product(points, groups.items()):
            tables.append(scored_rows(labels, members, kept.scores[concept, point], *point, normalize))
        seen.update(points)
        points = _further(next_points, tables, seen)
    return pd.concat(tables, ignore_index=True)


def _fill(
    kept: KeptScores,
    points: Sequence[tuple[float, float]],
    fresh: Mapping[str, Callable[..., Iterator[Scores]]],
    progress: Progress | None,
    before: int,
) -> None:
    """Score what is not known yet of every concept at some points, together with the other processes."""
    mine, planned = kept.to_score(list(fresh), points), before + len(points) * len(fresh)
    missing = sum(map(len, mine.values()))
    done = planned - missing if kept.crew.size == 1 else before
    for concept, places in mine.items():
        for _ in kept.filled(concept, points, places, fresh[concept]):
            done += 1
            if progress is not None:
                progress(done, planned)
    kept.share()
    if progress is not None and done < planned:
        progress(planned, planned)


def _further(
    next_points: NextPoints | None, tables: Sequence[pd.DataFrame], seen: Collection[tuple[float, float]]
) -> list[tuple[float, float]]:
    """The m that ``next_points`` asks for after the table so far and that are not scored yet."""
    wanted = next_points(pd.concat(tables, ignore_index=True)) if next_points else ()
    points = [point for point in dict.fromkeys(map(_pair_of, wanted)) if point not in seen]
    _require_finite(points)
    return points


def by_concept(pairs: Sequence[EncodedPair], artifact: Artifact) -> dict[str, list[EncodedPair]]:
    """Group the pairs by the artifact's concepts.

    Args:
        pairs: encoded pairs.
        artifact: an intervention for each concept.

    Raises:
        ConfigError: no pairs, or a pair whose concept the artifact has not.
    """
    if not pairs:
        raise ConfigError("there are no pairs to score")
    groups: dict[str, list[EncodedPair]] = {}
    for pair in pairs:
        try:
            concept = artifact.resolve(pair.pair.concept)
        except ConfigError as error:
            raise ConfigError(f"row {pair.index}: {error}; use the dataset it was trained on") from error
        groups.setdefault(concept, []).append(pair)
    return groups


def _pair_of(m: Factors) -> tuple[float, float]:
    m1, m2 = m if isinstance(m, tuple) else (m, m)
    return float(m1), float(m2)


def _warn_of_differences(notes: Sequence[str]) -> None:
    for note in notes:
        logger.warning("the artifact's model differs: %s", note)


def _checked(m: Sequence[Factors]) -> list[tuple[float, float]]:
    """Strengths ``(m1, m2)`` of each m, with an error for duplicates."""
    points = [_pair_of(value) for value in m]
    if not points:
        raise ConfigError("the sweep has no m: give a grid such as -20:20:41")
    _require_finite(points)
    twice = sorted({p for p in points if points.count(p) > 1})
    if twice:
        raise ConfigError(f"the sweep holds m = {twice[0]} twice: give each once")
    return points


def _require_finite(points: Sequence[tuple[float, float]]) -> None:
    bad = [point for point in points if not np.isfinite(point).all()]
    if bad:
        raise ConfigError(f"the sweep holds m = {bad[0]}, which is not finite")


def _labels(
    model: nn.Module, artifact: Artifact, model_name: str | None, dataset: str, split: str
) -> dict[str, str | int]:
    """Constant columns of every row: the model is the one that is scored, all else the artifact's."""
    return {
        "model": name_of(model, model_name),
        "dataset": dataset,
        "split": split,
        "form": artifact.config.form,
        "objective": artifact.record.get("objective", ""),
        "site": "+".join(artifact.config.sites),
        "placement": artifact.config.placement,
        "seed": int(artifact.record.get("seed", 0)),
    }


def scored_rows(
    labels: Mapping[str, str | int],
    pairs: Sequence[EncodedPair],
    scores: Scores,
    m1: float,
    m2: float,
    normalize: Normalize = "sum",
) -> pd.DataFrame:
    """Rows of a sweep table at one m, a row per pair.

    Args:
        labels: the columns that say what was scored, with one value each.
        pairs: the scored pairs.
        scores: losses and token counts of both answers.
        m1: factor of the weight change.
        m2: factor of the bias change.
        normalize: ``sum`` for whole answers, ``mean`` for nats per token.
    """
    L_p, L_n = log_odds.losses(scores, normalize)
    values: dict[str, Any] = {
        **labels,
        "concept": [pair.pair.concept or "" for pair in pairs],
        "pair": [pair.index for pair in pairs],
        "m1": m1,
        "m2": m2,
        "L_p": scores.L_p,
        "L_n": scores.L_n,
        "T_p": scores.T_p,
        "T_n": scores.T_n,
        "pref": log_odds.preference(L_p, L_n),
        "util": log_odds.utility(L_p, L_n),
        "status": log_odds.status(L_p, L_n),
    }
    return pd.DataFrame(values, columns=list(COLUMNS))
