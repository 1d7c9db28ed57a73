"""What did steering cost? A steered model as the model of lm-eval and of Inspect, on one small local task each.

    pip install -e '.[evals]'
    HF_HUB_OFFLINE=1 python examples/benchmark_steered.py --artifact cheerful --model smollm2 --m 0 0.5 1

Both tools hold the very model object that is steered, so each needs the ``with`` line and nothing else; a task of
their own takes the place of the few questions here. lm-eval calls the model with prompt and answer in one row: an
intervention whose positions are not ``all`` would take the whole row for a prompt, and is refused.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import easyedit_split as es
from easyedit_split.model.load import model_path

FACTS = (
    ("The capital of France is", (" Paris", " Rome", " Berlin")),
    ("The opposite of hot is", (" cold", " green", " fast")),
    ("Two plus two equals", (" four", " nine", " zero")),
    ("The sun rises in the", (" east", " cellar", " soup")),
    ("Water freezes into", (" ice", " gold", " smoke")),
    ("A baby dog is called a", (" puppy", " kitten", " calf")),
    ("The day after Monday is", (" Tuesday", " Friday", " Sunday")),
    ("Bees make", (" honey", " milk", " paper")),
)
QUESTIONS = (
    ("What is the capital of France?", "Paris"),
    ("What is two plus two?", "4"),
    ("What do bees make?", "honey"),
)


def lm_eval_accuracy(model: Any, tokenizer: Any) -> float:
    """Accuracy of a local multiple-choice task, by lm-eval, of the model as it stands."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    with tempfile.TemporaryDirectory() as folder:
        rows = [json.dumps({"query": query, "choices": list(choices), "gold": 0}) for query, choices in FACTS]
        data = Path(folder) / "facts.jsonl"
        data.write_text("\n".join(rows), "utf-8")
        task = {
            "task": "facts",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "{{query}}",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "target_delimiter": "",
            "metric_list": [{"metric": "acc"}],
        }
        held = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4)
        found = lm_eval.simple_evaluate(model=held, tasks=[task], bootstrap_iters=0)
    return float(found["results"]["facts"]["acc,none"])


def inspect_accuracy(held: Any, folder: Path) -> float:
    """Share of right answers of a small task, by Inspect; ``held`` is its model, whose ``api.model`` is steered."""
    from inspect_ai import Task
    from inspect_ai import eval as run
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate

    samples = MemoryDataset([Sample(input=question, target=target) for question, target in QUESTIONS])
    task = Task(dataset=samples, solver=generate(), scorer=includes())
    (log,) = run(task, model=held, max_tokens=24, display="none", log_dir=str(folder))
    assert log.results is not None, log.error
    return float(log.results.scores[0].metrics["accuracy"].value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True, help="folder that `train` wrote")
    parser.add_argument("--model", default="smollm2", help="the model that it was trained on")
    parser.add_argument("--m", type=float, nargs="+", default=[0.0, 0.5, 1.0], help="strengths")
    given = parser.parse_args()
    steering = es.Steering.from_pretrained(given.artifact)
    if steering.intervention.config.positions != "all":
        raise SystemExit("lm-eval's rows hold prompt and answer, so positions must be all")

    model, tokenizer = es.load_model(given.model, device="cpu")
    for m in given.m:
        with steering.at(m)(model):
            print(f"lm-eval  m = {m:g}  accuracy {lm_eval_accuracy(model, tokenizer):.2f} of {len(FACTS)} facts")

    from inspect_ai.model import get_model

    held: Any = get_model("hf/local", model_path=model_path(given.model), device="cpu", do_sample=False)
    with tempfile.TemporaryDirectory() as folder:
        for m in given.m:
            with steering.at(m)(held.api.model):
                share = inspect_accuracy(held, Path(folder))
            print(f"inspect  m = {m:g}  accuracy {share:.2f} of {len(QUESTIONS)} questions")


if __name__ == "__main__":
    main()
