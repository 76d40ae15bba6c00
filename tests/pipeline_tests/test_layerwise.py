"""A whole run whose supernet is trained for layers that differ."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from paretobert import LatencyProtocol, Run, TaskRequest, TrainingOptions
from paretobert.dynabert.supernet import Supernet
from paretobert.errors import InputError
from paretobert.networks.spaces import Layerwise
from paretobert.pipeline.costs import Where
from paretobert.pipeline.figures import run_figures
from paretobert.reports.figures.drawing import Picture

UNEVEN = "L0.3-H3.2-F16.64"


@pytest.fixture(autouse=True)
def _measured_here(measuring_here: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    with measuring_here():
        yield


def figures_of(run: Run) -> list[Picture]:
    """What the report draws of what was measured and searched."""
    return run_figures(run.context, [run.table()], list(run.candidates()))


def test_any_network_of_the_space_is_shown_and_exported(
    tiny_checkpoint: Path, colours_csv: Path, tmp_path: Path
) -> None:
    run = Run.create(
        tmp_path / "run",
        model=tiny_checkpoint,
        task=TaskRequest("files", data=colours_csv, max_length=16),
        training=TrainingOptions(
            recipe="sandwich",
            space="layerwise",
            widths=(1.0, 0.5),
            depths=(1.0, 0.5),
            teacher_epochs=4,
            width_epochs=1,
            depth_epochs=2,
            learning_rate=5e-3,
            batch_size=16,
            precision="fp32",
        ),
        protocol=LatencyProtocol(seq_len=8, time_budget_s=0.1),
    )
    run.train()
    supernet = Supernet.from_pretrained(run.folder.supernet)
    assert supernet.space == Layerwise(supernet.shape, (1.0, 0.5), (1.0, 0.5))
    run.profile()
    run.search()
    landmarks = [entry.network.config for entry in run.candidates()]
    assert set(landmarks) == set(supernet.space.landmarks)

    shown = run.show(UNEVEN)
    assert shown.network.name == UNEVEN
    assert shown.sentences()[-1] == "It was not measured yet."
    exported = run.export(to=tmp_path / "uneven", network=UNEVEN)
    assert exported.candidate.name == UNEVEN
    assert exported.same_artefact
    assert exported.num_changed == 0
    assert run.show(UNEVEN).holdings[0].scores["search"] == exported.candidate.evaluation
    candidates = [entry.network.name for entry in run.candidates(Where())]
    assert sorted(candidates) == sorted([UNEVEN, *(c.key for c in supernet.space.landmarks)])
    figures = {figure.name: figure for figure in figures_of(run)}
    assert not {"speedups", "fidelities"} & figures.keys()
    scores = {entry.evaluation.value for entry in run.candidates(Where())}
    assert ("progress" in figures) == (len(scores) > 1)
    assert "heads" in figures["layers"].networks[0].shares
    budget = exported.candidate.profile.num_params
    found = run.query(params=str(budget))
    assert found.answer is not None
    assert found.answer.profile.num_params <= budget

    with pytest.raises(InputError, match="There is no network called 'L0.3-H3.2-F17.64'"):
        run.show("L0.3-H3.2-F17.64")
