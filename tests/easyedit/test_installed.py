"""The package as a wheel installs it: everything is in it, and the start-up hook of ``activate`` finds its module."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from easyedit_split.easyedit.host import startup

from .hosts import STANDIN

ROOT = Path(__file__).parents[2]
SOURCES = ("easyedit_split", "hparams", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
REGISTERED = """
try:
    import steer.utils.alg_dict
except ImportError:  # the stand-in is as broken as the clone: it imports only where the plugin repairs it
    print("not repaired")
else:
    print("SPLIT" in steer.utils.alg_dict.METHODS_CLASS_DICT)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, offline, by the build backend that pyproject.toml names."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / "source" / name)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    done = run(sys.executable, "-c", build, str(folder), cwd=folder / "source")
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture
def python(wheel: Path, tmp_path: Path) -> Path:
    """The interpreter of a new environment: the wheel installed, what it needs from this environment."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (site / "00_parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    done = run(str(python), "-c", "import easyedit_split as es; print(es.__file__)", cwd=tmp_path)
    assert Path(done.stdout.strip()).is_relative_to(site), done.stderr
    return python


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "EASYEDIT_HOME")}
    return subprocess.run(
        command, cwd=cwd, env={**env, "PYTHONWARNINGS": "ignore"}, capture_output=True, text=True, check=False
    )


def test_a_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "easyedit_split"
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in [*package.rglob("*"), *(package / "hparams").resolve().rglob("*")]
        if path.is_file() and path.is_relative_to(package) and path.suffix != ".pyc"
    }
    wanted |= {f"easyedit_split/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "hparams").rglob("*.yaml")}
    assert wanted - set(zipfile.ZipFile(wheel).namelist()) == set()
    assert {"easyedit_split/py.typed", "easyedit_split/easyedit/watch.py"} <= wanted


@pytest.mark.long
def test_activate_registers_in_every_process_that_imports_steer(python: Path, tmp_path: Path) -> None:
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))

    def registered() -> str:
        done = run(str(python), "-c", REGISTERED, cwd=STANDIN)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert registered() == "not repaired"
    activate = "from easyedit_split.easyedit.commands import activate; print(activate())"
    done = run(str(python), "-c", activate, cwd=tmp_path)
    assert done.stdout.strip() == f"activated: {site / startup.FILE}", done.stderr
    assert registered() == "True"
    (site / "easyedit_split" / "easyedit" / "watch.py").unlink()  # the control: the hook keeps quiet where it is gone
    assert registered() == "not repaired"
