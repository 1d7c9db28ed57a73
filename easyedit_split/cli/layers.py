"""The option ``--layer``: block numbers, or ``auto``, which scans blocks and prints the scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.table import Table

from ..config import TokenConfig
from ..datasets.base import PairTable
from ..training.layer_scan import best_layer, scan_pairs
from ..types import ConfigError
from .console import bar, console, say

AUTO = "auto"


def parse_layers(given: Sequence[str] | None) -> list[int] | None:
    """Block indices of ``--layer``; None where it was not given or is ``auto``.

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


def choose_layer(model: Any, tokenizer: Any, pairs: PairTable, tokens: TokenConfig, *, drop_bad: bool = False) -> int:
    """Choose a block by a layer scan and print the scan's table.

    Args:
        model: as loaded.
        tokenizer: as loaded.
        pairs: to train on; some of them are held out of the scan's directions and scored.
        tokens: how they are tokenised.
        drop_bad: leave out bad rows.

    Raises:
        ConfigError: too few pairs.
        DataError: a bad row, unless ``drop_bad``.
    """
    with bar("layer scan") as advance:
        scan = scan_pairs(model, tokenizer, pairs, tokens, drop_bad=drop_bad, progress=advance)
    chosen = best_layer(scan)
    print_scan(scan, chosen)
    say(f"layer {chosen} is steered: it gains most preference with the wanted answers at least as likely")
    return chosen


def print_scan(scan: pd.DataFrame, chosen: int) -> None:
    """Print gain and cost of each block at each r.

    Args:
        scan: the scan's table.
        chosen: the block chosen.
    """
    shown = Table("layer", "r", "preference gained (nats)", "wanted answers (nats)", box=None)
    for row in scan.itertuples():
        mark = " *" if row.layer == chosen else ""
        shown.add_row(f"{row.layer}{mark}", f"{row.r:g}", f"{row.gained:+.2f}", f"{row.wanted:+.2f}")
    console.print(shown)
