"""Fifty chat templates with the habits of real families, each put together from a few parts.

turns          how a turn opens and closes, with special tokens or with plain words
system         a turn of its own, one by default, inside the user's first or last turn, refused, or swallowed
thoughts       of answers: closed by default, opened by the generation prompt, dropped from history
the rest       today's date, tools, contents in parts, contents trimmed
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from ..toy_tokenizers import _wrap, byte_level

System = Literal["turn", "default", "first", "last", "refused", "swallowed", "words"]
Thoughts = Literal["none", "hybrid", "opened", "opened_empty", "kept", "switch"]


@dataclass(frozen=True)
class Shape:
    """Parts of a template; ``{r}`` in ``open`` is the role's name, ``roles`` renames them."""

    open: str
    close: str
    system: System = "turn"
    thoughts: Thoughts = "none"
    roles: tuple[tuple[str, str], ...] = ()
    start: str = ""
    answer: str = ""
    """Opens an answer, where that is not an opened turn."""
    answer_close: str | None = None
    space: str = ""
    date: Literal["", "function", "variable"] = ""
    trim: bool = False
    parts: bool = False
    tools: bool = False

    def jinja(self) -> str:
        """The template."""
        names = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool", **dict(self.roles)}
        text = self.start + self._date() + self._tools() + self._system(names)
        text += "{% for m in rest %}{% set c = " + self._content() + " %}"
        if self.system == "refused":
            text += "{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        text += "{% if m.role == 'assistant' %}" + self._said(names) + "{% elif m.role == 'user' or m.role == 'tool' %}"
        opened = {role: self.open.replace("{r}", names[role]) for role in ("user", "tool")}
        text += "{% if m.role == 'user' %}" + opened["user"] + "{% else %}" + opened["tool"] + "{% endif %}"
        if self.system == "last":
            text += "{% if loop.last and system is defined %}{{ system }}\n\n{{ '' }}{% endif %}"
        if self.system == "first":
            text += "{% if loop.first and system is defined %}<<SYS>>\n{{ system }}\n<</SYS>>\n\n{{ '' }}{% endif %}"
        text += "{{ c }}" + self.close + "{% endif %}{% endfor %}"
        return text + "{% if add_generation_prompt %}" + self._begun(names) + "{% endif %}"

    def _content(self) -> str:
        content = "m.content[0].text" if self.parts else "m.content"
        return f"{content} | trim" if self.trim else content

    def _date(self) -> str:
        if self.date == "function":
            return self.open.replace("{r}", "date") + "Today: {{ strftime_now('%A, %d %B %Y') }}" + self.close
        if self.date == "variable":
            known = (
                "{% if date_string is defined %}{{ date_string }}{% else %}{{ strftime_now('%d %b %Y') }}{% endif %}"
            )
            return self.open.replace("{r}", "date") + f"Today: {known}" + self.close
        return ""

    def _tools(self) -> str:
        return (
            "{% if tools %}Tools:{% for t in tools %} {{ t | tojson }}{% endfor %}\n{{ '' }}{% endif %}"
            if self.tools
            else ""
        )

    def _system(self, names: dict[str, str]) -> str:
        content = "messages[0].content[0].text" if self.parts else "messages[0].content"
        found = "{% if messages[0].role == 'system' %}"
        after = "{% set rest = messages[1:] %}{% else %}{% set rest = messages %}"
        opened = self.open.replace("{r}", names["system"])
        if self.system == "refused":
            return "{% set rest = messages %}"
        if self.system in ("first", "last"):
            return f"{found}{{% set system = {content} %}}{after}{{% endif %}}"
        if self.system == "swallowed":
            return f"{found}{after}{{% endif %}}"
        if self.system == "words":
            return f"{found}{{{{ {content} }}}} {{{{ '' }}}}{after}A chat with a helper. {{% endif %}}"
        default = opened + "You help." + self.close if self.system == "default" else ""
        return f"{found}{opened}{{{{ {content} }}}}{self.close}{after}{default}{{% endif %}}"

    def _begun(self, names: dict[str, str]) -> str:
        opened = self.answer or self.open.replace("{r}", names["assistant"])
        more = {"opened": "<think>\n{{ '' }}", "opened_empty": "<think>\n{{ '' }}"}.get(self.thoughts, "")
        if self.thoughts == "switch":
            more = (
                "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{{ '' }}{% endif %}"
            )
        return opened + more

    def _said(self, names: dict[str, str]) -> str:
        opened = self.answer or self.open.replace("{r}", names["assistant"])
        shown = {
            "hybrid": "{% if loop.last %}<think>\n\n</think>\n\n{{ '' }}{% endif %}",
            "switch": "{% if loop.last %}<think>\n\n</think>\n\n{{ '' }}{% endif %}",
            "opened_empty": "<think></think>",
        }.get(self.thoughts, "")
        text = "c" if self.thoughts in ("none", "kept") else "c.split('</think>')[-1].lstrip('\n')"
        close = self.close if self.answer_close is None else self.answer_close
        return f"{opened}{shown}{self.space}{{{{ {text} }}}}{close}"


