"""Batches: masks from lengths, padding on either side, every row once within the bounds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.text.batching import Row, collate, plan_batches
from easyedit_split.types import ConfigError

ROWS = [Row((5, 2, 2), (7, 2), 1), Row((5,), (), 0), Row((2, 2, 2, 2), (9, 9, 2), 2)]  # pad = eos = 2


@pytest.mark.parametrize("side", ["right", "left"])
def test_masks_come_from_lengths_though_pad_is_eos(side: Any) -> None:
    batch = collate(ROWS, pad_id=2, side=side)
    assert batch.input_ids.shape == (3, 7)
    assert batch.lengths.tolist() == [5, 1, 7]
    assert batch.prompt_lengths.tolist() == [3, 1, 4]
    assert batch.prefix_lengths.tolist() == [1, 0, 2]
    for i, row in enumerate(ROWS):
        real = batch.attention_mask[i].bool()
        assert tuple(batch.input_ids[i, real].tolist()) == row.prompt + row.answer
        assert batch.position_ids[i, real].tolist() == list(range(int(batch.lengths[i])))
        assert batch.position_ids[i, ~real].tolist() == [0] * int((~real).sum())
        assert bool(real[0 if side == "right" else -1])
    assert {t.dtype for t in (batch.input_ids, batch.attention_mask, batch.position_ids, batch.lengths)} == {
        torch.int64
    }
    assert not torch.equal(batch.attention_mask, (batch.input_ids != 2).long()), "control: pad ids would hide tokens"


def test_sides_differ_only_in_where_the_padding_stands() -> None:
    right, left = collate(ROWS, pad_id=0), collate(ROWS, pad_id=0, side="left")
    assert not torch.equal(right.input_ids, left.input_ids)
    assert torch.equal(right.to("cpu").lengths, left.lengths)
    assert torch.equal(right.attention_mask.flip(1), left.attention_mask)


def test_batches_need_rows_and_prompts() -> None:
    with pytest.raises(ConfigError, match="at least one row"):
        collate([], pad_id=0)
    with pytest.raises(ConfigError, match="row 1 of the batch has no prompt token"):
        collate([ROWS[0], Row((), (1,), 0)], pad_id=0)


def test_plan_covers_every_row_once_within_the_bounds() -> None:
    lengths = [(7 * i) % 31 + 1 for i in range(200)] + [500]
    plan = plan_batches(lengths, max_tokens=120, max_rows=6)
    assert sorted(i for batch in plan for i in batch) == list(range(201))
    assert plan[0] == [200], "a row over the bound stands alone"
    for batch in plan[1:]:
        assert len(batch) <= 6
        assert max(lengths[i] for i in batch) * len(batch) <= 120
    assert plan == plan_batches(lengths, max_tokens=120, max_rows=6)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in plan)
    blind = sum(max(lengths[i : i + 6]) * len(lengths[i : i + 6]) for i in range(0, 201, 6))
    assert padded < 1.1 * sum(lengths) < blind, "like lengths lie together"


def test_plan_of_nothing_and_bad_bounds() -> None:
    assert plan_batches([], max_tokens=1, max_rows=1) == []
    with pytest.raises(ConfigError, match="max_rows is 0"):
        plan_batches([1], max_tokens=1, max_rows=0)
