"""Torch as a runtime: eager or compiled, in float32, bfloat16 or dynamically quantised int8.

bfloat16 holds weights and activations in that format. int8 runs the linear layers by torch's own
dynamic quantisation (`int8`). Compiling is done when inputs are bound, for
their size alone.
"""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel
from transformers.dynamic_module_utils import custom_object_save

from ..encoders.families import register
from ..encoders.heads import auto_model, head_of
from .int8 import INT8, SCALES, WEIGHTS, linears, load_int8
from .runner import Inputs, allowed_difference

register()

_LARGEST_INT8 = 127
_MOST_SIZES = 100_000
"""No limit on compiled sizes: torch would run what exceeds its own limit uncompiled."""


class TorchRunner:
    """A torch model as it is."""

    def __init__(self, model: nn.Module, *, device: str, threads: int) -> None:
        """Keep a model that lies on the device and is in evaluation mode."""
        self._model: Callable[..., Any] = model
        self._device = torch.device(device)
        self._threads = threads

    def bind(self, batch: Inputs) -> Callable[[], object]:
        """Prepare the inputs on the device; the caller sets threads and inference mode."""
        return partial(self._model, **self._tensors(batch))

    def logits(self, batch: Inputs) -> NDArray[np.float32]:
        """The logits [B, C] of a batch."""
        with _threads(self._threads), torch.inference_mode():
            logits: Tensor = self._model(**self._tensors(batch)).logits
        return logits.float().cpu().numpy()

    def _tensors(self, batch: Inputs) -> dict[str, Tensor]:
        return {name: torch.from_numpy(entry).to(self._device) for name, entry in batch.items()}


class CompiledRunner(TorchRunner):
    """A torch model that is compiled for each input size, when it is bound or asked."""

    def __init__(self, model: nn.Module, *, device: str, threads: int) -> None:
        """Prepare compilation, apart from that of all other models."""
        super().__init__(model, device=device, threads=threads)
        self._eager = TorchRunner(model, device=device, threads=threads)
        self._is_exact = next(model.parameters()).dtype == torch.float32
        with _compiling():
            self._model = torch.compile(  # type: ignore[call-overload]  # its types lack two
                model, dynamic=False, recompile_limit=_MOST_SIZES, isolate_recompiles=True
            )

    def bind(self, batch: Inputs) -> Callable[[], object]:
        """Prepare the inputs on the device, compile for their size and compare the logits.

        Raises:
            RuntimeError: When the float32 logits are not those of the eager model.
        """
        found, expected = self.logits(batch), self._eager.logits(batch)
        difference = float(np.abs(found - expected).max())
        if self._is_exact and difference > allowed_difference(expected):
            raise RuntimeError(f"the compiled network's logits differ by {difference:.2g}")
        return super().bind(batch)

    def logits(self, batch: Inputs) -> NDArray[np.float32]:
        """The logits [B, C] of a batch; compiles for a new size."""
        with _compiling():
            return super().logits(batch)


def write(model: PreTrainedModel, precision: str, folder: Path) -> None:
    """Write a network's config and weights in the precision's format into an existing folder."""
    if precision == "int8":
        if model._auto_class is not None:
            custom_object_save(model, folder, config=model.config)  # type: ignore[arg-type]
        model.config.save_pretrained(folder)
        save_file(_int8_tensors(model), folder / WEIGHTS)
    elif precision == "bf16":
        copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)  # type: ignore[arg-type]
    else:
        model.save_pretrained(folder)


def load_eager(folder: Path, *, precision: str, device: str, threads: int) -> TorchRunner:
    """Load what `write` wrote."""
    model = _model(folder, precision=precision, device=device)
    return TorchRunner(model, device=device, threads=threads)


def load_compiled(folder: Path, *, precision: str, device: str, threads: int) -> CompiledRunner:
    """Load what `write` wrote, to be compiled for each input size."""
    model = _model(folder, precision=precision, device=device)
    return CompiledRunner(model, device=device, threads=threads)


def _model(folder: Path, *, precision: str, device: str) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    auto = auto_model(head_of(config))
    if precision == "int8":
        return load_int8(folder, auto)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model: PreTrainedModel = auto.from_pretrained(
        folder, config=config, local_files_only=True, use_safetensors=True, dtype=dtype
    )
    nn.Module.to(model.eval(), torch.device(device))
    return model


def _int8_tensors(model: PreTrainedModel) -> dict[str, Tensor]:
    """Every tensor of a model by name, the linear layers' weights as int8 with their scales."""
    tensors = dict(chain(model.named_parameters(), model.named_buffers()))
    for name, _ in linears(model):
        weight = tensors.pop(f"{name}.weight").detach().float()
        smallest = torch.finfo(torch.float32).eps
        scales = (weight.abs().amax(dim=1) / _LARGEST_INT8).clamp_min(smallest)
        tensors[f"{name}{INT8}"] = (weight / scales[:, None]).round().to(torch.int8)
        tensors[f"{name}{SCALES}"] = scales
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _compiling() -> Iterator[None]:
    """Compile as often as asked, and hold back torch's warnings of its own deprecated parts."""
    with (
        warnings.catch_warnings(),
        torch._dynamo.config.patch(accumulated_recompile_limit=_MOST_SIZES),
    ):
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        yield
