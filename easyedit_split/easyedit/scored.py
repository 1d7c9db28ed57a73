"""Losses of pairs under an EasyEdit2 wrapper at many m, kept as they are finished, so that a killed run goes on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..config import TokenConfig
from ..datasets.base import pairs_hash
from ..files.journal import Journal
from ..model.context import context_of
from ..model.describe import recorded_name
from ..model.digests import model_digests, versions
from ..text.conversation import in_front
from ..text.encode_pairs import EncodedPair, encode_pairs
from ..text.prompt_tokens import Template, tokenizer_hash
from ..types import BadRowError, Pair, Scores
from .host.wrappers import layers_of
from .live import live_on
from .strength import applied_methods, prompt_of
from .wrapper_scores import wrapper_scores

Scored = tuple[Sequence[EncodedPair], Scores]
REMEDY = "drop_bad: true under log_odds, drop_bad=True in a script"


class WrapperLosses:
    """Losses of pairs under all that is applied to a wrapper.

    Args:
        wrapper: EasyEdit2's model wrapper.
        pairs: the pairs.
        tokens: how they become tokens.
        source: what the pairs are called.
        drop_bad: leave bad pairs out and name them.
    """

    def __init__(
        self, wrapper: Any, pairs: Sequence[Pair], tokens: TokenConfig, source: str, *, drop_bad: bool = False
    ) -> None:
        self.wrapper, self.pairs, self.tokens, self.source = wrapper, pairs, tokens, source
        self.drop_bad = drop_bad
        self.template = Template(wrapper.tokenizer, tokens)
        self._encoded: dict[str | None, Sequence[EncodedPair]] = {}

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything the losses depend on: model, what is applied to it, pairs and tokens."""
        return {
            "model": recorded_name(str(getattr(self.wrapper, "model_name_or_path", ""))),
            "dtype": str(next(self.wrapper.model.parameters()).dtype),
            **model_digests(self.wrapper.model),
            "tokenizer": tokenizer_hash(self.wrapper.tokenizer),
            "versions": versions(),
            "methods": list(applied_methods(self.wrapper)),
            "applied": _digest(self.wrapper),
            "pairs": pairs_hash(self.pairs),
            "tokens": dataclasses.asdict(self.tokens),
            "drop_bad": self.drop_bad,
        }

    def over_m(
        self, ms: Sequence[float], journal: Journal | None, progress: Callable[[int, int], None]
    ) -> dict[float, Scored]:
        """Rows and their losses at every m, in order.

        Args:
            ms: factors on the applied strength.
            journal: holds what an interrupted run had scored, and is given the rest; None for none.
            progress: called with (scored, to score).

        Raises:
            BadRowError: a bad pair, unless ``drop_bad``.
        """
        known = {record["m"]: _scores(record) for record in (journal.records if journal else ())}
        found: dict[float, Scored] = {}
        for done, m in enumerate(ms, 1):
            rows = self._rows(m)
            scores = known.get(m)
            if scores is None:
                scores = wrapper_scores(self.wrapper, rows, m, self.template.pad_id)
                if journal is not None:
                    journal.append({"m": m, **{k: v.tolist() for k, v in _fields(scores).items()}})
            found[m] = rows, scores
            progress(done, len(ms))
        return found

    def _rows(self, m: float) -> Sequence[EncodedPair]:
        prompt = prompt_of(self.wrapper, m)
        if prompt not in self._encoded:
            pairs = self.pairs
            if prompt is not None:  # as EasyEdit2 joins them
                pairs = [Pair(in_front(prompt, p.prompt), p.positive, p.negative, p.concept) for p in pairs]
            try:
                encoded = encode_pairs(
                    pairs,
                    self.template,
                    source=self.source,
                    drop_bad=self.drop_bad,
                    context=context_of(self.wrapper.model),
                )
            except BadRowError as error:
                raise error.with_remedy(REMEDY) from error
            self._encoded[prompt] = encoded.rows
        return self._encoded[prompt]


def _fields(scores: Scores) -> dict[str, Any]:
    return {name: getattr(scores, name) for name in ("L_p", "L_n", "T_p", "T_n")}


def _scores(record: Mapping[str, Any]) -> Scores:
    L_p, L_n = (np.array(record[name], dtype=np.float64) for name in ("L_p", "L_n"))
    T_p, T_n = (np.array(record[name], dtype=np.int64) for name in ("T_p", "T_n"))
    return Scores(L_p=L_p, L_n=L_n, T_p=T_p, T_n=T_n)


def _digest(wrapper: Any) -> str:
    """SHA-256 over every tensor and strength that steers the model."""
    total = hashlib.sha256(repr(getattr(wrapper, "prompt", None)).encode())

    def add(*parts: Any) -> None:
        for part in parts:
            if isinstance(part, torch.Tensor):
                part = part.detach().cpu().double().contiguous().numpy().tobytes()
            total.update(part if isinstance(part, bytes) else repr(part).encode())

    for number, layer in enumerate(layers_of(wrapper)):
        for name, vector in layer.add_activations_dict.items():
            add(number, name, vector)
        for name, module in layer.intervention_dict.items():
            add(number, name, getattr(module, "multiplier", None))
            if isinstance(module, nn.Module):
                add(*(x for item in sorted(module.state_dict().items()) for x in item))
            add(*(value for value in vars(module).values() if isinstance(value, torch.Tensor)))
    for live in live_on(wrapper):
        state = sorted(live.intervention.state_dict().items())
        add(live.name, live.layer, live.m, live.intervention.config, *(x for item in state for x in item))
    return total.hexdigest()
