"""Token policies as masks, written out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.text.positions import Layout, position_mask

LENGTHS = torch.tensor([9, 6])
PROMPTS = torch.tensor([5, 4])
PREFIXES = torch.tensor([2, 1])
WANTED = {  # by hand, for the first row: prompt of 5 with an opening of 2, answer of 4
    ("all", False): [1, 1, 1, 1, 1, 1, 1, 1, 1],
    ("all", True): [0, 0, 1, 1, 1, 1, 1, 1, 1],
    ("prompt", False): [1, 1, 1, 1, 1, 0, 0, 0, 0],
    ("prompt", True): [0, 0, 1, 1, 1, 0, 0, 0, 0],
    ("last_prompt", False): [0, 0, 0, 0, 1, 0, 0, 0, 0],
    ("answer", False): [0, 0, 0, 0, 1, 1, 1, 1, 0],
}


@pytest.mark.parametrize(("policy", "skip"), list(WANTED))
def test_masks_by_hand_under_both_paddings(policy: Any, skip: bool) -> None:
    place = torch.arange(9)
    right = torch.where(place < LENGTHS[:, None], place, -1)
    left = place - (9 - LENGTHS[:, None])
    for index in (right, torch.where(left >= 0, left, -1)):
        mask = position_mask(policy, skip, Layout(index, PROMPTS, PREFIXES, LENGTHS))
        assert mask[0].int().tolist() == WANTED[policy, skip]
        assert int(mask[1].sum()) <= 6
        assert not bool(mask[index < 0].any())
