"""Frames, CSV and Markdown."""

import io

import pandas as pd
import pytest

from paretobert.reports.tables import (
    csv_text,
    further_splits,
    markdown_text,
    published_frame,
    readable,
    readable_published,
    readable_selection,
    results_frame,
    selection_frame,
)


@pytest.fixture
def frame(content):
    return results_frame(content.candidates, content.reported, {}, numbers=content.numbers)


def test_frame_holds_both_scores_and_the_fronts(content, frame):
    assert list(frame["number"]) == list(range(1, 13))
    first = frame.iloc[0]
    full = content.candidates[0]
    evaluation = content.reported[full.key]
    assert (first["key"], first["id"]) == (full.name, full.network.id)
    assert (first["report"], first["report_n"]) == (evaluation.value, 872)
    assert first["search"] == content.candidates[0].evaluation.value
    assert first["fronts"] == ""
    assert frame.iloc[11]["fronts"] == "latency, params, flops"


def test_unknown_values_are_missing(content):
    frame = results_frame(
        [*content.candidates, content.published[0]], {}, {}, numbers=content.numbers
    )
    assert frame["report"].isna().all()
    last = readable(frame).iloc[-1]
    assert (last["#"], last["report"], last["latency, ms"]) == ("", "", "")
    assert last["search"] == "0.9290"
    assert frame["num_params"].dtype == "Int64"


def test_a_further_report_split_has_columns_of_its_own(with_stored):
    further = with_stored.further
    frame = results_frame(
        with_stored.candidates, with_stored.reported, further, numbers=with_stored.numbers
    )
    assert further_splits(frame) == ["report-mismatched"]
    assert frame["report-mismatched_n"].tolist() == [800] * 13
    table = readable(frame)
    assert list(table.columns)[-2:] == ["fronts", "report-mismatched"]
    assert table["report-mismatched"].str.contains(r"\[").all()
    assert "report-mismatched" in csv_text(frame).splitlines()[0]
    plain = results_frame(with_stored.candidates, {}, {}, numbers=with_stored.numbers)
    assert further_splits(plain) == []


def test_a_stored_network_is_a_row_with_its_number_and_fronts(with_stored):
    frame = results_frame(
        with_stored.candidates,
        with_stored.reported,
        with_stored.further,
        numbers=with_stored.numbers,
    )
    last = frame.iloc[-1]
    assert (last["number"], last["origin"], last["key"]) == (13, "stored", "PoWER-BERT (2x)")
    assert last["fronts"] == "latency, params, flops"
    assert last["id"] == with_stored.candidates[-1].network.id


def test_readable_shows_intervals_and_what_was_not_resolved(frame):
    table = readable(frame)
    assert table["latency, ms"][0] == "30.00 [29.56, 30.45]"
    assert table["latency / full"][0] == "1.000 [0.985, 1.015]"
    assert table["params"][0] == "22.71M"
    assert table["latency, ms"][7].endswith("(not resolved)")


def test_selection_shows_what_is_left_of_the_search_score(content):
    frame = selection_frame(
        content.selection, content.candidates, content.reported, numbers=content.numbers
    )
    assert list(frame["key"]) == list(content.selection.scores)
    assert (frame["search_gap"] == frame["search"] - frame["report"]).all()
    assert (frame["corrected_gap"] == frame["corrected"] - frame["report"]).all()
    first, score = readable_selection(frame).iloc[0], next(iter(content.selection.scores.values()))
    assert (first["#"], first["network"]) == ("12", "width 0.25, 3 of 6 layers")
    assert first["chosen from"] == "1"
    assert first["corrected"] == f"{score.plain:.4f} ± {score.standard_error:.4f}"
    assert first["search − report"] == "+0.0196"


def test_selection_without_report_scores_leaves_the_gaps_out(content):
    frame = selection_frame(content.selection, content.candidates, {}, numbers=content.numbers)
    first = readable_selection(frame).iloc[0]
    assert (first["report"], first["search − report"], first["corrected − report"]) == ("",) * 3


def test_csv_reads_back(frame):
    back = pd.read_csv(io.StringIO(csv_text(frame)), keep_default_na=False)
    assert list(back["key"]) == list(frame["key"])
    assert list(back["num_params"]) == list(frame["num_params"])
    assert back["latency_ms"].tolist() == pytest.approx(frame["latency_ms"].tolist(), rel=1e-5)


def test_markdown_has_one_line_per_row(frame):
    lines = markdown_text(readable(frame)).splitlines()
    assert len(lines) == 14
    assert lines[0].startswith("| # | network | params | FLOPs |")
    assert set(lines[1]) <= set("| -")


def test_markdown_is_escaped():
    text = markdown_text(pd.DataFrame({"a|b": ["<script>\nx|y"]}))
    assert text == "| a\\|b |\n| --- |\n| &lt;script&gt; x\\|y |\n"


def test_published_numbers_keep_their_source(content):
    frame = published_frame(content.published)
    table = readable_published(frame)
    assert len(table) == 47
    assert table["source"].str.len().min() > 0
    assert table["score"][0] == "0.9290"


def test_no_published_numbers_give_an_empty_frame():
    assert readable_published(published_frame([])).empty
