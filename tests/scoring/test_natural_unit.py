"""r = |m dh| / |h|: measured as the formula says, at every form and site, over the steered tokens only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from easyedit_split.model.hooks import site_values
from easyedit_split.model.sites import Site
from easyedit_split.scoring.natural_unit import natural_unit, steered_values
from easyedit_split.scoring.score import answer_rows
from easyedit_split.steering.attach import attach
from easyedit_split.text.batching import collate

from ..small import World, made, world
from ..tiny import FAMILIES

FORMS = ("vector", "lora", "local_weight")


def by_hand(here: World, form: str, m: float) -> tuple[float, float]:
    """Medians of |h| and of what attaching at m moved h by, at block 1, one row at a time."""
    intervention = made(here, form, placement="block_output")
    h, moved = [], []
    for pair in here.rows:
        for answer in (pair.positive, pair.negative):
            ids = torch.tensor([pair.prompt + answer])
            start = pair.prefix_length if intervention.config.skip_prefix else 0
            seen = []
            for strength in (0.0, m):
                values: list[torch.Tensor] = []
                with torch.no_grad(), attach(here.model, intervention, strength):
                    block = here.model.model.layers[1]
                    handle = block.register_forward_hook(
                        lambda module, args, output, values=values: values.append(
                            output[0] if isinstance(output, tuple) else output
                        )
                    )
                    here.model(ids)
                    handle.remove()
                seen.append(values[0][0, start:])
            h.append(seen[0].norm(dim=-1))
            moved.append((seen[1] - seen[0]).norm(dim=-1) / seen[0].norm(dim=-1))
    return float(torch.cat(h).median()), float(torch.cat(moved).median())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", FORMS)
def test_r_is_how_far_attaching_moves_h_against_h(family: str, form: str) -> None:
    here = world(family)
    unit = natural_unit(here.model, here.rows, made(here, form, placement="block_output"), pad_id=here.template.pad_id)
    h, moved = by_hand(here, form, 0.7)
    assert unit.h == pytest.approx(h, rel=1e-9)
    assert 0.7 * unit.r_per_m == pytest.approx(moved, rel=1e-6)
    assert 0.6 * unit.r_per_m != pytest.approx(moved, rel=1e-3)


def test_an_untrained_intervention_changes_nothing() -> None:
    here = world()
    unit = natural_unit(here.model, here.rows, made(here, scale=0.0))
    assert unit.r_per_m == 0
    assert unit.h > 0


def test_one_massive_token_does_not_carry_the_median() -> None:
    here = world()
    intervention = made(here, positions="all", skip_prefix=False)
    plain = natural_unit(here.model, here.rows, intervention)
    embedding = here.model.get_input_embeddings().weight
    with torch.no_grad():
        embedding[here.rows[0].prompt[0]] *= 1000  # the token that every row begins with
    massive = natural_unit(here.model, here.rows, intervention)
    assert massive.h < 3 * plain.h


def test_the_most_changed_of_several_sites_counts() -> None:
    here = world()
    both = made(here, layers=(0, 1))
    with torch.no_grad():
        both[Site(0, "residual")].v.mul_(10)
    alone = made(here, layers=(0,))
    with torch.no_grad():
        alone[Site(0, "residual")].v.copy_(both[Site(0, "residual")].v)
    assert natural_unit(here.model, here.rows, both) == natural_unit(here.model, here.rows, alone)


def test_fewer_rows_are_chosen_evenly() -> None:
    here = world()
    whole = natural_unit(here.model, here.rows, made(here))
    few = natural_unit(here.model, here.rows, made(here), rows=4)
    assert 0 < few.tokens < whole.tokens
    assert few.h == pytest.approx(whole.h, rel=0.3)


def test_h_is_the_stream_for_maps_that_write_into_it_and_else_the_maps_own_output() -> None:
    here = world()
    batch = collate(answer_rows(here.rows)[:2], pad_id=0)
    sites = [Site(1, "residual"), Site(1, "mlp.down_proj"), Site(1, "mlp.up_proj")]
    with torch.no_grad(), site_values(here.model, sites) as values:
        here.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    (x, h), (x_down, h_down), (x_up, h_up) = (values[site] for site in sites)
    assert torch.equal(x, h)
    assert torch.equal(h_down, h)
    assert not torch.equal(h_up.sum(), h.sum())
    assert torch.equal(h_up, here.model.model.layers[1].mlp.up_proj(x_up))
    assert x_down.shape[-1] == h_up.shape[-1]
    assert not here.model.model.layers[1]._forward_hooks


def test_the_model_is_read_once_for_the_same_texts_and_sites() -> None:
    here = world("llama")
    calls: list[int] = []
    with counting(here, calls):
        first, second = (steered_values(here.model, here.rows, made(here)) for _ in range(2))
    read = len(calls)
    assert all(first[site] is second[site] for site in first)
    assert read == 2 * len(here.rows)
    for pairs, intervention in (
        (here.rows[:3], made(here)),
        (here.rows, made(here, positions="answer")),
        (here.rows, made(here, layers=(0,))),
    ):
        with counting(here, calls):
            steered_values(here.model, pairs, intervention)
        assert len(calls) > read
        read = len(calls)


def test_control_it_is_read_again_after_an_edit_and_under_hooks_of_others() -> None:
    here = world("llama")
    before = natural_unit(here.model, here.rows, made(here))
    weight = here.model.model.layers[0].mlp.down_proj.weight
    weight.data.mul_(3)  # which torch does not count
    assert natural_unit(here.model, here.rows, made(here)).h != before.h
    weight.data.div_(3)
    assert natural_unit(here.model, here.rows, made(here)).h == pytest.approx(before.h, rel=1e-12)
    handle = here.model.model.layers[0].register_forward_hook(lambda module, args, output: doubled(output))
    assert natural_unit(here.model, here.rows, made(here)).h > 1.2 * before.h
    handle.remove()
    assert natural_unit(here.model, here.rows, made(here)).h == pytest.approx(before.h, rel=1e-12)


@pytest.mark.parametrize("where", ["a hook on the embeddings", "a replaced forward", "an adapter's flag"])
def test_control_it_is_read_again_where_the_weights_do_not_tell_all(where: str) -> None:
    here = world("llama")
    before = natural_unit(here.model, here.rows, made(here)).h
    embeddings = here.model.get_input_embeddings()
    if where == "a hook on the embeddings":
        handle = embeddings.register_forward_hook(lambda module, args, output: 2 * output)
    elif where == "a replaced forward":
        plain = embeddings.forward
        embeddings.forward = lambda ids: 2 * plain(ids)
    else:
        here.model.model.layers[0].mlp._disable_adapters = False
    calls: list[int] = []
    with counting(here, calls):
        after = natural_unit(here.model, here.rows, made(here)).h
    assert len(calls) == 2 * len(here.rows)
    assert (after != before) is (where != "an adapter's flag")
    if where == "a hook on the embeddings":
        handle.remove()
        assert natural_unit(here.model, here.rows, made(here)).h == before


@pytest.mark.parametrize(("most", "times"), [(2, 1), (1, 2)])
def test_the_values_of_many_sites_are_not_kept(most: int, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easyedit_split.scoring.natural_unit.MOST_REMEMBERED", most)
    here = world("llama")
    calls: list[int] = []
    with counting(here, calls):
        for _ in range(2):
            steered_values(here.model, here.rows, made(here, layers=(0, 1)))
    assert len(calls) == times * 2 * len(here.rows)


def doubled(output: Any) -> Any:
    """A block's output times two."""
    return (2 * output[0], *output[1:]) if isinstance(output, tuple) else 2 * output


@contextmanager
def counting(here: World, calls: list[int]) -> Iterator[None]:
    """Count the calls of the model, by a hook that is on the head and so hides nothing from the engine."""
    handle = here.model.lm_head.register_forward_hook(lambda *args: calls.append(1))
    try:
        yield
    finally:
        handle.remove()
