"""Sub-networks of a fine-tuned model as they are cut, and repaired in closed form.

The run's supernet is the fine-tuned full model, rewired and not trained further. Every pair of a
width and a depth is scored on the report split in two forms: cut, its units chosen by importance
as DynaBERT does; its units chosen by necessity and repaired. The latter is compared in pairs with
the full model and with the former. With `--importance` there is a third: repaired with the units
chosen by importance. Beside each width of full depth there are the networks that are proposed for
its multiply-adds. The repair's texts are training texts without their labels;
`--seed` draws them, so that a call for each seed shows how much the draw changes.

    paretobert train runs/sst2s --model minilm --task SST-2 --data ../shared/data/sst2-sentence \
        --teacher-epochs 3 --teacher-learning-rate 1e-4 --width-epochs 0 --depth-epochs 0
    python benchmarks/closed_form.py runs/sst2s --out benchmarks/closed_form/sst2.json

Times are of `--threads`: `cpu_s` is the processor's, `wall_s` the clock's, which other programs
stretch; all that a network needs is collecting, ordering and its own repairing. The result is
written again after each network, so that one that was stopped shows.
"""

import argparse
import copy
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from outcomes import pack_split
from transformers import AutoTokenizer

from paretobert.dynabert.reconstruction import collect, divergence, repair
from paretobert.dynabert.removal import removals
from paretobert.dynabert.repairs import RepairOptions, repair_texts
from paretobert.dynabert.rewiring import rewire
from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.extraction import extract
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.pipeline.run import Run
from paretobert.profiling.counts import count_macs
from paretobert.profiling.environment import Environment
from paretobert.profiling.workload import Workload
from paretobert.search.candidate import score_record
from paretobert.search.proposals import propose
from paretobert.storage import read_records, write_json
from paretobert.tasks.batches import encode
from paretobert.tasks.comparison import compare
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.scores import Evaluation

WIDTHS = (1.0, 0.75, 0.5, 0.33, 0.25)
DEPTHS = (1.0, 0.75, 0.5)


def timed(make: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a function returns, and the seconds that it took."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    result = make()
    return result, {
        "wall_s": round(time.perf_counter() - wall_s, 2),
        "cpu_s": round(time.process_time() - cpu_s, 2),
    }


def paired(a: Evaluation, b: Evaluation) -> dict[str, Any]:
    """By how much the first scores more, with its interval and the test."""
    return compare(a, b).to_dict()


def main() -> None:
    """Repair every sub-network, score it and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run folder whose supernet is only rewired")
    parser.add_argument("--texts", type=int, default=RepairOptions().num_texts)
    parser.add_argument("--seed", type=int, default=0, help="draws the texts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report-size", type=int, help="score on so many examples at most")
    parser.add_argument("--widths", type=float, nargs="+", default=WIDTHS)
    parser.add_argument("--depths", type=float, nargs="+", default=DEPTHS)
    parser.add_argument("--proposals", type=int, default=4, help="beside each width, at most")
    parser.add_argument("--importance", action="store_true", help="also repair by importance")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    environment = Environment.capture()
    run = Run.open(arguments.run)
    task, supernet = run.task, Supernet.from_pretrained(run.folder.supernet)
    model, shape = supernet.model, supernet.shape
    tokenizer = AutoTokenizer.from_pretrained(run.folder.supernet)
    options = RepairOptions(num_texts=arguments.texts, seed=arguments.seed)
    texts = repair_texts(task.train, tokenizer, options, max_length=task.max_length)
    report = encode(task.report, tokenizer, max_length=task.max_length)
    report = report.first(arguments.report_size or len(report))

    def score(network: Any) -> Evaluation:
        return evaluate(network, report, task=task, split="report")

    def macs(config: SubnetConfig) -> int:
        return sum(count_macs(shape, config, seq_len=length) for length in report.lengths)

    full_config = SubnetConfig.full(shape)
    scores = {"full": score(model)}
    reference, collecting = timed(lambda: collect(model, texts, seed=options.seed))
    ordered = copy.deepcopy(model)
    removed, ordering = timed(lambda: removals(model, reference))
    rewire(ordered, removed.importance)
    record: dict[str, Any] = {
        "command": f"python {' '.join(sys.argv)}",
        "task": task.summary() | {"source": _from_here(task.source)},
        "training": run.request.training.to_dict(),
        "stages": read_records(run.folder.root / "training.jsonl"),
        "environment": environment.to_dict(),
        "threads": arguments.threads,
        "seed": options.seed,
        "texts": len(texts),
        "tokens": len(reference.held_out),
        "collecting": collecting,
        "ordering": ordering,
        "full": score_record(scores["full"]),
        "sub_networks": [],
    }
    losses, rates = removed.losses, Workload.of(shape, texts.lengths).rates
    space = grid(shape, widths=arguments.widths, depths=arguments.depths)
    asked = [(config, width, depth, False) for config, (width, depth, _) in space.items()]
    asked += [
        (proposal, width, depth, True)
        for config, width, depth, _ in asked
        if depth == 1 > width
        for proposal in propose(losses, rates, limit=rates.total(config))[: arguments.proposals]
    ]
    for config, width, depth, proposed in asked:
        if config == full_config:
            continue
        repaired, seconds = timed(lambda config=config: repair(ordered, config, reference))
        found = {
            "cut": score(extract(model, config)),
            "repaired": score(repaired.model),
        }
        if arguments.importance:
            found["repaired_by_importance"] = score(repair(model, config, reference).model)
        scores |= {f"{form} {config.key}": each for form, each in found.items()}
        record["sub_networks"].append(
            {
                "key": config.key,
                "width": width,
                "depth": depth,
                "proposed": proposed,
                "operations_ratio": round(macs(full_config) / macs(config), 3),
                **{form: score_record(each) for form, each in found.items()},
                "loss": paired(scores["full"], found["repaired"]),
                "gain": paired(found["repaired"], found["cut"]),
                **(
                    {"gain_of_necessity": paired(found["repaired"], found[third])}
                    if (third := "repaired_by_importance") in found
                    else {}
                ),
                "divergence": divergence(ordered, repaired.model, reference),
                "repairing": seconds,
                "fits": [asdict(each) for each in repaired.fits],
            }
        )
        record["outcomes"] = pack_split(scores)
        write_json(arguments.out, record)
        values = {form: round(each.value, 3) for form, each in found.items()}
        print(config.key, values, seconds, file=sys.stderr)


def _from_here(source: str) -> str:
    """Where data came from, with its paths as they are seen from here."""
    parts = source.split(", ")
    return ", ".join(os.path.relpath(part) if part.startswith("/") else part for part in parts)


if __name__ == "__main__":
    main()
