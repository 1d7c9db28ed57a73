"""Which rows share a forward pass: padding stays a small share of it, or a small number of tokens."""

from __future__ import annotations

import numpy as np

from easyedit_split.scoring.engine.launch import batched

WIDTHS = np.sort(np.random.default_rng(0).integers(60, 180, 96))[::-1].tolist()


def padding(part: slice) -> int:
    """Tokens of padding in a launch."""
    some = WIDTHS[part]
    return len(some) * some[0] - sum(some)


def test_every_row_is_in_one_launch_and_none_is_too_large() -> None:
    for spare in (0.0, 300.0, 10_000.0):
        parts = batched(WIDTHS, 4096, spare=spare)
        assert [place for part in parts for place in range(96)[part]] == list(range(96))
        assert all((part.stop - part.start) * WIDTHS[part.start] <= 4096 for part in parts)


def test_padding_is_a_share_of_a_launch_or_the_tokens_that_are_spared() -> None:
    narrow, wide = batched(WIDTHS, 4096), batched(WIDTHS, 4096, spare=500.0)
    assert len(wide) < len(narrow)
    assert all(padding(part) <= 0.05 * (part.stop - part.start) * WIDTHS[part.start] for part in narrow)
    assert all(padding(part) <= 500 for part in wide)
    assert max(padding(part) for part in wide) > max(padding(part) for part in narrow)
