"""Every measured number of a page stands in a committed file."""

import doctest
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "pages.py")
pages = importlib.util.module_from_spec(SPEC)
sys.modules["pages"] = pages
SPEC.loader.exec_module(pages)

ALLOWED = {
    "README.in.md": "128 3.11 95 12",
    "science.in.md": "1 128 95 64 32 2 .9 .95 .99 111 465",
    "costs.in.md": "",
    "statistics.in.md": "95",
    "many-machines.in.md": "0 1 2 3 4 5 6 7 8 10 15 16 25 32 33 100 109 250 400 440 872 1,000 "
    "10,000 100,000 4,800 0.1 2.8",
}
"""Numbers that are no measurements: lengths, batches, versions, levels, and those of a plan."""

NO_NUMBERS = (
    pages.HEAD,
    re.compile(r"```.*?```", re.DOTALL),
    re.compile(r"(?<=\n\n)(?: {4}.*\n)+"),
    pages.PLACE,
    re.compile(r"`[^`]*`"),
    re.compile(r"\]\([^)]*\)"),
    re.compile(r"\b[A-Za-z]+-?\d+(\.\d+)?\b"),
)
"""What holds digits and is no number: placeholders, code, links, names such as SST-2."""

HEAD = "<!--\nd = benchmarks/sst2/deployments.json\n-->\n"

TEMPLATES = [pytest.param(path, id=path.name) for path in pages.PAGES]


def typed_in(template: str) -> set[str]:
    for gone in NO_NUMBERS:
        template = gone.sub(" ", template)
    return set(re.findall(r"\.?\d[\d.,]*\d|\.?\d", template))


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_page_is_made_of_its_sources(template: Path) -> None:
    text, page = pages.rendered(template.read_text()), pages.PAGES[template].read_text()
    lines = zip(page.splitlines(), text.splitlines(), strict=True)
    differing = [f"{now}\n  should be\n{then}" for now, then in lines if now != then]
    assert not differing, "make pages:\n" + "\n".join(differing)


def test_every_template_has_a_page() -> None:
    assert set(pages.PAGES) == set((ROOT / "docs").rglob("*.in.md"))


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_number_is_typed_in(template: Path) -> None:
    assert typed_in(template.read_text()) == set(ALLOWED[template.name].split())


def test_a_number_that_is_typed_in_is_found() -> None:
    text = HEAD + "SST-2 in int8: {{d:n}}, .93 [.9, 1.02] of `5`, 5,000 and 7\n\n    1e-4 2\n"
    assert typed_in(text) == {".93", ".9", "1.02", "5,000", "7"}
    assert typed_in(HEAD + "a\n   {{d:n}} and 3\n    or 4\n") == {"3", "4"}


def test_what_no_source_has_is_named() -> None:
    assert pages.rendered(HEAD + "{{d:n|.0f}}") == "2000"
    with pytest.raises(KeyError, match=r"d:nothing: benchmarks/sst2/deployments.json has no"):
        pages.rendered(HEAD + "{{d:nothing|.1f}}")
    with pytest.raises(KeyError, match="runtime=none"):
        pages.rendered(HEAD + "{{d:deployments[runtime=none].ratio|.1f}}")
    with pytest.raises(KeyError, match="ratio leads to 8 values"):
        pages.rendered(HEAD + "{{d:deployments.*.ratio|.1f}}")


def test_several_values_make_one_or_cells_or_lines() -> None:
    eager = "d:deployments[runtime=eager]"
    sizes = (
        "{{min d:deployments.*.size_bytes|.0f*1e-6}}, {{max d:deployments.*.size_bytes|.0f*1e-6}}"
    )
    assert pages.rendered(HEAD + sizes) == "24, 92"
    assert pages.rendered(HEAD + "{{cells " + eager + ".precision}}") == "fp32 | bf16 | int8"
    lines = "{{for " + eager + "}}{{.precision}}: {{.ratio|.2p}} of {{d:n}}\nend\n"
    assert pages.rendered(HEAD + lines) == (
        "fp32: 1.00 of 2000\nbf16: .37 of 2000\nint8: .27 of 2000\nend\n"
    )


def test_what_the_module_shows_holds() -> None:
    found = doctest.testmod(pages)
    assert (found.failed, found.attempted > 5) == (0, True)


def test_every_link_leads_somewhere() -> None:
    texts = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for page in texts:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            if not page.name.endswith(".in.md"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_a_cell_is_what_it_printed() -> None:
    outputs = [
        {"output_type": "stream", "name": "stderr", "text": "query: ...\n"},
        {"output_type": "stream", "name": "stdout", "text": ["the answer\n", "in lines\n"]},
    ]
    notebook = {"cells": [{"id": "other"}, {"id": "query", "outputs": outputs}]}
    assert pages.output(notebook, "query") == "the answer\nin lines"
