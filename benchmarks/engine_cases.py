"""Models and pairs of the engine benchmark: random weights at the shapes of real families, and SmolLM2."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, PretrainedConfig, Qwen2Config

from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.encode_pairs import EncodedPair
from easyedit_split.types import Pair

FILES = {"psychopathy": "psychopathy.jsonl", "powerseeking": "powerseeking_train.csv"}


@dataclass(frozen=True)
class ModelShape:
    """Configuration of a model with random weights.

    Attributes:
        name: of the shape.
        config: the family's.
        attention: implementation.
        layer: the block whose output is changed.
    """

    name: str
    config: PretrainedConfig
    attention: str
    layer: int


BILLIONS = (
    ModelShape("gemma-2-9b", Gemma2Config(
        vocab_size=256000, hidden_size=3584, intermediate_size=14336, num_hidden_layers=42, num_attention_heads=16,
        num_key_value_heads=8, head_dim=256,
    ), "eager", 20),
    ModelShape("qwen2.5-7b", Qwen2Config(
        vocab_size=152064, hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28,
        num_key_value_heads=4, tie_word_embeddings=False,
    ), "sdpa", 14),
)  # fmt: skip
_SMALL: dict[str, Any] = {
    "vocab_size": 16384, "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 12,
    "num_attention_heads": 8, "num_key_value_heads": 4,
}  # fmt: skip
TWELVE_BLOCKS = (
    ModelShape("gemma-2, 12 blocks", Gemma2Config(**_SMALL, head_dim=48), "eager", 5),
    ModelShape("qwen2, 12 blocks", Qwen2Config(**_SMALL), "sdpa", 5),
    ModelShape("llama, 12 blocks", LlamaConfig(**_SMALL), "sdpa", 5),
)


@dataclass(frozen=True)
class Case:
    """A model, pairs and the place of the intervention.

    Attributes:
        name: of the model and the texts.
        model: a Hugging Face causal LM.
        pairs: encoded.
        layer: the block.
        prefix: ids of the chat template's constant prefix.
    """

    name: str
    model: Any
    pairs: Sequence[EncodedPair]
    layer: int
    prefix: tuple[int, ...] = ()

    @property
    def device(self) -> torch.device:
        """The model's device."""
        found: torch.device = next(self.model.parameters()).device
        return found

    def first(self, n: int) -> Case:
        """The same case with only the first pairs."""
        return dataclasses.replace(self, pairs=self.pairs[:n])

    def intervention(self, form: str) -> Intervention:
        """An intervention with random parameters, the same every time."""
        found = Intervention.create(
            self.model, form, [self.layer], placement="block_output", prefix_ids=self.prefix, bos_id=None
        )
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in found.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.02)
        return found


def tiny(shape: ModelShape) -> ModelShape:
    """The same model family, small enough for a test."""
    config = type(shape.config)(
        **_SMALL | {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4}
    )
    return dataclasses.replace(shape, name=f"tiny {shape.name}", config=config, layer=1)


def random_model(shape: ModelShape, device: str, dtype: torch.dtype) -> Any:
    """Create a model with random weights on its device and in its dtype, since a large one fits nowhere else."""
    before = torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return AutoModelForCausalLM.from_config(shape.config, attn_implementation=shape.attention).eval()
    finally:
        torch.set_default_dtype(before)


def random_pairs(vocabulary: int, prompt: int, answer: int, shared: int, pairs: int) -> list[EncodedPair]:
    """Random token ids: prompts of one length with a common prefix, answers of one length.

    Args:
        vocabulary: V.
        prompt: P, tokens.
        answer: A, tokens.
        shared: tokens of the opening, the template's constant one.
        pairs: how many.
    """
    generator = torch.Generator().manual_seed(0)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(10, vocabulary, (length,), generator=generator).tolist())

    opening = ids(shared)
    return [
        EncodedPair(Pair("q", "a", "b"), opening + ids(prompt - shared), ids(answer), ids(answer), shared, i)
        for i in range(pairs)
    ]


def random_case(model: Any, shape: ModelShape, lengths: tuple[int, int, int], pairs: int) -> Case:
    """A model with random weights and random pairs.

    Args:
        model: of the shape.
        shape: its name and layer.
        lengths: prompt, answer and shared opening, tokens.
        pairs: how many.
    """
    prompt, answer, _ = lengths
    rows = random_pairs(int(shape.config.vocab_size), *lengths, pairs)
    return Case(f"{shape.name} P{prompt} A{answer}", model, rows, shape.layer)


def on_texts_of(case: Case, shape: ModelShape) -> Case:
    """A model with random weights on another case's texts: its vocabulary is widened to that of the texts.

    Args:
        case: whose pairs it gets.
        shape: of the model.
    """
    config = type(shape.config).from_dict(shape.config.to_dict() | {"vocab_size": case.model.config.vocab_size})
    model = random_model(dataclasses.replace(shape, config=config), "cpu", torch.float32)
    return Case(f"{shape.name} {case.name.split()[-1]}", model, case.pairs, shape.layer, case.prefix)


def smollm2_cases(data: Path, pairs: Mapping[str, int]) -> tuple[dict[str, Case], Any]:
    """SmolLM2 with real pairs, and its tokenizer.

    Args:
        data: folder of the datasets' files.
        pairs: how many of each dataset.
    """
    from easyedit_split.config import TokenConfig
    from easyedit_split.datasets.load import load_dataset
    from easyedit_split.model.load import load_model
    from easyedit_split.text.encode_pairs import encode_pairs
    from easyedit_split.text.prompt_tokens import Template

    model, tokenizer = load_model("smollm2", dtype="float32")
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # the file is mapped: else the first to run pays for its pages
    template = Template(tokenizer, TokenConfig())
    cases = {}
    for name, count in pairs.items():
        table = load_dataset(f"{name}:{data / FILES[name]}", split="train", drop_bad=True)
        rows = encode_pairs(table.pairs[:count], template, source=name).rows
        cases[name] = Case(f"SmolLM2 {name}", model, rows, 15, template.prefix_ids)
    return cases, tokenizer
