"""One cell of ``readings.py``: an intervention trained, swept, its m chosen, and texts written around that m.

    train pairs -> layer scan (with dev) -> training -> sweep of the dev pairs -> texts on the dev prompts, judged
    -> m* by the default aim -> gain on the test pairs, texts on the test prompts at m*/2, m*, 2 m*

Every step is kept in the cell's folder and not made again, so a stopped run goes on. Nothing here reads a test pair or
a test prompt before m* is chosen.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from readings_pairs import pairs_of

from easyedit_split import Artifact, GenerateConfig, PairTable, Template, compose
from easyedit_split.analysis import Aim, JudgedTexts, SweepFit, curves_of, fit_sweep, recommend
from easyedit_split.analysis.choose_m.result import Recommendation
from easyedit_split.datasets.everyday import neutral_prompts
from easyedit_split.judges.bare_reading import BareReader
from easyedit_split.judges.self import SelfJudge, cut_off
from easyedit_split.scoring.collateral import collateral
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.steering.generate import generate_texts
from easyedit_split.steering.strength_grid import parse_strengths
from easyedit_split.sweep_table import read_sweep, write_table
from easyedit_split.training.layer_scan import best_layer, scan_pairs
from easyedit_split.training.train_pairs import train_artifact

MODEL = "smollm2"
FORMS = (
    ("vector", "split"), ("vector", "diff_mean"), ("lora", "split"), ("vector", "sft"), ("local_weight", "split"),
)  # fmt: skip
GRID = "r:0.06:0.96:5"
"""Swept and judged: 0 and five m, each twice the one before."""
EPOCHS = 2
TOKENS = 40
NEUTRAL = 8
PROMPTS, DEV_PROMPTS = 10, 8
PROBE = "probe.json"
OTHER_AIMS: tuple[Aim, ...] = ("capped", "answer")
AROUND = {"half": 0.5, "once": 1.0, "twice": 2.0}


@dataclass(frozen=True)
class Bench:
    """A model and a concept's pairs; what all its cells share is made once."""

    concept: str
    network: Any
    tokenizer: Any
    pairs: dict[str, PairTable]
    folder: Path

    @classmethod
    def open(cls, concept: str, network: Any, tokenizer: Any, out: Path) -> Bench:
        """Of one concept by its name."""
        pairs = {split: pairs_of(concept, split) for split in ("train", "dev", "test")}
        folder = out / concept
        folder.mkdir(parents=True, exist_ok=True)
        return cls(concept, network, tokenizer, pairs, folder)

    @cached_property
    def layer(self) -> int:
        """The block that the scan takes."""
        path = self.folder / "scan.csv"
        if not path.is_file():
            recipe = compose("vector", "split", model=MODEL, overrides=["layers=[0]"]).run_config()
            training, dev = self.pairs["train"], self.pairs["dev"]
            scan_pairs(self.network, self.tokenizer, training, recipe.tokens, held_out=dev).to_csv(path, index=False)
        return best_layer(pd.read_csv(path))

    def template(self, artifact: Artifact) -> Template:
        """How the artifact's prompts are written."""
        return Template(self.tokenizer, artifact.tokens)

    def bare(self, split: str, template: Template) -> list[tuple[str, bool]]:
        """The unsteered texts of a split and whether they came to an end, from a file once they are made."""
        path = self.folder / f"bare-{split}.json"
        if not path.is_file():
            found = generate_texts(self.network, template, self.prompts(split), config=GenerateConfig(TOKENS))
            path.write_text(json.dumps([[text.text, text.ended] for text in found], indent=1), "utf-8")
        return [(text, ended) for text, ended in json.loads(path.read_text("utf-8"))]

    def prompts(self, split: str) -> list[str]:
        """Those that are answered: the first of the split."""
        return [pair.prompt for pair in self.pairs[split]][: PROMPTS if split == "test" else DEV_PROMPTS]

    @cached_property
    def _judges(self) -> dict[str, SelfJudge]:
        return {}

    def judge(self, template: Template) -> SelfJudge:
        """As ``judge_texts`` calibrates it; the same for all cells, which share pairs, layer and template."""
        if "judge" not in self._judges:
            made = SelfJudge.calibrated(BareReader(self.network, template, self.layer), self.pairs["train"])
            self._judges["judge"] = made
            (self.folder / PROBE).write_text(json.dumps(made.accuracy), "utf-8")
        return self._judges["judge"]

    def probe_accuracy(self, template: Template) -> float:
        """Share of held-out training answers that the judge's probe tells apart."""
        path = self.folder / PROBE
        return float(json.loads(path.read_text("utf-8"))) if path.is_file() else self.judge(template).accuracy


