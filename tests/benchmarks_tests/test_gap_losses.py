"""What estimates choose, held against what is known."""

from gap_losses import choices, judged


def test_every_choice_keeps_the_last_layer() -> None:
    found = choices(4)
    assert len(found) == len(set(found)) == 7
    assert all(layers[-1] == 3 for layers in found)
    assert [len(layers) for layers in found] == [3, 3, 3, 2, 2, 2, 1]


def test_the_choice_of_each_number_of_layers_is_ranked() -> None:
    known = {(0, 2): (1.0, 0.3), (1, 2): (2.0, 0.2), (2,): (3.0, 0.5)}
    rows = [
        {"layers": list(layers), "estimate": estimate, "divergence": divergence}
        for layers, (estimate, divergence) in known.items()
    ]
    found = judged(rows)
    two, one = found["picks"]
    assert (two["pick"], two["best"], two["rank"]) == ([0, 2], [1, 2], 2)
    assert (one["pick"], one["rank"]) == ([2], 1)
    assert 0 < found["tau"] < 1
