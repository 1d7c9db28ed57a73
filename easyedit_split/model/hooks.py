"""Hooks that read a model's activations, and those about its precision; the hooks that steer are in ``attach``.

``activations`` collects a site's output, ``full_precision_head`` lets a half-precision model's own head compute its
logits in fp32, ``finite_masks`` keeps a float64 model's masks from overflowing, ``rounded_once_more`` shows what
rounding does. All restore the model on leaving, also after an exception.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from .head_weight import HeadWeight, unreadable
from .maps import split_rows
from .sites import RESIDUAL, Site, blocks_of, check_site, find_linear, hidden_size, widths

logger = logging.getLogger(__name__)
_SAID: WeakSet[nn.Module] = WeakSet()
"""Models whose output embedding was said to be left as it is."""


@contextmanager
def activations(model: nn.Module, sites: Sequence[Site]) -> Iterator[dict[Site, Tensor]]:
    """Collect the output of each site (linear map or block), ``[b s d_out]``, in the latest model call.

    For ``residual`` this is the block's output; for a linear map the map's own.

    Args:
        model: a Hugging Face causal LM.
        sites: where to look.

    Yields:
        The outputs by site, renewed at every call.
    """
    found: dict[Site, Tensor] = {}
    handles = []
    for site in sites:
        check_site(model, site)
        block, rows = blocks_of(model)[site.block], split_rows(site.name)[1]
        module = block if site.name == RESIDUAL else find_linear(model, site)

        def keep(module: nn.Module, args: Any, output: Any, site: Site = site, rows: slice | None = rows) -> None:
            found[site] = first_output(output) if rows is None else first_output(output)[..., rows]

        def by_row(module: nn.Module, args: Any, output: Any, site: Site = site) -> None:
            if site in found:
                found[site] = as_rows(found[site], *first_output(output).shape[:2])

        handles.append(module.register_forward_hook(keep))
        if module is not block:
            handles.append(block.register_forward_hook(by_row))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def site_values(model: nn.Module, sites: Sequence[Site]) -> Iterator[dict[Site, tuple[Tensor, Tensor]]]:
    """Collect ``(x, h)`` at each site in the latest model call: the input of the update, and the activation it changes.

    x is the map's input ``[b s d_in]`` (for ``residual`` the block's output). h is the block's output ``[b s d]`` where
    the map is as wide as the residual stream, else the map's own output ``[b s d_out]``.

    Args:
        model: a Hugging Face causal LM.
        sites: where to look.
    """
    read_here: dict[Site, tuple[Tensor, Tensor]] = {}
    found: dict[Site, tuple[Tensor, Tensor]] = {}
    with ExitStack() as stack:
        for site in sites:
            wide = widths(model, site, "site")[1] == hidden_size(model)
            block = blocks_of(model)[site.block]
            source = block if site.name == RESIDUAL else find_linear(model, site)

            rows = split_rows(site.name)[1]

            def read(module: nn.Module, args: Any, output: Any, site: Site = site, rows: slice | None = rows) -> None:
                x = first_output(output) if site.name == RESIDUAL else args[0]
                read_here[site] = x, first_output(output) if rows is None else first_output(output)[..., rows]

            def keep(module: nn.Module, args: Any, output: Any, site: Site = site, wide: bool = wide) -> None:
                h = first_output(output)
                x, own = (as_rows(tokens, *h.shape[:2]) for tokens in read_here[site])
                found[site] = x, h if wide else own

            stack.callback(source.register_forward_hook(read).remove)
            stack.callback(block.register_forward_hook(keep).remove)
        yield found


def first_output(output: Any) -> Tensor:
    """The hidden state that a block or linear map gives: its output, or the first of several.

    Args:
        output: what the module returned.

    Raises:
        TypeError: it is neither a tensor nor a tuple that begins with one.
    """
    hidden = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(hidden, Tensor):
        raise TypeError(f"a module returned {type(hidden).__name__}, where a hidden state was looked for")
    return hidden


def as_rows(tokens: Tensor, b: int, s: int) -> Tensor:
    """A map's input or output as ``[b s d]``, also where it comes as ``[b s, d]`` or ``[b, 1, s, d]``; else as it is.

    Args:
        tokens: of a call of ``b`` rows.
        b: rows.
        s: tokens of each.
    """
    flat = tokens.ndim == 2 and len(tokens) == b * s
    single = tokens.ndim == 4 and tuple(tokens.shape[:3]) == (b, 1, s)
    return tokens.reshape(b, s, -1) if flat or single else tokens


@contextmanager
def full_precision_head(model: nn.Module) -> Iterator[None]:
    """Compute logits in fp32 where the model is in half precision; soft-capping after the head follows in fp32.

    A model in fp32 or float64 is left entirely alone. A head that is more than a plain weight at hand (adapted,
    quantised, offloaded) computes its own logits, and that is logged once for each model object.

    Args:
        model: a Hugging Face causal LM.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    weight = getattr(head, "weight", None)
    if isinstance(weight, Tensor) and weight.is_floating_point() and weight.dtype.itemsize >= 4:
        yield
        return
    reason = unreadable(head)
    if reason is not None:
        if model not in _SAID:
            _SAID.add(model)
            logger.warning("logits are those of the output embedding itself, not recomputed in fp32: %s", reason)
        yield
        return
    ready = HeadWeight(head)

    def in_fp32(hidden: Tensor) -> Tensor:
        logits = ready.logits(hidden.flatten(0, -2).to(ready.weight.device))
        return logits.reshape(*hidden.shape[:-1], -1)

    before = vars(head).get("forward")  # another library's, in place of the class's own
    head.forward = in_fp32
    try:
        yield
    finally:
        del head.forward
        if before is not None:
            head.forward = before


