"""Distances from a manifold that is known, directions that are known, and files that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easyedit_split.analysis import fit_curve, mechanism, read_activations
from easyedit_split.analysis.activations import distances, manifold
from easyedit_split.analysis.curves import utility
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
        for dh, cosine in ((w, 1.0), (data["axes"][2], 0.0)):
            acts = read_activations(write(tmp_path, data | {"dh": dh} | extra))
            fit = fit_curve(M, utility(M, UTIL), "utility")
            assert mechanism(acts, {"utility": fit}).cosines["utility"] == pytest.approx(cosine, abs=0.05)


def test_validity_falls_as_distance_grows(tmp_path: Path) -> None:
    fit = fit_curve(M, utility(M, UTIL), "utility")
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
    with pytest.raises(DataError, match="at least one fitted curve"):
        mechanism(read_activations(write(tmp_path, plane(np.random.default_rng(5)))), {})
