import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from paretobert.profiling.energy import energy_counter


def rapl(folder: Path, name: str, *, energy_uj: int) -> Path:
    domain = folder / name
    domain.mkdir()
    (domain / "energy_uj").write_text(f"{energy_uj}\n")
    (domain / "max_energy_range_uj").write_text("10000000\n")
    return domain


def test_packages_add_up_and_turn_over(tmp_path: Path) -> None:
    first = rapl(tmp_path, "intel-rapl:0", energy_uj=9_000_000)
    second = rapl(tmp_path, "intel-rapl:1", energy_uj=1_000_000)
    rapl(tmp_path, "intel-rapl:0:0", energy_uj=5)
    counter = energy_counter("cpu", powercap=tmp_path)
    assert counter is not None
    assert counter.joules() == 0
    (first / "energy_uj").write_text("500000")
    (second / "energy_uj").write_text("3000000")
    assert counter.joules() == pytest.approx(1.5 + 2.0)
    (first / "energy_uj").write_text("600000")
    assert counter.joules() == pytest.approx(3.6)


def test_what_is_not_exposed_is_left_out(tmp_path: Path) -> None:
    assert energy_counter("cpu", powercap=tmp_path) is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert energy_counter("cpu", powercap=tmp_path) is None


class FakeNvml:
    """NVML with one GPU, which uses half a joule between two questions."""

    def __init__(self, *, status: int = 0) -> None:
        self.status = status
        self.energy_mj = 7000

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:
        handle._obj.value = 42
        return 0 if uuid == b"GPU-1234" else 6

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: ctypes.c_void_p, energy: Any) -> int:
        assert handle.value == 42
        self.energy_mj += 500
        energy._obj.value = self.energy_mj
        return self.status


def one_gpu(monkeypatch: pytest.MonkeyPatch, library: FakeNvml, *, uuid: str) -> list[str]:
    """Make torch and the loader see one GPU; returns the devices that are waited for."""
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=uuid)
    )
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return waited


def test_a_gpu_counts_finished_work(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = one_gpu(monkeypatch, FakeNvml(), uuid="1234")
    counter = energy_counter("cuda:0")
    assert counter is not None
    before = counter.joules()
    assert counter.joules() - before == pytest.approx(0.5)
    assert waited == ["cuda:0"] * 3


@pytest.mark.parametrize(("status", "uuid"), [(3, "1234"), (0, "another")])
def test_a_gpu_without_a_counter(status: int, uuid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one_gpu(monkeypatch, FakeNvml(status=status), uuid=uuid)
    assert energy_counter("cuda") is None


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert energy_counter("cuda") is None
