"""What `paretobert measure` found elsewhere, entered into the run that the networks are from."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paretobert import LatencyProtocol, Run, TaskRequest, TrainingOptions
from paretobert.deploy.deployment import Deployment
from paretobert.errors import InputError
from paretobert.networks.network import Network
from paretobert.pipeline.costs import Where
from paretobert.profiling.carried import Carried, read_carried, write_carried
from paretobert.profiling.exported import (
    measure_exports,
    protocol_for,
    read_exports,
    reference_of,
)
from paretobert.profiling.table import LatencySummary

SMALL = "L1.3-H2-F32"
BF16 = Where(precision="bf16")


@pytest.fixture(autouse=True)
def _measured_here(measuring_here: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    with measuring_here():
        yield


@pytest.fixture(scope="module")
def run(
    tiny_checkpoint: Path,
    colours_csv: Path,
    tmp_path_factory: pytest.TempPathFactory,
    measuring_here: Callable[[], AbstractContextManager[None]],
) -> Run:
    """A run that is searched, with two of its networks exported, each on two deployments."""
    folder = tmp_path_factory.mktemp("carry")
    with measuring_here():
        made = Run.create(
            folder / "run",
            model=tiny_checkpoint,
            task=TaskRequest("files", data=colours_csv, max_length=32),
            training=TrainingOptions(
                widths=(1.0, 0.5),
                depths=(1.0, 0.5),
                teacher_epochs=1,
                width_epochs=1,
                depth_epochs=1,
                precision="fp32",
            ),
            protocol=LatencyProtocol(seq_len=8, time_budget_s=0.1),
        )
        made.train()
        made.profile()
        made.profile(replace(made.request.protocol, precision="bf16"))
        made.search()
        for name, network in (("full", "full"), ("small", SMALL)):
            made.export(network=network, to=folder / name)
            made.export(network=network, where=BF16, to=folder / f"{name}-bf16")
    return made


@pytest.fixture(scope="module")
def carried(run: Run, measuring_here: Callable[[], AbstractContextManager[None]]) -> Carried:
    """All four, as if they had been measured on another machine."""
    folder = run.folder.root.parent
    with measuring_here():
        exports = read_exports(
            [folder / name for name in ("small-bf16", "small", "full", "full-bf16")]
        )
        reference = reference_of(exports)
        found = measure_exports(
            exports, protocol_for(reference, {}), reference=reference, machine="edge box"
        )
    elsewhere = replace(found.environment, processor="Edge CPU", num_cores=4)
    return replace(found, environment=elsewhere)


@pytest.fixture
def ours(run: Run, tmp_path: Path) -> Run:
    """A copy of the run that a test may change."""
    return Run.open(shutil.copytree(run.folder.root, tmp_path / "run"))


@pytest.fixture
def file(carried: Carried, tmp_path: Path) -> Path:
    path = tmp_path / "edge.json"
    write_carried(path, carried)
    return path


def without(carried: Carried, *keys: str) -> dict[str, Any]:
    """The file as it would be if some networks had not been measured."""
    record = carried.to_dict()
    record["networks"] = [
        entry
        for entry, known in zip(record["networks"], carried.networks, strict=True)
        if known.key not in keys
    ]
    for process in record["processes"]:
        for each in process["rounds"]:
            for visits in ("visits", "discarded"):
                each[visits] = [visit for visit in each[visits] if visit["network"] not in keys]
    return record


def test_a_file_is_read_back_as_it_was(carried: Carried, file: Path) -> None:
    assert read_carried(file) == carried
    assert json.loads(file.read_text())["machine"] == "edge box"
    assert carried.protocol.seq_len == 8


def test_the_other_machine_answers_and_is_named_first(ours: Run, file: Path) -> None:
    before = ours.table()
    first, second = ours.import_measurements(file)
    assert [len(record.subjects) for record in (first, second)] == [2, 2]
    assert first.conditions.protocol.deployment == Deployment()
    table = ours.table(Where(machine="edge box"))
    assert len(table) == 2
    assert table.environment.processor == "Edge CPU"
    small = next(entry for entry in table if not entry.network.is_full)
    assert small.latency is not None
    assert small.latency.session == first.id
    assert small.size_bytes
    assert small.peak_memory_bytes == 11_000_000
    halved = ours.table(Where(machine="edge box", precision="bf16"))
    assert {entry.network.id for entry in halved} == {entry.network.id for entry in table}
    assert halved.full.latency is not None
    assert halved.full.latency.is_reference
    assert ours.table() == before
    result = ours.query(params="1M", where=Where(machine="edge box"))
    assert result.answer is not None
    assert "measured on edge box" in result.sentences()[0]
    assert result.answer.latency in [entry.latency for entry in table]
    found = ours.query(params="1M", where=Where(machine="edge box", precision="any"))
    assert found.answer is not None


def test_importing_twice_changes_nothing(ours: Run, file: Path) -> None:
    once = ours.import_measurements(file)
    again = ours.import_measurements(file)
    assert again == once
    assert len(ours.context.ledger.sessions(purpose="import")) == 2


def test_another_runs_networks_are_refused(ours: Run, carried: Carried, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    write_carried(
        path,
        replace(
            carried, networks=tuple(replace(entry, run="other") for entry in carried.networks)
        ),
    )
    with pytest.raises(InputError, match="was exported from another run than"):
        ours.import_measurements(path)
    assert not ours.context.ledger.sessions(purpose="import")


def test_unknown_networks_are_refused(ours: Run, carried: Carried, file: Path) -> None:
    record = carried.to_dict()
    small = next(entry.network for entry in carried.networks if not entry.network.is_full)
    for entry in record["networks"]:
        if entry["network"] == small.to_dict():
            entry["network"] = json.loads(json.dumps(entry["network"]))
            entry["network"]["recipe"]["config"]["neurons"] = [31, 31]
            changed = Network.from_dict(entry["network"])
    file.write_text(json.dumps(record).replace(small.id, changed.id))
    with pytest.raises(InputError, match=r"is no network of this run\."):
        ours.import_measurements(file)


def test_other_files_are_refused(ours: Run, carried: Carried, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    first, *rest = carried.networks
    write_carried(path, replace(carried, networks=(replace(first, fingerprint="0" * 32), *rest)))
    with pytest.raises(InputError, match="on eager bf16 are not those that this run has scored"):
        ours.import_measurements(path)


def test_a_deployment_without_the_full_model_is_refused(
    ours: Run, carried: Carried, file: Path
) -> None:
    full = next(
        entry.key
        for entry in carried.networks
        if entry.network.is_full and entry.deployment.precision == "bf16"
    )
    file.write_text(json.dumps(without(carried, full)))
    with pytest.raises(InputError, match="networks on eager bf16 without the full model"):
        ours.import_measurements(file)


def test_another_reference_is_refused(ours: Run, carried: Carried, file: Path) -> None:
    small = next(
        entry
        for entry in carried.networks
        if not entry.network.is_full and entry.deployment == Deployment()
    )
    session = carried.relative_to(small.key)
    write_carried(
        file,
        replace(
            carried,
            reference=small.key,
            networks=tuple(
                replace(entry, latency=LatencySummary.from_measurement(session[entry.key]))
                for entry in carried.networks
            ),
        ),
    )
    with pytest.raises(InputError, match=f"is relative to .*{small.network.label}.* not to the"):
        ours.import_measurements(file)


def test_what_the_run_profiled_itself_stays(
    ours: Run, carried: Carried, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "own.json"
    here = ours.table().environment
    write_carried(path, replace(carried, environment=here, protocol=ours.request.protocol))
    with pytest.raises(InputError, match="of this run's own profile: measure there with"):
        ours.import_measurements(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.pop("processes"), "is no file that `paretobert measure` wrote"),
        (lambda record: record.update(schema=99), "has schema 99, this version reads 1"),
        (lambda record: record.update(protocol={"device": 3}), "is damaged in 'protocol'"),
        (lambda record: record.pop("environment"), "is damaged in 'environment'"),
        (lambda record: record.update(networks=3), "is damaged in 'networks'"),
        (lambda record: record["networks"][0].pop("run"), "is damaged in 'networks': .*run"),
        (lambda record: record["networks"][0].update(size_bytes=-1), "size_bytes must be"),
        (lambda record: record["networks"][0].update(fingerprint=None), "fingerprint must be"),
        (lambda record: record.update(noise={}), "is damaged in 'noise'"),
        (lambda record: record.update(processes=[]), "there are no processes"),
        (lambda record: record.update(reference="x"), "the reference 'x' is not among"),
        (lambda record: record.update(session="../x"), "'../x' is no session's name"),
        (lambda record: record["networks"].append(record["networks"][0]), "is there twice"),
        (lambda record: record["networks"].pop(), "process 0 measured other networks"),
        (
            lambda record: record["networks"][0]["latency"]["full_ms"].update(
                value=9e9, low=9e9, high=9e9
            ),
            "does not follow from its raw times",
        ),
        (
            lambda record: record["networks"][0]["latency"].update(session="x"),
            "is of another session",
        ),
        (lambda record: record["protocol"].update(precision="bf16"), "not that of the reference"),
    ],
)
def test_a_damaged_file_is_refused(
    change: Callable[[dict[str, Any]], object], message: str, file: Path
) -> None:
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))
    with pytest.raises(InputError, match=message):
        read_carried(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent.json does not exist"):
        read_carried(tmp_path / "absent.json")


def test_folders_that_cannot_be_measured_together(run: Run, tmp_path: Path) -> None:
    full, small = (run.folder.root.parent / name for name in ("full", "small"))
    with pytest.raises(InputError, match="are the same network on eager fp32: name one"):
        read_exports([full, shutil.copytree(full, tmp_path / "copy")])
    with pytest.raises(InputError, match="is not among the folders"):
        reference_of(read_exports([full]), small)
    exports = read_exports([small, full])
    assert reference_of(exports).network.is_full
    assert not reference_of(exports, small).network.is_full
    assert not reference_of(read_exports([small])).network.is_full
    protocol = protocol_for(exports[0], {"seq_len": 65})
    with pytest.raises(InputError, match="at most 64 tokens, not of 65: use a smaller --seq-len"):
        measure_exports(exports, protocol, reference=exports[0])


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        (None, "does not say which network it is"),
        ({"id": "x"}, "is damaged .*network"),
        ("other id", "its network has another id"),
    ],
)
def test_a_folder_that_does_not_say_what_it_is(
    origin: Any, message: str, run: Run, tmp_path: Path
) -> None:
    copy = shutil.copytree(run.folder.root.parent / "small", tmp_path / "copy")
    path = copy / "deployment.json"
    record = json.loads(path.read_text())
    record["origin"] = record["origin"] | {"id": "0"} if origin == "other id" else origin
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=message):
        read_exports([copy])
