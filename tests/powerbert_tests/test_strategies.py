import torch

from paretobert.encoders.elimination import Kept
from paretobert.powerbert.strategies import static_chooser

MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
SCORE = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]).expand(2, -1)


def kept(strategy: str, amounts: list[int], *, seed: int = 0) -> list[Kept]:
    choose = static_chooser(strategy, amounts, "tokens", MASK, seed=seed, num_positions=8)
    found, score, mask = [], SCORE, MASK
    for place in range(len(amounts)):
        chosen = choose(place, score, mask)
        assert chosen is not None
        found.append(chosen)
        score, mask = score.gather(1, chosen.positions), chosen.mask
    return found


def test_head_keeps_the_first_positions() -> None:
    first, second = kept("head", [4, 2])
    assert first.positions[0].tolist() == [0, 1, 2, 3]
    assert second.positions[0].tolist() == [0, 1]


def test_attention_keeps_the_highest_scores_and_the_first() -> None:
    first, _ = kept("attention", [3, 2])
    assert first.positions[0].tolist() == [0, 4, 5]
    assert first.positions[1].tolist() == [0, 2, 3]


def test_random_positions_are_fixed_by_the_seed_and_shared_by_layers() -> None:
    first, second = kept("random", [4, 2])
    again, _ = kept("random", [4, 2])
    assert first.positions.tolist() == again.positions.tolist()
    others = {
        tuple(kept("random", [4, 2], seed=seed)[0].positions[0].tolist()) for seed in range(9)
    }
    assert len(others) > 1
    assert first.positions[0, 0] == 0
    left = set(first.positions[0][second.positions[0]].tolist())
    assert left <= set(first.positions[0].tolist())
