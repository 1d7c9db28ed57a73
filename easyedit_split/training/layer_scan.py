"""Choice of the block to steer: a DiffMean vector is tried at each candidate, by forward passes without training.

    v_l = DiffMean of the training pairs at the output of block l,    m_l(r) = r / r_per_m(l)
    chosen: the l at which some r raises held-out preference most, of those that leave the wanted answers as likely

"As likely" means that their held-out log-probability falls by at most ``TOLERANCE``: a direction that moves preference
only where it ruins the answers is no place to train at. Log-probability alone does not tell blocks apart, because
DiffMean, unlike what is trained there later, hardly raises it anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from ..config import TokenConfig
from ..datasets.base import PairTable
from ..files.frames import read_frame, require_columns
from ..log_odds import preference
from ..model.sites import RESIDUAL, Site, blocks_of
from ..scoring.encode_table import encode_table
from ..scoring.engine.scorer import scores_over_m
from ..scoring.natural_unit import steered_values, units_of
from ..steering.forms.vector import Vector
from ..steering.intervention import Intervention
from ..text.encode_pairs import EncodedPair
from ..text.prompt_tokens import Template
from ..types import ConfigError, DataError
from .closed_form import fit_closed_form
from .objectives.diff_mean import DiffMean, DiffMeanConfig

MOST_LAYERS = 8
STRENGTHS = (0.05, 0.1, 0.2)
TOLERANCE = 1.0  # nats
SCAN_COLUMNS = ("layer", "r", "m", "gained", "wanted")
PAIRS = 8
"""Number of held-out pairs that are scored."""
DIRECTION_PAIRS = 32
"""Number of training pairs whose mean activations give the DiffMean vectors."""


def candidate_layers(blocks: int, most: int = MOST_LAYERS) -> tuple[int, ...]:
    """Candidate blocks: all but the last of a shallow model; of a deep one, evenly from a fifth to four fifths.

    Args:
        blocks: that the model has.
        most: that are tried.
    """
    if blocks <= most + 1:
        return tuple(range(max(blocks - 1, 1)))
    return tuple(int(layer) for layer in np.linspace(0.2 * blocks, 0.8 * blocks, most).round())


def scan_split(rows: Sequence[EncodedPair], most: int = PAIRS) -> tuple[list[EncodedPair], list[EncodedPair]]:
    """Split training pairs into pairs to fit and held-out pairs for a scan; of several concepts, the first's pairs.

    Args:
        rows: encoded pairs; at least two of the first concept.
        most: held-out pairs at most; a quarter of the pairs where that is less.

    Raises:
        ConfigError: fewer than two pairs.
    """
    ours = [row for row in rows if row.pair.concept == rows[0].pair.concept]
    if len(ours) < 2:
        raise ConfigError("a layer scan needs at least two pairs of a concept, one of them held out: name --layer")
    count = max(1, min(most, len(ours) // 4))
    held_out = {(2 * k + 1) * len(ours) // (2 * count) for k in range(count)}
    return (
        [row for place, row in enumerate(ours) if place not in held_out],
        [row for place, row in enumerate(ours) if place in held_out],
    )


def scan_pairs(
    model: nn.Module,
    tokenizer: Any,
    pairs: PairTable,
    tokens: TokenConfig,
    *,
    held_out: PairTable | None = None,
    drop_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Tokenise pairs and try a DiffMean vector at each candidate block.

    Args:
        model: the bare model.
        tokenizer: the model's own.
        pairs: to make directions from; the first of them are enough.
        tokens: how texts are tokenised.
        held_out: pairs to score, the first of them; some of ``pairs`` where None.
        drop_bad: leave out bad rows.
        progress: called after each scored strength with (done, in all).

    Returns:
        As ``scan_layers``.

    Raises:
        ConfigError: too few pairs.
        DataError: a bad row, unless ``drop_bad``.
    """
    template = Template(tokenizer, tokens)
    known: Sequence[EncodedPair] = encode_table(pairs, template, model, drop_bad=drop_bad).rows
    if held_out is None:
        known, scored = scan_split(known)
    else:
        scored = list(encode_table(held_out[:PAIRS], template, model, drop_bad=drop_bad).rows)
    return scan_layers(model, template, known[:DIRECTION_PAIRS], scored, progress=progress)


