"""Round trips through every file format: a steered model written, read by the format's own reader, and compared.

    python benchmarks/interop.py --write docs/interop.md            measure, keep docs/data/interop.csv, fill the page
    python benchmarks/interop.py --model smollm2 --out more.csv     one model

A row is one form in one format on one model: the change that steering makes (largest difference of logits, steered
against bare), the largest difference between the steered logits here and those of the file's reader, or the sentence
with which the format refuses. Interventions are random, |dh| / |h| = 0.3 at m = 1, and written at m = 1.5. PEFT's
adapters are read by PEFT, checkpoints by transformers; the other formats by this package (llama.cpp and EasyEdit2 read
theirs in the tests). ``tiny:NAME`` is a random model of an architecture that transformers knows.
"""

from __future__ import annotations

import argparse
import copy
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from easyedit_split.interop.exporting import export_artifact
from easyedit_split.interop.importing import import_artifact
from easyedit_split.model.load import load_model
from easyedit_split.model.sites import family_of
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.attach import attach
from easyedit_split.steering.intervention import Intervention
from easyedit_split.types import ConfigError, SteeringError

CELLS = Path(__file__).parents[1] / "docs" / "data" / "interop.csv"
BEGIN, END = "<!-- round trips: begin -->\n", "<!-- round trips: end -->\n"
MODELS = ("testbed:gemma2", "testbed:qwen2", "smollm2", "tiny:llama", "tiny:qwen3")
M = 1.5
SIZE = 0.3
RANK = 4

CASES: tuple[tuple[str, str, dict[str, Any], dict[str, Any]], ...] = (
    ("lora", "peft", {}, {}),
    ("local_weight", "peft", {}, {"rank": RANK}),
    ("lora", "merged", {}, {}),
    ("local_weight", "merged", {"form_config": {"bias": False}}, {}),
    ("local_weight", "merged", {}, {"add_bias": True}),
    ("vector", "merged", {}, {"add_bias": True}),
    ("lora", "merged", {"placement": "block_output"}, {}),
    ("lora", "gguf_lora", {}, {}),
    ("vector", "gguf_vector", {}, {}),
    ("vector", "vector_pt", {}, {}),
    ("vector", "easyedit2", {}, {}),
    ("lora", "easyedit2", {"placement": "block_output"}, {}),
    ("local_weight", "easyedit2", {"placement": "block_output"}, {}),
)
"""Form, format, settings of the intervention, settings of the export."""


def open_model(name: str) -> tuple[Any, Any]:
    """A model and its tokenizer; a random one of a ``tiny:`` architecture has none.

    Raises:
        ConfigError: no family covers it.
    """
    if not name.startswith("tiny:"):
        return load_model(name, dtype="float32", device="cpu")
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4}
    config = AutoConfig.for_model(
        name.removeprefix("tiny:"), **shape, num_key_value_heads=2, head_dim=16, vocab_size=256
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    family_of(model)
    return model, None


def random_artifact(model: Any, form: str, ids: Tensor, **settings: Any) -> Artifact:
    """A random change of rank ``RANK`` at most, ``SIZE`` of the activation at m = 1, in the middle of the model."""
    block = len(list(model.model.layers)) // 2
    made = Intervention.create(model, form, [block], skip_prefix=False, **settings)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
            if parameter.ndim == 2 and form == "local_weight":
                parameter.copy_(parameter[:, :RANK] @ parameter[:RANK])
        with attach(model, made, 1.0, check=True) as attached:
            model(input_ids=ids)
        factor = SIZE / attached.report()[0].relative_norm
        scaled = list(made.parameters()) if form != "lora" else [list(made.parameters())[-1]]
        for parameter in scaled:
            parameter.mul_(factor)
    return Artifact({"default": made})


@torch.no_grad()
def logits(model: Any, ids: Tensor) -> Tensor:
    """The logits of one call."""
    found: Tensor = model(input_ids=ids).logits.double()
    return found


def read_back(name: str, place: Path, model: Any, tokenizer: Any, ids: Tensor) -> tuple[Tensor, str]:
    """What the format's reader makes of a file: its logits, and who read it."""
    if name == "peft":
        from peft import PeftModel

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a bias on a map without one
            return logits(PeftModel.from_pretrained(copy.deepcopy(model), place).eval(), ids), "PEFT"
    if name == "merged":
        from transformers import AutoModelForCausalLM

        attention = model.config._attn_implementation
        read = AutoModelForCausalLM.from_pretrained(place, attn_implementation=attention).eval()
        return logits(read, ids), "transformers"
    layer = {"layer": len(list(model.model.layers)) // 2} if name == "vector_pt" else {}
    again = import_artifact(place, name, model=model, tokenizer=tokenizer, **layer)
    with attach(model, again.only(), 1.0):
        return logits(model, ids), "easyedit_split"


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    """A row for every case on one model; none where no family covers it."""
    try:
        model, tokenizer = open_model(name)
    except ConfigError as error:
        print(f"{name}: {error}")
        return
    ids = torch.randint(5, 200, (2, 12), generator=torch.Generator().manual_seed(0))
    bare = logits(model, ids)
    for form, to, settings, options in CASES:
        held = random_artifact(model, form, ids, **settings)
        with attach(model, held.only(), M):
            here = logits(model, ids)
        row = {
            "model": name,
            "format": to,
            "form": form + (" (no db)" if settings.get("form_config") else ""),
            "placement": held.config.placement,
            "steering": float((here - bare).abs().max()),
        }
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "written"
            try:
                export_artifact(held, to, place, m=M, model=model, tokenizer=tokenizer, **options)
                there, reader = read_back(to, place, model, tokenizer, ids)
                yield {**row, "reader": reader, "difference": float((there - here).abs().max()), "refused": ""}
            except SteeringError as error:
                yield {**row, "reader": "", "difference": float("nan"), "refused": str(error)}


def table_of(cells: pd.DataFrame) -> str:
    """A line a row; refusals by their first words."""
    lines = [
        "| model | format | form | placement | read by | what steering does | difference |",
        "|-|-|-|-|-|-:|-:|",
    ]
    for row in cells.itertuples():
        refused = isinstance(row.refused, str) and row.refused
        what = f"refused: {short_reason(str(row.refused))}" if refused else f"{row.difference:.1g}"
        form = f"{row.form} | {row.placement} | {'-' if refused else row.reader}"
        lines.append(f"| {row.model} | {str(row.format).replace('_', '-')} | {form} | {row.steering:.2g} | {what} |")
    return "\n".join(lines) + "\n"


def short_reason(sentence: str) -> str:
    """The first clause of a refusal, without the site that it begins with."""
    said = re.sub(r"^\d+\.[\w.]+: ", "", sentence)
    return re.split(r"[:,(]", said)[0].strip()


def with_table(page: str, table: str) -> str:
    """The page with the table between its marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{table}{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="again for more; default: all of the table")
    parser.add_argument("--out", type=Path, default=CELLS, help="the rows, as CSV")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the table in this page")
    given = parser.parse_args()
    rows = [row for name in given.model or MODELS for row in rows_of(name)]
    cells = pd.DataFrame(rows)
    cells.to_csv(given.out, index=False)
    table = table_of(cells)
    if given.write:
        given.write.write_text(with_table(given.write.read_text("utf-8"), table), "utf-8")
    print(table, end="")


if __name__ == "__main__":
    main()
