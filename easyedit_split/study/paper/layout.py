"""Where everything of a study lies: the name of each file of its folder, and what it holds.

| file under the study's folder | holds |
| --- | --- |
| ``plan.json`` | what was asked for: ``records.StudyPlan`` |
| ``log.jsonl`` | when each item was made and how long it took; no result |
| ``runs/MODEL/DATASET/CELL/seed-N/`` | a run: one cell of one seed; the files below |
| ``tables/NAME.csv``, ``.md``, ``.tex`` | the tables, ``TABLES`` names them |
| ``figures/NAME.png``, ``.svg`` | the figures, ``FIGURES`` names them |

| file of a run | made by | holds |
| --- | --- | --- |
| ``artifact/`` | train | the intervention, one of each concept |
| ``sweep-SPLIT.parquet`` | sweep | ``sweep_table``: train, dev and test pairs over m |
| ``collateral.csv`` | side | ``scoring.collateral``: KL on neutral prompts over m |
| ``fits.json`` | fit | ``records.FitRecord``: R2 of both curves, direct and from train to test |
| ``rivals.json`` | rivals | ``records.RivalRecord``: other curves than the paper's on the training pairs |
| ``judged-dev.parquet`` | choose | as ``judged.parquet``, dev prompts at a few m, for "best" |
| ``chosen.json`` | choose | ``records.ChosenStrength``: the m of each column of Table 3 |
| ``generated/NAME_results.json`` | generate | test prompts answered at that m (``records.ResultRow``) |
| ``judged.parquet`` | judge | ``JUDGED_COLUMNS`` and the judge's scores, a row per judge, strength and answer |
| ``failed.json`` | train | ``records.Failure``: why there is no artifact, and so nothing else |
| ``texts.json`` | texts | ``records.TextRow``: a few test prompts answered at every swept m |

Beside the runs of a model and dataset lie ``identity.json``, digests of the weights and pairs that they are of,
``layers.csv``, the scan that chose the block where no recipe names one, and ``judge-NAME-CONCEPT.json``, what a judge
has learnt from the training pairs (``judge-NAME.json`` where they name no concept).

Each file appears whole when its item is complete and depends on the plan alone, neither on time nor on machine. The two
baselines, ``vanilla`` and ``prompt``, have no artifact, no m and no fits: a sweep of the test pairs at m = 0,
``generated/baseline_results.json`` and ``judged.parquet``. Names of models and datasets in paths are
``steering.concept_folders.folder_names``; the plan has them as they were written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

PLAN = "plan.json"
LOG = "log.jsonl"
RUNS, TABLE_FOLDER, FIGURE_FOLDER = "runs", "tables", "figures"

TABLES = ("table2", "table3", "table5", "table6", "rivals", "iso-utility", "iso-kl", "verdicts", "agreement")
"""Fits on train; scores; fits on test; train to test; other curves; gains at equal utility and KL, counted; judges."""
TABLE_SUFFIXES = (".csv", ".md", ".tex")
FIGURES = ("figure-m", "figure-r")
"""Beginning of the names of the figures, over m and over r: ``figure-m-MODEL-DATASET``."""

SweepSplit: TypeAlias = Literal["train", "dev", "test"]
SWEEP_SPLITS: tuple[SweepSplit, ...] = ("train", "dev", "test")

PUBLISHED, BEST, RECOMMENDED, BASELINE = "published", "best", "recommended", "baseline"
STRENGTHS = (PUBLISHED, BEST, RECOMMENDED)
"""Names of the three chosen m: 1.0 as published, best judged on dev prompts, recommended from dev pairs."""

JUDGED_COLUMNS = ("judge", "strength", "m1", "concept", "pair", "prompt", "text", "cut_off")
"""Columns that every judged table has, before the scores."""
SCORE = "score_"
"""Beginning of the name of a score's column, ``score_overall``; a score that a judge does not give is empty."""


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run, see the module's second table.

    Attributes:
        folder: ``runs/MODEL/DATASET/CELL/seed-N``.
    """

    folder: Path

    @property
    def artifact(self) -> Path:
        """Folder of the trained intervention."""
        return self.folder / "artifact"

    @property
    def fits(self) -> Path:
        """R2 of the fitted curves."""
        return self.folder / "fits.json"

    @property
    def rivals(self) -> Path:
        """Other curves than the paper's."""
        return self.folder / "rivals.json"

    @property
    def chosen(self) -> Path:
        """The chosen m."""
        return self.folder / "chosen.json"

    @property
    def judged(self) -> Path:
        """Judged answers to test prompts."""
        return self.folder / "judged.parquet"

    @property
    def judged_dev(self) -> Path:
        """Judged answers to dev prompts at a few m."""
        return self.folder / "judged-dev.parquet"

    @property
    def collateral(self) -> Path:
        """KL divergence on neutral prompts over m."""
        return self.folder / "collateral.csv"

    @property
    def failed(self) -> Path:
        """Why training ended without an artifact."""
        return self.folder / "failed.json"

    @property
    def texts(self) -> Path:
        """Answers to a few test prompts at every swept m."""
        return self.folder / "texts.json"

    @property
    def group(self) -> Path:
        """Folder of all runs of the model and dataset."""
        return self.folder.parent.parent

    def sweep(self, split: SweepSplit) -> Path:
        """The sweep of one split.

        Args:
            split: ``train``, ``dev`` or ``test``.
        """
        return self.folder / f"sweep-{split}.parquet"

    def generated(self, strength: str) -> Path:
        """Answers to the test prompts at one chosen m.

        Args:
            strength: one of ``STRENGTHS``, or ``baseline``.
        """
        return self.folder / "generated" / f"{strength}_results.json"
