"""Small records of everything that a ledger holds."""

from dataclasses import replace

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network, Stored
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.ledger import Ledger
from paretobert.pipeline.observations import SessionRecord, Subject
from paretobert.profiling.conditions import Conditions
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import NoiseReport, Process, Round, Visit
from paretobert.profiling.table import LatencySummary
from paretobert.tasks.metrics import Labels
from paretobert.tasks.scores import Evaluation, score_predictions

SHAPE = EncoderShape("bert", 4, 4, 8, 32, 64, 32, 100, 64, 2, 3)
FULL = Network("full", Cut(SHAPE, SubnetConfig.full(SHAPE)))
INT8 = Deployment("onnxruntime", "int8")
ENVIRONMENT = Environment(
    processor="Imagined CPU",
    isa_flags=("avx2", "fma"),
    num_cores=2,
    cgroup_cpus=None,
    governor=None,
    memory_gib=4.0,
    system="Linux x86_64",
    python="3.11.0",
    versions={"torch": "2.13.0"},
    paretobert="0.2.0",
    gpu=None,
    gpu_driver=None,
    load_before=0.25,
    load_after=None,
    commit=None,
)
CONDITIONS = Conditions(LatencyProtocol(), ENVIRONMENT)
NOISE = NoiseReport(5, 15, 60, 2, 1, 1, 0, 0.01)


def cut(neurons: int) -> Network:
    """A sub-network that keeps two layers with so many neurons each."""
    config = SubnetConfig((0, 3), (4, 2), (neurons, neurons))
    return Network(f"{neurons} neurons", Cut(SHAPE, config))


def stored(label: str) -> Network:
    """A network of a method that was asked nothing but a label."""
    return Network(label, Stored("imagined", {"label": label}, SHAPE, SubnetConfig.full(SHAPE)))


def evaluation(
    predictions: Labels = (0, 1, 2, 1, 0, 2),
    *,
    labels: Labels = (0, 1, 2, 1, 1, 2),
    metrics: tuple[str, ...] = ("accuracy", "macro_f1"),
    split: str = "search",
) -> Evaluation:
    """A score with every outcome."""
    return score_predictions(
        task="imagined", split=split, metrics=metrics, labels=labels, predictions=predictions
    )


def latency(ratio: float = 0.5, *, session: str) -> LatencySummary:
    """Five processes that agree."""
    return LatencySummary(
        ratio=Interval(ratio, 0.98 * ratio, 1.02 * ratio, 5, "processes"),
        full_ms=Interval(20.0, 19.5, 20.5, 5, "processes"),
        resolved=True,
        process_ratios=(ratio,) * 5,
        session=session,
        num_runs=600,
        p90_ms=21.0,
    )


def process(index: int) -> Process:
    """Three rounds of two networks."""
    visits = (Visit("a", (0.02, 0.021)), Visit("b", (0.01, 0.1 / 3)))
    rounds = tuple(Round(number, visits, discarded=visits[:1]) for number in range(3))
    return Process(index, rounds, 0.125, {"a": 0.75})


def begun(ledger: Ledger, *networks: Network, anew: bool = False) -> SessionRecord:
    """A session of the full model and some networks."""
    subjects = tuple(Subject(network.id, EAGER_FP32) for network in (FULL, *networks))
    return ledger.session(
        purpose="profile",
        conditions=CONDITIONS,
        subjects=subjects,
        sentinel=subjects[0],
        anew=anew,
    )


def finished(ledger: Ledger, record: SessionRecord, *, ratio: float = 0.5) -> SessionRecord:
    """The same session with a latency and an energy of each subject."""
    return ledger.finish_session(
        record,
        environment=replace(ENVIRONMENT, load_after=0.5),
        noise=NOISE,
        time_budget_s=60.0,
        spent=True,
        latencies={
            subject: latency(1.0 if subject == record.sentinel else ratio, session=record.id)
            for subject in record.subjects
        },
        energies_j={subject: 0.1 + 0.2 for subject in record.subjects},
    )
