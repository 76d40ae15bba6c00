"""Settings that fit: what the user leaves open is decided from the data and the model (no torch).

`paper` leaves the published settings (`TrainingOptions`' defaults). `auto` decides by these rules:

- batch size: 32, as published; 16 below 1,000 training texts, so that an epoch has steps enough.
- stage 0: the epochs that make 600 steps, from 2 to 20. Small data sets need many more passes than
  three (Mosbach et al. 2021, section 6), large ones fewer.
- distillation: the epochs that make 900 steps of stages 1 and 2 together, from 2 to 24, half as
  many where texts have 128 tokens or more on average; a third of them for stage 1. Unlabelled
  texts and variants count. The token stage, where it is asked for, has as many epochs as stage 2.
- recipe: `sandwich`, four sub-networks in a step: twelve take more than twice as long. Spaces of
  up to four learn whole all the same.
- grid: the published one; of the recipe `closed-form` the same depths, with widths 1, .5, .33 and
  .25: three quarters of the width cost little to repair and save as little
  (`benchmarks/closed_form/sst2.json`).
- learning rate of stage 0: 2e-4 for a hidden size of 384, and inversely proportional to the hidden
  size; half and twice that are tried too, and where nothing is learnt in the end, half of what was
  taken (`sweep`).
- learning rate of the other stages: 3e-4 at 384, likewise. Soft targets bear larger steps.
- warm-up: a tenth of the steps.

What is given by hand always counts, and with a learning rate nothing is tried. How the rules were
held against settings by hand: `benchmarks/settings.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..networks.shape import EncoderShape
from ..networks.subnet import TOKENS
from ..tasks.task import Texts
from ..training.pace import steps_per_epoch
from .options import Settings, TrainingOptions

FEW_TEXTS = 1_000
LONG_TOKENS = 128
TEACHER_STEPS = 600
TEACHER_EPOCHS = (2, 20)
DISTILLATION_STEPS = 900
DISTILLATION_EPOCHS = (2, 24)
WIDTH_SHARE = 1 / 3
HIDDEN = 384
TEACHER_RATE = 2e-4
DISTILLATION_RATE = 3e-4
TRIED = (0.5, 1.0, 2.0)
WARMUP_SHARE = 0.1
REPAIRED_WIDTHS = (1.0, 0.5, 0.33, 0.25)
TOKENS_PER_WORD = 1.3
"""Of English in BERT's vocabulary, about; rules need no more."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the rules look at.

    Attributes:
        num_train: Labelled training texts.
        num_transfer: These and unlabelled texts.
        mean_tokens: Tokens of a training text, about.
        hidden_size: Width of the model's hidden states.
    """

    num_train: int
    num_transfer: int
    mean_tokens: float
    hidden_size: int

    @classmethod
    def of(
        cls, train: Texts, shape: EncoderShape, *, max_length: int, num_unlabelled: int = 0
    ) -> "Scale":
        """Look at the training texts and the model.

        Args:
            train: The training split.
            shape: The full model's sizes.
            max_length: Tokens at which texts are cut.
            num_unlabelled: Texts without labels beside the training texts.
        """
        return cls(
            num_train=len(train),
            num_transfer=len(train) + num_unlabelled,
            mean_tokens=mean_tokens(train, max_length=max_length),
            hidden_size=shape.hidden_size,
        )


def mean_tokens(texts: Texts, *, max_length: int) -> float:
    """Tokens of a text on average, counted by its words.

    >>> mean_tokens(Texts(("one two", "a b c d"), None), max_length=128)
    3.9
    """
    words = [len(text.split()) for text in texts.first]
    if texts.second is not None:
        words = [n + len(text.split()) for n, text in zip(words, texts.second, strict=True)]
    return sum(min(TOKENS_PER_WORD * n, max_length) for n in words) / len(words)


def resolved(given: Mapping[str, Any], settings: Settings, scale: Scale) -> TrainingOptions:
    """Every option of a training.

    Args:
        given: The fields that the user gave; they stay as they are.
        settings: Who decides the others: "auto" the rules of this module, "paper" the defaults.
        scale: What the rules look at.

    Raises:
        InputError: When what is given is out of its range or does not go together.
    """
    TrainingOptions(**{name: given[name] for name in ("batch_size", "augment") if name in given})
    by_hand = tuple(sorted(given.keys() - {"seed"}))
    decided = rules(given, scale) if settings == "auto" else {}
    return TrainingOptions(**{**decided, **given, "settings": settings, "by_hand": by_hand})


def rules(given: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """What the rules say, as fields of `TrainingOptions`, in the light of what is given."""
    batch_size = given.get("batch_size", 16 if scale.num_train < FEW_TEXTS else 32)
    fine_tuning = _epochs(TEACHER_STEPS, TEACHER_EPOCHS, scale.num_train, batch_size=batch_size)
    elastic = _epochs(
        DISTILLATION_STEPS // (2 if scale.mean_tokens >= LONG_TOKENS else 1),
        DISTILLATION_EPOCHS,
        scale.num_transfer + given.get("augment", 0) * scale.num_train,
        batch_size=batch_size,
    )
    width = max(1, round(WIDTH_SHARE * elastic))
    found: dict[str, Any] = {
        "recipe": "sandwich",
        "batch_size": batch_size,
        "warmup_share": WARMUP_SHARE,
        "teacher_epochs": fine_tuning,
        "width_epochs": width,
        "depth_epochs": elastic - width,
        "learning_rate": _rounded(DISTILLATION_RATE * HIDDEN / scale.hidden_size),
    }
    if given.get("recipe") == "closed-form":
        found["widths"] = REPAIRED_WIDTHS
    elif min(given.get("tokens") or TOKENS) < 1:
        found["token_epochs"] = elastic - width
    rate_given = {"learning_rate", "teacher_learning_rate"} & given.keys()
    if not rate_given and given.get("teacher_epochs", fine_tuning):
        guess = TEACHER_RATE * HIDDEN / scale.hidden_size
        tried = tuple(_rounded(factor * guess) for factor in TRIED)
        rates = given.get("teacher_rates", tried)
        found["teacher_rates"] = rates
        found["teacher_learning_rate"] = sorted(rates)[len(rates) // 2] if rates else tried[1]
    return found


def _epochs(steps: int, ends: tuple[int, int], num_texts: int, *, batch_size: int) -> int:
    """Epochs that make about so many steps, within the ends."""
    fewest, most = ends
    wanted = math.ceil(steps / steps_per_epoch(num_texts, batch_size=batch_size))
    return min(most, max(fewest, wanted))


def _rounded(rate: float) -> float:
    """To two digits, as rates are written."""
    return float(f"{rate:.1e}")
