"""The start-up file of ``activate``, which registers this package's methods whenever Python imports EasyEdit2.

One line in one ``.pth`` file of the environment's site-packages, read by every Python process that starts in it. It
puts a finder in front that answers to the name ``steer`` only: when that is imported, it imports
``easyedit_split.easyedit`` and is gone. Until then it does nothing and imports nothing.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Literal

from ...storage import write_whole

FILE = "easyedit_split_activate.pth"

_HOOK = """\
import sys
class EasyEditSplitStartup:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != 'steer':
            return None
        sys.meta_path.remove(EasyEditSplitStartup)
        {prefer}
        try:
            from easyedit_split.easyedit.watch import WATCHER
        except Exception as error:
            if not isinstance(error, ModuleNotFoundError):
                sys.stderr.write(f'easyedit-split: not active, {type(error).__name__}: {error}\\n')
            return None
        return WATCHER.find_spec(name, path, target)
sys.meta_path.insert(0, EasyEditSplitStartup)
"""


def path() -> Path:
    """Path of the start-up file, whether it exists or not."""
    return Path(sysconfig.get_path("purelib")) / FILE


def is_active() -> bool:
    """Whether this environment is activated."""
    return path().is_file()


def line(prefer: Literal["ours", "theirs"] | None = None) -> str:
    """The only line of the start-up file.

    Args:
        prefer: whose method a name means that both have; None where that is an error.
    """
    setting = f"__import__('os').environ.setdefault('EASYEDIT_SPLIT_PREFER', '{prefer}')" if prefer else "pass"
    return f"import sys; exec({_HOOK.replace('{prefer}', setting)!r}, {{}})\n"


def write_hook(prefer: Literal["ours", "theirs"] | None = None) -> Path:
    """Write the start-up file; writing it twice is harmless.

    Args:
        prefer: what wins where EasyEdit2 has a method of the same name.

    Returns:
        The file.
    """
    write_whole(path(), lambda to: _write(to, line(prefer)))
    return path()


def remove_hook() -> bool:
    """Remove the start-up file; returns whether there was one."""
    found = is_active()
    path().unlink(missing_ok=True)
    return found


def _write(to: Path, text: str) -> None:
    to.write_text(text, encoding="utf-8")
