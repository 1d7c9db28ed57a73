"""Two cells of the effect table (benchmarks/effect.py): training steers held-out pairs, random parameters do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from easyedit_split import Artifact, Intervention, compose, load_dataset, load_model
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.training.train_pairs import train_artifact

from ..benchmark_files import benchmark


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "dataset", "form"), [("gemma2", "reviews", "vector"), ("qwen2", "power", "local_weight")]
)
def test_a_trained_cell_steers_held_out_pairs_and_random_parameters_do_not(
    model: str, dataset: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    effect, cells = benchmark("effect"), benchmark("effect_cells")
    name, data = f"testbed:{model}", f"testbed:{dataset}"
    network, tokenizer = load_model(name)
    training = load_dataset(data, split="train")
    held_out = load_dataset(data, split="test", limit=32)
    assert not {pair.prompt for pair in training} & {pair.prompt for pair in held_out}
    run = compose(form, "split", model=name, dataset=data, overrides=["placement=block_output"]).run_config()
    trained = train_artifact(network, tokenizer, training, run, model_name=name)
    reach = max(run.train.steering_factors)

    monkeypatch.setattr(cells, "CLOSE", 10)  # fewer points than the benchmark's

    def swept(artifact: Artifact, grid: list[float]) -> pd.DataFrame:
        return sweep_pairs(network, tokenizer, held_out, artifact, grid)

    def cell(artifact: Artifact) -> object:
        far = swept(artifact, [reach * multiple for multiple in (-10, -4, -2, -1, 0, 1, 2, 4, 10)])
        close = swept(artifact, cells.close_grid(far))
        labels = {"form": form, "objective": "split", "placement": "block_output", "kind": "trained"}
        return cells.measure(close, far, model=model, dataset=dataset, **labels)

    found, control = cell(trained), cell(effect.randomised(trained, seed=1))
    assert found.passed, found  # type: ignore[attr-defined]
    assert not control.passed, control  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
def test_the_control_has_the_norms_of_what_it_controls(form: str) -> None:
    network, _ = load_model("testbed:qwen2")
    trained = Artifact({"default": Intervention.create(network, form, [0, 1])})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trained.only().parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator).cumsum(0))
    control = benchmark("effect").randomised(trained, seed=1)
    pairs = list(zip(trained.only().forms.values(), control.only().forms.values(), strict=True))
    assert len(pairs) == 2
    for mine, other in pairs:
        for delta in ("weight_delta", "bias_delta"):
            here, there = getattr(mine, delta)(), getattr(other, delta)()
            if here is not None:
                here, there = here.detach(), there.detach()
                assert float(there.norm()) == pytest.approx(float(here.norm()), rel=1e-5)
                assert abs(float((here * there).sum() / (here.norm() * there.norm()))) < 0.5, "another direction"


def test_the_close_grid_is_where_utility_is_near_its_best_and_dense_near_zero() -> None:
    m = np.linspace(-20.0, 20.0, 41)
    far = pd.DataFrame({"m1": m, "pref": m, "util": -(m**2), "pair": "0"})
    grid = np.array(benchmark("effect_cells").close_grid(far))
    assert 4.4 <= -grid[0] == grid[-1] <= 4.6, "20 nats lost"
    assert 0.0 in grid
    steps = np.diff(grid[grid >= 0])
    assert (np.diff(steps) > 0).all()
    assert steps[0] < 0.01 < 0.3 < steps[-1]


def test_answers_that_are_all_but_even_count_as_half_right() -> None:
    pref = [0.05, -0.05, 0.2, -0.2, 3.0, 0.0]
    table = pd.DataFrame({"m1": 0.0, "pref": pref, "util": -1.0, "pair": [str(k) for k in range(6)]})
    again = table.assign(m1=1.0, pref=4.0)
    means = benchmark("effect_cells").means(pd.concat([table, again], ignore_index=True))
    assert means["right"].tolist() == pytest.approx([(3 * 0.5 + 2) / 6, 1.0])
