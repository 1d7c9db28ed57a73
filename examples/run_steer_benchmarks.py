"""EasyEdit2's two steering benchmarks for any registered method: the same configs and data, the same results files.

    python examples/run_steer_benchmarks.py axbench    [--easyedit-home CLONE] key=value ...
    python examples/run_steer_benchmarks.py steer_eval [--easyedit-home CLONE] key=value ...

EasyEdit2's ``axbench_generate.py`` trains any method and runs unmodified (``easyedit-split easyedit
axbench_generate.py``); its ``axbench_apply.py`` and the loading branch of ``steer_eval.py`` know four methods by
name. These two do what those do for whatever ``alg_name`` the apply file has. Keys and values are Hydra's; files are
read and written where those scripts do.

    axbench:    vectors/{model_name}/{method}/axbench_concept_{i}/{vector_name}/ -> all_generation_results_m{m}.json
    steer_eval: {steer_vector_output_dirs[0]}/steer_eval_concept_{i}/{alg_name}_*/ -> all_generation_results_{exp}.json
                (and all_generation_results.json, the name that its scoring reads)
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from easyedit_split.easyedit import register
from easyedit_split.easyedit.host import clone as host
from easyedit_split.storage import write_whole
from easyedit_split.types import ArtifactError, ConfigError, SteeringError

CONFIGS = {
    "axbench": ("hparams/Steer/experiment_hparams/spilt_experiment/axbench", "axbench_config"),
    "steer_eval": ("hparams/Steer/experiment_hparams/steer_eval", "steer_eval"),
}
AXBENCH_CONCEPTS = 10  # as axbench_apply.py


def top_config(clone: Path, benchmark: str, overrides: list[str]) -> Any:
    """The script's own Hydra config with the user's overrides."""
    try:
        from hydra import compose, initialize_config_dir
    except ImportError as error:
        raise ConfigError(
            f"EasyEdit2's configs need {error.name}, which is not installed: pip install easyedit-split[easyedit]"
        ) from error

    folder, name = CONFIGS[benchmark]
    with initialize_config_dir(str(clone / folder), version_base="1.2"):
        return compose(name, overrides)


def only_method(applier: Any) -> tuple[str, Any]:
    """The one method of the apply files, and its hparams."""
    if len(applier.hparams_dict) != 1:
        raise ConfigError(
            f"apply_steer_hparam_paths names {len(applier.hparams_dict)} methods "
            f"({', '.join(applier.hparams_dict) or 'none'}): name one file"
        )
    ((name, hparams),) = applier.hparams_dict.items()
    return name, hparams


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """One JSON list, whole or not at all."""
    text = json.dumps(rows, indent=2, ensure_ascii=False)
    write_whole(path, lambda to: to.write_text(text, encoding="utf-8"))
    print(f"{len(rows)} concepts: {path}")


def axbench(config: Any) -> None:
    """Steered answers for every concept, from the vectors that ``axbench_generate.py`` left."""
    from steer.datasets.dataset_loader import DatasetLoader
    from steer.vector_appliers.vector_applier import BaseVectorApplier

    applier = BaseVectorApplier(config)
    _, hparams = only_method(applier)
    m = hparams.multipliers[0]
    results = []
    for concept_id, rows in DatasetLoader().load_file("axbench_test", "generation"):
        if concept_id >= AXBENCH_CONCEPTS:
            continue
        folder = f"vectors/{config.model_name}/{config.method}/axbench_concept_{concept_id}/{config.vector_name}/"
        hparams.steer_vector_load_dir = folder
        applier.apply_vectors()
        results.append(
            {
                "concept_id": concept_id,
                "concept_name": rows[0]["output_concept"],
                "generated_results": applier.generate({"axbench_eval": rows}, save_results=False),
                "eval_data": rows,
                "multiplier": m,
            }
        )
        applier.model.reset_all()
    write(Path(config.generation_output_dir) / f"all_generation_results_m{m}.json", results)


def steer_eval(config: Any) -> None:
    """Vectors (``generate_vector``) and steered answers (``generate_response``) for every concept of a domain."""
    from steer.datasets.dataset_loader import DatasetLoader
    from steer.vector_appliers.vector_applier import BaseVectorApplier
    from steer.vector_generators.vector_generators import BaseVectorGenerator

    exp = config.get("exp") or "test"
    exp = "generation" if exp == "test" else exp
    train = DatasetLoader().load_file(dataset_name=config.dataset, split="train")
    test = DatasetLoader().load_file(dataset_name=config.dataset, split=exp)
    if config.get("generate_vector"):
        generator = BaseVectorGenerator(config)
        for concept_id, rows in train.items():
            generator.generate_vectors({f"steer_eval_concept_{concept_id}": rows})
    if not config.get("generate_response", True):
        return
    applier = BaseVectorApplier(config)
    name, hparams = only_method(applier)
    chosen = config.get("best_multip_path") or "None"
    best = None if chosen == "None" else json.loads(Path(chosen).read_text(encoding="utf-8"))
    results = []
    for concept_id, rows in train.items():
        hparams.steer_vector_load_dir = str(_vectors(Path(config.steer_vector_output_dirs[0]), concept_id, name))
        if best is not None:
            hparams.multipliers = [float(best[str(concept_id)])] * len(hparams.layers)
        applier.apply_vectors()
        results.append(
            {
                "concept_id": concept_id,
                "concept_name": rows[0]["concept"],
                "llm_description": rows[0]["llm_description"],
                "generation_prompt": getattr(applier.model, "prompt", None),
                "generated_results": applier.generate({"steer_eval_eval": test[concept_id]}, save_results=False),
            }
        )
        applier.model.reset_all()
    folder = Path(config.generation_output_dir)
    write(folder / f"all_generation_results_{exp}.json", results)
    write(folder / "all_generation_results.json", results)


def _vectors(root: Path, concept_id: Any, name: str) -> Path:
    folder = root / f"steer_eval_concept_{concept_id}"
    short = name.rsplit("/", 1)[-1]
    found = sorted(folder.glob(f"{short}_*"))
    if len(found) != 1:
        raise ArtifactError(
            f"{folder}: {len(found)} folders {short}_*, wanted one: set generate_vector=true, or remove the others"
        )
    return found[0]


def main() -> int:
    """Run one benchmark; 2 where something is missing or wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=tuple(CONFIGS))
    parser.add_argument("--easyedit-home", help="the clone, where it is not the current folder or EASYEDIT_HOME")
    args, overrides = parser.parse_known_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        clone = host.require_clone(args.easyedit_home)
        os.chdir(clone.path)  # EasyEdit2 reads its files relative to its root
        sys.path.insert(0, str(clone.path))
        register()
        config = top_config(clone.path, args.benchmark, overrides)
        {"axbench": axbench, "steer_eval": steer_eval}[args.benchmark](config)
    except SteeringError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
