"""``easyedit-split demo``: a quick tour on the testbed, from training a tiny model's steering to a figure and text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...analysis import curves_of, fit_sweep, look_closer
from ...config import parse_grid
from ...datasets.load import load_dataset
from ...model.load import load_model
from ...scoring.sweep_pairs import sweep_pairs
from ...steering.generate import GenerateConfig, generate_texts
from ...sweep_table import write_table
from ...text.template import Template
from ...training.recipes import compose
from ...training.train_pairs import train_artifact
from ...types import ConfigError
from ..console import bar, console, out
from ..output_paths import check_file, check_folder
from ..summary import print_summary
from .apply import print_answers
from .plot import draw
from .recommend import print_recommendations, recommend_fit

EPILOG = "Example: easyedit-split demo --out demo-out"
MODEL, DATA, FORM, OBJECTIVE = "testbed:gemma2", "testbed:reviews", "vector", "split"


def command(  # noqa: DOC101, DOC103
    to: Annotated[Path, typer.Option("--out", help="Folder for artifact, table and figure.")] = Path("demo-out"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into an existing folder.")] = False,
) -> None:
    """Train SPLIT on the testbed's reviews, sweep m, fit the curves, draw them, and write steered sentences."""
    check_place(to, overwrite)
    model, tokenizer = load_model(MODEL)
    training, held_out = (load_dataset(DATA, split=split) for split in ("train", "test"))
    run = compose(FORM, OBJECTIVE, model=MODEL, dataset=DATA).run_config()
    console.print(f"1. train a steering vector with SPLIT on {len(training)} pairs, {training[0].prompt!r} and so on")
    with bar("training") as advance:
        artifact = train_artifact(
            model,
            tokenizer,
            training,
            run,
            model_name=MODEL,
            progress=lambda concept, done, total, loss: advance(done, total, f"loss {loss:.3f}"),
        )
    artifact.save_pretrained(to / "artifact", overwrite=overwrite)
    reach = 2 * max(run.train.steering_factors)
    console.print(f"2. score {len(held_out)} held-out pairs at 41 values of m, then around the best one")
    with bar("scoring") as advance:
        table = sweep_pairs(
            model,
            tokenizer,
            held_out,
            artifact,
            parse_grid(f"{-reach}:{reach}:41"),
            model_name=MODEL,
            next_points=look_closer,
            progress=advance,
        )
    write_table(table, to / "sweep.parquet")
    print_summary(table)
    console.print("3. fit the curves and choose the m at which the wanted answers are likeliest")
    fits = fit_sweep(curves_of(table), keep_going=True)
    draw(fits, to / "curves.png", title="SPLIT on the testbed's reviews")
    choice = recommend_fit(fits[0])
    print_recommendations([(fits[0], choice)])
    strength = round(choice.m, 1) if choice.m is not None else max(run.train.steering_factors)
    console.print("4. write answers to held-out prompts: unsteered, steered, and far too strongly steered")
    template = Template(tokenizer, artifact.tokens)
    prompts = [pair.prompt for pair in held_out[:3]]
    config = GenerateConfig(max_new_tokens=30)
    answers = generate_texts(model, template, prompts, artifact.only(), (0.0, strength, 4 * strength), config=config)
    print_answers(answers)
    out.print(f"written: {to / 'artifact'}, {to / 'sweep.parquet'}, {to / 'curves.png'}", soft_wrap=True)


def check_place(to: Path, overwrite: bool) -> None:
    """Raise before any work where the tour's folder is taken, or holds something else under one of its names.

    Args:
        to: the tour's folder.
        overwrite: whether ``--overwrite`` was given.

    Raises:
        ConfigError: as ``output_paths`` raises it.
    """
    if to.exists() and not overwrite:
        raise ConfigError(f"{to} exists already: choose another --out, or say --overwrite")
    check_folder(to / "artifact", overwrite)
    for name in ("sweep.parquet", "curves.png"):
        check_file(to / name, overwrite)
