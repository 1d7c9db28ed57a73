"""On a GPU, where there is one: what a study makes there is what it makes on a CPU, to fp32's rounding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from easyedit_split.model.digests import model_digests
from easyedit_split.model.load_options import LoadOptions
from easyedit_split.model.sites import Site
from easyedit_split.scoring.engine.scorer import scores_over_m
from easyedit_split.scoring.natural_unit import natural_unit
from easyedit_split.steering.self_check import output_error
from easyedit_split.study.paper.layout import RunPaths
from easyedit_split.study.paper.plan import StudyCell, runs_of
from easyedit_split.study.paper.readers import read_chosen
from easyedit_split.study.paper.study import make_study
from easyedit_split.sweep_table import read_sweep
from easyedit_split.training.train_pairs import train_artifact, train_artifacts

from .small import PAIRS, made, run_config, world
from .study.paper.tiny_study import DIFF_MEAN, Silent, tiny_plan
from .tiny import FAMILIES

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
LORA, WEIGHT = StudyCell("lora", "split"), StudyCell("local_weight", "reps")
ACROSS = StudyCell("vector", "split_across")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
def test_preference_and_strength_are_the_cpus(family: str, form: str, caplog: pytest.LogCaptureFixture) -> None:
    here, there = (world(family, torch.float32) for _ in range(2))
    there.model.to("cuda")
    grid = [(0.0, 0.0), (0.7, 0.7), (-2.0, 1.0)]
    wanted = scores_over_m(here.model, here.rows, made(here, form), grid)
    found = scores_over_m(there.model, there.rows, made(there, form), grid)
    for a, b in zip(found, wanted, strict=True):
        assert a.L_p == pytest.approx(b.L_p, abs=1e-3)
        assert a.L_n == pytest.approx(b.L_n, abs=1e-3)
    assert not [record for record in caplog.records if "reference scorer" in record.getMessage()]
    units = [natural_unit(w.model, w.rows, made(w, form)).r_per_m for w in (here, there)]
    assert units[0] == pytest.approx(units[1], rel=1e-4)
    assert model_digests(here.model) == model_digests(there.model)
    for site in ("mlp.down_proj", "self_attn.o_proj"):
        errors = [output_error(w.model, Site(1, site)) for w in (here, there)]
        assert errors[0] == pytest.approx(errors[1], abs=1e-5)


def test_concepts_trained_in_shared_launches_are_those_trained_alone() -> None:
    here = world("qwen2", torch.float32)
    here.model.to("cuda")
    pairs = [replace(pair, concept=name) for name in ("one", "two", "three") for pair in PAIRS]
    run = run_config("lora", "reps", directions="both", epochs=2)
    (together,) = train_artifacts(here.model, here.tokenizer, pairs, [run])
    alone = train_artifact(here.model, here.tokenizer, pairs, run)
    for concept in ("one", "two", "three"):
        for a, b in zip(together[concept].parameters(), alone[concept].parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-4)
            assert a.abs().max() > 0


def test_a_study_is_made_by_two_processes_and_its_closed_forms_are_the_cpus(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, (*tiny_plan(tmp_path).cells[:2], DIFF_MEAN, LORA, WEIGHT, ACROSS))
    places: dict[str, list[RunPaths]] = {}
    for device, workers in ((None, 2), ("cpu", 1)):
        out = tmp_path / (device or "gpu")
        make_study(out, plan, LoadOptions(device=device), Silent(), workers=workers)
        places[out.name] = [run.paths for run in runs_of(out, plan)]
        assert not [paths for paths in places[out.name] if paths.failed.is_file()]
    for run, gpu, cpu in zip(runs_of(tmp_path / "cpu", plan), places["gpu"], places["cpu"], strict=True):
        a, b = (read_sweep(paths.sweep("test")) for paths in (gpu, cpu))
        assert len(a) == len(b)
        if run.cell.baseline or run.cell == DIFF_MEAN:
            assert a["L_p"].tolist() == pytest.approx(b["L_p"].tolist(), abs=1e-3)
            assert a["L_n"].tolist() == pytest.approx(b["L_n"].tolist(), abs=1e-3)
        if not run.cell.baseline:
            assert read_chosen(gpu)
