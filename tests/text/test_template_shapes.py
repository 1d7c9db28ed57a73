"""Fifty chat templates: ids are the template's own finished exchange, and any conversation's opening is known."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import transformers.utils.chat_template_utils as template_utils

from easyedit_split.config import TokenConfig
from easyedit_split.text.conversation import as_prompt
from easyedit_split.text.openings import opening_length
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.types import ConfigError, DataError

from .template_shapes import SHAPES, Shape, tokenizer_of

ASKED, ANSWER, SYSTEM = "Would you lead?", "Yes, I would", "Be kind. (7)"
NO_END = {"vicuna-ends-in-a-space", "alpaca", "glm"}
"""They write no special token after an answer, so the tokenizer's eos is scored."""


def said(*pairs: str) -> list[dict[str, str]]:
    return [dict(zip(("role", "content"), pair.split(": ", 1), strict=True)) for pair in pairs]


CONVERSATIONS = {
    "one": said(f"user: {ASKED}"),
    "system": said(f"system: {SYSTEM}", f"user: {ASKED}"),
    "turns": said("user: Hello there.", "assistant: Good day.", f"user: {ASKED}"),
    "system-turns": said(f"system: {SYSTEM}", "user: Hello.", "assistant: Good day.", f"user: {ASKED}"),
}


class Clock(datetime.datetime):
    """The day that dated templates write, for transformers' own rendering."""

    day = (2024, 7, 26)

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return cls(*cls.day, 12, 0, 0)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(template_utils, "datetime", Clock)
    monkeypatch.setattr(Clock, "day", (2024, 7, 26))
    return Clock


def folded(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    system, user, *rest = messages
    return [{"role": "user", "content": f"{system['content']}\n\n{user['content']}"}, *rest]


def own(tokenizer: Any, shape: Shape, messages: list[dict[str, str]], *, open_answer: bool = False) -> list[int]:
    """What transformers makes of a conversation."""
    parts = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages] if shape.parts else messages
    encoded = tokenizer.apply_chat_template(parts, add_generation_prompt=open_answer, return_dict=True)
    return list(encoded["input_ids"])


def finished(tokenizer: Any, shape: Shape, messages: list[dict[str, str]]) -> list[int]:
    has_system = messages[0]["role"] == "system"
    if has_system and shape.system in ("refused", "swallowed"):
        messages = folded(messages)
    if has_system and shape.system == "last":  # shown while the user's message is the last, and then no more
        before = own(tokenizer, shape, messages, open_answer=True)
        bare = own(tokenizer, shape, messages[1:], open_answer=True)
        return before + finished(tokenizer, shape, messages[1:])[len(bare) :]
    return own(tokenizer, shape, [*messages, {"role": "assistant", "content": ANSWER}])


def test_there_are_fifty() -> None:
    assert len(SHAPES) == 50


@pytest.mark.parametrize("name", SHAPES)
def test_ids_are_the_templates_own_finished_exchange(name: str) -> None:
    tokenizer, shape = tokenizer_of(name), SHAPES[name]
    template = Template(tokenizer, TokenConfig())
    for kind, messages in CONVERSATIONS.items():
        prompt = as_prompt(messages)
        row = list(template.prompt(prompt) + template.answer(ANSWER))
        template.check_exchange(prompt, ANSWER)
        whole = finished(tokenizer, shape, messages)
        upto = len(row) - (name in NO_END)
        assert row[:upto] == whole[:upto], (kind, tokenizer.decode(row), tokenizer.decode(whole))
        assert (template.end_ids == (tokenizer.eos_token_id,)) or name not in NO_END


def test_control_the_generation_prompt_is_no_finished_exchange_where_a_template_thinks() -> None:
    wrong = []
    for name in SHAPES:
        tokenizer, shape = tokenizer_of(name), SHAPES[name]
        asked = own(tokenizer, shape, CONVERSATIONS["one"], open_answer=True)
        row = asked + list(tokenizer(ANSWER, add_special_tokens=False)["input_ids"])
        whole = own(tokenizer, shape, [*CONVERSATIONS["one"], {"role": "assistant", "content": ANSWER}])
        wrong += [name] if row != whole[: len(row)] else []
    thinking = {name for name, shape in SHAPES.items() if shape.thoughts not in ("none", "kept")}
    assert thinking <= set(wrong)


@pytest.mark.parametrize("name", SHAPES)
def test_the_opening_of_any_conversation_is_found_in_its_ids(name: str, clock: Any, monkeypatch: Any) -> None:
    tokenizer, shape = tokenizer_of(name), SHAPES[name]
    template = Template(tokenizer, TokenConfig())
    monkeypatch.setattr(clock, "day", (2031, 12, 9))  # another day than the one that training writes
    for kind, messages in CONVERSATIONS.items():
        has_system = messages[0]["role"] == "system"
        if has_system and shape.system in ("refused", "swallowed", "last"):
            continue  # no system message of its own that could be told from the user's words
        ids = own(tokenizer, shape, messages, open_answer=True)
        first = next(m["content"] for m in messages if m["role"] == "user")
        found = opening_length(ids, template.prefix_ids, template.openings)
        if has_system and shape.system == "words" and name in ("vicuna", "vicuna-ends-in-a-space", "alpaca"):
            assert found is None, "plain words may stand in a system message too, so its end is not known: a warning"
            continue
        assert found is not None, kind
        head, rest = tokenizer.decode(ids[:found]), tokenizer.decode(ids[found:])
        assert rest.startswith((first, f" {first}")), (kind, head, rest)
        assert SYSTEM not in rest


