"""Every deployment of every family computes what the dense network computes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from paretobert.dynabert.export import ExportError
from paretobert.dynabert.extraction import extract
from paretobert.dynabert.shape import EncoderShape
from paretobert.dynabert.subnet import SubnetConfig
from paretobert.errors import InputError
from paretobert.profiling.deployed import bound_run
from paretobert.profiling.inputs import Batch
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.runtimes import artefact, deployment
from paretobert.profiling.runtimes.deployment import SUPPORTED, Deployment
from paretobert.profiling.runtimes.memory import peak_memory_bytes

from .conftest import tiny_model

ON_CPU = [
    Deployment(runtime, precision)
    for (device, runtime), precisions in SUPPORTED.items()
    for precision in precisions
    if device == "cpu" and (runtime, precision) != ("compile", "bf16")
]
PACKAGES = {"onnxruntime": ("onnxruntime", "onnxscript"), "openvino": ("openvino", "nncf")}


def batch(num_sequences: int = 3, seq_len: int = 9) -> Batch:
    generator = np.random.default_rng(0)
    ids = generator.integers(5, 50, size=(num_sequences, seq_len), dtype=np.int64)
    mask = (np.arange(seq_len) < np.array([[seq_len], [4], [7]])[:num_sequences]).astype(np.int64)
    return {"input_ids": np.where(mask, ids, 0), "attention_mask": mask}


def narrow(family: str = "bert") -> PreTrainedModel:
    model = tiny_model(family)
    config = SubnetConfig.from_multipliers(EncoderShape.from_config(model.config), 0.5, 0.75)
    return extract(model, config)


def needs(wanted: Deployment) -> None:
    for package in PACKAGES.get(wanted.runtime, ()):
        pytest.importorskip(package, reason=f"the extra for {wanted.runtime} is not installed")
    if wanted.slug == "openvino-bf16":
        openvino = pytest.importorskip("openvino")
        if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this processor has no bfloat16 units")


@pytest.mark.parametrize("wanted", ON_CPU, ids=lambda entry: entry.slug)
def test_logits_are_the_networks(wanted: Deployment, tmp_path: Path) -> None:
    needs(wanted)
    model, inputs = narrow(), batch()
    artefact.write(model, wanted, tmp_path / "net", calibration=[inputs])
    runner = artefact.load(tmp_path / "net", threads=1)
    with torch.inference_mode():
        expected = model(**{name: torch.from_numpy(entry) for name, entry in inputs.items()})
    tolerance = {"fp32": 1e-4, "bf16": 0.02, "int8": 0.2}[wanted.precision]
    found = runner.logits(inputs)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.logits.numpy(), atol=tolerance)
    runner.bind(inputs)()
    record = json.loads((tmp_path / "net" / "deployment.json").read_text())
    assert (record["runtime"], record["precision"]) == (wanted.runtime, wanted.precision)
    assert record["logit_difference"] < tolerance


@pytest.mark.parametrize("runtime", ["eager", "onnxruntime"])
def test_every_family_deploys(runtime: str, family: str, tmp_path: Path) -> None:
    wanted = Deployment(runtime, "int8")
    needs(wanted)
    artefact.write(narrow(family), wanted, tmp_path / "net")
    logits = artefact.load(tmp_path / "net", threads=1).logits(batch())
    assert logits.shape == (3, 3)
    assert np.isfinite(logits).all()


def test_token_types_count(tmp_path: Path) -> None:
    needs(Deployment("onnxruntime"))
    artefact.write(narrow(), Deployment("onnxruntime"), tmp_path / "net")
    runner = artefact.load(tmp_path / "net", threads=1)
    plain = batch()
    zeros = np.zeros_like(plain["input_ids"])
    np.testing.assert_array_equal(
        runner.logits(plain), runner.logits({**plain, "token_type_ids": zeros})
    )
    assert (runner.logits(plain) != runner.logits({**plain, "token_type_ids": zeros + 1})).any()


def test_int8_is_a_quarter_of_fp32(tmp_path: Path) -> None:
    model = tiny_model(hidden_size=128, intermediate_size=512, num_hidden_layers=4)
    for precision in ("fp32", "bf16", "int8"):
        artefact.write(model, Deployment("eager", precision), tmp_path / precision)
    fp32, bf16, int8 = (
        artefact.size_bytes(tmp_path / precision) for precision in ("fp32", "bf16", "int8")
    )
    assert 0.49 * fp32 < bf16 < 0.55 * fp32
    assert 0.24 * fp32 < int8 < 0.35 * fp32


def test_a_run_covers_all_batches(tmp_path: Path) -> None:
    artefact.write(narrow(), Deployment(), tmp_path / "net")
    protocol = LatencyProtocol(batch_size=2).with_lengths([3, 4, 9])
    run = bound_run(tmp_path / "net", protocol, vocab_size=53, padding_id=0)
    with torch.inference_mode():
        outputs = run()
    assert [tuple(output.logits.shape) for output in outputs] == [(2, 3), (1, 3)]


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    model = narrow()
    torch.nn.init.constant_(model.classifier.weight, float("nan"))
    artefact.write(model, Deployment(), tmp_path / "net")
    with pytest.raises(InputError, match="network net gives logits that are not finite"):
        bound_run(tmp_path / "net", LatencyProtocol(seq_len=8), vocab_size=53, padding_id=0)


def test_other_logits_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefact, "FP32_TOLERANCE", -1.0)
    with pytest.raises(ExportError, match=r"eager fp32 computes logits that differ by .* torch's"):
        artefact.write(narrow(), Deployment(), tmp_path / "net")
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_loading_needs_no_torch(runtime: str, tmp_path: Path) -> None:
    needs(Deployment(runtime))
    artefact.write(narrow(), Deployment(runtime), tmp_path / "net")
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from paretobert.profiling.runtimes.artefact import load\n"
        f"runner = load(Path({str(tmp_path / 'net')!r}), threads=1)\n"
        "ones = np.ones((1, 4), dtype=np.int64)\n"
        "runner.bind({'input_ids': ones, 'attention_mask': ones})()\n"
        "sys.exit(str({'torch', 'transformers'} & set(sys.modules) or ''))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_memory_of_a_fresh_process(tmp_path: Path) -> None:
    """The child's peak is its own: a large array here does not count."""
    artefact.write(narrow(), Deployment(), tmp_path / "net")
    ballast = np.ones(300_000_000, dtype=np.uint8)
    small, large = (
        peak_memory_bytes(tmp_path / "net", threads=1, device="cpu", batch_size=size, seq_len=30)
        for size in (1, 4000)
    )
    assert 10**8 < small < large
    assert ballast[-1] == 1


