"""The records behind the figures of what a search found, and that each can be drawn."""

from dataclasses import replace

import numpy as np
import pytest

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.networks.network import Cut, Network
from paretobert.networks.retention import Retention
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import count_macs
from paretobert.profiling.table import Profile
from paretobert.reports.figures.fidelities import fidelities_figure
from paretobert.reports.figures.layers import MOST, layers_figure
from paretobert.reports.figures.progress import progress_figure
from paretobert.search.candidate import Candidate
from paretobert.search.front import MARGIN

from .conftest import MINILM, evaluation, is_drawn_alike

UNEVEN = SubnetConfig((0, 2, 5), (12, 3, 6), (1536, 384, 768))
SAVING = replace(UNEVEN, tokens=Retention((100, 50, 25), "percent"))


def titled(*configs):
    return [(f"network {i}", Network(c.key, Cut(MINILM, c))) for i, c in enumerate(configs)]


def layers(*configs):
    return layers_figure(titled(*configs), shape=MINILM, lengths=(4, 8), of="score and latency")


def scored(config, share, *, seed=0):
    profile = Profile(
        Network(config.key, Cut(MINILM, config)),
        num_params=1000,
        num_macs=count_macs(MINILM, config, seq_len=128),
        seq_len=128,
        latency=None,
    )
    return Candidate(profile, EAGER_FP32, evaluation(share, split="search", n=1000, seed=seed))


def of_width(width):
    return SubnetConfig.from_multipliers(MINILM, width, 1.0)


def test_bars_are_the_shares_that_each_layer_keeps() -> None:
    (network,) = layers(UNEVEN).networks
    assert network.shares == {
        "heads": (100, 0, 25, 0, 0, 50),
        "neurons": (100, 0, 25, 0, 0, 50),
    }


def test_word_vectors_are_those_that_attention_sees() -> None:
    whole, saving = layers(UNEVEN, SAVING).networks
    assert whole.shares["word-vectors"] == (100, 0, 100, 0, 0, 100)
    assert saving.shares["word-vectors"] == (100, 0, 100, 0, 0, 50)
    assert "word-vectors" in layers(UNEVEN, SAVING).caption.lower()


def test_of_a_long_front_both_ends_are_shown() -> None:
    found = layers(*(of_width(number / 40) for number in range(10, 41)))
    assert len(found.networks) == MOST
    assert [found.networks[place].title for place in (0, -1)] == ["network 0", "network 30"]
    assert "19 members between these are left out" in found.caption


def test_progress_rises_to_the_whole_and_only_where_the_front_moves() -> None:
    found = progress_figure(
        [
            scored(of_width(1.0), 0.90),
            scored(of_width(0.5), 0.80),
            scored(of_width(0.75), 0.70),
            scored(of_width(0.25), 0.85),
        ],
        landmarks={scored(of_width(1.0), 0.9).network.id},
    )
    first, second, third, last = found.shares
    assert first < second == third < last == 1
    assert found.landmarks == first
    assert "after each of 4 networks" in found.caption


def test_progress_is_the_hypervolume_of_all_scored_so_far() -> None:
    generator = np.random.default_rng(5)
    widths = generator.permutation(np.linspace(0.2, 1, 12))
    networks = [
        scored(of_width(width), share, seed=i)
        for i, (width, share) in enumerate(
            zip(widths, generator.uniform(0.6, 0.9, 12), strict=True)
        )
    ]
    found = progress_figure(networks, landmarks={networks[3].network.id})
    costs = np.array([entry.known_value("num_flops") for entry in networks])
    scores = np.array([entry.evaluation.value for entry in networks])
    worst_cost = costs.max() + MARGIN * np.ptp(costs)
    worst_score = scores.min() - MARGIN * np.ptp(scores)

    def area(number):
        steps = np.unique(np.append(costs[:number], worst_cost))
        best = [scores[:number][costs[:number] <= cost].max() for cost in steps[:-1]]
        return float(np.sum(np.diff(steps) * (np.array(best) - worst_score)))

    whole = area(12)
    assert found.shares == pytest.approx([area(number) / whole for number in range(1, 13)])


def test_fidelities_are_compared_where_both_are_known() -> None:
    scores = {
        "a": {"inherited": 0.5, "100 steps": 0.6, "3 epochs": 0.9},
        "b": {"inherited": 0.6, "100 steps": 0.7, "3 epochs": 0.8},
        "c": {"inherited": 0.7, "100 steps": 0.8},
        "d": {"inherited": 0.8, "100 steps": 0.9},
    }
    found = fidelities_figure(
        scores, fidelities=("inherited", "100 steps", "3 epochs"), metric="accuracy"
    )
    assert found.agreements == ((pytest.approx(1.0), 4), (None, 2))
    assert found.scores["c"] == (0.7, 0.8, None)
    assert found.axis_title == "accuracy, search split"


@pytest.mark.parametrize(
    "figure",
    [
        layers(UNEVEN, SAVING),
        progress_figure([scored(of_width(w), 0.9 * w) for w in (1.0, 0.5)], landmarks=set()),
        fidelities_figure(
            {name: {"inherited": i / 9, "5 steps": 0.3} for i, name in enumerate("abcd")},
            fidelities=("inherited", "5 steps"),
            metric="accuracy",
        ),
    ],
    ids=lambda figure: figure.name,
)
def test_every_record_can_be_drawn(figure) -> None:
    is_drawn_alike(figure)
