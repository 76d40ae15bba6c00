"""Every number of README.md stands in a committed file."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("readme", ROOT / "docs" / "readme.py")
readme = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(readme)

ALLOWED = {"128", "3.11", "95", "2.0", "12"}
"""Numbers that are no measurements: a length, versions, a level, a network's."""


def test_readme_is_made_of_its_sources() -> None:
    text = readme.rendered(readme.TEMPLATE.read_text())
    lines = zip(readme.RESULT.read_text().splitlines(), text.splitlines(), strict=True)
    differing = [f"{now}\n  should be\n{then}" for now, then in lines if now != then]
    assert not differing, "make readme:\n" + "\n".join(differing)


def test_no_number_is_typed_in() -> None:
    template = readme.TEMPLATE.read_text()
    for gone in (
        readme.HEAD,
        readme.PLACE,
        re.compile(r"```.*?```", re.DOTALL),
        re.compile(r"`[^`]*`"),
        re.compile(r"^    .*$", re.MULTILINE),
        re.compile(r"\]\([^)]*\)"),
        re.compile(r"\b(int8|bf16|fp32|SST-2)\b"),
    ):
        template = gone.sub(" ", template)
    assert set(re.findall(r"\d[\d.]*\d|\d", template)) <= ALLOWED


def test_what_no_source_has_is_named() -> None:
    head = "<!--\nd = benchmarks/sst2/deployments.json\n-->\n"
    assert readme.rendered(head + "{{d:n|.0f}}") == "2000"
    with pytest.raises(KeyError, match=r"d:nothing\|.1f: benchmarks/sst2/deployments.json has no"):
        readme.rendered(head + "{{d:nothing|.1f}}")
    with pytest.raises(KeyError, match="runtime=none"):
        readme.rendered(head + "{{d:deployments[runtime=none].ratio|.1f}}")


def test_paths_and_formats() -> None:
    rows = {"rows": [{"n": "1", "x": 5}, {"n": "2", "x": {"value": 7, "low": 6, "high": 8}}]}
    assert readme.looked_up(rows, "rows[n=1].x") == 5
    assert readme.printed(readme.looked_up(rows, "rows[n=2].x"), "[.1f]") == "7.0 [6.0, 8.0]"
    assert readme.printed(22713986, ".1f*1e-6") == "22.7"
    assert readme.printed("word", "") == "word"


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            if page.name != "README.in.md":
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_a_cell_is_what_it_printed() -> None:
    outputs = [
        {"output_type": "stream", "name": "stderr", "text": "query: ...\n"},
        {"output_type": "stream", "name": "stdout", "text": ["the answer\n", "in lines\n"]},
    ]
    notebook = {"cells": [{"id": "other"}, {"id": "query", "outputs": outputs}]}
    assert readme.output(notebook, "query") == "the answer\nin lines"
