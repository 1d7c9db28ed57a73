"""Hostile sweeps, data files, settings, journals and archives, each held against an independent reading."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import random
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml

from easyedit_split.analysis.activation_files import read_activations
from easyedit_split.datasets import load_dataset
from easyedit_split.files.journal import Journal
from easyedit_split.strict_yaml import read_yaml
from easyedit_split.sweep_table import read_sweep, write_table

from .mutate import ODD, damaged_bytes, damaged_json, one_bit

NUMBERS = ("m1", "pref", "util")


@functools.cache
def sweep() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [(m, p) for m in range(-3, 4) for p in range(4)]
    return pd.DataFrame({
        "model": "tiny", "concept": [["a", "NA"][p % 2] for _, p in rows], "pair": [p for _, p in rows],
        "m1": [float(m) for m, _ in rows], "m2": [float(m) for m, _ in rows],
        **{name: rng.normal(size=len(rows)) for name in ("L_p", "L_n", "pref", "util")}, "T_p": 3, "status": "ok",
    })  # fmt: skip


@functools.cache
def good_sweep(suffix: str, folder: Path) -> bytes:
    path = folder / f"good{suffix}"
    write_table(sweep(), path)
    return path.read_bytes()


def _same(a: Any, b: Any) -> bool:
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=True))


def _said(path: Path) -> dict[str, list[float]]:
    """The numbers under each header, read apart from the package: a value that is no number is NaN."""
    if path.suffix == ".csv":
        lines = [r for r in csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline="")) if r]
        if any(len(row) != len(lines[0]) for row in lines) or len({*lines[0]}) < len(lines[0]):
            return {}
        rows: list[dict[str, Any]] = [dict(zip(lines[0], row, strict=True)) for row in lines[1:]]
    elif path.suffix == ".json":
        rows = json.loads(path.read_text("utf-8-sig"))
    else:
        rows = pq.read_table(path).to_pylist()
    return {name: [_number(row.get(name)) for row in rows] for name in NUMBERS}


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def table_case(seed: int, folder: Path) -> str:
    """One sweep of hostile bytes or structure."""
    rng = random.Random(seed)
    suffix = rng.choice((".csv", ".json", ".parquet"))
    path, data = folder / f"table{suffix}", good_sweep(suffix, folder)
    before = data
    if suffix == ".json" and rng.random() < 0.6:
        data = json.dumps(damaged_json(rng, json.loads(data))).encode("utf-8", "surrogatepass")
    elif suffix == ".csv" and rng.random() < 0.6:
        data = _damaged_csv(rng, data.decode()).encode("utf-8", "surrogateescape")
    else:
        data = damaged_bytes(rng, data)
    path.write_bytes(data)
    table = read_sweep(path)
    if data == before:
        return "equal"
    said = _said(path)
    return "lenient" if said and all(_same(table[name], said[name]) for name in NUMBERS) else "wrong"


def _damaged_csv(rng: random.Random, text: str) -> str:
    lines = text.split("\n")
    kind = rng.randrange(9)
    at = rng.randrange(len(lines) - 1)
    if kind == 0:
        return "\n".join(line + "," if k else line for k, line in enumerate(lines))
    if kind == 1:
        lines[at] += "," + rng.choice(("", "9", "x"))
    elif kind == 2:
        names = lines[0].split(",")
        names[rng.randrange(len(names))] = rng.choice((*names, "", "m1 ", "PREF", "a" * 4000))
        lines[0] = ",".join(names)
    elif kind == 3:
        cells = lines[at].split(",")
        cells[rng.randrange(len(cells))] = str(rng.choice(ODD)).replace("\n", " ")
        lines[at] = ",".join(cells).encode("utf-8", "replace").decode()
    elif kind == 4:
        lines[at] = lines[at].replace(",", ";", rng.randrange(1, 4))
    elif kind == 5:
        lines.insert(at, rng.choice(("", ",", '"', "#", lines[at])))
    elif kind == 6:
        return text.replace(".", ",")
    elif kind == 7:
        return "\n".join([",".join(f"c{k}" for k in range(rng.choice((2000, 100_000)))), *lines[1:]])
    else:
        return text.replace("\n", "\r" if rng.random() < 0.5 else "\r\n")
    return "\n".join(lines)


def bit_case(seed: int, folder: Path) -> str:
    """One bit flipped in a sweep's parquet file: the whole table or a sentence."""
    rng = random.Random(seed)
    path = folder / "bit.parquet"
    path.write_bytes(one_bit(rng, good_sweep(".parquet", folder)))
    table = read_sweep(path)
    return "equal" if table.equals(read_sweep(folder / "good.parquet")) else "wrong"


