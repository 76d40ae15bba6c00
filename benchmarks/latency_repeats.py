"""Whether latencies repeat on this machine: networks against themselves, and whole profiles.

    python benchmarks/latency_repeats.py same runs/docs
    python benchmarks/latency_repeats.py profile runs/docs
    python benchmarks/latency_repeats.py profile runs/docs

`same` measures ten sub-networks of a run's supernet, each loaded twice under two names, in ten
sessions by the default protocol: of 100 comparisons at least 95 must be ties. `profile` measures
the whole grid once and is called twice, an hour apart: at least 90 % of the ratios' intervals must
overlap. Everything is added to `benchmarks/latency_repeats.json`, with the value of every process,
and sessions that are there are not measured again.
"""

import argparse
import tempfile
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from progress import say
from transformers import PreTrainedModel

from paretobert.deploy.artefact import write
from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.intervals import Interval
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.profiling.fresh import FreshProcesses, Subject, Written
from paretobert.profiling.measuring import measure
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Session, estimate
from paretobert.storage import read_json, write_json

OUT = Path("benchmarks/latency_repeats.json")
WIDTHS, DEPTHS = (1.0, 0.75, 0.5, 0.25), (1.0, 0.75, 0.5)
NUM_SESSIONS, NUM_PAIRS = 10, 10


def session_of(
    model: PreTrainedModel, networks: Mapping[str, SubnetConfig], protocol: LatencyProtocol
) -> tuple[Session, float]:
    """Measure networks by name, the first as sentinel; with the seconds that it took."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = {
            config: Path(scratch) / config.key for config in dict.fromkeys(networks.values())
        }
        for config, folder in folders.items():
            write(extract(model, config), protocol.deployment, folder)
        subjects: dict[str, Subject] = {
            name: Written(folders[config]) for name, config in networks.items()
        }
        sentinel = next(iter(networks))
        fresh = FreshProcesses(
            subjects,
            protocol,
            sentinel=sentinel,
        )
        start_s = time.perf_counter()
        session = measure(
            fresh,
            protocol,
            networks=networks,
            sentinel=sentinel,
            name=uuid.uuid4().hex,
            progress=say,
        )
        return session, time.perf_counter() - start_s


def compared_with_themselves(model: PreTrainedModel, seed: int) -> dict[str, Any]:
    """One session of `NUM_PAIRS` comparisons."""
    shape = shape_of(model.config)
    full = SubnetConfig.full(shape)
    others = islice(grid(shape, widths=WIDTHS, depths=DEPTHS), 1, 1 + NUM_PAIRS)
    pairs = {config.key: (f"{config.key} a", f"{config.key} b") for config in others}
    names = {name: SubnetConfig.from_key(key) for key, pair in pairs.items() for name in pair}
    session, wall_s = session_of(model, {"full": full, **names}, LatencyProtocol(seed=seed))
    return {
        **_conditions(session, wall_s),
        "seed": seed,
        "process_ratios": {
            key: [entry.ratio(*pair) for entry in session.processes] for key, pair in pairs.items()
        },
    }


def profiled(model: PreTrainedModel) -> dict[str, Any]:
    """One whole profile of the grid."""
    configs = grid(shape_of(model.config), widths=WIDTHS, depths=DEPTHS)
    session, wall_s = session_of(
        model, {config.key: config for config in configs}, LatencyProtocol()
    )
    return {
        **_conditions(session, wall_s),
        "full_ms": [1000 * entry.time_s(session.sentinel) for entry in session.processes],
        "process_ratios": {
            name: list(session[name].process_ratios)
            for name in session.networks
            if name != session.sentinel
        },
    }


def ties(record: Mapping[str, Any]) -> tuple[int, int]:
    """Comparisons of networks with themselves that are ties, and how many there are."""
    found = [
        estimate(ratios).holds(1) is True
        for session in record["same"]
        for ratios in session["process_ratios"].values()
    ]
    return sum(found), len(found)


def overlapping(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[int, int]:
    """Networks whose ratios' intervals overlap in two profiles, and how many there are."""
    found = [
        _overlap(estimate(ratios), estimate(other["process_ratios"][key]))
        for key, ratios in one["process_ratios"].items()
    ]
    return sum(found), len(found)


def summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the series show."""
    num_ties, num_pairs = ties(record)
    found: dict[str, Any] = {"ties": num_ties, "comparisons": num_pairs}
    if len(record["profiles"]) > 1:
        first, last = record["profiles"][0], record["profiles"][-1]
        found["overlapping"], found["networks"] = overlapping(first, last)
        apart_s = datetime.fromisoformat(last["time"]) - datetime.fromisoformat(first["time"])
        found["minutes_apart"] = round(apart_s.total_seconds() / 60)
    return found


def main() -> None:
    """Measure what is asked for, write, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("series", choices=("same", "profile"))
    parser.add_argument("run", type=Path)
    parser.add_argument("--sessions", type=int, default=NUM_SESSIONS)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    model = Supernet.from_pretrained(arguments.run / "supernet").model
    known = {"command": "python benchmarks/latency_repeats.py", "same": [], "profiles": []}
    record = read_json(arguments.out) if arguments.out.exists() else known
    if arguments.series == "profile":
        record["profiles"].append(profiled(model))
        write_json(arguments.out, record | {"summary": summary(record)})
    for seed in range(len(record["same"]), arguments.sessions):
        if arguments.series == "same":
            record["same"].append(compared_with_themselves(model, seed))
            write_json(arguments.out, record | {"summary": summary(record)})
    print(summary(record))


def _conditions(session: Session, wall_s: float) -> dict[str, Any]:
    """When and how a session was measured; `timed_s` is the part that loads and warms nothing."""
    visits = [v for entry in session.rounds for v in (*entry.visits, *entry.discarded)]
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "protocol": session.protocol.title,
        "environment": session.environment.to_dict(),
        "noise": session.noise.to_dict(),
        "wall_s": round(wall_s, 1),
        "timed_s": round(sum(sum(visit.times_s) for visit in visits), 1),
    }


def _overlap(one: Interval, other: Interval) -> bool:
    return one.low <= other.high and other.low <= one.high


if __name__ == "__main__":
    main()
