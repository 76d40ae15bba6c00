"""How many networks a minute some workers score together, and what sharing a study costs.

    python benchmarks/many_workers.py runs/docs --storage postgresql://tests@/postgres?host=/tmp/pg

Workers are processes of one machine that share a study and a ledger, once as files and once in a
PostgreSQL server, which must be running. They score random layerwise sub-networks of a run's
supernet. Three times: really, with one thread each; by waiting `WAIT_S` seconds instead, as if
each worker had a machine to itself; by not waiting at all, which leaves what sharing costs.
Workers are loaded before the clock starts. Processor time is the workers' own, and the database's.
Every network that was scored is counted, so that one scored twice would show.

Scoring costs the same whatever the storage, so it is done with files only. What a longer study
costs a worker is measured on studies of many trials, entered at once: opening it, a look at it,
and what an engine takes to propose.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from sqlalchemy import create_engine, text

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.dynabert.options import TrainingOptions
from paretobert.encoders.checkpoints import find_checkpoint
from paretobert.encoders.families import shape_of
from paretobert.networks.network import Cut, Network
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.pipeline.context import Context
from paretobert.pipeline.folder import RunFolder, claim
from paretobert.pipeline.request import RunRequest
from paretobert.pipeline.scores import search_value
from paretobert.profiling.environment import Environment
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.search.cost_model import CostModel
from paretobert.search.engines.registry import engine_named
from paretobert.search.options import EngineName, SearchOptions
from paretobert.search.problem import Observation, Problem
from paretobert.search.study import run_study
from paretobert.storage import read_json, write_json
from paretobert.tasks.loading import TaskRequest, load_task
from paretobert.tasks.scores import score_predictions

WAIT_S = 1.0
REALLY = "really"
TRIALS = {REALLY: 8, "by waiting": 12, "not at all": 40}
WORKERS = (1, 2, 4)
LENGTHS = (1_000, 10_000, 100_000)
ENGINES: Mapping[EngineName, int] = {"random": 100_000, "nsga2": 1_000, "model": 1_000}
"""Engines whose own time is measured, each on studies up to so many trials."""


class Job:
    """What a worker does.

    Attributes:
        context: The run that is searched.
        problem: What is searched.
    """

    def __init__(self, folder: Path) -> None:
        """Open the run."""
        self.context = Context.open(RunFolder(folder))
        space = self.context.space
        costs = CostModel(self.context.shape, ["num_flops"], seq_len=128)
        self.problem = Problem(space, cache(costs.of), ("score", "num_flops"))

    def run(self, how: str, *, study: str, trials: int, engine: str = "random") -> None:
        """Score until the study has so many trials; say each network that is scored."""
        run_study(
            engine_named(engine, self.problem),
            num_trials=trials,
            evaluate=lambda config: self._score(config, how),
            storage=self.context.request.storage or self.context.folder.study,
            name=study,
            asked={},
        )

    def _score(self, config: SubnetConfig, how: str) -> float:
        print(config.key, flush=True)
        network = self.context.cut(config)
        if how == REALLY:
            return search_value(self.context, network, deployment=EAGER_FP32)
        ledger, labels = self.context.ledger, tuple(number % 16 for number in range(602))
        if how == "by waiting":
            time.sleep(WAIT_S)
        ledger.evaluations(split="search", deployment=EAGER_FP32, network=network.id)
        right = hash(config) % 600
        guesses = tuple(y if place < right else y + 1 for place, y in enumerate(labels))
        found = score_predictions(
            task="x", split="search", metrics=("accuracy",), labels=labels, predictions=guesses
        )
        ledger.add_network(network)
        ledger.add_evaluation(network.id, found, deployment=EAGER_FP32)
        return found.value


def work(folder: Path, how: str, study: str, trials: int) -> None:
    """Load, say so, wait for a word, score, and say what that took."""
    job = Job(folder)
    if how == REALLY:
        import torch

        torch.set_num_threads(1)
        job.context.workshop.score(job.context.full, split="search", deployment=EAGER_FP32)
    job.run(how, study=f"opened before {os.getpid()}", trials=0)
    print("ready", flush=True)
    sys.stdin.readline()
    before_s = time.process_time()
    job.run(how, study=study, trials=trials)
    print("done", time.process_time() - before_s, flush=True)


def made(folder: Path, source: Path, storage: str | None) -> None:
    """A run of a trained supernet, to be searched layerwise."""
    request = RunRequest(
        model="minilm",
        fingerprint=find_checkpoint("minilm").fingerprint,
        task=TaskRequest("stdlib-docs"),
        training=TrainingOptions(
            recipe="sandwich", space="layerwise", widths=(1.0, 0.5, 0.25), depths=(1.0, 0.5)
        ),
        protocol=LatencyProtocol(),
        search=SearchOptions(),
        storage=storage,
    )
    claim(RunFolder(folder), request.to_dict(), task=load_task(request.task).summary())
    (folder / "supernet").symlink_to((source / "supernet").resolve())
    context, shape = Context(RunFolder(folder), request), shape_in(source / "supernet")
    full = SubnetConfig.full(shape)
    context.ledger.add_network(Network(full.key, Cut(shape, full)))
    context.ledger.close()


@cache
def shape_in(supernet: Path) -> EncoderShape:
    """The sizes of a supernet."""
    from transformers import AutoConfig

    return shape_of(AutoConfig.from_pretrained(supernet))


def together(folder: Path, how: str, workers: int) -> dict[str, Any]:
    """Let so many workers share a new study."""
    study, trials = uuid.uuid4().hex, TRIALS[how]
    command = [sys.executable, __file__, str(folder), "--worker", how, study, str(trials)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
    start_s = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0].splitlines() for process in processes]
    wall_s = time.perf_counter() - start_s
    assert not any(process.returncode for process in processes)
    scored = [line for lines in said for line in lines[:-1]]
    assert len(scored) == len(set(scored)) == trials
    cpu_s = sum(float(lines[-1].split()[1]) for lines in said)
    return {
        "scored": how,
        "workers": workers,
        "networks": trials,
        "seconds": round(wall_s, 2),
        "per_minute": round(60 * trials / wall_s, 1),
        "worker_cpu_s_per_network": round(cpu_s / trials, 4),
    }


def postgres_cpu_s(data: Path) -> float:
    """Processor seconds of a server and of all its processes, ended ones too.

    A process that ends while others are read is counted by the server, which is read last.
    """
    server = int((data / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    ticks = 0
    for pid in children:
        with suppress(FileNotFoundError, ProcessLookupError):
            ticks += sum(_ticks(pid)[:2])
    return (ticks + sum(_ticks(str(server)))) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: str) -> list[int]:
    """A process's own in user and system mode, then those of its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return list(map(int, fields[11:15]))


