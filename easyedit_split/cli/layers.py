"""``--layer``: blocks by number, or ``auto``, which tries some of them and prints what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.table import Table

from ..config import TokenConfig
from ..datasets.base import PairTable
from ..scoring.encode_table import encode_table
from ..text.encode import EncodedPair
from ..text.template import Template
from ..training.layer_scan import best_layer, scan_layers, scan_split
from ..types import ConfigError
from .console import bar, console, say

AUTO = "auto"


def parse_layers(given: Sequence[str] | None) -> list[int] | None:
    """Block indices of ``--layer``; None where it was not given, or is ``auto``.

    Args:
        given: the option's values, as written.

    Raises:
        ConfigError: neither ``auto`` alone nor whole numbers.
    """
    if not given or list(given) == [AUTO]:
        return None
    try:
        return [int(text) for text in given]
    except ValueError:
        raise ConfigError(
            f"--layer {' '.join(given)}: write a block's number, counted from 0 (again for more), or auto"
        ) from None


def choose_layer(
    model: Any,
    tokenizer: Any,
    pairs: PairTable,
    tokens: TokenConfig,
    *,
    held_out: PairTable | None = None,
    drop_bad: bool = False,
) -> tuple[int, pd.DataFrame]:
    """Choose the block by a scan and print its table; both are returned.

    Args:
        model: a Hugging Face causal LM.
        tokenizer: its tokenizer.
        pairs: to make directions from.
        tokens: how they are tokenised.
        held_out: pairs to score on; some of ``pairs`` where None.
        drop_bad: leave out bad rows.

    Raises:
        ConfigError: too few pairs.
        DataError: a bad row.
    """
    template = Template(tokenizer, tokens)
    known: Sequence[EncodedPair] = encode_table(pairs, template, drop_bad=drop_bad).rows
    if held_out is None:
        known, scored = scan_split(known)
    else:
        scored = list(encode_table(held_out, template, drop_bad=drop_bad).rows)
    with bar("trying layers") as advance:
        scan = scan_layers(model, template, known, scored, progress=advance)
    chosen = best_layer(scan)
    print_scan(scan, chosen)
    say(f"layer {chosen} is steered: preference gains most there while the wanted answers stay as likely")
    return chosen, scan


def print_scan(scan: pd.DataFrame, chosen: int) -> None:
    """Print what each block gains and costs at each r.

    Args:
        scan: the scan's table.
        chosen: the block chosen.
    """
    shown = Table("layer", "r", "preference gained (nats)", "wanted answers (nats)", box=None)
    for row in scan.itertuples():
        mark = " *" if row.layer == chosen else ""
        shown.add_row(f"{row.layer}{mark}", f"{row.r:g}", f"{row.gained:+.2f}", f"{row.wanted:+.2f}")
    console.print(shown)
