"""Apply an intervention to a model at strength m, inside a context manager: the way in to all that steers.

    h' = h + dy,   dy = m1 dW x + m2 db at the policy's positions, 0 elsewhere          Eq. 4, 5

While inside, every forward pass of the model is steered: plain calls, generation with a cache, left padding, beams.
Afterwards, also after an exception, the hooks are gone and the model is what it was. With m = 0 nothing is added: the
model is bit-identical to the bare one; a row whose own m is 0 keeps its values bit for bit. Interventions stack.

A model of no registered family is tried at the first use of a map, see ``self_check``: where hooked is not edited, it
is refused with the number. An attachment that leaves out every token of every call is an error.

A compiled model runs uncompiled meanwhile, and one thread at a time may steer a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ..model.adapters import refuse_token_adapters
from ..model.sites import blocks_of
from ..text.positions import Layout, TokenLayout
from .attachment import Attachment
from .forms.base import Strength
from .intervention import Intervention
from .one_thread import steered_by_this_thread
from .report import Applied
from .self_check import require_exact
from .site_hooks import Delta, hooked, plain_delta


@contextmanager
def attach(
    model: nn.Module,
    intervention: Intervention,
    m: Strength = 1.0,
    *,
    layout: Layout | TokenLayout | None = None,
    delta: Delta | None = None,
    check: bool = False,
) -> Iterator[Attachment]:
    """Context manager: steer ``model`` by ``intervention`` at strength ``m``.

    Args:
        model: a Hugging Face causal LM.
        intervention: what to apply; where it acts is its own configuration.
        m: one float, one value per row of the batch ``[b]`` (beams of a row share it) or per token ``[b s]``, or
            ``(m1, m2)``.
        layout: where prompt and answer lie, for calls that hold both, or which tokens are steered; without it every
            call is read as generation: a call without cache holds the prompts, later ones what follows.
        delta: what is added instead of ``form.delta(x, m)``.
        check: measure what is touched; raise at the end if the model was never called, warn if no value changed.

    Yields:
        An ``Attachment``, whose ``report()`` names each module, the tokens touched and mean ||dh|| / ||h||.

    Raises:
        ConfigError: a site the model has not, widths that do not fit, m not finite, a model that cannot be steered
            exactly; at the end, that not one token was steered in all calls although m is not 0; with ``check`` also
            that there was no call.
    """
    refuse_token_adapters(model)
    limits = require_exact(model, intervention, layout)
    with (
        steered_by_this_thread(blocks_of(model)[0]),
        hooked(model, Attachment(intervention, m, layout, check, limits), delta, check=check) as attachment,
    ):
        yield attachment


__all__ = ["Applied", "Attachment", "Delta", "attach", "plain_delta"]
