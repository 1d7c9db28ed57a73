"""Rows of all m in one batch: the text of each is what it is alone, rows leave when they end, memory halves a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from easyedit_split.model.load import load_model
from easyedit_split.steering.attach import attach
from easyedit_split.steering.continue_rows import Ask, plan_rows
from easyedit_split.steering.decoding import quantile_token, uniform_draws
from easyedit_split.steering.generate import GenerateConfig, Generated, generate_texts
from easyedit_split.text.batching import Row, collate
from easyedit_split.text.positions import POLICIES

from ..small import World, made, world

PROMPTS = ("Would you lead?", "Yes", "Answer briefly. Write a program that sorts a list of numbers.", "The offer?")
M = (3.0, 0.0, -2.0)
FAMILIES = ("qwen2", "gemma2", "llama")
NAMES = ("input_ids", "attention_mask", "position_ids")


def write_to_the_end(here: Any) -> None:
    """No token ends an answer; the tokenizer is a copy, for others share it."""
    here.template.tokenizer = copy.deepcopy(here.template.tokenizer)
    here.model.generation_config.eos_token_id = here.template.tokenizer.eos_token_id = None


def said(here: World, m: Sequence[float] = M, prompts: Sequence[str] = PROMPTS, **settings: Any) -> dict[Any, str]:
    acting = {key: settings.pop(key) for key in ("positions", "skip_prefix", "layers") if key in settings}
    config = GenerateConfig(max_new_tokens=settings.pop("max_new_tokens", 8), **settings)
    answers = generate_texts(here.model, here.template, prompts, made(here, **acting), m, config=config)
    return {(answer.index, answer.m): answer.text for answer in answers}


def alone(here: World, m: Sequence[float] = M, **settings: Any) -> dict[Any, str]:
    """One m at a time, one prompt at a time."""
    return {key: text for value in m for key, text in said(here, (value,), batch_size=1, **settings).items()}


def by_stock_generate(here: World, m: float, settings: dict[str, Any], **generate: Any) -> dict[Any, str]:
    """``attach`` with one float around transformers' own loop, a prompt at a time."""
    found = {}
    for index, prompt in enumerate(PROMPTS):
        ids = torch.tensor([here.template.prompt(prompt)])
        with attach(here.model, made(here, **settings), m), torch.no_grad():
            out = here.model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0,
                eos_token_id=None, **generate,
            )  # fmt: skip
        found[index, m] = here.template.decode(out[0, ids.shape[1] :].tolist())
    return found


def calls(here: World) -> list[tuple[int, int]]:
    """Rows and columns of every call of the decoder."""
    shapes: list[tuple[int, int]] = []

    def note(module: Any, args: Any, kwargs: Any) -> None:
        shapes.append(tuple(kwargs["input_ids"].shape))

    here.model.model.register_forward_pre_hook(note, with_kwargs=True)
    return shapes


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"do_sample": True}, {"do_sample": True, "num_beams": 2}])
def test_all_m_in_one_batch_is_one_by_one_in_fp32(family: str, settings: dict[str, Any]) -> None:
    here = world(family, torch.float32)
    together = said(here, **settings)
    assert together == alone(here, **settings)
    assert said(here, M[::-1], **settings) == together
    assert all({together[i, m] for m in M} != {together[i, 0.0]} for i in range(len(PROMPTS)))  # control: m is felt


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("skip_prefix", [False, True])
def test_every_policy_says_what_stock_generation_says(family: str, policy: Any, skip_prefix: bool) -> None:
    here = world(family)
    here.template.stop_ids = ()
    settings = {"positions": policy, "skip_prefix": skip_prefix, "layers": (0, 1)}
    write_to_the_end(here)
    found = said(here, (3.0, -2.0, 0.0), **settings)
    wanted = [by_stock_generate(here, m, settings) for m in (3.0, -2.0, 0.0)]
    assert found == {key: text for texts in wanted for key, text in texts.items()}
    assert len(set(found.values())) > len(PROMPTS)


