"""The paper's recipe from one command: train, steer text, and score over m, in one process with the model loaded once.

    python examples/run_SPLIT.py --dataset psychopathy --method split --model_name gemma-2-9b-it \
        --intervention_method vector --mode both --multipliers 2.0 4.0

What `examples/SPLIT.md` describes. EasyEdit2 is not needed; where it is used too, its appliers read the vectors written
here (``layer_L.pt``), and its evaluators the results. A piece that is missing is an error, never a success.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easyedit_split.datasets import load_dataset
from easyedit_split.easyedit.apply import SteeringVectors
from easyedit_split.easyedit.locate import ARTIFACT_FOLDER
from easyedit_split.easyedit.train import save_vectors, states_of
from easyedit_split.model.load import TESTBED, load_model
from easyedit_split.scoring.encode_table import encode_table
from easyedit_split.scoring.sweep_encoded import by_concept
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.generate import GenerateConfig, generate_texts
from easyedit_split.storage import write_whole
from easyedit_split.sweep_curves import mean_curve
from easyedit_split.sweep_table import write_table
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.training.recipes import compose
from easyedit_split.training.train_pairs import train_artifact
from easyedit_split.types import ArtifactError, ConfigError, SteeringError

METHODS = ("diff_mean", "reps", "sft", "split")
FORMS = ("vector", "lora", "local_weight")
UPSTREAM = {"caa": "diff_mean", "spilt": "split", "SPLIT": "split"}
"""Names that EasyEdit2's own recipe uses."""


@dataclass(frozen=True)
class Case:
    """One combination of method and form, and where its files stand, as in EasyEdit2's recipe."""

    base: Path
    model: str
    dataset: str
    method: str
    form: str

    def _below(self, top: str) -> Path:
        model, dataset = (name.removeprefix(TESTBED) for name in (Path(self.model).name, self.dataset))
        return self.base / top / model / self.method / dataset

    @property
    def vectors(self) -> Path:
        return self._below("vectors") / f"{self.method}_{self.form}"

    def text(self, m: float) -> Path:
        return self._below("generation") / self.form / f"m{m:g}" / f"{self.dataset.removeprefix(TESTBED)}_results.json"

    @property
    def table(self) -> Path:
        return self._below("loss") / f"{self.method}_{self.form}.csv"


def cases(args: argparse.Namespace) -> Iterator[Case]:
    """What was asked for; under ``all``, DiffMean's impossible forms are left out and said."""
    methods = METHODS if args.method == "all" else (UPSTREAM.get(args.method, args.method),)
    forms = FORMS if args.intervention_method == "all" else (args.intervention_method,)
    for method in methods:
        for form in forms:
            if method == "diff_mean" and form != "vector":
                if "all" not in (args.method, args.intervention_method):
                    raise ConfigError(f"diff_mean fits vectors only, not {form}: --intervention_method vector")
                print(f"left out: diff_mean has no {form}")
                continue
            yield Case(args.base_dir, args.model_name, args.dataset, method, form)


def model_source(args: argparse.Namespace) -> str:
    """``BASE/models/NAME`` as in EasyEdit2's recipe, else a folder, ``testbed:NAME`` or Hugging Face id as given."""
    local = args.base_dir / "models" / args.model_name
    return str(local) if local.is_dir() else args.model_name


def train_case(case: Case, args: argparse.Namespace, model: Any, tokenizer: Any) -> None:
    """``generate``: fit the vectors and save them, ours and EasyEdit2's beside each other."""
    recipe = compose(case.form, case.method, model=case.model, dataset=case.dataset, overrides=args.set)
    data = load_dataset(args.data or case.dataset, split="train", drop_bad=args.drop_bad, limit=args.limit)
    artifact = train_artifact(
        model, tokenizer, data, recipe.run_config(), model_name=case.model, drop_bad=args.drop_bad
    )
    if artifact.concepts != ("default",):
        artifact.record["concept_ids"] = {str(i): concept for i, concept in enumerate(artifact.concepts)}
    save_vectors(SteeringVectors(states_of(artifact, model), artifact), case.vectors, model)
    print(f"trained on {len(data.pairs)} pairs: {case.vectors}")


def saved(case: Case) -> Artifact:
    """The vectors of an earlier ``generate``."""
    if not case.vectors.is_dir():
        raise ArtifactError(f"{case.vectors}: no vectors; train them first with --mode generate")
    return Artifact.from_pretrained(case.vectors / ARTIFACT_FOLDER)


