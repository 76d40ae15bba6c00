"""Engines: all keep to what is asked, and are held against what they are known to find."""

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
from optuna.trial import TrialState

from paretobert.errors import InputError
from paretobert.networks.spaces import Grid, Layerwise
from paretobert.networks.subnet import SubnetConfig
from paretobert.search.constraints import Constraint
from paretobert.search.cost_model import CostModel
from paretobert.search.engines import model, ose
from paretobert.search.engines.exact import additive_front
from paretobert.search.engines.nsga2 import POPULATION
from paretobert.search.engines.registry import engine_named
from paretobert.search.options import EngineName
from paretobert.search.problem import Observation, Problem

from .conftest import SHAPE

SPACE = Layerwise(SHAPE, (1.0, 0.5), (1.0, 0.5))
ENGINES: list[EngineName] = [
    "grid",
    "random",
    "nsga2",
    "nsga3",
    "tpe",
    "gp",
    "model",
    "exact",
    "ose",
]
NUMBERS = {"gp": 11}
WEIGHTS = (1.0, 3.0, 0.5, 2.0)


@pytest.fixture(autouse=True)
def _fewer_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a model, where a small space needs no more."""
    monkeypatch.setattr(model, "GENERATIONS", 5)
    monkeypatch.setattr(model, "POPULATION", 40)


class Lost:
    """What layers lose: convex in what is taken from them."""

    def of_halves(self, layer: int, *, heads: int, neurons: int) -> float:
        gone = 1 - heads / SHAPE.num_heads, 1 - neurons / SHAPE.ffn_size
        return WEIGHTS[layer] * (gone[0] ** 2 + 2 * gone[1] ** 2) / 30

    def of_gap(self, before: int, after: int) -> float:
        return sum(self.of_halves(layer, heads=0, neurons=0) for layer in range(before + 1, after))


LOSSES = Lost()


def additive(config: SubnetConfig) -> float:
    bounds = (-1, *config.layers, SHAPE.num_layers)
    sizes = zip(config.layers, config.heads, config.neurons, strict=True)
    return (
        0.9
        - sum(LOSSES.of_gap(*gap) for gap in pairwise(bounds))
        - sum(LOSSES.of_halves(layer, heads=heads, neurons=n) for layer, heads, n in sizes)
    )


def problem(*costs: str, limits: tuple[Constraint, ...] = (), seed: int = 0) -> Problem:
    costs_of = CostModel(
        SHAPE, {*costs, *(limit.quantity for limit in limits)} - {"score"}, seq_len=64
    ).of
    return Problem(SPACE, cache(costs_of), ("score", *costs), limits, seed)


def searched(engine: EngineName, asked: Problem, number: int) -> list[Observation]:
    proposer, observed = engine_named(engine, asked), []
    while len(observed) < number:
        config = proposer.propose(observed)
        if config is None:
            break
        observed.append(Observation(config, additive(config)))
    return observed


@pytest.mark.parametrize("engine", ENGINES)
def test_proposals_are_new_of_the_space_and_within_limits(engine: EngineName) -> None:
    full = SubnetConfig.full(SHAPE)
    whole = CostModel(SHAPE, ["num_params"], seq_len=64).of(full).values["num_params"]
    limit = Constraint("num_params", 0.9 * whole)
    costs = ("num_flops",) if engine == "gp" else ("num_flops", "num_params")
    asked = problem(*costs, limits=(limit, Constraint("score", 0.6)))
    found = searched(engine, replace(asked, losses=LOSSES), NUMBERS.get(engine, 14))
    configs = [seen.config for seen in found]
    assert len(set(configs)) == len(configs)
    assert all(SPACE.contains(config) for config in configs)
    assert all(asked.cost(c).values["num_params"] <= limit.limit for c in configs)
    assert full not in configs
    assert len(configs) == (len(asked.landmarks) if engine == "grid" else NUMBERS.get(engine, 14))


@pytest.mark.parametrize("engine", ENGINES)
def test_proposals_follow_from_observations_and_seed(engine: EngineName) -> None:
    asked = problem("num_flops", seed=1)
    found = searched(engine, asked, number := 12 if engine == "gp" else 28)
    if engine == "grid":
        assert [seen.config for seen in found] == list(SPACE.landmarks)
        return
    later = engine_named(engine, asked)
    assert later.propose(found[: number - 1]) == found[-1].config
    if engine != "exact":
        assert searched(engine, replace(asked, seed=2), number) != found


@pytest.mark.parametrize("engine", ENGINES)
def test_what_others_are_at_is_not_proposed(engine: EngineName) -> None:
    asked = problem("num_flops")
    found = searched(engine, asked, 11 if engine == "gp" else 25)
    first = engine_named(engine, asked).propose(found)
    second = engine_named(engine, asked).propose(found, pending=[first] if first else [])
    assert first is None or second != first


@pytest.mark.parametrize("engine", ["nsga2", "nsga3"])
def test_genetic_engines_go_through_generations(engine: EngineName) -> None:
    asked = problem("num_flops")
    proposer, found = engine_named(engine, asked), searched(engine, asked, 2 * POPULATION + 2)
    proposer.propose(found)
    trials = [trial for trial in proposer.study.trials if trial.state == TrialState.COMPLETE]
    generations = [
        value
        for trial in trials
        for name, value in trial.system_attrs.items()
        if name.endswith(":generation")
    ]
    assert generations == [i // POPULATION for i in range(len(trials))]


def test_the_model_finds_more_than_draws_do() -> None:
    asked = problem("num_flops")
    reference = np.array([0.0, asked.cost(SPACE.full).values["num_flops"]])

    def volume(observed: list[Observation]) -> float:
        import moocore

        values = np.array([asked.signed(seen) for seen in observed])
        return float(moocore.hypervolume(values, ref=reference))

    learnt, draws = (
        [volume(searched(engine, replace(asked, seed=seed), 56)) for seed in range(3)]
        for engine in ("model", "random")
    )
    assert min(learnt) > max(draws)


def test_the_model_breeds_the_front_where_it_knows_of_no_gain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One scored network alone is on the front, so that its child is one mutation from it."""
    monkeypatch.setattr(model.Model, "_batch", lambda *_: [])
    changes = {"child": 0, "draw": 0}
    for seed in range(20):
        asked = problem("num_flops", seed=seed)
        scored = searched("model", asked, 20)
        best = min(scored, key=lambda seen: asked.signed(seen)[1])
        observed = [replace(seen, score=0.9 * (seen == best)) for seen in scored]
        assert asked.front(observed) == [replace(best, score=0.9)]
        known = {seen.config for seen in scored}
        for name, config in (
            ("child", model.Model(asked).propose(observed)),
            ("draw", model.Model(asked).drawn(known)),
        ):
            assert config is not None
            genes = zip(SPACE.encode(config), SPACE.encode(best.config), strict=True)
            changes[name] += sum(one != other for one, other in genes)
    assert changes["child"] < changes["draw"] / 2


