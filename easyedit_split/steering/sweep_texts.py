"""Answers generated at every m of a sweep from the same prompts, as a table to read beside the curves.

``COLUMNS`` names them; a row per concept, m and prompt, m = 0 being the bare model's own text. Greedy unless told
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from torch import nn

from ..config import require
from ..files.journal import Parts
from ..text.prompt_tokens import Template
from .artifact import Artifact
from .generate import GenerateConfig, generate_texts

COLUMNS = ("concept", "m1", "r", "prompt", "text")


def sweep_texts(
    model: nn.Module,
    template: Template,
    artifact: Artifact,
    prompts: Mapping[str, Sequence[str]],
    m: Sequence[float],
    *,
    config: GenerateConfig | None = None,
    journal: Parts | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Generate answers to prompts at each m.

    Args:
        model: the bare model.
        template: of the artifact's token settings.
        artifact: what is applied.
        prompts: of each of the artifact's concepts that are to be shown.
        m: strengths, each once.
        config: lengths and sampling; greedy, 40 tokens where None.
        journal: keeps each finished answer of a single concept; None for none.
        progress: called with (answers written, in all).

    Returns:
        A row per concept, m and prompt; ``r`` is empty where the artifact's record does not say what m = 1 is worth.

    Raises:
        DataError: a prompt that is empty or cannot be encoded.
        ConfigError: no m, or one twice; a concept that the artifact has not; a journal and several concepts.
    """
    require(journal is None or len(prompts) == 1, "a journal of texts is of one concept: give its prompts alone")
    config = config or GenerateConfig(max_new_tokens=40)
    total = len(m) * sum(len(texts) for texts in prompts.values())
    per_m = artifact.unit.r_per_m if artifact.unit else None
    rows: list[tuple[str, float, float | None, str, str]] = []
    for concept, texts in prompts.items():
        before = len(rows)

        def report(done: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        answers = generate_texts(
            model, template, texts, artifact[concept], m, config=config, journal=journal, progress=report
        )
        strengths = (value for value in m for _ in texts)  # answers come by m, then by prompt
        rows += [
            (concept, value, None if per_m is None else per_m * value, a.prompt, a.text)
            for value, a in zip(strengths, answers, strict=True)
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
