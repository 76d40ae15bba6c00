import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from paretobert.encoders.families import shape_of
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling import deployed, profiler
from paretobert.profiling.footprint import Footprint
from paretobert.profiling.fresh import FreshProcesses, Written
from paretobert.profiling.measuring import MeasuringProgress
from paretobert.profiling.profiler import count_grid, profile_grid, table_path
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.table import LookupTable

from .conftest import tiny_model
from .fake import FakeProcesses, FakeTime

PROTOCOL = LatencyProtocol(seq_len=16)


def configs(model: PreTrainedModel) -> list[SubnetConfig]:
    return list(grid(shape_of(model.config), widths=(1.0, 0.5), depths=(0.5,)))


@pytest.fixture(autouse=True)
def no_footprints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        profiler, "measure_footprint", lambda folder, protocol: Footprint(folder.name, 7, 11)
    )


def in_fake_time(fresh: FreshProcesses) -> FakeProcesses:
    """In place of fresh processes: each run takes a microsecond per parameter of its network."""
    fake = FakeTime()

    def run(subject: object) -> Callable[[], None]:
        assert isinstance(subject, Written)
        weights = load_file(subject.folder / "model.safetensors").values()
        return fake.network(1e-6 * sum(tensor.numel() for tensor in weights))

    return FakeProcesses(
        fake,
        lambda index: {name: run(subject) for name, subject in fresh.subjects.items()},
        fresh.protocol,
        sentinel=fresh.sentinel,
    )


def test_profile_of_a_grid(family: str, tmp_path: Path) -> None:
    model = tiny_model(family)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wanted = configs(model)
    seen: list[MeasuringProgress] = []
    table = profile_grid(
        model,
        [*wanted, *wanted],
        PROTOCOL,
        folder=tmp_path,
        progress=seen.append,
        starter=in_fake_time,
    )
    shape = shape_of(model.config)
    full = SubnetConfig.full(shape)
    assert [profile.config for profile in table] == [full, *wanted]
    assert [profile.latency for profile in count_grid(shape, wanted, seq_len=16)] == [None] * 2
    for profile in table:
        expected = profile.num_params / table[full].num_params
        assert profile.latency is not None
        assert profile.latency.ratio.value == pytest.approx(expected)
        assert profile.latency.resolved
    assert seen[-1].num_visits == seen[-1].visits_per_process == 15
    assert LookupTable.load(table_path(tmp_path, PROTOCOL)) == table
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_broken_profile_goes_on(tmp_path: Path) -> None:
    model = tiny_model()
    log = tmp_path / "rounds" / f"{PROTOCOL.slug}.jsonl"

    def break_off(progress: MeasuringProgress) -> None:
        if progress.num_processes == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        profile_grid(
            model,
            configs(model),
            PROTOCOL,
            folder=tmp_path,
            progress=break_off,
            starter=in_fake_time,
        )
    assert not table_path(tmp_path, PROTOCOL).exists()
    finished = log.read_text()
    assert len(finished.splitlines()) == 1 + 2
    log.write_text(finished + '{"index": 2, "rou')

    seen: list[MeasuringProgress] = []
    table = profile_grid(
        model,
        configs(model),
        PROTOCOL,
        folder=tmp_path,
        progress=seen.append,
        starter=in_fake_time,
    )
    assert {progress.num_processes for progress in seen} == {2, 3, 4}
    assert log.read_text().startswith(finished)
    assert len(log.read_text().splitlines()) == 1 + 5

    seen.clear()
    again = profile_grid(model, configs(model), PROTOCOL, folder=tmp_path, progress=seen.append)
    assert seen == []
    assert again.profiles == table.profiles


def profiled(folder: Path) -> Path:
    model = tiny_model()
    profile_grid(model, configs(model), PROTOCOL, folder=folder, starter=in_fake_time)
    return folder / "rounds" / f"{PROTOCOL.slug}.jsonl"


def test_rounds_of_other_networks_are_refused(tmp_path: Path) -> None:
    profiled(tmp_path)
    with pytest.raises(InputError, match="holds another measurement.*networks"):
        profile_grid(tiny_model(), [], PROTOCOL, folder=tmp_path, starter=in_fake_time)


def test_rounds_of_another_machine_are_refused(tmp_path: Path) -> None:
    path = profiled(tmp_path)
    header, *rounds = path.read_text().splitlines(keepends=True)
    record = json.loads(header)
    record["environment"]["num_cores"] = 1000
    path.write_text(json.dumps(record) + "\n" + "".join(rounds))
    with pytest.raises(InputError, match=r"differs in environment.num_cores: 1000 and \d+"):
        profiled(tmp_path)


def test_damaged_rounds_are_refused(tmp_path: Path) -> None:
    path = profiled(tmp_path)
    good = path.read_text()
    for old, new, message in (
        ('"times_s"', '"time"', "damaged in 'line 2'.*times_s"),
        ('"network": "L0', '"network": "L9', "lacks a network"),
        ('{"index": 0, "rounds"', '"index": 0, "rounds"', "line 2, is not a JSON object"),
        ('"session": "', '"session": 1, "was": "', "damaged in 'session'.*1 is no name"),
    ):
        path.write_text(good.replace(old, new))
        with pytest.raises(InputError, match=message):
            profiled(tmp_path)


def test_a_dense_copy_of_other_size_is_caught(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = tiny_model()
    monkeypatch.setattr(deployed, "extract", lambda model, config: model)
    with pytest.raises(RuntimeError, match=r"the dense copy has \d+ parameters, the closed form"):
        profile_grid(model, configs(model), PROTOCOL, folder=tmp_path)


@pytest.mark.parametrize(("family", "longest"), [("bert", 34), ("roberta", 32)])
def test_too_long_sequences_are_refused(family: str, longest: int, tmp_path: Path) -> None:
    protocol = LatencyProtocol(seq_len=longest + 1)
    with pytest.raises(InputError, match=f"{longest + 1} is more than the model's {longest} pos"):
        profile_grid(tiny_model(family), [], protocol, folder=tmp_path)


def test_the_longest_sequence_is_measured(family: str, tmp_path: Path) -> None:
    longest = 32 if family in ("roberta", "xlm-roberta", "camembert") else 34
    protocol = LatencyProtocol(seq_len=longest)
    table = profile_grid(tiny_model(family), [], protocol, folder=tmp_path, starter=in_fake_time)
    assert len(table) == 1
