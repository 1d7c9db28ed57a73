"""Token positions of a model call, inferred from its attention mask or position ids, KV cache and token ids.

A call without cache is read as prompts; calls that follow with a cache hold what comes after them. ``generate`` says
itself which columns are prompts, so that candidates and calls without a cache are told from them. A caller whose one
call holds prompt and answer knows better and gives a ``Layout`` instead.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..model.calls import KEYS, STATES
from ..text.openings import Opening, opening_length
from ..text.positions import Layout, index_from_mask
from ..types import ConfigError

logger = logging.getLogger(__name__)


class CallReader:
    """Infers token positions from successive model calls; prompt lengths from a call without cache hold for later ones.

    Args:
        prefix_ids: token ids of BOS and the chat template's constant prefix, see ``prompt_tokens.prefix_lengths``.
        bos_id: the tokenizer's BOS id, if it has one.
        needs_prefix: whether the token policy asks for it at all.
        needs_prompt: whether the token policy tells prompts from answers.
        openings: other forms of the constant prefix, see ``text.openings``.
    """

    def __init__(
        self,
        prefix_ids: tuple[int, ...],
        bos_id: int | None,
        needs_prefix: bool,
        needs_prompt: bool = False,
        openings: tuple[Opening, ...] = (),
    ) -> None:
        self.prefix_ids = prefix_ids
        self.bos_id = bos_id
        self.openings = openings
        self._said = False
        self.needs_prefix = needs_prefix
        self.needs_prompt = needs_prompt
        self._bare_ids: Tensor | None = None
        """Ids of the call before, if that was one without cache."""
        self._prompt: Tensor | None = None
        self._prefix: Tensor | None = None
        self._told = False
        self._given: tuple[int, Tensor | None] | None = None
        """Columns of the prompts and their ids, where ``generate`` said them."""
        self._end: Tensor | None = None
        """``[b]`` place behind the last token of each row, after the call before."""

    def expect(self, prompt_lengths: Tensor, prefix_lengths: Tensor) -> None:
        """Set the prompt and prefix lengths of the next calls, so that only token positions are read off a call.

        Args:
            prompt_lengths: ``[b]`` tokens of each row's prompt, cached ones included.
            prefix_lengths: ``[b]`` tokens of its constant template prefix.
        """
        self._prompt, self._prefix, self._told = prompt_lengths, prefix_lengths, True

    @contextmanager
    def prompts_known(self, columns: int, ids: Tensor | None) -> Iterator[None]:
        """Take the first columns of the calls inside for prompts, and those after them for what follows.

        Args:
            columns: of the prompts, padding and cached ones included.
            ids: ``[b columns]`` their ids; None where embeddings are given.
        """
        if self._told:  # the lengths themselves are known
            yield
            return
        before, self._given, self._prompt = self._given, (columns, ids), None
        self._bare_ids = self._end = None
        try:
            yield
        finally:
            self._given = before

    def read(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Layout:
        """The token layout of a call of the module that receives ``input_ids``.

        Args:
            args: positional arguments of the call.
            kwargs: keyword arguments of the call.

        Raises:
            ConfigError: no tokens, a mask from which positions cannot be read, or a call without cache that goes on
                with the one before.
        """
        ids = args[0] if args else kwargs.get("input_ids")
        tokens = ids if isinstance(ids, Tensor) else kwargs.get("inputs_embeds")
        if not isinstance(tokens, Tensor):
            raise ConfigError("the model was called with neither input_ids nor inputs_embeds")
        b, s = tokens.shape[:2]
        past = _past(kwargs)
        mask = kwargs.get("attention_mask")
        if past is None and mask is None and self._end is not None and len(self._end) == b:
            index = self._end.to(tokens.device)[:, None] + torch.arange(s, device=tokens.device)
        else:
            index = _index(mask, kwargs.get("position_ids"), b, s, past or 0, tokens.device)
        self._end = index[:, -1] + 1
        if self.needs_prompt and not self._told and self._given is None:
            self._require_prompts(ids, past)
            self._require_one_token(past, s)
        if not self._told and (past == 0 or self._prompt is None or len(self._prompt) != b):
            self._begin(ids, index, past)
        assert self._prompt is not None
        assert self._prefix is not None
        return Layout(index, self._prompt, self._prefix)

    def _begin(self, ids: Any, index: Tensor, past: int | None) -> None:
        """Read prompt and prefix lengths off a call that holds prompts, or the end of them."""
        if self._given is None:
            self._prompt, self._prefix = index.amax(-1) + 1, self._prefixes(ids, index, past)
            return
        columns, known = self._given
        if self._prompt is not None and self._prefix is not None and past != 0:  # several rows of each prompt
            copies = max(1, len(index) // len(self._prompt))
            self._prompt, self._prefix = (x.repeat_interleave(copies) for x in (self._prompt, self._prefix))
            return
        held = max(columns - (past or 0), 1)  # the call may hold candidates behind them
        self._prompt = index[:, :held].amax(-1) + 1
        if past and known is not None and self.needs_prefix:
            ids = known.repeat_interleave(max(1, len(index) // len(known)), 0)
            index = _index(None, None, len(ids), columns, 0, index.device)
        self._prefix = self._prefixes(ids, index, 0)

    def _require_prompts(self, ids: Any, past: int | None) -> None:
        """Raise where a call without cache is the one before and one token more: an answer written without a cache."""
        before, self._bare_ids = self._bare_ids, ids if past == 0 and isinstance(ids, Tensor) else None
        if before is None or self._bare_ids is None or ids.shape != (len(before), before.shape[1] + 1):
            return
        if torch.equal(ids[:, :-1], before):
            raise ConfigError(
                "the model writes without a cache, so a call does not say where its prompts end: generate with "
                "use_cache=True (look for use_cache in the model's configuration), or steer at positions=all"
            )

    def _require_one_token(self, past: int | None, tokens: int) -> None:
        """Raise where a call behind the cache of an earlier one holds several tokens, which may be prompt or answer."""
        if past != 0 and tokens > 1 and self._prompt is not None:
            raise ConfigError(
                f"a call behind a cache holds {tokens} tokens, and nothing says whether they are prompt (a new turn, "
                "a prompt in pieces) or answer (assisted decoding): generate without the old cache, give "
                "attach(..., layout=...), or steer at positions=all"
            )

    def _prefixes(self, ids: Any, index: Tensor, past: int | None) -> Tensor:
        if not self.needs_prefix:
            return torch.zeros(len(index), dtype=torch.long, device=index.device)
        if not isinstance(ids, Tensor):
            raise ConfigError(
                "skip_prefix needs token ids to find the template's constant prefix, but the model was called with "
                "inputs_embeds: pass attach(..., layout=...)"
            )
        rows = [row[place >= 0].tolist() for row, place in zip(ids, index, strict=True)]
        found = [opening_length(row, self.prefix_ids, self.openings) for row in rows]
        if past == 0 and None in found and (self.openings or len(self.prefix_ids) > 1) and not self._said:
            self._said = True
            logger.warning(
                "skip_prefix: row %d begins with no opening that the chat template writes, so %s left alone: "
                "render it as in training, or give attach(..., layout=...)",
                found.index(None),
                "BOS alone is" if rows[found.index(None)][:1] == [self.bos_id] else "no token is",
            )
        bos = [int(self.bos_id is not None and row[:1] == [self.bos_id]) for row in rows]
        lengths = [b if length is None else length for length, b in zip(found, bos, strict=True)]
        return torch.tensor(lengths, device=index.device)


def _past(kwargs: dict[str, Any]) -> int | None:
    """Tokens that a call's cache holds; None where it holds some and does not say how many, as a recurrent state."""
    cache = kwargs.get(KEYS)
    state = next((kwargs[name] for name in STATES if kwargs.get(name) is not None), None)
    if cache is not None:
        try:
            return int(cache.get_seq_length())
        except ValueError:  # it has no layer that counts
            state = cache
    if state is None:
        return 0
    begun = getattr(state, "has_previous_state", True)  # a bare list of states exists from the first call on
    return None if (begun() if callable(begun) else begun) else 0


