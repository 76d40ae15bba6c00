"""Corrected scores: against a plain loop, their invariants, and where the truth is known."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.search.candidate import Candidate, StatedScore
from paretobert.search.front import ParetoFront
from paretobert.search.pool import Pool, outcomes
from paretobert.search.selection import (
    MIN_EXAMPLES,
    CorrectedScore,
    SelectionReport,
    corrected_choice,
    corrected_front,
    parts,
)
from paretobert.tasks.metrics import METRICS
from paretobert.tasks.scores import score_predictions

from .conftest import latency, printed, stored

NUM_EXAMPLES = 40


def network(
    predictions: Sequence[float], labels: Sequence[float], *, cost: int, metric: str = "accuracy"
) -> Candidate:
    evaluation = score_predictions(
        task="test",
        split="search",
        metrics=(metric,),
        labels=tuple(labels),
        predictions=tuple(predictions),
    )
    return stored(f"costs {cost}", evaluation, num_params=100 - cost, num_macs=cost)


def coins(
    num_networks: int, num_examples: int, *, seed: int, metric: str = "accuracy"
) -> list[Candidate]:
    """Networks that all guess, at different costs: none is better than another."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=num_examples).tolist()
    return [
        network(guesses.tolist(), labels, cost=cost, metric=metric)
        for cost, guesses in enumerate(
            generator.integers(2, size=(num_networks, num_examples)), start=1
        )
    ]


metric_names = st.sampled_from(("accuracy", "f1", "macro_f1", "matthews", "pearson"))
seeds = st.integers(0, 2**16)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "matthews", "pearson"])
def test_a_plain_loop_finds_the_same(metric):
    networks = coins(5, NUM_EXAMPLES, seed=3, metric=metric)
    labels = np.array(networks[0].evaluation.labels)
    guesses = np.array([entry.evaluation.predictions for entry in networks])

    def scores(chosen):
        return [METRICS[metric](tuple(labels[chosen]), tuple(row[chosen])) for row in guesses]

    best = int(np.argmax(scores(labels >= 0)))
    strata = np.zeros(NUM_EXAMPLES) if metric == "pearson" else labels
    losses = []
    for part in parts(strata, repeats=3, seed=1) > 0:
        again = int(np.argmax(np.round(scores(~part), 12)))
        within = scores(part)
        losses.append(within[best] - within[again])
    found = corrected_choice(Pool.of(networks), repeats=3, seed=1)
    assert found.plain == networks[best].evaluation.value
    assert found.optimism == pytest.approx(np.mean(losses))
    assert (found.num_tried, found.n, found.repeats, found.seed) == (5, NUM_EXAMPLES, 3, 1)
    assert found.standard_error == networks[best].evaluation.standard_error


@settings(max_examples=20, deadline=None)
@given(seed=seeds, metric=metric_names, copies=st.integers(1, 3))
def test_one_network_keeps_its_score_whatever_it_costs(seed, metric, copies):
    (single,) = coins(1, NUM_EXAMPLES, seed=seed, metric=metric)
    same = [stored(str(i), single.evaluation, num_macs=i + 1) for i in range(copies)]
    found = corrected_choice(Pool.of(same), repeats=2, seed=seed)
    assert found.corrected == found.plain == single.evaluation.value


@settings(max_examples=20, deadline=None)
@given(seed=seeds, data=st.data())
def test_the_order_of_candidates_does_not_matter_and_the_seed_decides(seed, data):
    networks = coins(6, NUM_EXAMPLES, seed=seed)
    shuffled = data.draw(st.permutations(networks))
    assert corrected_choice(Pool.of(shuffled), repeats=2) == corrected_choice(
        Pool.of(networks), repeats=2
    )
    fronts = [ParetoFront.of(each, ("score", "num_flops")) for each in (networks, shuffled)]
    first, second = (corrected_front(front, repeats=2) for front in fronts)
    assert first == second


def test_another_seed_divides_otherwise():
    networks = coins(20, NUM_EXAMPLES, seed=0)
    first, second = (corrected_choice(Pool.of(networks), repeats=7, seed=seed) for seed in (0, 1))
    assert first.plain == second.plain
    assert first.corrected != second.corrected


