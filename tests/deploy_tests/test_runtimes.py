"""Every deployment of every family computes what the dense network computes."""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters
from transformers import PreTrainedModel

from paretobert.deploy import artefact, deployment, graph, int8, runner, torch_runtime
from paretobert.deploy.deployment import SUPPORTED, Deployment
from paretobert.deploy.graph import write_onnx
from paretobert.deploy.runner import ExportError, Inputs
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.bound import bound_run
from paretobert.profiling.memory import peak_memory
from paretobert.profiling.protocol import LatencyProtocol

from ..profiling_tests.conftest import tiny_model

ON_CPU = [
    Deployment(runtime, precision)
    for (device, runtime), precisions in SUPPORTED.items()
    for precision in precisions
    if device == "cpu" and (runtime, precision) != ("compile", "bf16")
]
PACKAGES = {"onnxruntime": ("onnxruntime", "onnxscript"), "openvino": ("openvino", "nncf")}


def batch(num_sequences: int = 3, seq_len: int = 9) -> Inputs:
    generator = np.random.default_rng(0)
    ids = generator.integers(5, 50, size=(num_sequences, seq_len), dtype=np.int64)
    lengths = np.array([[seq_len], [4], [7]])[:num_sequences]
    mask = (np.arange(seq_len) < lengths).astype(np.int64)
    return {"input_ids": np.where(mask, ids, 0), "attention_mask": mask}


def narrow(family: str = "bert") -> PreTrainedModel:
    model = tiny_model(family)
    config = SubnetConfig.from_multipliers(shape_of(model.config), 0.5, 0.75)
    return extract(model, config)


def needs(wanted: Deployment) -> None:
    for package in PACKAGES.get(wanted.runtime, ()):
        pytest.importorskip(package, reason=f"the extra for {wanted.runtime} is not installed")
    if wanted.slug == "openvino-bf16":
        openvino = pytest.importorskip("openvino")
        if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this processor has no bfloat16 units")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Deployment], Path]:
    """Writes the narrow network once for each deployment, by one ONNX export."""
    root = tmp_path_factory.mktemp("deployed")
    exact = root / "exact.onnx"

    def export_once(model: PreTrainedModel, example: graph.Batch, path: Path) -> None:
        if not exact.exists():
            write_onnx(model, example, exact)
        shutil.copy(exact, path)

    def write(wanted: Deployment) -> Path:
        needs(wanted)
        folder = root / wanted.slug
        if not folder.exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(graph, "write_onnx", export_once)
                artefact.write(narrow(), wanted, folder, calibration=[batch()])
        return folder

    return write


Written = Callable[[Deployment], Path]


@pytest.fixture
def compile_only_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the generation of code, which takes seconds for each network."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


@pytest.mark.parametrize("wanted", ON_CPU, ids=lambda entry: entry.slug)
def test_logits_are_the_networks(wanted: Deployment, written: Written) -> None:
    inputs = batch()
    folder = written(wanted)
    loaded = artefact.load(folder, threads=1)
    with torch.inference_mode():
        expected = narrow()(**{name: torch.from_numpy(entry) for name, entry in inputs.items()})
    tolerance = {"fp32": 1e-4, "bf16": 0.02, "int8": 0.2}[wanted.precision]
    found = loaded.logits(inputs)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.logits.numpy(), atol=tolerance)
    loaded.bind(inputs)()
    record = json.loads((folder / "deployment.json").read_text())
    assert (record["runtime"], record["precision"]) == (wanted.runtime, wanted.precision)
    assert record["logit_difference"] < tolerance


def test_every_family_is_quantised(family: str, tmp_path: Path) -> None:
    inputs, model = batch(), narrow(family)
    artefact.write(model, Deployment("eager", "int8"), tmp_path / "net")
    found = artefact.load(tmp_path / "net", threads=1).logits(inputs)
    with torch.inference_mode():
        expected = model(**{name: torch.from_numpy(entry) for name, entry in inputs.items()})
    np.testing.assert_allclose(found, expected.logits.numpy(), atol=0.02)


