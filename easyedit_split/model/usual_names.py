"""Seven short names for linear maps, ``mlp.down_proj`` to ``attn.o_proj``, and what architectures call them.

A short name stands for a map where exactly one of the block's maps is called so; a block whose MLP is a set of experts
has no ``mlp.down_proj``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

_PLACES: Mapping[str, tuple[str, ...]] = {
    "mlp": ("mlp", "feed_forward", "ffn", ""),
    "attn": ("self_attn", "attn", "attention", "self_attention", "attn.attention", "norm_attn_norm.attn"),
}
"""Where architectures keep a block's MLP and its attention; the empty one is the block itself."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "mlp.down_proj": ("down_proj", "c_proj", "fc2", "dense_4h_to_h", "fc_out", "w2", "Wo"),
    "mlp.up_proj": ("up_proj", "c_fc", "fc1", "dense_h_to_4h", "fc_in", "w3"),
    "mlp.gate_proj": ("gate_proj", "w1"),
    "attn.q_proj": ("q_proj", "query"),
    "attn.k_proj": ("k_proj", "key"),
    "attn.v_proj": ("v_proj", "value"),
    "attn.o_proj": ("o_proj", "out_proj", "c_proj", "dense", "Wo", "wo"),
}
"""What architectures call the maps of the seven short names."""


def usual_names(paths: Collection[str]) -> dict[str, str]:
    """The short names that a block's maps are known by, with their paths.

    Args:
        paths: of the block's linear maps, inside it.
    """
    found: dict[str, str] = {}
    for name, leaves in _NAMES.items():
        places = [f"{place}." if place else "" for place in _PLACES[name.split(".")[0]]]
        here = [f"{place}{leaf}" for place in places for leaf in leaves if f"{place}{leaf}" in paths]
        if len(here) == 1:
            found[name] = here[0]
    return found
