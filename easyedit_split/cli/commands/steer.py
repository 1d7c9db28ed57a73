"""``easyedit-split steer``: one command from pairs to a steered model with report and usage."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ...datasets.base import PairTable
from ...model.load_options import LoadOptions
from ...study.plan import SteerData, SteerPlan, data_for
from ...study.report import ARTIFACT, FILES, LAST, gains, one_line, strength_names, usage, write_result
from ...study.steer import SteerResult, steer
from ...training.objectives.base import OBJECTIVES
from ..checkpointing import CheckpointOption, parse_every, resumable_study
from ..console import ConsoleTeller, out, say, say_written
from ..fingerprint import model_identity, pairs_identity
from ..inputs import open_model, parse_columns
from ..layers import AUTO, parse_layers, print_scan
from ..loading import DEFAULTS, loads_model
from ..options import (
    ColumnsOption,
    ConceptIdOption,
    DataOption,
    DropBadOption,
    ModelOption,
    OverwriteOption,
    SetOption,
    SplitSeedOption,
)
from ..output_paths import check_file, check_folder
from ..rescue import write_or_rescue
from ..resuming import unfinished
from ..summary import print_summary

EPILOG = """Example: easyedit-split steer --model smollm2 --data everyday --out cheerful

Example: easyedit-split steer --model smollm2 --data manners --concept-id 0 --out pirate

