"""``easyedit-split apply``: generate steered text beside unsteered text."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ...files.journal import Journal
from ...model.load_options import LoadOptions
from ...steering.finite_logits import Strengths, is_steered, strength_text
from ...steering.generate import GenerateConfig, Generated, generate_texts
from ...steering.strength_grid import parse_strengths
from ...storage import write_whole
from ...text.conversation import plain_all
from ...text.prompt_tokens import Template
from ..console import bar, out, say_written
from ..fingerprint import model_identity
from ..inputs import open_model
from ..loading import DEFAULTS, loads_model
from ..options import InterventionsOption, ModelOption, OtherWeightsOption, OverwriteOption
from ..output_paths import check_file
from ..prompts import read_prompts
from ..resuming import resumable
from ..several import check_models, identity_of, read_several, strengths, tokens_of_all

EPILOG = """Example: easyedit-split apply --model testbed:gemma2 --intervention power-vector --m 4 --prompt "Hello" """


@loads_model
def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    intervention: InterventionsOption,
    m: Annotated[
        list[str] | None,
        typer.Option(
            help="One m, several with commas, or start:stop:count; r:0.2,0.4 in units of r = |m dh| / |h|. "
            "Default: the stored m, else 1. With several interventions once for all, or once for each."
        ),
    ] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="A prompt; repeat the option for several.")] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="File of prompts: .txt, one a line; or a table with a field prompt or messages."),
    ] = None,
    concept: Annotated[str | None, typer.Option(help="Concept to use, of an artifact with several.")] = None,
    to: Annotated[Path | None, typer.Option("--out", help="Write the answers as jsonl instead of printing.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 64,
    batch_size: Annotated[
        int | None, typer.Option(help="Answers per batch, of any prompt and m. Default: as many as fit in memory.")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Sample instead of greedy decoding.")] = False,
    temperature: Annotated[float, typer.Option(help="Temperature, with --sample.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Top-p of nucleus sampling, with --sample.")] = 1.0,
    num_beams: Annotated[int, typer.Option(help="Beam search where above 1.")] = 1,
    seed: Annotated[int, typer.Option(help="Random seed, with --sample.")] = 0,
    other_weights: OtherWeightsOption = False,
    loading: LoadOptions = DEFAULTS,
    overwrite: OverwriteOption = False,
) -> None:
    """Generate steered answers beside the unsteered model's own (m = 0)."""
    for written in m or ():
        parse_strengths(written)
    texts = read_prompts(prompt, prompts)
    config = GenerateConfig(max_new_tokens, batch_size, sample, temperature, top_p, num_beams, seed)
    if to is not None:
        check_file(to, overwrite)
    chosen = read_several(intervention, concept, other_weights)
    points: list[Strengths] = [0.0, *(value for value in strengths(m, chosen) if is_steered(value))]
    network, tokenizer = open_model(model, loading)
    check_models(chosen, network, tokenizer, model)
    journal = None
    if to is not None:
        known = {**identity_of(chosen), "prompts": plain_all(texts), **asdict(config)}
        journal = Journal.beside(to, {**known, **model_identity(network, tokenizer, model)})
    template = Template(tokenizer, tokens_of_all(chosen))
    parts = [one.intervention for one in chosen]
    with bar("writing") as advance, resumable(journal):
        answers = generate_texts(
            network, template, texts, parts, points, config=config, journal=journal, progress=advance
        )
    if to is None or journal is None:
        print_answers(answers)
        return
    lines = [json.dumps(asdict(answer), ensure_ascii=False) for answer in answers]
    with resumable(journal):
        write_whole(to, lambda path: write_lines(path, lines))
    journal.finish()
    say_written(f"{len(answers)} answers", to)


def write_lines(path: Path, lines: list[str]) -> None:
    """Write lines of text as UTF-8.

    Args:
        path: the file.
        lines: without line ends.
    """
    path.write_text("\n".join(lines) + "\n", "utf-8")


def print_answers(answers: list[Generated]) -> None:
    """Print each prompt with its answers at every m, unsteered first, without wrapping or markup.

    Args:
        answers: generated texts.
    """
    for index in sorted({answer.index for answer in answers}):
        members = [answer for answer in answers if answer.index == index]
        out.print(Text(members[0].prompt, "bold"), soft_wrap=True)
        for answer in members:
            label = f"m = {strength_text(answer.m)}" if is_steered(answer.m) else "unsteered"
            out.print(Text.assemble("  ", (f"{label:>10}", "cyan"), "  ", answer.text), soft_wrap=True)