def test_int8_products_are_close() -> None:
    torch.manual_seed(0)
    rows, weight, bias = torch.randn(5, 64), torch.randn(7, 64), torch.randn(7)
    scales = weight.abs().amax(dim=1) / 127
    layer = int8.Int8Linear(
        (weight / scales[:, None]).round().to(torch.int8), scales=scales, bias=bias
    )
    torch.testing.assert_close(layer(rows), rows @ weight.T + bias, atol=0.6, rtol=0)


def test_token_types_count(written: Written) -> None:
    loaded = artefact.load(written(Deployment("onnxruntime")), threads=1)
    plain = batch()
    zeros = np.zeros_like(plain["input_ids"])
    np.testing.assert_array_equal(
        loaded.logits(plain), loaded.logits({**plain, "token_type_ids": zeros})
    )
    assert (loaded.logits(plain) != loaded.logits({**plain, "token_type_ids": zeros + 1})).any()


def test_bound_inputs_outlive_the_callers(written: Written) -> None:
    loaded = artefact.load(written(Deployment("openvino")), threads=1)
    inputs = {name: entry.copy() for name, entry in batch().items()}
    expected = loaded.logits(inputs)
    run = loaded.bind(inputs)
    for entry in inputs.values():
        entry[:] = 1
    np.testing.assert_array_equal(run()["logits"], expected)


@pytest.mark.usefixtures("compile_only_traces")
def test_no_compiled_network_falls_back_to_eager() -> None:
    """Torch limits all networks together, and would leave what comes later uncompiled."""
    before = counters["stats"]["unique_graphs"]
    with torch._dynamo.config.patch(recompile_limit=1, accumulated_recompile_limit=2):
        for neurons in (8, 16):
            model = tiny_model(num_hidden_layers=1, intermediate_size=neurons)
            loaded = torch_runtime.CompiledRunner(model, device="cpu", threads=1)
            for seq_len in (9, 10):
                loaded.bind(batch(1, seq_len))
    assert counters["stats"]["unique_graphs"] - before == 4


@pytest.mark.usefixtures("compile_only_traces")
def test_a_miscompiled_network_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = torch_runtime.CompiledRunner(tiny_model(), device="cpu", threads=1)
    monkeypatch.setattr(torch_runtime, "allowed_difference", lambda expected: -1.0)
    with pytest.raises(RuntimeError, match="the compiled network's logits differ by"):
        loaded.bind(batch())


def test_bf16_overflow_is_noticed(tmp_path: Path) -> None:
    model = narrow()
    torch.nn.init.constant_(model.classifier.bias, 3.4e38)
    with pytest.raises(ExportError, match="eager bf16 computes logits that differ by inf"):
        artefact.write(model, Deployment("eager", "bf16"), tmp_path / "net")


