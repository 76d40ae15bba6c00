"""Which measurements are meant: by deployment, protocol and machine."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.dynabert.options import TrainingOptions
from paretobert.errors import InputError
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network, Stored, find_network
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.pipeline.context import Context
from paretobert.pipeline.costs import (
    Where,
    candidates,
    chosen,
    competing,
    elsewhere,
    is_here,
    session_here,
    table,
)
from paretobert.pipeline.folder import RunFolder, claim
from paretobert.pipeline.observations import Subject
from paretobert.pipeline.request import RunRequest
from paretobert.pipeline.sessions import conditions_here
from paretobert.profiling.conditions import Conditions
from paretobert.profiling.environment import Environment
from paretobert.profiling.footprint import Footprint
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import NoiseReport
from paretobert.profiling.table import LatencySummary
from paretobert.search.options import SearchOptions
from paretobert.search.pool import Column, outcomes
from paretobert.search.quantities import QUANTITIES
from paretobert.tasks.loading import TaskRequest
from paretobert.tasks.scores import score_predictions

SHAPE = EncoderShape("bert", 2, 2, 4, 8, 16, 8, 50, 64, 2, 2)
OWN = LatencyProtocol(seq_len=16)
ORT = replace(OWN, runtime="onnxruntime", precision="int8")
PI = replace(Environment.capture(), processor="ARM", num_cores=4, name="pi")
NOISE = NoiseReport(5, 15, 45, 0, 0, 0, 0, 0.01)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    """A run with a space of four networks, measured four ways here and once elsewhere."""
    request = RunRequest(
        model="minilm",
        fingerprint="0",
        task=TaskRequest("stdlib-docs"),
        training=TrainingOptions(widths=(1.0, 0.5), depths=(1.0, 0.5)),
        protocol=OWN,
        search=SearchOptions(),
    )
    folder = RunFolder(tmp_path / "run")
    claim(folder, request.to_dict(), task={"name": "x", "sizes": {"search": 4, "report": 4}})
    context = Context(folder, request)
    for config in grid(SHAPE, widths=(1.0, 0.5), depths=(1.0, 0.5)):
        context.ledger.add_network(Network(config.key, Cut(SHAPE, config)))
    for protocol in (OWN, replace(ORT, threads=2, seq_len=32), replace(ORT, threads=2)):
        measured(context, protocol)
    measured(context, replace(OWN, precision="bf16"), full_ms=5.0)
    measured(context, OWN, environment=PI, full_ms=80.0, purpose="import")
    yield context
    context.ledger.close()


def measured(
    context: Context,
    protocol: LatencyProtocol,
    *,
    environment: Environment | None = None,
    full_ms: float = 10.0,
    purpose: str = "profile",
    networks: list[Network] | None = None,
) -> None:
    conditions = conditions_here(protocol)
    if environment is not None:
        conditions = Conditions(protocol, environment)
    wanted = networks or list(context.subnets().values())
    subjects = {Subject(network.id, protocol.deployment): network for network in wanted}
    full = Subject(context.full.id, protocol.deployment)
    record = context.ledger.session(
        purpose=purpose, conditions=conditions, subjects=tuple(subjects), sentinel=full, anew=True
    )
    context.ledger.finish_session(
        record,
        environment=conditions.environment,
        noise=NOISE,
        time_budget_s=protocol.time_budget_s,
        spent=False,
        latencies={
            subject: latency(1 if network.is_full else 0.5, full_ms, session=record.id)
            for subject, network in subjects.items()
        },
        energies_j={},
    )
    for subject in subjects:
        context.ledger.add_footprint(subject, conditions, Footprint(subject.key, 7, 11))


def latency(ratio: float, full_ms: float, *, session: str) -> LatencySummary:
    return LatencySummary(
        ratio=Interval(ratio, ratio * 0.99, ratio * 1.01, 5, "processes"),
        full_ms=Interval(full_ms, full_ms, full_ms, 5, "processes"),
        resolved=True,
        process_ratios=(ratio,) * 5,
        session=session,
        num_runs=75,
    )


def scored(
    context: Context,
    network: Network,
    deployment: Deployment = EAGER_FP32,
    *,
    predictions: tuple[int, ...] = (0, 1),
) -> None:
    evaluation = score_predictions(
        task="x",
        split="search",
        metrics=("accuracy",),
        labels=(0, 1) * (len(predictions) // 2),
        predictions=predictions,
    )
    context.ledger.add_network(network)
    context.ledger.add_evaluation(network.id, evaluation, deployment=deployment)


def test_nothing_asked_gives_the_runs_own(context: Context) -> None:
    found = table(context)
    assert found.protocol == OWN
    assert len(found) == 4
    assert found.full.network.id == context.full.id
    assert found.full.size_bytes == 7
    assert found.full.peak_memory_bytes == 11
    assert table(context, Where(device="cpu", runtime="eager")) == found


def test_of_several_the_one_most_like_the_runs_own(context: Context) -> None:
    found = table(context, Where(runtime="onnxruntime", precision="int8")).protocol
    assert (found.runtime, found.precision, found.seq_len) == ("onnxruntime", "int8", 16)


def test_threads_lengths_and_batch_size_can_be_asked_for(context: Context) -> None:
    asked = Where(runtime="onnxruntime", precision="int8", seq_len=32)
    assert table(context, asked).protocol.seq_len == 32
    with pytest.raises(InputError, match="no latencies of eager fp32 on cpu, threads 3: .* --thr"):
        table(context, Where(threads=3))


def test_any_deployment_is_one_table_each_the_runs_own_first(context: Context) -> None:
    found = chosen(context, Where(runtime="any", precision="any"))
    slugs = [entry.conditions.protocol.deployment.slug for entry in found]
    assert slugs[0] == "eager-fp32"
    assert set(slugs) == {"eager-fp32", "eager-bf16", "onnxruntime-int8"}
    for network in context.subnets().values():
        scored(context, network)
        scored(context, network, Deployment("eager", "bf16"))
    columns = candidates(context, found)
    assert columns.num_deployments == 2
    pool = {entry.key: entry for entry in columns}
    assert len(pool) == 8
    quick = pool[f"{context.full.id}/eager-bf16"]
    assert quick.known_value("latency_ms") == pytest.approx(5.0)
    assert quick.speedup == pytest.approx(2.0)
    for quantity in QUANTITIES:
        found_column, expected = columns.column(quantity), Column.of(list(columns), quantity)
        assert found_column.values == pytest.approx(expected.values, nan_ok=True)
        assert found_column.judged == pytest.approx(expected.judged, nan_ok=True)
    assert columns.outcomes.predictions.tolist() == [
        list(outcomes(entry).predictions) for entry in columns
    ]


def test_what_was_not_measured_is_refused_with_the_command(context: Context) -> None:
    with pytest.raises(
        InputError,
        match="no latencies of openvino fp32 on cpu: paretobert profile .*run --runtime openvino",
    ):
        table(context, Where(runtime="openvino"))
    with pytest.raises(InputError, match="runtime 'fast' is not supported"):
        Where(runtime="fast")


def test_a_latency_belongs_to_its_machine(context: Context) -> None:
    own, other = table(context), table(context, Where(machine="pi"))
    assert own.full.latency is not None
    assert other.full.latency is not None
    assert own.full.latency.full_ms.value == 10.0
    assert other.full.latency.full_ms.value == 80.0
    assert is_here(own.conditions)
    assert elsewhere(own.conditions) is None
    assert not is_here(other.conditions)
    assert "measured on pi" in (elsewhere(other.conditions) or "")
    assert table(context, Where(machine=PI.machine_id[:6])) == other
    assert table(context, Where(machine="here")) == own
    with pytest.raises(InputError, match="'mars' names no machine of .* it has measurements of"):
        table(context, Where(machine="mars"))


def test_more_is_timed_only_beside_what_was_measured_here_and_now(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Environment.capture()
    assert session_here(context).conditions == chosen(context, Where())[0].conditions
    for changed, message in (
        (
            replace(here, num_cores=here.num_cores + 1),
            "not profiled on this machine: paretobert p",
        ),
        (
            replace(here, versions={**here.versions, "torch": "9.9"}),
            r"Since these latencies were measured, versions changed on this machine: profile "
            r"again first: paretobert profile .*run\.$",
        ),
    ):
        monkeypatch.setattr(
            Environment, "capture", classmethod(lambda cls, changed=changed, **names: changed)
        )
        with pytest.raises(InputError, match=message):
            session_here(context)


def test_a_network_that_was_added_joins_by_its_ratio(context: Context) -> None:
    config = SubnetConfig.full(SHAPE)
    mine = Network("mine", Stored("checkpoint", {"fingerprint": "1"}, SHAPE, config))
    context.ledger.add_network(mine)
    measured(context, OWN, full_ms=20.0, purpose="addition", networks=[context.full, mine])
    found = table(context)
    assert len(found) == 5
    assert found[mine.id].values["latency_ms"] == pytest.approx(5.0)
    assert mine.id not in table(context, Where(machine="pi"))


def test_a_run_that_was_not_profiled_or_searched_says_so(context: Context) -> None:
    with pytest.raises(InputError, match="is not searched yet: paretobert search"):
        candidates(context, chosen(context, Where()))


def test_networks_are_found_by_what_people_call_them(context: Context) -> None:
    networks = context.networks()
    full = context.full
    for name in (full.id, full.id[:5], full.name, "full", "width 1, 2 of 2 layers"):
        assert find_network(networks, name).id == full.id
    with pytest.raises(InputError, match="There is no network called 'mine': the run has"):
        find_network(networks, "mine")


@pytest.mark.parametrize(
    ("inherited", "finished", "stays"),
    [
        ((0, 0) * 10, (0, 1) * 10, "finished"),
        ((0, 0) * 10, (0, 1) * 2 + (0, 0) * 8, "inherited"),
        ((0, 1) * 10, (0, 1) * 10, "inherited"),
        ((0, 1) * 10, (0, 0) * 10, "inherited"),
    ],
    ids=["better", "a tie that scores more", "the same", "worse"],
)
def test_one_of_a_network_and_its_finished_form_competes(
    context: Context, inherited: tuple[int, ...], finished: tuple[int, ...], stays: str
) -> None:
    small = list(context.subnets().values())[-1]
    assert small.config is not None
    made = Network("made", Stored("finished", {"network": small.name}, SHAPE, small.config))
    context.ledger.add_network(made)
    measured(context, OWN, purpose="addition", networks=[context.full, made])
    scored(context, context.full, predictions=(0, 1) * 10)
    scored(context, small, predictions=inherited)
    scored(context, made, predictions=finished)
    sessions = chosen(context, Where())
    assert len(candidates(context, sessions)) == 3
    found = {entry.network.id for entry in competing(context, sessions)}
    assert found == {context.full.id, made.id if stays == "finished" else small.id}


def test_a_finished_network_competes_alone_where_the_other_is_not_scored(context: Context) -> None:
    small = list(context.subnets().values())[-1]
    assert small.config is not None
    made = Network("made", Stored("finished", {"network": small.name}, SHAPE, small.config))
    measured(context, OWN, purpose="addition", networks=[context.full, made])
    scored(context, made)
    (found,) = competing(context, chosen(context, Where()))
    assert found.network.id == made.id
