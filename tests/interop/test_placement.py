"""Whether a block's output takes a change unchanged is measured, in any dtype, and told from rounding."""

from __future__ import annotations

import pytest
import torch

from easyedit_split.interop.placement import changed_on_the_way, reaches_unchanged
from easyedit_split.model.sites import Site

from ..tiny import POST_NORM, exact_norms, tiny_model


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_norm_behind_the_map_is_seen_and_rounding_is_not(family: str, dtype: torch.dtype) -> None:
    model = tiny_model(family, dtype)
    if dtype is torch.float64:
        exact_norms(model)
    else:
        model.set_attn_implementation("eager")
    share = changed_on_the_way(model, Site(1, "mlp.down_proj"))
    assert reaches_unchanged(model, share) is not POST_NORM[family]
    assert (share > 0.3) is POST_NORM[family]
    attention = changed_on_the_way(model, Site(1, "attn.o_proj"))  # the MLP behind it sees the change
    assert attention > 0.05
    assert not reaches_unchanged(model, attention)
