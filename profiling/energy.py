"""Energy, where the machine counts it: the RAPL counters of processors, as Linux shows them.

RAPL's package domains count microjoules up to a maximum and then begin again. Virtual machines
seldom expose it; what is not exposed is left out, never estimated.
"""

from dataclasses import dataclass, field
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
_J_PER_UJ = 1e-6


@dataclass(slots=True)
class EnergyCounter:
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


def energy_counter(device: str, *, powercap: Path = POWERCAP) -> EnergyCounter | None:
    """A counter of the energy that a device uses, None where it is not exposed.

    Args:
        device: "cpu"; other devices have no counter here.
        powercap: Where Linux shows RAPL's domains.
    """
    if device != "cpu":
        return None
    domains = []
    for domain in sorted(powercap.glob("intel-rapl:*")):
        is_package = domain.name.count(":") == 1
        try:
            _read(domain / "energy_uj"), _read(domain / "max_energy_range_uj")
        except (OSError, ValueError):
            continue
        if is_package:
            domains.append(domain)
    return EnergyCounter(tuple(domains)) if domains else None


def _read(path: Path) -> int:
    return int(path.read_text())