PAIRS = [{"prompt": f"Q{k}?", "positive": f"Yes {k}", "negative": f"No {k}", "split": "train"} for k in range(6)]


def data_case(seed: int, folder: Path) -> str:
    """One file of pairs."""
    rng = random.Random(seed)
    suffix = rng.choice((".jsonl", ".json", ".csv", ".parquet"))
    path = folder / f"pairs{suffix}"
    frame = pd.DataFrame(PAIRS)
    rows: Any = damaged_json(rng, PAIRS) if suffix in (".jsonl", ".json") and rng.random() < 0.5 else PAIRS
    if suffix == ".json":
        data = json.dumps(rows).encode()
    elif suffix == ".jsonl":
        data = "".join(json.dumps(row) + "\n" for row in (rows if isinstance(rows, list) else [rows])).encode()
    elif suffix == ".csv":
        data = frame.to_csv(index=False).encode()
    else:
        frame.to_parquet(path)
        data = path.read_bytes()
    if rows is PAIRS:
        text = suffix == ".csv" and rng.random() < 0.5
        data = _damaged_csv(rng, data.decode()).encode("utf-8", "replace") if text else damaged_bytes(rng, data)
    path.write_bytes(data)
    found = load_dataset(str(path))
    texts = [(p.prompt, p.positive, p.negative) for p in found.pairs]
    if texts == [(r["prompt"], r["positive"], r["negative"]) for r in PAIRS]:
        return "equal"
    return "lenient" if texts == _plain_pairs(path) else "wrong"


def _plain_pairs(path: Path) -> list[tuple[Any, ...]]:
    if path.suffix == ".csv":
        rows = [*csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))]
    elif path.suffix == ".json":
        rows = json.loads(path.read_bytes().decode("utf-8-sig"))
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_bytes().decode("utf-8-sig").split("\n") if line.strip()]
    else:
        return []
    return [(r["prompt"], r["positive"], r["negative"]) for r in rows]


SETTINGS = 'train:\n  lr: 0.01\n  epochs: 3\n  steering_factors: [1, 2]\nform: lora\nname: "a\\u00e9"\n'
SNIPPETS = (
    "&a [x]", "*a", "<<: *a", "!!python/object/apply:os.system ['true']", "? [1]\n: 2", "2001-13-45", "0x1F", "1_000",
    '"\\ud83d"', "{a: 1, a: 2}", "[" * 3000, "- 1", "|\n  x\n y", "\t", "@", "%YAML 9.9", "---", "...", "!!binary x",
    "1" * 5000, "!!set {a}", "!!omap [a: 1]", ".inf", "!!int x", "~", "2001-01-01T00:00:00+99:99", "\x07", "# " * 2000,
)  # fmt: skip


def yaml_case(seed: int, folder: Path) -> str:
    """One file of settings, held against PyYAML's reading of all values as texts."""
    rng = random.Random(seed)
    text = SETTINGS
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(text) + 1)
        snippet = rng.choice(SNIPPETS)
        text = text[:at] + rng.choice((snippet, " " + snippet, "\n" + snippet + "\n")) + text[at:]
    data = damaged_bytes(rng, text.encode()) if rng.random() < 0.4 else text.encode()
    path = folder / "settings.yaml"
    path.write_bytes(data)
    found = read_yaml(path)
    plain = yaml.load(data.decode("utf-8-sig"), Loader=yaml.BaseLoader) or {}
    return ("equal" if data == SETTINGS.encode() else "lenient") if _alike(found, plain) else "wrong"