def test_bf16_needs_a_processor(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(Deployment("openvino", "bf16"))
    openvino = pytest.importorskip("openvino")
    monkeypatch.setattr(openvino.Core, "get_property", lambda *names: ["FP32", "INT8"])
    with pytest.raises(InputError, match="needs a processor with bfloat16 units"):
        artefact.load(folder, threads=1)


def test_int8_is_a_quarter_of_fp32(tmp_path: Path) -> None:
    model = tiny_model(hidden_size=128, intermediate_size=512, num_hidden_layers=4)
    for precision in ("fp32", "bf16", "int8"):
        artefact.write(model, Deployment("eager", precision), tmp_path / precision)
    fp32, bf16, int8 = (
        artefact.size_bytes(tmp_path / precision) for precision in ("fp32", "bf16", "int8")
    )
    assert 0.49 * fp32 < bf16 < 0.55 * fp32
    assert 0.24 * fp32 < int8 < 0.35 * fp32


def test_openvino_keeps_fewer_bits(written: Written) -> None:
    fp32, bf16, int8 = (
        (written(Deployment("openvino", precision)) / "openvino_model.bin").stat().st_size
        for precision in ("fp32", "bf16", "int8")
    )
    assert bf16 < 0.6 * fp32
    assert int8 < bf16


def test_a_run_covers_all_batches(tmp_path: Path) -> None:
    artefact.write(narrow(), Deployment(), tmp_path / "net")
    protocol = LatencyProtocol(batch_size=2).with_lengths([3, 4, 9])
    run = bound_run(tmp_path / "net", protocol)
    with torch.inference_mode():
        outputs = run()
    assert [tuple(output.logits.shape) for output in outputs] == [(2, 3), (1, 3)]


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    model = narrow()
    torch.nn.init.constant_(model.classifier.weight, float("nan"))
    artefact.write(model, Deployment(), tmp_path / "net")
    with pytest.raises(InputError, match="network net gives logits that are not finite"):
        bound_run(tmp_path / "net", LatencyProtocol(seq_len=8))


def test_other_logits_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "FP32_TOLERANCE", -1.0)
    with pytest.raises(ExportError, match=r"eager fp32 computes logits that differ by .* torch's"):
        artefact.write(narrow(), Deployment(), tmp_path / "net")
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_loading_needs_no_torch(runtime: str, written: Written) -> None:
    folder = written(Deployment(runtime))
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from paretobert.deploy.artefact import load\n"
        f"runner = load(Path({str(folder)!r}), threads=1)\n"
        "ones = np.ones((1, 4), dtype=np.int64)\n"
        "runner.bind({'input_ids': ones, 'attention_mask': ones})()\n"
        "sys.exit(str({'torch', 'transformers'} & set(sys.modules) or ''))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_memory_of_a_process_of_its_own(written: Written) -> None:
    """The peak is the network's own: what this process has loaded does not count."""
    folder = written(Deployment("onnxruntime"))

    def peaks(size: int) -> list[int]:
        with peak_memory(threads=1, device="cpu", batch_size=size, seq_len=30) as peak:
            return [peak(folder) for _ in range(2)]

    small, large = peaks(1), peaks(2000)
    assert 10**7 < max(small) < min(large)
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert max(small) < ours / 2


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
def test_a_fork_takes_what_a_fresh_process_takes(written: Written) -> None:
    folder, found = written(Deployment()), []
    for fork in (True, False):
        with peak_memory(threads=1, device="cpu", batch_size=4, seq_len=9, fork=fork) as peak:
            found.append(peak(folder))
    assert found[0] == pytest.approx(found[1], rel=0.03)


@pytest.mark.parametrize("fork", [True, False])
def test_a_failing_process_is_reported(fork: bool, tmp_path: Path) -> None:
    with (
        peak_memory(threads=1, device="cpu", batch_size=1, seq_len=4, fork=fork) as peak,
        pytest.raises(RuntimeError, match=r"measuring memory failed: .*deployment\.json"),
    ):
        peak(tmp_path)


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


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:1"])
def test_an_absent_device_is_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=f"no device {device}; use --device cpu"):
        Deployment().require(device)


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "find_spec", lambda name: None)
    Deployment("eager", "int8").require("cpu")
    with pytest.raises(InputError, match=r'openvino int8 needs .*nncf.*"paretobert\[openvino\]"'):
        Deployment("openvino", "int8").require("cpu")


def test_running_needs_less_than_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"onnx", "onnxscript", "nncf", "torch", "transformers"}
    monkeypatch.setattr(deployment, "find_spec", lambda name: None if name in absent else name)
    Deployment("onnxruntime", "int8").require_to_run("cpu")
    Deployment("openvino", "int8").require_to_run("cpu")
    with pytest.raises(InputError, match="openvino int8 needs onnx, onnxscript, nncf"):
        Deployment("openvino", "int8").require("cpu")
    with pytest.raises(InputError, match="eager int8 needs torch, transformers.*: pip install to"):
        Deployment("eager", "int8").require_to_run("cpu")


