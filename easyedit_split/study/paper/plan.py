"""What a study was asked for: models, datasets, cells, seeds, grids; and its runs, each in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...config import require
from ...files.reading import first_double, listed, shown
from ...steering.concept_folders import folder_names
from .layout import RUNS, RunPaths

VANILLA, PROMPT = "vanilla", "prompt"
BASELINES = (VANILLA, PROMPT)
_NAME = re.compile(r"[^\W_]([\w .+-]{0,98}[\w+-])?")
"""Of a cell: one folder in a path, whatever the file system."""


@dataclass(frozen=True, slots=True)
class StudyCell:
    """One row of the paper's Table 3: a form and an objective, or a baseline.

    Attributes:
        form: a registered form; empty for a baseline.
        objective: a registered objective; ``vanilla`` or ``prompt`` for a baseline.
        overrides: further settings of its recipe, ``key=value``.
        label: name in paths and tables where the objective's does not tell cells apart, e.g. of an ablation.
        seeded: whether another seed gives another intervention; closed forms and baselines have one seed.
    """

    form: str
    objective: str
    overrides: tuple[str, ...] = ()
    label: str = ""
    seeded: bool = True

    def __post_init__(self) -> None:
        require(
            _NAME.fullmatch(self.name) is not None,
            f"a cell is called {shown(self.name)}, and so is its folder: give it a label of letters, digits, spaces "
            "and any of . _ + -, 100 at most",
        )
        require(
            bool(self.form) or not self.overrides,
            f"{self.name} trains nothing, so overrides would not count: leave them out",
        )

    @property
    def name(self) -> str:
        """Name in paths and messages: ``vector-split``, ``vanilla``."""
        method = self.label or self.objective
        return f"{self.form}-{method}" if self.form else method

    @property
    def method(self) -> str:
        """Name of its row in a table."""
        return self.label or self.objective

    @property
    def baseline(self) -> bool:
        """Whether nothing is trained."""
        return not self.form


@dataclass(frozen=True, slots=True)
class PlannedData:
    """One dataset of a study, and how its texts are judged.

    Attributes:
        name: as ``load_dataset`` takes it, e.g. ``testbed:power`` or ``powerseeking:data``.
        label: name in tables and paths, e.g. ``powerseeking``.
        judges: what judges its texts, the first one choosing m; a registered judge, or ``openai:MODEL``. Where there is
            none, no text is written and no m chosen: preference and utility alone.
        scores: scores that Table 3 shows, of those that the judge gives; the last of them is what "best" m maximises.
        instruction: the sentence of the ``prompt`` baseline, ``{concept}`` standing for a pair's concept; empty for no
            such baseline.
        max_new_tokens: longest answer, in tokens.
    """

    name: str
    label: str
    judges: tuple[str, ...]
    scores: tuple[str, ...]
    instruction: str = ""
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        require(bool(self.scores) or not self.judges, f"{self.name}: no score is named")
        twice = first_double(self.judges)
        require(twice is None, f"the judge {twice} is named twice: name it once")
        require(self.max_new_tokens >= 1, f"--max-new-tokens {self.max_new_tokens}: give at least 1")


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """Everything that a study was asked for; its results depend on nothing else.

    Attributes:
        models: as ``load_model`` takes them.
        datasets: what is trained on, scored and answered.
        cells: baselines first.
        seeds: of training; baselines have the first one alone.
        m: grid of the sweeps, see ``steering.strength_grid``; m = 0 and m = 1 are always among them. Dev pairs, which
            choose m, are swept at m >= 0 alone.
        train_pairs: pairs to train on, over all concepts, at least eight of each; all where None.
        seen: pairs that training of the only concept goes over in a model without a recipe, repeats counted, at most.
        seen_each: the same for each of several concepts; as many where None.
        epochs: of a model's recipe, at most; as many as it has where None.
        sweep_pairs: train and test pairs of a sweep, over all concepts; where None all test pairs, and as many train
            pairs.
        dev_pairs: dev pairs of a sweep, over all concepts; all where None.
        prompts: test prompts that are answered and judged, over all concepts; all where None.
        judged_r: strengths r at which dev prompts are answered and judged, to find the best m.
        judged_prompts: dev prompts of these, over all concepts.
        calibration: training pairs of a concept that a judge learns from, at most.
        texts: test prompts answered at every swept m.
        neutral: neutral prompts on which KL is measured.
        sample: answers are drawn from the model, each with a seed of its own; greedy where False.
        judge_url: address of the API of judges that ask a language model; the usual one where None.
        drop_bad: leave out bad rows of the files, and name them, instead of stopping.
        overrides: further settings of every recipe, ``key=value``.
        versions: of this package and of what its numbers depend on.
    """

    models: tuple[str, ...]
    datasets: tuple[PlannedData, ...]
    cells: tuple[StudyCell, ...]
    seeds: tuple[int, ...] = (0,)
    m: str = "r:+-0.05:4:20"
    train_pairs: int | None = None
    seen: int = 192
    seen_each: int | None = None
    epochs: int | None = None
    sweep_pairs: int | None = None
    dev_pairs: int | None = None
    prompts: int | None = None
    judged_r: tuple[float, ...] = (0.12, 0.24, 0.48, 0.96, 1.92)
    judged_prompts: int = 16
    calibration: int = 64
    texts: int = 3
    neutral: int = 16
    sample: bool = False
    judge_url: str | None = None
    drop_bad: bool = False
    overrides: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        twice = first_double(self.models)
        require(twice is None, f"model {twice} is named twice: name it once")
        label = first_double(data.label for data in self.datasets)
        alike = dict.fromkeys(data.name for data in self.datasets if data.label == label)
        require(len(alike) != 1, f"dataset {listed(alike)} is named twice: name it once")
        require(not alike, f"{listed(alike)} would all be called {label} in tables and folders: rename one of them")
        cells = [cell.name for cell in self.cells]
        require(len(set(cells)) == len(cells), f"two cells share a name among {', '.join(cells)}: give one a label")
        require(bool(self.cells), "there are no cells: name at least one")
        require(bool(self.seeds), "there are no seeds: name at least one")

    def data(self, label: str) -> PlannedData:
        """One of the datasets, by label.

        Args:
            label: as ``Run.dataset`` has it.
        """
        return next(data for data in self.datasets if data.label == label)

    def datasets_of(self, model: str) -> tuple[PlannedData, ...]:
        """The datasets that a model is tried on: the testbed's for its own models, the others for others.

        Args:
            model: as the plan has it.
        """
        return tuple(data for data in self.datasets if _in_testbed(data.name) == _in_testbed(model))


@dataclass(frozen=True, slots=True)
class Run:
    """One cell of one model, dataset and seed, and where its files lie.

    Attributes:
        model: as the plan has it.
        dataset: its label in the plan.
        cell: form and objective, or a baseline.
        seed: of training.
        paths: its files.
        judged: whether texts are written and judged.
    """

    model: str
    dataset: str
    cell: StudyCell
    seed: int
    paths: RunPaths
    judged: bool = True

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"{self.model}, {self.dataset}, {self.cell.name}, seed {self.seed}"


def runs_of(folder: Path, plan: StudyPlan) -> Iterator[Run]:
    """Every run of a plan, made or not: by model, dataset, seed and cell.

    Args:
        folder: the study's.
        plan: its plan.
    """
    models, datasets = folder_names(plan.models), folder_names([data.label for data in plan.datasets])
    for model in plan.models:
        for data in plan.datasets_of(model):
            for seed in plan.seeds:
                for cell in plan.cells:
                    if (not cell.seeded and seed != plan.seeds[0]) or (
                        cell.objective == PROMPT and not data.instruction
                    ):
                        continue
                    place = folder / RUNS / models[model] / datasets[data.label] / cell.name / f"seed-{seed}"
                    yield Run(model, data.label, cell, seed, RunPaths(place), bool(data.judges))


def _in_testbed(name: str) -> bool:
    return name.startswith("testbed:")