def scan_layers(
    model: nn.Module,
    template: Template,
    training: Sequence[EncodedPair],
    held_out: Sequence[EncodedPair],
    *,
    layers: Sequence[int] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Try a DiffMean vector at each candidate block, on held-out pairs.

    Args:
        model: the bare model.
        template: that encoded the pairs.
        training: pairs whose activations make the directions.
        held_out: pairs that are scored; none of them in ``training``.
        layers: blocks to try; ``candidate_layers`` where None.
        strengths: r to try at each, positive.
        progress: called after each scored strength with (done, in all).

    Returns:
        A row per block and strength: ``layer, r, m``; ``gained``, mean preference over the bare model's, and
        ``wanted``, mean log-probability of the wanted answers over the bare model's, both in nats.

    Raises:
        ConfigError: no pairs on one side, or a block that the model has not.
    """
    if not training or not held_out:
        raise ConfigError("a layer scan needs pairs to train on and held-out pairs: there are none of one kind")
    tried = list(candidate_layers(len(blocks_of(model))) if layers is None else layers)
    settings = {"prefix_ids": template.prefix_ids, "bos_id": template.bos_id, "openings": template.openings}
    everywhere = Intervention.create(model, "vector", tried, **settings)  # type: ignore[arg-type]
    fit_closed_form(model, template.pad_id, training, everywhere, DiffMean(DiffMeanConfig()))
    units = units_of(model, steered_values(model, training, everywhere, pad_id=template.pad_id), everywhere)
    (bare,) = scores_over_m(model, held_out, None, [0.0], pad_id=template.pad_id)
    rows: list[dict[str, float]] = []
    for layer in tried:
        site = Site(layer, RESIDUAL)
        here = Intervention.create(model, "vector", [layer], **settings)  # type: ignore[arg-type]
        _copy_direction(everywhere, here, site)
        per_m = units[site].r_per_m
        points = [r / per_m if per_m > 0 else 0.0 for r in strengths]
        scores = scores_over_m(model, held_out, here, points, pad_id=template.pad_id)
        for r, m, found in zip(strengths, points, scores, strict=True):
            gained = preference(found.L_p, found.L_n) - preference(bare.L_p, bare.L_n)
            values = (layer, r, m, float(gained.mean()), float((bare.L_p - found.L_p).mean()))
            rows.append(dict(zip(SCAN_COLUMNS, values, strict=True)))
            if progress is not None:
                progress(len(rows), len(tried) * len(strengths))
    return pd.DataFrame(rows)


def read_scan(path: Path) -> pd.DataFrame:
    """A table of ``scan_layers`` that was kept.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read, or is no such table.
    """
    scan = read_frame(path, SCAN_COLUMNS)
    require_columns(scan, path, numbers=SCAN_COLUMNS)
    if scan.empty:
        raise DataError(f"{path}: holds no rows: make the file anew")
    return scan


def best_layer(scan: pd.DataFrame) -> int:
    """The block with the largest gain in preference at which the positive answers' losses rise by at most a tolerance.

    Where no strength leaves them so at any block, the one whose wanted answers lose least.

    Args:
        scan: from ``scan_layers``.
    """
    layer, gained, wanted = (scan[name].to_numpy(dtype=float) for name in ("layer", "gained", "wanted"))
    likely = wanted >= -TOLERANCE
    merit = np.where(likely, gained, -np.inf) if likely.any() else wanted
    return int(layer[merit.argmax()])


@torch.no_grad()
def _copy_direction(source: Intervention, target: Intervention, site: Site) -> None:
    ours, theirs = target[site], source[site]
    assert isinstance(ours, Vector)
    assert isinstance(theirs, Vector)
    ours.v.copy_(theirs.v)
