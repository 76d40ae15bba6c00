"""The number format of matrix products in training: fp32, or bf16 by autocast."""

import torch

from .pace import Precision


def matmul_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the format that `precision` means on a device.

    Args:
        precision: "auto" is bf16 where the processor multiplies it natively, else fp32.
        device: Where the model is trained.
    """
    bf16 = _multiplies_bf16(device) if precision == "auto" else precision == "bf16"
    return torch.bfloat16 if bf16 else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context in which matrix products are taken in `dtype`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))
