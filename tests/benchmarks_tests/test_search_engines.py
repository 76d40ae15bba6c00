"""Engines on a space of which every network was really scored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search_engines import BlackBox, Volume, curve, searched

from paretobert.networks.subnet import SubnetConfig
from paretobert.search.engines.exact import Exact

OUTCOMES = Path(__file__).resolve().parents[2] / "benchmarks" / "search" / "stdlib-docs.json"


@pytest.fixture(scope="module")
def box() -> BlackBox:
    return BlackBox(OUTCOMES)


def test_every_network_is_there_as_it_is_scored_alone(box: BlackBox) -> None:
    assert box.space.size == 486
    assert set(box.scores["search"]) == set(box.scores["report"]) == set(box.space.every())
    assert box.record["checked"]["differing_predictions"] == 0
    assert OUTCOMES.stat().st_size < 2**20


def test_genes_mean_the_networks(box: BlackBox) -> None:
    for config in box.space.every()[::37]:
        assert box.space.decode(box.space.encode(config)) == config
    every = SubnetConfig.full(box.space.shape)
    assert not box.space.contains(
        replace(
            every, layers=every.layers[:-1], heads=every.heads[:-1], neurons=every.neurons[:-1]
        )
    )


def test_the_model_gets_nearer_to_the_whole_than_draws(box: BlackBox) -> None:
    problem = box.problem()
    every = box.observed(box.space.every(), "search")
    volume = Volume(problem, every)
    assert volume.share(every) == pytest.approx(1)
    shares = {
        engine: np.mean(
            [
                curve(volume, searched(box, replace(problem, seed=seed), engine, 46))
                for seed in range(2)
            ],
            axis=0,
        )
        for engine in ("model", "random")
    }
    assert shares["model"][-1] > shares["random"][-1]
    assert shares["model"][-1] > 0.94
    assert all(np.all(np.diff(each) >= 0) for each in shares.values())


class Lost:
    """What layers lose: a share for each head."""

    def of_halves(self, layer: int, *, heads: int, neurons: int) -> float:
        return 1 - heads / 12

    def of_gap(self, before: int, after: int) -> float:
        return float(after - before - 1)


def test_losses_of_layers_that_are_given_are_where_the_model_starts(box: BlackBox) -> None:
    problem = replace(box.problem(), losses=Lost())
    front = Exact(problem).propose([])
    assert [seen.config for seen in searched(box, problem, "model", 1)] == [front]
