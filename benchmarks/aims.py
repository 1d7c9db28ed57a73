"""Which aim chooses the best m? Every aim on dev, the exact judge on test, over 80 cells of the testbed.

    python benchmarks/aims.py FOLDER [--cells concepts,persona] [--report]

A cell is model x dataset x form x objective, trained with the recipe's defaults (three of the ten concepts). On the dev
split 24 pairs are swept over nine m from 0 to 2.5 times the largest training factor, two below 0 and what `--refine`
adds, side effects are measured on prompts of the other three datasets, and 8 prompts are answered at the nine m. Each
aim chooses an m from these: `answer`, `capped` and `kl` from log-odds, `text` from what the self judge makes of the
answers; "no usable m" leaves the model unsteered. The exact judge (the grammar reads the answer; harmonic mean of
concept, instruction and fluency, 0 to 2) chooses one as well, by the same answers, and then scores greedy answers to
12 test prompts.

    ratio     test score at the aim's m / test score at the m that the exact judge chose on dev
    of best   test score at the aim's m / the best test score of any m
    Spearman  over the nine m, of the self judge's and the exact judge's mean of the same answers

All that is measured stays in FOLDER, a folder a cell; an interrupted run goes on, and --report prints what is there.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
import torch
from aims_tables import AIMS, Scored, print_tables
from effect import DATASETS, DIFF_MEAN_REACH, FORMS, MODELS

from easyedit_split import Artifact, GenerateConfig, Pair, PairTable, Template, compose, load_dataset, load_model
from easyedit_split.analysis import Collateral, JudgedTexts, curves_of, fit_sweep, look_closer, read_sweep, recommend
from easyedit_split.files.journal import Journal
from easyedit_split.judges.judge_texts import judge_texts
from easyedit_split.judges.testbed import TestbedJudge
from easyedit_split.scoring.collateral import collateral
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.steering.generate import generate_texts
from easyedit_split.sweep_table import write_table
from easyedit_split.training.train_pairs import train_artifact

# In units of the largest training factor.
JUDGED = (0.0, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5)
BELOW = (-1.0, -0.3)
CONCEPTS = 3  # of ten
DEV_PAIRS, TRAIN_PAIRS = 24, 24  # swept; that the self judge is calibrated on (16 of each concept)
DEV_PROMPTS, TEST_PROMPTS = 8, 12  # answered on each split (of three concepts 2 and 4 each)
NEUTRAL = 4  # prompts of each of the other datasets
CONFIG = GenerateConfig(max_new_tokens=40)


def first_of_each(pairs: Sequence[Pair], count: int) -> tuple[Pair, ...]:
    """The first so many pairs, as many of every concept."""
    concepts = list(dict.fromkeys(pair.concept for pair in pairs))
    return tuple(
        pair
        for concept in concepts
        for pair in [p for p in pairs if p.concept == concept][: max(1, count // len(concepts))]
    )


def few_concepts(table: PairTable) -> PairTable:
    """The pairs of the first concepts."""
    known = list(dict.fromkeys(pair.concept for pair in table.pairs))[:CONCEPTS]
    kept = [k for k, pair in enumerate(table.pairs) if pair.concept in known]
    return replace(table, pairs=tuple(table.pairs[k] for k in kept), rows=tuple(table.rows[k] for k in kept))


class Bench:
    """A model and a dataset."""

    def __init__(self, model_name: str, dataset: str) -> None:
        self.name, self.data = f"testbed:{model_name}", f"testbed:{dataset}"
        self.model, self.tokenizer = load_model(self.name)
        self.pairs = {s: few_concepts(load_dataset(self.data, split=s)) for s in ("train", "dev", "test")}
        others = [load_dataset(f"testbed:{other}", split="dev").pairs for other in DATASETS if other != dataset]
        self.neutral = [pair.prompt for pairs in others for pair in pairs[:NEUTRAL]]

    def swept(self, artifact: Artifact, points: list[float], file: Path) -> pd.DataFrame:
        """The dev sweep, refined."""
        if not file.exists():
            dev = self.pairs["dev"]
            chosen = first_of_each(dev.pairs, DEV_PAIRS)
            table = replace(dev, pairs=chosen, rows=tuple(range(len(chosen))))
            result = sweep_pairs(self.model, self.tokenizer, table, artifact, points, next_points=look_closer)
            write_table(result, file)
        return read_sweep(file)

    def side_effects(self, artifact: Artifact, points: list[float], file: Path) -> Collateral:
        """On prompts of the other datasets; of several concepts, each one's on a share of them."""
        if not file.exists():
            template, parts = Template(self.tokenizer, artifact.tokens), []
            concepts = list(dict.fromkeys(pair.concept for pair in self.pairs["dev"].pairs))
            for k, concept in enumerate(concepts):
                prompts = self.neutral[k :: len(concepts)]
                parts.append(collateral(self.model, template, prompts, artifact[concept], points))
            write_table(pd.concat(parts), file)
        return Collateral.of(pd.read_parquet(file))

    def written(self, artifact: Artifact, points: list[float], file: Path) -> pd.DataFrame:
        """Dev answers as the self judge scores them."""
        if not file.exists():
            template = Template(self.tokenizer, artifact.tokens)
            training = self.pairs["train"].pairs
            if len({pair.concept for pair in training}) == 1:
                training = training[:TRAIN_PAIRS]
            held_out = first_of_each(self.pairs["dev"].pairs, DEV_PROMPTS)
            table, accuracy = judge_texts(
                self.model, template, artifact, training, held_out, points, config=CONFIG
            )  # fmt: skip
            table["accuracy"] = min(accuracy.values())
            judge = TestbedJudge()
            answers = zip(table["prompt"], table["text"], strict=True)
            table["exact"] = [judge.judge(held_out[i].prompt, text, held_out[i])["overall"] for i, text in answers]
            write_table(table, file)
        return pd.read_parquet(file)


