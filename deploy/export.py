"""Exporting a dense sub-network: a Hugging Face folder or an ONNX model.

The files are written beside the destination, loaded back, and their logits compared with the
supernet's on batches of several sizes and lengths. Only then does the folder take its name.

A Hugging Face folder of a narrow network carries the code that defines it (`modeling_subnet`);
an ONNX folder needs no code of ours. Quantisation and the ONNX export of half-precision weights
are left out: ONNX weights are float32.

Shape letters: B batch, T tokens, C labels.
"""

import copy
import importlib
import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ..dynabert.supernet import Supernet
from ..encoders.families import FAMILIES
from ..encoders.modeling_subnet import PREFIX
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..storage import folder as atomic_folder
from .model_card import ModelCard, render

Batch = Mapping[str, Tensor]
Logits = Callable[[Batch], Tensor]

ONNX_FILE = "model.onnx"
# The first set with a GELU operator: a 6 x 384 BERT then ran 1.28 times as fast as with set 18.
ONNX_OPSET = 20
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
HF_TOLERANCE = 1e-5
ONNX_TOLERANCE = 1e-4
LONGEST_CHECK = 64


class ExportError(RuntimeError):
    """The exported files do not compute what the supernet computes; nothing was left behind."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written.

    Attributes:
        folder: Where.
        num_bytes: Size of all its files.
        max_difference: Largest absolute difference of a logit from the supernet's.
        tolerance: What was allowed, times the largest logit where that exceeds 1.
        num_batches: Batches compared.
    """

    folder: Path
    num_bytes: int
    max_difference: float
    tolerance: float
    num_batches: int


def supernet_logits(supernet: Supernet, config: SubnetConfig) -> Logits:
    """Return a function that runs the supernet as `config`, in evaluation mode.

    The function maps a batch, moved to the supernet's device, to logits [B, C] on the CPU.
    """

    def logits(batch: Batch) -> Tensor:
        model = supernet.model
        was_training = model.training
        model.eval()
        try:
            with supernet.active(config), torch.inference_mode():
                return supernet(_moved(batch, model.device)).cpu()
        finally:
            model.train(was_training)

    return logits


