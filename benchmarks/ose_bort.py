"""Bort's search run again: what the algorithm picks of the published 300 architectures.

Nobody has published such a run. Here candidates start from fresh weights and learn masked words of
IMDB reviews and SQuAD paragraphs (64 tokens of each, batches of 8) by SGD, and the error is their
loss on 64 held-out texts. The paper's steps s, texts and batches are not known; ours are what a
processor core does in half an hour, and the result says so. For every seed: the pick by
multiply-adds and by measured latency, with the candidates' own vocabulary and with Bort's; where
the published architecture stands, as released and as printed; and, of a few named candidates, how
the errors fall with more steps. The algorithm runs by multiply-adds, and what it needs by latency
is trained as well (`BY_LATENCY`); other epsilons are answered where all that they need is known.

A call goes on where an earlier one stopped; without an end it collects what is there. What a
folder lacks can be taken over from an earlier result:

    python benchmarks/ose_bort.py runs/ose --data ../shared/data
    python benchmarks/ose_bort.py runs/ose --collect benchmarks/ose/bort.json
    python benchmarks/ose_bort.py runs/more --only 3 1 2 --earlier benchmarks/ose/bort.json
    python benchmarks/ose_bort.py runs/more --collect FILE --earlier benchmarks/ose/bort.json
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paretobert.bort.architecture import Architecture, multiply_adds, parameters
from paretobert.bort.latency import Latencies, latencies_of, to_measure
from paretobert.bort.options import ErrorOptions, SurrogateError
from paretobert.bort.published import PRINTED, RELEASED, ROBERTA_TABLES
from paretobert.bort.space import published_space
from paretobert.pipeline.contest import Architectures, OseRequest
from paretobert.pipeline.ledger import Ledger
from paretobert.pipeline.steps.ose import extract_architecture
from paretobert.profiling.environment import Environment
from paretobert.search.ose import (
    Point,
    Size,
    blocks_of,
    coefficient,
    maximum_point,
    ranked,
    to_train,
)
from paretobert.storage import read_json, write_json, write_text

REVIEWS, TOKENS, BATCH, HELD_OUT, RATE = 3000, 64, 8, 64, 0.03
SHOWN, MEASURE_S = 5, 60.0
WHATEVER_IS_KNOWN = 0.0

ALL = 1e-9
"""An epsilon that leaves nobody out."""

BY_LATENCY = "latency, own vocabulary"
BY_LATENCY_AS_PUBLISHED = "latency, Bort's vocabulary"
"""What else is asked of each arm: the one with its epsilon, the other with one half."""

SMALLEST = Architecture(2, 4, 512, 256)
BASE = Architecture(12, 12, 768, 3072)
NAMED = (SMALLEST, PRINTED, RELEASED)
"""Candidates whose errors are followed over more steps."""

NAMED_STEPS = (5, 20, 80)


@dataclass(frozen=True, slots=True)
class Arm:
    """One run of the algorithm.

    Attributes:
        epsilon: How far W may be below the best.
        steps: Training steps of a candidate.
        seed: Of everything that is drawn.
    """

    epsilon: float
    steps: int
    seed: int


ARMS = (
    Arm(0.1, 5, 0),
    Arm(0.1, 5, 1),
    Arm(0.1, 5, 2),
    Arm(0.1, 20, 0),
)
"""In the order in which they are run."""


def texts(data: Path, into: Path) -> Path:
    """IMDB reviews and SQuAD paragraphs, one a line."""
    rows = (data / "imdb" / "train-subset.tsv").read_text(encoding="utf-8").split("\n")[1:]
    found = [row.split("\t")[3].replace("<br />", " ") for row in rows[:REVIEWS]]
    articles = json.loads((data / "squad" / "dev-v1.1.json").read_text(encoding="utf-8"))["data"]
    found += [each["context"] for article in articles for each in article["paragraphs"]]
    write_text(into, "\n".join(" ".join(text.split()) for text in found) + "\n")
    return into


def request_of(folder: Path, arm: Arm, *, space: str = "bort") -> OseRequest:
    """What an arm asks."""
    return OseRequest(
        space=space,
        epsilon=arm.epsilon,
        error=ErrorOptions(
            steps=arm.steps,
            error="mlm",
            rates=(RATE,),
            batch_size=BATCH,
            examples=HELD_OUT,
            seed=arm.seed,
        ),
        model="minilm",
        texts=(folder / "texts.txt",),
        seq_len=TOKENS,
        measure_s=MEASURE_S,
    )


def space_of(folder: Path, name: str, candidates: Sequence[Architecture]) -> str:
    """A file with some candidates, and the largest of all, as a set of their own."""
    rows = [
        (each.layers, each.heads, each.hidden_size, each.ffn_size)
        for each in dict.fromkeys([*candidates, published_space()[-1]])
    ]
    path = folder / f"{name}.csv"
    write_text(path, "\n".join(["D,A,H,I", *(",".join(map(str, row)) for row in rows)]))
    return str(path)


def run(folder: Path, data: Path, only: Sequence[int], earlier: Path | None) -> None:
    """Find the errors of the named, latencies, then the errors of each arm.

    Args:
        folder: Keeps all that is found.
        data: Where the texts are.
        only: The places of the arms that are run alone; everything where none is given.
        earlier: A result whose latencies count where none are measured here.
    """
    if not (folder / "texts.txt").exists():
        texts(data, folder / "texts.txt")
    if not only:
        named = space_of(folder, "named", NAMED)
        for steps in NAMED_STEPS:
            print(f"named candidates: {steps} steps", file=sys.stderr)
            trained(folder, Arm(ALL, steps, 0), named)
        contest_of(folder).points()
    for place in only or range(len(ARMS)):
        print(ARMS[place], file=sys.stderr)
        trained(folder, ARMS[place], "bort")
        latencies = latencies_known(contest_of(folder), earlier)
        if latencies is not None:
            needed = needed_by_latency(folder, ARMS[place], latencies)
            print(f"by latency: {len(needed)} further candidates", file=sys.stderr)
            if needed:
                trained(
                    folder,
                    replace(ARMS[place], epsilon=ALL),
                    space_of(folder, f"by-latency-{place}", needed),
                )


def trained(folder: Path, arm: Arm, space: str) -> None:
    """Train what an arm still lacks of a set."""
    extract_architecture(folder / "errors", request_of(folder, arm, space=space))


def needed_by_latency(folder: Path, arm: Arm, latencies: Latencies) -> list[Architecture]:
    """The candidates whose error the algorithm needs by latency, and an arm does not know."""
    contest = contest_of(folder)
    known = known_errors(contest, folder, arm)
    points = surrogates(contest, latencies)
    asked = {BY_LATENCY: arm.epsilon, BY_LATENCY_AS_PUBLISHED: 0.5}
    names = dict.fromkeys(
        stand.name
        for name, epsilon in asked.items()
        for stand in needed_of(points[name], epsilon)
        if stand.name not in known
    )
    return [Architecture.from_key(name) for name in names]


def needed_of(points: Sequence[Point], epsilon: float) -> list[Point]:
    """The candidates that the algorithm trains."""
    return to_train(blocks_of(points, epsilon), maximum_point(points))


def contest_of(folder: Path) -> Architectures:
    """The published candidates with what the ledger knows of them."""
    contest = Architectures(replace(request_of(folder, ARMS[0]), speed="latency"))
    contest.ledger = Ledger.open(folder / "errors" / "ledger.db", run="ose")
    return contest


def known_errors(contest: Architectures, folder: Path, arm: Arm) -> dict[str, SurrogateError]:
    """The errors that are known of an arm's steps and seed, by the candidate's key."""
    options = request_of(folder, arm).error
    labels = {network.id: name for name, network in contest.networks.items()}
    conditions = contest.conditions(options, RATE, dtype="bfloat16")
    found = contest.ledger.errors(conditions=conditions)
    return {labels[each]: error for each, error in found.items() if each in labels}


def pick(
    points: Sequence[Point], errors: Mapping[str, SurrogateError], epsilon: float
) -> dict[str, Any] | None:
    """What the algorithm returns; None where an error that it needs is missing.

    With `WHATEVER_IS_KNOWN` for epsilon it is the best of all candidates whose error is known.
    """
    maximum, whatever = maximum_point(points), epsilon == WHATEVER_IS_KNOWN
    if whatever:
        needed = [point for point in points if point.name in errors]
    else:
        needed = needed_of(points, epsilon)
    if not needed or any(point.name not in errors for point in needed):
        return None
    found = ranked(
        [
            coefficient(point, maximum, error=errors[point.name].loss, theta=RATE)
            for point in needed
        ]
    )
    named = {}
    for label, architecture in (("released", RELEASED), ("printed", PRINTED)):
        point = next(each for each in points if each.name == architecture.key)
        best = found[0]
        saved = coefficient(point, maximum).saved
        known = errors.get(point.name)
        named[label] = {
            "saved": round(saved, 4),
            "error": None if known is None else round(known.loss, 4),
            "w": None if known is None else round(saved / known.loss, 5),
            "tried": point in needed,
            "wins_with_an_error_below": round(saved / best.value, 4),
        }
    return {
        "epsilon": None if whatever else epsilon,
        "trained": len(needed),
        "seconds": round(sum(errors[point.name].seconds for point in needed), 1),
        "best": [
            {
                "name": entry.point.name,
                "smaller": round(entry.smaller, 4),
                "faster": round(entry.faster, 4),
                "error": round(entry.error or 0.0, 4),
                "w": round(entry.value, 5),
            }
            for entry in found[:SHOWN]
        ],
        "published": named,
    }


def measured(contest: Architectures) -> Latencies | None:
    """The latency of every candidate, from the last session; None where there was none yet."""
    sessions = contest.ledger.sessions(purpose="profile")
    if not sessions:
        return None
    names = {network.id: name for name, network in contest.networks.items()}
    known = {
        Architecture.from_key(names[subject.network]): latency.time_ms.value
        for subject, latency in sessions[0].latencies.items()
    }
    return latencies_of(published_space(), known, seq_len=TOKENS)


def latencies_known(contest: Architectures, earlier: Path | None) -> Latencies | None:
    """The same, or else what an earlier result states as measured."""
    here = measured(contest)
    if here is not None or earlier is None:
        return here
    stated = read_json(earlier)["latency"]["measured_ms"]
    known = {Architecture.from_key(name): float(ms) for name, ms in stated.items()}
    return latencies_of(published_space(), known, seq_len=TOKENS)


def surrogates(contest: Architectures, latencies: Latencies | None) -> dict[str, list[Point]]:
    """The candidates' sizes by both speeds, as far as measured, and both vocabularies."""
    counts = {each.key: multiply_adds(each, seq_len=TOKENS) for each in published_space()}
    speeds: dict[str, Mapping[str, float]] = {"macs": counts}
    if latencies is not None:
        speeds["latency"] = {each.key: ms for each, ms in latencies.milliseconds.items()}
    return {
        f"{speed}, {vocabulary} vocabulary": [
            Point(each.key, Size(parameters(each, tables), inference[each.key]))
            for each in published_space()
        ]
        for vocabulary, tables in (("own", contest.tables), ("Bort's", ROBERTA_TABLES))
        for speed, inference in speeds.items()
    }


