"""The block at which a forward pass starts from cached states, which states that needs, and what is put in.

    behind     h + dy                       at the output of block l, from its cached output h and the site's input x
    by a norm  r + norm(y + dy)             the same where a norm stands between the map's output y and the residual r
    before     h                            at the output of block f - 1, f the first touched block; ``attach`` steers f

``behind`` and ``by a norm`` skip block l too. Which of them a site allows is measured on the bare model, not assumed: a
module of the block must be found whose input r gives r + y (or r + norm(y)) = h, bit for bit. At m = 0 what goes in is
h itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...model.sites import RESIDUAL, Site
from ...steering.attach import Delta
from ...steering.forms.base import Form, Strength
from ...steering.intervention import InterventionConfig

HIDDEN, INPUT, OUTPUT, STREAM = "hidden", "site input", "site output", "residual"
"""Names of cached tensors: the block's output, the site's map's input and output, what the map's output is added to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where and how a forward pass starts from cached states.

    Attributes:
        block: the block whose output is replaced; -1 where the model runs from its embeddings.
        site: the site whose change is made on entering; None where ``attach`` makes every change.
        needs: names of the cached tensors.
        stream: dotted name in the block of the module whose input is the residual, for entering by a norm.
        norm: dotted name in the block of the norm between the map and the residual.
    """

    block: int
    site: Site | None
    needs: tuple[str, ...]
    stream: str | None = None
    norm: str | None = None

    @property
    def key(self) -> tuple[int, str, tuple[str, ...]]:
        """What the cached tensors depend on besides model and texts."""
        return self.block, "" if self.site is None else self.site.name, self.needs


def before(config: InterventionConfig) -> Entry:
    """Entry point before the first steered block.

    Args:
        config: what the intervention does, and where.
    """
    return Entry(min(Site.parse(key).block for key in config.sites) - 1, None, (HIDDEN,))


def behind(site: Site) -> Entry:
    """Entry point after the block of a site whose change is added to the block's output unchanged.

    Args:
        site: where the intervention acts.
    """
    return Entry(site.block, site, (HIDDEN,) if site.name == RESIDUAL else (HIDDEN, INPUT))


def entering_hidden(
    entry: Entry,
    norm: nn.Module | None,
    cached: Mapping[str, Float[Tensor, "b n w"]],
    form: Form | None,
    m: Strength,
    steered: Bool[Tensor, "b n"] | None,
    delta: Delta,
) -> Float[Tensor, "b n d"]:
    """Hidden state that replaces the block's output.

    Args:
        entry: how.
        norm: the module that ``entry.norm`` names.
        cached: the tensors that ``entry.needs`` names, for the launch's tokens.
        form: the site's form; None where nothing is changed on entering.
        m: its strength.
        steered: tokens that are changed; None for none.
        delta: makes dy.
    """
    h = cached[HIDDEN]
    if form is None or steered is None:
        return h
    x = cached.get(INPUT, h)
    dy = delta(form, x, m).to(h.device)
    if entry.norm is None:
        new = (h.to(dy.dtype) + dy).to(h.dtype)
    else:
        assert norm is not None
        y = cached[OUTPUT]
        new = cached[STREAM] + norm((y.to(dy.dtype) + dy).to(y.dtype))
    return torch.where(steered[..., None], new, h)


def before_all() -> Entry:
    """No entry point: the model runs from its embeddings."""
    return Entry(-1, None, ())


def measured(block: nn.Module, linear: nn.Module, site: Site, run: Callable[[], object]) -> Entry | None:
    """Entry point after the block, if its output can be recomputed from the steered map's output; None if not.

    Args:
        block: the block.
        linear: the site's map, in the block.
        site: its name.
        run: a short call of the bare model.
    """
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    handles = []
    for name, module in block.named_modules():

        def note(module: nn.Module, args: tuple[object, ...], output: object, name: str = name) -> None:
            if args and isinstance(args[0], Tensor):
                inputs[name] = args[0]
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor):
                outputs[name] = first

        handles.append(module.register_forward_hook(note))
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    (mine,) = (name for name, module in block.named_modules() if module is linear)
    return _found(site, mine, inputs, outputs)


def _found(site: Site, mine: str, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> Entry | None:
    """Entry point, if the block's output is the residual plus the map's output, with or without a norm."""
    if "" not in outputs or mine not in outputs:
        return None
    h, y = outputs[""], outputs[mine]
    if y.shape != h.shape:
        return None
    streams = {name: r for name, r in inputs.items() if r.shape == h.shape}
    norms = [
        name for name in outputs if name and name in inputs and inputs[name] is y and outputs[name].shape == h.shape
    ]
    for name, r in streams.items():
        if torch.equal(r + y, h):
            return behind(site)
        for norm in norms:
            if name != norm and torch.equal(r + outputs[norm], h):
                needs = (HIDDEN, INPUT, OUTPUT, STREAM)
                return Entry(site.block, site, needs, stream=name, norm=norm)
    return None
