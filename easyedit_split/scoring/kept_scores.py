"""Scores of a sweep as they are finished: by this process, by others beside it, and by a run that was interrupted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from ..files.journal import Parts
from ..types import Scores
from .crew import Crew

Point: TypeAlias = tuple[float, float]
"""``(m1, m2)``."""


class KeptScores:
    """What an interrupted sweep had scored, and what this one adds; JSON keeps every bit of a float.

    Args:
        journal: of the sweep; None where it keeps none.
        crew: the processes that share the work; what their journals hold is known to all.

    Attributes:
        scores: by concept and point.
    """

    def __init__(self, journal: Parts | None, crew: Crew) -> None:
        self.journal, self.crew = journal, crew
        self.scores: dict[tuple[str, Point], Scores] = {}
        self._fresh: dict[tuple[str, Point], Scores] = {}
        for record in crew.everyone(journal.records if journal else ()):
            self.scores[record["concept"], (record["m1"], record["m2"])] = Scores(
                L_p=np.array(record["L_p"]),
                L_n=np.array(record["L_n"]),
                T_p=np.array(record["T_p"], dtype=np.int64),
                T_n=np.array(record["T_n"], dtype=np.int64),
            )

    def to_score(self, concepts: Sequence[str], points: Sequence[Point]) -> dict[str, list[int]]:
        """Shard of the unscored points for this process: for each concept places in ``points``, in order.

        Args:
            concepts: the artifact's names of them.
            points: in order.
        """
        items = itertools.product(concepts, enumerate(points))
        mine: dict[str, list[int]] = {}
        for concept, place in self.crew.share([(c, i) for c, (i, point) in items if (c, point) not in self.scores]):
            mine.setdefault(concept, []).append(place)
        return mine

    def filled(
        self,
        concept: str,
        points: Sequence[Point],
        places: Sequence[int],
        scorer: Callable[..., Iterator[Scores]],
    ) -> Iterator[Scores]:
        """New scores of a concept, each written to the journal as it is finished.

        Args:
            concept: the artifact's name of it.
            points: in order.
            places: which of them are wanted, in order.
            scorer: called with the places in ``points`` that are ``known``; gives the others in order.
        """
        others = {*range(len(points))} - {*places}
        for place, scores in zip(places, scorer(known=others), strict=True):
            self._keep(concept, points[place], scores)
            yield scores

    def share(self) -> None:
        """All-gather the scores of all processes."""
        self.scores |= dict(self.crew.everyone(list(self._fresh.items())))
        self._fresh.clear()

    def _keep(self, concept: str, point: Point, scores: Scores) -> None:
        """Write new scores to the journal."""
        self._fresh[concept, point] = scores
        if self.journal is not None:
            values = {name: getattr(scores, name).tolist() for name in ("L_p", "L_n", "T_p", "T_n")}
            self.journal.append({"concept": concept, "m1": point[0], "m2": point[1], **values})
