"""Which signal should choose a network: its accuracy, or how alike it is to the full model?

    paretobert search runs/sst2s --engine model --trials 100
    python benchmarks/signals.py runs/sst2s --texts ../shared/data/sst2-sentence/test.tsv \
        --out benchmarks/selection/sst2-sentences-signals.json

Every sub-network that a run has scored is run on the search split, on texts without labels and on
the report split. A signal is a mean over examples of what each says of a network: whether its
answer is the label (accuracy), whether it is the full model's (agreement), or minus the
Kullback-Leibler divergence of its probabilities from the full model's (likeness). For budgets of
multiply-adds that are evenly spaced on a logarithmic scale, the best affordable network by each
signal is chosen; what counts is the accuracy of the chosen on the report split, on average over
budgets. The bootstrap draws the examples of all three sets anew, the same for every signal, so
that signals compare in pairs. Kendall's tau of the signal with the report accuracy is within
thirds of the networks by cost.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from collect import command, relative
from numpy.typing import NDArray
from scipy.stats import kendalltau

from paretobert.networks.network import Cut
from paretobert.pipeline.run import Run
from paretobert.profiling.counts import count_macs
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json
from paretobert.tasks.batches import EncodedSplit, encode
from paretobert.tasks.evaluation import predict
from paretobert.tasks.task import TextSplit
from paretobert.tasks.transfer import load_unlabelled

BUDGETS = 40
RESAMPLES = 1000
REGIONS = 3
USUAL = "accuracy, search"

Floats = NDArray[np.float64]


def unlabelled(path: Path, run: Run) -> EncodedSplit:
    """The texts of a file, as examples whose labels mean nothing."""
    texts = load_unlabelled([path], run.task, request=run.request.task).texts
    split = TextSplit(texts.first, texts.second, (0,) * len(texts))
    tokenizer = run.context.workshop.tokenizer(run.context.full)
    return encode(split, tokenizer, max_length=run.task.max_length)


def said(logits: torch.Tensor, full: torch.Tensor, encoded: EncodedSplit) -> dict[str, Floats]:
    """What each example says of a network: (examples,) for each kind of signal."""
    ours, theirs = logits.log_softmax(-1), full.log_softmax(-1)
    answers, labels = logits.argmax(-1), torch.tensor(encoded.labels)
    return {
        "accuracy": (answers == labels).double().numpy(),
        "agreement": (answers == full.argmax(-1)).double().numpy(),
        "likeness": -(theirs.exp() * (theirs - ours)).sum(-1).double().numpy(),
    }


def chosen(signal: Floats, affordable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The best affordable network of each budget, [B]."""
    found: NDArray[np.int64] = np.where(affordable, signal, -np.inf).argmax(1)
    return found


def judged(
    kinds: Mapping[str, Mapping[str, Floats]], macs: Floats, *, seed: int
) -> dict[str, Any]:
    """How good the choices by each signal are.

    Args:
        kinds: By split and kind of signal what each example says of each network: (K, examples).
        macs: Of the networks: (K,).
        seed: Of the bootstrap.
    """
    budgets = np.geomspace(macs.min(), macs.max(), BUDGETS)
    affordable = macs[None] <= budgets[:, None] * (1 + 1e-9)
    regions = np.argsort(np.argsort(macs)) * REGIONS // len(macs)
    signals = [
        (f"{kind}, {split}", split, kind)
        for split in ("search", "texts")
        for kind in kinds[split]
        if (split, kind) != ("texts", "accuracy")
    ]
    generator = np.random.default_rng(seed)
    outcome: dict[str, list[float]] = {name: [] for name, *_ in signals}
    for number in range(1 + RESAMPLES):
        means = {}
        for split, values in kinds.items():
            n = next(iter(values.values())).shape[1]
            weights = (
                generator.multinomial(n, np.full(n, 1 / n)) / n if number else np.full(n, 1 / n)
            )
            means[split] = {kind: each @ weights for kind, each in values.items()}
        for name, split, kind in signals:
            picks = chosen(means[split][kind], affordable)
            outcome[name].append(float(means["report"]["accuracy"][picks].mean()))
    usual = np.array(outcome[USUAL])
    truth = kinds["report"]["accuracy"].mean(1)
    record = {}
    for name, split, kind in signals:
        values = np.array(outcome[name])
        gain = values - usual
        signal = kinds[split][kind].mean(1)
        record[name] = {
            "chosen": round(float(values[0]), 4),
            "gain": {
                "value": round(float(gain[0]), 4),
                "low": round(float(np.quantile(gain[1:], 0.025)), 4),
                "high": round(float(np.quantile(gain[1:], 0.975)), 4),
            },
            "tau": [
                round(float(kendalltau(signal[regions == r], truth[regions == r]).statistic), 3)
                for r in range(REGIONS)
            ],
        }
    return record


def main() -> None:
    """Run every network on the three sets, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    run, environment = Run.open(arguments.run), Environment.capture()
    context, workshop = run.context, run.context.workshop
    networks = [each for each in context.searched().values() if isinstance(each.recipe, Cut)]
    tokenizer = workshop.tokenizer(context.full)
    sets = {
        name: encode(run.task.splits[name], tokenizer, max_length=run.task.max_length)
        for name in ("search", "report")
    } | {"texts": unlabelled(arguments.texts, run)}
    full = {name: predict(workshop.build(context.full), each) for name, each in sets.items()}
    kinds: dict[str, dict[str, list[Floats]]] = {name: {} for name in sets}
    for number, network in enumerate(networks, start=1):
        model = workshop.build(network)
        for name, each in sets.items():
            for kind, values in said(predict(model, each), full[name], each).items():
                kinds[name].setdefault(kind, []).append(values)
        print(f"{number} of {len(networks)}", flush=True)
    macs = [
        count_macs(context.shape, each.config, seq_len=run.request.protocol.seq_len)
        for each in networks
        if each.config is not None
    ]
    stacked = {
        name: {kind: np.array(rows) for kind, rows in values.items()}
        for name, values in kinds.items()
    }
    record = {
        "command": command(),
        "task": relative(run.task.summary()),
        "training": run.request.training.to_dict(),
        "environment": environment.to_dict(),
        "networks": len(networks),
        "texts": len(sets["texts"]),
        "budgets": BUDGETS,
        "resamples": RESAMPLES,
        "signals": judged(stacked, np.array(macs, dtype=float), seed=0),
    }
    write_json(arguments.out, record)
    print(record["signals"])


if __name__ == "__main__":
    main()