def make_cell(bench: Bench, form: str, objective: str, say: Callable[[str], None]) -> dict[str, Any]:
    """One cell's record, from its file or made now."""
    folder = bench.folder / f"{form}-{objective}"
    folder.mkdir(exist_ok=True)
    done = folder / "cell.json"
    if done.is_file():
        return dict(json.loads(done.read_text("utf-8")))
    clock = Clock(say, f"{bench.concept} {form} x {objective}")
    artifact = _trained(bench, form, objective, folder / "artifact")
    clock.tell("trained")
    fit = _swept(bench, artifact, folder / "dev.parquet")
    clock.tell("swept")
    judged = _judged(bench, artifact, folder / "texts.parquet")
    clock.tell("judged")
    _side_effects(bench, artifact, folder / "kl.parquet")
    clock.tell("KL measured")
    choice = recommend(fit, texts=JudgedTexts.of(judged))
    assert artifact.unit is not None
    record: dict[str, Any] = {
        "concept": bench.concept, "form": form, "objective": objective, "layer": bench.layer, "aim": "text",
        "r_per_m": artifact.unit.r_per_m, "probe_accuracy": bench.probe_accuracy(bench.template(artifact)),
        "swept_m": fit.curve.preference.m.tolist(), "judged_m": sorted(set(judged["m1"])),
        **_chosen(choice), "epochs": EPOCHS, "kl": None,
        "other_aims": _other_aims(fit), "test": None, "texts": [],
    }  # fmt: skip
    if choice.m is not None:
        record["kl"] = _kl(bench, artifact, choice.m)
        record["test"] = _test_gain(bench, artifact, choice.m)
        record["texts"] = _test_texts(bench, artifact, choice.m)
    clock.tell("written")
    record["seconds"] = clock.seconds
    done.write_text(json.dumps(finite(record), indent=1), "utf-8")
    return record


class Clock:
    """Says what was done and how long it took."""

    def __init__(self, say: Callable[[str], None], name: str) -> None:
        self.say, self.name, self.start, self.seconds = say, name, time.monotonic(), {}

    def tell(self, what: str) -> None:
        """One step is done."""
        now = time.monotonic()
        self.seconds[what] = round(now - self.start, 1)
        self.say(f"{self.name}: {what} in {now - self.start:.0f} s")
        self.start = now


def finite(value: Any) -> Any:
    """The same with null where a number is none, so that it is JSON."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _trained(bench: Bench, form: str, objective: str, to: Path) -> Artifact:
    """With what ``steer`` takes for a model without a recipe."""
    if not to.is_dir():
        own = [f"train.epochs={EPOCHS}", "train.directions=both"]
        run = compose(form, objective, model=MODEL, overrides=[*own, f"layers=[{bench.layer}]"]).run_config()
        made = train_artifact(bench.network, bench.tokenizer, bench.pairs["train"], run, model_name=MODEL)
        made.save_pretrained(to)
    return Artifact.from_pretrained(to)


def _swept(bench: Bench, artifact: Artifact, to: Path) -> SweepFit:
    """The dev pairs over the grid, and what can be fitted to it."""
    if not to.is_file():
        pairs, points = bench.pairs["dev"], _points(artifact)
        write_table(sweep_pairs(bench.network, bench.tokenizer, pairs, artifact, points, model_name=MODEL), to)
    return fit_sweep(curves_of(read_sweep(to)), keep_going=True)[0]


def _points(artifact: Artifact) -> list[float]:
    assert artifact.unit is not None
    return list(parse_strengths(GRID).in_m(artifact.unit.r_per_m))


def _judged(bench: Bench, artifact: Artifact, to: Path) -> pd.DataFrame:
    """Texts on the dev prompts at a few m, judged by the bare model."""
    if not to.is_file():
        template, prompts = bench.template(artifact), bench.prompts("dev")
        points = [m for m in _points(artifact) if m != 0]
        written = generate_texts(
            bench.network, template, prompts, artifact.only(), points, config=GenerateConfig(TOKENS)
        )
        bare = bench.bare("dev", template)
        said = [(0.0, i, *text) for i, text in enumerate(bare)]
        said += [(text.m, text.index, text.text, text.ended) for text in written]
        cut = [cut_off(text, ended, bare[i][1]) for _, i, text, ended in said]
        answers = [text for _, _, text, _ in said]
        scores = bench.judge(template).judge_all([prompts[i] for _, i, _, _ in said], answers, cut=cut)
        rows = [
            {"m1": m, "prompt": i, "text": text, "cut_off": broken, "carries": found["concept"], **found}
            for (m, i, text, _), found, broken in zip(said, scores, cut, strict=True)
        ]
        write_table(pd.DataFrame(rows), to)
    return pd.read_parquet(to)


@lru_cache(maxsize=1)
def _judge_of(network: Any, tokenizer: Any, concept: str, layer: int) -> tuple[SelfJudge, tuple[str, ...]]:
    """The judge of one concept's pairs at a block, and the dev prompts."""
    tokens = compose("vector", "split", model=MODEL, overrides=[f"layers=[{layer}]"]).run_config().tokens
    training, dev = (pairs_of(concept, split) for split in ("train", "dev"))
    judge = SelfJudge.calibrated(BareReader(network, Template(tokenizer, tokens), layer), training)
    return judge, tuple(str(pair.prompt) for pair in dev)


