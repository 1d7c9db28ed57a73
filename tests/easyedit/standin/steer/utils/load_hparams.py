import os

import yaml

from .alg_dict import HYPERPARAMS_CLASS_DICT


class Config(dict):
    """Stands for an OmegaConf mapping: attributes and keys are one."""

    __getattr__ = dict.get
    __setattr__ = dict.__setitem__


def _read(path, phase):
    assert os.path.exists(path), f"Hparam path {path} does not exist !"
    with open(path, encoding="utf-8") as file:
        content = yaml.safe_load(file)
    if "generate" not in content and "apply" not in content:
        return content
    shared = {k: v for k, v in content.items() if k not in ("generate", "apply")}
    return {**shared, **(content.get(phase) or {})}


def _build(content, top_cfg, phase):
    cls = HYPERPARAMS_CLASS_DICT[content["alg_name"]][phase]
    combined = {**content, **top_cfg}
    return cls(**{k: combined[k] for k in set(cls.__dataclass_fields__) & set(combined)})


def load_generate_vector_hparams(top_cfg):
    found = {}
    for i, path in enumerate(top_cfg.steer_train_hparam_paths or ()):
        content = _read(path, "generate")
        hparams = _build(content, top_cfg, "train")
        dirs = top_cfg.steer_vector_output_dirs
        hparams.steer_vector_output_dir = dirs[i] if i < len(dirs) else dirs[0]
        hparams.steer_train_dataset = top_cfg.steer_train_dataset
        found[content["alg_name"]] = hparams
    return found


def load_apply_vector_hparams(top_cfg):
    found = {}
    dirs = top_cfg.steer_vector_load_dir
    for i, path in enumerate(top_cfg.apply_steer_hparam_paths or ()):
        content = _read(path, "apply")
        hparams = _build(content, top_cfg, "apply")
        if dirs is not None:
            hparams.steer_vector_load_dir = dirs[i] if i < len(dirs) else dirs[0]
        found[content["alg_name"]] = hparams
    return found
