"""`easyedit-split apply`: steered text beside unsteered."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..artifact import Artifact
from ..config import parse_grid
from ..generate import GenerateConfig, Generated, generate
from ..pipeline import artifact_tokens
from ..storage import Journal, write_whole
from ..template import Template
from ..types import ConfigError, DataError
from .common import MODEL_HELP, bar, console, open_model, out, refuse_existing

EPILOG = """Example: easyedit-split apply --model testbed:gemma2 --intervention power-vector --m 4 --prompt "Hello" """


def command(
    model: Annotated[str, typer.Option(help=MODEL_HELP)],
    intervention: Annotated[Path, typer.Option(help="Folder that `train` wrote.")],
    m: Annotated[str, typer.Option(help="One m, several with commas, or start:stop:count.")] = "1",
    prompt: Annotated[list[str] | None, typer.Option(help="A prompt; give it again for more.")] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="File of prompts: one a line (.txt), or jsonl with a field prompt.")
    ] = None,
    concept: Annotated[str | None, typer.Option(help="Which concept, of an artifact with several.")] = None,
    to: Annotated[Path | None, typer.Option("--out", help="Write the answers as jsonl instead of printing.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Prompts at a time.")] = 8,
    sample: Annotated[bool, typer.Option("--sample", help="Sample instead of greedy.")] = False,
    temperature: Annotated[float, typer.Option(help="With --sample.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="With --sample.")] = 1.0,
    num_beams: Annotated[int, typer.Option(help="Beam search where above 1.")] = 1,
    seed: Annotated[int, typer.Option(help="With --sample.")] = 0,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16, float64. Default: as saved.")] = None,
    device: Annotated[str | None, typer.Option(help="e.g. cpu, cuda, cuda:1, auto.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing --out.")] = False,
) -> None:
    """Write steered answers beside the bare model's own (m = 0)."""
    points = [0.0, *(value for value in parse_grid(m, "--m") if value != 0)]
    texts = read_prompts(prompt, prompts)
    config = GenerateConfig(max_new_tokens, batch_size, sample, temperature, top_p, num_beams, seed)
    artifact = Artifact.from_pretrained(intervention)
    chosen = artifact[concept]
    journal = None
    if to is not None:
        refuse_existing(to, overwrite)
    network, tokenizer = open_model(model, dtype, device)
    for note in artifact.check_model(network):
        console.print(f"[yellow]the artifact's model differs: {note}[/yellow]")
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
        fingerprint = {"artifact": artifact.digest(), "concept": concept, "prompts": texts, **asdict(config)}
        journal = Journal.beside(to, {**fingerprint, "model": model})
    template = Template(tokenizer, artifact_tokens(artifact))
    with bar("writing") as advance:
        answers = generate(network, template, texts, chosen, points, config=config, journal=journal, progress=advance)
    answers = [answer for answer in answers if answer.m in points]
    if to is None or journal is None:
        print_answers(answers)
        return
    lines = [json.dumps(asdict(answer), ensure_ascii=False) for answer in answers]
    write_whole(to, lambda path: write_lines(path, lines))
    journal.finish()
    console.print(f"{len(answers)} answers written to [bold]{to}[/bold]")


def write_lines(path: Path, lines: list[str]) -> None:
    """Text lines as UTF-8."""
    path.write_text("\n".join(lines) + "\n", "utf-8")


def read_prompts(prompt: list[str] | None, file: Path | None) -> list[str]:
    """Prompts of ``--prompt`` or ``--prompts``.

    Raises:
        ConfigError: neither or both.
        DataError: the file is missing or empty, or a row has no prompt; file and row are named.
    """
    if bool(prompt) == (file is not None):
        raise ConfigError("give --prompt TEXT or --prompts FILE, one of the two")
    if prompt:
        return list(prompt)
    assert file is not None
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    texts = [read_line(file, number, line) for number, line in enumerate(lines) if line.strip()]
    if not texts:
        raise DataError(f"{file}: holds no prompt")
    return texts


def read_line(file: Path, number: int, line: str) -> str:
    """One prompt of a file: the line itself, or its field ``prompt`` in a jsonl file."""
    if file.suffix != ".jsonl":
        return line
    try:
        record = json.loads(line)
        text = record["prompt"] if "prompt" in record else record["question"]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{file}, row {number}: wanted a JSON object with a field prompt (or question)") from None
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{file}, row {number}: prompt is empty or not text: give it a text")
    return text


def print_answers(answers: list[Generated]) -> None:
    """Each prompt with its answers under every m, unsteered first."""
    for index in sorted({answer.index for answer in answers}):
        members = [answer for answer in answers if answer.index == index]
        out.print(f"[bold]{members[0].prompt}[/bold]", highlight=False)
        for answer in members:
            label = "unsteered" if answer.m == 0 else f"m = {answer.m:g}"
            out.print(f"  [cyan]{label:>10}[/cyan]  ", end="")
            out.print(answer.text, highlight=False, markup=False)
