"""Out: a trained intervention as every tool's file that can hold it, opened by PEFT and by plain transformers.

    easyedit-split train --model smollm2 --data everyday --form lora --objective split --layer 15 --out cheerful
    python examples/to_other_tools.py --artifact cheerful --model smollm2 --m 0.5 --out exported

Prints what each file does not hold, or why a format refuses; then the largest difference of a logit between the model
that is steered here at m and the two files that PEFT and transformers open, beside what steering does.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.helpers import rescale_adapter_scale
from torch import Tensor
from transformers import AutoModelForCausalLM

import easyedit_split as es
from easyedit_split.interop.base import writable_formats

TEXT = "What was your trip to the beach like?"


@torch.no_grad()
def logits(model: Any, tokenizer: Any) -> Tensor:
    """Logits of one chat prompt."""
    ids = tokenizer.apply_chat_template([{"role": "user", "content": TEXT}], tokenize=False, add_generation_prompt=True)
    found: Tensor = model(**tokenizer(ids, return_tensors="pt", add_special_tokens=False)).logits
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True, help="folder that `train` wrote")
    parser.add_argument("--model", required=True, help="the model that it was trained on")
    parser.add_argument("--m", type=float, required=True, help="strength to write")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the files")
    given = parser.parse_args()
    model, tokenizer = es.load_model(given.model, dtype="float32", device="cpu")
    steering = es.Steering.from_pretrained(given.artifact, m=given.m)
    written = {}
    for name in writable_formats():
        place = given.out / (f"{name}.gguf" if name.startswith("gguf") else name)
        try:
            done = es.export_artifact(steering, name, place, model=model, tokenizer=tokenizer, overwrite=True)
        except es.ConfigError as error:
            print(f"{name}: refused: {error}")
            continue
        written[name] = place
        print(f"{name}: {place}", *(f"  {note}" for note in done.notes), sep="\n")
    bare = logits(model, tokenizer)
    with steering(model):
        steered = logits(model, tokenizer)
    with steering.at(2 * given.m)(model):
        twice = logits(model, tokenizer)
    print(f"what steering does: {float((steered - bare).abs().max()):.3g}")
    if "peft" in written:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = PeftModel.from_pretrained(copy.deepcopy(model), written["peft"]).eval()
        print(f"PEFT, as loaded: {float((logits(theirs, tokenizer) - steered).abs().max()):.2g}")
        with rescale_adapter_scale(theirs, multiplier=2.0):
            print(f"PEFT, twice as strong: {float((logits(theirs, tokenizer) - twice).abs().max()):.2g}")
    if "merged" in written:
        plain = AutoModelForCausalLM.from_pretrained(written["merged"]).eval()
        print(f"transformers, merged: {float((logits(plain, tokenizer) - steered).abs().max()):.2g}")


if __name__ == "__main__":
    main()
