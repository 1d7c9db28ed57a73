"""Distances from a manifold that is known, directions that are known, and files that are wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easyedit_split.analysis import fit_curve, mechanism, read_activations
from easyedit_split.analysis.fit.curves import utility_curve
from easyedit_split.analysis.mechanism import directions, distances, manifold, reference_rows
from easyedit_split.types import DataError
from tests.analysis.planted import UTIL, M

D, K, N = 40, 5, 400


def plane(rng: np.random.Generator) -> dict[str, Any]:
    """Activations on a 5-plane in 40 dimensions, with a little thickness; dh leaves the plane."""
    axes = np.linalg.qr(rng.normal(size=(D, K)))[0].T
    h = 3.0 + rng.normal(size=(N, K)) @ (5 * axes) + 0.05 * rng.normal(size=(N, D))
    normal = rng.normal(size=D)
    normal -= axes.T @ (axes @ normal)
    return {"h": h, "dh": normal / np.linalg.norm(normal), "axes": axes}


def write(tmp_path: Path, data: dict[str, Any]) -> Path:
    path = tmp_path / "acts.npz"
    np.savez(path, **data)
    return path


def test_leaving_the_plane_is_seen_and_moving_inside_is_not(tmp_path: Path) -> None:
    data = plane(np.random.default_rng(0))
    m = np.array([-4.0, -1.0, 0.0, 1.0, 4.0])
    leaving = distances(read_activations(write(tmp_path, data)), m)
    assert leaving["residual"][2] == pytest.approx(1.0)
    assert leaving["mahalanobis"].to_numpy()[[0, 4]].min() > 5
    assert leaving["residual"].is_monotonic_decreasing is False
    inside = distances(read_activations(write(tmp_path, data | {"dh": data["axes"][0]})), m)
    assert inside["residual"].max() < 1.05
    assert inside["mahalanobis"].max() < 2


def test_residual_is_the_distance_to_the_plane() -> None:
    data = plane(np.random.default_rng(1))
    shape = manifold(data["h"])
    assert len(shape.axes) == K
    assert shape.residual(data["h"][:3] + 7 * data["dh"]) == pytest.approx([7.0] * 3, rel=0.1)
    assert np.square(shape.mahalanobis(data["h"])).mean() == pytest.approx(1.0, rel=0.05)


def test_directions_given_and_estimated(tmp_path: Path) -> None:
    data = plane(np.random.default_rng(2))
    w = data["axes"][1]
    for extra in ({"w_util": w}, {"util": data["h"] @ w}):
        for dh, cosine in ((w, 1.0), (-w, -1.0), (data["axes"][2], 0.0)):
            acts = read_activations(write(tmp_path, data | {"dh": dh} | extra))
            fit = fit_curve(M, utility_curve(M, UTIL), "utility")
            assert mechanism(acts, {"utility": fit}).cosines["utility"] == pytest.approx(cosine, abs=0.05)


def test_the_cosine_is_over_the_rows_that_move(tmp_path: Path) -> None:
    data = plane(np.random.default_rng(2))
    w, dh = data["axes"][1], np.zeros((N, D))
    dh[::4], dh[1::4] = -3 * w, 2 * data["axes"][2]
    found = directions(read_activations(write(tmp_path, data | {"dh": dh, "w_pref": w})))
    assert found["preference"] == pytest.approx(-0.5, abs=1e-12)
    assert found["chance"] == pytest.approx(1 / np.sqrt(D), abs=1e-15)


def test_least_distance_is_told_by_side(tmp_path: Path) -> None:
    """The manifold is passed at m = 3: the least distance is there on the plus side, and at 0 on the minus side."""
    data = plane(np.random.default_rng(6))
    h = data["h"].copy()
    h[1::2] -= 3 * data["dh"]
    acts = read_activations(write(tmp_path, data | {"h": h}))
    fit = fit_curve(M, utility_curve(M, UTIL), "utility")
    assert mechanism(acts, {"utility": fit}).closest["residual"] == pytest.approx((0.0, 3.0), abs=0.06)


def test_whole_pairs_are_held_out(tmp_path: Path) -> None:
    """Rows of one pair that are all alike say nothing of other pairs; split by rows, both halves hold every pair."""
    rng = np.random.default_rng(7)
    own = 3 * rng.normal(size=(20, D))
    data = {"h": np.repeat(own, 4, axis=0), "dh": rng.normal(size=D), "pair": np.repeat(np.arange(20), 4)}
    acts = read_activations(write(tmp_path, data))
    chosen = reference_rows(acts)
    assert chosen.sum() == 40
    assert not set(data["pair"][chosen]) & set(data["pair"][~chosen])
    base = []
    for given in (acts, replace(acts, pair=None)):
        rows = reference_rows(given)
        base.append(np.sqrt(np.square(manifold(acts.h[rows]).residual(acts.h[~rows])).mean()))
    assert base[0] > 2.0 * base[1]
    assert np.array_equal(reference_rows(replace(acts, pair=None)), np.arange(80) % 2 == 0)
    texts = np.array([f"row {k // 4}" for k in range(80)])
    assert not set(texts[(part := reference_rows(replace(acts, pair=texts)))]) & set(texts[~part])


def test_pairs_of_unequal_length_fill_both_halves_and_a_single_pair_cannot(tmp_path: Path) -> None:
    data = plane(np.random.default_rng(8))
    sizes = [100, 20, 100, 20, 100, 60]  # taking turns would part them 300 to 100
    acts = read_activations(write(tmp_path, data | {"pair": np.repeat(np.arange(6), sizes)}))
    assert reference_rows(acts).sum() == pytest.approx(N / 2, abs=30)
    lonely = read_activations(write(tmp_path, data | {"pair": np.zeros(N)}))
    with pytest.raises(DataError, match="1 pair\\(s\\) leave 400 to define the manifold and 0 to measure"):
        distances(lonely, M)
    same = data["h"].copy()
    same[::2] = 1.0
    with pytest.raises(DataError, match="200 reference rows of h are all the same"):
        distances(read_activations(write(tmp_path, data | {"h": same})), M)


def test_validity_falls_as_distance_grows(tmp_path: Path) -> None:
    fit = fit_curve(M, utility_curve(M, UTIL), "utility")
    acts = read_activations(write(tmp_path, plane(np.random.default_rng(3)) | {"model": "toy", "layer": 3}))
    found = mechanism(acts, {"utility": fit})
    assert acts.label == "toy 3"
    assert found.correlation["residual ~ D_utility"] < -0.8
    assert list(found.table.columns) == ["m", "residual", "mahalanobis", "D_utility"]
    assert abs(found.closest["residual"][1]) < 1.0
    assert "utility" not in found.cosines


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"h": None}, "key 'h' is missing"),
        ({"dh": np.zeros(3)}, "dh has shape \\(3,\\)"),
        ({"h": np.zeros((5, D))}, "5 rows"),
        ({"h": np.zeros(D)}, "2 dimensions"),
        ({"dh": np.full(D, np.nan)}, "dh\\[0\\] is nan"),
        ({"w_util": np.zeros(7)}, "7 entries"),
        ({"util": np.zeros(7)}, "7 entries"),
        ({"h": np.full((N, D), "a")}, "h holds values of type <U1"),
        ({"dh": np.full(D, 1j)}, "dh holds values of type complex128"),
        ({"h": np.full((N, D), 2.0)}, "h is the same in all 400 rows"),
        ({"dh": np.zeros(D)}, "dh is 0 everywhere"),
        ({"w_util": np.zeros(D)}, "w_util is 0 everywhere"),
        ({"pref": np.full(N, 3.0)}, "pref is the same in every row"),
        ({"pair": np.zeros(7)}, "pair has shape \\(7,\\)"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    data = plane(np.random.default_rng(4)) | change
    with pytest.raises(DataError, match=sentence):
        read_activations(write(tmp_path, {key: value for key, value in data.items() if value is not None}))


def test_files_that_are_not_archives(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_activations(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"not an archive")
    with pytest.raises(DataError, match="not a readable"):
        read_activations(tmp_path / "bad.npz")
    whole = write(tmp_path, plane(np.random.default_rng(5))).read_bytes()
    for spoilt in (whole[: len(whole) // 2], whole[:5000] + b"spoilt" + whole[5006:], b"PK\x03\x04" + whole[4:99]):
        (tmp_path / "bad.npz").write_bytes(spoilt)
        with pytest.raises(DataError, match=r"not a readable \.npz archive"):
            read_activations(tmp_path / "bad.npz")
    np.save(tmp_path / "bare.npy", np.zeros((30, 3)))
    (tmp_path / "bare.npy").rename(tmp_path / "bare.npz")
    with pytest.raises(DataError, match="one bare array"):
        read_activations(tmp_path / "bare.npz")
    with pytest.raises(DataError, match="at least one fitted curve"):
        mechanism(read_activations(write(tmp_path, plane(np.random.default_rng(5)))), {})
