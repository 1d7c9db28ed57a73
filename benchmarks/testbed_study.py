"""Study of curve fits, choice of m and mechanism on the testbed, from the files of ``effect.py --keep FOLDER``.

    python benchmarks/testbed_study.py FOLDER [--worst DIR] [--parts curves,which,mechanism]

curves: R2 of the paper's preference and utility curves on every test sweep of persona, power and concepts, beside the
rival curves' (all fitted to the same points), and the five worst with their pictures.

which, on all four datasets: the m that `recommend` takes from the log-odds of the dev split against the m that the
exact judge finds best by reading generated dev answers (harmonic mean of concept, instruction and fluency, 0-2; m = 0
is among them), both then judged on the test split; the ratio says what choosing m without reading any text costs. The
dev sweep is the far one, refined as `easyedit-split sweep --refine` does. "No usable m" leaves the model unsteered.
Beside the default aim, others are judged: the same on the far sweep alone, and as much preference as 3 nats of utility
or a tenth of the far sweep's range buy. The judge's scores are kept in FOLDER and not made again.

mechanism: Fig. 3 and Assumptions 4.1, 4.2 at the block where the intervention acts, on the test pairs: rank correlation
of the distance from the activation manifold with the fitted D over the swept m, the m of least distance beside the
fitted m+, and the cosines of dh with the utility and preference directions. Reported as found.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from easyedit_split import Artifact, GenerateConfig, Pair, PairTable, Template, load_dataset, load_model
from easyedit_split.analysis import (
    Aim,
    Budget,
    compare_models,
    curves_of,
    fit_sweep,
    look_closer,
    mechanism,
    read_activations,
    read_sweep,
    recommend,
)
from easyedit_split.analysis.fit.sweep_fit import SweepFit
from easyedit_split.files.journal import Journal
from easyedit_split.judges.testbed import TestbedJudge
from easyedit_split.model.sites import Site
from easyedit_split.scoring.activations import collect_activations, write_activations
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.steering.generate import generate_texts
from easyedit_split.sweep_table import write_table
from easyedit_split.text.encode_pairs import encode_pairs

DATASETS = ("persona", "power", "concepts")
CHOSEN_ON = ("reviews", *DATASETS)
# In units of the largest training factor.
JUDGED = (0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 1, 1.25, 1.5, 2, 3)
DEFAULT = "the wanted answers are likeliest (default)"
RULES: dict[str, tuple[str, Aim, Budget | None]] = {
    DEFAULT: ("refined", "answer", None),
    "the wanted answers are likeliest": ("far", "answer", None),
    "greatest preference for 3 nats of utility": ("refined", "preference", Budget(None, 3.0)),
    "greatest preference for a tenth of utility's range": ("far", "preference", Budget()),
}


def folders(root: Path, datasets: tuple[str, ...] = DATASETS) -> list[Path]:
    """Folders of the saved cells of some datasets."""
    found = sorted(p.parent for p in root.glob("*/artifact"))
    return [p for p in found if p.name.split("-")[1] in datasets]


def fitted(path: Path) -> SweepFit:
    """The only fitted curve of a sweep file."""
    (fit,) = fit_sweep(curves_of(read_sweep(path), str(path)), keep_going=True)
    return fit


def study_curves(root: Path, worst: Path | None) -> None:
    """Print R2 of the paper's curve and of the alternatives; plot the worst fits."""
    r2: dict[tuple[str, str], list[float]] = defaultdict(list)
    held: dict[tuple[str, str], list[float]] = defaultdict(list)
    wins: dict[tuple[str, str], int] = defaultdict(int)
    fits = {path.name: fitted(path / "test.parquet") for path in folders(root)}
    quality = []
    for name, fit in fits.items():
        for kind in ("preference", "utility"):
            done = fit.fit(kind)
            if done is None:
                print(f"{name} {kind}: not fitted: {'; '.join(fit.problems)}")
                continue
            quality.append((done.r2, name, kind))
            scores = compare_models(done.m, done.y, kind)
            for score in scores:
                r2[kind, score.name].append(score.r2)
                held[kind, score.name].append(score.held_out_r2)
            wins[kind, scores[0].name] += 1
    print(f"{len(fits)} test sweeps of {', '.join(DATASETS)}")
    print("| curve | form | mean R2 | lowest R2 | median held-out R2 | best by BIC |")
    print("|-|-|-:|-:|-:|-:|")
    for (kind, model), values in sorted(r2.items(), key=lambda item: (item[0][0], -np.mean(item[1]))):
        median = np.nanmedian(held[kind, model])
        print(f"| {kind} | {model} | {np.mean(values):.4f} | {min(values):.4f} | {median:.4f} | {wins[kind, model]} |")
    print("the five worst:")
    for value, name, kind in sorted(quality)[:5]:
        print(f"  R2 {value:.4f}  {kind:<10} {name}")
        if worst is not None:
            from easyedit_split.cli.commands.plot import draw

            worst.mkdir(parents=True, exist_ok=True)
            draw([fits[name]], worst / f"{name}.png", title=name)


