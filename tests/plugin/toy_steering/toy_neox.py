"""A model of the package's own: GPT-NeoX under another name, so that its paths are none of the built-in families'.

Attention and MLP are added to the block's input side by side, neither behind a norm: `site` and `block_output` are one.
"""

from __future__ import annotations

from types import MappingProxyType

from transformers import AutoConfig, AutoModelForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM

from easyedit_split.model.sites import Family


class ToyNeoxConfig(GPTNeoXConfig):
    """GPT-NeoX's configuration."""

    model_type = "toy_neox"


class ToyNeoxForCausalLM(GPTNeoXForCausalLM):
    """GPT-NeoX's model."""

    config_class = ToyNeoxConfig


AutoConfig.register("toy_neox", ToyNeoxConfig)
AutoModelForCausalLM.register(ToyNeoxConfig, ToyNeoxForCausalLM)

TOY_NEOX = Family(
    model_types=("toy_neox",),
    decoder="gpt_neox",
    blocks="gpt_neox.layers",
    linears=MappingProxyType(
        {
            "mlp.down_proj": "mlp.dense_4h_to_h",
            "mlp.up_proj": "mlp.dense_h_to_4h",
            "attn.o_proj": "attention.dense",
        }
    ),
)
