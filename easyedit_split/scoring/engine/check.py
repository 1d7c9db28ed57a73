"""Acceptance test of the engine: before use it is compared with the reference scorer on the given model and texts.

    |engine - plain|  <=  4 |plain(batch of one) - plain(batch of n)| + sqrt(T) e                    nats, T tokens
    e = 1e-5 in float64, 5e-5 in fp32, 2 eps in half precision

In half precision the plain scorer differs from itself by tenths of a nat an answer, which is why its own spread is the
measure. Kernels may repeat whatever the batch, so it is also what one more rounding of the hidden state behind each
block does: noise as large as rounding's, eps / sqrt(12) of the state (``rounded_once_more``).
``benchmarks/half_precision.py`` shows that engine and plain scorer lie equally far from fp32.

The change that is applied for this is a probe of its own, not the intervention's (which is zero when training starts):
a fixed direction whose length follows the site's input, a tenth of the hidden state long. It goes through the same
entry, masks, kept keys and head, so a wrong one of these shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...files.reading import reason_of
from ...model.hooks import rounded_once_more
from ...model.sites import is_registered
from ...steering.attach import Delta
from ...steering.forms.base import Factor, Form, Strength, factors
from ...steering.intervention import Intervention
from ...text.batching import Row, collate
from ..score import row_losses
from .config import EngineConfig
from .engine import Engine, Prepared
from .packing import Member
from .refusal import EngineRefused
from .texts import read_texts


@dataclass(frozen=True, slots=True)
class Comparison:
    """Losses of the same texts by the engine and by the reference scorer, nats.

    Attributes:
        difference: largest by which the engine's differ from the plain scorer's, one text at a time.
        spread: largest by which the plain scorer's own differ between a batch of one and a batch of all, or, in half
            precision, with one more rounding.
        allowed: largest difference that is taken for rounding.
    """

    difference: float
    spread: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether the engine agrees with the reference scorer within the tolerance."""
        return math.isfinite(self.difference) and self.difference <= self.allowed


def probe_delta(length: float) -> Delta:
    """A fixed test perturbation that depends on the site's input and on no trained parameter.

    Args:
        length: of the change at m = 1, in the unit of the hidden state.
    """

    def change(form: Form, x: Tensor, m: Strength) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        x = x.to(wide)
        feature, direction = _wave(form.d_in, x), _wave(form.d_out, x)
        share = 1 + 0.5 * (x @ feature) / x.norm(dim=-1).clamp(min=1e-6)
        return _scaled(factors(m)[0], (share * length)[..., None] * direction)

    return change


def _wave(width: int, like: Tensor) -> Tensor:
    wave = torch.sin(1.0 + 2.0 * torch.arange(width, device=like.device, dtype=like.dtype))
    unit: Tensor = wave / wave.norm()
    return unit


def _scaled(m: Factor, dy: Tensor) -> Tensor:
    if not isinstance(m, Tensor):
        return m * dy
    m = m.to(dy)
    return m[:, None, None] * dy if m.ndim == 1 else m[..., None] * dy


@torch.no_grad()
def compare(engine: Engine, prepared: Prepared, intervention: Intervention | None, chosen: Sequence[int]) -> Comparison:
    """Score some texts by both scorers under the test perturbation.

    Args:
        engine: the engine.
        prepared: the texts.
        intervention: whose sites and token policy are used; None for the bare model.
        chosen: which texts, all put into one row where that is cheapest.
    """
    rows = [prepared.texts.rows[i] for i in chosen]
    m = 1.0 if any(prepared.scored[i].steered.any() for i in chosen) else 0.0
    dtype = engine.anatomy.dtype
    delta = probe_delta(0.1 * engine.typical_norm(prepared))
    (launch, *more) = engine.launches(prepared, [[Member(i) for i in chosen]], [[(m, m)]])
    assert not more
    fast = engine.losses(prepared, launch, intervention, delta).cpu()
    one = torch.cat([_plain(engine, [row], intervention, m, delta) for row in rows])
    others = [_plain(engine, rows, intervention, m, delta)]
    if dtype.itemsize == 2:
        with rounded_once_more(engine.model):
            others.append(torch.cat([_plain(engine, [row], intervention, m, delta) for row in rows]))
    rounding = math.sqrt(max(len(row.answer) for row in rows)) * _rounding(dtype)
    spread = max(float((one - other).abs().max()) for other in others)
    return Comparison(float((fast - one).abs().max()), spread, 4 * spread + rounding)


