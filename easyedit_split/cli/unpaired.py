"""The option ``train --unpaired``: fit DiffMean to a table of answers that are not in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import require
from ..datasets.unpaired import load_unpaired
from ..model.load_options import LoadOptions
from ..steering.artifact import Artifact
from ..training.run_config import RunConfig
from ..training.unpaired import require_closed_form, train_unpaired
from .console import say
from .inputs import open_model


def fit_unpaired(
    model: str,
    data: str,
    run: RunConfig,
    concept_id: int | None,
    *,
    drop_bad: bool,
    loading: LoadOptions,
    refused: Mapping[str, Any],
) -> Artifact:
    """Fit DiffMean to one concept of an unpaired table.

    Args:
        model: ``--model``.
        data: the table's path, with or without ``axbench:`` in front.
        run: the run's configuration.
        concept_id: ``--concept-id``.
        drop_bad: ``--drop-bad``.
        loading: how the model is loaded.
        refused: options that choose among pairs, by name, and what was given for them.

    Raises:
        ConfigError: an objective that needs pairs, no concept, or one of the refused options.
        DataError: not such a table, or a bad row.
    """
    require_closed_form(run)
    require(concept_id is not None, "--unpaired fits one concept: name it with --concept-id N")
    given = [name for name, value in refused.items() if value is not None]
    require(not given, f"--unpaired takes every answer of the concept and its genre: leave out {', '.join(given)}")
    assert concept_id is not None
    table = load_unpaired(Path(data.removeprefix("axbench:")), concept_id=concept_id, drop_bad=drop_bad)
    for note in table.notes:
        say(note, "dim")
    network, tokenizer = open_model(model, loading)
    return train_unpaired(network, tokenizer, table, run, model_name=model)
