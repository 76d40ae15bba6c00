"""Fixtures of the supernet's tests."""

import random
from collections.abc import Callable

import pytest

from paretobert.encoders.families import FAMILIES
from paretobert.tasks.batches import EncodedTexts


@pytest.fixture
def unlabelled() -> Callable[..., EncodedTexts]:
    """Random texts for the tiny models; every label is 0."""
    return make_texts


def make_texts(family: str, *, number: int = 60, longest: int = 12, seed: int = 0) -> EncodedTexts:
    draw = random.Random(seed)
    ids = [
        tuple(draw.randrange(2, 40) for _ in range(draw.randint(2, longest)))
        for _ in range(number)
    ]
    typed = "token_type_ids" in FAMILIES[family].embedding_inputs
    return EncodedTexts(
        input_ids=tuple(ids),
        token_type_ids=tuple(tuple(draw.randrange(2) for _ in row) for row in ids)
        if typed
        else None,
        pad_token_id=1,
        pad_token_type_id=0,
    )
