"""``easyedit-split train``: train an intervention on pairs and write it as an artifact."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ...config import require
from ...datasets.base import PairTable
from ...model.load_options import LoadOptions
from ...scoring.engine.engine import EngineConfig
from ...steering.artifact import Artifact
from ...training.checkpoint import Checkpoints
from ...training.recipes import Recipe, compose
from ...training.run_config import RunConfig
from ...training.train_pairs import RunStopped, train_artifact
from ..checkpointing import CheckpointOption, parse_every, resumable_training
from ..console import bar, out, say, say_written
from ..each_concept import EachConceptOption, train_each
from ..engine_options import CacheOption, EngineOption, engine_config
from ..inputs import open_data, open_model
from ..layers import AUTO, choose_layer, parse_layers
from ..loading import DEFAULTS, loads_model
from ..options import (
    ArtifactOutOption,
    ColumnsOption,
    ConceptIdOption,
    ConfigOption,
    DataOption,
    DropBadOption,
    FormOption,
    LayerOption,
    LimitOption,
    ModelOption,
    ObjectiveOption,
    OverwriteOption,
    PlacementOption,
    RunSeedOption,
    SetOption,
    ShowOption,
    SplitSeedOption,
    TrainMaxLengthOption,
    TrainSplitOption,
    UnpairedOption,
)
from ..output_paths import check_folder, hold
from ..rescue import write_or_rescue
from ..unpaired import fit_unpaired

EPILOG = """Example: easyedit-split train --model testbed:gemma2 --data testbed:power --form vector --objective split
--layer 3 --out power-vector"""


@loads_model
def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    data: DataOption,
    to: ArtifactOutOption,
    form: FormOption = "vector",
    objective: ObjectiveOption = "split",
    layer: LayerOption = None,
    placement: PlacementOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    split: TrainSplitOption = None,
    split_seed: SplitSeedOption = 0,
    seed: RunSeedOption = None,
    columns: ColumnsOption = None,
    concept_id: ConceptIdOption = None,
    limit: LimitOption = None,
    max_length: TrainMaxLengthOption = None,
    unpaired: UnpairedOption = False,
    drop_bad: DropBadOption = False,
    loading: LoadOptions = DEFAULTS,
    engine: EngineOption = "auto",
    cache: CacheOption = "auto",
    checkpoint_every: CheckpointOption = "5m",
    each_concept: EachConceptOption = False,
    overwrite: OverwriteOption = False,
    show: ShowOption = False,
) -> None:
    """Train an intervention on answer pairs: a steering vector, LoRA or local weight update; a killed run goes on."""
    every = parse_every(checkpoint_every)
    layers, how = parse_layers(layer), engine_config(engine, cache)
    overrides = [*(settings or []), *options_as_settings(layers, placement, seed, max_length)]
    recipe = compose(form, objective, model=model, dataset=data, config=config, overrides=overrides)
    if show:
        print_settings(recipe)
        return
    scanned = layer == [AUTO] or recipe.needs_layers
    run = (recipe.with_layers([0], AUTO) if scanned else recipe).run_config()
    claim_outputs(to, overwrite, each_concept)
    if unpaired:
        none = "--unpaired has no pairs for a layer scan or --each-concept: name a block, e.g. --layer 20"
        require(not scanned and not each_concept, none)
        refused = {"--split": split, "--columns": columns, "--limit": limit}
        artifact = fit_unpaired(model, data, run, concept_id, drop_bad=drop_bad, loading=loading, refused=refused)
        write_artifact(artifact, run, to, overwrite)
        return
    table = open_data(data, split, "train", split_seed, columns, concept_id, drop_bad, limit)
    network, tokenizer = open_model(model, loading, () if scanned else run.sites)
    if scanned:
        chosen = choose_layer(network, tokenizer, table, run.tokens, drop_bad=drop_bad)
        run = dataclasses.replace(run, layers=(chosen,))
    own: dict[str, Any] = {"model_name": model, "drop_bad": drop_bad, "engine": how}
    if each_concept:
        train_each(network, tokenizer, table, run, to, overwrite=overwrite, **own)
        return
    with resumable_training(to, every) as checkpoints:
        artifact = train_or_keep(network, tokenizer, table, run, to, **own, checkpoints=checkpoints)
        write_artifact(artifact, run, to, overwrite)


def claim_outputs(to: Path, overwrite: bool, each_concept: bool) -> None:
    """Check and lock the folders that a run may write.

    Args:
        to: ``--out``.
        overwrite: ``--overwrite``.
        each_concept: whether ``to`` holds a folder for each concept, made as they are trained.
    """
    if each_concept:
        hold(to)
        return
    check_folder(to, overwrite)
    check_folder(last_good(to), overwrite=True)


def train_or_keep(
    network: Any,
    tokenizer: Any,
    table: PairTable,
    run: RunConfig,
    to: Path,
    model_name: str,
    drop_bad: bool,
    engine: EngineConfig,
    checkpoints: Checkpoints | None = None,
) -> Artifact:
    """Train under a progress bar; when a run diverges, its last finite state is written beside ``to``.

    Args:
        network: the model.
        tokenizer: its tokenizer.
        table: pairs.
        run: the run's configuration.
        to: folder of the artifact.
        model_name: how the record names the model.
        drop_bad: leave bad rows out.
        engine: how losses are computed.
        checkpoints: the run's checkpoint file.

    Raises:
        RunStopped: a loss or gradient was not finite.
    """
    try:
        with bar("training") as advance:
            return train_artifact(
                network,
                tokenizer,
                table,
                run,
                model_name=model_name,
                drop_bad=drop_bad,
                progress=lambda concept, done, total, loss: advance(done, total, f"{concept}  loss {loss:.3f}"),
                engine=engine,
                checkpoints=checkpoints,
            )
    except RunStopped as stopped:
        good = stopped.artifact
        write_or_rescue(last_good(to), lambda place: good.save_pretrained(place, overwrite=True))
        say(f"the last finite state is in {last_good(to)}")
        if checkpoints is not None:
            checkpoints.remove()
        raise


def write_artifact(artifact: Artifact, run: RunConfig, to: Path, overwrite: bool) -> None:
    """Save the trained artifact and print its path.

    Args:
        artifact: what was trained.
        run: the run's configuration.
        to: folder to write.
        overwrite: replace it where it exists.
    """
    write_or_rescue(to, lambda place: artifact.save_pretrained(place, overwrite=overwrite and place == to))
    say_written(f"{len(artifact.concepts)} intervention(s), {describe_run(run)},", to)


def options_as_settings(
    layer: list[int] | None, placement: str | None, seed: int | None, max_length: int | None = None
) -> list[str]:
    """Options of the command as ``--set`` settings.

    Args:
        layer: ``--layer``.
        placement: ``--placement``.
        seed: ``--seed``.
        max_length: ``--max-length``.
    """
    found = [f"layers={list(layer)}"] if layer else []
    found += [f"placement={placement}"] if placement else []
    found += [f"train.seed={seed}"] if seed is not None else []
    return found + ([f"tokens.max_length={max_length}"] if max_length is not None else [])


def last_good(to: Path) -> Path:
    """Path of the last finite state of a diverged run.

    Args:
        to: the folder that ``--out`` names.
    """
    return to.with_name(to.name + "-last-good")


def describe_run(run: RunConfig) -> str:
    """Form, objective and layers in a few words.

    Args:
        run: the run's configuration.
    """
    layers = ", ".join(str(layer) for layer in run.layers)
    return f"{run.form} x {run.objective} at layer {layers}"


def print_settings(recipe: Recipe) -> None:
    """Print every setting, its value, and the file that sets it.

    Args:
        recipe: the composed recipe.
    """
    from rich.table import Table

    shown = Table("setting", "value", "from", box=None)
    lines = (recipe.with_layers([0], "a layer scan of the model") if recipe.needs_layers else recipe).lines()
    for line in lines:
        scanned = recipe.needs_layers and line.key == "layers"
        shown.add_row(line.key, AUTO if scanned else str(line.value), line.origin)
    out.print(shown)
