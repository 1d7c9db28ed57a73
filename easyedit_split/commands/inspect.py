"""`easyedit-split inspect`: what an artifact is, and, given the model, whether and where it applies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from ..artifact import Artifact, norm
from ..attach import Applied, attach
from ..batching import Row, collate
from ..observe import device_of
from ..pipeline import artifact_tokens
from ..template import Template
from .common import MODEL_HELP, console, open_model, out

EPILOG = "Example: easyedit-split inspect power-vector --model testbed:gemma2"
PROMPT = "Tell me in one sentence what you would do."


def command(
    folder: Annotated[Path, typer.Argument(help="Folder that `train` wrote.")],
    model: Annotated[str | None, typer.Option(help=f"Apply it to one prompt of this model. {MODEL_HELP}")] = None,
    m: Annotated[float, typer.Option(help="Strength for that.")] = 1.0,
    prompt: Annotated[str, typer.Option(help="Prompt for that.")] = PROMPT,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16, float64. Default: as saved.")] = None,
    device: Annotated[str | None, typer.Option(help="e.g. cpu, cuda, cuda:1, auto.")] = None,
) -> None:
    """Show an intervention; with --model answer "did it apply?": modules, tokens, size of the change."""
    artifact = Artifact.from_pretrained(folder)
    print_artifact(artifact)
    if model is None:
        return
    network, tokenizer = open_model(model, dtype, device)
    for note in artifact.check_model(network):
        console.print(f"[yellow]the artifact's model differs: {note}[/yellow]")
    template = Template(tokenizer, artifact_tokens(artifact))
    shown = Table("concept", "site", "module changed", "tokens steered", "mean |dh|/|h|", box=None)
    shown.title = f"one prompt at m = {m:g}"
    for concept in artifact.concepts:
        for row in try_out(network, template, artifact, concept, m, prompt):
            tokens = f"{row.tokens_touched} of {row.tokens_seen}"
            shown.add_row(concept, row.site, row.module, tokens, f"{row.relative_norm:.4f}")
    out.print(shown)


def try_out(
    model: Any, template: Template, artifact: Artifact, concept: str, m: float, prompt: str
) -> tuple[Applied, ...]:
    """Apply one concept's intervention to one prompt and report.

    Raises:
        ConfigError: nothing was touched.
    """
    ids = template.prompt(prompt)
    batch = collate([Row(ids, (), 0)], pad_id=template.pad_id).to(device_of(model))
    with torch.no_grad(), attach(model, artifact[concept], m, check=True) as attached:
        model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, position_ids=batch.position_ids)
    return attached.report()


def print_artifact(artifact: Artifact) -> None:
    """The configuration and the record, for people."""
    config, record = artifact.config, artifact.record
    data, model = record.get("data", {}), record.get("model", {})
    rows = {
        "form": f"{config.form} {config.form_config or ''}".strip(),
        "objective": record.get("objective", "unknown"),
        "sites": ", ".join(config.sites),
        "placement": config.placement,
        "positions": config.positions + (", without the constant opening" if config.skip_prefix else ""),
        "model": f"{model.get('id', 'unknown')} ({model.get('dtype', '?')}, attention {model.get('attention', '?')})",
        "data": f"{data.get('name', 'unknown')} {data.get('split', '')}, {data.get('pairs', '?')} pairs",
        "seed": str(record.get("seed", "unknown")),
        "versions": ", ".join(f"{k} {v}" for k, v in record.get("versions", {}).items()),
        "digest": artifact.digest(),
    }
    shown = Table(box=None, show_header=False)
    for key, value in rows.items():
        shown.add_row(key, value)
    out.print(shown)
    concepts = Table("concept", "norm of the parameters", "steps", "last loss", box=None)
    for concept in artifact.concepts:
        steps = artifact.history.get(concept, [])
        last = f"{steps[-1]['loss']:.4f}" if steps else "-"
        concepts.add_row(concept, f"{norm(artifact[concept]):.4f}", str(len(steps)), last)
    out.print(concepts)
