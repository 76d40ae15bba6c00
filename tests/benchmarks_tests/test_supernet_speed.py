import pytest
import torch
from step_profile import profile
from supernet_accuracy import times_to_reach


def test_times_to_reach_are_those_of_the_first_score_that_is_high_enough():
    def curve(*points):
        return [{"cpu_s": s, "mean_accuracy": accuracy} for s, accuracy in points]

    curves = {
        "ours": curve((1.0, 0.5), (2.0, 0.68), (3.0, 0.695)),
        "naive": curve((10.0, 0.69), (20.0, 0.6), (30.0, 0.7)),
    }
    exact, near, nearer, far = times_to_reach(curves)
    assert exact == {"mean_accuracy": 0.7, "naive_cpu_s": 30.0}
    assert near == {
        "mean_accuracy": 0.695,
        "ours_cpu_s": 3.0,
        "naive_cpu_s": 30.0,
        "ratio": 10.0,
    }
    assert (nearer["ours_cpu_s"], nearer["naive_cpu_s"]) == (3.0, 10.0)
    assert (far["ours_cpu_s"], far["ratio"]) == (2.0, 5.0)


def test_a_profile_counts_the_operations_of_products_forward_and_backward():
    layer = torch.nn.Linear(1024, 512)
    input = torch.randn(512, 1024, requires_grad=True)
    found = profile([lambda: layer(input).sum().backward()], dtype=torch.float32)
    assert found["gflop"] == pytest.approx(3 * 2 * 512 * 1024 * 512 / 1e9, abs=0.05)
    assert set(found["share_of_timed"]) >= {"matrix products", "Python and dispatch"}
    assert sum(found["share_of_timed"].values()) == pytest.approx(1, abs=0.01)
