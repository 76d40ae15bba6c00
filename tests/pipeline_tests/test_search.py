"""A search beyond the landmarks: what is predicted, what is measured, what is shown of both."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from paretobert.dynabert.options import TrainingOptions
from paretobert.errors import InputError
from paretobert.networks.network import Network
from paretobert.pipeline.context import Context
from paretobert.pipeline.costs import Where, candidates, chosen, competing, cost_table
from paretobert.pipeline.folder import RunFolder, claim
from paretobert.pipeline.request import RunRequest
from paretobert.pipeline.run import Run
from paretobert.pipeline.steps import search as step
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.search.delivery import Timing
from paretobert.search.options import SearchOptions
from paretobert.tasks.loading import TaskRequest
from paretobert.tasks.scores import Evaluation, score_predictions

from . import test_costs

OWN = LatencyProtocol(seq_len=16)
MODEL = SearchOptions(engine="model", trials=34)
NUM_EXAMPLES = 100


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """A layerwise run of four landmarks; scores and times follow from sizes."""
    request = RunRequest(
        model="minilm",
        fingerprint="0",
        task=TaskRequest("stdlib-docs"),
        training=TrainingOptions(
            widths=(1.0, 0.5), depths=(1.0, 0.5), recipe="sandwich", space="layerwise"
        ),
        protocol=OWN,
        search=MODEL,
    )
    folder = RunFolder(tmp_path / "run")
    claim(folder, request.to_dict(), task={"name": "x", "sizes": {"search": 100, "report": 100}})
    folder.supernet.mkdir()
    context = Context(folder, request)
    full = Network("full", test_costs.Cut(SHAPE, test_costs.SubnetConfig.full(SHAPE)))
    context.ledger.add_network(full)
    context.workshop = Scoring()
    test_costs.measured(context, OWN)
    monkeypatch.setattr(step, "measure_added", measure_added)
    monkeypatch.setattr(step, "time_again", lambda *_, **__: Timing({}, ()))
    yield context
    context.ledger.close()


SHAPE = replace(test_costs.SHAPE, num_layers=4, num_heads=4, head_size=2, ffn_size=32)


class Scoring(SimpleNamespace):
    """Scores networks by what they keep, and counts."""

    def __init__(self) -> None:
        super().__init__(scored=[])

    def score(self, network: Network, *, split: str, deployment: object) -> Evaluation:
        self.scored.append(network.id)
        config = network.config
        assert config is not None
        kept = sum(config.heads) / 16 + sum(config.neurons) / 128
        right = round(NUM_EXAMPLES * (0.9 - 0.1 * (2 - kept) ** 2))
        labels = (0, 1) * (NUM_EXAMPLES // 2)
        predictions = tuple(label if i < right else 1 - label for i, label in enumerate(labels))
        return score_predictions(
            task="x", split=split, metrics=("accuracy",), labels=labels, predictions=predictions
        )


def measure_added(
    context: Context, networks: list[Network], protocol: LatencyProtocol, *, progress: object
) -> None:
    test_costs.measured(context, protocol, purpose="addition", networks=networks)


def test_finalists_are_measured_and_the_rest_has_counts(context: Context) -> None:
    result = step.search(context, MODEL)
    assert len(result.candidates) == MODEL.trials
    timed = [entry for entry in result.candidates if entry.latency is not None]
    assert 4 < len(timed) < MODEL.trials
    assert all(member.latency is not None for member in result.front.members)
    assert all(entry.num_params for entry in result.candidates)
    record = chosen(context, Where())[0]
    assert len(cost_table(context, record)) == len(timed)
    pool = candidates(context, [record])
    assert len(pool) == MODEL.trials
    assert sum(pool.column("latency_ms").values > 0) == len(timed)
    assert len(competing(context, [record])) == MODEL.trials
    run = Run(context)
    assert {e.key for e in run.front().members} <= {e.key for e in timed}
    unmeasured = next(entry for entry in result.candidates if entry.latency is None)
    assert context.named(unmeasured.network.id) == unmeasured.network
    by_params = run.front(by="params")
    assert len(by_params.members) + len(by_params.dominated) == MODEL.trials
    assert len(run.to_frame()) == MODEL.trials


def test_nothing_is_scored_or_measured_twice(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = step.search(context, MODEL)
    scored = list(context.workshop.scored)
    assert len(scored) == len(set(scored)) == MODEL.trials
    monkeypatch.setattr(step, "measure_added", None)
    again = step.search(context, MODEL)
    assert again == first
    assert context.workshop.scored == scored
    context.folder.study.unlink()
    assert step.search(context, MODEL) == first
    assert context.workshop.scored == scored


def test_a_predicted_budget_keeps_a_margin(context: Context) -> None:
    options = replace(MODEL, trials=20, max_latency="7ms", min_score="0.7")
    result = step.search(context, options)
    assert [config.num_layers for config in result.skipped] == [4]
    assert all(member.latency.time_ms.high <= 7 for member in result.front.members)
    assert all(member.evaluation.value >= 0.7 for member in result.front.members)


def test_a_run_profiled_elsewhere_is_searched_by_counts_only(
    context: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(step, "is_here", lambda conditions: False)
    result = step.search(context, replace(MODEL, objectives=("score", "num_params")))
    assert "not measured: the run was profiled on another machine" in caplog.text
    assert any(member.latency is None for member in result.front.members)


def test_a_damaged_study_is_refused(context: Context) -> None:
    context.folder.study.write_bytes(b"garbage\nmore\n")
    with pytest.raises(InputError, match="is not a study's journal, or it is damaged"):
        step.search(context, MODEL)
