"""A clone is found where the user says, and its commit is read without git."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyedit_split.easyedit.host import clone as host
from easyedit_split.types import ConfigError

SHA = "14cea8245f06715684592ab55184939b99d70784"


def clone(path: Path) -> Path:
    (path / "steer" / "utils").mkdir(parents=True)
    (path / host.MARK).write_text("")
    return path.resolve()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EASYEDIT_HOME", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


def test_found_by_option_environment_and_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.find_clone() is None
    one, two = clone(tmp_path / "one"), clone(tmp_path / "two")
    monkeypatch.chdir(one / "steer")
    assert host.require_clone().path == one
    monkeypatch.setenv("EASYEDIT_HOME", str(two))
    assert host.require_clone().path == two
    assert host.require_clone(one).path == one


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"--easyedit-home is .* no clone of EasyEdit2"):
        host.find_clone(tmp_path)
    monkeypatch.setenv("EASYEDIT_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="EASYEDIT_HOME is"):
        host.find_clone()
    monkeypatch.delenv("EASYEDIT_HOME")
    with pytest.raises(ConfigError, match="no clone of EasyEdit2 here"):
        host.require_clone()


def git(path: Path, head: str) -> Path:
    folder = path / ".git"
    folder.mkdir()
    (folder / "HEAD").write_text(head)
    return folder


def test_commit_of_branch_tag_and_worktree(tmp_path: Path) -> None:
    detached = clone(tmp_path / "detached")
    git(detached, SHA + "\n")
    assert host.commit_of(detached) == SHA

    loose = clone(tmp_path / "loose")
    refs = git(loose, "ref: refs/heads/main\n") / "refs" / "heads"
    refs.mkdir(parents=True)
    (refs / "main").write_text(SHA + "\n")
    assert host.commit_of(loose) == SHA

    packed = clone(tmp_path / "packed")
    (git(packed, "ref: refs/heads/main\n") / "packed-refs").write_text(f"# pack-refs\n{SHA} refs/heads/main\n")
    assert host.commit_of(packed) == SHA

    tree = clone(tmp_path / "tree")
    own = packed / ".git" / "worktrees" / "tree"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    (own / "commondir").write_text("../..\n")
    (tree / ".git").write_text(f"gitdir: {own}\n")
    assert host.commit_of(tree) == SHA
    assert host.commit_of(clone(tmp_path / "archive")) is None


def test_description_says_whether_the_commit_was_tested(tmp_path: Path) -> None:
    assert "tested: main of" in host.Host(tmp_path, SHA).describe()
    assert "not one of the tested commits" in host.Host(tmp_path, "f" * 40).describe()
    assert "unknown" in host.Host(tmp_path, None).describe()
