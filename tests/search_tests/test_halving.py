"""Successive halving on scores that are known at every fidelity."""

from random import Random

import pytest

from paretobert.networks.subnet import SubnetConfig
from paretobert.search.constraints import Constraint
from paretobert.search.halving import Fidelity, successive_halving

from .test_engines import SPACE, additive, problem

GENERATOR = Random(0)
CONFIGS = list(dict.fromkeys(SPACE.draw(GENERATOR) for _ in range(60)))


class Counted:
    """Scores with some error, and keeps what it was asked for."""

    def __init__(self, error: float, *, only_large: bool = False) -> None:
        self.asked: list[SubnetConfig] = []
        self._error, self._only_large = error, only_large

    def __call__(self, config: SubnetConfig) -> float:
        self.asked.append(config)
        noise = Random(config.key).gauss(0, self._error)
        if self._only_large and len(config.layers) < 3:
            return 0.3 + 10 * noise
        return additive(config) + noise


def test_fewer_and_fewer_are_scored_and_the_best_are_found() -> None:
    asked = problem("num_flops")
    scorers = [Counted(0.02), Counted(0.005), Counted(0.0)]
    fidelities = [Fidelity(f"fidelity {i}", scorer) for i, scorer in enumerate(scorers)]
    seen: list[tuple[str, int, int]] = []
    found = successive_halving(
        asked, CONFIGS, fidelities, audited=3, on_progress=lambda *now: seen.append(now)
    )
    assert len(CONFIGS) == 45
    second, third = 15, 5
    assert [len(scorer.asked) for scorer in scorers] == [45, second + 3, third + 3]
    assert seen[-1] == ("fidelity 2", third + 3, third + 3)
    true = {entry.config for entry in asked.front(asked_all())}
    assert len(true & {entry.config for entry in found.front}) >= len(true) / 3
    whole = [entry for entry in found.agreements if entry.region == "all"]
    assert [entry.n for entry in whole] == [second + 3, third + 3]
    assert all(entry.tau is not None and entry.tau > 0.6 for entry in whole)
    assert successive_halving(asked, CONFIGS, fidelities, audited=3) == found


def asked_all() -> list:
    from paretobert.search.problem import Observation

    return [Observation(config, additive(config)) for config in CONFIGS]


def test_a_region_that_the_cheap_score_cannot_rank_is_seen() -> None:
    asked = problem("num_flops")
    cheap, dear = Counted(0.01, only_large=True), Counted(0.0)
    found = successive_halving(
        asked,
        CONFIGS,
        [Fidelity("inherited", cheap), Fidelity("finished", dear)],
        eta=1,
        region=lambda config: "deep" if config.num_layers >= 3 else "shallow",
    )
    taus = {entry.region: entry.tau for entry in found.agreements}
    assert taus["deep"] > 0.7
    assert abs(taus["shallow"]) < 0.5
    assert found.names == ("inherited", "finished")


def test_what_is_beyond_a_limit_is_let_go_first() -> None:
    limits = (Constraint("score", 0.8),)
    asked = problem("num_flops", limits=limits)
    scorer = Counted(0.0)
    found = successive_halving(
        asked, CONFIGS, [Fidelity("cheap", additive), Fidelity("dear", scorer)], audited=0
    )
    kept = [config for config in CONFIGS if additive(config) >= 0.8]
    assert sum(additive(config) >= 0.8 for config in scorer.asked) == min(
        len(kept), len(scorer.asked)
    )
    assert all(entry.score >= 0.8 for entry in found.front)


def test_networks_come_once() -> None:
    with pytest.raises(ValueError, match="each once"):
        successive_halving(problem("num_flops"), CONFIGS[:2] * 2, [Fidelity("a", additive)])
