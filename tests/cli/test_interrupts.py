"""Ctrl-C ends with code 130, one sentence and no traceback, also while Python is importing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from easyedit_split.cli.interrupts import NOTHING, SIGNALS, orderly

START = "import sys; sys.argv = ['easyedit-split', 'sweep', '--help']; from easyedit_split.cli.entry import main; "
SLOW = "sys.meta_path.insert(0, type('Slow', (), {'find_spec': lambda *a: __import__('time').sleep(0.02)})()); "


@pytest.mark.parametrize(("wait", "number"), [(0.3, signal.SIGINT), (1.0, signal.SIGINT), (0.3, signal.SIGTERM)])
def test_a_signal_while_importing_is_one_sentence(wait: float, number: signal.Signals) -> None:
    code = f"{START}{SLOW}print('ready', flush=True); main()"
    line = [sys.executable, "-c", code]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(wait)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == f"{NOTHING}\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_that_stops_by_itself_is_asked_first_and_stopped_by_a_second_signal(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    with pytest.raises(KeyboardInterrupt), orderly() as asked:
        assert not asked()
        signal.raise_signal(number)
        assert asked()
        signal.raise_signal(number)
    assert {each: signal.getsignal(each) for each in SIGNALS} == before


ENDING = """
import atexit, sys
atexit.register(print, "the interpreter's own end", flush=True)
import easyedit_split.cli.main as cli
def stopped():
    print("kept", end="")
    raise {error}
cli.app = stopped
from easyedit_split.cli.entry import main
main()
"""


@pytest.mark.parametrize(("error", "code"), [("KeyboardInterrupt", 130), ("SystemExit(3)", 3)])
def test_after_ctrl_c_the_interpreters_own_end_is_not_waited_for(error: str, code: int) -> None:
    line = [sys.executable, "-c", ENDING.format(error=error)]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert ended.stdout == "kept" + ("" if code == 130 else "the interpreter's own end\n")
    assert ended.stderr == (f"{NOTHING}\n" if code == 130 else "")
