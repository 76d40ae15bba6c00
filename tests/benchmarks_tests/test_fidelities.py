"""Whether cheap scores rank as dear ones do, by regions of cost."""

from typing import Any

import pytest
from fidelities import judged

MACS = {f"n{number}": float(number) for number in range(12)}


def rung(name: str, scores: dict[str, float]) -> dict[str, Any]:
    return {"fidelity": name, "scores": scores}


def test_scores_that_rank_alike_have_a_tau_of_one_wherever_networks_are_drawn_anew() -> None:
    cheap = rung("cheap", {key: cost / 100 for key, cost in MACS.items()})
    dear = rung("dear", {key: 0.5 + cost**2 for key, cost in MACS.items()})
    found = judged([cheap, dear], MACS)
    assert [row["region"] for row in found] == ["all", "small", "middle", "large"]
    assert [row["networks"] for row in found] == [12, 4, 4, 4]
    assert all(row["tau"] == {"value": 1, "low": 1, "high": 1} for row in found)


def test_a_region_can_rank_the_other_way_round() -> None:
    cheap = rung("cheap", dict(MACS))
    small = {"n0", "n1", "n2", "n3"}
    dear = rung("dear", {key: -cost if key in small else cost for key, cost in MACS.items()})
    found = {row["region"]: row["tau"] for row in judged([cheap, dear], MACS)}
    assert found["small"]["value"] == -1
    assert found["middle"]["value"] == found["large"]["value"] == 1
    assert found["all"]["low"] < found["all"]["value"] < found["all"]["high"]


@pytest.mark.parametrize(("number", "regions"), [(3, []), (4, ["all"])])
def test_few_networks_have_no_tau(number: int, regions: list[str]) -> None:
    some = dict(list(MACS.items())[:12:3][:number])
    found = judged([rung("cheap", dict(MACS)), rung("dear", some)], MACS)
    assert [row["region"] for row in found] == regions
