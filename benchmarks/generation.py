"""Benchmark of text generation at many m: all m in one batch against one m at a time, tokens per CPU second.

    python benchmarks/generation.py                                        testbed:gemma2
    python benchmarks/generation.py --model smollm2 --prompts 8 --points 5

Both write greedy answers to the same prompts with a random vector of the residual stream's own size times m. One m at a
time is ``model.generate`` under ``attach``, eight prompts at a time. They take turns, the first turn does not count,
medians; --json keeps all numbers. Their answers are compared token for token: "same" counts those that are equal.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from easyedit_split.config import TokenConfig
from easyedit_split.datasets.everyday import neutral_prompts
from easyedit_split.datasets.load import load_dataset
from easyedit_split.model.hooks import activations, device_of, frozen
from easyedit_split.model.load import load_model
from easyedit_split.model.sites import Site, blocks_of
from easyedit_split.steering.attach import attach
from easyedit_split.steering.continue_rows import Ask, RowWriter, plan_rows, stops_of
from easyedit_split.steering.generate_config import GenerateConfig
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.batching import Row, collate
from easyedit_split.text.openings import prefix_lengths
from easyedit_split.text.prompt_tokens import Template

Answers = dict[tuple[int, float], list[int]]


@dataclass(frozen=True)
class Job:
    """Texts to generate: every prompt at every m."""

    model: Any
    template: Template
    prompts: Sequence[tuple[int, ...]]
    intervention: Intervention
    m: Sequence[float]
    config: GenerateConfig


def seconds(job: Job) -> float:
    """CPU seconds of this process, or wall seconds after the device has finished."""
    if device_of(job.model).type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def until_stop(ids: Sequence[int], stops: Sequence[int]) -> list[int]:
    """An answer up to and including the token that ended it."""
    end = next((place + 1 for place, id_ in enumerate(ids) if id_ in stops), len(ids))
    return list(ids[:end])


def one_m_at_a_time(job: Job, rows: int = 8) -> Answers:
    """Generate by ``model.generate`` under ``attach``, one batch of prompts for each m."""
    answers: Answers = {}
    stops = stops_of(job.model, job.template) or []
    for m in job.m:
        for start in range(0, len(job.prompts), rows):
            chosen = job.prompts[start : start + rows]
            batch = collate([Row(ids, (), 0) for ids in chosen], pad_id=job.template.pad_id, side="left")
            batch = batch.to(device_of(job.model))
            with attach(job.model, job.intervention, m):
                ids = job.model.generate(
                    input_ids=batch.input_ids,
                    attention_mask=batch.attention_mask,
                    max_new_tokens=job.config.max_new_tokens,
                    do_sample=False,
                    pad_token_id=job.template.pad_id,
                    eos_token_id=stops,
                )
            for k, row in enumerate(ids[:, batch.input_ids.shape[1] :].tolist()):
                answers[start + k, m] = until_stop(row, stops)
    return answers


def all_m(job: Job) -> Answers:
    """Generate with rows of all m in one batch."""
    writer = RowWriter(job.model, job.template, [job.intervention], job.config)
    openings = prefix_lengths(job.prompts, job.template.prefix_ids, job.template.bos_id)
    rows = list(zip(job.prompts, openings, strict=True))
    asks = [Ask(i, ids, m, opening) for m in job.m for i, (ids, opening) in enumerate(rows)]
    answers: Answers = {}
    for batch in plan_rows(asks, job.config, device_of(job.model)):
        for ask, ids in zip(batch, writer.continue_rows(batch), strict=True):
            answers[ask.index, ask.m] = until_stop(ids, writer.stops or [])
    return answers


def random_vector(model: Any, template: Template, prompt: tuple[int, ...], positions: Any) -> Intervention:
    """Random vector at the middle layer, with the mean norm of the residual stream on a prompt's tokens."""
    layer = len(blocks_of(model)) // 2
    found = Intervention.create(
        model, "vector", [layer], positions=positions, prefix_ids=template.prefix_ids, bos_id=template.bos_id
    )
    site = Site(layer, "residual")
    with activations(model, [site]) as states:
        model(torch.tensor([prompt], device=device_of(model)))
    size = states[site][0, len(template.prefix_ids) :].float().norm(dim=-1).mean().cpu()
    generator = torch.Generator().manual_seed(0)
    for parameter in found.parameters():
        direction = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(direction / direction.norm() * size)
    return found


def measure(job: Job, repeats: int) -> dict[str, Any]:
    """Median seconds of both ways in alternating runs, and whether their texts agree."""
    ways: tuple[Callable[[Job], Answers], ...] = (one_m_at_a_time, all_m)
    spent: list[list[float]] = [[], []]
    answers: list[Answers] = [{}, {}]
    for turn in range(repeats + 1):
        for k, way in enumerate(ways):
            start = seconds(job)
            answers[k] = way(job)
            if turn:
                spent[k].append(seconds(job) - start)
    slow, fast = (statistics.median(found) for found in spent)
    tokens = sum(len(ids) for ids in answers[0].values())
    same = sum(answers[1][key] == ids for key, ids in answers[0].items())
    return {
        "positions": job.intervention.config.positions,
        "prompts": len(job.prompts),
        "m": len(job.m),
        "tokens": tokens,
        "one m: tokens/s": tokens / slow,
        "all m: tokens/s": sum(len(ids) for ids in answers[1].values()) / fast,
        "faster": slow / fast,
        "same": f"{same} of {len(answers[0])}",
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Results as a Markdown table."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    for row in rows:
        cells = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark, print its table and write its file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="testbed:gemma2")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--points", type=int, default=9, help="how many m, from -0.5 to 0.5, 0 among them if odd")
    parser.add_argument("--tokens", type=int, default=40, help="longest answer")
    parser.add_argument("--batch-size", type=int, help="answers at a time; default: as many as the device takes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    args = parser.parse_args()
    if args.device == "cpu":
        torch.set_num_threads(1)
    model, tokenizer = load_model(args.model, dtype="float32", device=args.device)
    template = Template(tokenizer, TokenConfig())
    if args.model.startswith("testbed:"):
        texts = [pair.prompt for pair in load_dataset("testbed:power", split="test").pairs[: args.prompts]]
    else:
        texts = neutral_prompts(args.prompts)
    prompts = [template.prompt(text) for text in texts]
    points = torch.linspace(-0.5, 0.5, args.points).tolist()
    config = GenerateConfig(max_new_tokens=args.tokens, batch_size=args.batch_size)
    with frozen(model), torch.no_grad():
        rows = [
            measure(
                Job(model, template, prompts, random_vector(model, template, prompts[0], positions), points, config),
                args.repeats,
            )
            for positions in ("all", "answer")
        ]
    device = torch.cuda.get_device_name() if args.device != "cpu" else platform.processor() or platform.machine()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "device": device}
    print(f"{args.model}, {', '.join(f'{key} {value}' for key, value in versions.items())}\n\n{table(rows)}")
    if args.json:
        args.json.write_text(json.dumps({"model": args.model, **versions, "rows": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
