"""Does the self judge's probe hear what readers do? Its concept scores of the texts that were read blind.

    python benchmarks/readings_probe.py benchmarks/readings/scores/*.jsonl

For each concept of ``readings.py``: the probe as it is (``judges/concept_probe.py``), and a control that has not met
the model's own texts, both trained on the training pairs at the block where the cells act; Spearman with the readers'
concept scores over all texts, mean absolute difference from them (0 to 2), and the mean of the unsteered texts.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from readings_cells import MODEL
from readings_report import markdown, merged
from readings_sheet import Row, checked_scores, read_lines
from scipy.stats import spearmanr

from easyedit_split import Template, compose, load_dataset, load_model
from easyedit_split.judges.bare_reading import BareReader
from easyedit_split.judges.concept_probe import concept_probe, own_texts
from easyedit_split.types import FloatArray

FOLDER = Path(__file__).parent / "readings"
HEAD = ("concept", "texts", "probe", "Spearman", "mean difference", "unsteered", "unsteered, by readers")


def compared(reader: BareReader, concept: str, texts: list[Row], said: FloatArray, bare: FloatArray) -> list[list[str]]:
    """A row for the probe and one for its control."""
    pairs = list(load_dataset(str(FOLDER / f"{concept}.jsonl"), split="train"))
    prompts = [pair.prompt for pair in pairs]
    answers = [
        reader.read(prompts, [reader.ids(getattr(pair, side)) for pair in pairs]) for side in ("positive", "negative")
    ]
    h = np.array(
        [r.h for r in reader.read([row["prompt"] for row in texts], [reader.ids(row["text"]) for row in texts])]
    )
    rows = []
    for name, own in (("as it is", own_texts(reader, prompts)), ("without the model's own texts", [])):
        heard = 2 * concept_probe(*answers, own)[0].predict_proba(h)[:, 1]
        rho, off = spearmanr(heard, said).statistic, np.abs(heard - said).mean()
        numbers = (f"{value:.2f}" for value in (rho, off, heard[bare].mean(), said[bare].mean()))
        rows.append([concept, str(len(texts)), name, *numbers])
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path, nargs="+")
    given = parser.parse_args()
    torch.set_num_threads(1)
    key = read_lines(FOLDER / "key.jsonl")
    readers = merged([checked_scores(read_lines(path), key, str(path)) for path in given.scores])
    unsteered = {row["id"] for row in key if row["at"] == "bare"}
    sheets = [row for path in sorted(FOLDER.glob("sheet-*.jsonl")) for row in read_lines(path)]
    layers = {cell["concept"]: cell["layer"] for cell in json.loads((FOLDER / "cells.json").read_text("utf-8"))}
    network, tokenizer = load_model(MODEL)
    tokens = compose("vector", "split", model=MODEL, overrides=["layers=[0]"]).run_config().tokens
    rows: list[list[str]] = []
    for concept, layer in layers.items():
        reader = BareReader(network, Template(tokenizer, tokens), layer)
        texts = [row for row in sheets if row["concept"] == concept and reader.ids(row["text"])]
        said = np.array(
            [np.mean([scores[row["id"]]["concept"] for scores in readers if row["id"] in scores]) for row in texts]
        )
        bare = np.array([row["id"] in unsteered for row in texts])
        rows += compared(reader, concept, texts, said, bare)
    print(markdown(HEAD, rows))


if __name__ == "__main__":
    main()
