"""Full disks: an error at each change of the file system in turn, and file systems that are really full.

The first kind refuses one change (a file opened, a folder made, a move, a flush) of one run, every one in turn. The
second gives a run a tmpfs of a few kilobytes, so that whatever writes there, in Python or not, meets the end of it. A
result is then safe in the working folder; a run that was stopped goes on once the file system is larger. Mounting needs
root, or a name space of one's own: ``unshare -rm make hard``.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
from pathlib import Path

from .kills import at_operation
from .runs import COMMANDS, Ended, Place, contents, references, run

SIZES = 12
"""File systems of so many sizes for each command, from one page to what the whole run needs."""
_PAGE = 4096


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def operations(place: Place) -> list[tuple[str, int]]:
    """Every command with the number of each of its changes of the file system."""
    found = []
    for command in COMMANDS:
        to = place.folder / f"counted-{command}"
        to.mkdir()
        seen = multiprocessing.Value("i", 0)
        ended = run(place.line(command, to), at_operation(0, full, to, seen))
        assert ended.code == 0, ended.said
        found += [(command, k) for k in range(1, seen.value + 1)]
    return found


def refused_case(place: Place, command: str, operation: int) -> tuple[str, str]:
    """The disk is full at one operation: one sentence, and nothing lost; a second run ends as ever."""
    to = place.folder / f"disk-{command}-{operation}"
    to.mkdir()
    return _judged(place, command, run(place.line(command, to), at_operation(operation, full, to)), to, to, operation)


def filled_case(place: Place, command: str, size: int) -> tuple[str, str]:
    """A file system of so many bytes: one sentence, the result elsewhere or the run gone on with; nothing lost."""
    to, safe = (place.folder / f"{name}-{command}-{size}" for name in ("small", "safe"))
    to.mkdir()
    safe.mkdir()
    _mount("tmpfs", "-t", "tmpfs", "-o", f"size={size},nr_inodes=0", str(to))
    try:
        ended = run(place.line(command, to), lambda: os.chdir(safe))
        _mount("-o", "remount,size=64m", str(to))
        return _judged(place, command, ended, to, safe, size)
    finally:
        subprocess.run(["umount", "-l", str(to)], check=True)


def _judged(place: Place, command: str, ended: Ended, to: Path, safe: Path, at: int) -> tuple[str, str]:
    wanted, _ = references(place, command)
    example = f"{command} at {at}: {ended.said[-600:]}"
    if not ended.clean or ended.code not in (0, 2):
        return "traceback", example
    if ended.code == 2 and "the result is safe in" in ended.said:
        names = {
            name.replace("out-rescued", "out", 1): name for name in visible(safe) if name.startswith("out-rescued")
        }
        found = {name: visible(safe)[there] for name, there in names.items()}
        return ("equal", "") if _without_report(found) == _without_report(wanted) else ("wrong", example)
    if ended.code == 2:
        ended = run(place.line(command, to))
        if ended.code == 2 and "exists already" in ended.said:
            ended = run((*place.line(command, to), "--overwrite"))
    return ("equal", "") if visible(to) == wanted else ("wrong", f"{example} {ended.said[-300:]}")


def _without_report(files: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in files.items() if "report.md" not in name}  # which names its folder


def visible(folder: Path) -> dict[str, str]:
    """Digests of the files that are no run's own; a lock that could not be removed holds nobody up."""
    return {name: digest for name, digest in contents(folder).items() if not Path(name).name.startswith(".")}


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def can_mount(place: Place) -> bool:
    """Whether file systems can be mounted here."""
    to = place.folder / "mounted"
    to.mkdir(exist_ok=True)
    try:
        _mount("tmpfs", "-t", "tmpfs", "-o", "size=64k", str(to))
        subprocess.run(["umount", str(to)], check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def sizes(place: Place) -> list[tuple[str, int]]:
    """Every command with file systems from one page to what its results take, and the files that it writes beside."""
    found = []
    for command in COMMANDS:
        wanted, _ = references(place, command)
        folder = place.folder / "reference" / f"{command}0"
        pages = sum(-(-path.stat().st_size // _PAGE) for path in folder.rglob("*") if path.is_file())
        assert wanted
        found += [(command, _PAGE * max(1, round(2 * pages * k / SIZES))) for k in range(1, SIZES + 1)]
    return list(dict.fromkeys(found))
