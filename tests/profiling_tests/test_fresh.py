from pathlib import Path

import pytest

from paretobert.deploy.artefact import write
from paretobert.deploy.deployment import EAGER_FP32
from paretobert.errors import InputError
from paretobert.profiling.fresh import FreshProcesses, Made, Written
from paretobert.profiling.protocol import LatencyProtocol

from .conftest import tiny_model

PROTOCOL = LatencyProtocol(seq_len=8, warmup_min_s=0.001, visit_min_s=0.005, drift_tolerance=10.0)


def processes(**subjects: Written | Made) -> FreshProcesses:
    return FreshProcesses(subjects, PROTOCOL, sentinel=next(iter(subjects)))


def test_a_fresh_process_loads_visits_and_reports(tmp_path: Path) -> None:
    write(tiny_model(), EAGER_FP32, tmp_path / "net")
    made = tmp_path / "made.py"
    made.write_text(
        "import time\n"
        "print('libraries may print')\n"
        "def sleeper(seconds, protocol):\n"
        "    return lambda: time.sleep(seconds * protocol.batch_size)\n"
    )
    seen: list[tuple[int, int]] = []
    start = processes(
        full=Written(tmp_path / "net"),
        wide=Written(tmp_path / "net", padded_to=32),
        made=Made(made, "sleeper", {"seconds": 0.01}),
    )
    process = start(3, on_visit=lambda done, of: seen.append((done, of)))
    assert process.index == 3
    assert len(process.rounds) == 3
    assert process.networks == {"full", "wide", "made"}
    assert seen == [(number, 15) for number in range(1, 16)]
    assert process.time_s("made") >= 0.01
    assert process.foreign_share is None or 0 <= process.foreign_share <= 1
    assert process.energies_j == {}


def test_what_a_process_says_last_becomes_the_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def make(protocol):\n    raise ValueError('no such network')\n")
    with pytest.raises(RuntimeError, match="fresh process failed: ValueError: no such network"):
        processes(full=Made(broken, "make", {}))(0)


def test_bad_input_stays_bad_input(tmp_path: Path) -> None:
    refused = tmp_path / "refused.py"
    refused.write_text(
        "from paretobert.errors import InputError\n"
        "def make(protocol):\n    raise InputError('The network is damaged: train it again.')\n"
    )
    with pytest.raises(InputError, match=r"^The network is damaged: train it again\.$"):
        processes(full=Made(refused, "make", {}))(0)
