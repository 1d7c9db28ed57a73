"""The engine against the plain scorer: seconds, work, memory, differences; a table and, with --json, a file.

    python benchmarks/engine_speed.py --data data                      real pairs on smollm2, CPU seconds, one thread
    python benchmarks/engine_speed.py --table docs/data/engine_*.json  the tables of files written before
    python benchmarks/engine_speed.py --shape gemma-2-9b          random weights of a real shape on a GPU, bf16

Both scorers take turns on the same pairs; medians. --data holds psychopathy.jsonl and powerseeking_train.csv.
Peak memory is what a process of its own needs above the loaded model. eta_alg is the least work of a pair over what is
counted, so it passes 1 where pairs share text; eta_hw is the counted work per second over that of a large product.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from engine_table import shown
from transformers import AutoModelForCausalLM, Gemma2Config, Qwen2Config

from easyedit_split.config import TokenConfig
from easyedit_split.datasets.load import load_dataset
from easyedit_split.model.hooks import frozen
from easyedit_split.model.load import load_model
from easyedit_split.model.sites import Site
from easyedit_split.scoring.answer_means import plain_answer_means
from easyedit_split.scoring.engine.answer_states import engine_answer_means
from easyedit_split.scoring.engine.bound import Shape, counted
from easyedit_split.scoring.engine.config import EngineConfig
from easyedit_split.scoring.engine.engine import Engine
from easyedit_split.scoring.engine.scorer import PairScorer
from easyedit_split.scoring.engine.texts import read_texts
from easyedit_split.scoring.score import answer_rows, score
from easyedit_split.steering.attach import plain_delta
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.encode import EncodedPair, encode_pairs
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.training.answers import AnswerSource, Side, answers_for
from easyedit_split.types import Pair

ENGINE, PLAIN = EngineConfig(), EngineConfig(plain=True)
FILES = {"psychopathy": "psychopathy.jsonl", "powerseeking": "powerseeking_train.csv"}
SHAPES: dict[str, Any] = {
    "gemma-2-9b": (20, "eager", Gemma2Config(
        vocab_size=256000, hidden_size=3584, intermediate_size=14336, num_hidden_layers=42, num_attention_heads=16,
        num_key_value_heads=8, head_dim=256,
    )),
    "qwen2.5-7b": (14, "sdpa", Qwen2Config(
        vocab_size=152064, hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28,
        num_key_value_heads=4, tie_word_embeddings=False,
    )),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A model, pairs and an intervention."""

    name: str
    model: Any
    pairs: Sequence[EncodedPair]
    form: str
    layer: int
    prefix: tuple[int, ...] = ()

    def intervention(self) -> Intervention:
        """With random parameters, the same every time."""
        found = Intervention.create(
            self.model, self.form, [self.layer], placement="block_output", prefix_ids=self.prefix, bos_id=None
        )
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in found.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.02)
        return found


def now(device: torch.device) -> float:
    """CPU seconds of this process, or wall seconds once the device is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def take_turns(device: torch.device, repeats: int, *work: Callable[[], Any]) -> list[float]:
    """Median seconds of each piece of work; they take turns, and the first turn does not count."""
    seconds: list[list[float]] = [[] for _ in work]
    for turn in range(repeats + 1):
        for piece, found in zip(work, seconds, strict=True):
            start = now(device)
            piece()
            if turn:
                found.append(now(device) - start)
    return [statistics.median(found) for found in seconds]


def step_of(source: AnswerSource, pairs: int) -> Callable[[], None]:
    """Gradients of one batch of pairs, each under an m of its own."""
    m = torch.linspace(0.5, 1.5, pairs, dtype=torch.float64)
    side = Side(range(pairs), ("positive", "negative"), torch.stack([m, m]), plain_delta)

    def step() -> None:
        for part in source.parts(side, whole=False):
            part.L.sum().backward()

    return step


def measure(case: Case, repeats: int, points: int, rate: float | None) -> dict[str, Any]:
    """One row of the table."""
    model, device = case.model, next(case.model.parameters()).device
    intervention, n = case.intervention(), len(case.pairs)
    scorer = PairScorer.ready(model, case.pairs, intervention, ENGINE)
    assert scorer is not None
    grid = [(0.1 * k, 0.1 * k) for k in range(1, points + 1)]
    fast, slow = take_turns(
        device, repeats, lambda: [*scorer.over(grid)], lambda: score(model, case.pairs, intervention, grid[0])
    )
    (a,), b = scorer.over(grid[:1]), score(model, case.pairs, intervention, grid[0])
    launches = scorer.engine.launches(scorer.prepared, scorer.units, [(point,) for point in grid])

    def run_all() -> None:
        for launch in launches:
            scorer.engine.losses(scorer.prepared, launch, intervention)

    with frozen(model), torch.no_grad():
        work = counted(run_all)
    shape = Shape.of(model)
    least = sum(
        shape.sweep_point(case.layer, len(p.prompt), answer) / 2
        for p in case.pairs
        for answer in (len(p.positive), len(p.negative))
    )
    with frozen(model):
        sources = [answers_for(model, case.pairs, intervention, 0, config) for config in (ENGINE, PLAIN)]
        step_fast, step_slow = take_turns(device, repeats, *(step_of(source, min(4, n)) for source in sources))
        texts, site, rows = read_texts(answer_rows(case.pairs)), Site(case.layer, "residual"), answer_rows(case.pairs)
        mean_fast, mean_slow = take_turns(
            device,
            1,
            lambda: (_forget(model), engine_answer_means(Engine(model), texts, [site])),
            lambda: plain_answer_means(model, 0, rows, [site]),
        )
    row = {
        "case": case.name,
        "form": case.form,
        "pairs": n,
        "tokens": sum(launch.tokens for launch in launches) / n / points,
        "eta_alg": least * points / work,
        "sweep_s": fast / n / points,
        "sweep_plain_s": slow / n,
        "sweep_x": slow * points / fast,
        "step_s": step_fast,
        "step_plain_s": step_slow,
        "step_x": step_slow / step_fast,
        "diff_mean_x": mean_slow / mean_fast,
        "difference_nats": float(max(abs(a.L_p - b.L_p).max(), abs(a.L_n - b.L_n).max())),
    }
    return row if rate is None else {**row, "eta_hw": work / fast / rate}


def _forget(model: Any) -> None:
    from easyedit_split.scoring.engine.library import _SHELVES

    _SHELVES.pop(model, None)


def peak_of_step(data: str, name: str, form: str, plain: bool, pipe: Any) -> None:
    """In a process of its own: MB that training steps need above the loaded model, the engine's caches included."""
    torch.set_num_threads(1)
    case = real_case(Path(data), name, form, 16)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far, the loading's, is forgotten
    with frozen(case.model):
        source = answers_for(case.model, case.pairs, case.intervention(), 0, PLAIN if plain else ENGINE)
        step_of(source, 4)()
    pipe.send(resident("VmHWM") - before)


