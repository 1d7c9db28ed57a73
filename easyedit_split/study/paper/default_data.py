"""What a dataset is judged by in a study, and the sentence of its ``prompt`` baseline, unless the user says otherwise.

The paper's and this package's datasets say it of themselves (``datasets.base.Dataset``), the testbed's follow from its
grammar: the exact judge, and a clause that states the latent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...datasets.base import DATASETS
from ...testbed.domains import DOMAINS
from ...types import ConfigError, DataError
from .records import PlannedData

TESTBED = "testbed:"
TESTBED_SCORES = {
    "persona": ("accuracy",),
    "power": ("power", "overall"),
    "reviews": ("polarity", "overall"),
    "concepts": ("concept", "overall"),
}
NO_JUDGE = "none"
"""In the place of a judge: texts are neither written nor judged."""
TOKENS = {"testbed": 40, "psychopathy": 8}
"""Longest answers, in tokens, that differ from the usual 64."""


def planned_data(
    name: str,
    judges: Sequence[str] = (),
    instructions: Mapping[str, str] | None = None,
    max_new_tokens: int | None = None,
) -> PlannedData:
    """A dataset as a study takes it.

    Args:
        name: as ``load_dataset`` takes it.
        judges: that replace its own; ``none`` alone for no texts.
        instructions: sentences of the ``prompt`` baseline by label or name, which replace its own.
        max_new_tokens: longest answer; its own where None.

    Raises:
        ConfigError: two sentences of one dataset.
        DataError: no dataset of the testbed is called so.
    """
    label = label_of(name)
    given = {key: value for key, value in (instructions or {}).items() if key in (label, name)}
    if len(given) > 1:
        raise ConfigError(f"--instruction: {label} and {name} are one dataset, which takes one sentence: give it once")
    if name.startswith(TESTBED):
        own, scores, instruction, longest = ("testbed",), *_testbed(label), TOKENS["testbed"]
    else:
        kind = DATASETS[label] if label in DATASETS else DATASETS["local"]
        own, scores, instruction, longest = (kind.judge,), kind.scores, kind.instruction, TOKENS.get(label, 64)
    judged = tuple(judges) != (NO_JUDGE,)
    return PlannedData(
        name,
        label,
        (tuple(judges) or own) if judged else (),
        scores if judged else (),
        next(iter(given.values()), instruction),
        longest if max_new_tokens is None else max_new_tokens,
    )


def label_of(name: str) -> str:
    """A dataset's name in tables: without the testbed's prefix, the path or the ending of a file.

    Args:
        name: as ``load_dataset`` takes it.
    """
    if name.startswith(TESTBED):
        return name.removeprefix(TESTBED)
    first, colon, _ = name.partition(":")
    if first in DATASETS and (colon or first == name):
        return first
    last = name.rstrip("/").rpartition("/")[2]
    return last.strip(".").partition(".")[0] or last or name


def _testbed(label: str) -> tuple[tuple[str, ...], str]:
    """Scores and instruction of one of the testbed's datasets."""
    if label not in DOMAINS:
        raise DataError(f"{TESTBED}{label}: no such dataset; allowed: {', '.join(TESTBED + name for name in DOMAINS)}")
    if label == "concepts":
        return TESTBED_SCORES[label], "Mention {concept}."
    domain = DOMAINS[label]
    return TESTBED_SCORES[label], domain.clauses[domain.values[0]][0]