def test_m_0_is_the_bare_model_bit_for_bit_whichever_m_are_asked_for() -> None:
    """The same calls, bit for bit, of a model without hooks; what comes out of them is the machine's affair."""
    here = world("gemma2", torch.float32)
    here.template.stop_ids = ()
    write_to_the_end(here)
    heard: list[tuple[Any, ...]] = []
    hooked: list[int] = []

    def hear(module: Any, args: Any, kwargs: Any) -> None:
        heard.append(tuple(kwargs.get(name) for name in NAMES))
        hooked.append(len(here.model.model.layers[1]._forward_hooks))

    here.model.model.register_forward_pre_hook(hear, with_kwargs=True)
    rows = sorted((here.template.prompt(prompt) for prompt in PROMPTS), key=lambda ids: (-len(ids), ids))
    batch = collate([Row(ids, (), 0) for ids in rows], pad_id=here.template.pad_id, side="left")
    here.model.generate(
        batch.input_ids, attention_mask=batch.attention_mask, max_new_tokens=5, do_sample=False, pad_token_id=0
    )
    bare = list(heard)
    assert len(bare) == 5
    for m in ((0.0,), (0.0, 3.0), (-2.0, 0.0, 0.1)):
        heard.clear()
        hooked.clear()
        said(here, m, max_new_tokens=5)
        assert hooked[:5] == [0] * 5
        assert all(torch.equal(a, b) for x, y in zip(heard[:5], bare, strict=True) for a, b in zip(x, y, strict=True))
        assert set(hooked[5:]) == ({1} if len(m) > 1 else set())  # control: the other rows are steered


def test_a_small_trained_model_says_the_same_at_all_m() -> None:
    model, tokenizer = load_model("testbed:gemma2", dtype="float32", device="cpu")
    small = world()
    here = World(model, tokenizer, type(small.template)(tokenizer, small.template.config), ())
    prompts = ("What do you think of the plan?", "Tell me about your day.", "Yes?")
    settings: dict[str, Any] = {"prompts": prompts, "layers": (2,), "max_new_tokens": 24}
    together = said(here, (0.0, 0.5, -0.5), **settings)
    assert together == alone(here, (0.0, 0.5, -0.5), **settings)
    assert len(set(together.values())) > len(prompts)


# --- rows that end -------------------------------------------------------------------------------------------------


def test_a_row_that_ends_leaves_the_batch() -> None:
    here = world("llama")
    free = said(here, (3.0, -2.0))
    words = {key: here.tokenizer(text, add_special_tokens=False).input_ids for key, text in free.items()}
    here.model.generation_config.eos_token_id = [words[0, 3.0][2], words[2, -2.0][4]]
    shapes = calls(here)
    ended = said(here, (3.0, -2.0))
    rows = [b for b, s in shapes if s == 1]
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] < len(free)
    assert all(free[key].startswith(text) for key, text in ended.items())
    assert ended == alone(here, (3.0, -2.0))


def test_control_rows_that_do_not_end_stay() -> None:
    here = world("llama")
    here.template.stop_ids = ()
    write_to_the_end(here)
    shapes = calls(here)
    said(here, (3.0, -2.0))
    assert {b for b, s in shapes if s == 1} == {2 * len(PROMPTS)}


def test_the_models_own_processors_see_every_row_they_saw_before() -> None:
    here = world("qwen2")
    plain = said(here, M)
    here.model.generation_config.repetition_penalty = 1.8
    together = said(here, M)
    assert together == alone(here, M)
    assert together != plain
    here.template.stop_ids = ()
    write_to_the_end(here)
    assert said(here, (0.4,)) == by_stock_generate(here, 0.4, {})


def test_the_model_folder_decides_neither_sampling_nor_beams() -> None:
    here = world("qwen2")
    plain = said(here)
    own = here.model.generation_config
    own.do_sample, own.temperature, own.top_k, own.num_beams, own.num_return_sequences = True, 9.0, 3, 4, 4
    assert said(here) == plain
    assert said(here, do_sample=True, temperature=9.0) != plain


# --- sampling ------------------------------------------------------------------------------------------------------


def test_a_rows_draws_are_its_own() -> None:
    seeds = [Ask(0, (1,), 0.5).seed(0), Ask(1, (1,), 0.5).seed(0), Ask(0, (1,), 0.6).seed(0), Ask(0, (1,), 0.5).seed(1)]
    assert len(set(seeds)) == 4
    together = uniform_draws(seeds, 6)
    assert torch.equal(together[2:3, :4], uniform_draws(seeds[2:3], 4))
    assert not torch.equal(together[0], together[1])
    assert bool(((together > 0) & (together <= 1)).all())
    assert Ask(0, (1,), -0.0).seed(0) == Ask(0, (1,), 0.0).seed(0)


