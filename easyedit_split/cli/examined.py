"""``doctor --model M``: what is in a model, its template, and what is exact in it, as two tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ..config import TokenConfig
from ..model.describe import describe
from ..model.head_weight import unreadable
from ..model.load_options import LoadOptions
from ..model.sites import is_registered
from ..steering.examination import Examination, examine
from ..steering.own_generation import not_followed
from ..text.own_openings import hides_system
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .console import out
from .inputs import open_model

WIDTH = 120
"""Of the table, on a narrower terminal too: paths are not cut."""
AT_OUTPUT = {True: "yes", False: "no", None: ""}


def show_model(name: str, loading: LoadOptions) -> None:
    """Load a model, try it, and print what was found.

    Args:
        name: ``--model``.
        loading: how it is loaded.
    """
    model, tokenizer = open_model(name, loading)
    found, facts = examine(model), describe(model, name)
    shown = Table(box=None, show_header=False)
    family = "registered" if is_registered(model) else "none: found by structure, tried at first use"
    for key, value in {
        "model": f"{type(model).__name__}, {facts['model_type']}, {facts['dtype']}, attention {facts['attention']}",
        "family": family,
        "quantisation": facts["quantization"],
        "adapters": ", ".join(facts["adapters"]) or "none",
        "output embedding": _head(model),
        "generation_config": _generation(model),
        "blocks": f"{found.blocks}, {facts['hidden_size']} wide",
        "template": _template(tokenizer),
        "left padding": _said(found.padding, found, "rows are run one at a time"),
        "cache": _said(found.cache, found, "every step runs its rows whole"),
    }.items():
        shown.add_row(key, value)
    out.print(shown)
    console = out if out.width >= WIDTH else Console(markup=False, emoji=False, highlight=False, width=WIDTH)
    console.print(_maps(found))


def _maps(found: Examination) -> Table:
    table = Table("site", "short name", "widths", "blocks", "hooked = edited", "= block output", box=None)
    for column in table.columns:
        column.no_wrap = True
    for one in found.maps:
        said = "yes" if one.exact else "no"
        error = f"{said} ({one.error})" if isinstance(one.error, str) else f"{said} ({one.error:.1g})"
        widths = f"{one.widths[0]} to {one.widths[1]}"
        table.add_row(one.path, one.short, widths, _ranges(one.blocks), error, AT_OUTPUT[one.at_output])
    return table


def _said(error: float | str, found: Examination, otherwise: str) -> str:
    if isinstance(error, str):
        return f"not exact ({error}): {otherwise}"
    return f"exact ({error:.1g})" if error <= found.allowed else f"not exact ({error:.1g}): {otherwise}"


def _head(model: Any) -> str:
    head = model.get_output_embeddings()
    reason = unreadable(head)
    if reason is not None:
        return f"its own logits, in its own precision: {reason}"
    half = head.weight.dtype.itemsize < 4
    return "logits are recomputed in fp32" if half else f"logits in {str(head.weight.dtype).removeprefix('torch.')}"


def _generation(model: Any) -> str:
    names = not_followed(model)
    return f"not followed here: {', '.join(names)}" if names else "followed as far as it shapes logits"


def _template(tokenizer: Any) -> str:
    if not getattr(tokenizer, "chat_template", None):
        return "none: prompts are plain text"
    try:
        template = Template(tokenizer, TokenConfig())
        hidden = "; no token ends its system messages, so calls with one are steered there" * hides_system(template)
        return f"yes, its constant opening has {len(template.prefix_ids)} tokens{hidden}"
    except ConfigError as error:
        return f"not usable: {error}"


def _ranges(indices: Sequence[int]) -> str:
    parts: list[list[int]] = []
    for index in indices:
        if parts and index == parts[-1][-1] + 1:
            parts[-1].append(index)
        else:
            parts.append([index])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
