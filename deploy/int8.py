"""Torch's dynamic int8, from plain tensors: 8-bit weights with one scale per output.

Activations are quantised as they come; everything else stays float32. The int8 weights lie in
safetensors as they are, so that nothing is pickled and the size on disk is that of what runs. One
scale per output and, where the processor allows it, the full range of activations keep the logits
closer than torch's defaults do, at the same speed.

This file imports only torch, safetensors and transformers, because it is copied as it stands into
exported folders.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel

WEIGHTS = "model.safetensors"
INT8, SCALES = ".weight_int8", ".weight_scales"


class Int8Linear(nn.Module):
    """A linear layer with 8-bit weights, whose inputs are quantised as they come."""

    def __init__(self, weight: Tensor, *, scales: Tensor, bias: Tensor) -> None:
        """Pack the weights as the processor's kernel wants them.

        Args:
            weight: int8 [outputs, inputs].
            scales: What one step of each row is worth, float32 [outputs].
            bias: float32 [outputs].
        """
        super().__init__()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*quantized tensor creation functions", UserWarning)
            quantised = torch._make_per_channel_quantized_tensor(
                weight, scales, torch.zeros(len(scales), dtype=torch.int64), 0
            )
        self._packed = torch.ops.quantized.linear_prepack(quantised, bias)
        self._has_full_range = _accumulates_32_bits()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs], both float32."""
        outputs: Tensor = torch.ops.quantized.linear_dynamic(
            inputs, self._packed, reduce_range=not self._has_full_range
        )
        return outputs


def load_int8(
    folder: Path, auto_model: Any, *, trust_remote_code: bool = False
) -> PreTrainedModel:
    """Build a network from its int8 tensors, without ever holding the float32 weights.

    Args:
        folder: Holds the config and the tensors.
        auto_model: The class of transformers that makes a model of the config.
        trust_remote_code: Whether transformers may run the folder's own modelling code, which
            networks with layers of different widths need where paretobert is not installed.
    """
    config = AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=trust_remote_code
    )
    with torch.device("meta"):
        model: PreTrainedModel = auto_model.from_config(
            config, trust_remote_code=trust_remote_code
        )
    tensors = load_file(folder / WEIGHTS)
    for name, _ in list(linears(model)):
        weight, scales, bias = (tensors.pop(f"{name}{part}") for part in (INT8, SCALES, ".bias"))
        model.set_submodule(name, Int8Linear(weight, scales=scales, bias=bias))
    for name, tensor in tensors.items():
        owner, _, attribute = name.rpartition(".")
        module = model.get_submodule(owner)
        is_parameter = attribute in dict(module.named_parameters(recurse=False))
        value = nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor
        setattr(module, attribute, value)
    model.eval()
    return model


def linears(model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers of a network by name."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            yield name, module


def _accumulates_32_bits() -> bool:
    """Whether products of 8-bit numbers are summed without the overflow that 16 bits risk."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))
