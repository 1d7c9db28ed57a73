"""Hooks of mkdocs: the front page is the README, and each folder of the package gets a page from its docstrings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "easyedit_split"
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)]*)\)")


def front_page() -> str:
    """The README; its links into docs/ become links between pages, those to other files plain text."""

    def link(match: re.Match[str]) -> str:
        text, target = match.groups()
        inside = target.removeprefix("docs/")
        return f"[{text}]({inside})" if inside != target else text

    return LINK.sub(link, (ROOT / "README.md").read_text("utf-8"))


def within_site(markdown: str) -> str:
    """A page of docs/ whose links to files outside of it are plain text: the site holds docs/ alone.

    Args:
        markdown: the page.
    """
    return LINK.sub(lambda match: match[1] if match[2].startswith("../") else match[0], markdown)


def api_pages() -> dict[str, str]:
    """Page by name: the modules at the root together, then one page for each folder."""
    root = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
    folders = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    names = "\n\n".join(f"::: easyedit_split.{name}" for name in root)
    pages = {"root": f"# easyedit_split\n\nThe modules at the root.\n\n{names}\n"}
    for name in folders:
        pages[name] = f"# {name}\n\n::: easyedit_split.{name}\n    options: {{show_root_heading: false}}\n"
    return pages


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages into the navigation.

    Args:
        config: mkdocs' settings.
    """
    assert config.nav is not None
    config.nav.append({"API": [{name: f"api/{name}.md"} for name in api_pages()]})
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Take links out of docs/ off a page.

    Args:
        markdown: the page.
        _: what else mkdocs tells of it.
    """
    return within_site(markdown)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages.

    Args:
        files: what mkdocs found in docs/.
        config: mkdocs' settings.
    """
    generated: dict[str, Any] = {"index.md": front_page()}
    generated |= {f"api/{name}.md": page for name, page in api_pages().items()}
    for name, content in generated.items():
        files.append(File.generated(config, name, content=content))
    return files
