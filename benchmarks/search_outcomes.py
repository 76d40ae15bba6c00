"""Score every network of a coarse layerwise space on both splits, for engines to be judged on.

Each layer is dropped or has one of a few widths of its own; the last is kept. All networks are
run, batch by batch, as a tree: what two of them share, the states after their first layers, is
computed once, and the last layer is run for the first token alone, the only one that BERT's head
reads. So the 3,072 networks of three widths cost about as much as 1,500 layers and not as 14,600.
That this is what scoring them one by one gives is checked on some of them, prediction by
prediction. `search_engines.py` reads the file.

    paretobert train runs/layerwise --model minilm --task stdlib-docs --space layerwise
    python benchmarks/search_outcomes.py runs/layerwise benchmarks/search/stdlib-docs.json \
        --widths .25 1
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from coarse import Coarse
from collect import command, relative
from outcomes import pack_split
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoTokenizer

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.elastic import activate
from paretobert.encoders.families import family_of
from paretobert.encoders.plan import LayerSizes
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.run import Run
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json
from paretobert.tasks.batches import EncodedSplit, encode, evaluation_batches, padded
from paretobert.tasks.scores import score_predictions

SPLITS = ("search", "report")
BATCH_SIZE = 32
SEED = 0


def answers(
    supernet: Supernet, encoded: EncodedSplit, space: Coarse, outcomes: Callable[[Tensor], Tensor]
) -> Tensor:
    """What every network predicts: (networks, examples)."""
    family, model = family_of(supernet.model), supernet.model
    layers = family.layer_list(model)
    shape = supernet.shape

    def leaves(state: Tensor, mask: Tensor | None, depth: int) -> Iterator[Tensor]:
        if depth == len(layers):
            yield outcomes(family.classify(model, state).float())
            return
        last = depth + 1 == len(layers)
        if not last:
            yield from leaves(state, mask, depth + 1)
        for heads, neurons in space.layer_sizes:
            sizes = LayerSizes(shape.hidden_size, shape.head_size, heads, neurons)
            activate(layers[depth], family.plan, sizes)
            layer = layers[depth]
            after = first_token(layer, state, mask) if last else layer(state, mask)
            yield from leaves(after, mask, depth + 1)

    batches = list(evaluation_batches(encoded, batch_size=BATCH_SIZE))
    columns = []
    for number, indices in enumerate(batches, start=1):
        batch = padded(encoded, indices, device=torch.device("cpu"))
        del batch["labels"]
        embeddings = supernet.embed(batch)
        mask = family.mask(model, embeddings, batch)
        columns.append(torch.stack(list(leaves(embeddings, mask, 0))))
        print(f"{number} of {len(batches)} batches", file=sys.stderr, flush=True)
    order = torch.tensor([i for indices in batches for i in indices])
    return torch.cat(columns, dim=1)[:, order.argsort()]


def first_token(layer: nn.Module, state: Tensor, mask: Tensor | None) -> Tensor:
    """A layer's output [B, 1, E] for the first of the tokens [B, T, E] that it reads."""
    attention, first = layer.attention.self, state[:, :1]
    heads = [
        linear(tokens).unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2)
        for linear, tokens in (
            (attention.query, first),
            (attention.key, state),
            (attention.value, state),
        )
    ]
    seen = None if mask is None else mask[:, :, :1]
    mixed = functional.scaled_dot_product_attention(*heads, attn_mask=seen)
    attended = layer.attention.output(mixed.transpose(1, 2).flatten(2), first)
    return layer.output(layer.intermediate(attended), attended)


def check(run: Run, configs: Sequence[SubnetConfig], found: Mapping[str, Tensor]) -> int:
    """Score some networks as a search does, and count predictions that differ."""
    differing = 0
    for config, rows in zip(configs, zip(*found.values(), strict=True), strict=True):
        for split, row in zip(found, rows, strict=True):
            network = run.context.cut(config)
            again = run.context.workshop.score(network, split=split, deployment=EAGER_FP32)
            differing += int((torch.tensor(again.predictions) != row).sum())
    return differing


def main() -> None:
    """Score, check and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run folder with a supernet")
    parser.add_argument("out", type=Path, help="a JSON file")
    parser.add_argument("--widths", type=float, nargs="+", default=[0.25, 0.5, 1.0])
    parser.add_argument("--num-checked", type=int, default=5)
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    task = run.task
    supernet = Supernet.from_pretrained(run.folder.supernet)
    supernet.model.eval()
    tokenizer = AutoTokenizer.from_pretrained(run.folder.supernet)
    space = Coarse(supernet.shape, tuple(arguments.widths))
    configs = space.every()
    record: dict[str, Any] = {
        "command": command(),
        "request": relative(run.request.to_dict()),
        "environment": Environment.capture().to_dict(),
        "shape": supernet.shape.to_dict(),
        "widths": arguments.widths,
        "seq_len": task.max_length,
        "splits": {},
    }
    found: dict[str, Tensor] = {}
    for name in SPLITS:
        encoded = encode(task.splits[name], tokenizer, max_length=task.max_length)
        with torch.inference_mode():
            found[name] = answers(supernet, encoded, space, task.head.outcomes)
        record["splits"][name] = pack_split(
            {
                config.key: score_predictions(
                    task=task.name,
                    split=name,
                    metrics=(task.metric,),
                    labels=encoded.labels,
                    predictions=tuple(row.tolist()),
                )
                for config, row in zip(configs, found[name], strict=True)
            }
        )
        write_json(arguments.out, record)
    places = random.Random(SEED).sample(range(len(configs)), arguments.num_checked)
    differing = check(
        run, [configs[i] for i in places], {name: rows[places] for name, rows in found.items()}
    )
    checked = {"networks": arguments.num_checked, "differing_predictions": differing}
    write_json(arguments.out, record | {"checked": checked})


if __name__ == "__main__":
    main()