def test_the_additive_front_is_the_best_of_all_networks() -> None:
    """Against every network of a space of two sizes of each layer."""

    class Few(Layerwise):
        layer_sizes = ((1, 32), (2, 128), (4, 64), (4, 128))

        def contains(self, config: SubnetConfig) -> bool:
            return True

    asked = replace(problem("num_params"), space=Few(SHAPE))
    sizes = [None, *Few.layer_sizes]
    every = []
    for choice in product(*[sizes] * (SHAPE.num_layers - 1), Few.layer_sizes):
        kept = [(layer, size) for layer, size in enumerate(choice) if size is not None]
        heads, neurons = zip(*(size for _, size in kept), strict=True)
        config = SubnetConfig(tuple(layer for layer, _ in kept), heads, neurons)
        every.append(Observation(config, additive(config)))
    found = additive_front(asked, LOSSES, depths=1)
    costs = {seen.config: asked.cost(seen.config).values["num_params"] for seen in every}
    slack = SHAPE.num_layers * costs[SPACE.full] / 1000
    for seen in asked.front(every):
        rivals = [c for c in found if costs[c] <= costs[seen.config] + slack]
        assert max(map(additive, rivals)) >= seen.score - 1e-9
    assert {found[0], found[1]} >= {SPACE.full}
    assert len(set(found)) == len(found)


