"""The explorer as one HTML document: its data, its style and its modules inside (no torch).

The modules are ordinary ES modules, so that an editor follows their imports. A page opened from
the file system may not import files, so that they are joined here into one, in the order of
`MODULES`, without their import lines; names are therefore unique over all of them.

The page's policy (Content-Security-Policy) forbids every connection and every script but the one
whose hash it names. Strings that came from outside are data, which the modules show as text only,
or are escaped here: a task may be called "</script>".
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from typing import Any

MODULES = (
    "format",
    "statistics",
    "rule",
    "model",
    "state",
    "element",
    "marks",
    "scatter",
    "budget",
    "card",
    "pins",
    "table",
    "save",
    "main",
)
"""The page's modules; one uses those before it."""

_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def document(
    title: str, data: Mapping[str, Any], *, before: Iterable[str], after: Iterable[str]
) -> str:
    """The whole page.

    Args:
        title: The heading.
        data: What `explorer_data` gathered.
        before: HTML before the explorer, such as the heading.
        after: HTML after it.
    """
    assets = files(__package__)
    script = joined(MODULES)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)}</title>",
        f"<style>{(assets / 'explorer.css').read_text(encoding='utf-8')}</style>",
        "</head>",
        "<body>",
        *before,
        (assets / "explorer.html").read_text(encoding="utf-8"),
        *after,
        f'<script type="application/json" id="data">{embedded(data)}</script>',
        f'<script type="module">{script}</script>',
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(parts)


def joined(names: Iterable[str]) -> str:
    """Some of the page's modules as one, in the order of their names."""
    assets = files(__package__)
    texts = ((assets / f"{name}.js").read_text(encoding="utf-8") for name in names)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def embedded(data: Mapping[str, Any]) -> str:
    """JSON that no HTML parser takes for a tag: without "<", which is escaped."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
