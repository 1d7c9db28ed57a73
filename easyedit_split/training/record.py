"""Provenance of a result, as plain JSON values: model, tokenizer, run, data and versions."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from torch import nn

from ..datasets.base import PairTable
from ..model.describe import describe, name_of
from ..model.digests import model_digests, versions
from ..model.hooks import device_of
from ..model.sites import RESIDUAL, Site, hidden_size, widths
from ..steering.self_check import is_block_output
from ..text.encode_pairs import EncodedPairs
from ..text.prompt_tokens import tokenizer_hash
from ..types import ConfigError
from .run_config import RunConfig

_FOLDER = re.compile(r"(?<![\w.~/-])(?:~|\.{1,2})?/(?:[^/\s,:]+/)+")


def record_of(
    model: nn.Module,
    tokenizer: Any,
    run: RunConfig,
    data: dict[str, Any],
    model_name: str | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """Provenance of a result as plain JSON values: model, tokenizer, run settings, data and versions.

    Args:
        model: a Hugging Face causal LM.
        tokenizer: its tokenizer.
        run: the run's configuration.
        data: what the pairs' table records of itself.
        model_name: how the record names the model; as it was loaded where None.
        revision: the revision that was asked for.
    """
    record = {
        "model": {**describe(model, name_of(model, model_name), revision), **model_digests(model)},
        "site_is_block_output": _placements(model, run),
        "tokenizer_hash": tokenizer_hash(tokenizer),
        "objective": run.objective,
        "seed": run.train.seed,
        "run": run.to_dict(),
        "data": data,
        "versions": versions(),
    }
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def _placements(model: nn.Module, run: RunConfig) -> dict[str, bool]:
    """By site, whether a change there is one at the block's output; where that has another form, nothing is said."""
    found: dict[str, bool] = {}
    for site in map(Site.parse, run.sites if device_of(model).type != "meta" else ()):
        if site.name != RESIDUAL and widths(model, site, "site")[1] == hidden_size(model):
            with suppress(ConfigError):
                found[site.key] = is_block_output(model, site)
    return found


def without_folder(text: str) -> str:
    """A sentence with the names of files and not the folders that they stand in, which a record is not to tell.

    Args:
        text: any sentence.
    """
    return _FOLDER.sub("", text)


def data_record(table: PairTable, encoded: EncodedPairs) -> dict[str, Any]:
    """Provenance of the pairs of a run: source, split, counts and notes.

    Args:
        table: where they came from.
        encoded: what became of them as ids.
    """
    return {
        "name": table.name,
        "split": table.split,
        "sha256": table.sha256,
        "pairs_sha256": table.pairs_sha256,
        "pair_ids": list(table.pair_ids),
        "pairs": len(encoded.rows),
        "dropped": [without_folder(text) for text in (*table.dropped, *encoded.dropped)],
        "notes": [without_folder(text) for text in (*table.notes, *encoded.notes)],
    }
