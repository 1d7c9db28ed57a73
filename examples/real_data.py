"""SPLIT trained and swept on two real datasets of the paper: psychopathy and power-seeking.

    python examples/real_data.py --data FOLDER [--model testbed:gemma2] [--layer 3] [--out real-data]

FOLDER holds `psychopathy.jsonl` (anthropics/evals, persona) and `powerseeking_train.csv`, `powerseeking_test.csv`
(BiPO). Any model of a known family will do; the default is the tiny testbed model, which runs on a laptop but was never
taught English beyond its own small world, so what it shows is that the whole path works on real files, not how a large
model would respond. For that, name one: `--model google/gemma-2-9b-it --layer 20`.

For each dataset: the split of Appendix A, a steering vector trained with SPLIT, a sweep over m on the test pairs, the
fitted curves, a recommended m, and a figure.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from easyedit_split import compose, load_dataset, load_model
from easyedit_split.analysis import curves_of, fit_sweep
from easyedit_split.cli.advice import print_recommendations
from easyedit_split.cli.commands.plot import draw
from easyedit_split.cli.commands.recommend import recommend_fit
from easyedit_split.cli.console import bar, set_up_logging
from easyedit_split.cli.summary import print_summary
from easyedit_split.config import parse_grid
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.sweep_table import write_table
from easyedit_split.training.train_pairs import train_artifact

DATASETS = ("psychopathy", "powerseeking")


def run(name: str, model_name: str, given: argparse.Namespace) -> None:
    """Train, sweep, fit and draw one dataset."""
    model, tokenizer = load_model(model_name)
    data = f"{name}:{given.data}"
    overrides = [f"layers=[{given.layer}]", "tokens.max_length=1024", *given.set]
    settings = compose("vector", "split", model=model_name, dataset=data, overrides=overrides).run_config()
    tables = {split: load_dataset(data, split=split, drop_bad=True, limit=given.limit) for split in ("train", "test")}
    for table in tables.values():
        for note in table.notes:
            print(f"{name}: {note}")
    with bar(f"{name}: training") as advance:
        artifact = train_artifact(
            model,
            tokenizer,
            tables["train"],
            settings,
            model_name=model_name,
            progress=lambda concept, done, total, loss: advance(done, total, f"loss {loss:.3f}"),
        )
    artifact.save_pretrained(given.out / name / "artifact", overwrite=True)
    with bar(f"{name}: scoring") as advance:
        points = parse_grid(given.m)
        table = sweep_pairs(model, tokenizer, tables["test"], artifact, points, progress=advance)
    write_table(table, given.out / name / "sweep.parquet")
    print_summary(table)
    fits = fit_sweep(curves_of(table), keep_going=True)
    draw(fits, given.out / name / "curves.png", title=f"SPLIT on {name}")
    print_recommendations([(fit, recommend_fit(fit)) for fit in fits if fit.curve.utility is not None])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the datasets' files")
    parser.add_argument("--model", default="testbed:gemma2")
    parser.add_argument("--layer", type=int, default=3)
    parser.add_argument("--datasets", default=",".join(DATASETS))
    parser.add_argument("--m", default="-40:40:21")
    parser.add_argument("--limit", type=int, help="at most so many pairs of each split")
    parser.add_argument("--set", action="append", default=[], help="a setting, e.g. train.epochs=1")
    parser.add_argument("--out", type=Path, default=Path("real-data"))
    given = parser.parse_args()
    set_up_logging()
    for name in given.datasets.split(","):
        run(name, given.model, given)


if __name__ == "__main__":
    main()
