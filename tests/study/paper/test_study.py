"""A study makes every item once, goes on where it stopped with the same bytes, and refuses what is not its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.judges.self import SelfJudge
from easyedit_split.model.load_options import LoadOptions
from easyedit_split.study.page.of_study import study_contents
from easyedit_split.study.paper.layout import STRENGTHS, SWEEP_SPLITS
from easyedit_split.study.paper.plan import Run, StudyPlan, runs_of
from easyedit_split.study.paper.r2_entries import r2_entries
from easyedit_split.study.paper.readers import (
    read_chosen,
    read_fits,
    read_judged,
    read_results,
    read_rivals,
    read_texts_over_m,
)
from easyedit_split.study.paper.splits import study_pairs
from easyedit_split.study.paper.study import keep_plan
from easyedit_split.study.paper.work import items_of, missing
from easyedit_split.study.paper.write_tables import write_tables
from easyedit_split.sweep_table import read_sweep
from easyedit_split.types import ConfigError

from .tiny_study import (
    ASKED,
    DIFF_MEAN,
    SIZES,
    SPLIT,
    VANILLA,
    Made,
    contents,
    make,
    tiny_plan,
    write_pairs,
)


def run_named(made: Made, name: str) -> Run:
    return next(run for run in runs_of(*made) if run.cell.name == name)


def test_every_item_of_every_run_is_made(made: Made) -> None:
    runs = list(runs_of(*made))
    assert [run.cell.name for run in runs] == ["vanilla", "prompt", "vector-diff_mean", "lora-split"]
    assert all(item.made(run) for run in runs for item in items_of(run))
    assert not any(missing(run) for run in runs)


def test_sweeps_hold_zero_and_one_and_dev_no_negative_m(made: Made) -> None:
    run = run_named(made, "lora-split")
    for split in SWEEP_SPLITS:
        m = read_sweep(run.paths.sweep(split))["m1"].unique()
        assert {0.0, 1.0} <= set(m)
        assert (m.min() < 0) == (split != "dev")
        assert set(read_sweep(run.paths.sweep(split))["split"]) == {split}


def test_what_was_chosen_was_answered_and_judged(made: Made) -> None:
    run = run_named(made, "lora-split")
    chosen = {choice.name: choice for choice in read_chosen(run.paths)}
    assert tuple(chosen) == STRENGTHS
    assert chosen["published"].m == 1.0
    judged = read_judged(run.paths.judged)
    for name, choice in chosen.items():
        rows = judged[judged["strength"] == name]
        if choice.m is None:
            assert not run.paths.generated(name).is_file()
            assert rows.empty
            continue
        results = read_results(run.paths, name)
        assert len(results) == len(rows) == 4
        assert [row.pred[0] for row in results] == rows["text"].tolist()
        assert {row.m for row in results} == {choice.m} == set(rows["m1"])


def test_at_zero_texts_over_m_are_the_bare_models(made: Made) -> None:
    run, vanilla = run_named(made, "lora-split"), run_named(made, "vanilla")
    texts = read_texts_over_m(run.paths)
    assert [row.m for row in texts] == sorted(row.m for row in texts)
    bare = {row.input: row.pred[0] for row in read_results(vanilla.paths, "baseline")}
    at_zero = [row for row in texts if row.m == 0]
    assert at_zero
    assert all(bare.get(row.prompt, row.text) == row.text for row in at_zero)


def test_the_prompt_baseline_asks_with_the_instruction(made: Made) -> None:
    plain, asked = (read_sweep(run_named(made, name).paths.sweep("test")) for name in ("vanilla", "prompt"))
    assert (plain["T_p"] == asked["T_p"]).all()
    assert not (plain["L_p"] == asked["L_p"]).any()


def test_fits_are_of_train_test_and_of_train_on_test(made: Made) -> None:
    found = {(fit.kind, fit.fitted_on, fit.split) for fit in read_fits(run_named(made, "lora-split").paths)}
    splits = {("train", "train"), ("test", "test"), ("train", "test")}
    assert found == {(kind, *both) for kind in ("preference", "utility") for both in splits}


def test_rivals_are_compared_on_the_same_points(made: Made) -> None:
    rivals = read_rivals(run_named(made, "lora-split").paths)
    paper = {r.kind: r.r2 for r in rivals if "paper" in r.curve}
    fits = {fit.kind: fit.r2 for fit in read_fits(run_named(made, "lora-split").paths) if fit.split == "train"}
    assert paper.keys() <= fits.keys()
    assert all(paper[kind] == pytest.approx(fits[kind], abs=1e-6) for kind in paper)


def test_tables_and_figures_are_written(made: Made) -> None:
    names = {path.name for path in (made[0] / "tables").iterdir()} | {p.name for p in (made[0] / "figures").iterdir()}
    assert {"table2.csv", "table3.md", "table5.tex", "table6.md", "iso-utility.csv", "iso-kl.md"} <= names
    assert any(name.startswith("figure-r-") and name.endswith(".png") for name in names)


def test_stopped_after_every_item_it_ends_in_the_same_bytes(made: Made, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    plan = replace(made[1], cells=(SPLIT,))
    make(tmp_path / "whole", plan)

    def stopping(folder: Path, plan: StudyPlan, loading: LoadOptions, workers: int | None, report: Any) -> None:
        from easyedit_split.study.paper.launchers.local import make_here

        def stop(run: str, item: str) -> None:
            raise Stop

        make_here(folder, plan, loading, stop)

    stops = 0
    while any(missing(run) for run in runs_of(tmp_path / "parts", plan)):
        with pytest.raises(Stop):
            make(tmp_path / "parts", plan, launch=stopping)
        stops += 1
    make(tmp_path / "parts", plan)
    assert stops == sum(len(items_of(run)) for run in runs_of(tmp_path / "parts", plan))
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_cells_may_be_added_and_what_is_there_stays(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, (DIFF_MEAN,))
    make(tmp_path / "out", plan)
    before = contents(tmp_path / "out" / "runs")
    make(tmp_path / "out", replace(plan, cells=(ASKED, DIFF_MEAN)))
    after = contents(tmp_path / "out" / "runs")
    assert before.items() < after.items()
    with pytest.raises(ConfigError, match=r"other settings \(texts\)"):
        make(tmp_path / "out", replace(plan, texts=2))
    changed = replace(DIFF_MEAN, overrides=("tokens.score_end=false",))
    with pytest.raises(ConfigError, match="cell vector-diff_mean"):
        make(tmp_path / "out", replace(plan, cells=(changed,)))


def test_what_a_judge_has_learnt_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny_plan(tmp_path, (VANILLA, ASKED))
    plan = replace(plan, datasets=(replace(plan.datasets[0], judges=("self",), scores=("concept",)),))
    make(tmp_path / "whole", plan)
    make(tmp_path / "parts", replace(plan, cells=(VANILLA,)))
    (learnt,) = (tmp_path / "parts").rglob("judge-self.json")
    monkeypatch.setattr(SelfJudge, "calibrated", None)
    make(tmp_path / "parts", plan)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    for path in (learnt, *(tmp_path / "parts").rglob("judged.parquet")):
        path.unlink()
    with pytest.raises(TypeError):  # control: now it must learn
        make(tmp_path / "parts", plan)


def test_a_study_of_other_versions_is_refused_by_their_names(tmp_path: Path) -> None:
    plan = replace(tiny_plan(tmp_path, (VANILLA,)), versions={"easyedit_split": "0.2.0"})
    keep_plan(tmp_path / "out", plan)
    keep_plan(tmp_path / "out", plan)  # control: the same goes on
    said = r"other versions began \(versions.easyedit_split; now easyedit_split 0.3, then easyedit_split 0.2.0\)"
    with pytest.raises(ConfigError, match=said):
        keep_plan(tmp_path / "out", replace(plan, versions={"easyedit_split": "0.3"}))


def test_other_pairs_under_the_same_name_are_refused(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, (VANILLA, ASKED))
    make(tmp_path / "out", replace(plan, cells=(VANILLA,)))
    write_pairs(tmp_path / "pairs.jsonl", changed=True)
    with pytest.raises(ConfigError, match=r"not what they were \(pairs\.train"):
        make(tmp_path / "out", plan)


def test_held_out_pairs_that_are_trained_on_are_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = tiny_plan(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text("utf-8").splitlines()]
    twin = {**next(row for row in rows if row["split"] == "train"), "split": "test"}
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, twin]), "utf-8")
    pairs = study_pairs(plan.datasets[0], plan)
    assert len(pairs.test) == SIZES["test"]
    assert not set(pairs.test.pair_ids) & set(pairs.train.pair_ids)
    assert "left out 1 test pairs" in caplog.text


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, (VANILLA,))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(ConfigError, match="not a study"):
        make(tmp_path / "out", plan)


def test_a_run_that_diverges_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    wild = replace(SPLIT, label="wild", overrides=("train.lr=1e38", "train.unit=m"))
    plan = tiny_plan(tmp_path, (wild, DIFF_MEAN))
    make(tmp_path / "out", plan)
    failed, fine = runs_of(tmp_path / "out", plan)
    assert failed.paths.failed.is_file()
    assert not missing(failed)
    assert fine.paths.judged.is_file()
    (note,) = r2_entries(tmp_path / "out", plan, 2).notes
    assert "lora-wild" in note
    assert "not trained" in note


def test_without_a_judge_no_text_is_written_and_the_rest_is_the_same(made: Made, tmp_path: Path) -> None:
    plan = replace(made[1], datasets=(replace(made[1].datasets[0], judges=(), scores=()),))
    make(tmp_path, plan)
    write_tables(tmp_path, plan)
    runs = list(runs_of(tmp_path, plan))
    assert not any(missing(run) for run in runs)
    assert not any("text" in item.name or "judge" in item.name for run in runs for item in items_of(run))
    plain, judged = contents(tmp_path / "runs"), contents(made[0] / "runs")
    lacking = {Path(name).name for name in judged.keys() - plain.keys()}
    assert plain.keys() <= judged.keys()
    assert {"judged.parquet", "judged-dev.parquet", "chosen.json", "texts.json", "sweep-dev.parquet"} <= lacking
    assert all(judged[name] == content for name, content in plain.items())
    tables = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert {"table2", "table6", "iso-utility", "iso-kl"} <= tables
    assert "table3" not in tables
    assert "nothing: no texts" in str(study_contents(tmp_path).settings)
