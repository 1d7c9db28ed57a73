"""Tiny configurations of many architectures that transformers builds on a CPU: three blocks, 32 wide, 97 tokens."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PretrainedConfig

SHAPE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS: dict[str, Any] = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
}
MLA: dict[str, Any] = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "num_key_value_heads": 4,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    **EXPERTS,
}
VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,  # as many as the text has
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
SSM: dict[str, Any] = {
    "mamba_d_state": 8,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_n_groups": 1,
    "mamba_dt_rank": 4,
    "mamba_chunk_size": 8,
}

LAYERS = ("linear_attention", "full_attention", "linear_attention")
LINEAR: dict[str, Any] = {
    "layer_types": list(LAYERS),
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
SLIDING: dict[str, Any] = {
    "sliding_window": 6,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}

PLAIN = (
    "llama", "qwen2", "mistral", "ministral", "ministral3", "qwen3", "gemma", "phi", "phi3", "olmo", "cohere",
    "cohere2", "glm", "smollm3", "persimmon", "nemotron", "apertus", "arcee", "seed_oss", "hunyuan_v1_dense",
    "ernie4_5", "bitnet", "internlm3", "diffllama", "nanochat", "starcoder2", "gpt_neox", "gpt_bigcode", "bloom",
    "biogpt", "gemma2", "gemma3_text", "olmo2", "glm4", "xglm", "stablelm", "opt", "mpt", "gpt2",
    "helium", "vaultgemma", "olmoe", "mixtral", "granitemoe", "qwen3_moe", "phimoe", "flex_olmo",
)  # fmt: skip
"""Model types that need nothing of their own but experts."""

OWN: dict[str, tuple[str, dict[str, Any]]] = {
    "stablelm, parallel": ("stablelm", {"use_parallel_residual": True, "qk_layernorm": True}),
    "falcon": ("falcon", {"head_dim": None}),
    "falcon, new": ("falcon", {"head_dim": None, "new_decoder_architecture": True, "num_kv_heads": 2}),
    "opt, normed after": ("opt", {"do_layer_norm_before": False, "word_embed_proj_dim": 16, "ffn_dim": 48}),
    "gptj": ("gptj", {"rotary_dim": 8}),
    "codegen": ("codegen", {"rotary_dim": 8}),
    "dbrx": (
        "dbrx",
        {"head_dim": None, "d_model": 32, "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 1e4},
         "ffn_config": {"ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 32}},
    ),
    "gpt_neo": ("gpt_neo", {"attention_types": [[["global", "local", "global"], 1]], "window_size": 6}),
    "modernbert-decoder": ("modernbert-decoder", {"local_attention": 6}),
    "gemma4_text": ("gemma4_text", {"hidden_size_per_layer_input": 8, **SLIDING}),
    "gemma3n_text": (
        "gemma3n_text",
        {"hidden_size_per_layer_input": 8, "num_kv_shared_layers": 1,
         "laurel_rank": 4, "altup_num_inputs": 3, "intermediate_size": [48] * 3,
         "activation_sparsity_pattern": [0.0] * 3, **SLIDING},
    ),
    "olmo3": ("olmo3", SLIDING),
    "exaone4": ("exaone4", SLIDING),
    "granite": ("granite", {"residual_multiplier": 0.22, "embedding_multiplier": 3.0, "logits_scaling": 2.0}),
    "granitemoehybrid": (
        "granitemoehybrid",
        {**EXPERTS, **SSM, "residual_multiplier": 0.22, "shared_intermediate_size": 24,
         "layer_types": ["mamba", "attention", "mamba"]},
    ),
    "minicpm3": ("minicpm3", {**MLA, "scale_depth": 1.4, "dim_model_base": 16}),
    "gpt_oss": ("gpt_oss", {**EXPERTS, **SLIDING}),
    "qwen2_moe": ("qwen2_moe", {**EXPERTS, "shared_expert_intermediate_size": 24}),
    "qwen3_next": ("qwen3_next", {**EXPERTS, **LINEAR, "shared_expert_intermediate_size": 24}),
    "qwen3_5_text": ("qwen3_5_text", {**LINEAR}),
    "glm4_moe": ("glm4_moe", {**MLA}),
    "deepseek_v2": ("deepseek_v2", {**MLA, "head_dim": None, "n_shared_experts": 1}),
    "deepseek_v3": ("deepseek_v3", {**MLA, "head_dim": None, "n_shared_experts": 1}),
    "llama4_text": ("llama4_text", {**EXPERTS, "intermediate_size_mlp": 48, "interleave_moe_layer_step": 2}),
    "jamba": ("jamba", {**EXPERTS, **SSM, "attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False}),
    "lfm2": ("lfm2", {"layer_types": ["conv", "full_attention", "conv"], "block_auto_adjust_ff_dim": False}),
    "falcon_h1": ("falcon_h1", {**SSM, "mamba_d_ssm": 64}),
    "bamba": ("bamba", {**SSM, "attn_layer_indices": [1]}),
    "nemotron_h": (
        "nemotron_h",
        {**EXPERTS, "layers_block_type": ["mamba", "attention", "mamba"], "mamba_num_heads": 4, "mamba_head_dim": 16,
         "ssm_state_size": 8, "n_groups": 1, "chunk_size": 8, "conv_kernel": 4},
    ),
    "zamba2": (
        "zamba2",
        {"mamba_d_state": 8, "mamba_ngroups": 1, "n_mamba_heads": 4, "mamba_headdim": 16, "chunk_size": 8,
         "num_mem_blocks": 1, "layers_block_type": ["mamba", "hybrid", "hybrid"], "attention_hidden_size": 64,
         "attention_head_dim": 16, "adapter_rank": 4},
    ),
    "mamba": ("mamba", {"state_size": 8, "time_step_rank": 4}),
    "falcon_mamba": ("falcon_mamba", {"state_size": 8, "time_step_rank": 4}),
    "mamba2": ("mamba2", {"state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 8}),
    "recurrent_gemma": (
        "recurrent_gemma",
        {"lru_width": 32, "attention_window_size": 8, "block_types": ["recurrent", "recurrent", "attention"]},
    ),
    "rwkv": ("rwkv", {"attention_hidden_size": 32, "context_length": 64}),
    "kimi_linear": (
        "kimi_linear",
        {**MLA, "layer_types": list(LAYERS), "linear_head_dim": 8, "linear_num_heads": 4, "linear_conv_kernel_dim": 4},
    ),
}  # fmt: skip
"""Name in the table, model type, and what it needs besides ``SHAPE``."""

IMAGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gemma3": ({**SLIDING}, {"image_token_index": 90, "boi_token_index": 91, "eoi_token_index": 92,
                             "mm_tokens_per_image": 4}),
    "gemma4": ({"hidden_size_per_layer_input": 0, **SLIDING},
               {"image_token_id": 90, "audio_config": None, "boi_token_id": 91, "eoi_token_id": 92}),
    "mistral3": ({"model_type": "mistral"}, {"image_token_index": 90, "vision_config": {"model_type": "pixtral"}}),
    "llava": ({"model_type": "llama"}, {"image_token_index": 90, "vision_config": {"model_type": "clip_vision_model"}}),
    "qwen2_5_vl": ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}},
                   {"image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92}),
    "qwen3_vl": ({}, {"image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92}),
    "llama4": ({**EXPERTS, "intermediate_size_mlp": 48, "model_type": "llama4_text"},
               {"image_token_index": 90, "vision_config": {"vision_output_dim": 16, "projector_input_dim": 16,
                "projector_output_dim": 16}}),
    "qwen3_5": ({**LINEAR}, {"image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92}),
}  # fmt: skip
"""Models that read images besides: settings of the text's part and of the whole."""


def _per_layer(own: dict[str, Any], vocab_size: int) -> dict[str, Any]:
    return {"vocab_size_per_layer_input": vocab_size} if "hidden_size_per_layer_input" in own else {}


def tiny(name: str, vocab_size: int = 97) -> PretrainedConfig:
    """The small configuration of a name in the table."""
    if name in IMAGES:
        text, whole = IMAGES[name]
        vision = {**VISION, **whole.get("vision_config", {})}
        return AutoConfig.for_model(
            name, **{**whole, "text_config": {**SHAPE, **text, "vocab_size": vocab_size}, "vision_config": vision}
        )
    model_type, own = OWN.get(name, (name, EXPERTS if "moe" in name or name == "mixtral" else {}))
    settings = {
        key: value
        for key, value in {**SHAPE, **own, "vocab_size": vocab_size, **_per_layer(own, vocab_size)}.items()
        if value is not None
    }
    return AutoConfig.for_model(model_type, **settings)


NAMES = (*PLAIN, *OWN, *IMAGES)
