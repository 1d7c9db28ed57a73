"""The scan of blocks: its numbers are DiffMean's at that r, and the choice follows the rule it states."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest
import torch

from easyedit_split.log_odds import preference
from easyedit_split.scoring.natural_unit import natural_unit
from easyedit_split.scoring.score import score
from easyedit_split.training.layer_scan import best_layer, candidate_layers, scan_layers, scan_split
from easyedit_split.training.loop import train_intervention as train
from easyedit_split.types import ConfigError

from ..small import PAIRS, run_config, world


def test_a_row_is_diff_means_score_at_that_r_against_the_bare_model() -> None:
    here = world("llama")
    known, held_out = here.rows[:3], here.rows[3:]
    scan = scan_layers(here.model, here.template, known, held_out, layers=[0, 1], strengths=[0.1, 0.4])
    assert scan[["layer", "r"]].to_numpy().tolist() == [[0, 0.1], [0, 0.4], [1, 0.1], [1, 0.4]]
    fitted, _ = train(here.model, here.template, known, run_config("vector", "diff_mean", layers=(1,)))
    unit = natural_unit(here.model, known, fitted)
    row = scan.iloc[3]
    assert row.m == pytest.approx(0.4 / unit.r_per_m, rel=1e-9)
    bare, steered = score(here.model, held_out), score(here.model, held_out, fitted, float(row.m))
    gained = preference(steered.L_p, steered.L_n) - preference(bare.L_p, bare.L_n)
    assert row.gained == pytest.approx(gained.mean(), abs=1e-9)
    assert row.wanted == pytest.approx((bare.L_p - steered.L_p).mean(), abs=1e-9)
    assert row.gained != pytest.approx(scan.iloc[1].gained, abs=1e-6)


def test_the_scan_leaves_the_model_as_it_was() -> None:
    here = world()
    ids = torch.tensor([here.rows[0].prompt])
    before = here.model(ids).logits
    scan_layers(here.model, here.template, here.rows[:3], here.rows[3:], layers=[1], strengths=[0.5])
    assert torch.equal(here.model(ids).logits, before)


def table(*rows: tuple[int, float, float]) -> pd.DataFrame:
    return pd.DataFrame([{"layer": a, "r": 0.1, "m": 1.0, "gained": g, "wanted": w} for a, g, w in rows])


def test_the_block_that_gains_most_is_chosen_among_those_that_keep_the_answers_likely() -> None:
    assert best_layer(table((3, 2.0, 0.1), (5, 6.0, -0.4), (7, 20.0, -15.0))) == 5
    assert best_layer(table((3, 2.0, 0.1), (5, 6.0, -0.4), (7, 20.0, -0.9))) == 7


def test_where_none_does_the_least_loss_decides() -> None:
    assert best_layer(table((3, 9.0, -4.0), (5, 1.0, -2.0))) == 5


@pytest.mark.parametrize(
    ("blocks", "layers"),
    [(1, (0,)), (2, (0,)), (4, (0, 1, 2)), (9, tuple(range(8))), (30, (6, 9, 11, 14, 16, 19, 21, 24))],
)
def test_candidates_stay_clear_of_both_ends(blocks: int, layers: tuple[int, ...]) -> None:
    assert candidate_layers(blocks) == layers


def test_it_needs_pairs_on_both_sides_and_blocks_that_exist() -> None:
    here = world()
    with pytest.raises(ConfigError, match="held-out pairs"):
        scan_layers(here.model, here.template, here.rows, [])
    with pytest.raises(ConfigError, match="layer 99 does not exist"):
        scan_layers(here.model, here.template, here.rows[:3], here.rows[3:], layers=[99])


def test_held_out_pairs_are_spread_over_the_first_concepts() -> None:
    pairs = tuple(dataclasses.replace(PAIRS[i % 5], prompt=f"{i}?", concept="ab"[i >= 24]) for i in range(30))
    rows = world(pairs=pairs).rows
    known, held_out = scan_split(rows)
    assert [row.index for row in held_out] == [2, 6, 10, 14, 18, 22]
    assert sorted(row.index for row in (*known, *held_out)) == list(range(24))
    assert len(scan_split(rows, most=3)[1]) == 3
    with pytest.raises(ConfigError, match="at least two pairs"):
        scan_split(rows[:1])
