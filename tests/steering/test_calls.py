"""Where tokens lie in a model's call: read from positions where the mask is in another form."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.steering.attach import attach
from easyedit_split.steering.call_layout import CallReader
from easyedit_split.text.batching import Row, collate
from easyedit_split.text.positions import POLICIES
from easyedit_split.types import ConfigError

from ..attached import made
from ..tiny import FAMILIES, tiny_model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_static_cache_steers_the_same_tokens(family: str, policy: Any) -> None:
    """Its masks are 4-D, and the places of tokens come from their positions."""
    model = tiny_model(family, torch.float32)
    model.set_attn_implementation("eager")
    intervention = made(model, "lora", (0, 1), positions=policy, skip_prefix=True, prefix_ids=(1, 4), bos_id=1)
    batch = collate([Row(p, (), 2) for p in ((1, 4, 11, 12, 13, 14), (1, 4, 9, 10))], pad_id=0, side="left")
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "max_new_tokens": 6}
    counts, texts = [], []
    for cache in ("dynamic", "static"):
        with attach(model, intervention, 30.0, check=True) as attached:
            texts.append(model.generate(**inputs, cache_implementation=cache, do_sample=False, eos_token_id=None))
        counts.append([(row.tokens_seen, row.tokens_touched) for row in attached.report()])
    assert torch.equal(*texts)
    assert counts[0] == counts[1]
    assert not torch.equal(texts[0], model.generate(**inputs, do_sample=False, eos_token_id=None))


@pytest.mark.parametrize(
    ("positions", "wanted"),
    [
        ([[0, 0, 0, 1], [0, 1, 2, 3]], [[-1, -1, 0, 1], [0, 1, 2, 3]]),
        ([[1, 1, 0, 1], [0, 1, 2, 3]], [[-1, -1, 0, 1], [0, 1, 2, 3]]),
        ([[0, 1, 0, 1]], None),  # two texts in one row
        ([[0, 1, 2, 2]], None),  # padding on the right
        ([[3, 4, 5, 6]], None),  # no beginning
        (None, None),
    ],
)
def test_places_are_read_from_positions_only_where_those_count_on(positions: Any, wanted: Any) -> None:
    calls = CallReader((), None, False)
    ids = torch.zeros(len(positions or [0]), 4, dtype=torch.long)
    mask = torch.ones(len(ids), 1, 4, 4)
    given = None if positions is None else torch.tensor(positions)
    call = {"input_ids": ids, "attention_mask": mask, "position_ids": given}
    if wanted is None:
        with pytest.raises(ConfigError, match=r"not \[b, s\].*pass attach\(..., layout=...\)"):
            calls.read((), call)
    else:
        layout = calls.read((), call)
        assert layout.index.tolist() == wanted
        assert layout.prompt_lengths.tolist() == [max(row) + 1 for row in wanted]


def test_an_answer_written_without_a_cache_is_refused_where_prompts_count() -> None:
    model = tiny_model("llama", torch.float32)
    ids = torch.tensor([[1, 4, 11, 12], [1, 4, 9, 10]])
    settings = {"max_new_tokens": 3, "do_sample": False, "eos_token_id": None, "use_cache": False}
    for policy in POLICIES:
        intervention = made(model, "lora", positions=policy, skip_prefix=False)
        if policy == "all":
            with attach(model, intervention, 1.0):
                model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings)
            continue
        with attach(model, intervention, 1.0):
            model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings)  # says what its prompts are
        with (
            attach(model, intervention, 1.0),
            pytest.raises(ConfigError, match=r"writes without a cache.*use_cache=True"),
        ):
            longer = torch.cat([ids, ids[:, :1]], -1)
            for row in (ids, longer):  # a loop of the caller's own
                model(input_ids=row, use_cache=False)
        with attach(model, intervention, 1.0):  # prompts one after another are no answer
            for prompts in (ids, ids[:, :3], torch.cat([ids, ids], -1), ids + 1):
                model(input_ids=prompts)


def test_a_recurrent_state_has_no_length_and_is_remembered() -> None:
    calls, state = CallReader((), None, False), [torch.zeros(1)]
    ids, mask = torch.ones(2, 4, dtype=torch.long), torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    first = calls.read((), {"input_ids": ids, "attention_mask": mask})
    later = calls.read((), {"input_ids": ids[:, :1], "state": state})
    assert first.prompt_lengths.tolist() == later.prompt_lengths.tolist() == [3, 4]
    assert later.index.tolist() == [[3], [4]]
    new = calls.read((), {"input_ids": ids[:, :2]})
    assert new.index.tolist() == [[0, 1], [0, 1]]
    assert new.prompt_lengths.tolist() == [2, 2]
