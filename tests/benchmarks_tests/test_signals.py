"""Which signal chooses best, on networks whose worth is known."""

from typing import Any

import numpy as np
import pytest
import signals

NETWORKS, EXAMPLES = 60, 400


@pytest.fixture(scope="module")
def record() -> dict[str, dict[str, Any]]:
    """Accuracies say little of the networks, likenesses nearly everything, agreement nothing."""
    generator = np.random.default_rng(0)
    worth = generator.uniform(0.6, 0.9, NETWORKS)

    def answers(chance: np.ndarray, examples: int) -> np.ndarray:
        return (generator.random((NETWORKS, examples)) < chance[:, None]).astype(float)

    alike = np.full(NETWORKS, 0.8)
    likeness = worth[:, None] - 1 + generator.normal(0, 0.1, (NETWORKS, EXAMPLES))
    kinds = {
        "search": {
            "accuracy": answers(worth, 40),
            "agreement": answers(alike, 40),
            "likeness": likeness[:, :40],
        },
        "texts": {"agreement": answers(alike, EXAMPLES), "likeness": likeness},
        "report": {"accuracy": answers(worth, 4000)},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signals, "RESAMPLES", 200)
        return signals.judged(kinds, np.arange(1.0, NETWORKS + 1), seed=0)


def test_the_usual_signal_gains_nothing_on_itself(record: dict[str, dict[str, Any]]) -> None:
    assert record[signals.USUAL]["gain"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_what_says_more_of_networks_chooses_better(record: dict[str, dict[str, Any]]) -> None:
    gains = {name: entry["gain"] for name, entry in record.items()}
    assert gains["likeness, texts"]["low"] > 0
    assert gains["agreement, texts"]["value"] < 0
    assert min(record["likeness, texts"]["tau"]) > 0.9
    assert max(map(abs, record["agreement, texts"]["tau"])) < 0.4


def test_the_best_affordable_network_is_chosen() -> None:
    affordable = np.array([[True, False, False], [True, True, False], [True, True, True]])
    assert signals.chosen(np.array([0.1, 0.3, 0.2]), affordable).tolist() == [0, 1, 1]
