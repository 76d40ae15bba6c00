"""A whole run whose sub-networks are repaired instead of trained."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from paretobert import LatencyProtocol, Run, TaskRequest, TrainingOptions
from paretobert.deploy.deployment import EAGER_FP32
from paretobert.search.options import SearchOptions
from paretobert.training.pace import StudentPace


@pytest.fixture(autouse=True)
def _measured_here(measuring_here: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    with measuring_here():
        yield


def created(folder: Path, checkpoint: Path, data: Path, **training: Any) -> Run:
    """A run whose sub-networks are repaired, of two widths."""
    return Run.create(
        folder / "run",
        model=checkpoint,
        task=TaskRequest("files", data=data, max_length=16),
        training=TrainingOptions(
            recipe="closed-form",
            widths=(1.0, 0.5),
            learning_rate=5e-3,
            batch_size=16,
            precision="fp32",
            **training,
        ),
        protocol=LatencyProtocol(seq_len=8, time_budget_s=0.1),
    )


def test_repaired_networks_are_what_is_scored_and_exported(
    tiny_checkpoint: Path, colours_csv: Path, tmp_path: Path
) -> None:
    run = created(
        tmp_path,
        tiny_checkpoint,
        colours_csv,
        depths=(1.0, 0.5),
        tokens=(1.0, 0.5),
        teacher_epochs=8,
    )
    run.train()
    assert not (run.folder.root / "checkpoints").exists()
    run.profile()
    run.search()
    found = {
        candidate.network.config.key: candidate
        for candidate in run.candidates()
        if candidate.network.config is not None
    }
    assert len(found) == 8
    kept = {path: path.read_bytes() for path in run.folder.repaired.iterdir()}
    assert len(kept) == 3, "one for each of the sizes, whatever it eliminates"
    key = "L1.3-H2-F32"
    assert found[key].evaluation.value > 0.9 * found["L0.1.2.3-H4-F64"].evaluation.value
    again = Run.open(run.folder.root).context.workshop
    network = found[key].network
    assert again.score(network, split="search").predictions == found[key].evaluation.predictions
    exported = run.export(to=tmp_path / "small", network=key)
    assert exported.same_artefact
    assert exported.num_changed == 0
    assert kept == {path: path.read_bytes() for path in run.folder.repaired.iterdir()}
    barely = StudentPace(steps=1, learning_rate=1e-12, weight_decay=0.0, precision="fp32")
    (member,) = run.finish(barely, members=1)
    repaired = found[member.inherited.name].evaluation.predictions
    assert member.finished.evaluation.predictions == repaired
    eliminating = found["L1.3-H2-F32-P50.1"].network
    first, second, third = (
        again.build(entry).state_dict() for entry in (network, network, eliminating)
    )
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())
    assert all(torch.equal(third[name], tensor) for name, tensor in first.items())
    exported = run.export(to=tmp_path / "eliminating", network=eliminating.name)
    assert exported.same_artefact
    assert exported.num_changed == 0


def test_engines_know_what_layers_lose_and_predictors_repair_nothing(
    tiny_checkpoint: Path, colours_csv: Path, tmp_path: Path
) -> None:
    """So that `exact` probes no layer: it begins with the full model, then the least budget."""
    run = created(
        tmp_path,
        tiny_checkpoint,
        colours_csv,
        space="layerwise",
        depths=(1.0,),
        teacher_epochs=1,
    )
    run.train()
    run.profile()
    options = SearchOptions(objectives=("score", "num_flops"), engine="exact", trials=6)
    scored = [entry.network.config for entry in run.search(options).candidates]
    space = run.context.space
    assert [config.num_layers for config in scored[:4]] == [4, 3, 2, 1]
    assert scored[0] == space.full
    assert scored[4] == space.smallest
    repaired = set(run.folder.repaired.iterdir())
    workshop, narrow = run.context.workshop, run.context.cut(space.smallest)
    for name, make in (("sizes", workshop.write_unrepaired), ("network", workshop.write)):
        make(narrow, EAGER_FP32, tmp_path / name)
    sizes, network = (
        load_file(next((tmp_path / name).glob("*.safetensors"))) for name in ("sizes", "network")
    )
    assert {key: each.shape for key, each in sizes.items()} == {
        key: each.shape for key, each in network.items()
    }
    assert any(not torch.equal(each, network[key]) for key, each in sizes.items())
    assert set(run.folder.repaired.iterdir()) == repaired


@pytest.mark.parametrize(
    ("recipe", "given", "seconds"),
    [("closed-form", {}, 30), ("closed-form", {"time_budget_s": 7}, 7), ("sandwich", {}, 180)],
)
def test_a_first_front_is_measured_briefly(
    recipe: str,
    given: dict[str, float],
    seconds: float,
    tiny_checkpoint: Path,
    colours_csv: Path,
    tmp_path: Path,
) -> None:
    run = Run.create(
        tmp_path / "run",
        model=tiny_checkpoint,
        task=TaskRequest("files", data=colours_csv, max_length=16),
        training={"recipe": recipe},
        protocol={"seq_len": 8, **given},
    )
    assert run.request.protocol.time_budget_s == seconds
    assert run.request.protocol.seq_len == 8