@pytest.mark.parametrize("wanted", ON_CPU, ids=lambda entry: entry.slug)
def test_the_same_network_makes_the_same_files(
    wanted: Deployment, written: Written, tmp_path: Path
) -> None:
    """OpenVINO counts operations through a process, and torch fills in a config as it saves it."""
    first = written(wanted)
    model = narrow()
    if wanted.runtime == "eager":
        artefact.write(model, Deployment("eager", "bf16"), tmp_path / "before")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            graph, "write_onnx", lambda *_: shutil.copy(first.parent / "exact.onnx", _[2])
        )
        artefact.write(model, wanted, tmp_path / "again", calibration=[batch()])
    assert artefact.fingerprint(tmp_path / "again") == artefact.fingerprint(first)


def test_a_graph_says_nothing_of_the_machine(written: Written, tmp_path: Path) -> None:
    first = (written(Deployment("onnxruntime")) / "model.onnx").read_bytes()
    artefact.write(narrow(), Deployment("onnxruntime"), tmp_path / "again")
    assert (tmp_path / "again" / "model.onnx").read_bytes() == first
    assert b"site-packages" not in first
    assert b"stack_trace" not in first


def test_a_fingerprint_tells_files_apart(tmp_path: Path) -> None:
    model = narrow()
    artefact.write(model, Deployment(), tmp_path / "one")
    known = artefact.fingerprint(tmp_path / "one")
    (tmp_path / "one" / "README.md").write_text("no part of the network")
    artefact.describe(tmp_path / "one", {"labels": []})
    assert artefact.fingerprint(tmp_path / "one") == known
    assert artefact.size_bytes(tmp_path / "one") == sum(
        path.stat().st_size
        for path in (tmp_path / "one").iterdir()
        if path.name not in ("README.md", "deployment.json")
    )
    torch.nn.init.constant_(model.classifier.bias, 0.5)
    artefact.write(model, Deployment(), tmp_path / "two")
    assert artefact.fingerprint(tmp_path / "two") != known


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "deployment.json").unlink(), "holds no written network"),
        (lambda folder: (folder / "deployment.json").write_text("{}"), "is damaged: export"),
        (lambda folder: (folder / "deployment.json").write_text("{"), "is not valid JSON"),
        (lambda folder: (folder / "model.safetensors").unlink(), "lacks model.safetensors"),
        (
            lambda folder: artefact.describe(folder, {"files": artefact.seals(folder, ["../x"])}),
            "lacks ../x",
        ),
        (lambda folder: artefact.describe(folder, {"files": {}}), "it names no files"),
        (lambda folder: artefact.describe(folder, {"beside": []}), "it names no files"),
        (
            lambda folder: artefact.describe(folder, {"beside": {"x": {"size_bytes": 1}}}),
            "does not say what 'x' is. Copy the folder again",
        ),
        (lambda folder: artefact.describe(folder, {"runtime": "mill"}), "'mill' is not supported"),
    ],
)
def test_a_damaged_folder_is_refused(
    change: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "net"
    artefact.write(narrow(), Deployment(), folder)
    (tmp_path / "x").write_text("outside")
    change(folder)
    with pytest.raises(InputError, match=message):
        artefact.load(folder, threads=1)


@pytest.mark.parametrize(("family", "longest"), [("bert", 34), ("roberta", 32)])
def test_the_longest_text_is_known(family: str, longest: int, tmp_path: Path) -> None:
    artefact.write(tiny_model(family), Deployment(), tmp_path / "net")
    assert artefact.read_record(tmp_path / "net")["max_tokens"] == longest
    loaded = artefact.load(tmp_path / "net", threads=1)
    ids = np.full((1, longest), 7, dtype=np.int64)
    assert np.isfinite(loaded.logits({"input_ids": ids, "attention_mask": ids // 7})).all()
    more = np.full((1, longest + 1), 7, dtype=np.int64)
    with pytest.raises((IndexError, RuntimeError)):
        loaded.logits({"input_ids": more, "attention_mask": more // 7})


def test_deployments_have_words() -> None:
    for entry in ON_CPU:
        assert Deployment.from_slug(entry.slug) == Deployment.from_dict(entry.to_dict()) == entry
        assert entry.changes_numbers == (entry.precision != "fp32")
    with pytest.raises(InputError, match="runtime 'vacuum' is not supported"):
        Deployment("vacuum")