def _index(mask: Any, position_ids: Any, b: int, s: int, past: int, device: torch.device) -> Tensor:
    if mask is None:
        return torch.arange(past, past + s, device=device).expand(b, s)
    if isinstance(mask, Tensor) and mask.ndim == 2:
        return index_from_mask(mask, s).to(device)
    index = _index_from_positions(position_ids, past) if isinstance(position_ids, Tensor) else None
    if index is None or index.shape[-1] != s:
        raise ConfigError(
            "the model was called with an attention mask that is not [b, s] and without position_ids that count on "
            "behind left padding, so token positions cannot be read: pass attach(..., layout=...)"
        )
    return index.to(device).expand(b, s)


def _index_from_positions(position_ids: Tensor, past: int) -> Tensor | None:
    """Position of each token in its row, from position ids, where the mask is in another form (static cache).

    ``generate`` counts a row's tokens 0, 1, 2, ... and gives the padding on their left one and the same number; None
    where the positions are not of that kind.
    """
    s = position_ids.shape[-1]
    column = torch.arange(s, device=position_ids.device)
    start = torch.zeros_like(position_ids[:, :1])
    if past == 0:
        start = torch.where(position_ids == 0, column, -1).amax(-1, keepdim=True)
    real = column >= start
    counted = position_ids - position_ids.gather(-1, start.clamp(min=0)) == column - start
    uniform = position_ids == position_ids[:, :1]
    if bool((start < 0).any()) or not bool(torch.where(real, counted, uniform).all()):
        return None
    return torch.where(real, position_ids, -1)
