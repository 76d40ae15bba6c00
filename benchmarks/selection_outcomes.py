"""Score a run's grid and random sub-networks on both splits, and keep every example's outcome.

A random sub-network keeps two or more layers, any of them, and in each its own quarters of the
heads and of the neurons. What is kept of each network and example is one byte each: the predicted
class, the divergence KL(full || network) and the negative log-likelihood of the label, the latter
two rounded to a sixteenth of an octave (`codes`). Products of matrices are in bfloat16 where the
machine has it. The file is written again after every twenty networks, so that scoring may be
stopped. `selection.py` reads it.

    paretobert train runs/select --model minilm --task stdlib-docs --recipe sandwich \
        --teacher-epochs 6 --width-epochs 4 --depth-epochs 1 --learning-rate 3e-4
    python benchmarks/selection_outcomes.py runs/select benchmarks/selection/stdlib-docs.npz \
        --num-random 60
"""

import argparse
import io
import json
import random
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from collect import relative
from selection import SCALE, STEPS
from transformers import AutoTokenizer

from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.extraction import extract
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import WIDTHS, SubnetConfig
from paretobert.pipeline.run import Run
from paretobert.profiling.counts import count_macs, count_parameters
from paretobert.profiling.environment import Environment
from paretobert.storage import write_bytes
from paretobert.tasks.batches import encode
from paretobert.tasks.evaluation import predict
from paretobert.training.precision import autocast, matmul_dtype

SEED = 0
FEWEST_LAYERS = 2


def codes(values: torch.Tensor) -> np.ndarray:
    """Values from 0 to about 50 on a logarithmic scale of bytes."""
    return (STEPS * (SCALE * values.clamp(min=0)).log1p() / np.log(2)).round().byte().numpy()


def random_config(shape: EncoderShape, generator: random.Random) -> SubnetConfig:
    """Any two or more layers, each with sizes of its own."""
    kept = generator.randint(FEWEST_LAYERS, shape.num_layers)
    layers = tuple(sorted(generator.sample(range(shape.num_layers), kept)))
    return SubnetConfig(
        layers,
        heads=tuple(round(shape.num_heads * generator.choice(WIDTHS)) for _ in layers),
        neurons=tuple(round(shape.ffn_size * generator.choice(WIDTHS)) for _ in layers),
    )


def chosen_configs(run: Run, shape: EncoderShape, num_random: int) -> list[SubnetConfig]:
    """The run's grid, then random sub-networks, none twice; the full model is the first."""
    configs = dict.fromkeys(run.space.landmarks)
    generator, wanted = random.Random(SEED), len(configs) + num_random
    while len(configs) < wanted:
        configs.setdefault(random_config(shape, generator))
    return list(configs)


def main() -> None:
    """Score and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run folder with a supernet")
    parser.add_argument("out", type=Path, help="an .npz file")
    parser.add_argument("--num-random", type=int, default=389)
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    task = run.task
    supernet = Supernet.from_pretrained(run.folder.supernet)
    tokenizer = AutoTokenizer.from_pretrained(run.folder.supernet)
    encoded = {
        name: encode(task.splits[name], tokenizer, max_length=task.max_length)
        for name in ("search", "report")
    }
    configs = chosen_configs(run, supernet.shape, arguments.num_random)
    about = {
        "command": f"python {' '.join(sys.argv)}",
        "request": relative(run.manifest["request"]),
        "task": task.summary(),
        "num_grid": len(configs) - arguments.num_random,
        "seq_len": task.max_length,
        "environment": Environment.capture().to_dict(),
    }
    fixed = {f"{name}_labels": split.labels for name, split in encoded.items()}
    cpu = torch.device("cpu")
    columns: dict[str, list[np.ndarray]] = defaultdict(list)
    full: dict[str, torch.Tensor] = {}
    for i, config in enumerate(configs):
        model = extract(supernet.model, config)
        for name, split in encoded.items():
            with autocast(cpu, matmul_dtype("auto", cpu)):
                logs = predict(model, split, batch_size=64).log_softmax(-1)
            full.setdefault(name, logs)
            labels = torch.tensor(split.labels)[:, None]
            divergence = (full[name].exp() * (full[name] - logs)).sum(-1)
            columns[f"{name}_predictions"].append(logs.argmax(-1).byte().numpy())
            columns[f"{name}_divergence"].append(codes(divergence))
            columns[f"{name}_nll"].append(codes(-logs.gather(1, labels)[:, 0]))
        if i % 20 == 11 or i + 1 == len(configs):
            print(f"{i + 1} of {len(configs)}", file=sys.stderr, flush=True)
            write(arguments.out, about, supernet.shape, configs[: i + 1], columns | fixed)


def write(
    path: Path,
    about: dict[str, Any],
    shape: EncoderShape,
    configs: list[SubnetConfig],
    columns: dict[str, Any],
) -> None:
    """Write what is scored so far."""
    seq_len = about["seq_len"]
    file = io.BytesIO()
    np.savez_compressed(
        file,
        about=np.array(json.dumps(about)),
        keys=np.array([config.key for config in configs]),
        num_macs=np.array([count_macs(shape, c, seq_len=seq_len) for c in configs]),
        num_params=np.array([count_parameters(shape, c) for c in configs]),
        **{name: np.array(column, dtype=np.uint8) for name, column in columns.items()},
    )
    write_bytes(path, file.getvalue())


if __name__ == "__main__":
    main()
