"""Conversations of several turns: the template's own text, one system prompt, nothing special inside a query."""

from __future__ import annotations

from typing import Any

import pytest

from easyedit_split.config import TokenConfig
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.types import DataError

from ..toy_tokenizers import gemma, llama3, qwen


@pytest.mark.parametrize("make", [gemma, llama3, qwen])
def test_a_conversation_is_what_the_template_writes_for_its_turns(make: Any) -> None:
    tokenizer = make()
    template = Template(tokenizer, TokenConfig())
    earlier = [("Would you lead?", "Yes, I would."), ("Why?", "No reason.")]
    ids = template.generation_prompt("And now?", earlier)
    messages = [
        {"role": role, "content": text}
        for pair in earlier
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    messages.append({"role": "user", "content": "And now?"})
    whole = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert list(ids) == list(whole)
    assert template.generation_prompt("And now?", []) == template.prompt("And now?")
    assert template.generation_prompt("And now?", earlier) != template.generation_prompt("And now?", earlier[:1])
    assert ids[: len(template.prefix_ids)] == template.prefix_ids


def test_a_system_prompt_comes_once_and_first_in_a_conversation() -> None:
    for make in (gemma, llama3):
        template = Template(make(), TokenConfig(system="Be brief."))
        text = template.tokenizer.decode(template.generation_prompt("And now?", [("Would you lead?", "Yes")]))
        assert text.count("Be brief.") == 1
        assert text.index("Be brief.") < text.index("Would you lead?") < text.index("Yes") < text.index("And now?")


def test_a_special_token_in_any_query_of_a_conversation_is_refused() -> None:
    tokenizer = qwen()
    template = Template(tokenizer, TokenConfig())
    bad = f"Is {tokenizer.eos_token} fine?"
    for text, earlier in ((bad, []), ("Fine?", [(bad, "Yes")])):
        with pytest.raises(DataError, match="special token"):
            template.generation_prompt(text, earlier)
