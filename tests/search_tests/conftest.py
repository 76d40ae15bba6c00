"""A small model with its costs by formula, and sub-networks that score by width and depth."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network, Printed, Stored
from paretobert.networks.shape import EncoderShape
from paretobert.networks.space import Space
from paretobert.networks.spaces import Grid
from paretobert.networks.subnet import SubnetConfig, subnet_label
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.table import CostTable, LatencySummary, Profile
from paretobert.search.budget import Budget
from paretobert.search.candidate import Candidate, StatedScore
from paretobert.search.constraints import Constraint
from paretobert.search.cost_model import CostModel
from paretobert.search.problem import Problem
from paretobert.search.proposals import AdditiveLosses
from paretobert.tasks.scores import Evaluation, score_predictions

SHAPE = EncoderShape("bert", 4, 4, 8, 32, 128, 32, 1000, 64, 2, 3)
SPACE = Grid(SHAPE, widths=(1.0, 0.5, 0.25), depths=(1.0, 0.5))
NUM_EXAMPLES = 200

ENVIRONMENT = Environment(
    processor="test",
    isa_flags=(),
    num_cores=1,
    cgroup_cpus=None,
    governor=None,
    memory_gib=None,
    system="test",
    python="3.11",
    versions={},
    paretobert=None,
    gpu=None,
    gpu_driver=None,
    load_before=None,
    load_after=None,
    commit=None,
)


def latency(
    median_ms: float, *, full_ms: float = 10.0, width: float = 0.02, processes: int = 5
) -> LatencySummary:
    ratio = median_ms / full_ms
    return LatencySummary(
        ratio=Interval(ratio, ratio / (1 + width), ratio * (1 + width), processes, "processes"),
        full_ms=Interval(full_ms, full_ms, full_ms, processes, "processes"),
        resolved=True,
        process_ratios=(ratio,) * processes,
        session="table",
        num_runs=25,
    )


def network(config: SubnetConfig, *, space: Space = SPACE) -> Network:
    """A sub-network, labelled by how the space asks for it."""
    width, _, tokens = space.landmarks.get(config, (1.0, 1.0, 1.0))
    return Network(subnet_label(config, SHAPE, width=width, tokens=tokens), Cut(SHAPE, config))


def networks(space: Space = SPACE) -> dict[SubnetConfig, Network]:
    return {config: network(config, space=space) for config in space.landmarks}


def profile(config: SubnetConfig, *, timed: bool = True, space: Space = SPACE) -> Profile:
    """Costs in proportion to the kept heads: the full model takes 16 of them and 10 ms."""
    share = sum(config.heads) / (SHAPE.num_layers * SHAPE.num_heads)
    return Profile(
        network=network(config, space=space),
        num_params=round(1_000_000 * share) + 200_000,
        num_macs=round(50_000_000 * share),
        seq_len=128,
        latency=latency(10.0 * share) if timed else None,
        size_bytes=round(4_000_000 * share),
        peak_memory_bytes=round(100_000_000 * share),
    )


def cost_table(*, space: Space = SPACE, timed: bool = True) -> CostTable:
    profiles = tuple(profile(config, timed=timed, space=space) for config in space.landmarks)
    return CostTable(LatencyProtocol(), ENVIRONMENT, profiles)


def problem(
    space: Space = SPACE,
    *,
    objectives: tuple[str, ...] = ("score", "latency_ms"),
    constraints: tuple[Constraint, ...] = (),
    seed: int = 0,
    losses: AdditiveLosses | None = None,
) -> Problem:
    """What a search is about, with the costs of the landmarks measured."""
    quantities = {*objectives, *(entry.quantity for entry in constraints)} - {"score"}
    model = CostModel(SHAPE, quantities, seq_len=128, measured=tuple(cost_table(space=space)))
    return Problem(space, model.of, objectives, constraints, seed, losses)


def stored(
    label: str,
    evaluation: Evaluation,
    *,
    num_params: int = 1000,
    num_macs: int = 500,
    latency: LatencySummary | None = None,
) -> Candidate:
    """A network beside the supernet, of any costs."""
    recipe = Stored("powerbert", {"label": label}, SHAPE, SubnetConfig.full(SHAPE))
    profile = Profile(Network(label, recipe), num_params, num_macs, 128, latency)
    return Candidate(profile, EAGER_FP32, evaluation)


def printed(label: str, score: StatedScore, *, num_params: int | None = None) -> Candidate:
    """A published number."""
    profile = Profile(Network(label, Printed("table 1")), num_params, None, 128)
    return Candidate(profile, EAGER_FP32, score)


def evaluation(num_correct: int, *, split: str = "search", seed: int = 0) -> Evaluation:
    """Outcomes of which so many are correct, at random places."""
    wrong = random.Random(seed).sample(range(NUM_EXAMPLES), NUM_EXAMPLES - num_correct)
    return score_predictions(
        task="test",
        split=split,
        metrics=("accuracy",),
        labels=(1,) * NUM_EXAMPLES,
        predictions=tuple(0 if i in set(wrong) else 1 for i in range(NUM_EXAMPLES)),
    )


def by_config(config: SubnetConfig) -> Evaluation:
    """More heads score better, with little gain at the top."""
    share = sum(config.heads) / (SHAPE.num_layers * SHAPE.num_heads)
    return evaluation(round(NUM_EXAMPLES * (0.9 - 0.3 * (1 - share) ** 2)))


def candidate(
    config: SubnetConfig,
    outcome: Evaluation | None = None,
    *,
    deployment: Deployment = EAGER_FP32,
) -> Candidate:
    return Candidate(profile(config), deployment, outcome or by_config(config))


@pytest.fixture
def candidates() -> list[Candidate]:
    return [candidate(config) for config in SPACE.landmarks]


@pytest.fixture
def counted() -> tuple[list[str], Callable[[SubnetConfig], float]]:
    """A score that keeps what it computed, and the keys that it computed."""
    calls: list[str] = []
    known: dict[SubnetConfig, float] = {}

    def evaluate(config: SubnetConfig) -> float:
        if config not in known:
            calls.append(config.key)
            known[config] = by_config(config).value
        return known[config]

    return calls, evaluate


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {"storage": tmp_path / "study.journal"}


def limits(*entries: Constraint) -> Budget:
    return Budget(tuple(entries))


def at(width: float, depth: float) -> SubnetConfig:
    return SubnetConfig.from_multipliers(SHAPE, width, depth)