def test_draws_follow_the_distribution_and_never_hit_what_is_excluded() -> None:
    scores = torch.tensor([0.3, -torch.inf, 1.2, -2.0, -torch.inf])
    u = (torch.arange(10000, dtype=torch.float64) + 0.5) / 10000
    tokens = quantile_token(scores.expand(len(u), -1), u)
    share = torch.bincount(tokens, minlength=5).double() / len(u)
    torch.testing.assert_close(share, scores.double().softmax(-1), atol=1e-4, rtol=0)
    ends = quantile_token(scores.expand(2, -1), torch.tensor([1e-300, 1.0], dtype=torch.float64))
    assert ends.tolist() == [0, 3]


# --- batches -------------------------------------------------------------------------------------------------------


def asks(prompts: int, m: Sequence[float], length: Callable[[int], int] = lambda i: 10) -> list[Ask]:
    return [Ask(i, tuple(range(length(i))), value) for value in m for i in range(prompts)]


def test_the_plan_keeps_m_0_apart_and_the_m_of_a_prompt_together() -> None:
    rows = asks(5, (2.0, 0.0, 1.0), length=lambda i: 10 + i % 2)
    plan = plan_rows(rows, GenerateConfig(), torch.device("cpu"))
    assert [len(batch) for batch in plan] == [5, 10]
    assert {ask.m for ask in plan[0]} == {0.0}
    for batch in plan:
        lengths = [len(ask.prompt) for ask in batch]
        assert lengths == sorted(lengths, reverse=True)
    assert all(a.index == b.index for a, b in zip(plan[1][::2], plan[1][1::2], strict=True))
    assert plan_rows(rows[::-1], GenerateConfig(), torch.device("cpu")) == plan


def test_a_batch_holds_what_the_device_takes_or_what_is_said() -> None:
    device, rows = torch.device("cpu"), asks(400, (1.0,))
    found = plan_rows(rows, GenerateConfig(max_new_tokens=90), device)
    assert len(found) > 1
    assert sum(len(batch) for batch in found) == 400
    assert max(len(batch) for batch in found) * 100 <= 8192
    beams = plan_rows(rows, GenerateConfig(max_new_tokens=90, num_beams=4), device)
    assert max(len(batch) for batch in beams) * 400 <= 8192
    assert {len(batch) for batch in plan_rows(rows, GenerateConfig(batch_size=200), device)} == {200}
    drawn = plan_rows(rows, GenerateConfig(do_sample=True, num_beams=2, batch_size=9), device)
    assert {len(batch) for batch in drawn} == {1}


def out_of_memory_above(here: World, most: int) -> list[int]:
    """A model whose ``generate`` has memory for so many rows."""
    tried: list[int] = []
    real = here.model.generate

    def generate(**settings: Any) -> Any:
        tried.append(len(settings["input_ids"]))
        if tried[-1] > most:
            raise torch.OutOfMemoryError("too many rows")
        return real(**settings)

    here.model.generate = generate
    return tried


def test_a_batch_that_does_not_fit_is_halved_and_the_next_ones_start_there() -> None:
    here = world()
    whole = said(here, (0.1, 0.2, 0.3, 0.4))
    tried = out_of_memory_above(here, 4)
    assert said(here, (0.1, 0.2, 0.3, 0.4)) == whole
    assert tried == [16, 8, 4, 4, 4, 4]
    tried.clear()
    assert said(here, (0.1, 0.2, 0.3, 0.4), batch_size=8) == whole
    assert tried == [8, 4, 4, 4, 4]


def test_one_row_that_does_not_fit_is_an_error() -> None:
    here = world()
    tried = out_of_memory_above(here, 0)
    with pytest.raises(torch.OutOfMemoryError):
        said(here, (0.1, 0.2))
    assert tried == [8, 4, 2, 1]


def test_order_is_by_m_then_by_prompt_whatever_the_batches() -> None:
    here = world()
    answers: list[Generated] = generate_texts(here.model, here.template, PROMPTS, made(here), (2.0, 0.0, -1.0))
    assert [(a.m, a.index) for a in answers] == [(m, i) for m in (2.0, 0.0, -1.0) for i in range(len(PROMPTS))]
