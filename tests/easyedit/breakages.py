"""Copies of the host with one upstream name changed, consistently; and ``caa``, run on one of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .hosts import ROWS, HostUnderTest, top_config, write_yaml

FUNCTIONS = (
    "load_generate_vector_hparams",
    "load_apply_vector_hparams",
    "get_model",
    "ori_generate",
    "_save_and_clear_generation_state",
    "reset",
    "reset_all",
    "generate",
    "set_intervention",
    "generate_vectors",
    "apply_vectors",
    "apply_steering",
)
CLASSES = (
    "HyperParams",
    "BaseVectorApplier",
    "BaseVectorGenerator",
    "BaseModelWrapper",
    "BlockOutputWrapper",
    "MLPWrapper",
    "AttnWrapper",
    "Hack_no_grad",
    "Evaluator",
    "DatasetLoader",
)
DATA = (
    "HYPERPARAMS_CLASS_DICT",
    "METHODS_CLASS_DICT",
    "REQUIRED_DATASET_METHODS",
    "intervention_dict",
    "add_activations_dict",
    "from_position",
    "use_chat",
    "hparams_dict",
)
MODULES = (
    "utils/alg_dict",
    "utils/load_hparams",
    "models/model_wrapper",
    "vector_appliers/vector_applier",
    "vector_generators/vector_generators",
    "evaluate/evaluate",
)
"""What the plugin touches of EasyEdit2: functions, classes, data and modules."""

REMOVABLE = {"ori_generate", "_save_and_clear_generation_state", "set_intervention", "Evaluator", "DatasetLoader"}
"""What ``caa`` itself does without."""

BREAKAGES = [
    *((kind, name) for name in FUNCTIONS for kind in ("rename", "resign")),
    *(("rename", name) for name in (*CLASSES, *DATA, *MODULES)),
    *(("remove", name) for name in sorted(REMOVABLE)),
    ("freeze", "METHODS_CLASS_DICT"),
    ("freeze", "REQUIRED_DATASET_METHODS"),
]


NOT_OURS = r"(?<!model\.model\.)(?<!\.VLLM_model\.)(?<!super\(\)\.)"
"""What calls transformers' own functions of the same names."""


def broken(source: Path, to: Path, kind: str, name: str) -> bool:
    """Copy the host to ``to`` with one name changed everywhere, consistently; False where the host has no such name."""
    shutil.copytree(source / "steer", to / "steer", ignore=shutil.ignore_patterns("__pycache__", "benchmarks"))
    changed = 0
    if name in MODULES:
        file = to / "steer" / f"{name}.py"
        file.rename(file.with_name(f"{file.stem}_new.py"))
    for file in list((to / "steer").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        new = moved(text, name, file.parent.name) if name in MODULES else CHANGES[kind](text, name)
        changed += new != text
        file.write_text(new, encoding="utf-8")
        if kind == "rename" and file.stem == name:  # a module of the function's name
            file.rename(file.with_name(f"{name}_new.py"))
    return bool(changed)


def moved(text: str, name: str, folder: str) -> str:
    """Every import of a module under its new name: with its package in front, or from a file beside it."""
    package, name = name.split("/")
    beside = "|from \\." if folder == package else ""
    return re.sub(rf"(\b{package}\.{beside}){name}\b", rf"\1{name}_new", text)


def renamed(text: str, name: str) -> str:
    return re.sub(rf"{NOT_OURS}\b{name}\b", f"{name}_new", text)


def resigned(text: str, name: str) -> str:
    """A further first argument, in the definition and in every call (transformers' own are left alone)."""
    text = re.sub(rf"(def {name}\()(self, |self\)|)", lambda m: definition(m[1], m[2]), text)
    return re.sub(rf"(?<!def ){NOT_OURS}\b{name}\((\)?)", lambda m: f'{name}("new"{")" if m[1] else ", "}', text)


def definition(head: str, own: str) -> str:
    return head + {"": "new, ", "self, ": "self, new, ", "self)": "self, new)"}[own]


def removed(text: str, name: str) -> str:
    """Without the function or class: what is left of it is called otherwise."""
    return re.sub(rf"^( *)(def|class) {name}\b", rf"\1\2 {name}_gone", text, flags=re.MULTILINE)


def frozen(text: str, name: str) -> str:
    text = re.sub(rf"^{name} ?= ?(\[[^\]]*\])", rf"{name} = tuple(\1)", text, flags=re.MULTILINE)
    return re.sub(
        rf"^{name} ?= ?{{", f"{name} = __import__('types').MappingProxyType(dict()) or {{", text, flags=re.MULTILINE
    )


CHANGES = {"rename": renamed, "resign": resigned, "remove": removed, "freeze": frozen}


def caa(host: HostUnderTest, folder: Path, model: Path, suffix: str = "") -> list[dict]:
    """Train and apply ``caa`` with the plugin registered, as the scripts do; ``suffix`` names a change."""
    train = write_yaml(folder / "train.yaml", alg_name="caa", layers=[1], multiple_choice=False)
    apply = write_yaml(folder / "apply.yaml", alg_name="caa", layers=[1], multipliers=[40.0])
    values = top_config(
        folder,
        model,
        steer_train_hparam_paths=[train],
        apply_steer_hparam_paths=[apply],
        steer_vector_load_dir=[str(folder / "vectors" / "toy" / "caa_vector")],
        generate_orig_output=False,
        generation_params={"max_new_tokens": 2, "do_sample": False},
    )
    config = host.config(**values)
    host.module("steer.utils")
    generators = host.module(_module("vector_generators/vector_generators", suffix))
    appliers = host.module(_module("vector_appliers/vector_applier", suffix))

    def call(owner: object, name: str, *args: object) -> object:
        changed = f"{name}_new" if suffix == f"rename:{name}" else name
        return getattr(owner, changed)(*(["new"] if suffix == f"resign:{name}" else []), *args)

    call(call(generators, "BaseVectorGenerator", config), "generate_vectors", {"toy": ROWS[:1]})
    applier = call(appliers, "BaseVectorApplier", config)
    call(applier, "apply_vectors")
    return call(applier, "generate", {"toy": [{"input": ROWS[0]["question"]}]})


def _module(name: str, suffix: str) -> str:
    return "steer." + (f"{name}_new" if suffix == f"rename:{name}" else name).replace("/", ".")


def python(code: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    full = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, cwd=folder, env=full, capture_output=True, text=True, check=False)
