"""A report's content as a run on SST-2 would make it: twelve sub-networks, published numbers."""

from dataclasses import replace

import numpy as np
import pytest

from paretobert.baselines.published import published_candidates
from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network, Printed, Stored
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig, grid, subnet_label
from paretobert.profiling.counts import count_macs, count_parameters
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import NoiseReport
from paretobert.profiling.table import LatencySummary, Profile
from paretobert.reports.content import Measured, ReportContent, Setting
from paretobert.search.candidate import Candidate
from paretobert.search.front import ParetoFront, reference_beyond
from paretobert.tasks.scores import score_predictions

MINILM = EncoderShape(
    family="bert",
    num_layers=6,
    num_heads=12,
    head_size=32,
    hidden_size=384,
    ffn_size=1536,
    embedding_size=384,
    vocab_size=30522,
    num_positions=512,
    num_token_types=2,
    num_labels=2,
)

ACCURACIES = (0.917, 0.918, 0.911, 0.897, 0.914, 0.909, 0.905, 0.889, 0.911, 0.902, 0.899, 0.878)
"""One for each sub-network of the grid, on the report split."""


def evaluation(share, *, split="report", n=872, task="SST-2", seed=0):
    """An evaluation of which a share is right, in an order that depends on the seed."""
    generator = np.random.default_rng(seed)
    labels = tuple(int(i) for i in np.random.default_rng(9).integers(2, size=n))
    wrong = set(generator.permutation(n)[: round((1 - share) * n)].tolist())
    predictions = tuple(1 - y if i in wrong else y for i, y in enumerate(labels))
    return score_predictions(
        task=task, split=split, metrics=("accuracy",), labels=labels, predictions=predictions
    )


def latency(median_ms, *, full_ms=30.0, spread=0.015, resolved=True):
    """A latency with symmetric intervals."""
    ratio = median_ms / full_ms
    return LatencySummary(
        ratio=Interval(ratio, ratio / (1 + spread), ratio * (1 + spread), 5, "processes"),
        full_ms=Interval(full_ms, full_ms, full_ms, 5, "processes"),
        resolved=resolved,
        process_ratios=(ratio,) * 5,
        session="table",
        num_runs=75,
        p90_ms=median_ms * 1.1,
    )


def setting_of(candidates, title="batch 1 x 128 tokens, cpu, 1 thread", **measured):
    """One setting of everything, by deployment."""
    by_deployment = {}
    for candidate in candidates:
        by_deployment.setdefault(candidate.deployment, []).append(candidate)
    sheets = tuple(
        Measured(
            deployment=deployment,
            protocol=LatencyProtocol(),
            environment=Environment.capture(),
            candidates=tuple(found),
            noise=NoiseReport(5, 15, 180, 7, 1, 1, 0, 0.03),
            **measured,
        )
        for deployment, found in by_deployment.items()
    )
    return Setting(title, (), sheets)


def numbered(candidates):
    """Numbers by ids, in the networks' order."""
    identifiers = dict.fromkeys(candidate.network.id for candidate in candidates)
    return {identifier: number for number, identifier in enumerate(identifiers, start=1)}


def holding(content, candidates, **changes):
    """The same report of other networks."""
    candidates = tuple(candidates)
    return replace(
        content,
        candidates=candidates,
        settings=(setting_of(candidates),),
        numbers=numbered(candidates),
        **changes,
    )


@pytest.fixture(scope="session")
def content() -> ReportContent:
    candidates = []
    reported = {}
    for i, (config, (width, _, _)) in enumerate(grid(MINILM).items()):
        macs = count_macs(MINILM, config, seq_len=128)
        profile = Profile(
            Network(subnet_label(config, MINILM, width=width), Cut(MINILM, config)),
            num_params=count_parameters(MINILM, config),
            num_macs=macs,
            seq_len=128,
            latency=latency(30 * (0.06 + 0.94 * macs / 1_434_600_192), resolved=i != 7),
        )
        found = evaluation(ACCURACIES[i] + 0.02, split="search", n=3000, seed=i)
        candidate = Candidate(profile, EAGER_FP32, found)
        candidates.append(candidate)
        reported[candidate.key] = evaluation(ACCURACIES[i], seed=i)
    objectives = ("score", "latency_ms")
    front = ParetoFront.of(candidates, objectives)
    return ReportContent(
        title="MiniLM-L6-H384 on SST-2",
        model="MiniLM-L6-H384",
        candidates=tuple(candidates),
        reported=reported,
        further={},
        published=tuple(published_candidates("SST-2", "accuracy")),
        num_examples={"train": 64349, "search": 3000, "report": 872},
        seq_len=128,
        protocol=LatencyProtocol(),
        environment=Environment.capture(),
        hypervolumes={
            "score and latency": front.hypervolume(reference_beyond(candidates, objectives))
        },
        provenance={
            "command": "paretobert run --model minilm --task SST-2 --out runs/sst2",
            "seed": "0",
            "paretobert": "0.1.0",
        },
        settings=(setting_of(candidates),),
        run="runs/sst2",
        numbers=numbered(candidates),
        class_names=("negative", "positive"),
    )


