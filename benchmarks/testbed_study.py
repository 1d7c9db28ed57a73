"""The curves and the choice of m, measured on the testbed, from what `benchmarks/effect.py --keep FOLDER` left.

    python benchmarks/testbed_study.py FOLDER [--worst DIR] [--parts curves,which]

curves: R2 of the paper's preference and utility curves on every test sweep of persona, power and concepts, beside the
rival curves' (all fitted to the same points), and the five worst with their pictures.

which: the m that `recommend` takes from the log-odds of the dev split against the m that the exact judge finds best by
reading generated dev answers (harmonic mean of concept, instruction and fluency, 0-2), both then judged on the test
split; the ratio says what choosing m without reading any text costs.
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
import torch

from easyedit_split import Artifact, GenerateConfig, Pair, Template, load_dataset, load_model
from easyedit_split.analysis import Budget, FitError, compare_models, curves_of, fit_sweep, read_sweep, recommend
from easyedit_split.analysis.sweep_fit import SweepFit
from easyedit_split.generate import generate
from easyedit_split.judges.testbed import TestbedJudge
from easyedit_split.pipeline import artifact_tokens

DATASETS = ("persona", "power", "concepts")
JUDGED = (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)  # in units of the largest training factor


def folders(root: Path) -> list[Path]:
    """The kept cells of the datasets studied here."""
    found = sorted(p.parent for p in root.glob("*/artifact"))
    return [p for p in found if p.name.split("-")[1] in DATASETS]


def fitted(path: Path) -> SweepFit:
    """The one fitted curve of a sweep file."""
    (fit,) = fit_sweep(curves_of(read_sweep(path), str(path)), keep_going=True)
    return fit


def study_curves(root: Path, worst: Path | None) -> None:
    """Print R2 of the paper's form and of its rivals; draw the worst."""
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
            from easyedit_split.commands.plot import draw

            worst.mkdir(parents=True, exist_ok=True)
            draw([fits[name]], worst / f"{name}.png", title=name)


@dataclass(frozen=True)
class Choice:
    """One cell's two ways to choose m, and the judge's mean score of each on the test split."""

    cell: str
    recommended: float | None
    judged: float
    test_recommended: float
    test_judged: float
    note: str

    @property
    def ratio(self) -> float:
        """What choosing by log-odds reaches of what choosing by reading reaches."""
        return self.test_recommended / self.test_judged if self.test_judged else float("nan")


def judged_score(
    model: torch.nn.Module, template: Template, artifact: Artifact, pairs: Sequence[Pair], m: float
) -> float:
    """Mean harmonic score of greedy answers to the pairs' prompts at m, over pairs."""
    judge = TestbedJudge()
    groups: dict[str | None, list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.concept].append(pair)
    total = 0.0
    config = GenerateConfig(max_new_tokens=40, batch_size=64)
    for concept, members in groups.items():
        prompts = [pair.prompt for pair in members]
        answers = generate(model, template, prompts, artifact[concept], [m], config=config)
        total += sum(
            judge.judge(pair.prompt, answer.text, pair)["overall"]
            for pair, answer in zip(members, answers, strict=True)
        )
    return total / len(pairs)


def choose(path: Path) -> Choice:
    """Both choices for one cell."""
    torch.set_num_threads(1)
    model_name, dataset, *_ = path.name.split("-")
    model, tokenizer = load_model(f"testbed:{model_name}")
    artifact = Artifact.from_pretrained(path / "artifact")
    template = Template(tokenizer, artifact_tokens(artifact))
    pairs = {split: load_dataset(f"testbed:{dataset}", split=split).pairs for split in ("dev", "test")}
    sweep = read_sweep(path / "dev.parquet")
    reach = float(sweep.m1.max()) / 10
    by_judge = {m * reach: judged_score(model, template, artifact, pairs["dev"], m * reach) for m in JUDGED}
    best = max(by_judge, key=lambda m: by_judge[m])
    test_best = judged_score(model, template, artifact, pairs["test"], best)
    try:
        (fit,) = fit_sweep(curves_of(sweep))
        assert fit.preference is not None
        assert fit.utility is not None
        choice = recommend(fit.preference, fit.utility, budget=Budget())
        m, note = choice.m, choice.reason
    except FitError as error:
        m, note = None, str(error)
    reached = 0.0 if m is None else judged_score(model, template, artifact, pairs["test"], m)
    return Choice(path.name, m, best, reached, test_best, note)


def study_choice(root: Path, workers: int) -> None:
    """Print the table of choices and the mean ratio."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        choices = list(pool.map(choose, folders(root)))
    print("| cell | m by log-odds | m by the judge | test score by log-odds | test score by the judge | ratio |")
    print("|-|-:|-:|-:|-:|-:|")
    for c in choices:
        m = "none" if c.recommended is None else f"{c.recommended:.3g}"
        print(f"| {c.cell} | {m} | {c.judged:.3g} | {c.test_recommended:.2f} | {c.test_judged:.2f} | {c.ratio:.2f} |")
    usable = [c.ratio for c in choices if np.isfinite(c.ratio)]
    print(
        f"mean ratio {np.mean(usable):.3f}, median {np.median(usable):.3f} over {len(usable)} of {len(choices)} cells"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--worst", type=Path, help="draw the five worst fits into this folder")
    parser.add_argument("--parts", default="curves,which")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if "curves" in given.parts:
        study_curves(given.folder, given.worst)
    if "which" in given.parts:
        study_choice(given.folder, given.workers)


if __name__ == "__main__":
    main()