def apply_case(case: Case, args: argparse.Namespace, model: Any, tokenizer: Any) -> None:
    """``apply``: text at every m beside the model's own, in the results files that EasyEdit2's evaluators read."""
    artifact = saved(case)
    for note in artifact.check_model(model, name=case.model, tokenizer=tokenizer):
        print(f"the artifact's model differs: {note}")
    template = Template(tokenizer, artifact.tokens)
    data = load_dataset(args.data or case.dataset, split="test", drop_bad=args.drop_bad, limit=args.limit)
    encoded = encode_table(data, template, model, drop_bad=args.drop_bad)
    config = GenerateConfig(max_new_tokens=args.max_new_tokens, batch_size=args.batch_size)
    results: dict[float, list[dict[str, Any]]] = {m: [] for m in args.multipliers}
    for concept, members in by_concept(encoded.rows, artifact).items():
        prompts = [row.pair.prompt for row in members]
        texts = generate_texts(model, template, prompts, artifact[concept], sorted({*results, 0.0}), config=config)
        bare = {answer.index: answer.text for answer in texts if answer.m == 0.0}
        for answer in texts:
            if answer.m in results:
                results[answer.m].append(
                    {
                        "input": answer.prompt,
                        "orig_pred": [bare[answer.index]],
                        "pred": [answer.text],
                        "reference_response": members[answer.index].pair.positive,
                        "concept": None if concept == "default" else concept,
                    }
                )
    for m, rows in results.items():
        write_whole(case.text(m), lambda to, rows=rows: to.write_text(json.dumps(rows, indent=2, ensure_ascii=False)))
        print(f"m = {m:g}: {len(rows)} answers: {case.text(m)}")


def score_case(case: Case, args: argparse.Namespace, model: Any, tokenizer: Any) -> None:
    """``loss``: both answers' losses and the log-odds at every m."""
    data = load_dataset(args.data or case.dataset, split="test", drop_bad=args.drop_bad, limit=args.limit)
    m = sorted({0.0, *args.multipliers})
    artifact = saved(case)
    table = sweep_pairs(model, tokenizer, data, artifact, m, model_name=case.model, drop_bad=args.drop_bad)
    case.table.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, case.table)
    curve = mean_curve(table)
    pairs, undefined = curve.loc[0, ["pairs", "excluded"]]
    print(f"{case.method} x {case.form}: {pairs} pairs, utility undefined for {undefined}: {case.table}")
    print(curve[["m1", "pref", "util"]].round(3).to_string(index=False))


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="psychopathy, powerseeking, axbench, or testbed:NAME")
    parser.add_argument("--data", help="its file or folder, where it is not ./data (e.g. psychopathy:FILE)")
    parser.add_argument("--method", required=True, choices=(*METHODS, *UPSTREAM, "all"))
    parser.add_argument("--model_name", required=True, help="folder under BASE/models, a path, an id, or testbed:NAME")
    parser.add_argument("--intervention_method", required=True, choices=(*FORMS, "all"))
    parser.add_argument("--mode", default="both", choices=("generate", "apply", "both", "loss"))
    parser.add_argument("--multipliers", type=float, nargs="+", default=[1.0], help="m, one or more")
    parser.add_argument("--base_dir", type=Path, default=Path("."), help="where vectors/, generation/, loss/ go")
    parser.add_argument("--device", help="e.g. cuda:0 or cpu")
    parser.add_argument("--dtype", help="e.g. bfloat16; as saved by default")
    parser.add_argument("--limit", type=int, help="at most so many pairs (of each concept)")
    parser.add_argument("--drop_bad", "--drop-bad", action="store_true", help="leave out bad rows and name them")
    parser.add_argument("--max_new_tokens", type=int, default=128)
    parser.add_argument("--batch_size", type=int, help="answers at a time; default: as many as the device takes")
    parser.add_argument("--set", action="append", default=[], help="a setting of the recipe, e.g. train.lr=0.01")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run every asked case; 2 where something is missing or wrong."""
    args = parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        todo = list(cases(args))
        if args.mode in ("apply", "loss"):
            for case in todo:  # before the model is loaded
                saved(case)
        model, tokenizer = load_model(model_source(args), dtype=args.dtype, device=args.device)
        for case in todo:
            if args.mode in ("generate", "both"):
                train_case(case, args, model, tokenizer)
            if args.mode in ("apply", "both"):
                apply_case(case, args, model, tokenizer)
            if args.mode == "loss":
                score_case(case, args, model, tokenizer)
    except SteeringError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
