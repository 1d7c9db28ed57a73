"""Lay out a clone of EasyEdit2 so that its scripts run at once: a tiny model, and its dataset in EasyEdit2's own form.

    python examples/easyedit2_try.py CLONE

Writes ``models/testbed-qwen2`` (a model of the package, two million parameters) and ``data/psychopathy`` (the small
world's ``power`` pairs, in the fields that EasyEdit2 reads for psychopathy). Data that is there already is left alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from easyedit_split.datasets import load_dataset
from easyedit_split.easyedit.host.clone import is_clone
from easyedit_split.testbed.models import checkpoint_folder

FIELDS = {"question": "prompt", "answer_matching_behavior": "positive", "answer_not_matching_behavior": "negative"}


def lay_out(clone: Path) -> list[Path]:
    """Write model and data into a clone; returns what was written."""
    written = []
    model = clone / "models" / "testbed-qwen2"
    if not model.exists():
        model.parent.mkdir(exist_ok=True)
        shutil.copytree(checkpoint_folder("qwen2"), model)
        written.append(model)
    for split in ("train", "test"):
        file = clone / "data" / "psychopathy" / f"{split}.jsonl"
        if file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {field: getattr(pair, name) for field, name in FIELDS.items()}
            for pair in load_dataset("testbed:power", split=split).pairs
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        written.append(file)
    return written


def main() -> int:
    """2 where the folder is no clone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, help="a clone of https://github.com/zjunlp/EasyEdit")
    args = parser.parse_args()
    if not is_clone(args.clone):
        print(f"{args.clone} is no clone of EasyEdit2: it holds no steer/utils/alg_dict.py", file=sys.stderr)
        return 2
    for path in lay_out(args.clone):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
