"""What every process that makes a study's runs does, whoever started it: load a model, keep it, make item after item.

What is made does not depend on who makes it: every process computes with one thread of the CPU, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ...model.load_options import LoadOptions
from ...types import SteeringError
from .beforehand import check_rows
from .bench import Bench, Opened
from .layout import LOG
from .plan import Run, StudyPlan
from .work import make_missing, missing

MOST_ON_CPU = 4
"""Processes on a machine's CPU, unless the user says otherwise: each holds a model of its own."""


class Opener:
    """Loads models, and keeps the last one.

    Args:
        loading: how they are loaded.
    """

    def __init__(self, loading: LoadOptions) -> None:
        self.loading = loading
        self._held: tuple[str, Opened] | None = None

    def __call__(self, name: str) -> Opened:
        """A model and its tokenizer.

        Args:
            name: as ``load_model`` takes it.
        """
        from transformers.utils import logging as transformers_logging

        from ...model.load import load_model

        if self._held is None or self._held[0] != name:
            self._held = None  # before another is loaded
            transformers_logging.disable_progress_bar()
            self._held = (name, load_model(name, **asdict(self.loading)))
        return self._held[1]


@dataclass
class Maker:
    """Makes runs in this process; the bench of the last model and dataset is kept.

    Attributes:
        folder: the study's.
        plan: its plan.
        open_model: loads models.
    """

    folder: Path
    plan: StudyPlan
    open_model: Callable[[str], Opened]
    _bench: Bench | None = None

    def make(self, run: Run) -> Iterator[str]:
        """Make what is missing of a run.

        Args:
            run: which run.

        Yields:
            The name of each item, when it is made.
        """
        if not missing(run):
            return
        if self._bench is None or (self._bench.model_name, self._bench.data.label) != (run.model, run.dataset):
            self._bench = None
            bench = Bench(run.paths.group, self.plan, run.model, self.plan.data(run.dataset), self.open_model)
            check_rows(bench)
            self._bench = bench
        for _, item in make_missing(self._bench, [run], self.folder / LOG):
            yield item.name


@contextmanager
def one_thread(loading: LoadOptions) -> Iterator[None]:
    """One thread for matrix products on the CPU: sums are added in one order, and processes leave each other room.

    Args:
        loading: says on which device; one that may spread a model over CPU and GPU keeps all threads.
    """
    import torch

    before = torch.get_num_threads()
    if loading.device != "auto":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def failure(error: BaseException) -> SteeringError:
    """What is said of an error in a process that nobody foresaw; where it happened was printed.

    Args:
        error: the error.
    """
    return SteeringError(f"a process of the study failed: {error!r}; its place is above")


def death(how: str) -> SteeringError:
    """What is said of a process that ended before its work was done.

    Args:
        how: what is known of it, e.g. ``with exit code -9``.
    """
    return SteeringError(
        f"a process of the study ended {how}: what was made is kept; where memory is short, give fewer --workers"
    )
