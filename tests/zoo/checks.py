"""What steering promises of any model, held against oracles without hooks: edited weights, whole calls, single rows.

A check gives the largest error, relative to the largest logit; a refusal is a ``ConfigError`` with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from easyedit_split.model.hooks import finite_masks
from easyedit_split.model.maps import is_transposed
from easyedit_split.model.sites import RESIDUAL, Site, blocks_of, find_linear
from easyedit_split.steering.attach import attach
from easyedit_split.steering.continue_rows import Ask, RowWriter
from easyedit_split.steering.generate_config import GenerateConfig
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.positions import POLICIES, Layout
from easyedit_split.text.prompt_tokens import Template

from ..attached import fill

IDS = torch.tensor([[5, 17, 44, 8, 61, 23, 9], [33, 12, 70, 71, 6, 50, 28]])
PROMPTS = ((1, 4, 11, 12, 13, 14), (1, 4, 9))
PREFIX = (1, 4)
STEPS = 4


def logits(model: Any, ids: Tensor = IDS, **settings: Any) -> Tensor:
    """Of a plain call."""
    with torch.no_grad(), finite_masks(model):
        found: Tensor = model(input_ids=ids, use_cache=False, **settings).logits
    return found


def error(found: Tensor, wanted: Tensor) -> float:
    """Largest difference, relative to the largest value; not a number counts as infinite."""
    worst = float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1.0))
    return worst if worst == worst else float("inf")


def made(model: Any, form: str, site: Site, scale: float, **settings: Any) -> Intervention:
    """A random intervention at one site."""
    intervention = Intervention.create(model, form, [site.block], site=site.name, **settings)
    fill(intervention, scale)
    return intervention


def map_error(model: Any, site: Site) -> float:
    """Hooked against edited weights, at one map."""
    intervention = made(model, "local_weight", site, 0.1)
    with attach(model, intervention, (0.7, -1.3)):
        hooked = logits(model)
    with edited(model, intervention, site, 0.7, -1.3):
        wanted = logits(model)
    return error(hooked, wanted)


@contextmanager
def edited(model: Any, intervention: Intervention, site: Site, m1: float, m2: float) -> Iterator[None]:
    """The model with W + m1 dW and b + m2 db in the place of W and b while inside."""
    linear: Any = find_linear(model, site)
    weight, bias, form = linear.weight, linear.bias, intervention[site]
    dW, db = form.weight_delta(), form.bias_delta()
    assert dW is not None
    assert db is not None
    change = (dW.T if is_transposed(linear) else dW).to(weight.dtype)
    zero = torch.zeros(db.shape, dtype=weight.dtype)
    linear.weight = nn.Parameter((weight + m1 * change).detach())
    linear.bias = nn.Parameter((zero if bias is None else bias.detach()) + m2 * db.detach().to(weight.dtype))
    try:
        yield
    finally:
        linear.weight, linear.bias = weight, bias


def stream_error(model: Any, block: int = 1) -> float:
    """A vector at a block's output against the same vector added to what the next block is given."""
    vector = made(model, "vector", Site(block, RESIDUAL), 0.5, skip_prefix=False)
    with attach(model, vector, 1.5):
        hooked = logits(model)
    v = 1.5 * vector[Site(block, RESIDUAL)].bias_delta().double()  # type: ignore[union-attr]

    def add(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        if args:
            return (args[0] + v.to(args[0].dtype), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": kwargs["hidden_states"] + v.to(kwargs["hidden_states"].dtype)}

    handle = blocks_of(model)[block + 1].register_forward_pre_hook(add, with_kwargs=True)
    try:
        return error(hooked, logits(model))
    finally:
        handle.remove()


def step_by_step(model: Any, intervention: Intervention | None, prompt: tuple[int, ...], m: float) -> tuple[Any, Any]:
    """Greedy text and its logits, one whole unpadded call a step, the layout spelled out."""
    ids, found = list(prompt), []
    for _ in range(STEPS):
        index = torch.arange(len(ids))[None]
        layout = Layout(index, torch.tensor([len(prompt)]), torch.tensor([len(PREFIX)]))
        if intervention is None:
            found.append(logits(model, torch.tensor([ids]))[0, -1])
        else:
            with attach(model, intervention, m, layout=layout):
                found.append(logits(model, torch.tensor([ids]))[0, -1])
        ids.append(int(found[-1].argmax()))
    return ids[len(prompt) :], torch.stack(found)


def own_generation(model: Any, intervention: Intervention | None, m: float) -> Tensor:
    """Logits of the model's own ``generate`` over both prompts, padded on the left, ``[b t V]``."""
    width = len(PROMPTS[0])
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in PROMPTS])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in PROMPTS])
    settings = {"max_new_tokens": STEPS, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
    with torch.no_grad(), finite_masks(model):
        if intervention is None:
            found = model.generate(input_ids=ids, attention_mask=mask, **settings)
        else:
            with attach(model, intervention, m):
                found = model.generate(input_ids=ids, attention_mask=mask, **settings)
    return torch.stack(found.logits, 1)


class IdsAlone(Template):
    """A template without a tokenizer: the zoo's prompts are token ids."""

    def __init__(self) -> None:
        self.pad_id, self.prefix_ids, self.bos_id, self.stop_ids = 0, PREFIX, 1, ()
        self.tokenizer = SimpleNamespace(eos_token_id=None)


def our_texts(model: Any, intervention: Intervention | None, m: float) -> list[list[int]]:
    """Texts that the package's own writer gives, both prompts in one batch."""
    writer = RowWriter(model, IdsAlone(), [intervention] if intervention else [], GenerateConfig(max_new_tokens=STEPS))
    asks = [Ask(i, ids, m, len(PREFIX)) for i, ids in enumerate(PROMPTS)]
    with torch.no_grad():
        return [ids[:STEPS] for ids in writer.continue_rows(asks)]


def steered(model: Any, form: str, site: Site) -> list[Intervention]:
    """An intervention for each token policy."""
    settings: dict[str, Any] = {"skip_prefix": True, "prefix_ids": PREFIX, "bos_id": 1}
    return [made(model, form, site, 1.0, positions=policy, **settings) for policy in POLICIES]


def zero_m_is_bare(model: Any, site: Site) -> bool:
    """Bit for bit, in the dtype of the model."""
    form = "vector" if site.name == RESIDUAL else "local_weight"
    bare, intervention = logits(model), made(model, form, site, 1.0, skip_prefix=False)
    found = []
    for m in (0.0, torch.zeros(len(IDS))):
        with attach(model, intervention, m):
            found.append(torch.equal(logits(model), bare))
    return all(found) and torch.equal(logits(model), bare)
