"""Where a latency was measured: processor, limits, load and versions (torch only if in use).

Read from what the operating system shows: /proc and /sys on Linux; what is not readable is None.
Nothing here names the host or its user.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from ..networks.network import identifier

ISA_FLAGS = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)
"""Instruction-set flags that change how fast matrix products run, as Linux spells them."""

PACKAGES = {
    "eager": ("torch", "transformers"),
    "compile": ("torch", "transformers"),
    "onnxruntime": ("torch", "transformers", "onnxruntime"),
    "openvino": ("torch", "transformers", "openvino"),
}
"""By runtime, the distributions that make the network or whose code is timed."""

HARDWARE_FIELDS = ("processor", "isa_flags", "num_cores", "cgroup_cpus", "gpu", "system")
"""Fields that tell machines apart."""

MACHINE_FIELDS = (*HARDWARE_FIELDS, "governor", "gpu_driver", "python", "versions")
"""Fields that must agree before two latencies are compared; load and commit may differ."""

_NOT_A_WORD = re.compile(r"[^a-z0-9]+")
_FILLERS = re.compile(r"\((?:r|tm)\)|\bcpu\b|\bprocessor\b|@.*")


@dataclass(frozen=True, slots=True)
class Environment:
    """One machine at one time.

    Attributes:
        processor: Model name of the processor.
        isa_flags: Those of `ISA_FLAGS` that the processor has.
        num_cores: Cores that this process may run on.
        cgroup_cpus: Processor time per second that the control group allows, None if unlimited.
        governor: Frequency governor of the first core, None where it cannot be read.
        memory_gib: Main memory, None where it cannot be read.
        system: Operating system and machine type.
        python: Version of Python.
        versions: Versions of the runtime's `PACKAGES`.
        paretobert: Version of this project.
        gpu: Name of the CUDA device measured on, None on a CPU.
        gpu_driver: Version of its driver.
        load_before: Load average of the last minute when the record was made.
        load_after: The same after measuring, None until then.
        commit: Commit of the project when it runs from a checkout, "+" added if files changed.
        gpu_clock_before_mhz: Clock of the GPU's multiprocessors when the record was made, None on
            a CPU or where it cannot be read.
        gpu_clock_after_mhz: The same after measuring, None until then.
        name: What its user calls the machine, None where it was given no name.
    """

    processor: str
    isa_flags: tuple[str, ...]
    num_cores: int
    cgroup_cpus: float | None
    governor: str | None
    memory_gib: float | None
    system: str
    python: str
    versions: dict[str, str]
    paretobert: str | None
    gpu: str | None
    gpu_driver: str | None
    load_before: float | None
    load_after: float | None
    commit: str | None
    gpu_clock_before_mhz: int | None = None
    gpu_clock_after_mhz: int | None = None
    name: str | None = None

    @classmethod
    def capture(cls, *, device: str = "cpu", runtime: str = "eager") -> Self:
        """Describe this machine now.

        Args:
            device: The device that will be measured; for "cuda..." the GPU is described too.
            runtime: What will run the networks.
        """
        processor, flags = _processor()
        gpu, driver = _gpu(device) if device.startswith("cuda") else (None, None)
        return cls(
            processor=processor,
            isa_flags=tuple(flag for flag in ISA_FLAGS if flag in flags),
            num_cores=_num_cores(),
            cgroup_cpus=_cgroup_cpus(),
            governor=_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            memory_gib=_memory_gib(),
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            versions={name: found for name in PACKAGES[runtime] if (found := _version(name))},
            paretobert=_version("paretobert"),
            gpu=gpu,
            gpu_driver=driver,
            load_before=_load(),
            load_after=None,
            commit=_own_commit(),
            gpu_clock_before_mhz=_gpu_clock(device) if gpu else None,
        )

    def finished(self, *, device: str = "cpu") -> Self:
        """The same record with the load and the GPU's clock of now as those after measuring."""
        clock_mhz = _gpu_clock(device) if self.gpu else None
        return replace(self, load_after=_load(), gpu_clock_after_mhz=clock_mhz)

    @property
    def title(self) -> str:
        """The machine as one line, for axes and tables."""
        cores = f"{self.num_cores} core{'s' if self.num_cores > 1 else ''}"
        parts = [self.gpu or self.processor, cores]
        if self.cgroup_cpus is not None:
            parts.append(f"quota {self.cgroup_cpus:g}")
        return ", ".join([*parts, f"torch {self.versions.get('torch', 'absent')}"])

    @property
    def machine(self) -> str:
        """A readable name of the machine, the one given to it or made of what it is.

        >>> _machine_name("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", None, 2)
        'intel-xeon-platinum-8481c-2c'
        """
        return self.name or _machine_name(self.processor, self.gpu, self.num_cores)

    @property
    def machine_id(self) -> str:
        """A short hash that tells machines apart, whatever runs on them."""
        record = self.to_dict()
        return identifier({name: record[name] for name in HARDWARE_FIELDS})

    @property
    def measured(self) -> dict[str, Any]:
        """The fields that must agree before two latencies are compared, as JSON types."""
        record = self.to_dict()
        return {name: record[name] for name in MACHINE_FIELDS}

    def differences(self, other: "Environment") -> tuple[str, ...]:
        """Names of the machine's fields in which the two differ, in order."""
        return tuple(
            name for name in MACHINE_FIELDS if getattr(self, name) != getattr(other, name)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self) | {"isa_flags": list(self.isa_flags)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**{**record, "isa_flags": tuple(record["isa_flags"])})


def _machine_name(processor: str, gpu: str | None, num_cores: int) -> str:
    words = _FILLERS.sub("", (gpu or processor).casefold())
    return f"{_NOT_A_WORD.sub('-', words).strip('-')}-{num_cores}c"


def busy_s() -> float | None:
    """Seconds that all processors together have worked since the system's start, for anyone.

    The time that a hypervisor gave to other machines counts too. None where /proc/stat is absent.
    """
    words = (_read("/proc/stat") or "").partition("\n")[0].split()
    if not words or words[0] != "cpu":
        return None
    user, nice, system, _, _, interrupts, soft, steal = map(int, words[1:9])
    return (user + nice + system + interrupts + soft + steal) / os.sysconf("SC_CLK_TCK")


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _processor() -> tuple[str, frozenset[str]]:
    fields: dict[str, str] = {}
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    name = fields.get("model name") or platform.processor() or platform.machine()
    return name, frozenset((fields.get("flags") or fields.get("Features") or "").split())


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_cpus() -> float | None:
    """Read the quota of control groups, version 2 (one file) or 1 (two files)."""
    both = (_read("/sys/fs/cgroup/cpu.max") or "").split()
    quota, period = (
        both
        if len(both) == 2
        else (
            _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
            _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
        )
    )
    if quota is None or period is None or quota in ("max", "-1"):
        return None
    return int(quota) / int(period)


def _memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gpu(device: str) -> tuple[str | None, str | None]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None, None
    words = (_read("/proc/driver/nvidia/version") or "").split()
    driver = next((word for word in words if word[0].isdecimal() and "." in word), None)
    return torch.cuda.get_device_name(device), driver


def _gpu_clock(device: str) -> int | None:
    index = device.partition(":")[2] or "0"
    command = ["nvidia-smi", f"--id={index}", "--query-gpu=clocks.sm", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return int(done.stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _load() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


@cache
def _own_commit() -> str | None:
    """That of this package, as it was first asked for: code that is loaded does not change."""
    return _commit(Path(__file__).resolve().parents[1])


def _commit(root: Path) -> str | None:
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
