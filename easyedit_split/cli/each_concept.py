"""Options ``--each-concept``: an artifact for each concept of a table, and an m for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..analysis import Aim, Recommendation, SweepFit
from ..types import ConfigError
from .console import bar, say, say_written

if TYPE_CHECKING:
    from ..datasets.base import PairTable
    from ..scoring.engine.config import EngineConfig
    from ..training.run_config import RunConfig

EachConceptOption = Annotated[
    bool, typer.Option("--each-concept", help="An artifact for each concept of the data, in folders under --out.")
]
EachConceptMOption = Annotated[
    bool, typer.Option("--each-concept", help="An m for each concept; --save is the folder of `train --each-concept`.")
]


def train_each(
    network: Any,
    tokenizer: Any,
    table: PairTable,
    run: RunConfig,
    to: Path,
    *,
    model_name: str,
    drop_bad: bool,
    engine: EngineConfig,
    overwrite: bool,
) -> None:
    """Train each concept under one progress bar, and say what was made, found and stopped.

    Args:
        network: the model.
        tokenizer: its tokenizer.
        table: pairs with their concepts.
        run: the run's configuration.
        to: the folder of all.
        model_name: how records name the model.
        drop_bad: leave bad rows out.
        engine: how losses are computed.
        overwrite: train anew what is there.

    Raises:
        ConfigError: a concept's training diverged.
    """
    from ..training.each_concept import train_each_concept

    with bar("concepts") as advance:
        made = train_each_concept(
            network,
            tokenizer,
            table,
            run,
            to,
            model_name=model_name,
            drop_bad=drop_bad,
            overwrite=overwrite,
            progress=lambda concept, done, total: advance(done, total, concept),
            engine=engine,
        )
    if made.found:
        say(f"{len(made.found)} concept(s) were there already and are kept", "dim")
    say_written(f"{len(made.folders)} concept(s)", to)
    if made.stopped:
        first, reason = next(iter(made.stopped.items()))
        more = f", and {len(made.stopped) - 1} more" if len(made.stopped) > 1 else ""
        raise ConfigError(f"training of {first!r} was stopped ({reason}){more}: the last finite state is beside it")


def keep_each_m(folder: Path, found: Sequence[tuple[SweepFit, Recommendation]], aim: Aim) -> None:
    """Store the recommended m of each concept in its artifact, and say how many there are.

    Args:
        folder: the folder of all.
        found: recommendations, one for each concept's curve.
        aim: what m was to reach.

    Raises:
        ConfigError: not such a folder, a concept that it has not, or a sweep of the training rows.
    """
    from ..steering.concept_folders import read_index
    from .keep_m import keep_m, to_keep_m

    known = read_index(folder)
    if known is None:
        raise ConfigError(f"{folder} is not a folder of `train --each-concept`: name that one with --save")
    artifacts = {}
    for fit, choice in found:
        concept = fit.curve.concept
        if concept not in known:
            raise ConfigError(f"{folder} has no concept {concept!r}: sweep the data of these concepts")
        if choice.m is not None:
            artifacts[concept] = (to_keep_m(known[concept], fit.curve), fit, choice)
    for concept, (artifact, fit, choice) in artifacts.items():
        keep_m(artifact, known[concept], fit.curve, choice, aim)
    say(f"an m is stored for {len(artifacts)} of {len(found)} concepts in {folder}")
