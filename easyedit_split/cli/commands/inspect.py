"""``easyedit-split inspect``: show what an artifact is and, given the model, which modules and tokens it changes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Column, Table

from ...config import require
from ...model.hooks import device_of
from ...model.load_options import LoadOptions
from ...steering.artifact import HISTORY_FILE, Artifact
from ...steering.attach import Applied, attach
from ...steering.intervention import InterventionConfig
from ...steering.report import parameter_norm
from ...text.batching import Row, collate
from ...text.prompt_tokens import Template
from ...types import ArtifactError
from ..console import out
from ..inputs import check_artifact, open_model
from ..loading import DEFAULTS, loads_model
from ..options import MODEL_HELP

EPILOG = "Example: easyedit-split inspect power-vector --model testbed:gemma2"
PROMPT = "Tell me in one sentence what you would do."


@loads_model
def command(  # noqa: DOC101, DOC103
    folder: Annotated[Path, typer.Argument(help="Folder that `train` wrote.")],
    model: Annotated[str | None, typer.Option(help=f"Apply it to one prompt of this model. {MODEL_HELP}")] = None,
    m: Annotated[float | None, typer.Option(help="Strength m for --model. Default: the stored m, else 1.")] = None,
    prompt: Annotated[str, typer.Option(help="Prompt for --model.")] = PROMPT,
    loading: LoadOptions = DEFAULTS,
) -> None:
    """Show an intervention; with --model apply it once and report modules, tokens and relative size of the change."""
    require(bool(prompt.strip()), "--prompt is empty: give it a text")
    require(m is None or math.isfinite(m), f"--m is {m}, must be finite")
    artifact = Artifact.from_pretrained(folder, other_weights=True)
    losses = {concept: last_loss(artifact, concept, folder / HISTORY_FILE) for concept in artifact.concepts}
    print_artifact(artifact, losses)
    if model is None:
        return
    network, tokenizer = open_model(model, loading)
    check_artifact(artifact, network, tokenizer, model)
    template = Template(tokenizer, artifact.tokens)
    shown = Table("concept", "site", "module changed", "tokens steered", "mean |dh|/|h|", box=None)
    shown.title = "one prompt, at the stored m" if m is None else f"one prompt at m = {m:g}"
    for concept in artifact.concepts:
        kept = artifact.chosen_m(concept)
        strength = m if m is not None else 1.0 if kept is None else kept
        for row in try_out(network, template, artifact, concept, strength, prompt):
            tokens = f"{row.tokens_touched} of {row.tokens_seen}"
            shown.add_row(concept, row.site, row.module, tokens, f"{row.relative_norm:.4f}")
    out.print(shown)


def try_out(
    model: Any, template: Template, artifact: Artifact, concept: str, m: float | tuple[float, float], prompt: str
) -> tuple[Applied, ...]:
    """Apply one concept's intervention to one prompt and report the change of each module.

    Args:
        model: a Hugging Face causal LM.
        template: how its tokenizer writes a prompt.
        artifact: what to apply.
        concept: which of its concepts.
        m: strength.
        prompt: the user's message.

    Raises:
        ConfigError: nothing was touched.
    """
    ids = template.prompt(prompt)
    batch = collate([Row(ids, (), 0)], pad_id=template.pad_id).to(device_of(model))
    with torch.no_grad(), attach(model, artifact[concept], m, check=True) as attached:
        model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, position_ids=batch.position_ids)
    return attached.report()


def last_loss(artifact: Artifact, concept: str, file: Path) -> str:
    """Training loss of a concept's last step; a dash where it took none.

    Args:
        artifact: the artifact.
        concept: which of its concepts.
        file: its configuration file, for messages.

    Raises:
        ArtifactError: the step has none, or one that is no number.
    """
    steps = artifact.history.get(concept, [])
    if not steps:
        return "-"
    loss = steps[-1].get("loss")
    if not isinstance(loss, int | float):
        raise ArtifactError(
            f"{file}: the last step of concept {concept!r} has no number as its loss: remove the file, nothing else "
            "reads it"
        )
    return f"{loss:.4f}"


def print_artifact(artifact: Artifact, losses: Mapping[str, str]) -> None:
    """Print an artifact's configuration and training record.

    Args:
        artifact: the artifact.
        losses: each concept's last loss, as text.
    """
    config, record = artifact.config, artifact.record
    data, model = record.get("data", {}), record.get("model", {})
    rows = {
        "form": f"{config.form} {config.form_config or ''}".strip(),
        "objective": record.get("objective", "unknown"),
        "sites": ", ".join(config.sites),
        "placement": config.placement,
        "positions": config.positions + (f", {_spared(config)}" if config.skip_prefix else ""),
        "model": f"{model.get('id', 'unknown')} ({model.get('dtype', '?')}, attention {model.get('attention', '?')})",
        "data": f"{data.get('name', 'unknown')} {data.get('split', '')}, {data.get('pairs', '?')} pairs",
        "seed": str(record.get("seed", "unknown")),
        "versions": ", ".join(f"{k} {v}" for k, v in record.get("versions", {}).items()),
        "digest": artifact.digest(),
    }
    shown = Table("", Column(overflow="fold"), box=None, show_header=False)
    for key, value in rows.items():
        shown.add_row(key, value)
    out.print(shown)
    concepts = Table("concept", "norm of the parameters", "steps", "last loss", "stored m", box=None)
    for concept in artifact.concepts:
        steps = len(artifact.history.get(concept, []))
        m = kept_text(artifact, concept)
        concepts.add_row(concept, f"{parameter_norm(artifact[concept]):.4f}", str(steps), losses[concept], m)
    out.print(concepts)
    for concept, chosen in artifact.chosen.items():
        if chosen.evidence:
            out.print(
                f"m of {concept}: {json.dumps(chosen.evidence, ensure_ascii=False)}", soft_wrap=True, markup=False
            )


def _spared(config: InterventionConfig) -> str:
    """What skip_prefix leaves alone, in words."""
    if config.prefix_ids or config.openings:
        return "without the constant template prefix"
    return "all tokens of a prompt (no opening is known)" if config.bos_id is None else "without BOS"


def kept_text(artifact: Artifact, concept: str) -> str:
    """The m stored for a concept, as text; a dash where there is none.

    Args:
        artifact: the artifact.
        concept: one of its names.
    """
    m = artifact.chosen_m(concept)
    if m is None:
        return "-"
    return f"{m[0]:g}, {m[1]:g}" if isinstance(m, tuple) else f"{m:.4g}"
