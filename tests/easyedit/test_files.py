"""The user's YAML files: every key is looked at, in both layouts, under both names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from easyedit_split.easyedit.fields import ApplyFields
from easyedit_split.easyedit.host import files
from easyedit_split.easyedit.methods import SPLIT
from easyedit_split.easyedit.settings import apply_settings, train_settings
from easyedit_split.types import ConfigError

from .hosts import TRAINING, HostUnderTest, top_config, write_yaml


def load(host: HostUnderTest, folder: Path, *paths: str, phase: str = "generate", **values: Any) -> dict[str, Any]:
    key = "steer_train_hparam_paths" if phase == "generate" else "apply_steer_hparam_paths"
    values = {"steer_vector_load_dir": [str(folder)], key: list(paths), **values}
    config = host.config(**top_config(folder, folder / "qwen", **values))
    loaders = host.module("steer.utils.load_hparams")
    return getattr(loaders, f"load_{phase}_vector_hparams")(config)


def test_an_unknown_key_names_the_file_and_the_nearest(host: HostUnderTest, tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "g.yaml", alg_name="SPLIT", **TRAINING, marginn_threshold=0.4)
    with pytest.raises(
        ConfigError, match=rf"{path}: unknown key 'marginn_threshold' \(did you mean 'margin_threshold'"
    ):
        load(host, tmp_path, path)


def test_the_same_file_without_it_is_read(host: HostUnderTest, tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "g.yaml", alg_name="SPLIT", **TRAINING, margin_threshold=0.4)
    assert load(host, tmp_path, path)["SPLIT"].margin_threshold == 0.4


def test_keys_that_nothing_reads_are_listed_once(
    host: HostUnderTest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files._listed.clear()
    path = write_yaml(
        tmp_path / "g.yaml", alg_name="SPLIT", **TRAINING, inference=False, steering_prompt_type="blend_in"
    )
    with caplog.at_level(logging.WARNING):
        load(host, tmp_path, path)
        load(host, tmp_path, path)
    assert [r.getMessage() for r in caplog.records if "nothing reads" in r.getMessage()] == [
        f"{path}: inference, steering_prompt_type: accepted, but nothing reads them"
    ]


def test_a_file_with_sections(host: HostUnderTest, tmp_path: Path) -> None:
    if host.is_real and not hasattr(host.module("steer.utils.load_hparams"), "_resolve_phase_hparams"):
        pytest.skip("this commit knows flat files alone")
    values = {"alg_name": "SPLIT", "layers": [1], "generate": {"lr": 0.01}, "apply": {"multipliers": [2.0]}}
    path = write_yaml(tmp_path / "both.yaml", **values)
    assert load(host, tmp_path, path)["SPLIT"].lr == 0.01
    assert load(host, tmp_path, path, phase="apply")["SPLIT"].multipliers == [2.0]
    path = write_yaml(tmp_path / "bad.yaml", **{**values, "apply": {"lr": 0.01, "multipliers": [2.0]}})
    with pytest.raises(ConfigError, match=r"unknown key 'apply\.lr'"):  # a key of the other phase
        load(host, tmp_path, path, phase="apply")


def test_two_files_of_one_method_are_not_lost_silently(host: HostUnderTest, tmp_path: Path) -> None:
    one = write_yaml(tmp_path / "1.yaml", alg_name="SPLIT", **TRAINING)
    two = write_yaml(tmp_path / "2.yaml", alg_name="SPLIT", **TRAINING)
    with pytest.raises(ConfigError, match="2 of the generate files have alg_name: SPLIT"):
        load(host, tmp_path, one, two)
    other = write_yaml(tmp_path / "3.yaml", alg_name="lora", **TRAINING)
    assert set(load(host, tmp_path, one, other)) == {"SPLIT", "lora"}


def test_settings_are_checked_when_the_file_is_read(host: HostUnderTest, tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "g.yaml", alg_name="SPLIT", **{**TRAINING, "lr": -1})
    with pytest.raises(ConfigError, match=rf"{path}.*lr is -1.0, must be positive"):
        load(host, tmp_path, path)
    path = write_yaml(tmp_path / "a.yaml", alg_name="SPLIT", layers=[1, 2], multipliers=[1.0])
    with pytest.raises(ConfigError, match=rf"{path}.*2 layers but 1 multipliers: give one m per layer"):
        load(host, tmp_path, path, phase="apply")


def fields(**values: Any) -> Any:
    return SPLIT.all_train_fields()(**{"layers": [1], **values})


@pytest.mark.parametrize(("name", "too_long"), [("output_length", "cut"), ("max_length", "refuse")])
def test_rows_beyond_its_limit_are_cut_as_there_and_beyond_ours_refused(name: str, too_long: str) -> None:
    tokens = train_settings(fields(**{name: 99}), None, "split", "x").run.tokens
    assert (tokens.max_length, tokens.too_long) == (99, too_long)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"intervention_method": "lora", "low_rank_dimension": 3}, {"form": "lora", "rank": 3}),
        ({"intervention_method": "weight"}, {"form": "local_weight"}),  # as two of its own files say
        ({"pos_loss_weight": 2.0, "neg_loss_weight": 0.3}, {"lambda_p": 2.0, "lambda_n": 0.3}),
        ({"margin_penalty_weight": 7, "margin_threshold": 0.1}, {"gamma": 7, "theta": 0.1}),
        ({"n_epochs": 3}, {"epochs": 3}),
        ({"preference_pairs": ["orig_add"]}, {"directions": "add"}),
        ({"preference_pairs": ["orig_add", "orig_sub"]}, {"directions": "both"}),
        ({"intervention_components": "mlp_mid", "form": "lora"}, {"site": "mlp.down_proj", "form": "lora"}),
        ({"lora_alpha": 32, "intervention_method": "lora"}, {"alpha": 32, "form": "lora"}),
    ],
)  # fmt: skip
def test_both_names_mean_the_same(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    assert train_settings(fields(**theirs), None, "split", "x") == train_settings(fields(**ours), None, "split", "x")
    assert train_settings(fields(**theirs), None, "split", "x") != train_settings(fields(), None, "split", "x") or (
        ours == {"directions": "add"}  # the default
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"theta": 0.2, "margin_threshold": 0.3}, "theta is 0.2 but margin_threshold, the same thing, is 0.3"),
        ({"ref_loss_weight": 0.5}, "ref_loss_weight is 0.5, only 0 is supported"),
        ({"intervention_type": "clamping"}, "only 'addition' is supported"),
        ({"exclude_bos": False}, "write skip_prefix: false"),
        ({"intervention_method": "wait"}, r"unknown form .*'wait'.*allowed: .*vector"),
        ({"intervention_components": "attn"}, "allowed is mlp_mid"),
        ({"preference_pairs": ["orig_sub"]}, "preference_pairs is"),
        ({"objective": "sft"}, "alg_name fixes it to 'split'"),
        ({"layers": []}, "layers is empty"),
        ({"length": "sequence"}, "objective split does not read length"),
        ({"lora_alpha": "x", "intervention_method": "lora"}, "alpha"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train_settings(fields(**values), None, "split", "x.yaml")


def test_lora_alpha_is_shown_and_has_no_effect_unless_asked() -> None:
    quiet = train_settings(fields(form="lora", lora_alpha=32), None, "split", "x").run
    assert quiet.form_config == {"alpha": 32}
    loud = train_settings(fields(form="lora", rank=4, lora_alpha=32, apply_alpha=True), None, "split", "x").run
    assert loud.form_config["apply_alpha"] is True


def test_diff_mean_with_lora_is_refused_when_read() -> None:
    with pytest.raises(ConfigError, match="fixes it to 'vector'"):
        train_settings(fields(intervention_method="lora"), "vector", "diff_mean", "x")


def test_apply_needs_one_m_per_layer() -> None:
    settings = apply_settings(ApplyFields(layers=[1, 2], multipliers=[1, 2.5]), "x")
    assert settings.multipliers == (1.0, 2.5)
    with pytest.raises(ConfigError, match="multipliers missing"):
        apply_settings(ApplyFields(layers=[1]), "x")
    with pytest.raises(ConfigError, match="layers holds one twice"):
        apply_settings(ApplyFields(layers=[1, 1], multipliers=[1, 2]), "x")


@pytest.mark.host
def test_every_upstream_file_of_the_method_runs_after_changing_alg_name_alone(
    host: HostUnderTest, tmp_path: Path
) -> None:
    if not host.is_real:
        pytest.skip("the stand-in ships no files")
    recipes = host.path / "hparams" / "Steer"
    seen, refused = 0, []
    for source in sorted(recipes.rglob("*.yaml")):
        text = source.read_text(encoding="utf-8")
        if "alg_name: spilt" not in text:
            continue
        seen += 1
        target = tmp_path / f"{seen}.yaml"
        target.write_text(text.replace("alg_name: spilt", "alg_name: SPLIT"), encoding="utf-8")
        phase = "apply" if "multipliers:" in text else "generate"
        try:
            assert "SPLIT" in load(host, tmp_path, str(target), phase=phase)
        except (ConfigError, yaml.YAMLError) as error:
            refused.append((source, str(error)))
    assert seen > 20
    assert len(refused) == 1, refused
    assert "duplicate key lora_alpha" in refused[0][1]


@pytest.mark.host
def test_every_upstream_file_of_sft_and_reps_is_understood(host: HostUnderTest, tmp_path: Path) -> None:
    """Their methods under our names: form by ``alg_name``, objective beside it."""
    if not host.is_real:
        pytest.skip("the stand-in ships no files")
    folder = host.path / "hparams" / "Steer" / "experiment_hparams" / "spilt_experiment"
    for source in sorted(folder.rglob("generate_*.yaml")):
        values = yaml.safe_load(source.read_text(encoding="utf-8"))
        form = values.get("intervention_method")
        if values["alg_name"] not in ("sft", "reps") or "loss" in source.name:
            continue
        form = "local_weight" if form == "weight" else form
        values |= {"objective": values["alg_name"], "alg_name": form}
        path = write_yaml(tmp_path / source.name, **values)
        assert form in load(host, tmp_path, path)


@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
def test_compat_trains_as_upstream_does(host: HostUnderTest, tmp_path: Path, form: str) -> None:
    values = {"alg_name": "SPLIT", "intervention_method": form, **TRAINING, "compat": "easyedit2"}
    read = load(host, tmp_path, write_yaml(tmp_path / "g.yaml", **values))["SPLIT"]
    run = train_settings(read, None, "split", "g.yaml").run
    starts = {"vector": {"start": "random", "m_shift": True}, "lora": {"start": "rank", "rank": 2}, "local_weight": {}}
    assert run.form_config == starts[form]
    assert run.objective_config["compat"] == "easyedit2"
    assert (run.tokens.score_end, run.tokens.strip_space, run.tokens.too_long) == (False, False, "cut")
    own = {**values, "compat": None, "score_end": None}
    run = train_settings(load(host, tmp_path, write_yaml(tmp_path / "o.yaml", **own))["SPLIT"], None, "split", "o").run
    assert run.tokens.score_end
    assert "start" not in run.form_config
    sft = {**values, "alg_name": "vector", "intervention_method": None}
    with pytest.raises(ConfigError, match="objective sft does not read compat"):
        load(host, tmp_path, write_yaml(tmp_path / "s.yaml", **sft))


def test_a_file_that_is_not_there_is_named_with_the_nearest(host: HostUnderTest, tmp_path: Path) -> None:
    write_yaml(tmp_path / "split_vector.yaml", alg_name="SPLIT", layers=[1])
    wanted = str(tmp_path / "split_vectr.yaml")
    config = host.config(**top_config(tmp_path, tmp_path / "qwen", steer_train_hparam_paths=[wanted]))
    with pytest.raises(ConfigError, match=r"split_vectr.yaml: no such file \(did you mean 'split_vector.yaml'\?\)"):
        host.module("steer.utils.load_hparams").load_generate_vector_hparams(config)


def test_a_key_that_nothing_reads_is_called_as_the_file_calls_it(host: HostUnderTest, tmp_path: Path) -> None:
    for key in ("neg_loss_weight", "lambda_n"):
        path = write_yaml(tmp_path / f"{key}.yaml", alg_name="vector", layers=[1], **{key: 0.5})
        config = host.config(**top_config(tmp_path, tmp_path / "qwen", steer_train_hparam_paths=[path]))
        with pytest.raises(ConfigError, match=rf"objective sft does not read {key} \(0.5\): remove it"):
            host.module("steer.utils.load_hparams").load_generate_vector_hparams(config)
