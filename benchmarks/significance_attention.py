"""Time attention with significance scores against transformers' fused and eager attention.

One attention layer of 12 heads of size 32 (MiniLM's) on random projections, in inference. Each
round times every implementation once, in fresh random order; a time is compared with the fused
attention's of the same round. "one block" is ours without its division into blocks.

    python benchmarks/significance_attention.py
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.bert.modeling_bert import eager_attention_forward

from paretobert.encoders import elimination
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json

NUM_HEADS, HEAD_SIZE = 12, 32
SHAPES = ((1, 128, False), (1, 256, False), (32, 128, False), (32, 128, True))
"""Examples, tokens, and whether the examples are padded from a third of the length on."""


def implementations(
    num_examples: int, num_tokens: int, *, lengths: Tensor
) -> dict[str, Callable[[], Tensor]]:
    """Ready runs of each implementation on the same projections; each returns its output."""
    torch.manual_seed(0)
    shape = (3, num_examples, num_tokens, NUM_HEADS, HEAD_SIZE)
    query, key, value = torch.randn(shape).transpose(2, 3).unbind()
    module = nn.Module().eval()
    module.is_causal = False
    mask = (torch.arange(num_tokens) < lengths[:, None]).long()
    padded = not bool(mask.all())
    added = elimination.additive(mask, torch.float32) if padded else None
    square = (num_examples, 1, num_tokens, num_tokens)
    seen = mask.bool()[:, None, None].expand(square) if padded else None
    added_square = None if added is None else added.expand(square).contiguous()

    def ours() -> Tensor:
        return elimination.significance_attention(module, query, key, value, added)[0]

    def one_block() -> Tensor:
        with mock.patch.object(elimination, "BLOCK", 2**62):
            return ours()

    return {
        "fused": lambda: sdpa_attention_forward(module, query, key, value, seen)[0],
        "ours": ours,
        "one block": one_block,
        "eager": lambda: eager_attention_forward(module, query, key, value, added_square)[0],
    }


def compare(
    num_examples: int, num_tokens: int, *, padded: bool, num_rounds: int
) -> dict[str, Any]:
    """Median times, and median ratios to the fused attention of the same round."""
    lengths = torch.full((num_examples,), num_tokens)
    if padded:
        lengths = torch.linspace(num_tokens // 3, num_tokens, num_examples).long()
    runs = implementations(num_examples, num_tokens, lengths=lengths)
    real = torch.arange(num_tokens) < lengths[:, None]
    expected = runs["fused"]()[real]
    for run in runs.values():
        torch.testing.assert_close(run()[real], expected, rtol=0, atol=1e-5)
    order, generator = list(runs), random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(num_rounds):
        generator.shuffle(order)
        for name in order:
            started = time.perf_counter()
            runs[name]()
            times[name].append(time.perf_counter() - started)
    return {
        "examples": num_examples,
        "tokens": num_tokens,
        "padded": padded,
        "rounds": num_rounds,
        "median_ms": {
            name: round(1000 * statistics.median(entry), 3) for name, entry in times.items()
        },
        "ratio_to_fused": {
            name: round(
                statistics.median(a / b for a, b in zip(entry, times["fused"], strict=True)), 2
            )
            for name, entry in times.items()
        },
    }


def main() -> None:
    """Compare at every shape and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/significance_attention.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    environment = Environment.capture()
    with torch.inference_mode():
        rows = [
            compare(examples, tokens, padded=padded, num_rounds=arguments.rounds)
            for examples, tokens, padded in SHAPES
        ]
    record = {
        "command": f"python {' '.join(sys.argv)}",
        "threads": torch.get_num_threads(),
        "heads": NUM_HEADS,
        "head_size": HEAD_SIZE,
        "environment": environment.to_dict(),
        "shapes": rows,
    }
    write_json(arguments.out, record)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
