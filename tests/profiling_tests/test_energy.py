from pathlib import Path

import pytest

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
    rapl(tmp_path, "intel-rapl:1", energy_uj=1)
    assert energy_counter("cuda", powercap=tmp_path) is None
