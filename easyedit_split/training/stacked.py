"""Answer losses of many runs from shared launches: the runs' pairs are one set of texts, their rows stand side by side.

    lane = one side of one run's batch        a launch holds rows of any lanes, the widest first

Cached states and kept keys are those of all runs' texts together. A lane's rows are packed as it would pack them alone,
and its dropout is drawn in the order in which it would draw it alone, so each run gets what it gets alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..scoring.engine.check import model_code, require_agreement
from ..scoring.engine.config import EngineConfig
from ..scoring.engine.engine import Engine, Prepared
from ..scoring.engine.launch import Launch, Strengths, batched
from ..scoring.engine.packing import PackedRow
from ..scoring.engine.release import released
from ..scoring.engine.stacked import Lane, can_share, shared, stacked_losses
from ..scoring.engine.texts import read_texts
from ..scoring.score import answer_rows
from ..text.batching import Row
from .answers import LossPart, Side, launches_of, part_of
from .one_run import TrainingRun

PADDING = 0.25
"""Share of a shared launch that may be padding: its rows are few, and waiting for a further launch costs more."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One of the runs that share launches.

    Attributes:
        run: what is trained.
        prepared: the texts of all runs, ready for its kind of intervention.
        texts: for each answer's name the text of each of its pairs.
    """

    run: TrainingRun
    prepared: Prepared
    texts: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class _Planned:
    """A lane's rows, in the order in which it would run them alone, with its noise drawn."""

    cell: Cell
    side: Side
    rows: list[PackedRow]
    strengths: Strengths
    kept: list[Tensor]

    @classmethod
    def of(cls, engine: Engine, cell: Cell, side: Side) -> _Planned:
        launches: list[Launch] = launches_of(engine, cell.prepared, cell.texts, side)
        rows = [row for launch in launches for row in launch.rows]
        (site,) = cell.run.intervention.sites
        width = cell.run.intervention[site].d_out
        kept = side.dropout.of_rows([len(row.node) for row in rows], width) if side.dropout else []
        return cls(cell, side, rows, launches[0].strengths[0], kept)

    def lane(self, chosen: Sequence[int]) -> Lane:
        """Rows of this run in the form that a launch takes.

        Args:
            chosen: places in ``rows``.
        """
        delta = self.side.delta
        if self.side.dropout is not None:
            delta = self.side.dropout.drawn(delta, [self.kept[place] for place in chosen])
        rows = tuple(self.rows[place] for place in chosen)
        return Lane(self.cell.prepared, rows, self.strengths, self.cell.run.intervention, delta)


class Stack:
    """Runs whose launches are shared.

    Args:
        engine: made inside ``frozen``.
        cells: entered behind the same block.
    """

    def __init__(self, engine: Engine, cells: Sequence[Cell]) -> None:
        self.engine, self.cells = engine, tuple(cells)
        self.together = shared(engine, [cell.prepared for cell in cells])

    def at_work(self) -> AbstractContextManager[None]:
        """Inside, parts are asked for and lower blocks may leave the device."""
        return released(self.engine, *(cell.prepared for cell in self.cells))

    def parts(self, lanes: Sequence[tuple[Cell, Side]]) -> Iterator[list[tuple[int, LossPart]]]:
        """Losses of all lanes, one list a launch, with the lane that each part is of.

        Args:
            lanes: one side each of a batch of a cell.
        """
        planned = [_Planned.of(self.engine, cell, side) for cell, side in lanes]
        places = [(i, place) for i, lane in enumerate(planned) for place in range(len(lane.rows))]
        places.sort(key=lambda at: -len(planned[at[0]].rows[at[1]].node))
        widths = [len(planned[i].rows[place].node) for i, place in places]
        for part in batched(widths, self.engine.launch_tokens, PADDING):
            chosen: dict[int, list[int]] = defaultdict(list)
            for i, place in places[part]:
                chosen[i].append(place)
            losses = stacked_losses(self.engine, self.together, [planned[i].lane(rows) for i, rows in chosen.items()])
            found = []
            for (i, rows), L in zip(chosen.items(), losses, strict=True):
                units = [unit for place in rows for unit in planned[i].rows[place].units]
                found.append((i, part_of(planned[i].side, units, L)))
            yield found


def stacks_of(model: nn.Module, runs: Sequence[TrainingRun], config: EngineConfig) -> list[Stack]:
    """The runs that can share launches, by the block behind which they enter.

    Args:
        model: frozen and in evaluation mode.
        runs: any; those that cannot share are in no stack.
        config: how the engine works.

    Raises:
        EngineRefused: the engine cannot promise the plain scorer's numbers for these texts.
    """
    rows = {run: answer_rows(run.pairs) for run in runs}
    known: dict[Row, int] = {}
    for row in (row for own in rows.values() for row in own):
        known.setdefault(row, len(known))
    cells: dict[int, list[Cell]] = defaultdict(list)
    with model_code(), torch.no_grad():
        engine, texts = Engine(model, config), read_texts(list(known))
        ready: dict[str, Prepared] = {}
        for run, own in rows.items():
            intervention, n = run.intervention, len(run.pairs)
            kind = repr(intervention.config)
            if kind not in ready:
                ready[kind] = engine.prepare(texts, intervention.config)
                require_agreement(engine, ready[kind], intervention)
            places = [known[row] for row in own]
            cell = Cell(run, ready[kind], {"positive": places[:n], "negative": places[n:]})
            if can_share(cell.prepared):
                cells[cell.prepared.entry.block].append(cell)
        return [Stack(engine, group) for group in cells.values() if len(group) > 1]