def test_the_exact_engine_scores_single_layers_first() -> None:
    asked = problem("num_flops")
    found = searched("exact", asked, 60)
    full = SPACE.full
    probes = SHAPE.num_layers * 5
    for seen in found[1:probes]:
        sizes = zip(seen.config.heads, seen.config.neurons, strict=True)
        changed = sum(size != (full.heads[0], full.neurons[0]) for size in sizes)
        assert changed + SHAPE.num_layers - seen.config.num_layers == 1
    beyond = [seen for seen in found[probes:] if seen in asked.front(found)]
    assert len(beyond) > 10


def test_given_losses_the_exact_engine_scores_several_depths_of_a_budget() -> None:
    asked = replace(problem("num_flops"), losses=LOSSES)
    found = [seen.config for seen in searched("exact", asked, 7)]
    deepest_first = [*range(SHAPE.num_layers, 0, -1)]
    assert [config.num_layers for config in found[:4]] == deepest_first
    assert all(set(config.heads) == {SHAPE.num_heads} for config in found[:4])
    assert found[4] == SPACE.smallest
    assert found[5].num_layers != found[6].num_layers
    losses = [additive(config) for config in found]
    assert losses[:4] == sorted(losses[:4], reverse=True)
    assert losses[5:] == sorted(losses[5:], reverse=True)
    assert math.isclose(losses[0], 0.9)


def test_the_exact_engine_scores_each_network_at_each_tokens_multiplier() -> None:
    whole = replace(problem("num_flops"), losses=LOSSES)
    space = replace(SPACE, tokens=(1.0, 0.5))
    asked = replace(whole, space=space)
    dense = [seen.config for seen in searched("exact", whole, 7)]
    found = [seen.config for seen in searched("exact", asked, 14)]
    assert found == [at for config in dense for at in space.at_each_tokens(config)]


def test_the_exact_engine_eliminates_where_only_that_keeps_a_limit() -> None:
    space = replace(SPACE, tokens=(1.0, 0.5))
    asked = replace(problem("num_flops"), losses=LOSSES, space=space)
    flops = asked.cost(space.full).values["num_flops"]
    within = replace(asked, constraints=(Constraint("num_flops", 0.7 * flops),))
    found = [seen.config for seen in searched("exact", within, 40)]
    eliminating = space.at_each_tokens(space.full)[1]
    assert eliminating in found
    assert all(asked.cost(config).values["num_flops"] <= 0.7 * flops for config in found)


def test_the_exact_engine_needs_layers_of_their_own_sizes() -> None:
    from paretobert.networks.spaces import Uniform

    with pytest.raises(InputError, match="train the run with --space layerwise"):
        engine_named("exact", replace(problem("num_flops"), space=Uniform(SHAPE)))


def test_ose_ends_with_the_best_candidate() -> None:
    """Scores rise with the size, so that within a block a smaller network errs no less."""
    asked = problem("num_flops")
    whole = asked.cost(SPACE.full).values["num_flops"]

    def score(config: SubnetConfig) -> float:
        return 0.9 * SPACE.share(config) ** 0.3

    def w(config: SubnetConfig) -> float:
        share = asked.cost(config).values["num_flops"] / whole
        return (1 - SPACE.share(config)) * (1 - share) / (1 - score(config))

    proposer, observed = engine_named("ose", asked), []
    while (config := proposer.propose(observed)) is not None:
        observed.append(Observation(config, score(config)))
    every = ose.candidates(asked)
    assert len(every) == ose.CANDIDATES
    assert len(observed) < len(every) / 2
    assert max(w(seen.config) for seen in observed) == max(map(w, every))


def test_ose_scores_a_grid_and_no_more() -> None:
    asked = replace(problem("num_flops"), space=Grid(SHAPE, (1.0, 0.5), (1.0, 0.5)))
    assert set(ose.candidates(asked)) == set(asked.space.landmarks)


def test_ose_has_nothing_to_score_where_nothing_is_within_the_limits() -> None:
    asked = problem("num_flops", limits=(Constraint("num_params", 1.0),))
    assert engine_named("ose", asked).propose([]) is None
