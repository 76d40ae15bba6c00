"""The closed-form multiply-adds counted once more, from a traced forward pass, by fvcore.

fvcore counts one multiply-add as one. Kept are its linear and matrix-product operators; left out
is what the closed form leaves out too, LayerNorm above all. Fused attention is invisible to
fvcore, so the model is traced with eager attention; networks that eliminate word-vectors keep
theirs, whose matrix products fvcore sees.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from ..encoders.elimination import ATTENTION, ATTENTION_WITH_DIAGONAL

MATRIX_OPERATORS = ("linear", "matmul", "bmm", "addmm", "mm", "einsum")
"""fvcore's names of the operators that are matrix products."""

SIGNIFICANCE_ATTENTIONS = (ATTENTION, ATTENTION_WITH_DIAGONAL)


def count_macs_by_fvcore(model: PreTrainedModel, *, seq_len: int) -> int:
    """Multiply-adds of one example, counted in the operators of a traced forward pass.

    Args:
        model: A dense classification model; its mode and attention are restored.
        seq_len: Tokens of the example, T.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore scripts a function on import, torch deprecates it
        from fvcore.nn import FlopCountAnalysis

        ids = torch.ones(1, seq_len, dtype=torch.long, device=model.device)
        with _traceable(model), torch.no_grad():
            analysis = FlopCountAnalysis(model, (ids, torch.ones_like(ids)))
            analysis.tracer_warnings("none")
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            counts = analysis.by_operator()
    return int(sum(counts[operator] for operator in MATRIX_OPERATORS))


@contextmanager
def _traceable(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode and attention in single operators for the duration of the block."""
    training, attention = model.training, model.config._attn_implementation
    model.eval()
    if attention not in SIGNIFICANCE_ATTENTIONS:
        model.config._attn_implementation = "eager"
    try:
        yield
    finally:
        model.config._attn_implementation = attention
        model.train(training)
