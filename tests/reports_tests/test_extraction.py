"""The figure of an extraction: its record, and that its drawing shows the record."""

import math

from paretobert.reports.figures.extraction import NEIGHBOURS, extraction_figure
from paretobert.search.ose import Extraction, Point, Size, extract

POINTS = [Point(f"p{n}", Size(n * 1e6, n * 1e9)) for n in range(1, 21)]


def extraction() -> Extraction[float]:
    """Errors fall with the size, and the training of p3 diverges."""

    def error(point: Point, theta: float) -> float:
        return math.inf if point.name == "p3" else 50 / (10 + point.size.params / 1e6) ** 2

    return extract(POINTS, epsilon=1e-6, thetas=(0.1,), error=error)


def test_the_record_has_every_trained_candidate_by_its_terms() -> None:
    found = extraction()
    figure = extraction_figure(found, candidates=20)
    names = {figure.winner.name, *(mark.name for mark in figure.others)}
    assert names == {f"p{n}" for n in range(1, 20)} - {"p3"}
    best = max(found.ranking, key=lambda entry: entry.value)
    assert figure.winner.name == best.point.name
    assert figure.winner.w == figure.winner.smaller * figure.winner.faster / figure.winner.error
    assert figure.winner.millions == best.point.size.params / 1e6
    assert figure.caption.startswith("18 of 20 candidates were trained")


def test_neighbours_are_nearest_in_size_and_hold_the_winner() -> None:
    figure = extraction_figure(extraction(), candidates=20)
    sizes = [mark.millions for mark in figure.neighbours]
    assert sizes == sorted(sizes)
    assert len(sizes) == NEIGHBOURS + 1
    assert figure.winner in figure.neighbours
    others = {mark.millions for mark in figure.others} - set(sizes)
    nearest = max(abs(math.log(size / figure.winner.millions)) for size in sizes)
    assert all(abs(math.log(size / figure.winner.millions)) >= nearest for size in others)


def test_the_drawing_shows_the_record() -> None:
    figure = extraction_figure(extraction(), candidates=20)
    above, *below = figure.drawn().axes
    candidates, winner = above.get_lines()
    assert list(winner.get_ydata()) == [figure.winner.w]
    assert list(candidates.get_ydata()) == [mark.w for mark in figure.others]
    widths = [[bar.get_width() for bar in axes.patches] for axes in below]
    assert widths == [[mark.terms[place] for mark in figure.neighbours] for place in range(3)]
    assert figure.png() == figure.png()
    assert figure.png().startswith(b"\x89PNG")
    assert b"<svg" in figure.svg()