def export_hf(
    model: PreTrainedModel,
    *,
    reference: Logits,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    card: ModelCard,
) -> ExportResult:
    """Write a folder that `AutoModelForSequenceClassification.from_pretrained` loads.

    Args:
        model: The dense network, from `extract`.
        reference: Maps a batch to the logits [B, C] expected of it; see `supernet_logits`.
        tokenizer: Saved beside the weights.
        folder: The destination: absent or empty.
        card: The numbers of the model card.

    Raises:
        InputError: When `folder` holds something already.
        ExportError: When the loaded network's logits are not the expected ones.
    """
    _refuse_occupied(folder)
    batches = check_batches(model.config, _input_names(model.config, tokenizer))
    with atomic_folder(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        loaded = AutoModelForSequenceClassification.from_pretrained(
            temporary, local_files_only=True, use_safetensors=True
        )
        difference = _largest_difference(
            reference, _model_logits(loaded), batches, tolerance=HF_TOLERANCE
        )
        is_stock = model.config.model_type in FAMILIES
        _write_card(
            temporary,
            render(
                card,
                library_name="transformers",
                usage=_STOCK_USAGE if is_stock else _NARROW_USAGE,
                check=_check_sentence(difference, len(batches)),
            ),
        )
        num_bytes = _num_bytes(temporary)
    return ExportResult(folder, num_bytes, difference, HF_TOLERANCE, len(batches))


def export_onnx(
    model: PreTrainedModel,
    *,
    reference: Logits,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    card: ModelCard,
) -> ExportResult:
    """Write a folder with `model.onnx`, of any batch size and length, in float32.

    Its inputs are those that the tokenizer makes, int64 [B, T]; its output is `logits` [B, C].
    The `config.json` beside it holds the labels, for programs that look there; it is the stock
    family's and does not describe the widths.

    Args:
        model: The dense network, from `extract`.
        reference: Maps a batch to the logits [B, C] expected of it; see `supernet_logits`.
        tokenizer: Saved beside the model.
        folder: The destination: absent or empty.
        card: The numbers of the model card.

    Raises:
        InputError: When `folder` holds something already, or the ONNX packages are missing.
        ExportError: When ONNX Runtime's logits are not the expected ones.
    """
    _refuse_occupied(folder)
    _require_onnx()
    input_names = _input_names(model.config, tokenizer)
    batches = check_batches(model.config, input_names)
    with atomic_folder(folder) as temporary:
        write_onnx(model, batches[-1], temporary / ONNX_FILE)
        _labels_config(model.config).save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        difference = _largest_difference(
            reference, _onnx_logits(temporary / ONNX_FILE), batches, tolerance=ONNX_TOLERANCE
        )
        _write_card(
            temporary,
            render(
                card,
                library_name="onnx",
                usage=_ONNX_USAGE,
                check=_check_sentence(difference, len(batches)),
            ),
        )
        num_bytes = _num_bytes(temporary)
    return ExportResult(folder, num_bytes, difference, ONNX_TOLERANCE, len(batches))


def write_onnx(model: PreTrainedModel, example: Batch, path: Path) -> None:
    """Write a dense network as an ONNX file of any batch size and length, in float32.

    Args:
        model: The network; it stays as it is.
        example: A batch [B, T] whose entries become the graph's inputs; its output is `logits`.
        path: The file.

    Raises:
        ExportError: When torch makes no model of it.
    """
    dense = copy.deepcopy(model).cpu().float()
    axes = {name: {0: "batch", 1: "tokens"} for name in example}
    dense.eval()
    with _quiet_exporter():
        program = torch.onnx.export(
            dense,
            kwargs=dict(example),
            input_names=list(example),
            output_names=["logits"],
            dynamic_shapes=axes,
            opset_version=ONNX_OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ExportError("torch.onnx.export returned no model.")
    program.save(path)


def check_batches(config: PreTrainedConfig, input_names: tuple[str, ...]) -> list[Batch]:
    """Make the batches on which exported files are compared.

    Args:
        config: Of the network: vocabulary, positions, padding.
        input_names: Which entries to make.

    Returns:
        Random tokens, the same in every call: one token, one long text, and padded batches of
        several lengths. Each entry is int64 [B, T].
    """
    generator = torch.Generator().manual_seed(0)
    padding = config.pad_token_id or 0
    longest = min(LONGEST_CHECK, config.max_position_embeddings - padding - 1)
    batches: list[Batch] = []
    for lengths in ((1,), (longest,), (2, 1), (longest // 2, longest, 1, 5, 3)):
        shape = (len(lengths), max(lengths))
        mask = (torch.arange(shape[1]) < torch.tensor(lengths)[:, None]).long()
        tokens = torch.randint(config.vocab_size, shape, generator=generator)
        entries = {
            "input_ids": tokens.masked_fill(mask == 0, padding),
            "attention_mask": mask,
            "token_type_ids": torch.randint(
                getattr(config, "type_vocab_size", 1), shape, generator=generator
            ),
        }
        batches.append({name: entries[name] for name in input_names})
    return batches


def _input_names(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Name what the tokenizer makes and the network reads."""
    family = FAMILIES[config.model_type.removeprefix(PREFIX)]
    known = (*family.embedding_inputs, "attention_mask")
    return tuple(name for name in tokenizer.model_input_names if name in known)


def _refuse_occupied(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            f"{folder} exists already and is not an empty folder: name another destination, "
            "or delete it first."
        )


def _require_onnx() -> None:
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"Exporting to ONNX needs {', '.join(missing)}, not installed here: "
            'pip install "paretobert[onnx]".'
        )


def _moved(batch: Batch, device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _model_logits(model: PreTrainedModel) -> Logits:
    def logits(batch: Batch) -> Tensor:
        with torch.inference_mode():
            result: Tensor = model(**_moved(batch, model.device)).logits
        return result.cpu()

    return logits


def _onnx_logits(path: Path) -> Logits:
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def logits(batch: Batch) -> Tensor:
        inputs = {name: tensor.numpy() for name, tensor in batch.items()}
        return torch.from_numpy(session.run(["logits"], inputs)[0])

    return logits


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hold back what the exporter says about itself: absent torchvision, merged axis names."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "# The axis name", UserWarning)
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _labels_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return the stock family's config with the network's labels and number of layers."""
    model_type = config.model_type.removeprefix(PREFIX)
    ours = ("subnet_", "auto_map", "architectures", "model_type")
    stock = {name: value for name, value in config.to_dict().items() if not name.startswith(ours)}
    return AutoConfig.for_model(model_type, **stock)


def _largest_difference(
    reference: Logits, candidate: Logits, batches: list[Batch], *, tolerance: float
) -> float:
    largest = 0.0
    for batch in batches:
        expected, found = reference(batch).float(), candidate(batch).float()
        difference = (expected - found).abs().max().item()
        allowed = tolerance * max(1.0, expected.abs().max().item())
        if not difference <= allowed:
            raise ExportError(
                f"The exported network's logits differ by {difference:.2g} from the supernet's "
                f"on a batch of shape {tuple(batch['input_ids'].shape)} (allowed: {allowed:.2g}); "
                "nothing was exported."
            )
        largest = max(largest, difference)
    return largest


def _check_sentence(difference: float, num_batches: int) -> str:
    return (
        f"Loaded back after writing, its logits differed from the supernet's by at most "
        f"{difference:.1e} on {num_batches} batches of different sizes and lengths."
    )


def _write_card(folder: Path, text: str) -> None:
    (folder / "README.md").write_text(text, encoding="utf-8")


def _num_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


_STOCK_USAGE = """\
```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")
model = AutoModelForSequenceClassification.from_pretrained("THIS_FOLDER")
logits = model(**tokenizer("some text", return_tensors="pt")).logits
```"""

_NARROW_USAGE = """\
```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER", trust_remote_code=True)
model = AutoModelForSequenceClassification.from_pretrained("THIS_FOLDER", trust_remote_code=True)
logits = model(**tokenizer("some text", return_tensors="pt")).logits
```

Layers of different widths, and layers that word-vectors leave, are no stock model:
`trust_remote_code=True` lets transformers run `modeling_subnet.py`, `elimination.py` and
`families.py` of this folder. It is not needed after `import paretobert.encoders.extraction`, where
paretobert is installed."""

_ONNX_USAGE = """\
```python
import onnxruntime
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")
session = onnxruntime.InferenceSession("THIS_FOLDER/model.onnx")
logits = session.run(["logits"], dict(tokenizer(["some text"], return_tensors="np")))[0]
```

Batch size and length are free; opset 20, float32. `config.json` holds the labels; it does not
describe the widths and the elimination of word-vectors."""
