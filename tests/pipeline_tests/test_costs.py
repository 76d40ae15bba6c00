from dataclasses import replace
from pathlib import Path

import pytest

from paretobert.errors import InputError
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.costs import find_table, read_tables
from paretobert.profiling.environment import Environment
from paretobert.profiling.profiler import count_grid, table_path
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.table import LookupTable

SHAPE = EncoderShape(
    family="bert",
    num_layers=2,
    num_heads=2,
    head_size=4,
    hidden_size=8,
    ffn_size=16,
    embedding_size=8,
    vocab_size=50,
    num_positions=64,
    num_token_types=2,
    num_labels=2,
)
OWN = LatencyProtocol(seq_len=16)


@pytest.fixture
def costs(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "costs"
    for protocol in (
        OWN,
        replace(OWN, runtime="onnxruntime", precision="int8", threads=2, seq_len=32),
        replace(OWN, runtime="onnxruntime", precision="int8", threads=2),
        replace(OWN, precision="bf16"),
    ):
        profiles = count_grid(SHAPE, [SubnetConfig.full(SHAPE)], seq_len=protocol.seq_len)
        table = LookupTable(SHAPE, protocol, Environment.capture(), profiles)
        table.save(table_path(folder, protocol))
    return folder


def test_nothing_asked_gives_the_runs_own(costs: Path) -> None:
    assert find_table(costs, OWN).protocol == OWN
    assert find_table(costs, OWN, device="cpu", runtime="eager").protocol == OWN


def test_of_several_the_one_most_like_the_runs_own(costs: Path) -> None:
    found = find_table(costs, OWN, runtime="onnxruntime", precision="int8").protocol
    assert (found.runtime, found.precision, found.seq_len) == ("onnxruntime", "int8", 16)
    assert len(read_tables(costs)) == 4


def test_what_was_not_measured_is_refused_with_the_command(costs: Path) -> None:
    with pytest.raises(
        InputError,
        match="no latencies of openvino fp32 on cpu: paretobert profile .*run --runtime openvino",
    ):
        find_table(costs, OWN, runtime="openvino")


def test_a_run_without_costs_has_no_tables(tmp_path: Path) -> None:
    assert read_tables(tmp_path / "costs") == []
