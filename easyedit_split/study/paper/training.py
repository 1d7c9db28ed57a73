"""Item ``train``: one cell's interventions, one of each concept, from the dataset's training pairs."""

from __future__ import annotations

from ...training.train_pairs import RunStopped, train_artifacts
from .bench import Bench, write_json
from .plan import Run
from .records import Failure, plain_rows


def train_run(bench: Bench, run: Run) -> None:
    """Train a run's artifact; a run that cannot be trained says why in ``failed.json``, and the study goes on.

    Args:
        bench: of the run's model and dataset.
        run: what to train.

    Raises:
        ConfigError: settings that do not fit the model.
        DataError: a row that cannot be encoded.
    """
    settings = bench.run_config(run.cell, run.seed)
    try:
        (artifact,) = train_artifacts(
            bench.model,
            bench.tokenizer,
            bench.pairs.train,
            [settings],
            model_name=run.model,
            engine=bench.engine,
            stacked=bench.stacked,
        )
    except RunStopped as stop:
        fail(run, str(stop))
        return
    if artifact.unit is None or not artifact.unit.r_per_m > 0:
        fail(run, "training left the intervention without an effect: r at m = 1 is 0")
        return
    artifact.save_pretrained(run.paths.artifact, overwrite=True)


def fail(run: Run, reason: str) -> None:
    """Keep why a run has no artifact.

    Args:
        run: which run.
        reason: one sentence.
    """
    write_json(run.paths.failed, plain_rows([Failure(reason)])[0])
