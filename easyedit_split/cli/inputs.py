"""Load the model and the data that a command's options name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from ..datasets.base import PairTable, Split
from ..datasets.load import default_split_of, load_dataset
from ..model.load_options import LoadOptions
from ..steering.artifact import Artifact
from ..types import ConfigError
from .console import console, say


def parse_columns(text: str | None) -> dict[str, str] | None:
    """Parse ``"prompt=q,positive=good,negative=bad"`` as a mapping.

    Args:
        text: the option's text.

    Raises:
        ConfigError: not of that form.
    """
    if text is None:
        return None
    columns = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise ConfigError(f"--columns {text}: write prompt=NAME,positive=NAME,negative=NAME[,concept=NAME]")
        columns[key.strip()] = value.strip()
    return columns


def open_data(
    data: str,
    split: str | None,
    default_split: Split,
    seed: int = 0,
    columns: str | None = None,
    concept_id: int | None = None,
    drop_bad: bool = False,
    limit: int | None = None,
) -> PairTable:
    """Load the pairs of ``--data`` and print the loader's notes.

    Args:
        data: a dataset's name or a file.
        split: ``--split``.
        default_split: taken where ``split`` is None, of datasets that have splits and of files that declare it; any
            other file is used whole, and that is said.
        seed: ``--split-seed``.
        columns: ``--columns``.
        concept_id: ``--concept-id``.
        drop_bad: ``--drop-bad``.
        limit: ``--limit``.
    """
    chosen = split or default_split_of(data, default_split)
    table = load_dataset(
        data,
        split=chosen,
        seed=seed,
        columns=parse_columns(columns),
        concept_id=concept_id,
        drop_bad=drop_bad,
        limit=limit,
    )
    if chosen is None:
        say(f"{table.name}: declares no split {default_split!r}, so the whole file is used", "dim")
    for note in table.notes:
        say(f"{table.name}: {note}", "dim")
    return table


def check_artifact(artifact: Artifact, network: Any, tokenizer: Any, name: str, of_which: str = "") -> None:
    """Raise unless an artifact fits a model; print what differs from its record.

    Args:
        artifact: from ``--intervention``.
        network: the model.
        tokenizer: its tokenizer.
        name: ``--model``.
        of_which: says which artifact it is, where there are several.

    Raises:
        ArtifactError: another architecture, a site that does not fit, or other weights.
    """
    for note in artifact.check_model(network, name=name, tokenizer=tokenizer):
        say(f"the artifact's model{of_which} differs: {note}", "yellow")


def open_model(name: str, loading: LoadOptions, sites: Sequence[str] = ()) -> tuple[Any, Any]:
    """``(model, tokenizer)`` of ``--model``.

    Args:
        name: ``--model``.
        loading: ``--dtype``, ``--device`` and the like.
        sites: that will be steered; a model that lacks one is refused before its weights are read.
    """
    from transformers.utils import logging as transformers_logging

    from ..model.load import load_model

    transformers_logging.disable_progress_bar()
    with console.status(Text(f"loading {name}")):
        return load_model(name, **dataclasses.asdict(loading), sites=sites)