def test_a_failing_process_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="measuring memory failed: .*deployment.json"):
        peak_memory_bytes(tmp_path, threads=1, device="cpu", batch_size=1, seq_len=4)


@pytest.mark.parametrize(
    ("slug", "device", "message"),
    [
        ("compile-int8", "cpu", "compile int8 is not possible on cpu; possible are eager fp32/bf"),
        ("onnxruntime-bf16", "cpu", "onnxruntime bf16 is not possible on cpu"),
        ("openvino-fp32", "cuda:0", "openvino fp32 is not possible on cuda; possible are eager"),
    ],
)
def test_what_a_runtime_lacks_is_refused(slug: str, device: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Deployment.from_slug(slug).require(device)


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "find_spec", lambda name: None)
    Deployment("eager", "int8").require("cpu")
    with pytest.raises(InputError, match=r'openvino int8 needs .*nncf.*"paretobert\[openvino\]"'):
        Deployment("openvino", "int8").require("cpu")


def test_deployments_have_words() -> None:
    for entry in ON_CPU:
        assert Deployment.from_slug(entry.slug) == Deployment.from_dict(entry.to_dict()) == entry
        assert entry.changes_numbers == (entry.precision != "fp32")
    with pytest.raises(InputError, match="runtime 'vacuum' is not supported"):
        Deployment("vacuum")