class Exact:
    """Mean scores by the exact judge, of greedy answers to a split's first prompts; kept."""

    def __init__(self, bench: Bench, artifact: Artifact, split: str, count: int, file: Path) -> None:
        self.bench, self.artifact = bench, artifact
        self.pairs = first_of_each(bench.pairs[split].pairs, count)
        self.journal = Journal(file, {"artifact": artifact.digest(), "split": split, "prompts": len(self.pairs)})
        self.known = {record["m"]: record["score"] for record in self.journal.records}

    def scores(self, points: Sequence[float]) -> dict[float, float]:
        """At each m, 0 to 2."""
        missing = [m for m in dict.fromkeys(points) if m not in self.known]
        if missing:
            template, judge = Template(self.bench.tokenizer, self.artifact.tokens), TestbedJudge()
            sums = dict.fromkeys(missing, 0.0)
            for concept in dict.fromkeys(pair.concept for pair in self.pairs):
                members = [pair for pair in self.pairs if pair.concept == concept]
                prompts = [pair.prompt for pair in members]
                answers = generate_texts(
                    self.bench.model, template, prompts, self.artifact[concept], missing, config=CONFIG
                )  # fmt: skip
                for answer in answers:
                    pair = members[answer.index]
                    sums[answer.m] += judge.judge(pair.prompt, answer.text, pair)["overall"] / len(self.pairs)
            for m, score in sums.items():
                self.journal.append({"m": m, "score": score})
                self.known[m] = score
        return {m: float(self.known[m]) for m in points}


@dataclass(frozen=True)
class Job:
    """One cell: what is trained, and where it is kept."""

    model: str
    dataset: str
    form: str
    objective: str

    @property
    def name(self) -> str:
        """As its folder is called."""
        return "-".join((self.model, self.dataset, self.form, self.objective))


def measure(bench: Bench, job: Job, place: Path) -> Scored:
    """Train, sweep, write, choose and judge one cell; what lies in the folder is read instead."""
    settings = ["placement=block_output", "train.seed=0"]
    run = compose(job.form, job.objective, model=bench.name, dataset=bench.data, overrides=settings).run_config()
    reach = DIFF_MEAN_REACH if job.objective == "diff_mean" else max(run.train.steering_factors)
    if not (place / "artifact").exists():
        trained = train_artifact(bench.model, bench.tokenizer, bench.pairs["train"], run, model_name=bench.name)
        trained.save_pretrained(place / "artifact")
    artifact = Artifact.from_pretrained(place / "artifact")
    points = [multiple * reach for multiple in JUDGED]
    table = bench.swept(artifact, [multiple * reach for multiple in BELOW] + points, place / "swept.parquet")
    effects = bench.side_effects(artifact, points, place / "kl.parquet")
    texts = bench.written(artifact, points, place / "texts.parquet")
    on_dev = texts.groupby("m1")[["overall", "exact"]].mean()
    best = float(on_dev["exact"].idxmax())
    chosen = choices(table, effects, JudgedTexts.of(texts))
    tested = Exact(bench, artifact, "test", TEST_PROMPTS, place / "exact_test.jsonl")
    return Scored(
        job.name,
        best,
        tested.scores(points),
        chosen,
        tested.scores([m or 0.0 for m in chosen.values()]),
        on_dev,
        float(texts["accuracy"].iloc[0]),
    )


def choices(table: pd.DataFrame, effects: Collateral, texts: JudgedTexts) -> dict[str, float | None]:
    """What each aim chooses; None where it finds no usable m."""
    (fit,) = fit_sweep(curves_of(table), keep_going=True)
    return {
        aim: recommend(
            fit, aim=aim, collateral=effects if aim == "kl" else None, texts=texts if aim == "text" else None
        ).m
        for aim in AIMS
    }


def jobs(datasets: Sequence[str]) -> list[tuple[str, str, list[Job]]]:
    """By dataset and model."""
    cells = [(form, objective) for form, objectives in FORMS.items() for objective in objectives]
    return [(model, data, [Job(model, data, *cell) for cell in cells]) for data in datasets for model in MODELS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", default="persona,concepts,power,reviews", help="datasets")
    parser.add_argument("--report", action="store_true", help="only the cells that are finished")
    given = parser.parse_args()
    torch.set_num_threads(1)
    began, found = time.monotonic(), []
    for model, dataset, group in jobs(given.cells.split(",")):
        left = [job for job in group if not given.report or (given.folder / job.name / "done").exists()]
        bench = Bench(model, dataset) if left else None
        for job in left:
            assert bench is not None
            place = given.folder / job.name
            place.mkdir(parents=True, exist_ok=True)
            found.append(measure(bench, job, place))
            (place / "done").touch()
            if not given.report:
                print(f"{job.name}, {time.monotonic() - began:.0f} s", flush=True)
    if found:
        print_tables(found)


if __name__ == "__main__":
    main()
