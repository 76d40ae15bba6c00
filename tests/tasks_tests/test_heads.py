from dataclasses import replace

import numpy as np
import pytest
import torch

from paretobert.errors import InputError
from paretobert.tasks.heads import CLASSIFICATION, HEADS, REGRESSION, head_with


def test_one_output_is_a_score_and_more_are_classes() -> None:
    assert [head_with(outputs).kind for outputs in (1, 2, 3)] == [
        "regression",
        "classification",
        "classification",
    ]


@pytest.mark.parametrize("array", [np.array, torch.tensor])
def test_logits_become_classes_or_scores(array) -> None:
    assert CLASSIFICATION.outcomes(array([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])).tolist() == [1, 0]
    assert REGRESSION.outcomes(array([[0.5], [-2.0]])).tolist() == [0.5, -2.0]


def test_outputs_are_named_by_the_classes_or_as_a_score() -> None:
    assert CLASSIFICATION.output_names(("cold", "warm")) == ("cold", "warm")
    assert REGRESSION.output_names(()) == ("score",)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_the_counts_are_those_of_two_layers_at_the_first_token(head) -> None:
    layers = torch.nn.Linear(24, 24), torch.nn.Linear(24, 3)
    params = sum(p.numel() for layer in layers for p in layer.parameters())
    assert head.num_params(hidden_size=24, num_outputs=3) == params
    assert head.num_macs(hidden_size=24, num_outputs=3, num_tokens=9) == 24 * 24 + 24 * 3


def test_a_head_that_reads_every_token_costs_each_and_forbids_elimination() -> None:
    CLASSIFICATION.require_first_token()
    every = replace(CLASSIFICATION, reads="all")
    assert every.num_macs(hidden_size=24, num_outputs=3, num_tokens=9) == 9 * (24 * 24 + 24 * 3)
    with pytest.raises(InputError, match="classification task reads every token .* keep all"):
        every.require_first_token()