@dataclass(frozen=True)
class Choice:
    """One cell: the m chosen by the judge on dev and by each rule from dev log-odds, with mean judge scores on test."""

    cell: str
    judged: float
    test_judged: float
    m: dict[str, float | None]
    test: dict[str, float]

    def ratio(self, rule: str) -> float:
        """Judge score of the m chosen from log-odds relative to that of the m chosen by the judge."""
        return self.test[rule] / self.test_judged if self.test_judged else float("nan")


def judged_score(
    model: torch.nn.Module, template: Template, artifact: Artifact, pairs: Sequence[Pair], m: float
) -> float:
    """Mean judge score (harmonic mean) of greedy answers to the pairs' prompts at m."""
    judge = TestbedJudge()
    groups: dict[str | None, list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.concept].append(pair)
    total = 0.0
    config = GenerateConfig(max_new_tokens=40)
    for concept, members in groups.items():
        prompts = [pair.prompt for pair in members]
        answers = generate_texts(model, template, prompts, artifact[concept], [m], config=config)
        total += sum(
            judge.judge(pair.prompt, answer.text, pair)["overall"]
            for pair, answer in zip(members, answers, strict=True)
        )
    return total / len(pairs)


def refined(
    path: Path, model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, artifact: Artifact, pairs: PairTable
) -> pd.DataFrame:
    """The wide dev sweep with the m added by ``look_closer``, cached beside it."""
    file = path / "dev_refined.parquet"
    if not file.exists():
        table = read_sweep(path / "dev.parquet")
        while points := look_closer(table):
            table = pd.concat([table, sweep_pairs(model, tokenizer, pairs, artifact, points)])
        write_table(table, file)
    return read_sweep(file)


def recommended(table: pd.DataFrame, aim: Aim, budget: Budget | None) -> float | None:
    """The m that ``recommend`` chooses from a sweep; None where it finds none usable."""
    (fit,) = fit_sweep(curves_of(table), keep_going=True)
    return recommend(fit, aim=aim, budget=budget).m


def choose(path: Path) -> Choice:
    """All choices of m for one cell."""
    torch.set_num_threads(1)
    model_name, dataset, *_ = path.name.split("-")
    model, tokenizer = load_model(f"testbed:{model_name}")
    artifact = Artifact.from_pretrained(path / "artifact")
    template = Template(tokenizer, artifact.tokens)
    pairs = {split: load_dataset(f"testbed:{dataset}", split=split) for split in ("dev", "test")}
    journal = Journal(path / "judged.jsonl", {"artifact": artifact.digest()})
    known = {(record["split"], record["m"]): record["score"] for record in journal.records}

    def score(split: str, m: float) -> float:
        if (split, m) not in known:
            known[split, m] = judged_score(model, template, artifact, pairs[split], m)
            journal.append({"split": split, "m": m, "score": known[split, m]})
        return float(known[split, m])

    far = read_sweep(path / "dev.parquet")
    reach = float(far.m1.max()) / 10
    best = max((multiple * reach for multiple in JUDGED), key=lambda m: score("dev", m))
    tables = {"far": far, "refined": refined(path, model, tokenizer, artifact, pairs["dev"])}
    chosen = {name: recommended(tables[which], aim, budget) for name, (which, aim, budget) in RULES.items()}
    tested = {name: score("test", m or 0.0) for name, m in chosen.items()}
    return Choice(path.name, best, score("test", best), chosen, tested)


