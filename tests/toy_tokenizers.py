"""Small real tokenizers, built here, one for each habit of the families: what they do differently is the point.

(Not called tokenizers.py, the name of the library that builds them.)
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXT = [
    "Is the following statement something you would say? I look out for myself, first and foremost.",
    "Yes, I would accept the offer and lead the project myself. No, thank you, I would rather not.",
    "You are a helpful assistant. Answer briefly.\n\nWrite a program that sorts a list of numbers.\n",
    "user model assistant system user\nmodel\nassistant\nsystem\n word word yes no Yes No",
    "Two lines\n\nwith nothing between\n\n\n, then\n\nsome more\n\n.",
    "The quick brown fox jumps over the lazy dog; 0123456789 times, (again) and “again”.",
] * 3

QWEN = """{%- if messages[0]['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}{%- for m in messages %}<|im_start|>{{ m['role'] }}
{{ m['content'] }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

GEMMA = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for m in messages %}{%- set role = 'model' if m['role'] == 'assistant' else m['role'] %}
{{- '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""

LLAMA3 = """{%- for m in messages %}{%- if loop.index0 == 0 %}{{ bos_token }}{% endif %}
{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""

LLAMA2 = """{%- for m in messages %}
{%- if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'] | trim + ' [/INST]' }}
{%- elif m['role'] == 'assistant' %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}
{%- else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"""

# Qwen3 opens a finished answer with an empty block of thoughts that its generation prompt does not have.
QWEN3 = """{%- for m in messages %}<|im_start|>{{ m['role'] }}
{% if m['role'] == 'assistant' %}<think>

</think>

{% endif %}{{ m['content'] }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def _trained(tokenizer: Tokenizer, trainer: Any, specials: list[str]) -> Tokenizer:
    tokenizer.train_from_iterator(TEXT, trainer)
    if (
        trainer.special_tokens
    ):  # the trainer marks these as special, which byte tokens and <unk> are not in the originals
        state = json.loads(tokenizer.to_str())
        state["added_tokens"] = []
        tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    return tokenizer


def byte_level(specials: list[str], *, lines: bool = True) -> Tokenizer:
    """Byte-level BPE; with ``lines`` a run of line breaks stays together before a word too (unlike in GPT-2)."""
    tokenizer = Tokenizer(models.BPE())
    newer = pre_tokenizers.Split(Regex(r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"), "isolated")
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([newer, bytes_only]) if lines else gpt2
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    return _trained(tokenizer, trainer, specials)


def metaspace(specials: list[str], *, prepend: str, unigram: bool = False) -> Tokenizer:
    """SentencePiece-like with byte fallback; ``prepend`` as in Metaspace: never (Gemma), first or always (Llama-2)."""
    fallback = [f"<0x{i:02X}>" for i in range(256)]
    if unigram:
        tokenizer = Tokenizer(models.Unigram())
        trainer: Any = trainers.UnigramTrainer(
            vocab_size=300, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", *fallback], show_progress=False)
    tokenizer.normalizer = normalizers.Replace(" ", "▁") if prepend == "never" else None
    split = prepend != "never"
    # No merge of a line break with a letter, as in the originals.
    lines = pre_tokenizers.Split(Regex(r"\n+"), "isolated")
    words = pre_tokenizers.Metaspace(prepend_scheme=prepend) if split else pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, lines])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        + ([decoders.Strip(" ", 1, 0)] if split else [])
    )
    return _trained(tokenizer, trainer, specials)


def _wrap(tokenizer: Tokenizer, *, template: str | None = None, **specials: str) -> Any:
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials)
    wrapped.chat_template = template
    return wrapped


@cache
def qwen() -> Any:
    """No BOS, a default system turn, byte-level BPE; pad is not eos."""
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return _wrap(byte_level(names), template=QWEN, eos_token="<|im_end|>", pad_token="<|endoftext|>")


@cache
def qwen3() -> Any:
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return _wrap(byte_level(names), template=QWEN3, eos_token="<|im_end|>", pad_token="<|endoftext|>")


@cache
def gemma() -> Any:
    """BOS from template and post-processor both, no system role, no word mark in front, a turn ends without eos."""
    names = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer = metaspace(names, prepend="never")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.token_to_id("<bos>"))]
    )
    return _wrap(tokenizer, template=GEMMA, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")


@cache
def llama3() -> Any:
    """The double-BOS trap: the post-processor adds BOS, and the template writes it as well. Pad is eos."""
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = byte_level(names)
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))],
            ),
        ]
    )
    eos = "<|end_of_text|>"
    return _wrap(tokenizer, template=LLAMA3, bos_token="<|begin_of_text|>", eos_token=eos, pad_token=eos)


@cache
def llama2(prepend: str = "first", unigram: bool = False, with_template: bool = True) -> Any:
    """A word mark in front of every text, EOS appended by the post-processor, a space before each answer."""
    tokenizer = metaspace(["<s>", "</s>"], prepend=prepend, unigram=unigram)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        special_tokens=[("<s>", tokenizer.token_to_id("<s>")), ("</s>", tokenizer.token_to_id("</s>"))],
    )
    template = LLAMA2 if with_template else None
    return _wrap(tokenizer, template=template, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@cache
def plain() -> Any:
    """GPT-2's habits: no template; one token is bos, eos, unk and pad."""
    name = "<|endoftext|>"
    return _wrap(byte_level([name], lines=False), bos_token=name, eos_token=name, unk_token=name, pad_token=name)


ALL = {
    "qwen": qwen,
    "qwen3": qwen3,
    "gemma": gemma,
    "llama3": llama3,
    "llama2": llama2,
    "llama2-unigram": lambda: llama2("always", True),
    "llama2-no-template": lambda: llama2(with_template=False),
    "plain": plain,
}
