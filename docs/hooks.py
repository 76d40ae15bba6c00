"""Let pages refer to committed files outside docs/: benchmarks, and code.

On disk, and wherever a repository is read, `../benchmarks/x.json` is right. In the built pages the
files that are referred to lie beside the pages, code and Markdown as text.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = re.compile(r"\]\((?:\.\./)+([^)#]+)\)")
AS_TEXT = (".md", ".py")


def place(name: str) -> str | None:
    """Where a file outside docs/ lies in the built pages; None where there is none."""
    if not (ROOT / name).is_file():
        return None
    return f"files/{name}.txt" if name.endswith(AS_TEXT) else f"files/{name}"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages refer to."""
    pages = [file.content_string for file in files.documentation_pages()]
    names = {name for page in pages for name in OUTSIDE.findall(page)}
    for name in sorted(names):
        there = place(name)
        if there is not None:
            content = (ROOT / name).read_bytes()
            files.append(File.generated(config, there, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the copies."""
    up = "../" * page.file.src_uri.count("/")

    def inside(match: re.Match[str]) -> str:
        there = place(match[1])
        return match[0] if there is None else f"]({up}{there})"

    return OUTSIDE.sub(inside, markdown)
