"""What a supernet trained for the layerwise space gains and loses against the grid's.

    paretobert train runs/docs --model minilm --task stdlib-docs --recipe sandwich \
        --teacher-epochs 6 --width-epochs 2 --depth-epochs 3 --learning-rate 3e-4
    paretobert train runs/docs-layerwise --model runs/docs/teacher --task stdlib-docs \
        --space layerwise --recipe sandwich --teacher-epochs 0 --width-epochs 0 --depth-epochs 5 \
        --learning-rate 3e-4
    python benchmarks/spaces.py runs/docs runs/docs-layerwise \
        --out benchmarks/spaces/stdlib-docs.json

Both supernets come from one teacher, with the same numbers of steps and of sub-networks in each;
the layerwise one spends stage 1's on stage 2. A `--note` says what else the numbers rest on.
On the report split they are scored at the landmarks, at random networks of the layerwise space,
and along a line of uniform networks: every layer at one width after another, then, at the least
width, fewer and fewer layers. Each random network is compared with the point of this line that
has as many multiply-adds: per example, between the two networks of the line that cost less and
more, linearly in the logarithm of the multiply-adds. The interval of the mean difference is the
percentile bootstrap's over examples and random networks, both drawn again.

`benchmarks/spaces/stdlib-docs-any-layers.json` is of a layerwise space in which the last layer
could be dropped too, and says what that cost.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from collect import relative
from numpy.typing import NDArray
from outcomes import pack_split
from transformers import AutoTokenizer

from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.extraction import extract
from paretobert.errors import InputError
from paretobert.intervals import Interval
from paretobert.networks.shape import EncoderShape
from paretobert.networks.space import Space
from paretobert.networks.spaces import Layerwise
from paretobert.networks.subnet import SubnetConfig, kept_layers
from paretobert.pipeline.run import Run
from paretobert.profiling.counts import count_macs
from paretobert.profiling.environment import Environment
from paretobert.storage import read_records, write_json
from paretobert.tasks.batches import EncodedSplit, encode
from paretobert.tasks.comparison import compare
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.scores import Evaluation

NUM_DRAWS = 30
WIDTHS = (1, 2, 3, 4, 6, 9, 12)
"""Twelfths of the full width along the line of uniform networks."""

RESAMPLES = 10_000

Scores = Mapping[SubnetConfig, Evaluation]


def random_networks(space: Space, *, number: int, seed: int) -> list[SubnetConfig]:
    """Different random networks of a space, cheapest first."""
    generator = Random(f"{seed}/report")
    chosen: dict[SubnetConfig, None] = {}
    while len(chosen) < number:
        chosen[space.draw(generator)] = None
    return sorted(chosen, key=space.share)


def uniform_line(shape: EncoderShape) -> list[SubnetConfig]:
    """Uniform networks from the narrowest of one layer to the full model, each costing more."""
    steps = [(1, layers) for layers in range(1, shape.num_layers)]
    steps += [(width, shape.num_layers) for width in WIDTHS]
    line = []
    for width, number in steps:
        layers = kept_layers(shape.num_layers, number / shape.num_layers)
        heads = max(1, round(shape.num_heads * width / 12))
        neurons = round(shape.ffn_size * width / 12)
        line.append(SubnetConfig(layers, (heads,) * number, (neurons,) * number))
    return line


def on_line(macs: int, line: Sequence[tuple[int, NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Which examples the point of a line with so many multiply-adds has right, as shares.

    Args:
        macs: Multiply-adds.
        line: Multiply-adds, increasing, and outcomes of its networks, [n].
    """
    costs = np.log([cost for cost, _ in line])
    place = float(np.interp(math.log(macs), costs, np.arange(len(line))))
    left = min(int(place), len(line) - 2)
    share = place - left
    return (1 - share) * line[left][1] + share * line[left + 1][1]


def mean_over_both(differences: NDArray[np.float64], *, seed: int = 0) -> Interval:
    """The mean of a table [networks, n] with its bootstrap interval, rows and columns drawn again.

    Args:
        differences: One row for each network, one column for each example.
        seed: Of the bootstrap.
    """
    generator = np.random.default_rng(seed)
    rows, columns = (
        generator.multinomial(size, np.full(size, 1 / size), size=RESAMPLES) / size
        for size in differences.shape
    )
    means = np.einsum("br,rn,bn->b", rows, differences, columns, optimize=True)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(
        float(differences.mean()), float(low), float(high), differences.shape[1], "examples"
    )


