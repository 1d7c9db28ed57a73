"""Hidden states of answer tokens at one layer, and how an intervention changes them, for ``analysis.mechanism``.

    h    [n d]   output of the block, at positions that predict an answer token, under the bare model (m = 0)
    dh   [n d]   the same positions under the intervention at m = 1, minus h
    util, pref   [n] log-odds of the row's pair under the bare model (Eq. 7, 8)
    pair         [n] the pair's row number in its source
    n_undefined  []  pairs left out because their utility is undefined

The last prompt token predicts the first token of either answer: it is one row. Without an intervention dh is DiffMean's
vector of the same pairs. Rows are drawn from all positions by the seed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from .. import log_odds
from ..config import require
from ..model.hooks import frozen
from ..model.sites import RESIDUAL, Site, check_site
from ..steering.artifact import Artifact
from ..steering.intervention import Intervention
from ..storage import write_whole
from ..text.batching import Row
from ..text.encode_pairs import EncodedPair
from ..types import DataError, FloatArray
from .answer_means import answer_means
from .answer_outputs import answer_outputs
from .engine.scorer import scores_over_m
from .score import answer_rows
from .sweep_encoded import by_concept

log = logging.getLogger(__name__)


@torch.no_grad()
def collect_activations(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    layer: int,
    artifact: Artifact | None = None,
    *,
    pad_id: int = 0,
    most: int = 2000,
    seed: int = 0,
) -> dict[str, npt.NDArray[Any]]:
    """Collect hidden states, their change at m = 1 and the estimated utility and preference directions.

    Args:
        model: a Hugging Face causal LM.
        pairs: encoded pairs.
        layer: block whose output is taken; an intervention must act at this block or before.
        artifact: the intervention; DiffMean of ``pairs`` where None.
        pad_id: any valid id; it changes nothing.
        most: rows to keep.
        seed: of the choice of rows.

    Raises:
        ConfigError: a layer the model has not, or an intervention that acts behind it.
        DataError: utility is undefined for every pair.
    """
    site = Site(layer, RESIDUAL)
    check_site(model, site)
    if artifact is not None:
        first = min(Site.parse(key).block for key in artifact.config.sites)
        require(first <= layer, f"the intervention first acts at layer {first}, after layer {layer}: collect there")
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("h", "dh", "util", "pref", "pair")}
    undefined = 0
    groups = {"": list(pairs)} if artifact is None else by_concept(pairs, artifact)
    with frozen(model):
        for concept, members in groups.items():
            intervention = None if artifact is None else artifact[concept]
            undefined += _collect(model, members, site, intervention, pad_id, parts)
        if not parts["h"]:
            raise DataError(f"utility is undefined for all {len(pairs)} pairs: no activations; take shorter answers.")
        if artifact is None:
            v = _diff_mean(model, pairs, site, pad_id)
            parts["dh"] = [np.broadcast_to(v, h.shape) for h in parts["h"]]
    if undefined:
        log.warning("utility is undefined for %d of %d pairs; their activations are left out", undefined, len(pairs))
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    n = len(arrays["h"])
    chosen = np.sort(np.random.default_rng(seed).permutation(n)[:most])
    return {name: values[chosen] for name, values in arrays.items()} | {"n_undefined": np.array(undefined)}


def _collect(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    site: Site,
    intervention: Intervention | None,
    pad_id: int,
    parts: dict[str, list[npt.NDArray[Any]]],
) -> int:
    """Append each pair's rows to ``parts``; return how many pairs were left out, their utility being undefined."""
    (scores,) = scores_over_m(model, pairs, intervention, [0.0], pad_id=pad_id)
    util, pref = log_odds.utility(scores.L_p, scores.L_n), log_odds.preference(scores.L_p, scores.L_n)
    kept = [i for i in range(len(pairs)) if np.isfinite(util[i])]
    if not kept:
        return len(pairs)
    rows = answer_rows([pairs[i] for i in kept])
    outputs = answer_outputs(
        model, pad_id, rows, site.block, intervention, (0.0,) if intervention is None else (0.0, 1.0)
    )
    for place, i in enumerate(kept):
        for first, text in ((0, place), (1, len(kept) + place)):
            bare, *steered = (of_m[text][first:] for of_m in outputs)
            parts["h"].append(bare)
            parts["dh"] += [h - bare for h in steered]
            parts["util"].append(np.full(len(bare), util[i]))
            parts["pref"].append(np.full(len(bare), pref[i]))
            parts["pair"].append(np.full(len(bare), pairs[i].index, dtype=np.int64))
    return len(pairs) - len(kept)


def _diff_mean(model: nn.Module, pairs: Sequence[EncodedPair], site: Site, pad_id: int) -> FloatArray:
    positive, negative = (
        answer_means(model, pad_id, [Row(p.prompt, getattr(p, name), p.prefix_length) for p in pairs], [site])[site]
        for name in ("positive", "negative")
    )
    v = positive.double().mean(0) - negative.double().mean(0)
    return np.asarray(v.to(positive.dtype).double().cpu().numpy(), dtype=np.float64)


def write_activations(arrays: dict[str, npt.NDArray[Any]], path: Path, *, model: str, layer: int) -> None:
    """Write an activations file atomically: whole or not at all.

    Args:
        arrays: as ``collect_activations`` returns them.
        path: the file, .npz.
        model: name of the model.
        layer: the block whose output they are.
    """
    content: dict[str, Any] = {**arrays, "model": np.array(model), "layer": np.array(layer)}

    def save(to: Path) -> None:
        np.savez_compressed(to, **content)

    write_whole(path, save)
