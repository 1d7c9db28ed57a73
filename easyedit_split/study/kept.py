"""What an interrupted run of ``steer`` had finished: its training in a checkpoint, everything after it in a journal.

    journal = sections: a part a line of each sweep's (concept, m), of each answer, of each table that is made whole

A section's name holds the digest of the artifact that it was made with, so that what was scored with another one is not
taken for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ..files.journal import Journal, Parts
from ..training.checkpoint import Checkpoints


@dataclass(frozen=True)
class Kept:
    """Where a run keeps what it has finished; nowhere unless told.

    Attributes:
        checkpoints: the checkpoint file of its training.
        journal: of all that follows.
    """

    checkpoints: Checkpoints | None = None
    journal: Journal | None = None

    def section(self, name: str) -> Parts | None:
        """The journal's section of a stage, or None.

        Args:
            name: of the stage, with everything that it depends on beside the run's fingerprint.
        """
        return None if self.journal is None else self.journal.section(name)

    def table(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """A table that is kept whole: made here, or read back as it was made.

        Args:
            name: of the stage, with everything that it depends on beside the run's fingerprint.
            make: makes it; its columns hold numbers, texts or truth values.
        """
        section = self.section(name)
        if section is not None and section.records:
            columns = section.records[-1]["columns"]
            return pd.DataFrame({key: pd.Series(values, dtype=kind) for key, kind, values in columns})
        table = make()
        if section is not None:
            section.append({"columns": [[key, str(table[key].dtype), table[key].tolist()] for key in table.columns]})
        return table


NOWHERE = Kept()
