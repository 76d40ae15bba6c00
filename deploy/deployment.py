"""A deployment: what runs a network and in which number format (no torch).

Which combinations exist is said here once, so that what a runtime lacks is refused by name before
anything is measured.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Self

from ..errors import InputError, shortened

RUNTIMES = ("eager", "compile", "onnxruntime", "openvino")
"""What can run a network."""

PRECISIONS = ("fp32", "bf16", "int8")
"""Number formats of weights and matrix products."""

SUPPORTED = {
    ("cpu", "eager"): ("fp32", "bf16", "int8"),
    ("cpu", "compile"): ("fp32", "bf16"),
    ("cpu", "onnxruntime"): ("fp32", "int8"),
    ("cpu", "openvino"): ("fp32", "bf16", "int8"),
    ("cuda", "eager"): ("fp32", "bf16"),
    ("cuda", "compile"): ("fp32", "bf16"),
}
"""Precisions by device and runtime."""

RUNNING = {
    "eager": ("torch", "transformers"),
    "compile": ("torch", "transformers"),
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino",),
}
"""By runtime, the modules that run a written network."""

EXTRAS = {
    "onnxruntime": ("onnx", ("onnx", "onnxscript", "onnxruntime")),
    "openvino": ("openvino", ("onnx", "onnxscript", "openvino")),
}
"""By runtime, the optional extra that brings it and the modules that write and run a network."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A runtime and a precision.

    Attributes:
        runtime: One of `RUNTIMES`.
        precision: One of `PRECISIONS`.
    """

    runtime: str = "eager"
    precision: str = "fp32"

    def __post_init__(self) -> None:
        """Check both words.

        Raises:
            InputError: When one is unknown.
        """
        for name, value, known in (
            ("runtime", self.runtime, RUNTIMES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise InputError(f"The {name} {value!r} is not supported; use {', '.join(known)}.")

    @property
    def slug(self) -> str:
        """The deployment as one word.

        >>> Deployment("onnxruntime", "int8").slug
        'onnxruntime-int8'
        """
        return f"{self.runtime}-{self.precision}"

    @property
    def title(self) -> str:
        """The deployment for a reader."""
        return f"{self.runtime} {self.precision}"

    @property
    def changes_numbers(self) -> bool:
        """Whether it computes other logits than fp32 does, so that it has scores of its own."""
        return self.precision != "fp32"

    @classmethod
    @lru_cache(maxsize=64)
    def from_slug(cls, slug: str) -> Self:
        """Read back a slug; thousands of networks have the same few.

        Raises:
            InputError: When `slug` is not the slug of a deployment.
        """
        runtime, _, precision = slug.partition("-")
        return cls(runtime, precision)

    def require(self, device: str) -> None:
        """Check that a network can be written and run so: device, combination and packages.

        Args:
            device: "cpu", "cuda" or "cuda:<index>".

        Raises:
            InputError: When the combination does not exist, or the device or a package is
                missing.
        """
        self._require_possible(device)
        extra, modules = EXTRAS.get(self.runtime, ("", ()))
        needed = (*modules, "nncf") if self.slug == "openvino-int8" else modules
        missing = _missing(needed)
        if missing:
            raise InputError(
                f"The runtime {self.title} needs {', '.join(missing)}, not installed here: "
                f'pip install "paretobert[{extra}]".'
            )
        self._require_device(device)

    def require_to_run(self, device: str) -> None:
        """Check that a written network can be run so; less is needed than for `require`.

        Args:
            device: See `require`.

        Raises:
            InputError: See `require`.
        """
        self._require_possible(device)
        missing = _missing(RUNNING[self.runtime])
        if missing:
            raise InputError(
                f"Running {self.title} needs {', '.join(missing)}, not installed here: "
                f"pip install {' '.join(missing)}."
            )
        self._require_device(device)

    def _require_possible(self, device: str) -> None:
        kind = device.partition(":")[0]
        precisions = SUPPORTED.get((kind, self.runtime), ())
        if self.precision not in precisions:
            known = ", ".join(
                f"{runtime} {'/'.join(formats)}"
                for (on, runtime), formats in SUPPORTED.items()
                if on == kind
            )
            raise InputError(f"{self.title} is not possible on {kind}; possible are {known}.")

    def _require_device(self, device: str) -> None:
        if device.startswith("cuda") and not _has_cuda(device):
            raise InputError(f"This machine has no device {device}; use --device cpu.")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**record)


def require_cores(threads: int, *, device: str = "cpu") -> None:
    """Check that threads on a processor do not take turns.

    Args:
        threads: Inside one operator.
        device: See `Deployment.require`; on others the processor's threads do not matter.

    Raises:
        InputError: When this machine has fewer cores.
    """
    cores = os.cpu_count() or 1
    if device == "cpu" and threads > cores:
        raise InputError(
            f"{shortened(threads)} threads would take turns on the {cores} cores of this machine, "
            f"and be slower than {cores}: give --threads {cores} or less."
        )


EAGER_FP32 = Deployment()
"""Torch as it is: what scores and latencies are compared with."""


def _missing(modules: tuple[str, ...]) -> list[str]:
    return [module for module in modules if find_spec(module) is None]


def _has_cuda(device: str) -> bool:
    import torch

    index = int(device.partition(":")[2] or 0)
    return torch.cuda.is_available() and index < torch.cuda.device_count()
