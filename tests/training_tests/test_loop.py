"""The loop's schedule, its groups, what is made once, and the settings of every training."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from paretobert.errors import InputError
from paretobert.training.loop import linear_decay, made, weight_groups
from paretobert.training.pace import Pace


@given(total=st.integers(1, 300), share=st.floats(0, 0.99))
def test_the_rate_rises_to_its_peak_and_falls(total: int, share: float) -> None:
    rates = [linear_decay(step, total, warmup_share=share) for step in range(total)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_only_matrices_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    matrices, vectors = weight_groups(model, learning_rate=0.1, weight_decay=0.01)
    assert [len(group["params"]) for group in (matrices, vectors)] == [1, 3]
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.01, 0.0)
    assert matrices["lr"] == vectors["lr"] == 0.1


class Written:
    """What writes one file under its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def save_pretrained(self, folder: Path, /) -> None:
        if self.name == "broken":
            raise KeyboardInterrupt
        (folder / self.name).write_text(self.name)


def test_what_is_made_is_whole_and_made_once(tmp_path: Path) -> None:
    calls: list[str] = []

    def make(tokenizer: str) -> tuple[Written, Written]:
        calls.append(tokenizer)
        return Written("model"), Written(tokenizer)

    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "out", lambda: make("broken"))
    assert not (tmp_path / "out").exists()
    for _ in range(2):
        folder = made(tmp_path / "out", lambda: make("tokenizer"))
    assert calls == ["broken", "tokenizer"]
    assert {path.name for path in folder.iterdir()} == {"model", "tokenizer"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "fp8"}, "precision 'fp8' is not one of auto, fp32, bf16"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"checkpoint_steps": 0}, "checkpoint_steps must be at least 1, not 0"),
        ({"weight_decay": float("nan")}, "weight_decay must be at least 0, not nan"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, not nan"),
        ({"clip_norm": 0.0}, "clip_norm must be positive, not 0"),
        ({"warmup_share": 1.0}, r"warmup_share must be in \[0, 1\), not 1"),
    ],
)
def test_impossible_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pace(**change)
