"""Energy, where the machine counts it: RAPL of processors, NVML of NVIDIA GPUs.

RAPL's package domains, as Linux shows them, count microjoules up to a maximum and then begin
again. NVML, the driver's library, counts millijoules of the whole board since the driver was
loaded, on GPUs from Volta on. Virtual machines seldom expose either; what is not exposed is left
out, never estimated.
"""

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")
NVML = "libnvidia-ml.so.1"
COUNTED_S = 1.0
"""Seconds that a network runs at least for its energy."""

_J_PER_UJ = 1e-6
_J_PER_MJ = 1e-3


class EnergyCounter(Protocol):
    """Counts the energy that a device has used."""

    def joules(self) -> float:
        """Joules since some fixed moment, of everything that was asked of the device before."""
        ...


@dataclass(slots=True)
class RaplCounter:
    """The summed energy of all processor packages since the counter was made.

    Attributes:
        domains: RAPL's folders, one for each package.
    """

    domains: tuple[Path, ...]
    _last_uj: dict[Path, int] = field(init=False)
    _total_uj: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Read where the counters stand."""
        self._last_uj = {domain: _read(domain / "energy_uj") for domain in self.domains}

    def joules(self) -> float:
        """Joules so far; call at least once per turn of the counters, which takes minutes."""
        for domain, last_uj in self._last_uj.items():
            now_uj = _read(domain / "energy_uj")
            turn_uj = _read(domain / "max_energy_range_uj") if now_uj < last_uj else 0
            self._total_uj += now_uj - last_uj + turn_uj
            self._last_uj[domain] = now_uj
        return self._total_uj * _J_PER_UJ


@dataclass(frozen=True, slots=True)
class NvmlCounter:
    """The energy of one GPU's board.

    Attributes:
        library: NVML, initialised.
        handle: NVML's handle of the GPU.
        device: Its name in torch.
    """

    library: Any
    handle: ctypes.c_void_p
    device: str

    def joules(self) -> float:
        """Joules so far, after the GPU has done what it was asked.

        Raises:
            OSError: When the GPU does not count its energy.
        """
        import torch

        torch.cuda.synchronize(self.device)
        energy_mj = ctypes.c_ulonglong()
        status = self.library.nvmlDeviceGetTotalEnergyConsumption(
            self.handle, ctypes.byref(energy_mj)
        )
        if status:
            raise OSError(f"NVML's error {status}: no energy counter")
        return energy_mj.value * _J_PER_MJ


def energy_counter(device: str, *, powercap: Path = POWERCAP) -> EnergyCounter | None:
    """A counter of the energy that a device uses, None where it is not exposed.

    Args:
        device: "cpu", "cuda" or "cuda:<index>".
        powercap: Where Linux shows RAPL's domains.
    """
    return _rapl_counter(powercap) if device == "cpu" else _nvml_counter(device)


def energy_of_run_j(run: Callable[[], object], counter: EnergyCounter) -> float:
    """Joules of one run, the mean over `COUNTED_S` seconds of runs."""
    start_s, start_j, num_runs = time.perf_counter(), counter.joules(), 0
    while num_runs == 0 or time.perf_counter() - start_s < COUNTED_S:
        run()
        num_runs += 1
    return (counter.joules() - start_j) / num_runs


def _rapl_counter(powercap: Path) -> RaplCounter | None:
    packages = (path for path in powercap.glob("intel-rapl:*") if path.name.count(":") == 1)
    domains = tuple(domain for domain in sorted(packages) if _is_readable(domain))
    return RaplCounter(domains) if domains else None


def _nvml_counter(device: str) -> NvmlCounter | None:
    import torch

    if not torch.cuda.is_available():
        return None
    # The number of a GPU is torch's own, which may see only some of them; the UUID is anyone's.
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
    handle = ctypes.c_void_p()
    try:
        library = ctypes.CDLL(NVML)
        if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle)):
            return None
        counter = NvmlCounter(library, handle, device)
        counter.joules()
    except OSError:
        return None
    return counter


def _is_readable(domain: Path) -> bool:
    try:
        for name in ("energy_uj", "max_energy_range_uj"):
            _read(domain / name)
    except (OSError, ValueError):
        return False
    return True


def _read(path: Path) -> int:
    return int(path.read_text())
