"""Sweeps: rows hold the model's own losses, each pair under its own concept, at every m asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from easyedit_split.model.describe import describe
from easyedit_split.scoring.score import plain_scores_over_m, score
from easyedit_split.scoring.sweep_encoded import by_concept, sweep_encoded
from easyedit_split.steering.artifact import Artifact
from easyedit_split.sweep_curves import mean_curve
from easyedit_split.sweep_table import COLUMNS, TEXT_COLUMNS
from easyedit_split.text.prompt_tokens import tokenizer_hash
from easyedit_split.types import ArtifactError, ConfigError, Scores

from ..small import PAIRS, World, made, oracle_losses, parameters, world
from ..tiny import tiny_model
from ..toy_tokenizers import qwen3
from .sweeps import CONCEPTS, same_table, two

GRID = (-2.0, 0.0, 0.1, 3.0)


def one(here: World, **settings: Any) -> Artifact:
    record = {"model": describe(here.model, "tiny"), "objective": "split", "seed": 5}
    return Artifact({"default": made(here, **settings)}, record)


# --- what is in it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["qwen2", "gemma2", "llama"])
def test_rows_hold_the_models_own_losses(family: str) -> None:
    here = world(family)
    artifact = one(here)
    table = sweep_encoded(here.model, here.rows, artifact, GRID)
    v = parameters(artifact["default"])[0]
    for m in GRID:
        rows, (L_p, L_n) = table[table.m1 == m], oracle_losses(here, m, v)
        np.testing.assert_allclose(rows.L_p, L_p, rtol=0, atol=1e-9)
        np.testing.assert_allclose(rows.L_n, L_n, rtol=0, atol=1e-9)
        np.testing.assert_allclose(rows.pref, L_n - L_p, rtol=0, atol=1e-9)
    assert not np.allclose(table[table.m1 == 3.0].L_p, oracle_losses(here, -3.0, v)[0], rtol=0, atol=1e-3)


def test_columns_are_those_of_the_contract() -> None:
    here = world()
    table = sweep_encoded(
        here.model, here.rows, one(here, layers=(0, 2)), GRID, dataset="pairs", split="test", model_name="tiny"
    )
    assert tuple(table.columns) == COLUMNS
    assert len(table) == len(GRID) * len(PAIRS)
    first = table.iloc[0].to_dict()
    assert {key: first[key] for key in COLUMNS[:12]} == {
        "model": "tiny", "dataset": "pairs", "split": "test", "concept": "", "pair": 0, "form": "vector",
        "objective": "split", "site": "0.residual+2.residual", "placement": "block_output", "seed": 5,
        "m1": -2.0, "m2": -2.0,
    }  # fmt: skip
    assert table.T_p.tolist() == [len(row.positive) for row in here.rows] * len(GRID)
    assert table.m1.tolist() == [m for m in GRID for _ in PAIRS]
    assert (table.status == "ok").all()
    assert all(table[name].map(lambda value: isinstance(value, str)).all() for name in TEXT_COLUMNS)


def test_at_m_0_the_table_is_the_bare_models() -> None:
    here = world()
    zero = sweep_encoded(here.model, here.rows, one(here), (0.0,), scorer=plain_scores_over_m)
    bare = score(here.model, here.rows)
    np.testing.assert_array_equal(zero.L_p, bare.L_p)
    np.testing.assert_array_equal(zero.L_n, bare.L_n)
    assert not np.array_equal(sweep_encoded(here.model, here.rows, one(here), (0.1,)).L_p, bare.L_p)


def test_at_m_0_every_intervention_gives_the_same_bits() -> None:
    here = world()
    zeros = [sweep_encoded(here.model, here.rows, one(here, seed=seed), (0.0, 0.1)) for seed in (5, 6)]
    first, second = (table[table.m1 == 0] for table in zeros)
    np.testing.assert_array_equal(first.L_p, second.L_p)
    np.testing.assert_allclose(first.L_p, score(here.model, here.rows).L_p, rtol=0, atol=1e-5)
    assert not np.array_equal(zeros[0].L_p, zeros[1].L_p)


def test_m1_and_m2_apart() -> None:
    here = world()
    artifact = one(here, form="local_weight")
    table = sweep_encoded(here.model, here.rows, artifact, [(1.0, 0.0), (0.0, 1.0), 1.0])
    assert list(zip(table.m1[:: len(PAIRS)], table.m2[:: len(PAIRS)], strict=True)) == [(1, 0), (0, 1), (1, 1)]
    losses = table.L_p.to_numpy().reshape(3, -1)
    assert not np.allclose(losses[0], losses[1])


def test_odds_of_means_per_token_and_undefined_utility_is_counted() -> None:
    here = world()

    def scorer(model: Any, pairs: Sequence[Any], intervention: Any, ms: Any, **_: Any) -> Iterator[Scores]:
        for m in ms:
            L_p = np.array([2.0, 6.0, 9.0, 1e-5, 5.0])
            L_p[1] = np.inf if m[0] == 3.0 else 6.0
            T = np.array([2, 2, 3, 1, 500])
            yield Scores(L_p, np.full(5, 8.0), T, np.array([1, 2, 4, 4, 2]))

    table = sweep_encoded(here.model, here.rows, one(here), GRID, normalize="mean", scorer=scorer)
    summed = sweep_encoded(here.model, here.rows, one(here), GRID, scorer=scorer)
    np.testing.assert_array_equal(table.L_p, summed.L_p)
    assert table.pref[0] == 8 / 1 - 2 / 2
    assert table.status[:5].tolist() == ["ok", "ok", "ok", "utility_undefined", "utility_undefined"]
    assert table.status[15:].tolist() == ["ok", "non_finite", "ok", "utility_undefined", "utility_undefined"]
    np.testing.assert_array_equal(table.util.isna(), table.status != "ok")
    assert mean_curve(table).excluded.tolist() == [3] * 4
    assert mean_curve(summed).excluded.tolist() == [2] * 4
    assert mean_curve(summed[summed.m1 < 3]).excluded.tolist() == [1] * 3


# --- concepts --------------------------------------------------------------------------------------------------------


def test_each_pair_is_scored_under_its_own_concept() -> None:
    here = world(pairs=CONCEPTS)
    artifact = two(here)
    table = sweep_encoded(here.model, here.rows, artifact, (1.0,), scorer=plain_scores_over_m)
    for concept in ("fear", "joy"):
        alone = score(here.model, [row for row in here.rows if row.pair.concept == concept], artifact[concept], 1.0)
        np.testing.assert_array_equal(table[table.concept == concept].L_p, alone.L_p)
    engine = sweep_encoded(here.model, here.rows, artifact, (1.0,))
    np.testing.assert_allclose(engine.L_p, table.L_p, rtol=0, atol=1e-5)
    swapped = Artifact({"fear": artifact["joy"], "joy": artifact["fear"]})
    assert not np.allclose(sweep_encoded(here.model, here.rows, swapped, (1.0,)).L_p, table.L_p)
    assert sorted(table.pair) == list(range(len(PAIRS)))


def test_a_concept_the_artifact_has_not_is_an_error() -> None:
    here, plain = world(pairs=CONCEPTS), world()
    with pytest.raises(ConfigError, match="row 1: this artifact has no concept 'joy'"):
        sweep_encoded(here.model, here.rows, Artifact({"fear": made(here)}), GRID)
    with pytest.raises(ConfigError, match="row 0: this artifact holds 2 concepts"):
        sweep_encoded(plain.model, plain.rows, two(plain), GRID)
    with pytest.raises(ConfigError, match="no pairs"):
        sweep_encoded(here.model, [], two(here), GRID)
    assert list(by_concept(here.rows, one(here))) == ["default"]  # trained without concepts: serves all
    assert list(by_concept(plain.rows, Artifact({"fear": made(plain)}))) == ["fear"]


def test_another_model_is_refused() -> None:
    here = world()
    with pytest.raises(ArtifactError, match="model_type"):
        sweep_encoded(tiny_model("llama"), here.rows, one(here), GRID)


def test_rows_name_the_model_that_is_scored_and_another_than_the_artifacts_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here, note = world(), "the artifact's model differs: id was tiny, is other"
    artifact = one(here)
    assert set(sweep_encoded(here.model, here.rows, artifact, GRID, model_name="tiny").model) == {"tiny"}
    assert set(sweep_encoded(here.model, here.rows, artifact, GRID).model) == {""}  # nobody knows, so nobody says
    assert not caplog.records
    assert set(sweep_encoded(here.model, here.rows, artifact, GRID, model_name="other").model) == {"other"}
    here.model.config._name_or_path = "other"
    assert set(sweep_encoded(here.model, here.rows, artifact, GRID).model) == {"other"}
    assert [record.message for record in caplog.records] == [note, note]


def test_a_tokenizer_is_compared_where_it_is_given(caplog: pytest.LogCaptureFixture) -> None:
    here = world()
    artifact = one(here)
    artifact.record["tokenizer_hash"] = tokenizer_hash(here.tokenizer)
    sweep_encoded(here.model, here.rows, artifact, GRID, tokenizer=here.tokenizer)
    sweep_encoded(here.model, here.rows, artifact, GRID)
    assert not caplog.records
    sweep_encoded(here.model, here.rows, artifact, GRID, tokenizer=qwen3())
    assert "the tokenizer or its chat template is not the one" in caplog.text


# --- which m ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "match"),
    [
        ((), "no m"),
        ((1.0, 2.0, 1.0), r"m = \(1.0, 1.0\) twice"),
        ((0.0, -0.0), "twice"),
        ((1.0, (1.0, 1.0)), "twice"),
        ((1.0, float("nan")), "not finite"),
        (((1.0, float("inf")),), r"m = \(1.0, inf\), which is not finite"),
    ],
)
def test_points_that_make_no_sweep_are_refused(m: Any, match: str) -> None:
    here = world()
    with pytest.raises(ConfigError, match=match):
        sweep_encoded(here.model, here.rows, one(here), m)


def test_next_points_extend_the_sweep_until_there_are_none() -> None:
    here, asked = world(), []

    def further(table: pd.DataFrame) -> list[float]:
        asked.append(sorted(set(table.m1)))
        return [1.0, 0.0, 2.0, 2.0] if len(asked) == 1 else [2.0]

    table = sweep_encoded(here.model, here.rows, one(here), (0.0,), next_points=further)
    assert asked == [[0.0], [0.0, 1.0, 2.0]]
    same_table(table, sweep_encoded(here.model, here.rows, one(here), (0.0, 1.0, 2.0)))
    with pytest.raises(ConfigError, match="not finite"):
        sweep_encoded(here.model, here.rows, one(here), (0.0,), next_points=lambda _: [float("inf")])


def test_progress_counts_every_concept_and_point() -> None:
    here, seen = world(pairs=CONCEPTS), []
    sweep_encoded(
        here.model, here.rows, two(here), (0.0, 1.0), progress=lambda done, planned: seen.append((done, planned))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
