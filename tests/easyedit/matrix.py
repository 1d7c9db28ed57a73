"""Run a clone's unmodified scripts over forms, families, concepts and templates, in one process; one JSON line a run.

    python matrix.py CLONE MODELS OUT        CLONE may be a folder of links to a clone, with its own data/

Each run is ``vectors_generate.py`` and then ``vectors_apply.py``, as ``__main__`` through the launcher.
"""

from __future__ import annotations

import json
import sys
import traceback
from itertools import product
from pathlib import Path

import yaml

from easyedit_split.easyedit.host import launcher

FORMS = ("vector", "lora", "local_weight")
FAMILIES = ("gemma-2-tiny", "qwen2.5-tiny")
DATASETS = ("psychopathy", "axbench_train")  # one concept, several


def hydra(out: Path) -> list[str]:
    return [f"hydra.run.dir={out}", "hydra.output_subdir=null", "hydra/job_logging=disabled"]


def run(clone: Path, models: Path, out: Path, form: str, family: str, dataset: str, chat: bool) -> None:
    recipe = {"layers": [1], "n_epochs": 1, "batch_size": 4, "steering_factors": [1.0], "intervention_method": form}
    train, apply = out / "generate.yaml", out / "apply.yaml"
    train.write_text(yaml.safe_dump({"alg_name": "SPLIT", **recipe}))
    apply.write_text(yaml.safe_dump({"alg_name": "SPLIT", "layers": [1], "multipliers": [2.0], "concept_id": 0}))
    common = [
        f"model_name_or_path={models / family}",
        "device=cpu",
        f"use_chat_template={str(chat).lower()}",
        *hydra(out),
    ]
    launcher.run(
        "vectors_generate.py",
        [
            *common,
            f"steer_train_hparam_paths=[{train}]",
            f"steer_train_dataset=[{dataset}]",
            f"steer_vector_output_dirs=[{out / 'vectors'}]",
        ],
        home=clone,
    )
    launcher.run(
        "vectors_apply.py",
        [
            *common,
            f"apply_steer_hparam_paths=[{apply}]",
            f"steer_vector_load_dir=[{out / 'vectors' / dataset / f'SPLIT_{form}'}]",
            "generation_data=[psychopathy]",
            "generation_data_size=2",
            f"generation_output_dir={out / 'generation'}",
            "generate_orig_output=true",
            "generation_params.max_new_tokens=4",
            "generation_params.do_sample=false",
        ],
        home=clone,
    )
    results = json.loads((out / "generation" / "psychopathy_results.json").read_text())
    assert len(results) == 2, results
    assert all(len(row["pred"]) == len(row["orig_pred"]) == 1 for row in results), results


def main() -> None:
    clone, models, out = (Path(arg).resolve() for arg in sys.argv[1:4])
    lines = []
    for number, combination in enumerate(product(FORMS, FAMILIES, DATASETS, (True, False))):
        folder = out / str(number)
        folder.mkdir(parents=True)
        try:
            run(clone, models, folder, *combination)
            error = None
        except (Exception, SystemExit):
            error = traceback.format_exc()
        lines.append(json.dumps({"run": combination, "error": error}))
    (out / "matrix.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