def _rounding(dtype: torch.dtype) -> float:
    """What rounding alone makes of one token's loss, nats: transformers computes norms in fp32 at most."""
    eps = torch.finfo(dtype).eps
    return 1e-5 if eps < 1e-10 else max(5e-5, 2 * eps)


def _plain(engine: Engine, rows: Sequence[Row], intervention: Intervention | None, m: float, delta: Delta) -> Tensor:
    batch = collate(rows, pad_id=0).to(engine.anatomy.device)
    losses = row_losses(engine.model, batch, intervention, m, delta=delta)
    on_cpu: Tensor = losses.cpu()
    return on_cpu


def checked_engine(
    model: nn.Module, rows: Sequence[Row], intervention: Intervention | None, config: EngineConfig | None
) -> tuple[Engine, Prepared]:
    """An engine, with its texts prepared, that agrees with the reference scorer.

    Args:
        model: frozen and in evaluation mode.
        rows: prompts with their answers.
        intervention: whose kind is to be scored; None for the bare model.
        config: how the engine works.

    Raises:
        EngineRefused: the two differ, or a model's own code fails under the engine's calls.
    """
    texts = read_texts(rows)
    with model_code(), torch.no_grad():
        engine = Engine(model, config)
        prepared = engine.prepare(texts, None if intervention is None else intervention.config)
        require_agreement(engine, prepared, intervention)
    return engine, prepared


@contextmanager
def model_code() -> Iterator[None]:
    """Take failures of the code inside, which calls a model in ways it may not expect, for a refusal.

    Raises:
        EngineRefused: the code failed, other than for want of memory.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise EngineRefused(f"the model's own code failed: {type(error).__name__}: {reason_of(error)}") from error


def require_agreement(engine: Engine, prepared: Prepared, intervention: Intervention | None) -> None:
    """Raise EngineRefused unless both scorers agree on a few of the texts; run once for each kind of intervention on a
    model.

    A model of no registered family is compared anew where the longest text is another.

    Args:
        engine: the engine.
        prepared: the texts.
        intervention: whose sites and token policy are used; None for the bare model.

    Raises:
        EngineRefused: both scorers differ by more than rounding.
    """
    if engine.anatomy.on_meta:
        return
    kind = None if intervention is None else repr(intervention.config)
    reach = None if is_registered(engine.model) else _reach(prepared)
    key = (engine.library.digest(), prepared.entry, kind, reach)
    checked = engine.library.shelf.checked
    if key not in checked:
        checked[key] = compare(engine, prepared, intervention, _chosen(prepared))
    found: Comparison = checked[key]
    if not found.agrees:
        raise EngineRefused(
            f"on its first texts the losses differ from the reference scorer's by {found.difference:.3g} nats, and the "
            f"reference scorer's from its own by {found.spread:.3g}"
        )


def _chosen(prepared: Prepared) -> list[int]:
    """The two shortest texts and the longest, of those that are steered if any is."""
    steered = [text.steered.any() for text in prepared.scored]
    order = [i for i in prepared.texts.order() if steered[i] or not any(steered)]
    shortest = sorted(order, key=lambda i: len(prepared.texts.trie.paths[i]))
    return [*shortest[:2], *shortest[-1:]]


def _reach(prepared: Prepared) -> tuple[int, int]:
    """How far a comparison goes: the longest text, and how many share a row; what holds there need not beyond."""
    chosen = _chosen(prepared)
    return len(prepared.texts.trie.paths[chosen[-1]]), len(chosen)
