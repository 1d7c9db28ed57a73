from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import easyedit_split.easyedit as plugin
from easyedit_split.easyedit.host import isolation

from .. import tiny, toy_tokenizers
from .flows import train_in_host
from .hosts import CLONE, ROWS, STANDIN, HostUnderTest, purge

HOSTS = ["standin", pytest.param("clone", marks=pytest.mark.host)] if CLONE else ["standin"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(str(item.path)).parent == Path(__file__).parent:
            # the host's own warnings are not ours to mend
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session", params=HOSTS)
def host(request: pytest.FixtureRequest) -> Iterator[HostUnderTest]:
    """A host with the plugin registered; afterwards it is as it was."""
    path = STANDIN if request.param == "standin" else CLONE
    assert path is not None
    purge()
    sys.path.insert(0, str(path))
    plugin.register()
    try:
        import steer.utils

        assert Path(steer.__file__).is_relative_to(path)
        yield HostUnderTest(request.param, path)
    finally:
        plugin.unregister()
        sys.path.remove(str(path))
        purge()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny random models, named so that EasyEdit2's loader takes them."""
    folder = tmp_path_factory.mktemp("models")
    families = (
        ("gemma2", "gemma-2-tiny", "gemma"),
        ("qwen2", "qwen2.5-tiny", "qwen"),
        ("llama", "llama-3-tiny", "llama3"),
    )
    for family, name, tokenizer_name in families:
        tokenizer = getattr(toy_tokenizers, tokenizer_name)()
        config = tiny.tiny_config(family, len(tokenizer))
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(config, key, getattr(tokenizer, key))
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="session")
def trained(
    host: HostUnderTest, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Path, Any]]:
    """``trained(form, model, dataset, **values)``: (the folder a load_dir names, vectors), trained once in the host."""
    done: dict[str, tuple[Path, Any]] = {}

    def get(form: str = "vector", model: str = "qwen2.5-tiny", dataset: Any = ROWS, **values: Any) -> tuple[Path, Any]:
        key = repr((form, model, dataset is ROWS, values))
        if key not in done:
            folder = tmp_path_factory.mktemp("trained")
            vectors = train_in_host(host, folder, models / model, dataset, intervention_method=form, **values)
            (place,) = (folder / "vectors" / "toy").iterdir()
            done[key] = place, vectors
        return done[key]

    return get


@pytest.fixture(scope="session")
def qwen(models: Path) -> Path:
    return models / "qwen2.5-tiny"


@pytest.fixture(scope="session")
def gemma(models: Path) -> Path:
    return models / "gemma-2-tiny"


@pytest.fixture(scope="module", params=["standin", pytest.param("clone", marks=pytest.mark.host)])
def source(request: pytest.FixtureRequest) -> Path:
    if request.param == "clone" and CLONE is None:
        pytest.skip("EASYEDIT_HOME names no clone")
    return STANDIN if request.param == "standin" else CLONE


@pytest.fixture(scope="module")
def loaded_once(qwen: Path) -> Iterator[None]:
    """The model is read once; whoever loads it gets a copy."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(qwen, dtype="float32"), AutoTokenizer.from_pretrained(qwen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: copy.deepcopy(model))
        patch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: copy.deepcopy(tokenizer))
        yield


@pytest.fixture
def alone(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugin at its beginning, and no host imported; the session's host comes back afterwards."""
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "steer"}
    path = list(sys.path)
    plugin.unregister()
    purge()
    sys.path[:] = [entry for entry in path if not (Path(entry) / "steer").is_dir()]
    isolation._said.clear()
    yield
    plugin.unregister()
    purge()
    sys.path[:] = path
    if kept:
        sys.modules.update(kept)
        plugin.register()


@pytest.fixture
def registered(source: Path, alone: None) -> HostUnderTest:
    sys.path.insert(0, str(source))
    return HostUnderTest("standin" if source is STANDIN else "clone", source)


@pytest.fixture
def linked_clone(tmp_path: Path) -> Path:
    """The real clone's files as links, with data of our own beside them: nothing is written into the clone."""
    assert CLONE is not None
    root = tmp_path / "clone"
    (root / "data" / "psychopathy").mkdir(parents=True)
    (root / "data" / "axbench").mkdir()
    for entry in CLONE.iterdir():
        if entry.name != "data":
            (root / entry.name).symlink_to(entry)
    rows = [
        {
            "question": row["question"],
            "answer_matching_behavior": f" {row['matching']}",
            "answer_not_matching_behavior": f" {row['not_matching']}",
        }
        for row in ROWS
    ]
    for name in ("train", "test"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (root / "data" / "psychopathy" / f"{name}.jsonl").write_text(text)
    shared = {"concept_genre": "text", "category": "positive"}
    concepts = [
        {"input": row["question"], "winning_output": row["matching"] + f" {c}", "losing_output": row["not_matching"],
         "output_concept": f"concept {c}", "concept_id": c, **shared}
        for c in range(2) for row in ROWS[:3]
    ]  # fmt: skip
    for name in ("axbench_train", "axbench_test"):
        pd.DataFrame(concepts).to_parquet(root / "data" / "axbench" / f"{name}.parquet")
    return root
