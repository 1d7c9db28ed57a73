"""``easyedit-split apply``: generate steered text beside unsteered text."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ...steering.artifact import DEFAULT_CONCEPT, Artifact
from ...steering.generate import GenerateConfig, Generated, generate_texts
from ...steering.strength_grid import StrengthGrid, parse_strengths
from ...storage import Journal, write_whole
from ...text.conversation import plain_all
from ...text.prompt_tokens import Template
from ...types import ConfigError
from ..console import bar, out, say, say_written
from ..fingerprint import model_identity
from ..inputs import open_model
from ..options import DeviceOption, DtypeOption, InterventionOption, ModelOption, OverwriteOption
from ..output_paths import check_file
from ..prompts import read_prompts
from ..resuming import resumable

EPILOG = """Example: easyedit-split apply --model testbed:gemma2 --intervention power-vector --m 4 --prompt "Hello" """


def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    intervention: InterventionOption,
    m: Annotated[
        str | None,
        typer.Option(
            help="One m, several with commas, or start:stop:count; r:0.2,0.4 in units of r = |m dh| / |h|. "
            "Default: the stored m, else 1."
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
    dtype: DtypeOption = None,
    device: DeviceOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Generate steered answers beside the unsteered model's own (m = 0)."""
    grid = None if m is None else parse_strengths(m)
    texts = read_prompts(prompt, prompts)
    config = GenerateConfig(max_new_tokens, batch_size, sample, temperature, top_p, num_beams, seed)
    if to is not None:
        check_file(to, overwrite)
    artifact = Artifact.from_pretrained(intervention)
    name = concept_of(artifact, concept)
    points = [0.0, *(value for value in wished(grid, artifact, name) if value != 0)]
    network, tokenizer = open_model(model, dtype, device)
    for note in artifact.check_model(network, name=model, tokenizer=tokenizer):
        say(f"the artifact's model differs: {note}", "yellow")
    journal = None
    if to is not None:
        known = {"artifact": artifact.identity(), "concept": name, "prompts": plain_all(texts), **asdict(config)}
        journal = Journal.beside(to, {**known, **model_identity(network, tokenizer, model)})
    template = Template(tokenizer, artifact.tokens)
    with bar("writing") as advance, resumable(journal):
        answers = generate_texts(
            network, template, texts, artifact[name], points, config=config, journal=journal, progress=advance
        )
    if to is None or journal is None:
        print_answers(answers)
        return
    lines = [json.dumps(asdict(answer), ensure_ascii=False) for answer in answers]
    write_whole(to, lambda path: write_lines(path, lines))
    journal.finish()
    say_written(f"{len(answers)} answers", to)


def wished(grid: StrengthGrid | None, artifact: Artifact, concept: str) -> tuple[float, ...]:
    """The m of ``--m``; the one stored in the artifact where it is not given.

    Args:
        grid: as the user wrote it.
        artifact: what is applied.
        concept: of the artifact.

    Raises:
        ConfigError: a grid in r, of an artifact that does not say what m = 1 is worth.
    """
    if grid is None:
        return (kept_m(artifact, concept),)
    if grid.unit == "r" and artifact.unit is None:
        raise ConfigError("--m is in r, and this artifact has no record of r at m = 1: give m")
    return grid.in_m(artifact.unit.r_per_m if artifact.unit else 0.0)


def kept_m(artifact: Artifact, concept: str) -> float:
    """The m stored in the artifact for a concept, else 1; prints which of the two.

    Args:
        artifact: one concept or several.
        concept: one of its names.

    Raises:
        ConfigError: it keeps two factors.
    """
    m = artifact.chosen_m(concept)
    if m is None:
        say("no m is stored in this artifact: m = 1 is used (`recommend --save` stores one, --m sets another)")
        return 1.0
    if isinstance(m, tuple):
        raise ConfigError(f"the artifact stores m1 = {m[0]:g} and m2 = {m[1]:g}: choose one with --m")
    say(f"m = {m:.4g}, as stored in the artifact")
    return m


def concept_of(artifact: Artifact, concept: str | None) -> str:
    """The concept selected by ``--concept``.

    Args:
        artifact: one concept or several.
        concept: what was asked for.

    Raises:
        ConfigError: it has no such concept, or none at all, or several of which none is named.
    """
    if concept is not None and artifact.concepts == (DEFAULT_CONCEPT,) and concept != DEFAULT_CONCEPT:
        raise ConfigError(f"--concept {concept}: this artifact was trained without concepts: leave --concept out")
    return artifact.resolve(concept)


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
            label = "unsteered" if answer.m == 0 else f"m = {answer.m:g}"
            out.print(Text.assemble("  ", (f"{label:>10}", "cyan"), "  ", answer.text), soft_wrap=True)