NASTY = (
    "<script>alert(1)</script> </script> \"quotes\" 'single' <b>bold</b> a|b $x_1$ %{x} Ωß语 &amp;"
)
"""A string that breaks out wherever something forgets to escape it."""


@pytest.fixture(scope="session")
def nasty_content(content: ReportContent) -> ReportContent:
    def renamed(candidate, score):
        network = candidate.network
        recipe = Printed(NASTY) if isinstance(network.recipe, Printed) else network.recipe
        renamed = Network(f"{NASTY} {candidate.label}", recipe)
        return replace(
            candidate,
            profile=replace(candidate.profile, network=renamed),
            evaluation=replace(score, task=NASTY),
        )

    candidates = [renamed(c, c.evaluation) for c in content.candidates]
    setting = setting_of(candidates, title=NASTY, warnings=(NASTY,))
    return replace(
        content,
        title=NASTY,
        model=NASTY,
        candidates=tuple(candidates),
        settings=(replace(setting, options=("--machine", NASTY)), setting),
        run=NASTY,
        class_names=(NASTY, NASTY),
        warnings=(NASTY,),
        reported={key: replace(score, task=NASTY) for key, score in content.reported.items()},
        published=tuple(renamed(c, c.evaluation) for c in content.published),
        environment=replace(content.environment, processor=NASTY),
        provenance={f"{NASTY} {name}": NASTY for name in content.provenance},
        num_examples={f"{NASTY} {name}": n for name, n in content.num_examples.items()},
        hypervolumes={NASTY: content.hypervolumes["score and latency"]},
    )


def beside(label, accuracy, *, latency_ms, num_params=15_000_000, seed=99):
    """A network that a method made, with its outcomes on both splits."""
    config = SubnetConfig.full(MINILM)
    profile = Profile(
        Network(label, Stored("powerbert", {"label": label}, MINILM, config)),
        num_params=num_params,
        num_macs=700_000_000,
        seq_len=128,
        latency=latency(latency_ms),
    )
    found = evaluation(accuracy + 0.02, split="search", n=3000, seed=seed)
    return Candidate(profile, EAGER_FP32, found), evaluation(accuracy, seed=seed)


@pytest.fixture(scope="session")
def with_stored(content: ReportContent) -> ReportContent:
    """The same with a network beside the supernet that scores best, and a further split."""
    candidate, report = beside("PoWER-BERT (2x)", 0.93, latency_ms=15.0)
    reported = {**content.reported, candidate.key: report}
    further = {
        key: evaluation(score.value - 0.01, split="report-mismatched", n=800, seed=7)
        for key, score in reported.items()
    }
    return holding(
        content,
        (*content.candidates, candidate),
        reported=reported,
        further={"report-mismatched": further},
    )


INT8 = Deployment("openvino", "int8")


@pytest.fixture(scope="session")
def deployed(with_stored: ReportContent) -> ReportContent:
    """The same networks in int8 too: faster, and a little worse."""
    again, reported = [], dict(with_stored.reported)
    for i, candidate in enumerate(with_stored.candidates):
        found = evaluation(candidate.evaluation.value - 0.004, split="search", n=3000, seed=50 + i)
        other = replace(
            candidate.timed(latency(0.4 * candidate.latency.time_ms.value)),
            deployment=INT8,
            evaluation=found,
        )
        again.append(other)
        score = with_stored.reported[candidate.key].value
        reported[other.key] = evaluation(score - 0.004, seed=50 + i)
    return holding(with_stored, (*with_stored.candidates, *again), reported=reported, further={})


@pytest.fixture(name="holding", scope="session")
def holding_maker():
    return holding


@pytest.fixture(name="latency", scope="session")
def latency_maker():
    return latency


@pytest.fixture(scope="session")
def nasty():
    return NASTY


def is_drawn_alike(figure):
    """That a record can be drawn, each time to the same bytes."""
    assert figure.to_dict()["title"] == figure.title
    assert figure.png().startswith(b"\x89PNG")
    assert figure.png() == figure.png()
    assert b"<svg" in figure.svg()
