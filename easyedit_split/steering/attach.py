"""Apply an intervention to a model at strength m in a context manager; no other hooks change what a model computes.

    h' = h + dy,   dy = m1 dW x + m2 db at the policy's positions, 0 elsewhere          Eq. 4, 5

While inside, every forward pass of the model is steered: plain calls, generation with a cache, left padding, beams.
Afterwards, also after an exception, the hooks are gone and the model is what it was. With m = 0 nothing is added: the
model is bit-identical to the bare one; a row whose own m is 0 keeps its values bit for bit. Interventions stack.

Which tokens are steered is decided once per model call, by a hook on the module that receives the tokens, from lengths
(attention mask, positions and KV cache), never from pad ids. An attachment that leaves out every token of every call is
an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ..model.linear_map import linear_map
from ..model.sites import RESIDUAL, Site, blocks_of, family_of, walk, widths
from ..text.positions import Layout, TokenLayout
from ..types import ConfigError
from .attachment import Attachment
from .forms.base import Factor, Form, Strength
from .intervention import Intervention
from .report import Applied, Tally, check_report

Delta: TypeAlias = Callable[[Form, Tensor, Strength], Tensor]
"""A function ``(form, x, m) -> dy``, the update that is added; ``form.delta`` by default, or an objective's own."""


def _nonzero(m1: Factor, m2: Factor, mask: Tensor) -> Tensor:
    """Mask of the steered tokens without rows at m = 0, whose values stay bit-identical (-0.0 + 0.0 would not)."""
    for_rows = [value for value in (m1, m2) if isinstance(value, Tensor)]
    if not for_rows or any(not isinstance(value, Tensor) and value != 0 for value in (m1, m2)):
        return mask
    nonzero = torch.stack([value != 0 for value in for_rows]).any(0)
    return mask & (nonzero[:, None] if nonzero.ndim == 1 else nonzero)


def _hidden(output: Any) -> Tensor:
    hidden = output[0] if isinstance(output, tuple) else output
    assert isinstance(hidden, Tensor)
    return hidden


class _SiteHooks:
    """The forward hooks of one site: they read the input x, add the update dy and count the changed tokens.

    Args:
        attachment: the attachment that the hooks belong to.
        site: where they act.
        form: what computes dy there.
        module: dotted name of the module whose output they change.
        delta: computes dy.
    """

    def __init__(self, attachment: Attachment, site: Site, form: Form, module: str, delta: Delta) -> None:
        self.attachment = attachment
        self.site = site
        self.form = form
        self.tally = Tally(site.key, module)
        self.delta = delta
        self.x: Tensor | None = None

    def linear_output(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        # placement site: add at the map's own output
        return self._changed(args[0], output)

    def linear_input(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        # placement block_output: keep the map's input for the end of the block
        self.x = args[0]

    def block_output(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        # placement block_output: add at the block's output
        x, self.x = (_hidden(output), None) if self.site.name == RESIDUAL else (self.x, None)
        if x is None:
            raise ConfigError(f"{self.site.key} did not run in its block, so its update cannot be computed")
        return self._changed(x, output)

    def _changed(self, x: Tensor, output: Any) -> Any:
        h = _hidden(output)
        mask, seen = self.attachment.masks(h)
        self.tally.calls += 1
        if self.attachment.measure:
            self.tally.seen += int(seen.sum())
        if self.attachment.bare:
            return None
        m1, m2 = self.attachment.factors_for(h)
        dy = self.delta(self.form, x, (m1, m2)).to(h.device)
        mask = _nonzero(m1, m2, mask)
        new = torch.where(mask[..., None], (h.to(dy.dtype) + dy).to(h.dtype), h)
        if self.attachment.measure:
            self.tally.measure(h, new, mask)
        return (new, *output[1:]) if isinstance(output, tuple) else new


def plain_delta(form: Form, x: Tensor, m: Strength) -> Tensor:
    """The form's own update dy.

    Args:
        form: the form.
        x: its site's input ``[b s d_in]``.
        m: strength, see ``attach``.
    """
    dy: Tensor = form.delta(x, m)
    return dy


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
        ConfigError: a site the model has not, widths that do not fit, m not finite; at the end, that not one token was
            steered in all calls although m is not 0; with ``check`` also that there was no call.
    """
    intervention.onto(model)
    attachment = Attachment(intervention, m, layout, check)
    names = {id(module): name for name, module in model.named_modules()}
    with ExitStack() as stack:
        for site in intervention.sites:
            _attach_site(stack, attachment, model, site, delta or plain_delta, names)
        decoder = walk(model, family_of(model).decoder)
        stack.callback(decoder.register_forward_pre_hook(attachment.enter_call, with_kwargs=True).remove)
        yield attachment
    attachment.require_steered()
    if check:
        check_report(attachment.report())


def _attach_site(
    stack: ExitStack,
    attachment: Attachment,
    model: nn.Module,
    site: Site,
    delta: Delta,
    names: dict[int, str],
) -> None:
    placement = attachment.intervention.config.placement
    here = linear_map(model, site)
    form, wanted = attachment.intervention[site].on(here), widths(model, site, placement)
    if (form.d_in, form.d_out) != wanted:
        raise ConfigError(
            f"{site.key}: the intervention maps {form.d_in} to {form.d_out}, this model's site maps {wanted[0]} to "
            f"{wanted[1]}: it was made for another model"
        )
    block = blocks_of(model)[site.block]
    linear = here.module
    touched = linear if linear is not None and placement == "site" else block
    hooks = _SiteHooks(attachment, site, form, names[id(touched)], delta)
    if touched is linear:
        handles = [linear.register_forward_hook(hooks.linear_output)]
    else:
        handles = [block.register_forward_hook(hooks.block_output)]
        if linear is not None:
            handles.append(linear.register_forward_pre_hook(hooks.linear_input))
    for handle in handles:
        stack.callback(handle.remove)
    attachment.tallies.append(hooks.tally)


__all__ = ["Applied", "Attachment", "Delta", "attach", "plain_delta"]
