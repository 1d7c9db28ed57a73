"""In: an adapter that PEFT trained, and a table of persona vectors, as artifacts that every command takes.

    python examples/from_other_tools.py --model smollm2 --layer 15 --out imported

Makes both files as their tools make them (a LoRA of a few steps on two sentences; a table with a row for the embeddings
and one for each block), reads them, and writes with each at some strengths.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

import easyedit_split as es

TEXTS = ("What a wonderful, sunny, cheerful day this is!", "I am delighted, thrilled and so happy to hear that!")
GLOOMY = ("What a dreadful, grey, gloomy day this is.", "I am saddened, weary and so sorry to hear that.")
PROMPT = "How was lunch?"


def peft_adapter(model: Any, tokenizer: Any, folder: Path) -> Path:
    """What PEFT saves after a few steps on two sentences."""
    torch.manual_seed(0)
    settings = LoraConfig(r=4, lora_alpha=8, target_modules=["down_proj", "o_proj"], layers_to_transform=[14, 15])
    adapted = get_peft_model(copy.deepcopy(model), settings).train()
    optimiser = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=5e-3)
    for step in range(6):
        batch = tokenizer(TEXTS[step % 2], return_tensors="pt")
        adapted(**batch, labels=batch["input_ids"]).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    adapted.save_pretrained(folder)
    return folder


@torch.no_grad()
def persona_vectors(model: Any, tokenizer: Any, file: Path) -> Path:
    """Mean hidden states of cheerful texts minus those of gloomy ones, ``[layers + 1, d]``."""

    def mean(texts: tuple[str, ...]) -> torch.Tensor:
        states = [
            model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states for text in texts
        ]
        return torch.stack([torch.cat([of[layer][0] for of in states]).mean(0) for layer in range(len(states[0]))])

    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(mean(TEXTS) - mean(GLOOMY), file)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a model that both files are for")
    parser.add_argument("--layer", type=int, default=15, help="block of the persona vector, counted from 0")
    parser.add_argument("--out", type=Path, required=True, help="a folder for files and artifacts")
    given = parser.parse_args()
    model, tokenizer = es.load_model(given.model, dtype="float32", device="cpu")
    adapter = peft_adapter(model, tokenizer, given.out / "peft")
    table = persona_vectors(model, tokenizer, given.out / "cheerful_response_avg_diff.pt")
    read = {
        "peft": es.import_artifact(adapter, "peft", model=model, tokenizer=tokenizer),
        "persona_vectors": es.import_artifact(
            table, "persona_vectors", model=model, tokenizer=tokenizer, layer=given.layer
        ),
    }
    for name, artifact in read.items():
        artifact.save_pretrained(given.out / f"{name}-artifact", overwrite=True)
        print(
            f"{name}: {artifact.config.form} at {', '.join(artifact.config.sites)}",
            *artifact.record["imported"]["notes"],
        )
        settings = es.GenerateConfig(max_new_tokens=20)
        for answer in es.generate(model, tokenizer, PROMPT, es.Steering(artifact), (0.0, 1.0, 2.0), config=settings):
            print(f"  m = {answer.m:g}  {answer.text}")


if __name__ == "__main__":
    main()