def _alike(found: Any, plain: Any) -> bool:
    if isinstance(plain, dict):
        if isinstance(found, set):
            return len(found) == len(plain)
        return isinstance(found, dict) and len(found) == len(plain) and all(map(_alike, found.values(), plain.values()))
    if isinstance(plain, list):
        return isinstance(found, list) and len(found) == len(plain) and all(map(_alike, found, plain))
    return found == plain if isinstance(found, str) else not isinstance(found, dict | list)


@functools.cache
def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        "h": rng.normal(size=(24, 6)),
        "dh": rng.normal(size=6),
        "util": rng.normal(size=24),
        "model": np.array("t"),
    }


def npz_case(seed: int, folder: Path) -> str:
    """One archive of activations."""
    rng = random.Random(seed)
    path, content, kind = folder / "h.npz", dict(arrays()), rng.randrange(6)
    if kind < 2:
        np.savez(path, **content) if kind else np.savez_compressed(path, **content)
        path.write_bytes(damaged_bytes(rng, path.read_bytes()))
    elif kind == 2:
        name = rng.choice(list(content))
        content[name] = rng.choice((
            np.array([None, {}]), np.array("x"), np.array([]), np.full((24, 6), np.nan), np.zeros((24, 6)),
            np.array(3 + 1j), np.zeros((2, 2, 2)), np.arange(6), np.array(["a"] * 24), np.zeros(24, dtype="M8[s]"),
        ))  # fmt: skip
        np.savez(path, **content)
    else:
        _odd_archive(rng, path, content, kind)
    found = read_activations(path)
    same = _same(found.h, arrays()["h"]) and _same(found.dh[0], arrays()["dh"]) and found.label == "t"
    if same and found.w_util is not None:
        return "equal"
    with np.load(path, allow_pickle=False) as plain:
        return "lenient" if _same(found.h, plain["h"]) and _same(found.dh, plain["dh"] + 0 * plain["h"]) else "wrong"


def _odd_archive(rng: random.Random, path: Path, content: dict[str, Any], kind: int) -> None:
    """An archive whose headers lie, of other compressions, with doubled or enormous members."""
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in content.items():
            held = io.BytesIO()
            np.lib.format.write_array(held, np.asarray(value))
            data = held.getvalue()
            if kind == 3 and rng.random() < 0.4:
                data = data.replace(
                    b"(24, 6)", rng.choice((b"(24,60)", b"(-4, 6)", b"(4, 36)", b"(9**9,)", b"24     "))
                )
            if kind == 4 and name == "h":
                data = data[:128].replace(b"(24, 6), }      ", b"(4000000, 60), }") + bytes(rng.choice((0, 10**7)))
            archive.writestr(f"{name}.npy", data)
            if kind == 5 and rng.random() < 0.4:
                archive.writestr(rng.choice((f"{name}.npy", "../x.npy", "notes.txt")), data)
    if rng.random() < 0.2:
        data = bytearray(path.read_bytes())
        data[6] |= 1  # "encrypted"
        path.write_bytes(data)


KEY = {"artifact": "sha256:00", "m": [1, 2]}


def journal_case(seed: int, folder: Path) -> str:
    """One journal, changed anyhow: what is resumed is a beginning of what was written."""
    rng = random.Random(seed)
    path = folder / ".t.journal"
    path.unlink(missing_ok=True)
    begun, records = Journal(path, KEY), [{"part": k, "L": [0.1 * k, k]} for k in range(5)]
    for record in records:
        begun.append(record)
    before = path.read_bytes()
    lines = before.split(b"\n")
    if rng.random() < 0.4:
        lines.insert(
            rng.randrange(len(lines)), rng.choice((*lines, b"{}", b'{"part": 9}', b"0" * 16 + b' {"part": 1}'))
        )
        data = b"\n".join(lines)
    elif rng.random() < 0.3:
        rng.shuffle(lines)
        data = b"\n".join(lines)
    else:
        data = damaged_bytes(rng, before)
    path.write_bytes(data)
    found = Journal(path, KEY).records
    if found != records[: len(found)]:
        return "wrong"
    return "equal" if found == records else "lenient"
