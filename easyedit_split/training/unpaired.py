"""DiffMean from answers that are not paired, as in AxBench's published tables.

    v = mean over answers with the concept  -  mean over answers without it, of an answer's mean activation

The two sides answer different prompts and may differ in number, so only an objective in closed form can use them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from ..config import require
from ..datasets.unpaired import Exchange, UnpairedTable
from ..model.context import context_of
from ..model.hooks import frozen
from ..steering.artifact import Artifact
from ..text.batching import Row
from ..text.encode_pairs import encode_answers
from ..text.prompt_tokens import Template
from .closed_form import fit_answers
from .loop import untrained
from .objectives.base import OBJECTIVES, FittedObjective
from .record import record_of
from .run_config import RunConfig


def train_unpaired(
    model: nn.Module,
    tokenizer: Any,
    table: UnpairedTable,
    run: RunConfig,
    *,
    model_name: str | None = None,
    revision: str | None = None,
) -> Artifact:
    """Fit one DiffMean intervention to answers that are not paired, for the table's concept.

    Args:
        model: a Hugging Face causal LM.
        tokenizer: its tokenizer.
        table: answers with the concept and answers without it.
        run: form, objective and sites.
        model_name: how the record names the model; as it was loaded where None.
        revision: the model's revision that was asked for.

    Raises:
        DataError: a row that cannot be encoded (named).
        ConfigError: an objective that needs pairs, a configuration that does not fit the model, or an activation that
            is not finite.
    """
    objective = require_closed_form(run)
    template = Template(tokenizer, run.tokens)
    positive, negative = (
        _rows(side, template, table.source, context_of(model)) for side in (table.positives, table.negatives)
    )
    indices = [exchange.row for exchange in (*table.positives, *table.negatives)]
    intervention = untrained(model, template, run, table.concept)
    with frozen(model):
        fit_answers(model, template.pad_id, positive, negative, intervention, objective, indices=indices)
    data = {
        "name": table.source,
        "split": "",
        "sha256": table.sha256,
        "positives": len(positive),
        "negatives": len(negative),
        "notes": list(table.notes),
    }
    record = record_of(model, tokenizer, run, data, model_name, revision)
    return Artifact({table.concept: intervention}, record)


def require_closed_form(run: RunConfig) -> FittedObjective:
    """Return the run's objective; raise unless it needs no pairs.

    Args:
        run: the run's configuration.

    Raises:
        ConfigError: it does.
    """
    objective = run.make_objective()
    able = [name for name in OBJECTIVES if OBJECTIVES[name].closed_form]
    require(
        isinstance(objective, FittedObjective),
        f"objective {run.objective!r} needs two answers to one prompt; unpaired answers are for {', '.join(able)}",
    )
    assert isinstance(objective, FittedObjective)
    return objective


def _rows(exchanges: Sequence[Exchange], template: Template, source: str, context: int | None) -> tuple[Row, ...]:
    texts, numbers = [(item.prompt, item.answer) for item in exchanges], [item.row for item in exchanges]
    return encode_answers(texts, template, source=source, indices=numbers, context=context)
