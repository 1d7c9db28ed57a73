"""Artifacts to sweep, and tables compared."""

from __future__ import annotations

import pandas as pd

from easyedit_split.steering.artifact import Artifact
from easyedit_split.types import Pair

from ..small import PAIRS, World, made

CONCEPTS = tuple(
    Pair(pair.prompt, pair.positive, pair.negative, "joy" if k % 2 else "fear") for k, pair in enumerate(PAIRS)
)


def two(here: World) -> Artifact:
    return Artifact({"fear": made(here, seed=1), "joy": made(here, seed=2)})


def same_table(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a, b, check_exact=True)
