"""Written networks, weighed and timed in a fake time."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import load_file

from paretobert.deploy.artefact import write
from paretobert.deploy.deployment import EAGER_FP32
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling import profiler
from paretobert.profiling.footprint import Footprint
from paretobert.profiling.fresh import FreshProcesses, Written
from paretobert.profiling.measuring import MeasuringProgress
from paretobert.profiling.profiler import DECIDING, Writer, measure_deployed
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Process, Session

from .conftest import tiny_model
from .fake import FakeProcesses, FakeTime

PROTOCOL = LatencyProtocol(seq_len=16)
MODEL = tiny_model()
SHAPE = shape_of(MODEL.config)
CONFIGS = tuple(grid(SHAPE, widths=(1.0, 0.5), depths=(1.0,)))
FULL = SubnetConfig.full(SHAPE).key


def written(config: SubnetConfig, folder: Path) -> None:
    write(extract(MODEL, config), EAGER_FP32, folder)


def writers() -> dict[str, Writer]:
    return {config.key: partial(written, config) for config in CONFIGS}


@pytest.fixture(autouse=True)
def weighed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks that were weighed, in order; each takes the same."""
    names: list[str] = []

    def weigh(name: str, folder: Path) -> Footprint:
        assert (folder / "deployment.json").is_file()
        names.append(name)
        return Footprint(name, 7, 11)

    monkeypatch.setattr(profiler, "weighing", lambda protocol: nullcontext(weigh))
    return names


def num_parameters(subject: object) -> int:
    assert isinstance(subject, Written)
    return sum(t.numel() for t in load_file(subject.folder / "model.safetensors").values())


def in_fake_time(fresh: FreshProcesses) -> FakeProcesses:
    """In place of fresh processes: each run takes a microsecond per parameter of its network."""
    fake = FakeTime()

    def networks(index: int) -> Mapping[str, Callable[[], None]]:
        return {
            name: fake.network(1e-6 * num_parameters(subject))
            for name, subject in fresh.subjects.items()
        }

    return FakeProcesses(fake, networks, fresh.protocol, sentinel=fresh.sentinel)


def test_what_lies_on_disk_is_weighed_and_timed_together(weighed: list[str]) -> None:
    seen: list[MeasuringProgress] = []
    kept: list[Process] = []
    deployed: list[tuple[int, int]] = []
    found = measure_deployed(
        writers(),
        PROTOCOL,
        sentinel=FULL,
        session="s",
        footprints={},
        on_process=kept.append,
        deploying=lambda done, of: deployed.append((done, of)),
        progress=seen.append,
        starter=in_fake_time,
    )
    sizes = [sum(t.numel() for t in extract(MODEL, config).parameters()) for config in CONFIGS]
    for config, size in zip(CONFIGS, sizes, strict=True):
        ratio = found.session[config.key].ratio
        assert ratio.value == pytest.approx(size / sizes[0], rel=0.02)
    assert found.session.name == "s"
    assert weighed == [config.key for config in CONFIGS]
    assert set(found.footprints) == set(weighed)
    assert deployed == [(1, 2), (2, 2)]
    assert tuple(kept) == found.session.processes
    assert seen
    assert not found.spent


def test_known_footprints_are_not_weighed_again_and_none_where_none_is_wanted(
    weighed: list[str],
) -> None:
    measure = partial(
        measure_deployed, writers(), PROTOCOL, sentinel=FULL, session="s", starter=in_fake_time
    )
    known = {FULL: Footprint(FULL, 1, 2)}
    new: list[Footprint] = []
    found = measure(footprints=known, on_footprint=new.append)
    assert weighed == [entry.network for entry in new] == [CONFIGS[1].key]
    assert found.footprints[FULL].size_bytes == 1
    assert measure().footprints == {}
    assert len(weighed) == 1


def test_finished_processes_count(weighed: list[str]) -> None:
    measure = partial(
        measure_deployed, writers(), PROTOCOL, sentinel=FULL, session="s", starter=in_fake_time
    )
    first = measure().session.processes
    new: list[Process] = []
    again = measure(finished=first[:2], on_process=new.append)
    assert again.session.processes[:2] == first[:2]
    assert [process.index for process in new] == [process.index for process in first[2:]]


def test_what_is_undecided_is_measured_to_the_end_and_asked_once() -> None:
    asked: list[Session] = []

    def undecided(found: Session) -> bool:
        asked.append(found)
        return True

    measure = partial(
        measure_deployed, writers(), PROTOCOL, sentinel=FULL, session="s", starter=in_fake_time
    )
    short, long = measure(), measure(undecided=undecided)
    assert len(asked) == 1
    assert asked[0].processes == short.session.processes
    assert long.spent
    assert len(long.session.processes) > len(short.session.processes)
    assert DECIDING > 1


def test_an_impossible_deployment_is_refused_before_anything_is_written() -> None:
    def never(folder: Path) -> None:
        raise AssertionError(folder)

    with pytest.raises(InputError, match="is not possible on cpu"):
        measure_deployed(
            {"full": never},
            LatencyProtocol(runtime="onnxruntime", precision="bf16"),
            sentinel="full",
            session="s",
        )
