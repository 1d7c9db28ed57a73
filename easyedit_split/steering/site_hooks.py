"""The hooks that steer: one at each site, one on every module that a caller may call.

    h' = h + dy,   dy = m1 dW x + m2 db at the policy's positions, 0 elsewhere          Eq. 4, 5

Which tokens are steered is decided once per model call, by the outermost of the modules from the model down to its
decoder that is called, from lengths (attention mask, positions and KV cache), never from pad ids. A map that is given
its tokens as ``[b s, d]`` is steered as if they came as ``[b, s, d]``; of a fused map only the site's rows change.
``attach`` is the way in: it looks first whether a model can be steered exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ..model.hooks import first_output
from ..model.linear_map import linear_map
from ..model.sites import RESIDUAL, Site, blocks_of, called_modules, widths
from ..types import ConfigError
from .attachment import Attachment
from .compiled import uncompiled
from .forms.base import Factor, Form, Strength
from .generate_calls import told_by_generate
from .report import Tally, check_report

Delta: TypeAlias = Callable[[Form, Tensor, Strength], Tensor]
"""A function ``(form, x, m) -> dy``, the update that is added; ``form.delta`` by default, or an objective's own."""

CallHook: TypeAlias = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]
"""``(module, args, kwargs)`` of a call that begins."""


def _nonzero(m1: Factor, m2: Factor, mask: Tensor) -> Tensor:
    """Mask of the steered tokens without rows at m = 0, whose values stay bit-identical (-0.0 + 0.0 would not)."""
    for_rows = [value for value in (m1, m2) if isinstance(value, Tensor)]
    if not for_rows or any(not isinstance(value, Tensor) and value != 0 for value in (m1, m2)):
        return mask
    nonzero = torch.stack([value != 0 for value in for_rows]).any(0)
    return mask & (nonzero[:, None] if nonzero.ndim == 1 else nonzero)


class _SiteHooks:
    """The forward hooks of one site: they read the input x, add the update dy and count the changed tokens.

    Args:
        attachment: the attachment that the hooks belong to.
        site: where they act.
        form: what computes dy there.
        module: dotted name of the module whose output they change.
        delta: computes dy.
        rows: those of the output that are changed; None for all.
    """

    def __init__(
        self, attachment: Attachment, site: Site, form: Form, module: str, delta: Delta, rows: slice | None
    ) -> None:
        self.attachment = attachment
        self.site = site
        self.form = form
        self.tally = Tally(site.key, module)
        self.delta = delta
        self.rows = rows
        self.x: Tensor | None = None

    def linear_output(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        # placement site: add at the map's own output
        return self._changed(args[0], output)

    def linear_input(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        # placement block_output: keep the map's input for the end of the block
        self.x = args[0]

    def block_output(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        # placement block_output: add at the block's output
        x, self.x = (first_output(output), None) if self.site.name == RESIDUAL else (self.x, None)
        if x is None:
            raise ConfigError(f"{self.site.key} did not run in its block, so its update cannot be computed")
        return self._changed(x, output)

    def _changed(self, x: Tensor, output: Any) -> Any:
        given = first_output(output)
        x, whole = (self.attachment.by_row(tokens) for tokens in (x, given))
        mask, seen = self.attachment.masks(whole)
        self.tally.calls += 1
        if self.attachment.measure:
            self.tally.seen += int(seen.sum())
        if self.attachment.bare:
            return None
        h = whole if self.rows is None else whole[..., self.rows]
        m1, m2 = self.attachment.factors_for(h)
        dy = self.delta(self.form, x, (m1, m2)).to(h.device)
        mask = _nonzero(m1, m2, mask)
        new = torch.where(mask[..., None], (h.to(dy.dtype) + dy).to(h.dtype), h)
        if self.attachment.measure:
            self.tally.measure(h, new, mask)
        if self.rows is not None:
            new = torch.cat([whole[..., : self.rows.start], new, whole[..., self.rows.stop :]], -1)
        new = new.reshape(given.shape)
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
def hooked(
    model: nn.Module, attachment: Attachment, delta: Delta | None = None, *, check: bool = False
) -> Iterator[Attachment]:
    """Let an attachment steer ``model`` while inside.

    Args:
        model: a Hugging Face causal LM.
        attachment: what is applied, how strongly and to which tokens.
        delta: what is added instead of ``form.delta(x, m)``.
        check: raise at the end if the model was never called, warn if no value changed.

    Yields:
        The attachment.

    Raises:
        ConfigError: as ``attach`` says.
    """
    attachment.intervention.onto(model)
    reached = called_modules(model)
    names = {id(module): name for name, module in model.named_modules()}
    with ExitStack() as stack:
        for site in attachment.intervention.sites:
            _attach_site(stack, attachment, model, site, delta or plain_delta, names)
        at_each_call(stack, model, attachment.enter_call)
        stack.enter_context(told_by_generate(reached, attachment))
        stack.enter_context(uncompiled())
        yield attachment
    attachment.require_steered()
    if check:
        check_report(attachment.report())


def at_each_call(stack: ExitStack, model: nn.Module, decide: CallHook) -> None:
    """Do something once before each call of a model, whichever of its modules is called for it.

    Args:
        stack: on whose closing the hooks are removed.
        model: a Hugging Face causal LM.
        decide: given the outermost called module, its positional and its keyword arguments.
    """
    call = _OutermostCall(decide)
    for module in called_modules(model):
        stack.callback(module.register_forward_pre_hook(call.enter, with_kwargs=True).remove)
        stack.callback(module.register_forward_hook(call.leave, always_call=True).remove)


class _OutermostCall:
    """Tells the outermost of nested calls: a model calls its decoder, or not, and a caller may call either.

    Args:
        decide: called once before each outermost call.
    """

    def __init__(self, decide: CallHook) -> None:
        self.decide = decide
        self.running: nn.Module | None = None

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.running is None or self.running is module:
            self.running = module
            self.decide(module, args, kwargs)

    def leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self.running is module:
            self.running = None


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
    rows = here.rows if touched is linear else None
    hooks = _SiteHooks(attachment, site, form, names[id(touched)], delta, rows)
    if touched is linear:
        handles = [linear.register_forward_hook(hooks.linear_output)]
    else:
        handles = [block.register_forward_hook(hooks.block_output)]
        if linear is not None:
            handles.append(linear.register_forward_pre_hook(hooks.linear_input))
    for handle in handles:
        stack.callback(handle.remove)
    attachment.tallies.append(hooks.tally)
