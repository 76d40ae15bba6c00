from dataclasses import fields, replace
from pathlib import Path

import pytest

from paretobert.errors import InputError
from paretobert.profiling import environment
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol


def test_defaults_are_the_papers_sizes() -> None:
    cpu, gpu = LatencyProtocol.of({}), LatencyProtocol.of({"device": "cuda:1"})
    assert (cpu.batch_size, cpu.seq_len) == (1, 128)
    assert (gpu.batch_size, gpu.seq_len) == (128, 128)
    assert cpu.slug == "cpu-eager-fp32-1x128-1t"
    assert gpu.slug == "cuda1-eager-fp32-128x128-1t"
    assert cpu.title == "batch 1 x 128 tokens, cpu, 1 thread, eager fp32"


def test_what_is_given_counts() -> None:
    given = {"device": "cuda", "batch_size": 4, "seed": 3}
    assert LatencyProtocol.of(given) == LatencyProtocol(device="cuda", batch_size=4, seed=3)


def test_protocol_survives_json() -> None:
    protocol = LatencyProtocol(threads=2, seed=7)
    assert LatencyProtocol.from_dict(protocol.to_dict()) == protocol


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "tpu"}, "device 'tpu' is not cpu, cuda or cuda:<index>"),
        ({"device": "cuda:x"}, "device 'cuda:x'"),
        ({"runtime": "vacuum"}, "runtime 'vacuum' is not supported; use eager"),
        ({"precision": "fp7"}, "precision 'fp7' is not supported; use fp32"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"threads": 1.5}, "threads must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"time_budget_s": 0}, "time_budget_s must be a positive number, not 0"),
        ({"half_width": float("nan")}, "half_width must be a positive number"),
        ({"time_budget_s": float("inf")}, "time_budget_s must be a positive number"),
        ({"threads": 1025}, "threads must be at most 1,024, not 1025"),
        ({"batch_size": 10**400}, r"batch_size must be at most 65,536, not 1000+\.\.\.0+"),
        ({"seq_len": 10**7}, "seq_len must be at most 1,000,000"),
        ({"seed": 2**32}, "seed must be at most 4,294,967,295"),
        ({"device": "cuda:" + "9" * 400}, "is not cpu, cuda or cuda:<index>"),
        ({"device": "cuda:\u0663"}, "is not cpu, cuda or cuda:<index>"),
        ({"device": "cuda:1\n"}, "is not cpu, cuda or cuda:<index>"),
        ({"min_processes": 13}, "min_processes must be at most 12, not 13"),
        ({"rounds": 1001}, "rounds must be at most 1,000, not 1001"),
        ({"time_budget_s": 1e30}, r"time_budget_s must be at most 2,592,000, not 1e\+30"),
        ({"half_width": 1.5}, "half_width must be at most 1, not 1.5"),
        ({"visit_min_s": 10**400}, "visit_min_s must be at most 2,592,000, not 1000"),
        (
            {"batch_size": 65_536, "seq_len": 512},
            "65,536 sequences of 512 tokens .* give a batch_size of at most 32,768",
        ),
        (
            {"batch_size": 1024, "lengths": (1, 1_000_000)},
            "1,024 sequences of 1,000,000 tokens .* at most 16",
        ),
        ({"lengths": (1,) * 100_001}, "100,001 lengths are too many"),
        ({"lengths": (2,) * 100_000 + (1,)}, "positive and in order, not 2, .* and 99991 more"),
    ],
)
def test_impossible_protocols_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LatencyProtocol(**change)


def test_only_stopping_fields_may_differ() -> None:
    protocol = LatencyProtocol()
    assert protocol.differences(replace(protocol, seed=3, time_budget_s=9, min_processes=9)) == ()
    assert protocol.differences(replace(protocol, threads=2, seq_len=64)) == ("seq_len", "threads")


def test_environment_describes_this_machine() -> None:
    here = Environment.capture()
    assert here.processor
    assert here.num_cores >= 1
    assert here.versions["torch"]
    assert here.gpu is None
    assert here.load_after is None
    assert here.finished().load_after is not None
    assert here.title.startswith(here.processor)
    assert Environment.from_dict(here.to_dict()) == here


def test_environments_differ_by_machine_not_by_load() -> None:
    here = Environment.capture()
    assert here.differences(replace(here, load_before=99.0, commit="other")) == ()
    assert here.differences(replace(here, processor="abacus", num_cores=99)) == (
        "processor",
        "num_cores",
    )
    assert {field.name for field in fields(here)} >= set(environment.MACHINE_FIELDS)


def test_commit_only_from_a_checkout(tmp_path: Path) -> None:
    assert environment._commit(tmp_path) is None
    (tmp_path / ".git").mkdir()
    assert environment._commit(tmp_path) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ({"/sys/fs/cgroup/cpu.max": "max 100000"}, None),
        (
            {
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            4.0,
        ),
        ({}, None),
    ],
)
def test_cgroup_quota(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: float | None
) -> None:
    monkeypatch.setattr(environment, "_read", files.get)
    assert environment._cgroup_cpus() == expected


def test_processor_of_an_arm_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd bf16 i8mm"
    monkeypatch.setattr(environment, "_read", lambda path: text)
    assert environment._processor()[1] == {"fp", "asimd", "bf16", "i8mm"}
