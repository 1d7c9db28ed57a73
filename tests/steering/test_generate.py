"""Steered text: the bare model's own at m = 0, the same in any batch, resumed exactly, stopped at the end of a turn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from easyedit_split.files.journal import Journal
from easyedit_split.steering.generate import GenerateConfig, Generated, generate_texts
from easyedit_split.types import ConfigError, DataError

from ..small import World, made, world

PROMPTS = (
    "Would you lead?",
    "Yes",
    "Answer briefly. Write a program that sorts a list of numbers.",
    "The offer?",
    "No!",
)
SHORT = GenerateConfig(max_new_tokens=8, batch_size=2)
FAMILIES = ("qwen2", "gemma2", "llama")


def texts(answers: list[Generated]) -> list[str]:
    return [answer.text for answer in answers]


def steered(here: World, m: tuple[float, ...] = (0.4,), config: GenerateConfig = SHORT, **settings: Any) -> list[str]:
    intervention = made(here)
    return texts(generate_texts(here.model, here.template, PROMPTS, intervention, m, config=config, **settings))


def greedy_by_hand(here: World, prompt: str, m: float, length: int) -> str:
    """One token at a time, whole row each time, no cache, no padding; v by a hook of the test's own."""
    ids, intervention = list(here.template.prompt(prompt)), made(here)
    v, prefix = intervention["1.residual"].bias_delta(), len(here.template.prefix_ids)
    assert v is not None
    stops, start = {*here.template.end_ids, 2, here.tokenizer.eos_token_id}, len(ids)

    def steer(module: Any, args: Any, h: Any) -> Any:
        return torch.cat([h[:, :prefix], h[:, prefix:] + m * v.detach().to(h)], 1) if m else h

    handle = here.model.model.layers[1].register_forward_hook(steer)
    with torch.no_grad():
        for _ in range(length):
            token = int(here.model(torch.tensor([ids])).logits[0, -1].argmax())
            if token in stops:
                break
            ids.append(token)
    handle.remove()
    return here.template.decode(ids[start:])


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_text_is_the_models_own_and_steered_text_is_the_hands(family: str) -> None:
    here = world(family)
    assert steered(here, (0.0,)) == [greedy_by_hand(here, prompt, 0.0, 8) for prompt in PROMPTS]
    assert steered(here, (0.4,)) == [greedy_by_hand(here, prompt, 0.4, 8) for prompt in PROMPTS]
    assert steered(here, (0.4,)) != steered(here, (0.0,))


def test_left_padding_is_no_nan_under_stock_eager_attention_in_float64() -> None:
    here = world("gemma2")
    here.model.set_attn_implementation("eager")
    assert steered(here) == [greedy_by_hand(here, prompt, 0.4, 8) for prompt in PROMPTS]


def test_m_0_is_the_bare_models_generate_token_for_token() -> None:
    here = world()
    for prompt, text in zip(PROMPTS, steered(here, (0.0,)), strict=True):
        ids = torch.tensor([here.template.prompt(prompt)])
        own = here.model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0, attention_mask=ids * 0 + 1)
        assert here.template.decode(own[0, ids.shape[1] :].tolist()).startswith(text)
    without = generate_texts(here.model, here.template, PROMPTS, config=SHORT)
    assert texts(without) == steered(here, (0.0,))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}])
def test_batch_size_changes_nothing(family: str, settings: dict[str, Any]) -> None:
    here = world(family)
    all_at_once = steered(here, (0.05,), config=GenerateConfig(max_new_tokens=6, batch_size=5, **settings))
    for size in (1, 2, 99):
        assert steered(here, (0.05,), GenerateConfig(max_new_tokens=6, batch_size=size, **settings)) == all_at_once
    assert len(set(all_at_once)) > 1


def test_rows_come_by_m_then_by_prompt() -> None:
    here = world()
    answers = generate_texts(here.model, here.template, PROMPTS, made(here), (2.0, -1.0), config=SHORT)
    assert [(a.m, a.index) for a in answers] == [(m, i) for m in (2.0, -1.0) for i in range(len(PROMPTS))]
    assert [a.prompt for a in answers] == [*PROMPTS, *PROMPTS]


# --- where an answer ends ------------------------------------------------------------------------------------------


