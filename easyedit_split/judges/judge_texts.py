"""Generate texts at a few m and score them by a judge, for the aim "text" of ``recommend``.

    m1, prompt, question, concept, text, cut_off                            a row per m and prompt
    the judge's scores, ``concept`` as ``carries``; overall

``prompt`` is the number of its pair, ``question`` its text. One judge for each concept. The bare model itself,
``self``, is calibrated on that concept's training pairs, against the others' answers and its own unsteered texts. Texts
that are written already are scored by ``judge_written``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from torch import nn

from ..model.sites import Site
from ..steering.artifact import Artifact
from ..steering.generate import GenerateConfig, Generated, generate_texts
from ..text.prompt_tokens import Template
from ..types import ConfigError, Pair
from .base import Service, learns, prepared_judge, scores_of
from .calibrations import Calibrations
from .self import cut_off
from .steps import Steps

TEXT_COLUMNS = ("m1", "prompt", "question", "concept", "text", "cut_off")


def judge_texts(
    model: nn.Module,
    template: Template,
    artifact: Artifact,
    training: Sequence[Pair],
    held_out: Sequence[Pair],
    m: Sequence[float],
    *,
    judge: str = "self",
    service: Service | None = None,
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
        judge: a registered judge, ``name:MODEL`` for one that asks a model elsewhere.
        service: where such a judge finds it.
        config: length, batch size and sampling; greedy where None.
        progress: called with (texts written and texts judged, twice the texts in all).

    Returns:
        The table, and, where the judge has a probe, each concept's share of held-out training answers that it tells
        apart.

    Raises:
        ConfigError: m = 0 is missing, or there is no such judge.
        DataError: a concept with too few training pairs, or a pair that the judge does not know.
        ServiceError: a judge that asks a model elsewhere gets no answer.
    """
    if 0 not in m:
        raise ConfigError("texts at m = 0 are the baseline of the others: give 0 among the m")
    steps = Steps(2 * len(held_out) * len(m), progress)
    written = []
    for concept in dict.fromkeys(pair.concept for pair in held_out):
        places = [i for i, pair in enumerate(held_out) if pair.concept == concept]
        prompts = [held_out[i].prompt for i in places]
        texts = generate_texts(
            model, template, prompts, artifact[concept], list(m), config=config, progress=steps.inside
        )
        steps.end(len(texts))
        written += [
            (text.m, places[text.index], str(text.prompt), concept or "", text.text, broken)
            for text, broken in zip(texts, _cut(texts), strict=True)
        ]
    block = max(Site.parse(key).block for key in artifact.config.sites)
    calibrations = Calibrations(model, template, block, training) if learns(judge) else None
    table = pd.DataFrame(written, columns=list(TEXT_COLUMNS))
    pairs = [held_out[place] for place in table["prompt"]]
    return judge_written(table, pairs, judge=judge, service=service, calibrations=calibrations, progress=steps.inside)


def judge_written(
    texts: pd.DataFrame,
    pairs: Sequence[Pair],
    *,
    judge: str = "self",
    service: Service | None = None,
    calibrations: Calibrations | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Score texts that are written already.

    Args:
        texts: ``TEXT_COLUMNS``, a row a text.
        pairs: the pair that each one answers.
        judge: a registered judge, ``name:MODEL`` for one that asks a model elsewhere.
        service: where such a judge finds it.
        calibrations: of a judge that learns, for each concept; None for another.
        progress: called with (texts judged, texts in all).

    Returns:
        As ``judge_texts``, sorted by m, then by prompt.

    Raises:
        ConfigError: there is no such judge, or one that learns has nothing to learn from.
        DataError: a concept with too few training pairs, or a pair that the judge does not know.
        ServiceError: a judge that asks a model elsewhere gets no answer.
    """
    steps, rows = Steps(len(texts), progress), []
    accuracy: dict[str, float] = {}
    written = list(texts[list(TEXT_COLUMNS)].itertuples(index=False, name=None))
    named = list(zip(written, pairs, strict=True))
    for concept in dict.fromkeys(row[3] for row in written):
        members = [row for row in written if row[3] == concept]
        asked = [pair for row, pair in named if row[3] == concept]
        answers = [str(text) for *_, text, _ in members]
        told = None if calibrations is None else calibrations.of(str(concept) or None)
        scorer = prepared_judge(judge, told, steps.heard_by(service or Service(), len(members)))
        if (share := getattr(scorer, "accuracy", None)) is not None:
            accuracy[str(concept) or "default"] = float(share)
        cut = [bool(broken) for *_, broken in members]
        found = scores_of(scorer, [pair.prompt for pair in asked], answers, asked, cut)
        steps.end(len(members))
        for row, scores in zip(members, found, strict=True):
            renamed = {"carries" if name == "concept" else name: value for name, value in scores.items()}
            rows.append({**dict(zip(TEXT_COLUMNS, row, strict=True)), **renamed})
    return pd.DataFrame(rows).sort_values(["m1", "prompt"], kind="stable").reset_index(drop=True), accuracy


def _cut(written: Sequence[Generated]) -> list[bool]:
    """Of each text, those at m = 0 among them, whether it is cut off."""
    bare_ended = {text.index: text.ended for text in written if text.m == 0}
    return [cut_off(text.text, text.ended, bare_ended[text.index]) for text in written]
