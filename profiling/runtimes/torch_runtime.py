"""Torch as a runtime: eager or compiled, in float32, bfloat16 or dynamically quantised int8.

bfloat16 holds weights and activations in that format. int8 is torch's own dynamic quantisation of
the linear layers: weights of 8 bits with one scale per matrix, activations quantised as they come.
Its weights are kept as plain int8 tensors, since nothing is pickled here. Compiling is done at the
first run of each input size.
"""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from ...dynabert.modeling_subnet import register
from ..inputs import Batch

register()

WEIGHTS = "model.safetensors"
_INT8, _SCALE = ".weight_int8", ".weight_scale"


class TorchRunner:
    """A torch model, compiled or not."""

    def __init__(self, model: Callable[..., Any], device: str) -> None:
        """Keep a model that lies on the device and is in evaluation mode."""
        self._model = model
        self._device = torch.device(device)

    def bind(self, batch: Batch) -> Callable[[], object]:
        """Prepare the inputs on the device."""
        return partial(self._model, **self._tensors(batch))

    def logits(self, batch: Batch) -> NDArray[np.float32]:
        """The logits [B, C] of a batch."""
        with torch.inference_mode():
            logits: Tensor = self._model(**self._tensors(batch)).logits
        return logits.float().cpu().numpy()

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        return {name: torch.from_numpy(entry).to(self._device) for name, entry in batch.items()}


class CompiledRunner(TorchRunner):
    """A torch model that is compiled for each input size; binding compiles."""

    def __init__(self, model: nn.Module, device: str) -> None:
        """Prepare compilation, which happens later."""
        with _quiet_compiler():
            super().__init__(torch.compile(model, dynamic=False), device)

    def bind(self, batch: Batch) -> Callable[[], object]:
        """Prepare the inputs on the device and compile for their size."""
        run = super().bind(batch)
        with _quiet_compiler(), torch.inference_mode():
            run()
        return run

    def logits(self, batch: Batch) -> NDArray[np.float32]:
        """The logits [B, C] of a batch; compiles for a new size."""
        with _quiet_compiler():
            return super().logits(batch)


def write(model: PreTrainedModel, precision: str, folder: Path) -> None:
    """Write a network's config and weights in the precision's format into an existing folder."""
    if precision == "fp32":
        model.save_pretrained(folder)
        return
    duplicate = copy.deepcopy(model)
    if precision == "bf16":
        duplicate.to(torch.bfloat16).save_pretrained(folder)  # type: ignore[arg-type]
        return
    duplicate.config.save_pretrained(folder)
    quantised = _quantised(duplicate)
    tensors = {name: parameter.detach() for name, parameter in quantised.named_parameters()}
    for name, linear in _quantised_linears(quantised):
        weight = linear.weight()
        tensors[f"{name}{_INT8}"] = weight.int_repr()
        tensors[f"{name}{_SCALE}"] = torch.tensor(weight.q_scale(), dtype=torch.float64)
        tensors[f"{name}.bias"] = linear.bias().detach()
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / WEIGHTS)


def load_eager(folder: Path, *, precision: str, device: str) -> TorchRunner:
    """Load what `write` wrote."""
    return TorchRunner(_model(folder, precision=precision, device=device), device)


def load_compiled(folder: Path, *, precision: str, device: str) -> "CompiledRunner":
    """Load what `write` wrote, to be compiled for each input size."""
    return CompiledRunner(_model(folder, precision=precision, device=device), device)


def _model(folder: Path, *, precision: str, device: str) -> PreTrainedModel:
    if precision == "int8":
        return _load_int8(folder)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=dtype
    )
    nn.Module.to(model.eval(), torch.device(device))
    return model


def _load_int8(folder: Path) -> PreTrainedModel:
    tensors = load_file(folder / WEIGHTS)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    model = _quantised(AutoModelForSequenceClassification.from_config(config).eval())
    for name, linear in _quantised_linears(model):
        with _quiet_quantisation():
            weight = torch._make_per_tensor_quantized_tensor(
                tensors.pop(f"{name}{_INT8}"), tensors.pop(f"{name}{_SCALE}").item(), 0
            )
            linear.set_weight_bias(weight, tensors.pop(f"{name}.bias"))
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in tensors.items():
            parameters[name].copy_(tensor)
    return model


def _quantised(model: PreTrainedModel) -> PreTrainedModel:
    with _quiet_quantisation():
        quantised: PreTrainedModel = torch.ao.quantization.quantize_dynamic(
            model, {nn.Linear}, dtype=torch.qint8
        )
    return quantised


def _quantised_linears(
    model: nn.Module,
) -> Iterator[tuple[str, "torch.ao.nn.quantized.dynamic.Linear"]]:
    for name, module in model.named_modules():
        if isinstance(module, torch.ao.nn.quantized.dynamic.Linear):
            yield name, module


@contextmanager
def _quiet_compiler() -> Iterator[None]:
    """Hold back what the compiler says about torch's own use of deprecated parts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        yield


@contextmanager
def _quiet_quantisation() -> Iterator[None]:
    """Hold back that torch will move its quantisation to another package."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "torch.ao.quantization is deprecated", DeprecationWarning
        )
        warnings.filterwarnings("ignore", ".*quantized tensor creation functions", UserWarning)
        yield