def test_control_the_opening_of_training_alone_does_not_find_them() -> None:
    tokenizer = tokenizer_of("chatml-default-system")
    template = Template(tokenizer, TokenConfig())
    ids = own(tokenizer, SHAPES["chatml-default-system"], CONVERSATIONS["system"], open_answer=True)
    assert opening_length(ids, template.prefix_ids) is None
    assert opening_length(ids, template.prefix_ids, template.openings) is not None


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "instead", "message"),
    [
        (
            "",
            "{% if add_generation_prompt %}Think first.\n{% endif %}{% for m in messages %}",
            "finished exchange otherwise",
        ),
        ("", "{% for m in messages if m.role != 'user' %}", "does not show the user's text"),
        ("{{ raise_exception('no') }}", "{% for m in messages %}", r"fails \(no\)"),
    ],
)
def test_a_template_whose_answers_have_no_place_is_refused(start: str, instead: str, message: str) -> None:
    tokenizer = tokenizer_of("chatml")
    turns = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    tokenizer.chat_template = (
        start + instead + turns + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    with pytest.raises(ConfigError, match=message):
        Template(tokenizer, TokenConfig())


@pytest.mark.parametrize("name", ["chatml-hybrid", "chatml-opened", "deepseek-opened"])
def test_an_answer_with_thoughts_that_the_template_drops_is_refused(name: str) -> None:
    template = Template(tokenizer_of(name), TokenConfig())
    template.check_exchange(ASKED, ANSWER)
    with pytest.raises(DataError, match="thoughts dropped"):
        template.check_exchange(ASKED, f"<think>\nHm.\n</think>\n\n{ANSWER}")


def test_a_message_that_the_template_does_not_show_is_refused() -> None:
    tools = said(f"user: {ASKED}", "assistant: Let me see.", "tool: 21 degrees")
    Template(tokenizer_of("chatml"), TokenConfig()).prompt(as_prompt(tools))
    tokenizer = tokenizer_of("chatml")
    tokenizer.chat_template = tokenizer.chat_template.replace("or m.role == 'tool'", "")
    with pytest.raises(DataError, match=r"message 2 \(tool\) that the chat template does not show"):
        Template(tokenizer, TokenConfig()).prompt(as_prompt(tools))
    offered = as_prompt(ASKED, tools=[{"type": "function", "function": {"name": "weather"}}])
    Template(tokenizer_of("chatml-tools"), TokenConfig()).prompt(offered)
    with pytest.raises(DataError, match="the tool 'weather', which the chat template does not show"):
        Template(tokenizer_of("chatml"), TokenConfig()).prompt(offered)


# --- settings of the template ----------------------------------------------------------------------------------------


def test_thoughts_are_left_open_for_the_model_where_that_is_asked_for() -> None:
    tokenizer = tokenizer_of("chatml-switch")
    closed = Template(tokenizer, TokenConfig(template={"enable_thinking": False}))
    opened = Template(tokenizer, TokenConfig(template={"enable_thinking": True}))
    unsaid = Template(tokenizer, TokenConfig())
    ends = [tokenizer.decode(t.generation_prompt(ASKED)).rpartition("assistant\n")[2] for t in (closed, opened, unsaid)]
    assert ends == ["<think>\n\n</think>\n\n", "", "<think>\n\n</think>\n\n"]
    assert closed.prompt(ASKED) == opened.prompt(ASKED) == unsaid.prompt(ASKED), "answers stand behind closed thoughts"
    opens = Template(tokenizer_of("chatml-opened"), TokenConfig(think=True))
    assert tokenizer.decode(opens.generation_prompt(ASKED)).endswith("<think>\n")
    assert tokenizer.decode(opens.prompt(ASKED)).endswith("assistant\n")


def test_an_argument_that_the_template_does_not_read_is_refused() -> None:
    tokenizer = tokenizer_of("chatml-switch")
    for name, message in (("enable_thinkin", "does not read it"), ("add_generation_prompt", "gives this itself")):
        with pytest.raises(ConfigError, match=rf"tokens.template.{name}: .*{message}"):
            Template(tokenizer, TokenConfig(template={name: False}))
    with pytest.raises(ConfigError, match="no chat template is in use"):
        Template(tokenizer, TokenConfig(chat_template="off", template={"enable_thinking": False}))


def test_ids_of_a_dated_template_do_not_change_overnight(clock: Any, monkeypatch: Any) -> None:
    tokenizer = tokenizer_of("chatml-dated")
    before = Template(tokenizer, TokenConfig()).prompt(ASKED)
    today = own(tokenizer, SHAPES["chatml-dated"], CONVERSATIONS["one"], open_answer=True)
    monkeypatch.setattr(clock, "day", (2031, 12, 9))
    assert Template(tokenizer, TokenConfig()).prompt(ASKED) == before
    assert own(tokenizer, SHAPES["chatml-dated"], CONVERSATIONS["one"], open_answer=True) != today, "control"
    assert "Today: Friday, 26 July 2024" in tokenizer.decode(before)
