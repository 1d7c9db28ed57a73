"""A sweep from texts: pairs are tokenised as the artifact was trained, then scored at every m."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import pandas as pd
from torch import nn

from ..datasets.in_memory import PairsLike, as_pairs
from ..log_odds import Normalize
from ..steering.artifact import Artifact
from ..storage import Journal
from ..text.template import Template
from .encode_table import encode_table
from .engine.config import EngineConfig
from .engine.scorer import scores_over_m
from .sweep import Factors, NextPoints, Progress, sweep_encoded


def sweep_pairs(
    model: nn.Module,
    tokenizer: Any,
    pairs: PairsLike,
    artifact: Artifact,
    m: Sequence[Factors],
    *,
    model_name: str | None = None,
    normalize: Normalize = "sum",
    drop_bad: bool = False,
    next_points: NextPoints | None = None,
    progress: Progress | None = None,
    journal: Journal | None = None,
    engine: EngineConfig | None = None,
) -> pd.DataFrame:
    """Score pairs at every m, tokenised as the artifact was trained.

    Args:
        model: a Hugging Face causal LM.
        tokenizer: its tokenizer.
        pairs: prompts with their two answers.
        artifact: an intervention for each concept.
        m: floats, or ``(m1, m2)``.
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
    return sweep_encoded(
        model,
        encode_table(table, template, drop_bad=drop_bad).rows,
        artifact,
        m,
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