def resident(name: str) -> float:
    """MB of this process now (VmRSS) or at its peak (VmHWM), on Linux."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return float(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def peaks(data: Path, name: str, form: str) -> tuple[float, float]:
    """Peak MB of the engine and of the plain scorer."""
    context, found = multiprocessing.get_context("spawn"), []
    for plain in (False, True):
        here, there = context.Pipe()
        process = context.Process(target=peak_of_step, args=(str(data), name, form, plain, there))
        process.start()
        found.append(here.recv())
        process.join()
    return found[0], found[1]


def real_case(data: Path, name: str, form: str, pairs: int) -> Case:
    """Real pairs on smollm2."""
    model, tokenizer = load_model("smollm2", dtype="float32")
    template = Template(tokenizer, TokenConfig())
    table = load_dataset(f"{name}:{data / FILES[name]}", split="train", drop_bad=True)
    encoded = encode_pairs(table.pairs[:pairs], template, source=name).rows
    return Case(f"smollm2 {name}", model, encoded, form, 15, template.prefix_ids)


def shape_case(model: Any, name: str, layer: int, form: str, lengths: tuple[int, int, int], pairs: int) -> Case:
    """Random ids on random weights: prompt, answer and shared opening of given lengths."""
    prompt, answer, shared = lengths
    generator = torch.Generator().manual_seed(0)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(10, model.config.vocab_size, (length,), generator=generator).tolist())

    opening = ids(shared)
    rows = [
        EncodedPair(Pair("q", "a", "b"), opening + ids(prompt - shared), ids(answer), ids(answer), shared, i)
        for i in range(pairs)
    ]
    return Case(f"{name} P{prompt} A{answer}", model, rows, form, layer)


def product_rate() -> float:
    """FLOPs a second of a large bf16 product on the GPU."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    (seconds,) = take_turns(a.device, 10, lambda: a @ b)
    return float(2 * 8192**3 / seconds)


def run_shape(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A real shape with random weights on a GPU."""
    layer, attention, config = SHAPES[name]
    rate = product_rate()
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
        torch.set_default_dtype(torch.float32)
    cases = [("vector", (60, 150, 0), 8), ("local_weight", (60, 150, 0), 4), ("vector", (52, 2, 24), 64)]
    return [
        measure(shape_case(model, name, layer, form, lengths, pairs), args.repeats, 41, rate)
        for form, lengths, pairs in cases
    ]


def run_real(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Real pairs on a real model."""
    torch.set_num_threads(1)
    rows = []
    for name, form in (("psychopathy", "vector"), ("powerseeking", "vector"), ("powerseeking", "lora")):
        case = real_case(args.data, name, form, args.pairs)
        row = measure(case, args.repeats, 1, None)
        row["peak_mb"], row["peak_plain_mb"] = peaks(args.data, name, form)
        rows.append(row)
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the datasets' files")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="a real shape with random weights, on a GPU")
    parser.add_argument("--table", type=Path, nargs="+", help="print the tables of files that --json wrote")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for all numbers")
    args = parser.parse_args()
    if args.table:
        print("\n\n".join(shown(json.loads(path.read_text("utf-8"))) for path in args.table))
        return
    if (args.data is None) == (args.shape is None):
        parser.error("give either --data or --shape")
    rows = run_real(args) if args.data else run_shape(args.shape, args)
    device = torch.cuda.get_device_name() if args.shape else platform.processor() or platform.machine()
    measured = {"torch": torch.__version__, "transformers": transformers.__version__, "device": device, "rows": rows}
    print(shown(measured))
    if args.json:
        args.json.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
