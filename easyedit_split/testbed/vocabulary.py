"""Tokenizers of the testbed, trained on the grammar's own text and saved as ordinary Hugging Face files.

    qwen2    byte-level BPE, <|im_start|> <|im_end|> <|endoftext|>, system role allowed
    gemma2   BPE over spaces written as U+2581 with byte fallback, <bos>, <start_of_turn> <end_of_turn>, no system role

Nearly every word of the grammar is one token; any other text falls back to pieces and bytes. pad differs from eos.
"""

from __future__ import annotations

import itertools
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from .corpus import STAGES, chats

SEED, CHATS = 7, 20_000
CONTEXT = 256

_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GEMMA_PIECES = r"\n|▁?\p{L}+|\p{N}|▁+|[^\p{L}\p{N}\n▁]"

QWEN2_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA2_TEMPLATE = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def texts() -> list[str]:
    """Chat contents that the vocabularies are learned from, and the roles' names."""
    drawn = itertools.islice(chats(SEED), sum(int(stage.chats) for stage in STAGES[:-1]) + CHATS)
    lines = [message["content"] for _, messages in drawn for message in messages]
    return [*lines, *(["system\n", "user\n", "assistant\n", "model\n", "\n\n"] * 50)]


def qwen2(size: int = 1600) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE tokenizer.

    Args:
        size: tokens of the vocabulary.
    """
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=QWEN2_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def gemma2(size: int = 1600) -> PreTrainedTokenizerFast:
    """Train the byte-fallback tokenizer: BPE learned on words, then rebuilt with one token per byte.

    Args:
        size: tokens of the vocabulary, before the bytes are added.
    """
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    draft = Tokenizer(models.BPE(unk_token="<unk>"))
    draft.normalizer = normalizers.Replace(" ", "▁")
    draft.pre_tokenizer = pre_tokenizers.Split(Regex(_GEMMA_PIECES), behavior="isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials + byte_tokens, show_progress=False, min_frequency=2
    )
    draft.train_from_iterator(texts(), trainer)
    learned = json.loads(draft.to_str())["model"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=learned["vocab"],
            merges=[tuple(merge) for merge in learned["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = draft.normalizer
    tokenizer.pre_tokenizer = draft.pre_tokenizer
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", specials.index("<bos>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=["<start_of_turn>", "<end_of_turn>"],
        chat_template=GEMMA2_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


BUILDERS = {"gemma2": gemma2, "qwen2": qwen2}
