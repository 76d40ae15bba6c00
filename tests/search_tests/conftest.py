"""A small model with its costs by formula, and sub-networks that score by width and depth."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import ElasticSpace, SubnetConfig
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Estimate
from paretobert.profiling.table import LatencySummary, LookupTable, Profile
from paretobert.search.candidate import Candidate
from paretobert.tasks.metrics import Evaluation, score_predictions

SHAPE = EncoderShape("bert", 4, 4, 8, 32, 128, 32, 1000, 64, 2, 3)
SPACE = ElasticSpace(widths=(1.0, 0.5, 0.25), depths=(1.0, 0.5))
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
        ratio=Estimate(ratio, ratio / (1 + width), ratio * (1 + width), processes),
        full_ms=Estimate(full_ms, full_ms, full_ms, processes),
        resolved=True,
        process_ratios=(ratio,) * processes,
        session="table",
        num_runs=25,
    )


def profile(config: SubnetConfig, *, timed: bool = True) -> Profile:
    """Costs in proportion to the kept heads: the full model takes 16 of them and 10 ms."""
    share = sum(config.heads) / (SHAPE.num_layers * SHAPE.num_heads)
    return Profile(
        config=config,
        num_params=round(1_000_000 * share) + 200_000,
        num_macs=round(50_000_000 * share),
        seq_len=128,
        latency=latency(10.0 * share) if timed else None,
    )


def cost_table(*, space: ElasticSpace = SPACE, timed: bool = True) -> LookupTable:
    profiles = tuple(profile(config, timed=timed) for config in space.configs(SHAPE))
    return LookupTable(SHAPE, LatencyProtocol(), ENVIRONMENT, profiles)


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


def scored(config: SubnetConfig) -> Evaluation:
    """More heads score better, with little gain at the top."""
    share = sum(config.heads) / (SHAPE.num_layers * SHAPE.num_heads)
    return evaluation(round(NUM_EXAMPLES * (0.9 - 0.3 * (1 - share) ** 2)))


def candidate(config: SubnetConfig, outcome: Evaluation | None = None) -> Candidate:
    return Candidate.from_profile(profile(config), outcome or scored(config), label=config.key)


@pytest.fixture
def candidates() -> list[Candidate]:
    return [candidate(config) for config in SPACE.configs(SHAPE)]


@pytest.fixture
def counted() -> tuple[list[str], Callable[[SubnetConfig], Evaluation]]:
    """An evaluation function and the keys that it was called with."""
    calls: list[str] = []

    def evaluate(config: SubnetConfig) -> Evaluation:
        calls.append(config.key)
        return scored(config)

    return calls, evaluate


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {"storage": tmp_path / "study.journal", "evaluations": tmp_path / "evaluations.jsonl"}