def always(here: World, tokens: list[int]) -> None:
    """Make the model say these tokens, one after the other, whatever it is asked."""
    head, real = here.model.lm_head, here.model.lm_head.forward
    said = iter(range(10**6))

    def forward(h: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = real(h)
        logits[:, -1] = -1e9
        logits[:, -1, tokens[min(next(said), len(tokens) - 1)]] = 0
        return logits

    head.forward = forward


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_stops_at_the_end_of_its_turn(family: str) -> None:
    here = world(family)
    words = list(here.template.answer("Yes, I would")[:-1])
    (end,) = here.template.end_ids
    always(here, [*words, end, *words])
    (answer,) = generate_texts(here.model, here.template, PROMPTS[:1], config=SHORT)
    assert answer.text == "Yes, I would"
    assert answer.ended
    always(here, [*words, *words])
    (answer,) = generate_texts(here.model, here.template, PROMPTS[:1], config=SHORT)
    assert answer.text.startswith("Yes, I would")
    assert len(answer.text) > len("Yes, I would")
    assert not answer.ended, "control"


def test_padding_after_an_end_is_no_text() -> None:
    here = world()
    free = texts(
        generate_texts(here.model, here.template, PROMPTS, config=GenerateConfig(max_new_tokens=12, batch_size=1))
    )
    first = here.model(torch.tensor([here.template.prompt(PROMPTS[1])])).logits[0, -1].argmax()
    here.model.generation_config.eos_token_id = [int(first)]
    ended = texts(
        generate_texts(here.model, here.template, PROMPTS, config=GenerateConfig(max_new_tokens=12, batch_size=5))
    )
    assert ended[1] == ""
    assert free[1] != ""


@pytest.mark.parametrize("longest", [1, 5])
def test_the_longest_answer(longest: int) -> None:
    here = world("llama")
    answers = generate_texts(here.model, here.template, PROMPTS, config=GenerateConfig(max_new_tokens=longest))
    assert texts(answers) == [greedy_by_hand(here, prompt, 0.0, longest) for prompt in PROMPTS]


# --- sampling ------------------------------------------------------------------------------------------------------


def test_samples_repeat_by_seed_and_leave_the_generator_alone() -> None:
    here = world()

    def sample(seed: int) -> list[str]:
        return steered(here, config=GenerateConfig(max_new_tokens=8, batch_size=2, do_sample=True, seed=seed))

    state = torch.get_rng_state()
    first = sample(0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert sample(0) == first
    assert sample(1) != first
    assert first != steered(here)


def test_rows_are_sampled_apart() -> None:
    here = world("llama")
    config = GenerateConfig(max_new_tokens=8, batch_size=1, do_sample=True)
    first, second = texts(generate_texts(here.model, here.template, ["Yes", "Yes"], config=config))
    assert first != second
    together = GenerateConfig(max_new_tokens=8, batch_size=2, do_sample=True)
    assert texts(generate_texts(here.model, here.template, ["Yes", "Yes"], config=together)) == [first, second]
    greedy = GenerateConfig(max_new_tokens=8, batch_size=1)
    assert len(set(texts(generate_texts(here.model, here.template, ["Yes", "Yes"], config=greedy)))) == 1


# --- resumed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("do_sample", [False, True])
@pytest.mark.parametrize("answers", [0, 1, 4, 7])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, answers: int, do_sample: bool) -> None:
    here, m = world(), (3.0, 0.1)
    config = GenerateConfig(max_new_tokens=5, batch_size=2, do_sample=do_sample)

    def journal() -> Journal:
        return Journal.beside(tmp_path / "texts.json", {"m": m})

    whole = steered(here, m, config, journal=journal())
    lines = journal().path.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + len(m) * len(PROMPTS)
    journal().path.write_text("".join(lines[: 1 + answers]) + '{"index": 3, "te')
    calls = counted(here)
    assert steered(here, m, config, journal=journal()) == whole
    assert len(calls) == {0: 5, 1: 5, 4: 3, 7: 2}[answers]  # batches of two rows, of any m
    assert len(journal().records) == len(whole)


def test_a_journal_of_other_m_helps_where_they_are_the_same(tmp_path: Path) -> None:
    here, config = world(), GenerateConfig(max_new_tokens=5, batch_size=2)

    def journal() -> Journal:
        return Journal.beside(tmp_path / "texts.json", {})

    steered(here, (0.0, 3.0), config, journal=journal())
    fresh = steered(here, (0.1, 0.0), config)
    seen: list[tuple[int, int]] = []
    calls = counted(here)
    found = steered(
        here, (0.1, 0.0), config, journal=journal(), progress=lambda done, total: seen.append((done, total))
    )
    assert found == fresh
    assert len(calls) == 3
    assert seen == [(7, 10), (9, 10), (10, 10)]


def counted(here: World) -> list[int]:
    calls: list[int] = []
    real: Callable[..., Any] = here.model.generate

    def generate_counted(**settings: Any) -> Any:
        calls.append(len(settings["input_ids"]))
        return real(**settings)

    here.model.generate = generate_counted
    return calls


def test_the_model_is_as_before() -> None:
    here = world()
    here.model.train()
    steered(here)
    assert here.model.training
    assert all(parameter.requires_grad for parameter in here.model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in here.model.modules())


# --- what cannot be asked ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompts", "m", "error", "match"),
    [
        ((), (1.0,), DataError, "no prompts"),
        (("Yes", " \n"), (1.0,), DataError, "prompt 1 is empty"),
        (("Yes", "<|im_end|>"), (1.0,), DataError, r"prompt 1 holds text .* special token"),
        (("Yes",), (), ConfigError, "no m"),
        (("Yes",), (1.0, 1.0), ConfigError, "twice"),
        (("Yes",), (0.0, float("nan")), ConfigError, "finite"),
    ],
)
def test_bad_requests_fail_before_anything_is_generated(
    prompts: tuple[str, ...], m: tuple[float, ...], error: type[Exception], match: str
) -> None:
    here = world()
    calls = counted(here)
    with pytest.raises(error, match=match):
        generate_texts(here.model, here.template, prompts, made(here), m)
    assert calls == []


def test_a_strength_without_an_intervention_is_an_error() -> None:
    here = world()
    with pytest.raises(ConfigError, match="no intervention"):
        generate_texts(here.model, here.template, PROMPTS, None, (0.0, 2.0))


@pytest.mark.parametrize(
    "settings",
    [{"max_new_tokens": 0}, {"batch_size": 0}, {"num_beams": 0}, {"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.1}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        GenerateConfig(**settings)
    assert GenerateConfig().max_new_tokens > 0
