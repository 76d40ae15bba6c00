"""The page without a browser: its parts and its escaping."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from paretobert.reports.page import page_html, report_figures, write_report
from paretobert.search.selection import MIN_EXAMPLES


class Outline(HTMLParser):
    """Counts tags and keeps the text outside scripts and styles."""

    def __init__(self):
        super().__init__()
        self.tags, self.words, self.data, self.inside = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = [tag, dict(attrs).get("type")]

    def handle_endtag(self, tag):
        self.inside = []

    def handle_data(self, data):
        if self.inside[:1] == ["script"]:
            if self.inside[1] == "application/json":
                self.data.append(json.loads(data))
        elif self.inside[:1] != ["style"]:
            self.words.append(data)


def outline(html):
    parser = Outline()
    parser.feed(html)
    return parser


def html_of(content):
    return page_html(content, {})


@pytest.fixture(scope="module")
def report(content, tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("run") / "report", content)


def test_every_file_is_there(report):
    names = {str(path.relative_to(report.parent)) for path in report.parent.rglob("*.*")}
    figures = {
        f"figures/{name}.{kind}"
        for name in ("latency", "params", "flops")
        for kind in ("png", "svg")
    }
    tables = {
        f"tables/{name}.{kind}"
        for name in ("results", "selection", "published")
        for kind in ("csv", "md")
    }
    assert names == {"index.html"} | figures | tables


def test_the_page_needs_no_other_file(report):
    text = report.read_text(encoding="utf-8")
    assert text.count("<script") == 2
    assert not re.search(r"<(?:script|img|link|iframe)[^>]*\b(?:src|href)=", text)
    assert "default-src 'none'" in text


def test_figures_protocol_and_explanations_are_on_the_page(report, content):
    page = outline(report.read_text(encoding="utf-8"))
    words = " ".join(page.words)
    (data,) = page.data
    facts = data["settings"][0]["measured"][0]["facts"]
    assert content.protocol.title in facts["protocol"]
    assert content.environment.processor in facts["machine"]
    assert "7 discarded" in facts["noise"]
    assert "reference point" in words
    assert "Wilson" in words
    assert "64,349" in words
    assert content.provenance["command"] in words


def test_the_same_content_gives_the_same_page(report, content):
    assert html_of(content) == report.read_text(encoding="utf-8")


def test_an_older_report_is_replaced_as_a_whole(content, tmp_path):
    folder = tmp_path / "report"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "stale.png").write_bytes(b"")
    write_report(folder, replace(content, published=()))
    assert not (folder / "figures" / "stale.png").exists()
    assert not (folder / "tables" / "published.csv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_the_front_is_shown_with_corrected_scores(report, content):
    words = " ".join(outline(report.read_text(encoding="utf-8")).words)
    assert "The front was chosen from 12 networks by 3000 search examples" in words
    table = (report.parent / "tables" / "selection.md").read_text(encoding="utf-8").splitlines()
    assert len(table) == 2 + len(content.selection.scores)


def test_too_few_search_examples_to_divide_leave_the_correction_out(content, holding):
    n = MIN_EXAMPLES - 1
    few = tuple(
        replace(
            c,
            evaluation=replace(
                e,
                interval=replace(e.interval, n=n),
                labels=e.labels[:n],
                predictions=e.predictions[:n],
            ),
        )
        for c in content.candidates
        if (e := c.evaluation)
    )
    scarce = holding(content, few)
    assert scarce.selection is None
    page = outline(html_of(scarce))
    assert page.data[0]["scores"]["halves"] is None
    assert "The front was chosen from" not in " ".join(page.words)


def test_without_report_scores_the_search_split_is_shown(content):
    page = outline(html_of(replace(content, reported={})))
    words = " ".join(page.words)
    assert "accuracy on the search split (3000 examples)" in words
    assert "They are not drawn" in words
    assert "DynaBERT" not in json.dumps(page.data)


def test_without_latency_there_is_no_latency_figure(content, holding):
    candidates = tuple(c.timed(None) for c in content.candidates)
    plain = holding(content, candidates, protocol=None, environment=None)
    assert [figure.name for figure in report_figures(plain)] == ["params", "flops"]
    (data,) = outline(html_of(plain)).data
    costs = data["settings"][0]["measured"][0]["costs"]
    assert set(costs) == {"num_params", "num_flops"}


def test_nasty_strings_stay_text(content, nasty_content, nasty):
    plain = outline(html_of(content))
    page = outline(html_of(replace(nasty_content, warnings=())))
    assert plain.tags == page.tags
    assert " ".join(nasty.split()) in " ".join(" ".join(page.words).split())
    assert page.data[0]["networks"][0]["label"].startswith(nasty)


def test_content_of_two_metrics_is_refused(content):
    first, second, *_ = content.candidates
    other = replace(second, evaluation=replace(second.evaluation, metric="f1"))
    with pytest.raises(ValueError, match="different evaluations"):
        replace(content, candidates=(first, other))


def test_content_without_networks_is_refused(content):
    with pytest.raises(ValueError, match="at least one network"):
        replace(content, candidates=content.published)


def test_content_with_a_repeated_key_is_refused(content):
    with pytest.raises(ValueError, match="same key"):
        replace(content, candidates=(*content.candidates, content.candidates[0]))


def test_a_stored_network_is_on_the_page_like_any_other(with_stored):
    candidate = with_stored.candidates[-1]
    page = outline(html_of(with_stored))
    words = " ".join(page.words)
    assert "13 networks, accuracy on the report split (872 examples)" in words
    assert "The front was chosen from 13 networks" in words
    assert "PoWER-BERT (2x): ×0.50 latency" in words
    assert candidate.key in with_stored.selection.scores
    assert [figure.points[12].on_front for figure in report_figures(with_stored)] == [True] * 3


def test_a_further_report_split_is_in_the_data(with_stored):
    (data,) = outline(html_of(with_stored)).data
    found = data["scores"]["further"]["report-mismatched"]
    expected = [score.value for score in with_stored.further["report-mismatched"].values()]
    assert [value for value, _, _ in found] == expected