@contextmanager
def finite_masks(model: nn.Module) -> Iterator[None]:
    """Keep attention-mask values finite in a float64 model, where eager attention takes its softmax in fp32.

    The lowest float64 is minus infinity there, and a token that sees nothing, as padding may, becomes NaN and spreads.
    Models in other dtypes are left entirely alone.

    Args:
        model: a Hugging Face causal LM.
    """
    if next(model.parameters()).dtype != torch.float64:
        yield
        return
    lowest = torch.finfo(torch.float32).min

    def clamp(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any] | None:
        mask = kwargs.get("attention_mask")
        if not isinstance(mask, Tensor) or not mask.is_floating_point():
            return None
        return args, {**kwargs, "attention_mask": mask.clamp(min=lowest)}

    handles = [block.register_forward_pre_hook(clamp, with_kwargs=True) for block in blocks_of(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def rounded_once_more(model: nn.Module) -> Iterator[None]:
    """Add noise as large as rounding's to the hidden state behind each block while inside; the same at each call.

    Args:
        model: a Hugging Face causal LM.
    """
    with ExitStack() as stack:
        for block in blocks_of(model):
            stack.callback(block.register_forward_hook(_rounded).remove)
        yield


def _rounded(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    h = first_output(output)
    wide = h.float()
    place = torch.arange(h.shape[-1], device=h.device, dtype=wide.dtype)
    # sines of large numbers jump: a direction of about length 1, another for each token
    erratic = torch.sin(1e4 * torch.sin(1.0 + place) + 1e3 * wide.sum(-1, keepdim=True)) * math.sqrt(2 / h.shape[-1])
    length = wide.norm(dim=-1, keepdim=True) * torch.finfo(h.dtype).eps / math.sqrt(12)
    new = (wide + length * erratic).to(h.dtype)
    return (new, *output[1:]) if isinstance(output, tuple) else new


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Context manager: evaluation mode and no gradients for the model's own parameters; all flags are restored.

    Args:
        model: a Hugging Face causal LM.
    """
    modes = {module: module.training for module in model.modules()}
    flags = {p: p.requires_grad for p in model.parameters() if not p.is_inference()}  # those have no gradients
    model.eval()
    for parameter in flags:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)


def device_of(model: nn.Module) -> torch.device:
    """The device on which the model expects its token ids: the embeddings' own, or where they run if offloaded.

    Args:
        model: a Hugging Face causal LM.
    """
    parameter = next(model.parameters())
    if not parameter.is_meta or getattr(model, "hf_device_map", None) is None:
        return parameter.device
    runs_on = (getattr(getattr(module, "_hf_hook", None), "execution_device", None) for module in model.modules())
    found = next((place for place in runs_on if place is not None), "cpu")
    return torch.device("cuda", found) if isinstance(found, int) else torch.device(found)
