"""Sweeps: the oracle's own losses in the table, concepts under their own interventions, resumed runs exact."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from easyedit_split.means import mean_curve
from easyedit_split.model.load import describe
from easyedit_split.scoring.engine.scorer import scores_over_m
from easyedit_split.scoring.score import plain_scores_over_m, score
from easyedit_split.scoring.sweep import by_concept, sweep_encoded
from easyedit_split.steering.artifact import Artifact
from easyedit_split.storage import Journal, StorageError
from easyedit_split.sweep_table import COLUMNS, TEXT_COLUMNS, write_table
from easyedit_split.text.template import tokenizer_hash
from easyedit_split.types import ArtifactError, ConfigError, Pair, Scores

from ..small import PAIRS, World, made, oracle_losses, parameters, world
from ..tiny import tiny_model
from ..toy_tokenizers import qwen3

GRID = (-2.0, 0.0, 0.1, 3.0)
CONCEPTS = tuple(
    Pair(pair.prompt, pair.positive, pair.negative, "joy" if k % 2 else "fear") for k, pair in enumerate(PAIRS)
)


def one(here: World, **settings: Any) -> Artifact:
    record = {"model": describe(here.model, "tiny"), "objective": "split", "seed": 5}
    return Artifact({"default": made(here, **settings)}, record)


def two(here: World) -> Artifact:
    return Artifact({"fear": made(here, seed=1), "joy": made(here, seed=2)})


def same_table(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a, b, check_exact=True)


# --- what is in it -------------------------------------------------------------------------------------------------


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


# --- concepts ------------------------------------------------------------------------------------------------------


def test_each_pair_is_scored_under_its_own_concept() -> None:
    here = world(pairs=CONCEPTS)
    artifact = two(here)
    table = sweep_encoded(here.model, here.rows, artifact, (1.0,))
    for concept in ("fear", "joy"):
        alone = score(here.model, [row for row in here.rows if row.pair.concept == concept], artifact[concept], 1.0)
        np.testing.assert_array_equal(table[table.concept == concept].L_p, alone.L_p)
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


# --- which m -------------------------------------------------------------------------------------------------------


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


# --- killed and resumed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_a_resumed_sweep_is_the_uninterrupted_one(tmp_path: Path, after: int) -> None:
    here = world(pairs=CONCEPTS)
    artifact, path = two(here), tmp_path / "table.csv"
    calls: list[int] = []

    def further(table: pd.DataFrame) -> tuple[float, ...]:
        return (5.0,) if table.m1.max() < 5 else ()

    def scorer(*args: Any, limit: int, **kwargs: Any) -> Iterator[Scores]:
        for scores in scores_over_m(*args, **kwargs):
            if len(calls) == limit:
                raise KeyboardInterrupt
            calls.append(1)
            yield scores

    def run(limit: int, **settings: Any) -> pd.DataFrame:
        calls.clear()
        return sweep_encoded(
            here.model, here.rows, artifact, (0.1, 1 / 3), next_points=further,
            scorer=lambda *args, **kwargs: scorer(*args, limit=limit, **kwargs), **settings,
        )  # fmt: skip

    whole = run(99)
    assert len(calls) == 6
    with pytest.raises(KeyboardInterrupt):
        run(after, journal=Journal.beside(path, {"run": 1}))
    same_table(run(99, journal=Journal.beside(path, {"run": 1})), whole)
    assert len(calls) == 6 - after  # what was finished is not scored again
    run(99, journal=Journal.beside(path, {"run": 2}))
    assert len(calls) == 6


# --- files ---------------------------------------------------------------------------------------------------------


def table_of_odd_values() -> pd.DataFrame:
    here = world(pairs=CONCEPTS)
    table = sweep_encoded(here.model, here.rows, two(here), (0.1, 1 / 3, -7e-300))
    table.loc[0, ["util", "status"]] = np.nan, "utility_undefined"
    table.loc[1, "concept"] = 'a "b", c\n思考'
    table.loc[2, "pref"] = np.nextafter(0.1, 1)
    return table


def as_written(texts: pd.DataFrame) -> pd.DataFrame:
    """CSV texts as Python reads them, empty as NaN."""
    for name in ("m1", "m2", "L_p", "L_n", "pref", "util"):
        texts[name] = [float(value or "nan") for value in texts[name]]
    return texts.astype(dict.fromkeys(("pair", "T_p", "T_n", "seed"), int))


READERS: dict[str, Any] = {
    ".parquet": pd.read_parquet,
    ".csv": lambda path: as_written(pd.read_csv(path, dtype=str, keep_default_na=False)),
    ".json": lambda path: pd.DataFrame(json.loads(path.read_text("utf-8"))),
}  # fmt: skip


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_files_keep_every_bit(suffix: str, tmp_path: Path) -> None:
    table, path = table_of_odd_values(), tmp_path / f"sweep{suffix}"
    write_table(table, path)
    read = READERS[suffix](path)
    for name in ("m1", "m2", "L_p", "L_n", "pref", "util"):
        np.testing.assert_array_equal(read[name].to_numpy(np.float64), table[name].to_numpy())
    for name in ("concept", "status", "form", "pair", "T_p", "seed"):
        assert read[name].tolist() == table[name].tolist()
    assert tuple(read.columns) == COLUMNS
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_control_fifteen_places_lose_bits(tmp_path: Path) -> None:
    table = table_of_odd_values()
    table.to_json(tmp_path / "sweep.json", orient="records", double_precision=15)
    read = pd.DataFrame(json.loads((tmp_path / "sweep.json").read_text("utf-8")))
    assert not np.array_equal(read.m1, table.m1)


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_table(table_of_odd_values(), tmp_path / "sweep.json")
    text = (tmp_path / "sweep.json").read_text("utf-8")
    assert "NaN" not in text
    assert '"util": null' in text


def test_another_ending_is_refused_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of_odd_values()
    with pytest.raises(ConfigError, match=r"sweep.xlsx: .*\.parquet, \.csv, \.json"):
        write_table(table, tmp_path / "sweep.xlsx")

    def half(self: Any, path: Path, **_: Any) -> None:
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    with pytest.raises(StorageError, match="disk full"):
        write_table(table, tmp_path / "sweep.csv")
    assert list(tmp_path.iterdir()) == []
