"""A result that its place does not take is written to the first place that takes it, and that is said.

The file system that is really full is a tmpfs of 64 kB in a mount namespace of its own (``unshare``, util-linux); where
that is not allowed its test is skipped, and the others have a disk that refuses every change below a folder.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.cli.rescue import places_for, write_or_rescue
from easyedit_split.steering.artifact import Artifact
from easyedit_split.storage import StorageError, write_whole
from easyedit_split.types import SteeringError

from .shared import ROWS, Run, hidden, train_line, write_rows


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The four places, each a folder of its own."""
    found = {name: tmp_path / name for name in ("beside", "here", "home", "temporary")}
    for folder in found.values():
        folder.mkdir()
    monkeypatch.chdir(found["here"])
    monkeypatch.setattr(Path, "home", lambda: found["home"])
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(found["temporary"]))
    return found


Fill = Callable[..., None]


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    """``fill(folder, ...)``: no file or folder can be moved into place below these folders any more."""
    full: list[Path] = []

    def refusing(real: Callable[..., None]) -> Callable[..., None]:
        def move(source: Any, to: Any, *args: Any, **settings: Any) -> None:
            if any(folder in Path(os.path.abspath(to)).parents for folder in full):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(source, to, *args, **settings)

        return move

    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    return lambda *folders: full.extend(folders)


def result(place: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("what was computed")

    write_whole(place, write)


def test_the_first_place_that_takes_it(places: dict[str, Path], fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    to = places["beside"] / "out.csv"
    order = [place.parent for place in places_for(to)]
    assert order == [*places.values()]
    for count in range(1, 4):
        fill(order[count - 1])
        with pytest.raises(StorageError, match="No space left on device"):
            write_or_rescue(to, result)
        safe = order[count] / "out-rescued.csv"
        assert safe.read_text() == "what was computed"
        assert f"the result is safe in {safe}" in capsys.readouterr().err
        assert hidden(order[count - 1]) == [], "nothing half-written"


def test_control_what_can_be_written_stands_in_its_place_alone(places: dict[str, Path]) -> None:
    write_or_rescue(places["beside"] / "out.csv", result)
    assert [path.name for folder in places.values() for path in folder.rglob("*")] == ["out.csv"]


def test_nothing_is_written_over(places: dict[str, Path], fill: Fill) -> None:
    for name in ("out-rescued.csv", "out-rescued-2.csv"):
        (places["here"] / name).write_text("of an earlier run")
    fill(places["beside"])
    with pytest.raises(StorageError):
        write_or_rescue(places["beside"] / "out.csv", result)
    assert (places["here"] / "out-rescued-3.csv").read_text() == "what was computed"
    assert (places["here"] / "out-rescued.csv").read_text() == "of an earlier run"


def test_where_no_place_takes_it_only_the_reason_is_said(
    places: dict[str, Path], fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(*places.values())
    with pytest.raises(StorageError, match=r"out.csv cannot be written \(No space left on device\)"):
        write_or_rescue(places["beside"] / "out.csv", result)
    assert capsys.readouterr().err == ""
    assert [path for folder in places.values() for path in folder.rglob("*")] == []


def test_half_of_a_folder_is_not_left_behind(places: dict[str, Path], fill: Fill) -> None:
    def write(place: Path) -> None:
        result(place / "first")
        if place.parent == places["here"]:
            raise OSError(errno.ENOSPC, "full")
        result(place / "second")

    fill(places["beside"])
    with pytest.raises(StorageError):
        write_or_rescue(places["beside"] / "out", write)
    assert [*places["here"].iterdir()] == []
    assert {path.name for path in (places["home"] / "out-rescued").iterdir()} == {"first", "second"}


def test_what_is_no_matter_of_storage_is_not_tried_again(places: dict[str, Path]) -> None:
    def broken(place: Path) -> None:
        raise KeyError(place)

    with pytest.raises(KeyError):
        write_or_rescue(places["beside"] / "out", broken)


@pytest.mark.parametrize("command", ["train", "steer"])
def test_what_was_trained_is_safe_and_the_run_can_still_go_on(
    run: Run, model: Path, places: dict[str, Path], fill: Fill, command: str
) -> None:
    data, folder = write_rows(places["home"] / "pairs.jsonl", ROWS), places["beside"]
    if command == "train":
        line: Any = lambda to: train_line(model, data, to)  # noqa: E731
    else:
        few = ("--layer", 1, "--m", "-2:2:5", "--texts", 1, "--neutral", 0, "--max-new-tokens", 3, "--form", "vector")
        known = ("steer", "--model", model, "--data", data, "--set", "train.epochs=1", *few)
        line = lambda to: (*known, "--out", to)  # noqa: E731
    assert run(*line(places["temporary"] / "out"))[0] == 0
    inner = "out" if command == "train" else "out/artifact"
    whole = Artifact.from_pretrained(places["temporary"] / inner)
    fill(folder if command == "train" else folder / "out")
    code, _, said = run(*line(folder / "out"))
    place = places["here"] if command == "train" else folder
    assert code == 2, said
    assert "cannot be written (No space left on device)" in said
    assert f"the result is safe in {place / 'out-rescued'}" in said
    assert Artifact.from_pretrained(place / inner.replace("out", "out-rescued")).digest() == whole.digest()
    if command == "steer":
        assert {".out.checkpoint", ".out.journal"} <= {*hidden(folder)}


FULL = """
import os, sys
from pathlib import Path
os.environ["HOME"] = os.environ["TMPDIR"] = sys.argv[2]
from easyedit_split.cli.rescue import write_or_rescue
from easyedit_split.steering.artifact import Artifact
from easyedit_split.types import SteeringError
artifact = Artifact.from_pretrained(sys.argv[1])
Path("filling").write_bytes(bytes(60_000))  # of 64 kB: what is left takes the first file of an artifact, and no more
try:
    write_or_rescue(Path.cwd() / "out", artifact.save_pretrained)
except SteeringError as error:
    print(f"error: {error}")
print(sorted(path.name for path in Path.cwd().iterdir()))
"""


def test_on_a_file_system_that_is_really_full(artifact: Path, tmp_path: Path) -> None:
    full, safe = tmp_path / "full", tmp_path / "safe"
    full.mkdir()
    safe.mkdir()
    (tmp_path / "code.py").write_text(FULL)
    mounted = 'mount -t tmpfs -o size=64k tmpfs "$1" && cd "$1" && shift && exec "$@"'
    space = ["unshare", "-rm", "sh", "-c", mounted, "sh", str(full)]
    try:
        subprocess.run([*space, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    line = [*space, sys.executable, str(tmp_path / "code.py"), str(artifact), str(safe)]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(line, capture_output=True, text=True, check=True, env=here)
    assert "cannot be written" in ended.stdout
    assert "No space left" in ended.stdout
    assert "['filling']" in ended.stdout, "nothing half-written"
    assert f"the result is safe in {safe / 'out-rescued'}" in ended.stderr
    assert Artifact.from_pretrained(safe / "out-rescued").digest() == Artifact.from_pretrained(artifact).digest()


def test_control_errors_of_the_rescue_are_the_packages_own() -> None:
    assert issubclass(StorageError, SteeringError)
