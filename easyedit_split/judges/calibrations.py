"""What judges that learn are calibrated on: training pairs of every concept; and files that keep what one has learnt.

    of a concept    its own pairs, and at most ``AGAINST`` positive answers of other concepts, of each as many where
                    there are; all judges draw them from one pool, which is read once

A judge made from its file is the one that wrote it, bit for bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, zip_longest
from pathlib import Path

from torch import nn

from ..files.reading import read_bounded
from ..files.tables import decoded, json_value
from ..storage import write_whole
from ..text.prompt_tokens import Template
from ..types import DataError, Pair
from .bare_reading import BareReader
from .base import JUDGES, Calibration, Judge, Recalls, prepared_judge
from .concept_probe import spaced

AGAINST = 64
"""Answers of other concepts that a probe is held against, at most."""


@dataclass(frozen=True)
class Calibrations:
    """The calibration of a judge for each concept.

    Attributes:
        model: the bare model.
        template: how its tokenizer writes a prompt and its answer.
        block: index of the block where the intervention acts.
        training: pairs of all concepts.
    """

    model: nn.Module
    template: Template
    block: int
    training: Sequence[Pair]

    def of(self, concept: str | None) -> Calibration:
        """The calibration of one concept.

        Args:
            concept: of the texts to be judged.
        """
        pairs = [pair for pair in self.training if pair.concept == concept]
        others = [(pair.prompt, pair.positive) for pair in self._pool if pair.concept != concept]
        return Calibration(self.model, self.template, pairs, self.block, spaced(others, AGAINST), self._reader)

    @cached_property
    def _pool(self) -> list[Pair]:
        """The first pair of each concept, then the second: so many that ``AGAINST`` are left without those of one."""
        concepts = list(dict.fromkeys(pair.concept for pair in self.training))
        if len(concepts) < 2:
            return []
        most = math.ceil(AGAINST * len(concepts) / (len(concepts) - 1))
        own = [spaced([pair for pair in self.training if pair.concept == concept], most) for concept in concepts]
        in_turn = (pair for rank in zip_longest(*own) for pair in rank if pair is not None)
        return list(islice(in_turn, most))

    @cached_property
    def _reader(self) -> BareReader:
        again = [(pair.prompt, pair.positive) for pair in self._pool]
        return BareReader(self.model, self.template, self.block, again)


def kept_judge(judge: str, calibration: Calibration, path: Path) -> Judge:
    """A judge that learns, ready to judge; what it has learnt is read from its file, or written there.

    Args:
        judge: of ``JUDGES``.
        calibration: what it learns from.
        path: the file; a judge that cannot say what it has learnt has none.

    Raises:
        ConfigError: no such judge.
        DataError: too little to learn from, or the file holds something else.
    """
    kind = JUDGES[judge]
    if not issubclass(kind, Recalls):
        return prepared_judge(judge, calibration)
    if path.is_file():
        value = json_value(decoded(read_bounded(path, DataError), path), str(path))
        try:
            return kind.recalled(calibration, value)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}: does not hold what the judge {judge} has learnt: delete it") from error
    made = prepared_judge(judge, calibration)
    assert isinstance(made, Recalls)
    text = json.dumps(made.learnt(), indent=1, allow_nan=False) + "\n"
    write_whole(path, lambda to: _write(to, text))
    return made


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
