"""What searching the layerwise space gains over the grid at equal multiply-adds.

    paretobert train runs/docs --model minilm --task stdlib-docs --recipe sandwich \
        --teacher-epochs 6 --width-epochs 2 --depth-epochs 3 --learning-rate 3e-4
    paretobert train runs/docs-layerwise --model runs/docs/teacher --task stdlib-docs \
        --space layerwise --recipe sandwich --teacher-epochs 0 --width-epochs 0 --depth-epochs 5 \
        --learning-rate 3e-4
    python benchmarks/layerwise_search.py runs/docs runs/docs-layerwise \
        --out benchmarks/search/stdlib-docs-layerwise.json

Both supernets come from one teacher, with equally many steps (`benchmarks/spaces.py`). Each engine
searches the layerwise one with a few seeds and equally many evaluations on the search split, for
scores and FLOPs. Of each front the members within the grid's costs are scored on the report split
and compared with the grid: the front by search score of the grid's own supernet, at as many
multiply-adds, linearly in their logarithm between its members. The grid's networks are the first
that engines score here too, so `landmarks` says what the layerwise supernet's own grid gives.

The interval of a mean difference is the percentile bootstrap's over examples and members. It is
of one training of each supernet.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from collect import command, relative
from spaces import mean_over_both, on_line
from transformers import AutoTokenizer

from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.extraction import extract
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.run import Run
from paretobert.profiling.counts import count_macs
from paretobert.profiling.environment import Environment
from paretobert.search.cost_model import CostModel, cache
from paretobert.search.engines.registry import engine_named
from paretobert.search.problem import Observation, Problem
from paretobert.storage import read_records, write_json
from paretobert.tasks.batches import encode
from paretobert.tasks.evaluation import evaluate
from paretobert.tasks.scores import Evaluation

ENGINES = ("model", "nsga2", "random")


class Scorer:
    """Scores the sub-networks of one run's supernet, each once on each split."""

    def __init__(self, run: Run) -> None:
        """Load the supernet and tokenise the splits."""
        tokenizer = AutoTokenizer.from_pretrained(run.folder.teacher)
        self.supernet = Supernet.from_pretrained(run.folder.supernet)
        self._task = run.task
        self._splits = {
            name: encode(run.task.splits[name], tokenizer, max_length=run.task.max_length)
            for name in ("search", "report")
        }
        self._known: dict[tuple[str, SubnetConfig], Evaluation] = {}

    @property
    def report_lengths(self) -> Sequence[int]:
        """Tokens of the report split's texts."""
        return self._splits["report"].lengths

    def __call__(self, config: SubnetConfig, split: str) -> Evaluation:
        """The score of a sub-network, as a dense network."""
        if (split, config) not in self._known:
            dense = extract(self.supernet.model, config)
            self._known[split, config] = evaluate(
                dense, self._splits[split], task=self._task, split=split
            )
        return self._known[split, config]


def problem_of(scorer: Scorer, *, seq_len: int, seed: int) -> Problem:
    """What is searched: scores and FLOPs of a supernet's space."""
    space = scorer.supernet.space
    costs = CostModel(space.shape, ["num_flops"], seq_len=seq_len)
    return Problem(space, cache(costs.of), seed=seed)


def searched(scorer: Scorer, problem: Problem, engine: str, number: int) -> list[Observation]:
    """What an engine scores."""
    proposer, observed = engine_named(engine, problem), []
    while len(observed) < number and (config := proposer.propose(observed)) is not None:
        observed.append(Observation(config, scorer(config, "search").value))
    return observed


def gain(
    members: Sequence[SubnetConfig],
    ours: Scorer,
    line: Mapping[SubnetConfig, Evaluation],
    macs: Mapping[SubnetConfig, int],
) -> dict[str, Any]:
    """By how much networks score more on the report split than the line at their cost."""
    scores = {config: ours(config, "report") for config in members}
    grid = sorted(line, key=macs.__getitem__)
    points = [(macs[config], line[config].correct.astype(np.float64)) for config in grid]
    rows = np.stack([scores[c].correct - on_line(macs[c], points) for c in members])
    return {
        "members": {
            config.key: {
                "search": round(ours(config, "search").value, 4),
                "report": round(scores[config].value, 4),
                "operations_ratio": round(macs[config] / macs[grid[-1]], 4),
                "gain": round(float(row.mean()), 4),
            }
            for config, row in zip(members, rows, strict=True)
        },
        "gain": mean_over_both(rows).to_dict(),
    }


def main() -> None:
    """Search with every engine and seed, and write the result after each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("grid", type=Path, help="a run folder trained for the grid")
    parser.add_argument("layerwise", type=Path, help="one trained for the layerwise space")
    parser.add_argument("--engines", nargs="+", default=ENGINES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    runs = {"grid": Run.open(arguments.grid), "layerwise": Run.open(arguments.layerwise)}
    teachers = [run.folder.teacher / "model.safetensors" for run in runs.values()]
    if teachers[0].read_bytes() != teachers[1].read_bytes():
        raise InputError(f"{teachers[0]} and {teachers[1]} are not the same teacher.")
    theirs, ours = Scorer(runs["grid"]), Scorer(runs["layerwise"])
    seq_len = round(float(np.mean(ours.report_lengths)))
    shape = ours.supernet.shape

    def macs_of(config: SubnetConfig) -> int:
        return sum(count_macs(shape, config, seq_len=length) for length in ours.report_lengths)

    landmarks = list(theirs.supernet.space.landmarks)
    problem = problem_of(ours, seq_len=seq_len, seed=0)
    grid_front = problem.front(
        [Observation(config, theirs(config, "search").value) for config in landmarks]
    )
    line = {seen.config: theirs(seen.config, "report") for seen in grid_front}
    macs = {config: macs_of(config) for config in line}
    least = min(macs.values())
    record: dict[str, Any] = {
        "command": command(),
        "task": relative(runs["grid"].task.summary()),
        "environment": Environment.capture().to_dict(),
        "training": {
            name: {
                "options": run.request.training.to_dict(),
                "stages": read_records(run.folder.root / "training.jsonl"),
            }
            for name, run in runs.items()
        },
        "evaluations": arguments.evaluations,
        "grid": {
            config.key: {
                "search": round(theirs(config, "search").value, 4),
                "report": round(line[config].value, 4),
            }
            for config in line
        },
        "searches": [],
    }
    own = problem.front(
        [Observation(config, ours(config, "search").value) for config in landmarks]
    )
    macs |= {seen.config: macs_of(seen.config) for seen in own}
    record["landmarks"] = gain([seen.config for seen in own], ours, line, macs)
    print("landmarks", record["landmarks"]["gain"], flush=True)
    for seed in range(arguments.seeds):
        for engine in arguments.engines:
            asked = problem_of(ours, seq_len=seq_len, seed=seed)
            observed = searched(ours, asked, engine, arguments.evaluations)
            front = [seen.config for seen in asked.front(observed)]
            macs |= {config: macs_of(config) for config in front}
            members = [config for config in front if macs[config] >= least]
            row = {"engine": engine, "seed": seed, "of_the_front": len(front)}
            record["searches"].append(row | gain(members, ours, line, macs))
            write_json(arguments.out, record)
            print(engine, seed, len(members), record["searches"][-1]["gain"], flush=True)


if __name__ == "__main__":
    main()