def database_bytes(storage: str) -> dict[str, int]:
    """The bytes of each table with its indices."""
    with create_engine(storage).connect() as connection:
        rows = connection.execute(
            text(
                "SELECT relname, pg_total_relation_size(oid) AS bytes FROM pg_class "
                "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
        ).all()
    return {row.relname: row.bytes for row in rows}


def entered(storage: str, number: int, job: Job) -> str:
    """A study of so many trials, entered at once; its name."""
    study = uuid.uuid4().hex
    job.run("not at all", study=study, trials=1)
    generator, known = Random(number), set(job.problem.landmarks)
    while len(known) < number:
        known.add(job.problem.space.draw(generator))
    rows: list[dict[str, Any]] = [
        {
            "number": place,
            "key": json.dumps(config.key),
            "score": generator.random(),
            "flops": job.problem.cost(config).values["num_flops"],
        }
        for place, config in enumerate(known, start=1)
    ]
    with create_engine(storage).begin() as connection:
        name = {"name": study}
        place = connection.execute(
            text("SELECT study_id FROM studies WHERE study_name = :name"), name
        ).scalar_one()
        first = connection.execute(text("SELECT max(trial_id) FROM trials")).scalar_one()
        for row in rows:
            row |= {"study": place, "trial": first + row["number"]}
        for statement in (
            "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, "
            "datetime_complete) VALUES (:trial, :number, :study, 'COMPLETE', now(), now())",
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
            "VALUES (:trial, 'key', :key)",
            "INSERT INTO trial_values (trial_id, objective, value, value_type) "
            "VALUES (:trial, 0, :score, 'FINITE'), (:trial, 1, :flops, 'FINITE')",
        ):
            connection.execute(text(statement), rows)
        connection.execute(text("SELECT setval('trials_trial_id_seq', max(trial_id)) FROM trials"))
    return study


def long_study(storage: str, number: int, job: Job) -> dict[str, Any]:
    """What a study of so many trials costs a worker."""
    from paretobert.search.journal import opened_study, quiet_optuna
    from paretobert.search.liveness import joined
    from paretobert.search.study import Shared

    name = entered(storage, number, job)
    with quiet_optuna():
        start_s = time.perf_counter()
        with (
            opened_study(
                storage, name=name, asked={}, directions=["maximize", "minimize"]
            ) as study,
            joined(study, storage) as liveness,
        ):
            shared = Shared(study, job.problem, liveness)
            shared.look()
            open_s = time.perf_counter() - start_s
            looks_s = []
            for _ in range(5):
                start_s = time.perf_counter()
                shared.look()
                looks_s.append(time.perf_counter() - start_s)
            observed: list[Observation] = shared.observed
    proposals_s: dict[str, list[float]] = {}
    for engine, most in ENGINES.items():
        proposer = engine_named(engine, job.problem)
        for _ in range(2 if number <= most else 0):
            start_s = time.perf_counter()
            proposer.propose(observed)
            seconds = round(time.perf_counter() - start_s, 4)
            proposals_s.setdefault(engine, []).append(seconds)
    return {
        "trials": len(observed),
        "open_s": round(open_s, 2),
        "look_s": round(median(looks_s), 4),
        "first_and_second_proposal_s": proposals_s,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run with a trained supernet of stdlib-docs")
    parser.add_argument("--storage", help="the URL of a PostgreSQL server")
    parser.add_argument("--data", type=Path, help="that server's data folder")
    parser.add_argument("--parts", nargs="+", default=["scoring", "sharing", "long_studies"])
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/many_workers.json"))
    arguments = parser.parse_args()
    if arguments.worker:
        how, study, trials = arguments.worker
        work(arguments.run, how, study, int(trials))
        return
    known = read_json(arguments.out) if arguments.out.exists() else {}
    parts = {"scoring": scoring, "sharing": sharing, "long_studies": long_studies}
    for part in arguments.parts:
        environment = Environment.capture().to_dict()
        known[part] = {
            "command": "python " + " ".join(sys.argv),
            "cores": len(os.sched_getaffinity(0)),
            "environment": environment,
            **parts[part](arguments.run, arguments.storage, arguments.data),
        }
        write_json(arguments.out, known)


def scoring(source: Path, storage: str, data: Path) -> dict[str, Any]:
    """What workers really score together, with files."""
    found = []
    for workers in WORKERS:
        with tempfile.TemporaryDirectory() as scratch:
            made(Path(scratch) / "run", source, None)
            found.append({"storage": "files", **together(Path(scratch) / "run", REALLY, workers)})
        print(found[-1], file=sys.stderr)
    size = sum(each.stat().st_size for each in (source / "supernet").iterdir())
    return {"supernet_bytes": size, "scored": found}


def sharing(source: Path, storage: str, data: Path) -> dict[str, Any]:
    """What sharing costs workers and the database."""
    found, networks, before = [], 0, database_bytes(storage)
    for name, place in {"postgresql": storage, "files": None}.items():
        for how, workers in product(("by waiting", "not at all"), WORKERS):
            with tempfile.TemporaryDirectory() as scratch:
                made(Path(scratch) / "run", source, place)
                server_s = postgres_cpu_s(data)
                entry = {"storage": name, **together(Path(scratch) / "run", how, workers)}
            if place:
                time.sleep(0.5)
                server_s = postgres_cpu_s(data) - server_s
                entry["database_cpu_s_per_network"] = round(server_s / TRIALS[how], 4)
                networks += TRIALS[how]
            found.append(entry)
            print(entry, file=sys.stderr)
    after = database_bytes(storage)
    grown = {table: after[table] - before.get(table, 0) for table in after}
    return {
        "wait_s": WAIT_S,
        "database_bytes_per_network": {
            table: round(size / networks) for table, size in grown.items() if size
        },
        "scored": found,
    }


def long_studies(source: Path, storage: str, data: Path) -> dict[str, Any]:
    """What studies of many trials cost a worker."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        made(folder, source, storage)
        for number in LENGTHS:
            found.append(long_study(storage, number, Job(folder)))
            print(found[-1], file=sys.stderr)
    return {"studies": found}


if __name__ == "__main__":
    main()
