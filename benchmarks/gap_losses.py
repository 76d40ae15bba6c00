"""Do the losses of dropped layers that are known beforehand say which layers to drop?

    python benchmarks/gap_losses.py runs/cf-qnli-0 --out benchmarks/gap_losses/qnli.json

Of a run of the recipe closed-form every choice of layers that keeps the last one, at full width,
is repaired and run on held-out texts. Its divergence is the squared distance of its logits from
the full model's, over the variance of those. It is held against the estimate that adds up what
each gap between kept layers loses, of the supernet's folder. For each number of layers the choice
of least estimate is named beside the best one.
"""

import argparse
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

from collect import command, relative
from scipy.stats import kendalltau

from paretobert.dynabert.losses import read_losses
from paretobert.dynabert.reconstruction import collect, divergence, repair
from paretobert.dynabert.repairs import read_options, repair_texts
from paretobert.dynabert.supernet import Supernet
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.run import Run
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json


def choices(num_layers: int) -> list[tuple[int, ...]]:
    """Every choice of fewer layers with the last one among them, the most layers first."""
    last = num_layers - 1
    return [
        (*others, last)
        for number in range(last - 1, -1, -1)
        for others in combinations(range(last), number)
    ]


def judged(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How well estimates rank divergences, and what they choose for each number of layers."""
    estimates, divergences = ([row[name] for row in rows] for name in ("estimate", "divergence"))
    picks = []
    for number, same in groupby(rows, key=lambda row: len(row["layers"])):
        known = list(same)
        pick = min(known, key=lambda row: row["estimate"])
        best = min(known, key=lambda row: row["divergence"])
        picks.append(
            {
                "num_layers": number,
                "choices": len(known),
                "pick": pick["layers"],
                "divergence": pick["divergence"],
                "best": best["layers"],
                "best_divergence": best["divergence"],
                "rank": sorted(row["divergence"] for row in known).index(pick["divergence"]) + 1,
            }
        )
    return {"tau": float(kendalltau(estimates, divergences).statistic), "picks": picks}


def main() -> None:
    """Repair every choice, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    run, environment = Run.open(arguments.run), Environment.capture()
    context, supernet = run.context, run.folder.supernet
    losses, options = read_losses(supernet), read_options(supernet)
    if losses is None or options is None:
        raise SystemExit(f"{arguments.run} is no run of the recipe closed-form")
    model = Supernet.from_pretrained(supernet).model
    texts = repair_texts(
        run.task.train,
        context.workshop.tokenizer(context.full),
        options,
        max_length=run.task.max_length,
    )
    reference = collect(model, texts, seed=options.seed)
    heads, neurons = context.shape.num_heads, context.shape.ffn_size
    rows = []
    for layers in choices(context.shape.num_layers):
        number = len(layers)
        config = SubnetConfig(layers, (heads,) * number, (neurons,) * number)
        dense = repair(model, config, reference).model
        rows.append(
            {
                "layers": list(layers),
                "estimate": losses.estimate(config),
                "divergence": divergence(model, dense, reference),
            }
        )
        print(rows[-1], flush=True)
    record = {
        "command": command(),
        "task": relative(run.task.summary()),
        "environment": environment.to_dict(),
        "texts": len(texts),
        "choices": rows,
        **judged(rows),
    }
    write_json(arguments.out, record)
    print(record["tau"], record["picks"])


if __name__ == "__main__":
    main()
