"""Texts written at a few m and judged by the bare model: the table that the aim "text" chooses from.

    m1, prompt, concept, text, cut_off; carries (the concept), fluency, relevance, faults, overall   a row per m, prompt

One judge for each concept, calibrated on that concept's training pairs (against the others' answers), with the bare
model's own texts at m = 0 as a measure of fluency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from torch import nn

from ..model.sites import Site
from ..steering.artifact import Artifact
from ..steering.generate import GenerateConfig, generate_texts
from ..text.prompt_tokens import Template
from ..types import ConfigError, Pair
from .self_judge import SelfJudge, cut_off

AGAINST = 64  # answers of other concepts that a probe is held against, at most


def judge_texts(
    model: nn.Module,
    template: Template,
    artifact: Artifact,
    training: Sequence[Pair],
    held_out: Sequence[Pair],
    m: Sequence[float],
    *,
    config: GenerateConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Write answers to held-out prompts at every m and judge them.

    Args:
        model: the bare model.
        template: how its tokenizer writes a prompt and its answer.
        artifact: whose interventions write.
        training: pairs that the judges are calibrated on.
        held_out: whose prompts are answered; their answers are not read.
        m: strengths, 0 among them.
        config: length, batch size and sampling; greedy where None.
        progress: called with (concepts done, concepts in all).

    Returns:
        The table, and each concept's share of held-out training answers that its probe tells apart.

    Raises:
        ConfigError: m = 0 is missing.
        DataError: a concept with too few training pairs.
    """
    if 0 not in m:
        raise ConfigError("texts at m = 0 are what others are compared with: put 0 among the m")
    block = max(Site.parse(key).block for key in artifact.config.sites)
    rows: list[dict[str, Any]] = []
    accuracy: dict[str, float] = {}
    concepts = list(dict.fromkeys(pair.concept for pair in held_out))
    for done, concept in enumerate(concepts, 1):
        members = [(i, pair) for i, pair in enumerate(held_out) if pair.concept == concept]
        prompts = [pair.prompt for _, pair in members]
        written = generate_texts(model, template, prompts, artifact[concept], list(m), config=config)
        own = [(text.prompt, text.text) for text in written if text.m == 0]
        pairs = [pair for pair in training if pair.concept == concept]
        others = [(pair.prompt, pair.positive) for pair in training if pair.concept != concept]
        against = others[:: max(1, len(others) // AGAINST)]
        judge = SelfJudge.calibrated(model, template, pairs, own, block=block, against=against)
        accuracy[concept or "default"] = judge.accuracy
        bare = {text.index: text.ended for text in written if text.m == 0}
        cut = [cut_off(text.text, text.ended, bare[text.index]) for text in written]
        scores = judge.judge_all([text.prompt for text in written], [text.text for text in written], cut)
        for text, found, broken in zip(written, scores, cut, strict=True):
            place = members[text.index][0]
            scores_of = {"carries" if name == "concept" else name: value for name, value in found.items()}
            rows.append(
                {
                    "m1": text.m,
                    "prompt": place,
                    "concept": concept or "",
                    "text": text.text,
                    "cut_off": broken,
                    **scores_of,
                }
            )
        if progress is not None:
            progress(done, len(concepts))
    return pd.DataFrame(rows).sort_values(["m1", "prompt"], kind="stable").reset_index(drop=True), accuracy
