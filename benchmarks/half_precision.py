"""Half precision: how far the engine and the reference scorer lie from fp32, and whether the engine is accepted.

    python benchmarks/half_precision.py [--model smollm2] [--data everyday] [--data manners] [--pairs 8] [--layer 15]
                                        [--dtype bfloat16]

The weights are the half-precision ones in both. Root mean squares over answers of what either scorer's losses differ
from fp32's, of the bare model and under the probe of the acceptance test (``scoring/engine/check.py``); then that test
on three of the texts: what it allows, by how much the engine differs from the reference scorer, and by how much one
does whose kept keys are all the first token's. Nats an answer; Markdown.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from easyedit_split import Template, load_dataset, load_model
from easyedit_split.config import TokenConfig
from easyedit_split.model.hooks import device_of, frozen
from easyedit_split.scoring.encode_table import encode_table
from easyedit_split.scoring.engine import check
from easyedit_split.scoring.engine.check import probe_delta
from easyedit_split.scoring.engine.engine import Engine
from easyedit_split.scoring.engine.packing import Member
from easyedit_split.scoring.engine.texts import read_texts
from easyedit_split.scoring.score import answer_rows, row_losses
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.batching import Row, collate

SITES = {"bare": None, "vector": "residual", "local_weight": "mlp.down_proj"}
HEAD = ("data", "form", "longest answer", "reference - fp32", "engine - fp32", "allowed", "engine", "with wrong keys")


def plain(model: torch.nn.Module, rows: Sequence[Row], intervention: Intervention | None, length: float) -> Tensor:
    """Losses of the reference scorer, one row at a time."""
    delta, device = probe_delta(length), device_of(model)
    batches = [collate([row], pad_id=0).to(device) for row in rows]
    return torch.cat([row_losses(model, batch, intervention, 1.0, delta=delta).cpu() for batch in batches])


@torch.no_grad()
def measured(
    low: torch.nn.Module, high: torch.nn.Module, rows: list[Row], intervention: Intervention | None
) -> list[str]:
    """Root mean squares of both scorers' differences from fp32, and the acceptance test of these texts."""
    with frozen(low), frozen(high):
        engine = Engine(low)
        prepared = engine.prepare(read_texts(rows), intervention.config if intervention else None)
        length = 0.1 * engine.typical_norm(prepared)
        wanted = plain(high, rows, intervention, length)
        m = float(intervention is not None)
        launches = engine.launches(prepared, [[Member(i)] for i in range(len(rows))], [((m, m),)])
        fast = torch.empty_like(wanted)
        for launch in launches:
            for part, losses in engine.run(prepared, launch, intervention, probe_delta(length)):
                fast[[member.text for member in part.members]] = losses.cpu()
        slow = plain(low, rows, intervention, length)
        chosen = check._chosen(prepared)
        right = check.compare(engine, prepared, intervention, chosen)
        tried = [right]
        if prepared.keys is not None:  # a local weight steers the opening as well, so that none are kept
            keys = copy.copy(prepared.keys)
            keys.place = torch.zeros_like(keys.place)
            tried.append(check.compare(engine, replace(prepared, keys=keys), intervention, chosen))
    numbers = [float((losses - wanted).square().mean().sqrt()) for losses in (slow, fast)]
    verdicts = [f"{found.difference:.2f}, {'accepted' if found.agrees else 'refused'}" for found in tried]
    return [*(f"{number:.2f}" for number in numbers), f"{right.allowed:.2f}", *verdicts, *["-"] * (2 - len(verdicts))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--data", action="append")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--layer", type=int, default=15)
    parser.add_argument("--dtype", default="bfloat16")
    args = parser.parse_args()
    torch.set_num_threads(1)
    low, tokenizer = load_model(args.model, dtype=args.dtype)
    high, _ = load_model(args.model, dtype="float32")
    high.load_state_dict({name: value.float() for name, value in low.state_dict().items()})
    template = Template(tokenizer, TokenConfig())
    print(f"| {' | '.join(HEAD)} |\n|-|-|-:|-:|-:|-:|-|-|")
    for data in args.data or ["everyday", "manners"]:
        encoded = encode_table(load_dataset(data, split="test", limit=args.pairs), template, low)
        rows = answer_rows(encoded.rows)
        for form, site in SITES.items():
            intervention = (
                None
                if site is None
                else Intervention.create(
                    low,
                    form,
                    [args.layer],
                    site=site,
                    prefix_ids=template.prefix_ids,
                    bos_id=template.bos_id,
                    openings=template.openings,
                )
            )
            longest = max(len(row.answer) for row in rows)
            print(f"| {' | '.join([data, form, str(longest), *measured(low, high, rows, intervention)])} |", flush=True)


if __name__ == "__main__":
    main()
