"""What a model itself does not compute exactly, as far as steering has to know: left padding, and its cache.

    padded = alone     a row padded on the left gives its own logits                   else rows are not padded
    cached = whole     tokens behind cached ones give the logits of one whole call     else no cache is used

Tried on a few tokens of the bare model, once for each model object. A model that cannot do it is steered all the same:
rows are then run without padding, tokens without a cache. A call that would need what it cannot do is refused, with the
number. Errors are relative to the spread of the logits; in half precision the median token counts, because rounding may
send one token of a mixture to another expert.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..files.reading import reason_of
from ..model.calls import KEYS, cached_logits, logits_of, trial_ids
from ..model.hooks import device_of, frozen
from ..model.sites import is_registered
from ..types import ConfigError


@dataclass(frozen=True, slots=True)
class Limits:
    """How a model may not be called, and why; None where it may be.

    Attributes:
        padding: why rows may not be padded on the left.
        cache: why tokens may not be run behind cached ones.
        keys: whether its cache is one of keys and values, from which rows can be taken.
    """

    padding: str | None = None
    cache: str | None = None
    keys: bool = True

    def require_within(self, index: Int[Tensor, "b s"]) -> None:
        """Raise where a call does what the model is not exact under.

        Args:
            index: place of each of the call's tokens in its row, negative under padding.

        Raises:
            ConfigError: the call is padded on the left, or goes on behind a cache.
        """
        if self.padding is not None and bool((index[:, 0] < 0).any()):
            raise ConfigError(f"{self.padding}: give one row at a time, or rows of equal length")
        if self.cache is not None and bool((index[:, 0] > 0).any()):
            raise ConfigError(f"{self.cache}: call it with use_cache=False")


NO_LIMITS = Limits()
TOKENS, PADDING, CACHED = 8, 3, 5
LARGEST_ERROR = 0.02
LARGEST_ERROR_IN_HALF = 0.3
FAILURES = (ArithmeticError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What a model's own code raises where it cannot be called so."""


_KNOWN: WeakKeyDictionary[nn.Module, Limits] = WeakKeyDictionary()


def largest_error(model: nn.Module) -> float:
    """Largest relative error that is taken for rounding, in a model's dtype.

    Args:
        model: a Hugging Face causal LM.
    """
    return LARGEST_ERROR if next(model.parameters()).dtype.itemsize >= 4 else LARGEST_ERROR_IN_HALF


def limits_of(model: nn.Module) -> Limits:
    """What a model does not compute exactly by itself; measured once for each model object.

    Args:
        model: a Hugging Face causal LM; a registered family's is known to have no limits.
    """
    if is_registered(model) or device_of(model).type == "meta":
        return NO_LIMITS
    if model not in _KNOWN:
        padding, (cache, keys) = padding_error(model), _cache_error(model)
        _KNOWN[model] = Limits(
            _limit(model, padding, "rows padded on the left differ from the same rows alone"),
            _limit(model, cache, "tokens behind cached ones differ from one whole call"),
            keys,
        )
    return _KNOWN[model]


def _limit(model: nn.Module, error: float | str, what: str) -> str | None:
    if isinstance(error, str):
        return f"in this {type(model).__name__} {what}: {error}"
    if error <= largest_error(model):
        return None
    return f"in this {type(model).__name__} itself {what}, by {error:.2g} of the spread of its logits"


def typical_error(model: nn.Module, errors: Float[Tensor, " s"]) -> float:
    """The largest of tokens' errors; in half precision the median one.

    Args:
        model: whose dtype counts.
        errors: relative, one a token.
    """
    worst = errors.max() if largest_error(model) == LARGEST_ERROR else errors.median()
    return math.inf if bool(worst.isnan()) else float(worst)


@torch.no_grad()
def padding_error(model: nn.Module) -> float | str:
    """Error of a row's logits under left padding, relative to their spread; or why it cannot be padded.

    Args:
        model: a Hugging Face causal LM.
    """
    ids = trial_ids(model, TOKENS)
    return _tried(model, lambda: (logits_of(model, ids, PADDING), logits_of(model, ids)))


@torch.no_grad()
def cache_error(model: nn.Module) -> float | str:
    """Error of logits behind cached tokens, relative to their spread; or why there is no cache to use.

    Args:
        model: a Hugging Face causal LM.
    """
    return _cache_error(model)[0]


def _cache_error(model: nn.Module) -> tuple[float | str, bool]:
    """And whether the cache is one of keys and values."""
    ids, names = trial_ids(model, TOKENS), [KEYS]

    def run() -> tuple[Tensor, Tensor]:
        found, names[0] = cached_logits(model, ids, CACHED)
        return found, logits_of(model, ids)[:, CACHED:]

    return _tried(model, run), names[0] == KEYS


def _tried(model: nn.Module, run: Callable[[], tuple[Tensor, Tensor]]) -> float | str:
    try:
        with frozen(model):
            found, wanted = run()
    except torch.OutOfMemoryError:
        raise
    except FAILURES as error:
        return f"{type(error).__name__}: {reason_of(error)}"
    return typical_error(model, ((found - wanted).norm(dim=-1) / logit_spread(wanted)).flatten())


def logit_spread(logits: Float[Tensor, "b s V"]) -> Float[Tensor, "b s"]:
    """Length of each token's logits about their mean.

    Args:
        logits: of a call.
    """
    spread: Tensor = (logits - logits.mean(-1, keepdim=True)).norm(dim=-1).clamp(min=1e-300)
    return spread