def judged_again(cell: Mapping[str, Any], path: Path, network: Any, tokenizer: Any) -> tuple[float, float]:
    """Score a cell's kept dev texts by today's judge, in place; the unsteered texts' mean before and after."""
    table = pd.read_parquet(path)
    judge, prompts = _judge_of(network, tokenizer, cell["concept"], cell["layer"])
    asked = [prompts[int(number)] for number in table["prompt"]]
    found = judge.judge_all(asked, table["text"].tolist(), cut=table["cut_off"].tolist())
    scored = table.assign(**{name: [scores[name] for scores in found] for name in found[0]})
    scored["carries"] = scored["concept"]
    write_table(scored, path)
    at_zero = table["m1"] == 0
    return float(table.loc[at_zero, "overall"].mean()), float(scored.loc[at_zero, "overall"].mean())


def _side_effects(bench: Bench, artifact: Artifact, to: Path) -> None:
    """KL on neutral prompts over the swept m, as a table."""
    if not to.is_file():
        points = [m for m in _points(artifact) if m != 0]
        template, prompts = bench.template(artifact), neutral_prompts(NEUTRAL)
        write_table(collateral(bench.network, template, prompts, artifact.only(), points), to)


def _kl(bench: Bench, artifact: Artifact, m: float) -> float:
    """KL on neutral prompts, nats per token."""
    prompts = neutral_prompts(NEUTRAL)
    table = collateral(bench.network, bench.template(artifact), prompts, artifact.only(), [m])
    return float(table["kl"].sum() / table["tokens"].sum())


def _chosen(choice: Recommendation) -> dict[str, Any]:
    """What was recommended, or why nothing."""
    ends = choice.m_interval
    return {
        "m": choice.m, "reason": choice.reason, "m_interval": None if ends is None else [ends.low, ends.high],
        "dev_gain": choice.gain, "dev_paid": choice.paid, "helped": choice.helped, "at_edge": choice.at_edge,
    }  # fmt: skip


def _other_aims(fit: SweepFit) -> dict[str, Any]:
    """The m that each aim without texts would have chosen, or why none."""
    found: dict[str, Any] = {}
    for aim in OTHER_AIMS:
        choice = recommend(fit, aim=aim)
        found[aim] = {"m": choice.m, "reason": choice.reason}
    return found


def _test_gain(bench: Bench, artifact: Artifact, m: float) -> dict[str, Any]:
    """What m gains on the test pairs, which chose nothing."""
    pairs = bench.pairs["test"]
    table = sweep_pairs(bench.network, bench.tokenizer, pairs, artifact, [0.0, m], model_name=MODEL)
    pref, util = (table.pivot(index="pair", columns="m1", values=name) for name in ("pref", "util"))
    gained = pref[m] - pref[0.0]
    return {
        "pairs": len(pref), "preference": float(gained.mean()), "utility": float((util[m] - util[0.0]).mean()),
        "raised": int((gained > 0).sum()),
    }  # fmt: skip


def _test_texts(bench: Bench, artifact: Artifact, m: float) -> list[dict[str, Any]]:
    """The unsteered texts and those at half, once and twice m."""
    template, prompts = bench.template(artifact), bench.prompts("test")
    points: Sequence[float] = [share * m for share in AROUND.values()]
    written = generate_texts(bench.network, template, prompts, artifact.only(), points, config=GenerateConfig(TOKENS))
    names = dict(zip(points, AROUND, strict=True))
    bench.bare("test", template)
    return [{"at": names[t.m], "m": t.m, "prompt": t.prompt, "text": t.text} for t in written]