def study_choice(root: Path, workers: int) -> None:
    """Print the table of choices and the mean ratio of each rule."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        choices = list(pool.map(choose, folders(root, CHOSEN_ON)))
    print("| cell | m by log-odds | m by the judge | test score by log-odds | test score by the judge | ratio |")
    print("|-|-:|-:|-:|-:|-:|")
    for c in choices:
        m = "none" if c.m[DEFAULT] is None else f"{c.m[DEFAULT]:.3g}"
        scores = f"{c.test[DEFAULT]:.2f} | {c.test_judged:.2f} | {c.ratio(DEFAULT):.2f}"
        print(f"| {c.cell} | {m} | {c.judged:.3g} | {scores} |")
    print("\n| rule | sweep | mean ratio | median | lowest | cells |")
    print("|-|-|-:|-:|-:|-:|")
    for rule, (swept, _, _) in RULES.items():
        ratios = np.array([c.ratio(rule) for c in choices if np.isfinite(c.ratio(rule))])
        print(
            f"| {rule} | {swept} | {ratios.mean():.3f} | {np.median(ratios):.3f} | {ratios.min():.2f} | {len(ratios)} |"
        )
    print(f"\nmean ratio of {DEFAULT!r}:")
    for part in range(4):
        for word in dict.fromkeys(c.cell.split("-")[part] for c in choices):
            ratios = np.array([c.ratio(DEFAULT) for c in choices if c.cell.split("-")[part] == word])
            print(f"  {word:<12} {np.nanmean(ratios):.3f} over {len(ratios)}")
    for name in (DATASETS, CHOSEN_ON):
        ratios = np.array([c.ratio(DEFAULT) for c in choices if c.cell.split("-")[1] in name])
        print(f"  {', '.join(name)}: {np.nanmean(ratios):.3f} over {len(ratios)}")


@dataclass(frozen=True)
class Found:
    """Mechanism results of one cell; rho is Spearman's rank correlation over the swept m."""

    cell: str
    rho: dict[str, float]
    closest: float
    m_plus: float
    cosines: dict[str, float]


def look_inside(path: Path) -> Found | None:
    """Mechanism results of one cell; None where a curve could not be fitted."""
    torch.set_num_threads(1)
    model_name, dataset, *_ = path.name.split("-")
    fit = fitted(path / "test.parquet")
    if fit.preference is None or fit.utility is None:
        return None
    model, tokenizer = load_model(f"testbed:{model_name}")
    artifact = Artifact.from_pretrained(path / "artifact")
    template = Template(tokenizer, artifact.tokens)
    source = f"testbed:{dataset}"
    pairs = encode_pairs(load_dataset(source, split="test").pairs, template, source=source).rows
    layer = max(Site.parse(key).block for key in artifact.config.sites)
    file = path / "activations.npz"
    arrays = collect_activations(model, pairs, layer, artifact, pad_id=template.pad_id)
    write_activations(arrays, file, model=model_name, layer=layer)
    found = mechanism(read_activations(file), {"preference": fit.preference, "utility": fit.utility})
    file.unlink()
    closest = found.closest["mahalanobis"][1]
    return Found(path.name, found.correlation, closest, fit.utility.params.m_plus, found.cosines)


def study_mechanism(root: Path, workers: int) -> None:
    """Print the mechanism results of each cell, and medians by form."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        cells = [found for found in pool.map(look_inside, folders(root)) if found is not None]
    rhos, cosines = list(cells[0].rho), list(cells[0].cosines)
    print(f"| cell | {' | '.join(rhos)} | m of least distance | fitted m+ of utility | {' | '.join(cosines)} |")
    print("|-|" + "-:|" * (len(rhos) + 2 + len(cosines)))
    for c in cells:
        numbers = [f"{c.rho[name]:.2f}" for name in rhos] + [f"{c.closest:.3g}", f"{c.m_plus:.3g}"]
        print(f"| {c.cell} | " + " | ".join(numbers + [f"{c.cosines[name]:+.2f}" for name in cosines]) + " |")
    for form in sorted({c.cell.split("-")[2] for c in cells}):
        same = [c for c in cells if c.cell.split("-")[2] == form]
        medians = [f"{np.median([c.rho[name] for c in same]):.2f}" for name in rhos]
        sizes = [f"{np.median([abs(c.cosines[name]) for c in same]):.2f}" for name in cosines]
        print(
            f"| median of {len(same)} {form} | " + " | ".join([*medians, "", "", *(f"abs {v}" for v in sizes)]) + " |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--worst", type=Path, help="draw the five worst fits into this folder")
    parser.add_argument("--parts", default="curves,which,mechanism")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if "curves" in given.parts:
        study_curves(given.folder, given.worst)
    if "which" in given.parts:
        study_choice(given.folder, given.workers)
    if "mechanism" in given.parts:
        study_mechanism(given.folder, given.workers)


if __name__ == "__main__":
    main()
