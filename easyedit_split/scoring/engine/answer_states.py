"""Hidden states at answer tokens, computed by the engine from the cached states and packed rows that losses use.

    means     mean over an answer's tokens of h, [n d] per site          the bare model; DiffMean, layer scan
    outputs   h at the positions that predict an answer, [T d] per text  the bare or a steered model; mechanism

Nothing behind the wanted block runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import torch
from jaxtyping import Float
from torch import Tensor

from ...model.hooks import activations
from ...model.sites import RESIDUAL, Site
from ...steering.attach import plain_delta
from ...steering.intervention import Intervention
from .capture import rows_of_bare, run_bare
from .decoder import arguments_of
from .engine import Engine, Prepared
from .entry import HIDDEN, behind
from .launch import Launch, inputs_of
from .packing import PackedRow
from .refusal import EngineRefused
from .stand_ins import standing_in
from .states import States
from .texts import Texts

_NONE = (((0.0, 0.0),),)


@torch.no_grad()
def engine_answer_means(engine: Engine, texts: Texts, sites: Sequence[Site]) -> dict[Site, Float[Tensor, "n d"]]:
    """Mean hidden state over each text's answer tokens under the unsteered model, at least fp32.

    Args:
        engine: made inside ``frozen``.
        texts: from ``read_texts``.
        sites: whose outputs are wanted; one that is a block's output comes from the states that training shares.
    """
    engine.anatomy.check_hooks()
    if len(sites) == 1 and sites[0].name == RESIDUAL:
        states = engine.library.states(texts, behind(sites[0]))
        return {sites[0]: torch.stack([_mean(h) for h in _of_answers(engine, texts, states, sites[0])])}
    found: dict[Site, list[Tensor | None]] = {site: [None] * len(texts.rows) for site in sites}
    lengths = [len(path) for path in texts.trie.paths]
    for row in rows_of_bare(
        texts.trie, lengths, texts.order(), engine.library.cost(0, 1 + max(site.block for site in sites))
    ):
        place = {int(node): i for i, node in enumerate(row.node)}
        for site, h in _run(engine, row, sites).items():
            for member in row.members:
                nodes = texts.trie.paths[member.text][len(texts.rows[member.text].prompt) :]
                found[site][member.text] = _mean(h[[place[int(node)] for node in nodes]])
    return {site: torch.stack([h for h in values if h is not None]) for site, values in found.items()}


def _of_answers(engine: Engine, texts: Texts, states: States, site: Site) -> Iterator[Tensor]:
    """Hidden states ``[T d]`` of each text's answer tokens, from cached states."""
    for row, path in zip(texts.rows, texts.trie.paths, strict=True):
        nodes = torch.from_numpy(path[len(row.prompt) :])[None]
        kept = states.at(nodes, engine.anatomy.device, lambda row: run_bare(engine.anatomy, behind(site), row))
        yield kept[HIDDEN][0]


def _mean(h: Tensor) -> Tensor:
    return h.to(torch.promote_types(h.dtype, torch.float32)).mean(0)


def _run(engine: Engine, row: PackedRow, sites: Sequence[Site]) -> dict[Site, Tensor]:
    """Outputs ``[n d]`` of sites for one packed row under the unsteered model."""
    anatomy = engine.anatomy
    inputs = inputs_of(Launch((row,), _NONE), anatomy.device)
    above = range(max(site.block for site in sites) + 1, len(anatomy.blocks))
    with standing_in(anatomy.model, above, in_tuple=anatomy.in_tuple), activations(anatomy.model, sites) as found:
        anatomy.decoder(**arguments_of(anatomy, inputs, None, None))
    return {site: h[0] for site, h in found.items()}


@torch.no_grad()
def predicting_outputs(
    engine: Engine, prepared: Prepared, launch: Launch, intervention: Intervention | None, block: int
) -> list[Float[Tensor, "t d"]]:
    """Output of a decoder block at the positions that predict each text's answer, in the order of the packed texts.

    Args:
        engine: made inside ``frozen``.
        prepared: what the launch was made of.
        launch: of one repeat.
        intervention: of the prepared kind, which acts at the block or before; None for the bare model.
        block: whose output is wanted, at the entry or behind it.
    """
    inputs = inputs_of(launch, engine.anatomy.device)
    acting = intervention if inputs.acting else None
    hidden = engine.entering(prepared, inputs, acting, plain_delta)
    site = Site(block, RESIDUAL)
    if hidden is not None and block == prepared.entry.block:
        h = hidden
    else:
        above = range(block + 1, len(engine.anatomy.blocks))
        with ExitStack() as stack:
            stack.enter_context(standing_in(engine.model, above, in_tuple=engine.anatomy.in_tuple))
            found = stack.enter_context(engine.entered(prepared, inputs, hidden, acting, None))
            outputs = stack.enter_context(activations(engine.model, [site]))
            engine.anatomy.decoder(**found)
        h = outputs[site]
    answers = inputs.answers
    token = h.flatten(0, 1)[answers.predicting][answers.targets.at]
    sizes = [len(prepared.scored[member.text].answer) for member in launch.members]
    order = (answers.text * answers.turns + answers.turn).argsort()
    return list(torch.split(token[order], sizes))


def require_close(found: Tensor, wanted: Tensor, dtype: torch.dtype) -> None:
    """Raise EngineRefused where hidden states differ from the reference by more than rounding error.

    Args:
        found: by the engine.
        wanted: of the same tokens, by a plain call.
        dtype: of the model.

    Raises:
        EngineRefused: they do.
    """
    found, wanted = found.double(), wanted.double()
    if not bool(wanted.isfinite().all()):
        return  # what the model itself makes of them is its caller's to judge
    apart = float((found - wanted).norm() / wanted.norm().clamp(min=1e-30))
    if not apart <= max(1e-5, 20 * torch.finfo(dtype).eps):
        raise EngineRefused(f"hidden states differ from the reference by {apart:.2g} of its norm")