Example: easyedit-split steer --model smollm2 --data pairs.jsonl --objective all --out compared"""
ALL = "all"


@loads_model
def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    data: DataOption,
    to: Annotated[Path, typer.Option("--out", help="Folder for artifact, report, tables and figure.")],
    form: Annotated[str, typer.Option(help="vector, lora or local_weight.")] = "lora",
    objective: Annotated[
        str, typer.Option(help="split, sft, reps or diff_mean; all compares those that can train the form.")
    ] = "split",
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Block index from 0 (repeat for several), or auto. Default: the recipe's, else auto."),
    ] = None,
    m: Annotated[str, typer.Option(help="Grid of the sweep, as `sweep` takes it.")] = "auto",
    refine: Annotated[
        bool, typer.Option("--refine", help="Then refine the grid where the wanted answers are likeliest.")
    ] = False,
    settings: SetOption = None,
    train_pairs: Annotated[int | None, typer.Option(help="Largest number of training pairs. Default: all.")] = None,
    test_pairs: Annotated[int, typer.Option(help="Largest number of held-out pairs to score.")] = 32,
    max_kl: Annotated[
        float | None,
        typer.Option(help="Largest KL divergence allowed on neutral prompts at the chosen m, nats per token."),
    ] = None,
    judge: Annotated[
        int, typer.Option(help="Dev prompts whose texts the unsteered model scores, to choose m; 0: the pairs choose.")
    ] = 8,
    neutral: Annotated[
        int, typer.Option(help="Number of neutral prompts on which side effects are measured; 0: none.")
    ] = 64,
    texts: Annotated[int, typer.Option(help="Number of held-out prompts that are answered.")] = 10,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 40,
    split_seed: SplitSeedOption = 0,
    columns: ColumnsOption = None,
    concept_id: ConceptIdOption = None,
    drop_bad: DropBadOption = False,
    loading: LoadOptions = DEFAULTS,
    checkpoint_every: CheckpointOption = "5m",
    overwrite: OverwriteOption = False,
) -> None:
    """Make a steered model from pairs: layer, training, sweep, m, side effects and a report; a killed run goes on."""
    plan = SteerPlan(
        form=form,
        objectives=objectives_for(objective, form),
        layers=tuple(parse_layers(layer) or ()),
        scan=layer == [AUTO],
        overrides=tuple(settings or ()),
        train_pairs=train_pairs,
        test_pairs=test_pairs,
        m=m,
        refine=refine,
        max_kl=max_kl,
        judged=judge,
        neutral=neutral,
        texts=texts,
        max_new_tokens=max_new_tokens,
    )
    pairs = data_for(
        data, plan, seed=split_seed, columns=parse_columns(columns), concept_id=concept_id, drop_bad=drop_bad
    )
    run_plan(model, pairs, plan, to, loading, checkpoint_every, overwrite)


def run_plan(
    model: str,
    pairs: SteerData,
    plan: SteerPlan,
    to: Path,
    loading: LoadOptions = DEFAULTS,
    every: str = "5m",
    overwrite: bool = False,
) -> SteerResult:
    """Run a plan, print its results and write them to a folder.

    Args:
        model: ``--model``.
        pairs: what to train on, choose by and score.
        plan: what to do.
        to: folder to write.
        loading: how the model is loaded.
        every: ``--checkpoint-every``.
        overwrite: ``--overwrite``.
    """
    how_often = parse_every(every)
    overwrite = overwrite or unfinished(to, to / LAST)  # a run that was stopped while it wrote goes on
    check_folder(to / ARTIFACT, overwrite)
    for name in FILES:
        check_file(to / name, overwrite)
    say_pairs(pairs.training, pairs.test)
    network, tokenizer = open_model(model, loading)
    known = {**_identity(plan, pairs), **model_identity(network, tokenizer, model)}
    with resumable_study(to, how_often, known) as kept:
        result = steer(network, tokenizer, pairs, plan, model_name=model, tell=ConsoleTeller(), kept=kept)
        write_or_rescue(to, lambda place: write_result(result, place, overwrite=overwrite))
    print_result(result, to)
    return result


def _identity(plan: SteerPlan, data: SteerData) -> dict[str, Any]:
    """Fingerprint of everything but the model that a run depends on, which a resumed one must match."""
    parts = {"training": data.training, "dev": data.dev, "test": data.test}
    pairs = {name: None if part is None else pairs_identity(part) for name, part in parts.items()}
    return {"plan": asdict(plan), **pairs}


def objectives_for(text: str, form: str) -> tuple[str, ...]:
    """The objectives selected by ``--objective``: one, or with ``all`` every one that can train the form.

    Args:
        text: the option's text.
        form: registered form.

    Raises:
        ConfigError: an unknown objective.
    """
    if text != ALL:
        OBJECTIVES[text]
        return (text,)
    able = {name: OBJECTIVES[name].forms for name in OBJECTIVES.names()}
    return tuple(name for name, forms in able.items() if forms is None or form in forms)


def say_pairs(training: PairTable, test: PairTable) -> None:
    """Print how many pairs are used, and one of them.

    Args:
        training: pairs to train on.
        test: pairs to score.
    """
    first = training[0]
    say(f"{len(training)} pairs of {training.name} to train on, {len(test)} others to score; the first:")
    say(f"    {first.prompt}")
    say(f"    + {first.positive}", "green")
    say(f"    - {first.negative}", "red")


def print_result(result: SteerResult, folder: Path) -> None:
    """Print the layer scan, the best sweep, the chosen m, sample texts and usage.

    Args:
        result: of the run.
        folder: that it was written to.
    """
    best = result.best
    if result.scan is not None:
        print_scan(result.scan, best.run.layers[0])
    print_summary(best.table)
    say(result.decay)
    print_strengths(result)
    names = strength_names(best)
    for prompt, rows in result.texts.groupby("prompt", sort=False):
        out.print(Text(str(prompt), "bold"), soft_wrap=True)
        for m, text in zip(rows["m1"], rows["text"], strict=True):
            name = f"{names[float(m)]:>24}"
            out.print(Text.assemble("  ", (name, "cyan"), "  ", one_line(str(text))), soft_wrap=True)
    say_written("report, artifact, tables and figure", folder)
    python, line = usage(result, folder)
    out.print(f"\nIn Python:\n\n{python}\n\nIn a terminal:\n\n{line}", soft_wrap=True)


def print_strengths(result: SteerResult) -> None:
    """Print the chosen m of each objective.

    Args:
        result: of the run.
    """
    for item in result.trained:
        choice, what = item.choice, f"{item.run.form} x {item.run.objective}"
        if choice.m is None:
            out.print(f"{what}: {choice.reason}; r = {item.m * item.r_per_m:.2g} is shown instead", soft_wrap=True)
            continue
        m = f"m = {choice.m:.3g} (r = {choice.m * item.r_per_m:.2g})"
        if item.test is not None:
            out.print(f"{what}: {m}, chosen on dev pairs; on the test pairs {gains(item.test)}", soft_wrap=True)
            continue
        helped = "" if choice.helped is None else ", in {} of {} pairs".format(*choice.helped)
        out.print(
            f"{what}: {m}, preference {choice.gain:+.2f} nats{helped}, utility {-choice.paid:+.2f} nats",
            soft_wrap=True,
        )
