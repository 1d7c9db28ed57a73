"""`easyedit-split train`: fit an intervention on pairs and write it as an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..pipeline import RunStopped
from ..pipeline import train as train_pairs
from ..recipes import Recipe, compose
from ..run import RunConfig
from .common import DATA_HELP, MODEL_HELP, bar, console, open_data, open_model, out, refuse_existing

EPILOG = """Example: easyedit-split train --model testbed:gemma2 --data testbed:power --form vector --objective split
--layer 3 --out power-vector"""


def command(
    model: Annotated[str, typer.Option(help=MODEL_HELP)],
    data: Annotated[str, typer.Option(help=DATA_HELP)],
    to: Annotated[Path, typer.Option("--out", help="Folder for the artifact.")],
    form: Annotated[str, typer.Option(help="vector, lora or local_weight.")] = "vector",
    objective: Annotated[str, typer.Option(help="split, sft, reps or diff_mean.")] = "split",
    layer: Annotated[
        list[int] | None, typer.Option(help="Block, counted from 0; give it again for more. Default: the recipe's.")
    ] = None,
    placement: Annotated[
        str | None, typer.Option(help="site: at the map's own output; block_output: at the block's, as EasyEdit2.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings that replace the recipe's.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, e.g. --set train.lr=0.01. Last word.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="train (default for datasets with splits), dev or test.")] = None,
    split_seed: Annotated[int, typer.Option(help="Seed of the dataset's split.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Seed of the training run.")] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns of your own file: prompt=A,positive=B,negative=C.")
    ] = None,
    concept_id: Annotated[int | None, typer.Option(help="One concept of a dataset with several.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many pairs (of each concept).")] = None,
    drop_bad: Annotated[bool, typer.Option("--drop-bad", help="Leave out bad rows and name them.")] = False,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16, float64. Default: as saved.")] = None,
    device: Annotated[str | None, typer.Option(help="e.g. cpu, cuda, cuda:1, auto.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing --out.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print every setting and where it comes from; do nothing.")
    ] = False,
) -> None:
    """Train an intervention on answer pairs: a steering vector, LoRA or local weight update."""
    overrides = list(settings or [])
    overrides += [f"layers={list(layer)}"] if layer else []
    overrides += [f"placement={placement}"] if placement else []
    overrides += [f"train.seed={seed}"] if seed is not None else []
    recipe = compose(form, objective, model=model, dataset=data, config=config, overrides=overrides)
    if show:
        print_settings(recipe)
        return
    run = recipe.run()
    refuse_existing(to, overwrite)
    table, source = open_data(
        data,
        split,
        default_split="train",
        seed=split_seed,
        columns=columns,
        concept_id=concept_id,
        drop_bad=drop_bad,
        limit=limit,
    )
    network, tokenizer = open_model(model, dtype, device)
    try:
        with bar("training") as advance:
            artifact = train_pairs(
                network,
                tokenizer,
                table.pairs,
                run,
                model_name=model,
                source=source,
                drop_bad=drop_bad,
                progress=lambda concept, done, total, loss: advance(done, total, f"{concept}  loss {loss:.3f}"),
            )
    except RunStopped as stopped:
        place = to.with_name(to.name + "-last-good")
        stopped.artifact.save_pretrained(place, overwrite=True)
        console.print(f"the last good state is in {place}")
        raise
    artifact.save_pretrained(to, overwrite=overwrite)
    console.print(f"{len(artifact.concepts)} intervention(s), {describe_run(run)}, written to [bold]{to}[/bold]")


def describe_run(run: RunConfig) -> str:
    """Form, objective and layers in a few words."""
    layers = ", ".join(str(layer) for layer in run.layers)
    return f"{run.form} x {run.objective} at layer {layers}"


def print_settings(recipe: Recipe) -> None:
    """Every setting, its value, and the file that it comes from."""
    from rich.table import Table

    shown = Table("setting", "value", "from", box=None)
    for line in recipe.lines():
        shown.add_row(line.key, str(line.value), line.origin)
    out.print(shown)
