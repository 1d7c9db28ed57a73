"""One writer an output: the second is refused at once, and a dead one's lock is no obstacle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from easyedit_split.files import locks
from easyedit_split.files.locks import OutputLock
from easyedit_split.storage import StorageError

HOLD = """
import sys, time
from pathlib import Path
from easyedit_split.files.locks import OutputLock
lock = OutputLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def other_process(result: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of a result."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(result)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without such locks."""
    monkeypatch.setattr(locks, "_flock", lambda opened: None)


def test_a_second_writer_is_refused_in_one_sentence_and_a_killed_one_is_not_waited_for(tmp_path: Path) -> None:
    result = tmp_path / "new" / "table.csv"
    with other_process(result) as process:
        with pytest.raises(StorageError, match=rf"table.csv: process {process.pid} on \S+ \(since .*\) is writing it"):
            OutputLock(result)
        OutputLock(tmp_path / "new" / "other.csv").release()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (result.parent / ".table.csv.lock").exists(), "a kill leaves it"
        OutputLock(result).release()
    assert [*result.parent.iterdir()] == []


@pytest.mark.usefixtures("no_flock")
def test_without_flock_the_process_is_asked(tmp_path: Path) -> None:
    result = tmp_path / "table.csv"
    with other_process(result) as process:
        with pytest.raises(StorageError, match="is writing it"):
            OutputLock(result)
        process.kill()
        process.wait()
    OutputLock(result).release()


def test_a_number_that_another_process_has_now_is_not_the_writer(tmp_path: Path, no_flock: None) -> None:
    holder = {**locks._self(), "process": os.getppid(), "started": "1"}
    (tmp_path / ".table.csv.lock").write_text(json.dumps(holder))
    OutputLock(tmp_path / "table.csv").release()
    holder["started"] = locks._started(os.getppid())
    (tmp_path / ".table.csv.lock").write_text(json.dumps(holder))
    with pytest.raises(StorageError, match="is writing it"):
        OutputLock(tmp_path / "table.csv")


@pytest.mark.parametrize(("silent", "alive"), [(5.0, True), (locks.SILENT + 5, False)])
def test_another_machines_lock_counts_while_it_is_renewed(tmp_path: Path, silent: float, alive: bool) -> None:
    file = tmp_path / ".table.csv.lock"
    file.write_text(json.dumps({**locks._self(), "where": "elsewhere", "host": "node7", "process": 12}))
    then = time.time() - silent
    os.utime(file, (then, then))
    if not alive:
        OutputLock(tmp_path / "table.csv").release()
        return
    with pytest.raises(StorageError, match="process 12 on node7"):
        OutputLock(tmp_path / "table.csv")
    assert abs(file.stat().st_mtime - then) < 1, "looking at it renews nothing"


def test_one_process_may_hold_it_twice(tmp_path: Path) -> None:
    first, second = OutputLock(tmp_path / "a"), OutputLock(tmp_path / "." / "a")
    second.release()
    assert first.path.exists()
    first.release()
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"process": "x"}', "\x00" * 50])
def test_a_damaged_lock_of_nobody_is_taken(tmp_path: Path, content: str) -> None:
    file = tmp_path / ".a.lock"
    file.write_text(content)
    os.utime(file, (0, 0))
    OutputLock(tmp_path / "a").release()
    assert [*tmp_path.iterdir()] == []
