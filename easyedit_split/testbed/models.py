"""The tiny models of the testbed: configurations, and paths of their checkpoints.

    gemma2   Gemma2ForCausalLM   soft-caps 50 / 30, post-norms, every other block with a sliding window of 32 tokens
    qwen2    Qwen2ForCausalLM    q/k/v biases, no soft-caps

Six blocks of width 192, grouped heads (6 query, 2 key/value), tied embeddings, context 256. The folders are ordinary
HF folders: ``AutoModelForCausalLM.from_pretrained(checkpoint_folder("qwen2"))`` works.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Config,
)

from ..types import ConfigError
from .vocabulary import CONTEXT

MODELS = ("gemma2", "qwen2")
_END_OF_TURN = {"gemma2": "<end_of_turn>", "qwen2": "<|im_end|>"}
_ATTENTION = {"gemma2": "eager", "qwen2": "sdpa"}  # sdpa cannot soft-cap


def checkpoint_folder(name: str) -> Path:
    """Folder of a shipped checkpoint.

    Args:
        name: ``gemma2`` or ``qwen2``.

    Raises:
        ConfigError: unknown; names the known models.
    """
    return Path(__file__).parent / "checkpoints" / _known(name)


def load_checkpoint(
    name: str, dtype: torch.dtype = torch.float32, folder: Path | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a tiny model and its tokenizer.

    Args:
        name: ``gemma2`` or ``qwen2``.
        dtype: the parameters' dtype; the file holds fp16, so fp32 and fp64 are exact copies of it.
        folder: another folder of the same kind (one that ``testbed.train`` wrote).

    Returns:
        ``(model, tokenizer)``, the model in eval mode.
    """
    where = folder or checkpoint_folder(name)
    model = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, attn_implementation=_ATTENTION[_known(name)])
    return model.eval(), AutoTokenizer.from_pretrained(where)


def config(name: str, tokenizer: PreTrainedTokenizerBase) -> PretrainedConfig:
    """Transformers configuration of a tiny model for a given tokenizer.

    Args:
        name: ``gemma2`` or ``qwen2``.
        tokenizer: gives the vocabulary's size and the special ids.
    """
    kinds: dict[str, type[PretrainedConfig]] = {"gemma2": Gemma2Config, "qwen2": Qwen2Config}
    shape = {
        "vocab_size": -(-len(tokenizer) // 64) * 64,
        "hidden_size": 192,
        "intermediate_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    extra = {
        "gemma2": {
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "sliding_window": 32,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
        },
        "qwen2": {},
    }
    return kinds[_known(name)](**shape, **extra[name])


def generation_config(name: str, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Generation configuration: greedy by default, stopping at the end of the turn.

    Args:
        name: ``gemma2`` or ``qwen2``.
        tokenizer: gives the special ids.
    """
    stops = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(_END_OF_TURN[_known(name)])}
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=48,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=sorted(stops),
        pad_token_id=tokenizer.pad_token_id,
    )


def _known(name: str) -> str:
    if name not in MODELS:
        raise ConfigError(f"testbed model {name!r} is unknown; allowed: {', '.join(MODELS)}")
    return name
