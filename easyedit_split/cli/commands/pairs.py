"""``easyedit-split pairs``: write the answers that a file lacks by the model itself, so that prompts become pairs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ...files.journal import Journal
from ...model.load_options import LoadOptions
from ...storage import write_whole
from ...study.missing_answers import Given, Lacking, MadePairs, loops, write_missing
from ...text.conversation import plain_all
from ...types import ConfigError
from ..console import bar, out, say, say_written
from ..fingerprint import model_identity
from ..generating import DEFAULTS as SHORT
from ..generating import WritingOptions, writes_answers
from ..inputs import open_model
from ..loading import DEFAULTS, loads_model
from ..options import ConceptIdOption, ModelOption, OverwriteOption
from ..output_paths import check_file
from ..pair_files import made_record, pair_rows, read_asked
from ..resuming import resumable, unfinished

EPILOG = """Example: easyedit-split pairs --model smollm2 --from prompts.txt --system "Answer like a pirate."
--in-prompt --concept pirate --out pirate.jsonl

Example: easyedit-split pairs --model smollm2 --from axbench:data/axbench_concept10_train.parquet --out axbench.jsonl"""
SHOWN = 2
ABOUT = ".about.json"


SourceOption = Annotated[
    str,
    typer.Option(
        "--from",
        help="File of prompts with at most one answer each (.txt, one a line; Alpaca, ShareGPT, messages: jsonl, json, "
        "csv, tsv, parquet), or axbench[:PATH], AxBench's unpaired table.",
    ),
]
AnswersOption = Annotated[
    str | None,
    typer.Option(
        "--answers",
        help="The file's answers are those with the concept (positive), those without it (negative), or not to be used "
        "(none). Default: positive, with --system none.",
    ),
]


@loads_model
@writes_answers
def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    source: SourceOption,
    to: Annotated[Path, typer.Option("--out", help="File of pairs to write, .jsonl; beside it, how they were made.")],
    answers: AnswersOption = None,
    system: Annotated[
        str | None, typer.Option(help="Instruction under which the model writes the answers with the concept.")
    ] = None,
    in_prompt: Annotated[
        bool, typer.Option("--in-prompt", help="Put it in front of the prompt: small models follow it better there.")
    ] = False,
    concept: Annotated[str | None, typer.Option(help="Name of the concept. Default: the rows' own.")] = None,
    concept_id: ConceptIdOption = None,
    limit: Annotated[int | None, typer.Option(help="The first so many rows (of each concept).")] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Leave out rows with an answer that reached the longest length.")
    ] = False,
    writing: WritingOptions = SHORT,
    loading: LoadOptions = DEFAULTS,
    overwrite: OverwriteOption = False,
) -> None:
    """Make pairs of prompts: the model writes the answer without the concept, and under --system the one with it.

    Training and scoring read the result as it is. A killed run goes on where it stopped.
    """
    lacking = _lacking(answers, system, concept, in_prompt)
    about = _outputs(to, overwrite)
    table, asked = read_asked(source, concept_id, limit)
    network, tokenizer = open_model(model, loading)
    config = writing.config()
    made_by = {"lacking": asdict(lacking), **asdict(config), **model_identity(network, tokenizer, model)}
    journal = Journal.beside(to, {**made_by, "prompts": plain_all(one.prompt for one in asked)})
    told: dict[str, Any] = {"source": str(table.path), "config": config, "whole": whole}
    with bar("writing answers") as advance, resumable(journal):
        made = write_missing(network, tokenizer, asked, lacking, **told, journal=journal, progress=advance)
    record = made_record(made_by, table, made, whole)
    lines = [json.dumps(row, ensure_ascii=False) for row in pair_rows(made, table, lacking)]
    with resumable(journal):
        write_whole(about, lambda path: _write(path, [json.dumps(record, ensure_ascii=False, indent=1)]))
        write_whole(to, lambda path: _write(path, lines))
    journal.finish()
    _print(made, lacking)
    say_written(f"{len(made.pairs)} pairs", to)
    say_written("how they were made", about)


def _lacking(answers: str | None, system: str | None, concept: str | None, in_prompt: bool) -> Lacking:
    """Which answers the file has, and how the others are written."""
    given = answers or ("positive" if system is None else "none")
    if given not in ("positive", "negative", "none"):
        raise ConfigError(f"--answers {given}: allowed are positive, negative and none")
    return Lacking(cast(Given, given), system, concept, in_prompt)


def _outputs(to: Path, overwrite: bool) -> Path:
    """Check both files that are written, and name the second."""
    if to.suffix != ".jsonl":
        raise ConfigError(f"{to}: pairs are written as .jsonl: choose this ending")
    about = to.with_suffix(ABOUT)
    check_file(to, overwrite)
    check_file(about, overwrite or unfinished(to))  # a run that was stopped between the two goes on
    return about


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _print(made: MadePairs, lacking: Lacking) -> None:
    """Print what was left out, how many answers were cut, and a few pairs to look at."""
    for sentence in made.left_out[:5]:
        say(f"left out: {sentence}", "yellow")
    if len(made.left_out) > 5:
        say(f"left out: {len(made.left_out) - 5} more, see the record", "yellow")
    for side in lacking.written:
        count = sum(side in pair.cut for pair in made.pairs)
        if count:
            more = "raise --max-new-tokens, or leave them out (--whole)"
            say(f"{count} of {len(made.pairs)} {side} answers reached the longest length: {more}", "yellow")
        looping = sum(loops(getattr(pair, side)) for pair in made.pairs)
        if looping:
            say(f"{looping} of {len(made.pairs)} {side} answers loop: draw them (--sample --temperature 0.7)", "yellow")
    for pair in made.pairs[:SHOWN]:
        for sign, text in (("", pair.asked.prompt), ("  + ", pair.positive), ("  - ", pair.negative)):
            out.print(sign + " / ".join(text.split("\n")), soft_wrap=True, markup=False, highlight=False)
