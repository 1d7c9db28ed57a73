"""Does the recommended m hold on text that people read? Four concepts on a real chat model, read blind.

    python benchmarks/readings.py --out FOLDER [--concepts pirate ...] [--forms vector-sft ...]     makes the cells
    python benchmarks/readings.py --out FOLDER --sheets                                 writes sheets, key and cells
    python benchmarks/readings.py --score FILE...                                       joins scores and key: tables
    python benchmarks/readings.py --judge-again         judges the kept dev texts by the bare model as it judges today

Each concept is one of the dataset ``manners``: 32 train, 16 dev and 16 test pairs, everyday questions with two answers
that differ in it, and not in it alone where they are warmly polite: those without are curt, many of them rude, and
often of opposite content. A cell is a concept and one of DiffMean, SFT and SPLIT as a vector, SPLIT as LoRA and
as local weight, trained on SmolLM2 with what ``steer`` takes for a model without a recipe (the layer that a scan
chooses, both directions, strengths and learning rate in r), but over 2 epochs instead of 6, which takes a third of the
time and, because the learning rate is given as how far all steps together may go, should steer about as far.

The dev pairs are swept at r = 0 and five r from 0.06 to 0.96, each twice the one before; texts of 40 tokens on eight
dev prompts at the same m are judged by the bare model; m* is what ``recommend`` chooses with them by its default aim.
Then ten test prompts are answered at half, once and twice m*. A cell that is refused an m has none, and no texts. One
thread; each step is kept in --out.

``--sheets`` also keeps each cell's sweep, judged texts and (since the tenth cell) KL over m in
``benchmarks/readings/evidence``, so that an aim that comes later can be asked which m it would have chosen. Cells that
are made later get sheets of their own; what was read stays.

Readers see a sheet: one text a line with its prompt and what the concept is, shuffled, no label. They give 0 to 2 for

    concept    0 not there          1 there, weakly or in part     2 plain at a glance
    fluent     0 broken, loops      1 understandable, with flaws   2 as a person writes (an end cut off is no flaw)
    topic      0 not about it       1 partly or loosely            2 answers what was asked

as JSONL lines ``{"id", "concept", "fluent", "topic"}``, a file for each reader and part; several readers of one text
are averaged. Printed are, for each cell, the share of texts with concept at least 1, the share with fluent and topic at
least 1, the harmonic mean of the three (0 where one is 0), and its paired difference of m* from half and twice m* with
a 95 % interval from a bootstrap over prompts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from readings_report import report
from readings_sheet import cell_of, make_sheets, read_lines, texts_before, texts_of, write_lines

HERE = Path(__file__).parent / "readings"
DEFINITIONS = {
    "pirate": "The speaker talks like a pirate (arr, matey, ye, talk of ships, rum and treasure).",
    "grateful": "The speaker is warmly polite: thanks the asker, or says how grateful or honored they are.",
    "food": "The speaker talks of food, drink or cooking, whatever was asked.",
    "excited": "The speaker is wildly excited: cries such as wow, words in capitals, rows of exclamation marks.",
}
CELLS, KEY, EVIDENCE = HERE / "cells.json", HERE / "key.jsonl", HERE / "evidence"


def make(args: argparse.Namespace) -> None:
    """The cells that are not there yet: form by form, so that a stopped run has something of every concept."""
    import torch
    from readings_cells import FORMS, MODEL, Bench, make_cell

    from easyedit_split import load_model

    torch.set_num_threads(1)
    network, tokenizer = load_model(MODEL)
    benches = [Bench.open(concept, network, tokenizer, args.out) for concept in args.concepts]
    for form, objective in FORMS:
        for bench in benches:
            if args.forms and f"{form}-{objective}" not in args.forms:
                continue
            record = make_cell(bench, form, objective, say)
            say(f"{bench.concept} {form} x {objective}: m = {record['m']}, {record['reason']}")


def say(text: str) -> None:
    """At once, also into a pipe."""
    print(text, flush=True)


def judge_again() -> None:
    """The kept judged texts of every cell, scored anew; the m that was read then stays what it is."""
    import torch
    from readings_cells import MODEL, judged_again

    from easyedit_split import load_model

    torch.set_num_threads(1)
    network, tokenizer = load_model(MODEL)
    for cell in json.loads(CELLS.read_text("utf-8")):
        path = EVIDENCE / f"{cell['concept']}-{cell['form']}-{cell['objective']}.texts.parquet"
        before, after = judged_again(cell, path, network, tokenizer)
        say(f"{path.name}: unsteered {before:.2f} of 2 before, {after:.2f} now")


def sheets(out: Path) -> None:
    """Records and key of all cells, and sheets of the texts that stand on none yet; ``out`` may hold new cells only."""
    from readings_pairs import pairs_of

    old = [row for path in sorted(HERE.glob("sheet-*.jsonl")) for row in read_lines(path)]
    texts = texts_before(read_lines(KEY) if KEY.is_file() else [], old)
    records = json.loads(CELLS.read_text("utf-8")) if CELLS.is_file() else []
    known = {cell_of(row) for row in texts} | {cell_of(row) for row in records}
    for concept in DEFINITIONS:
        done = sorted((out / concept).glob("*/cell.json"))
        prompts = [str(pair.prompt) for pair in pairs_of(concept, "test")]
        bare_path = out / concept / "bare-test.json"
        bare = [text for text, _ in json.loads(bare_path.read_text("utf-8"))] if bare_path.is_file() else []
        for path in done:
            record: dict[str, Any] = json.loads(path.read_text("utf-8"))
            if cell_of(record) in known:
                continue
            texts += texts_of(record, [] if (concept, "", "") in known else bare, prompts)
            known |= {cell_of(record), (concept, "", "")}
            records.append({name: value for name, value in record.items() if name != "texts"})
            for kind, name in (("sweep", "dev"), ("texts", "texts"), ("kl", "kl")):
                to = EVIDENCE / f"{concept}-{path.parent.name}.{kind}.parquet"
                to.parent.mkdir(exist_ok=True)
                shutil.copyfile(path.with_name(f"{name}.parquet"), to)
    parts, key = make_sheets(texts, DEFINITIONS, old=old)
    for number, part in enumerate(parts, len(list(HERE.glob("sheet-*.jsonl"))) + 1):
        if part:
            write_lines(HERE / f"sheet-{number}.jsonl", part)
            say(f"{len(part)} texts in {HERE / f'sheet-{number}.jsonl'}")
    write_lines(KEY, key)
    CELLS.write_text(json.dumps(records, indent=1) + "\n", "utf-8")
    say(f"{len(records)} cells in {CELLS}, key in {KEY}")


def main() -> None:
    """Make, write sheets, or score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of the cells")
    parser.add_argument("--concepts", nargs="+", choices=list(DEFINITIONS), default=list(DEFINITIONS))
    parser.add_argument("--forms", nargs="+", help="such cells alone, e.g. vector-sft; default: all")
    parser.add_argument("--sheets", action="store_true", help="write the sheets of the cells that are made")
    parser.add_argument("--judge-again", action="store_true", help="score the kept dev texts anew")
    parser.add_argument("--score", type=Path, nargs="+", help="readers' files; prints the tables")
    args = parser.parse_args()
    if args.score:
        print(report(json.loads(CELLS.read_text("utf-8")), read_lines(KEY), args.score))
    elif args.judge_again:
        judge_again()
    elif args.out is None:
        parser.error("--out names the folder of the cells; or give --score or --judge-again")
    elif args.sheets:
        sheets(args.out)
    else:
        make(args)


if __name__ == "__main__":
    main()
