"""Fixtures of the supernet's tests."""

import random
from collections.abc import Callable

import pytest

from paretobert.encoders.families import FAMILIES
from paretobert.tasks.batches import EncodedSplit


@pytest.fixture
def unlabelled() -> Callable[..., EncodedSplit]:
    """Random texts for the tiny models; every label is 0."""
    return make_texts


def make_texts(family: str, *, number: int = 60, longest: int = 12, seed: int = 0) -> EncodedSplit:
    draw = random.Random(seed)
    ids = [
        tuple(draw.randrange(2, 40) for _ in range(draw.randint(2, longest)))
        for _ in range(number)
    ]
    typed = "token_type_ids" in FAMILIES[family].embedding_inputs
    return EncodedSplit(
        input_ids=tuple(ids),
        token_type_ids=tuple(tuple(draw.randrange(2) for _ in row) for row in ids)
        if typed
        else None,
        labels=(0,) * number,
        pad_token_id=1,
        pad_token_type_id=0,
    )