def cost_of_epsilon(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Blocks and trainings by epsilon: what is left of |Xi|, and of its multiply-adds."""
    maximum = maximum_point(points)
    whole = sum(point.size.inference for point in points)
    rows = []
    for epsilon in (1e-9, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.9, 1.0):
        blocks = blocks_of(points, epsilon)
        needed = to_train(blocks, maximum)
        rows.append(
            {
                "epsilon": epsilon,
                "blocks": len(blocks),
                "trained": len(needed),
                "share_of_training": round(sum(p.size.inference for p in needed) / whole, 4),
            }
        )
    return rows


def collect(folder: Path, out: Path, earlier: Path | None) -> None:
    """Write what is known.

    Args:
        folder: Where it was found.
        out: The file.
        earlier: A result that what is not known here is taken over from.
    """
    contest = contest_of(folder)
    latencies = latencies_known(contest, earlier)
    sizes = surrogates(contest, latencies)
    record: dict[str, Any] = {
        "command": f"python {' '.join(sys.argv)}",
        "environment": Environment.capture().to_dict(),
        "setting": {
            "texts": f"{REVIEWS} IMDB reviews and the SQuAD dev paragraphs, {TOKENS} tokens each",
            "batch_size": BATCH,
            "held_out_texts": HELD_OUT,
            "learning_rate": RATE,
            "weight_clip": ErrorOptions(steps=1).weight_clip,
            "tables": contest.tables.to_dict(),
        },
        "cost_of_epsilon": cost_of_epsilon(sizes["macs, own vocabulary"]),
        "latency": None if latencies is None else latency_record(latencies),
        "arms": [],
        "named": {},
    }
    for arm in ARMS:
        errors = known_errors(contest, folder, arm)
        picks = {
            name: [
                found
                for epsilon in sorted({WHATEVER_IS_KNOWN, arm.epsilon, 0.2, 0.3, 0.5})
                if (found := pick(points, errors, epsilon)) is not None
            ]
            for name, points in sizes.items()
        }
        record["arms"].append(
            {"steps": arm.steps, "seed": arm.seed, "known_errors": len(errors), "picks": picks}
        )
    for steps in NAMED_STEPS:
        errors = known_errors(contest, folder, Arm(ALL, steps, 0))
        record["named"][str(steps)] = {
            each.key: {
                "error": round(errors[each.key].loss, 4),
                "seconds": round(errors[each.key].seconds, 1),
            }
            for each in NAMED
            if each.key in errors
        }
    record["errors"] = {
        f"{arm.steps} steps, seed {arm.seed}": {
            name: round(error.loss, 4)
            for name, error in sorted(known_errors(contest, folder, arm).items())
        }
        for arm in ARMS
    }
    if earlier is not None:
        take_over(record, read_json(earlier))
    write_json(out, record)


def take_over(record: dict[str, Any], earlier: Mapping[str, Any]) -> None:
    """Fill in what only an earlier result knows, and say which arms are from where."""
    known = {(arm["steps"], arm["seed"]): arm for arm in earlier["arms"]}
    commit = earlier["environment"]["commit"]
    for place, arm in enumerate(record["arms"]):
        there = known.get((arm["steps"], arm["seed"]))
        if there is not None and there["known_errors"] > arm["known_errors"]:
            record["arms"][place] = {"commit": commit} | there
            name = f"{arm['steps']} steps, seed {arm['seed']}"
            record["errors"][name] = earlier["errors"][name]
    record["named"] = {
        steps: earlier["named"].get(steps, {}) | found for steps, found in record["named"].items()
    }


def latency_record(latencies: Latencies) -> dict[str, Any]:
    """What was measured, and how well the line through it predicts what is left out."""
    ms = latencies.milliseconds
    wanted = to_measure(published_space(), seq_len=TOKENS)
    return {
        "measured_ms": {each.key: round(ms[each], 3) for each in wanted},
        "mean_error_of_predictions": None
        if latencies.error is None
        else round(latencies.error, 4),
        **{
            f"{name}_ms": round(ms[each], 3)
            for name, each in (("released", RELEASED), ("printed", PRINTED), ("base_shape", BASE))
        },
    }


def main() -> None:
    """Run, or collect."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", type=int, nargs="*", default=[], help="places of arms")
    parser.add_argument("--collect", type=Path)
    parser.add_argument("--earlier", type=Path)
    arguments = parser.parse_args()
    if arguments.collect is None:
        run(arguments.folder, arguments.data, arguments.only, arguments.earlier)
    else:
        collect(arguments.folder, arguments.collect, arguments.earlier)


if __name__ == "__main__":
    main()
