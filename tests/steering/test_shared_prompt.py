"""What no m changes is run once: the same logits as every row whole, fewer tokens, and never a steered token."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.steering import continue_rows
from easyedit_split.steering.attach import attach
from easyedit_split.steering.decoding import Decoding, Rows
from easyedit_split.steering.generate import GenerateConfig, generate_texts
from easyedit_split.steering.shared_prompt import SharedPrompt, constant_lengths, part_ids, share
from easyedit_split.text.batching import Row, collate
from easyedit_split.text.positions import POLICIES
from easyedit_split.text.prompt_tokens import Ids

from ..attached import made
from ..small import made as small_made
from ..small import world
from ..tiny import FAMILIES, tiny_model

OPENING = (1, 4, 5, 6)
PROMPTS: tuple[Ids, ...] = (
    (*OPENING, *range(20, 32)),
    (*OPENING, *range(20, 32)),
    (*OPENING, *range(40, 46)),
    (*OPENING, 50),
    (9, 8, 7),
)
M = torch.tensor([1.5, -2.0, 0.7, 3.0, -1.0], dtype=torch.float64)


def first_and_second_logits(model: Any, intervention: Any, constant: list[int] | None) -> torch.Tensor:
    """``[2 b v]`` of one batch: what follows the prompts, and what follows that."""
    batch = collate([Row(ids, (), 0) for ids in PROMPTS], pad_id=0, side="left")
    shared = None if constant is None else share(PROMPTS, constant)
    heard: list[torch.Tensor] = []
    handle = model.lm_head.register_forward_hook(lambda module, args, out: heard.append(out[:, -1].clone()))
    prefixes = torch.tensor([4, 4, 4, 4, 0])
    with attach(model, intervention, M) as attachment, torch.no_grad():
        rows = Rows([attachment], M[None], batch.prompt_lengths, prefixes)
        model.generate(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, max_new_tokens=2, do_sample=False,
            pad_token_id=0, eos_token_id=None, custom_generate=Decoding(batch, 0, None, rows, shared),
        )  # fmt: skip
    handle.remove()
    return torch.stack(heard)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("policy", POLICIES)
def test_shared_or_whole_the_logits_are_the_same(family: str, policy: Any) -> None:
    """float64; Gemma's sliding window (6 tokens) is shorter than the prompts."""
    model = tiny_model(family)
    intervention = made(model, "lora", (0, 1), positions=policy, skip_prefix=True, prefix_ids=OPENING, bos_id=None)
    lengths = [len(ids) for ids in PROMPTS]
    constant = constant_lengths(policy, True, lengths, [4, 4, 4, 4, 0])
    assert share(PROMPTS, constant) is not None
    whole = first_and_second_logits(model, intervention, None)
    shared = first_and_second_logits(model, intervention, constant)
    torch.testing.assert_close(shared, whole, atol=1e-9, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_control_sharing_a_token_that_is_steered_is_seen(family: str) -> None:
    model = tiny_model(family)
    intervention = made(model, "lora", (0, 1), positions="all", skip_prefix=True, prefix_ids=OPENING, bos_id=None)
    whole = first_and_second_logits(model, intervention, None)
    wrong = first_and_second_logits(model, intervention, [len(ids) - 1 for ids in PROMPTS])
    assert (wrong - whole).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("policy", "skip_prefix", "constant"),
    [
        ("all", True, [2, 0, 3]),
        ("all", False, [0, 0, 0]),
        ("prompt", True, [2, 0, 3]),
        ("last_prompt", False, [4, 2, 3]),
        ("answer", False, [4, 2, 3]),
        ("answer", True, [4, 2, 3]),
    ],
)
def test_what_is_constant(policy: Any, skip_prefix: bool, constant: list[int]) -> None:
    assert constant_lengths(policy, skip_prefix, [5, 3, 4], [2, 0, 4]) == constant


def test_parts_are_distinct_and_none_begins_another() -> None:
    parts = (PROMPTS[0][:15], PROMPTS[2][:9], (9, 8))
    assert share(PROMPTS, [15, 15, 9, 4, 2]) == SharedPrompt(parts, (0, 0, 1, 0, 2), (15, 15, 9, 4, 2), 1)
    opening = share(PROMPTS[:4], [4, 4, 4, 4])
    assert opening is not None
    assert opening == SharedPrompt((OPENING,), (0, 0, 0, 0), (4, 4, 0, 0), 12)
    assert part_ids(opening, 0).tolist() == [list(OPENING)]


def test_nothing_is_shared_where_that_saves_nothing() -> None:
    assert share(PROMPTS, [0] * 5) is None
    assert share(PROMPTS[:1], [15]) is None
    assert share(((1, 2, 3), (4, 5, 6)), [2, 2]) is None
    assert share(((1, 2, 3), (1, 2, 6)), [2, 2]) is not None


@pytest.mark.parametrize(("policy", "skip_prefix", "less"), [("answer", True, True), ("all", False, False)])
def test_a_run_over_m_runs_the_prompt_once(
    monkeypatch: pytest.MonkeyPatch, policy: Any, skip_prefix: bool, less: bool
) -> None:
    here = world()
    intervention = small_made(here, positions=policy, skip_prefix=skip_prefix)
    tokens: list[int] = []
    here.model.model.register_forward_pre_hook(
        lambda module, args, kwargs: tokens.append(kwargs["input_ids"].numel()), with_kwargs=True
    )

    def run() -> tuple[list[str], int]:
        tokens.clear()
        config = GenerateConfig(max_new_tokens=2)
        answers = generate_texts(
            here.model,
            here.template,
            ["Would you lead?", "The offer?"],
            intervention,
            (1.0, 2.0, 3.0, 4.0),
            config=config,
        )
        return [answer.text for answer in answers], sum(tokens)

    texts, shared = run()
    monkeypatch.setattr(continue_rows, "share", lambda prompts, constant: None)
    assert run() == (texts, sum(tokens))
    assert (shared < sum(tokens) / 2) == less
    assert less or shared == sum(tokens)