def differences_of(
    draws: Sequence[SubnetConfig],
    line: Sequence[SubnetConfig],
    scores: Scores,
    macs: Mapping[SubnetConfig, int],
) -> NDArray[np.float64]:
    """By how much each random network is right more often than the line: [draws, n]."""
    ordered = sorted(line, key=macs.__getitem__)
    outcomes = [(macs[c], scores[c].correct.astype(np.float64)) for c in ordered]
    return np.stack([scores[c].correct - on_line(macs[c], outcomes) for c in draws])


def scored(
    supernet: Supernet, configs: Sequence[SubnetConfig], report: EncodedSplit, run: Run
) -> dict[SubnetConfig, Evaluation]:
    """Score sub-networks on the report split, each as a dense network."""
    found = {}
    for config in configs:
        dense = extract(supernet.model, config)
        found[config] = evaluate(dense, report, task=run.task, split="report")
        print(config.key, round(found[config].value, 3), file=sys.stderr)
    return found


def main() -> None:
    """Score both supernets and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("grid", type=Path, help="a run folder trained for the grid")
    parser.add_argument("layerwise", type=Path, help="one trained for the layerwise space")
    parser.add_argument("--draws", type=int, default=NUM_DRAWS)
    parser.add_argument("--note", help="what the numbers rest on beside the record")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    environment = Environment.capture()
    runs = {"grid": Run.open(arguments.grid), "layerwise": Run.open(arguments.layerwise)}
    teachers = [run.folder.teacher / "model.safetensors" for run in runs.values()]
    if teachers[0].read_bytes() != teachers[1].read_bytes():
        raise InputError(f"{teachers[0]} and {teachers[1]} are not the same teacher.")
    supernets = {name: Supernet.from_pretrained(run.folder.supernet) for name, run in runs.items()}
    shape, task = supernets["grid"].shape, runs["grid"].task
    landmarks = list(supernets["grid"].space.landmarks)
    draws = random_networks(Layerwise(shape), number=arguments.draws, seed=0)
    line = uniform_line(shape)
    configs = list(dict.fromkeys([*landmarks, *line, *draws]))
    report = encode(
        task.report,
        AutoTokenizer.from_pretrained(runs["grid"].folder.teacher),
        max_length=task.max_length,
    )
    macs = {
        config: sum(count_macs(shape, config, seq_len=length) for length in report.lengths)
        for config in configs
    }
    scores = {
        name: scored(supernet, configs, report, runs[name]) for name, supernet in supernets.items()
    }
    least = min(macs[config] for config in landmarks)
    groups = {
        "all": draws,
        "no cheaper than the cheapest landmark": [c for c in draws if macs[c] >= least],
    }
    arms: dict[str, Any] = {}
    for name, run in runs.items():
        arms[name] = {
            "training": run.request.training.to_dict(),
            "stages": read_records(run.folder.root / "training.jsonl"),
            "against_the_uniform_line": [
                {
                    "networks": group,
                    "number": len(members),
                    "difference": mean_over_both(
                        differences_of(members, line, scores[name], macs)
                    ).to_dict(),
                }
                for group, members in groups.items()
                if members
            ],
            "outcomes": pack_split({c.key: entry for c, entry in scores[name].items()}),
        }
    ours, theirs = scores["layerwise"], scores["grid"]
    of_landmarks = np.stack([1.0 * ours[c].correct - theirs[c].correct for c in landmarks])
    record: dict[str, Any] = {
        "command": f"python {' '.join(sys.argv)}",
        "note": arguments.note,
        "task": relative(task.summary()),
        "environment": environment.to_dict(),
        "landmarks": {
            "difference": mean_over_both(of_landmarks).to_dict(),
            "pairs": {c.key: compare(ours[c], theirs[c]).to_dict() for c in landmarks},
        },
        "draws": [c.key for c in draws],
        "line": [c.key for c in line],
        "operations_ratio": {
            c.key: round(macs[c] / macs[supernets["grid"].space.full], 4) for c in configs
        },
        "scores": {
            c.key: {name: round(entry[c].value, 4) for name, entry in scores.items()}
            for c in configs
        },
        "arms": arms,
    }
    write_json(arguments.out, record)
    for name, arm in arms.items():
        for entry in arm["against_the_uniform_line"]:
            print(name, entry)
    print(record["landmarks"]["difference"])


if __name__ == "__main__":
    main()
