"""Generate texts at a few m and score them by a judge, for the aim "text" of ``recommend``.

    m1, prompt, concept, text, cut_off; the judge's scores, ``concept`` as ``carries``; overall     a row per m, prompt

One judge for each concept. The bare model itself, ``self``, is calibrated on that concept's training pairs (against the
others' answers), with its own texts at m = 0 as a measure of fluency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from torch import nn

from ..model.sites import Site
from ..steering.artifact import Artifact
from ..steering.generate import GenerateConfig, Generated, generate_texts
from ..text.prompt_tokens import Template
from ..types import ConfigError, Pair
from .base import Calibration, Judge, JudgesTogether, prepared_judge
from .self import cut_off

AGAINST = 64  # answers of other concepts that a probe is held against, at most


def judge_texts(
    model: nn.Module,
    template: Template,
    artifact: Artifact,
    training: Sequence[Pair],
    held_out: Sequence[Pair],
    m: Sequence[float],
    *,
    judge: str = "self",
    config: GenerateConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Generate answers to held-out prompts at every m and score them.

    Args:
        model: the bare model.
        template: how its tokenizer writes a prompt and its answer.
        artifact: whose interventions write.
        training: pairs that the judges are calibrated on.
        held_out: whose prompts are answered; ``self`` does not read their answers.
        m: strengths, 0 among them.
        judge: a registered judge.
        config: length, batch size and sampling; greedy where None.
        progress: called with (concepts done, concepts in all).

    Returns:
        The table, and, where the judge has a probe, each concept's share of held-out training answers that it tells
        apart.

    Raises:
        ConfigError: m = 0 is missing, or there is no such judge.
        DataError: a concept with too few training pairs, or a pair that the judge does not know.
    """
    if 0 not in m:
        raise ConfigError("texts at m = 0 are the baseline of the others: give 0 among the m")
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
        scorer = prepared_judge(judge, Calibration(model, template, pairs, own, block, against))
        if (share := getattr(scorer, "accuracy", None)) is not None:
            accuracy[concept or "default"] = float(share)
        cut = _cut(written)
        scores = _scores(scorer, written, [pair for _, pair in members], cut)
        for text, found, broken in zip(written, scores, cut, strict=True):
            said = {"m1": text.m, "prompt": members[text.index][0], "concept": concept or "", "text": text.text}
            renamed = {"carries" if name == "concept" else name: value for name, value in found.items()}
            rows.append({**said, "cut_off": broken, **renamed})
        if progress is not None:
            progress(done, len(concepts))
    return pd.DataFrame(rows).sort_values(["m1", "prompt"], kind="stable").reset_index(drop=True), accuracy


def _cut(written: Sequence[Generated]) -> list[bool]:
    """Of each text, those at m = 0 among them, whether it is cut off."""
    bare_ended = {text.index: text.ended for text in written if text.m == 0}
    return [cut_off(text.text, text.ended, bare_ended[text.index]) for text in written]


def _scores(
    judge: Judge, written: Sequence[Generated], pairs: Sequence[Pair], cut: Sequence[bool]
) -> list[Mapping[str, float]]:
    """The scores of every text."""
    prompts, answers = [text.prompt for text in written], [text.text for text in written]
    asked = [pairs[text.index] for text in written]
    if isinstance(judge, JudgesTogether):
        return judge.judge_all(prompts, answers, asked, cut)
    return [judge.judge(*each) for each in zip(prompts, answers, asked, strict=True)]
