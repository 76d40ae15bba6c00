"""Exporting a network as it was measured: the artefact itself, and what runs it elsewhere.

Every runtime and precision that is measured can be exported. A folder holds the very files that
were scored and timed (`artefact`), the tokenizer, the labels, a model card and `predict.py`, which
needs nothing but the runtime and `tokenizers`. The files are written beside the destination and
checked; only then does the folder take its name.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..encoders.families import FAMILIES
from ..encoders.heads import head_of
from ..encoders.modeling_subnet import PREFIX
from ..errors import InputError
from ..storage import folder as atomic_folder
from ..storage import refuse_destination
from ..tasks.heads import Head
from . import artefact, int8
from .deployment import Deployment
from .model_card import ModelCard, render
from .runner import Inputs

TORCH_RUNTIMES = ("eager", "compile")
TOKENIZER = "tokenizer.json"
PROGRAM = "predict.py"


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written.

    Attributes:
        folder: Where.
        deployment: Runtime and precision.
        num_bytes: Size of all its files.
        fingerprint: Of the network's own files.
        logit_difference: Largest difference of a logit from torch's float32 on a few batches.
        needs_code: Whether stock transformers must be allowed to run the folder's own code.
    """

    folder: Path
    deployment: Deployment
    num_bytes: int
    fingerprint: str
    logit_difference: float
    needs_code: bool


def export(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    deployment: Deployment,
    folder: Path,
    *,
    card: ModelCard,
    max_length: int,
    threads: int,
    origin: Mapping[str, Any],
    calibration: Sequence[Inputs] = (),
    check: Callable[[Path], None] = lambda written: None,
) -> ExportResult:
    """Write a folder that answers by itself what was scored and timed.

    Args:
        model: The dense network in evaluation mode, on the CPU.
        tokenizer: The one that it was trained with.
        deployment: Runtime and precision.
        folder: The destination: absent or empty.
        card: The numbers of the model card.
        max_length: Tokens at which texts are cut.
        threads: Threads that it was measured with, and that `predict.py` takes.
        origin: Which network of which run this is, as JSON types.
        calibration: Batches of real text, for deployments that are calibrated.
        check: Is given the written folder before it takes its name; raises to refuse it.

    Raises:
        InputError: When `folder` holds something already, or the tokenizer has no fast form.
        ExportError: When the files do not compute what the network computes.
    """
    refuse_occupied(folder)
    head = head_of(model.config)
    is_torch = deployment.runtime in TORCH_RUNTIMES
    with atomic_folder(folder) as temporary:
        artefact.write_into(model, deployment, temporary, calibration=calibration)
        tokenizer.save_pretrained(temporary)
        if not (temporary / TOKENIZER).is_file():
            raise InputError(
                f"The tokenizer {type(tokenizer).__name__} has no fast form ({TOKENIZER}), which "
                "an export needs: convert it, and train from a checkpoint that has it."
            )
        if not is_torch:
            labels_config(model.config).save_pretrained(temporary)
        if deployment.slug == "eager-int8":
            shutil.copyfile(Path(int8.__file__), temporary / "int8.py")
        template = "torch" if is_torch else deployment.runtime
        program = files(__package__) / "templates" / f"predict_{template}.py"
        (temporary / PROGRAM).write_bytes(program.read_bytes())
        artefact.describe(
            temporary,
            {
                "has_types": "token_type_ids" in tokenizer.model_input_names,
                "answer": head.answer,
                "auto_class": head.auto_class,
                "labels": _labels(model.config),
                "max_length": min(max_length, tokenizer.model_max_length),
                "threads": threads,
                "origin": dict(origin),
                "beside": artefact.seals(temporary, _beside(temporary)),
            },
        )
        check(temporary)
        difference = artefact.read_record(temporary)["logit_difference"]
        needs_code = is_torch and model.config.model_type not in FAMILIES
        text = render(card, usage=_usage(deployment, head, needs_code=needs_code), check=_CHECK)
        (temporary / "README.md").write_text(text, encoding="utf-8")
        found = artefact.fingerprint(temporary)
        num_bytes = sum(p.stat().st_size for p in temporary.rglob("*") if p.is_file())
    return ExportResult(folder, deployment, num_bytes, found, difference, needs_code)


def _beside(folder: Path) -> list[str]:
    """What a folder holds beside the network's own files and what its reader may change."""
    theirs = {*artefact.read_record(folder)["files"], artefact.RECORD, PROGRAM}
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name not in theirs)


def refuse_occupied(folder: Path) -> None:
    """Refuse a destination that holds something.

    Raises:
        InputError: Naming it.
    """
    refuse_destination(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder} exists already and is not an empty folder: name another destination, "
            "or delete it first."
        )


def labels_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The stock family's config with the network's labels, for programs that look there.

    It does not describe widths and the elimination of word-vectors, which the graph holds.
    """
    model_type = config.model_type.removeprefix(PREFIX)
    ours = ("subnet_", "auto_map", "architectures", "model_type")
    stock = {name: value for name, value in config.to_dict().items() if not name.startswith(ours)}
    return AutoConfig.for_model(model_type, **stock)


def _labels(config: PreTrainedConfig) -> list[str]:
    """The classes' names in order; none where a score is answered."""
    names: dict[int, str] = {int(index): name for index, name in (config.id2label or {}).items()}
    return [names[index] for index in sorted(names)] if head_of(config).has_classes else []


_CHECK = (
    "Before this folder was delivered, the files were loaded back, their logits compared with "
    "those of the network in torch, and some examples answered again: the same as when the "
    "network was scored."
)

_PREDICT = """\
```
python predict.py "some text"
```

`predict.py` needs {packages}; from Python, `from predict import predict`."""

_STOCK = """

With transformers:

```python
from transformers import {auto_class}, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")
model = {auto_class}.from_pretrained("THIS_FOLDER"{trust})
logits = model(**tokenizer("some text", return_tensors="pt")).logits
```"""

_CODE = """

Layers of different widths, and layers that word-vectors leave, are no stock model:
`trust_remote_code=True` lets transformers run the modelling code in this folder. It is not needed
after `import paretobert.encoders.extraction`, where paretobert is installed."""

_OPTIMUM = """

The names are those that optimum's `{model}.from_pretrained("THIS_FOLDER")` looks for."""

_PACKAGES = {
    "eager": "torch, transformers and tokenizers",
    "compile": "torch, transformers and tokenizers",
    "onnxruntime": "onnxruntime, numpy and tokenizers",
    "openvino": "openvino, numpy and tokenizers",
}
_OPTIMUM_PREFIXES = {"onnxruntime": "ORT", "openvino": "OV"}


def _usage(deployment: Deployment, head: Head, *, needs_code: bool) -> str:
    text = _PREDICT.format(packages=_PACKAGES[deployment.runtime])
    if deployment.runtime in _OPTIMUM_PREFIXES:
        prefix = _OPTIMUM_PREFIXES[deployment.runtime]
        return text + _OPTIMUM.format(model=prefix + head.auto_class.removeprefix("Auto"))
    if deployment.precision == "int8":
        return f"{text}\n\nThe weights are 8-bit, which `int8.py` reads."
    trust = ", trust_remote_code=True" if needs_code else ""
    return (
        text
        + _STOCK.format(auto_class=head.auto_class, trust=trust)
        + (_CODE if needs_code else "")
    )
