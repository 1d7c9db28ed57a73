"""Tokenise a table of pairs, keeping the row numbers of its source."""

from __future__ import annotations

import logging

from torch import nn

from ..datasets.base import PairTable
from ..model.context import context_of
from ..text.encode_pairs import EncodedPairs, encode_pairs
from ..text.prompt_tokens import Template

logger = logging.getLogger(__name__)


def encode_table(table: PairTable, template: Template, model: nn.Module, *, drop_bad: bool = False) -> EncodedPairs:
    """Tokenise a table of pairs; what was done to all of them is logged.

    Args:
        table: pairs with the rows they come from.
        template: tokenizer and token settings.
        model: whose context bounds a row's length.
        drop_bad: leave bad rows out and name them, instead of raising at the first.

    Raises:
        DataError: a bad row (named), or no row left.
    """
    encoded = encode_pairs(
        table.pairs,
        template,
        source=table.source,
        drop_bad=drop_bad,
        indices=table.rows,
        context=context_of(model),
    )
    for note in encoded.notes:
        logger.info("%s: %s", table.name, note)
    return encoded