def test_guesses_are_seen_through():
    """The truth of every network is one half: 2.5 standard errors of the mean are allowed."""
    found = [corrected_choice(Pool.of(coins(25, 200, seed=s)), repeats=4) for s in range(24)]
    plain, corrected = (np.array([getattr(e, n) for e in found]) for n in ("plain", "corrected"))
    assert plain.mean() > 0.55
    assert abs(corrected.mean() - 0.5) < 2.5 * corrected.std(ddof=1) / np.sqrt(len(found))


def test_what_wins_everywhere_is_not_flattered():
    labels = (0, 1) * 20
    networks = [
        network(labels, labels, cost=9),
        network((0,) * 40, labels, cost=1),
        network((1,) * 40, labels, cost=2),
    ]
    found = corrected_choice(Pool.of(networks))
    assert (found.plain, found.corrected, found.num_tried) == (1, 1, 3)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, objectives=st.permutations(("score", "num_flops", "num_params")))
def test_a_member_is_corrected_among_what_costs_no_more(seed, objectives):
    names = tuple(objectives[: 2 + seed % 2])
    if "score" not in names:
        names = ("score", names[0])
    networks = coins(8, NUM_EXAMPLES, seed=seed)
    front = ParetoFront.of(networks, names)
    report = corrected_front(front, repeats=2)
    assert list(report.scores) == [member.key for member in front.members]
    assert (report.objectives, report.num_tried) == (names, 8)
    costs = [name for name in names if name != "score"]
    for member in front.members:
        rivals = [
            entry
            for entry in networks
            if all(entry.known_value(name) <= member.known_value(name) for name in costs)
        ]
        assert report.scores[member.key] == corrected_choice(Pool.of(rivals), repeats=2)


def test_what_was_scored_and_not_measured_was_chosen_from_as_well():
    networks = coins(8, NUM_EXAMPLES, seed=3)
    timed = [
        entry.timed(latency(1.0 + place)) if place % 2 else entry
        for place, entry in enumerate(sorted(networks, key=lambda each: each.num_flops))
    ]
    front = ParetoFront.of(timed, ("score", "latency_ms"))
    report = corrected_front(front, repeats=2)
    assert len(front.unmeasured) == 4
    assert report.num_tried == 8
    for member in front.members:
        rivals = [
            entry
            for entry in timed
            if (
                entry.num_flops <= member.num_flops
                if entry.latency is None
                else entry.latency.time_ms.value <= member.latency.time_ms.value
            )
        ]
        assert report.scores[member.key] == corrected_choice(Pool.of(rivals), repeats=2)


@settings(max_examples=20, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=10, max_size=60),
    repeats=st.integers(1, 3),
    folds=st.integers(2, 6),
)
def test_parts_divide_the_examples_and_each_label_evenly(labels, repeats, folds):
    found = parts(labels, repeats=repeats, seed=0, folds=folds).reshape(repeats, folds, -1)
    assert (found.sum(axis=1) == 1).all()
    sizes = found.sum(axis=2)
    assert np.ptp(sizes, axis=1).max() <= 1
    for label in set(labels):
        of_label = found[:, :, np.array(labels) == label].sum(axis=2)
        assert np.ptp(of_label, axis=1).max() <= 1


def test_records_read_back():
    report = corrected_front(
        ParetoFront.of(coins(4, NUM_EXAMPLES, seed=0), ("score", "num_flops")), repeats=1
    )
    assert SelectionReport.from_dict(report.to_dict()) == report
    score = next(iter(report.scores.values()))
    assert CorrectedScore.from_dict(score.to_dict()) == score


def test_what_cannot_be_corrected_is_refused():
    networks = coins(3, NUM_EXAMPLES, seed=0)
    with pytest.raises(ValueError, match="not chosen by a score"):
        corrected_front(ParetoFront.of(networks, ("num_flops",)))
    with pytest.raises(ValueError, match="no candidates"):
        corrected_choice(Pool.of([]))
    with pytest.raises(ValueError, match="not scored on the same examples"):
        corrected_choice(Pool.of([*networks, *coins(3, NUM_EXAMPLES, seed=1)]))
    with pytest.raises(ValueError, match="too few to divide"):
        corrected_choice(Pool.of(coins(3, MIN_EXAMPLES - 1, seed=0)))
    stated = printed("stated", StatedScore("test", "search", "accuracy", 0.5))
    with pytest.raises(ValueError, match="no candidates"):
        corrected_choice(Pool.of([stated]))
    with pytest.raises(ValueError, match="without outcomes"):
        outcomes(stated)