CHATML = {"open": "<|im_start|>{r}\n", "close": "<|im_end|>\n"}
LLAMA3 = {"open": "<|start_header_id|>{r}<|end_header_id|>\n\n", "close": "<|eot_id|>", "start": "{{ bos_token }}"}
GEMMA = {
    "open": "<start_of_turn>{r}\n",
    "close": "<end_of_turn>\n",
    "start": "{{ bos_token }}",
    "roles": (("assistant", "model"),),
}
PHI = {"open": "<|{r}|>\n", "close": "<|end|>\n"}
ZEPHYR = {"open": "<|{r}|>\n", "close": "{{ eos_token }}\n"}
GRANITE = {"open": "<|start_of_role|>{r}<|end_of_role|>", "close": "<|end_of_text|>\n"}
INST = {"open": "[INST] ", "close": " [/INST]", "answer_close": "{{ eos_token }}", "start": "{{ bos_token }}"}
WORDS = {"open": "{r}: ", "close": " ", "roles": (("user", "USER"), ("assistant", "ASSISTANT"), ("tool", "TOOL"))}
ALPACA = {"open": "### {r}:\n", "close": "\n\n", "roles": (("user", "Instruction"), ("assistant", "Response"))}
DEEP = {"open": "<|{r}|>", "close": "", "answer_close": "{{ eos_token }}", "start": "{{ bos_token }}"}
COMMAND = {"open": "<|turn|><|{r}|>", "close": "<|endturn|>", "start": "{{ bos_token }}"}
GLM = {"open": "<|{r}|>\n", "close": "", "start": "[gMASK]<sop>"}
HARMONY = {"open": "<|start|>{r}<|message|>", "close": "<|end|>", "answer_close": "<|return|>"}

SPECIAL = [
    "<|begin|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>",
    "<|date|>", "<|end|>", "<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>", "<|turn|>", "<|endturn|>",
    "[gMASK]", "<sop>", "<|start|>", "<|message|>", "<|return|>",
]  # fmt: skip


_ANSWER_IN = {
    "inst": {"answer": "{{ '' }}", "space": " "},
    "tight": {"answer": "{{ '' }}", "space": ""},
}

SHAPES: dict[str, Shape] = {
    "chatml": Shape(**CHATML),
    "chatml-default-system": Shape(**CHATML, system="default"),
    "chatml-no-system": Shape(**CHATML, system="refused"),
    "chatml-swallows-system": Shape(**CHATML, system="swallowed"),
    "chatml-system-in-last-turn": Shape(**CHATML, system="last"),
    "chatml-trimmed": Shape(**CHATML, trim=True),
    "chatml-bos": Shape(**CHATML, start="{{ bos_token }}"),
    "chatml-dated": Shape(**CHATML, date="function"),
    "chatml-dated-default-system": Shape(**CHATML, date="function", system="default"),
    "chatml-tools": Shape(**CHATML, tools=True),
    "chatml-parts": Shape(**CHATML, parts=True),
    "chatml-hybrid": Shape(**CHATML, thoughts="hybrid"),
    "chatml-switch": Shape(**CHATML, thoughts="switch"),
    "chatml-opened": Shape(**CHATML, thoughts="opened"),
    "chatml-opened-empty": Shape(**CHATML, thoughts="opened_empty"),
    "chatml-hybrid-dated": Shape(**CHATML, thoughts="hybrid", date="function", system="default"),
    "llama3": Shape(**LLAMA3, trim=True),
    "llama3-default-system": Shape(**LLAMA3, system="default"),
    "llama3-dated": Shape(**LLAMA3, trim=True, date="variable"),
    "llama3-opened": Shape(**LLAMA3, thoughts="opened"),
    "llama3-parts": Shape(**LLAMA3, parts=True),
    "llama3-tools": Shape(**LLAMA3, tools=True),
    "gemma": Shape(**GEMMA, system="refused", trim=True),
    "gemma-system": Shape(**GEMMA, trim=True),
    "gemma-parts": Shape(**GEMMA, system="refused", parts=True, trim=True),
    "gemma-system-in-first-turn": Shape(**GEMMA, system="first"),
    "phi": Shape(**PHI),
    "phi-swallows-system": Shape(**PHI, system="swallowed"),
    "phi-opened-empty": Shape(**PHI, thoughts="opened_empty"),
    "zephyr": Shape(**ZEPHYR),
    "zephyr-default-system": Shape(**ZEPHYR, system="default"),
    "granite": Shape(**GRANITE, system="default"),
    "granite-dated": Shape(**GRANITE, date="variable", system="default"),
    "granite-switch": Shape(**GRANITE, thoughts="switch"),
    "llama2": Shape(**INST, **_ANSWER_IN["inst"], system="first"),
    "llama2-no-system": Shape(**INST, **_ANSWER_IN["inst"], system="refused"),
    "mistral": Shape(**INST, **_ANSWER_IN["tight"], system="refused"),
    "mistral-system-in-last-turn": Shape(**INST, **_ANSWER_IN["tight"], system="last"),
    "mistral-spaced": Shape(**INST, **_ANSWER_IN["inst"], system="last", trim=True),
    "mistral-dated": Shape(**INST, **_ANSWER_IN["tight"], system="first", date="function"),
    "vicuna": Shape(**WORDS, system="words", answer="ASSISTANT:", space=" ", answer_close="{{ eos_token }}"),
    "vicuna-ends-in-a-space": Shape(**WORDS, system="words"),
    "alpaca": Shape(**ALPACA, system="words"),
    "alpaca-end": Shape(**ALPACA, system="swallowed", answer_close="{{ eos_token }}"),
    "deepseek": Shape(**DEEP, system="words"),
    "deepseek-opened": Shape(**DEEP, system="words", thoughts="opened"),
    "deepseek-kept": Shape(**DEEP, system="words", thoughts="kept"),
    "command": Shape(**COMMAND, system="default"),
    "glm": Shape(**GLM),
    "harmony": Shape(**HARMONY, date="function"),
}


@cache
def _tokenizer() -> Any:
    return _wrap(
        byte_level(SPECIAL), bos_token="<|begin|>", eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )  # fmt: skip


def tokenizer_of(name: str) -> Any:
    """The one tokenizer with a shape's template (the last one set stands)."""
    tokenizer = _tokenizer()
    tokenizer.chat_template = SHAPES[name].jinja()
    return tokenizer
