"""Word-vector elimination against its baselines, on one task.

Compared on the report split, and by measured latency at batch 1 and batch 32 on the task's
lengths:

(a) the full model with every input padded to N tokens, as in the PoWER-BERT paper;
(b) the full model with inputs padded to the longest of their batch, batches sorted by length;
(c) DynaBERT: its supernet's front, its best sub-network that is no slower than the PoWER-BERT
    network, and its fastest that scores within a point of the full model;
(d) the same of a supernet with elastic widths, depths and tokens, among all sub-networks and among
    those that keep every word-vector; full depth is also tried with PoWER-BERT's retention
    configuration, as it is;
(e) the static strategies Head-WS and Rand-WS with the PoWER-BERT network's configuration,
    re-trained as it was;
(f) PoWER-BERT with a word-vector's attention to itself counted in its score.

(c) and (d) need supernets and are left out where none is given. Everything is chosen on the search
split and by the latency of eager fp32, for batch 1 among all sub-networks and for batch 32, which
takes long to measure, among the fronts of batch 1 and of multiply-adds. What is trained is kept
beside the run's PoWER-BERT network.

    python benchmarks/powerbert.py runs/qnli --plain runs/qnli --joint runs/qnli-tokens --static

measures in eager fp32. The same command with `--add onnxruntime-fp32` measures the networks of the
result so far as another runtime takes them, and adds that to it. Every speed-up is kept with its
value in each round. `powerbert_tables.py` makes table and picture of a result.
"""

import argparse
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from powerbert_tables import DIAGONAL, FULL, POWER, render
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from paretobert.deploy.artefact import write
from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.elimination import run_layers, significance_in
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import family_of, shape_of
from paretobert.networks.network import Cut, Network, identifier, stored_identity
from paretobert.networks.retention import Retention
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.pipeline.run import Run
from paretobert.powerbert.options import PowerOptions
from paretobert.powerbert.strategies import Strategy, static_chooser
from paretobert.powerbert.training import read_retention, train_power
from paretobert.profiling.counts import count_macs, count_parameters
from paretobert.profiling.fresh import FreshProcesses, Subject, Written
from paretobert.profiling.inputs import histogram_lengths
from paretobert.profiling.measuring import measure
from paretobert.profiling.protocol import LatencyProtocol
from paretobert.profiling.statistics import Session
from paretobert.profiling.table import LatencySummary, Profile
from paretobert.search.candidate import Candidate, score_record
from paretobert.search.front import ParetoFront
from paretobert.storage import folder, read_json, write_json
from paretobert.tasks.batches import Batch as TorchBatch
from paretobert.tasks.batches import EncodedSplit, encode
from paretobert.tasks.comparison import compare
from paretobert.tasks.evaluation import evaluate, evaluate_deployed
from paretobert.tasks.scores import Evaluation
from paretobert.tasks.task import Task, TextSplit
from paretobert.training.distillation import prediction_loss
from paretobert.training.loop import TrainingProgress, made, run_stage
from paretobert.training.precision import autocast, matmul_dtype

POINT = 0.01
PADDED = "full, padded"

SAME = {
    **dict.fromkeys(("value", "low", "high"), 0.0),
    "tie": True,
    "p_value": 1.0,
    "detectable": 0.0,
    "discordant": [0, 0],
}
"""What a network loses against itself: nothing, without uncertainty."""


class Bench:
    """One task's networks, their scores and their latencies."""

    def __init__(self, run: Run, *, threads: int, report_size: int | None) -> None:
        """Open a run with its fine-tuned full model; report on a random part of the split."""
        self.task = _reporting_on(run.task, report_size)
        self.teacher = run.folder.root / "teacher"
        self.tokenizer = AutoTokenizer.from_pretrained(self.teacher)
        self.full = AutoModelForSequenceClassification.from_pretrained(self.teacher).eval()
        self.shape = shape_of(self.full.config)
        self.threads = threads
        self.networks: dict[str, PreTrainedModel] = {FULL: self.full}
        self._encoded: dict[str, EncodedSplit] = {}

    def score(self, name: str, split: str) -> Evaluation:
        """Score one of the networks."""
        return evaluate(self.networks[name], self.encoded(split), task=self.task, split=split)

    def encoded(self, split: str) -> EncodedSplit:
        """A split, tokenised once."""
        if split not in self._encoded:
            self._encoded[split] = encode(
                self.task.splits[split], self.tokenizer, max_length=self.task.max_length
            )
        return self._encoded[split]

    def candidate(
        self,
        name: str,
        config: SubnetConfig,
        evaluation: Evaluation,
        session: Session | None = None,
    ) -> Candidate:
        """A sub-network with its operations over all of the task's texts, and its latency."""
        lengths = self.encoded("search").lengths
        profile = Profile(
            Network(name, Cut(self.shape, config)),
            count_parameters(self.shape, config),
            sum(count_macs(self.shape, config, seq_len=n) for n in lengths),
            seq_len=max(lengths),
            latency=None if session is None else LatencySummary.from_measurement(session[name]),
        )
        return Candidate(profile, EAGER_FP32, evaluation)

    def latencies(
        self,
        names: Sequence[str],
        *,
        batch_size: int,
        measure_s: float,
        deployment: Deployment = EAGER_FP32,
    ) -> Session:
        """Measure networks on the task's lengths, the full model also padded to N."""
        lengths = histogram_lengths(self.encoded("search").lengths, batch_size=batch_size)
        protocol = LatencyProtocol(
            runtime=deployment.runtime,
            precision=deployment.precision,
            batch_size=batch_size,
            threads=self.threads,
            time_budget_s=measure_s,
            warmup_group=1,
            warmup_max_runs=4,
            visit_discards=0,
            visit_min_runs=2,
            visit_min_s=0.5,
        ).with_lengths(lengths)
        subjects: dict[str, Subject] = {}
        with tempfile.TemporaryDirectory() as scratch:
            for place, name in enumerate(names):
                written = Path(scratch) / str(place)
                write(self.networks[name], deployment, written)
                subjects[name] = Written(written)
                if name == FULL:
                    subjects[PADDED] = Written(written, padded_to=self.task.max_length)
            fresh = FreshProcesses(
                subjects,
                protocol,
                sentinel=FULL,
            )
            return measure(
                fresh,
                protocol,
                networks=subjects,
                sentinel=FULL,
                name=uuid.uuid4().hex,
            )


def static_network(
    bench: Bench,
    power_folder: Path,
    retention: Retention,
    strategy: Strategy,
    options: PowerOptions,
) -> Callable[[TorchBatch], Tensor]:
    """Re-train the searched weights with a static strategy, as PoWER-BERT's step 3 does."""

    def logits(model: PreTrainedModel, batch: TorchBatch) -> Tensor:
        family = family_of(model)
        mask = batch["attention_mask"]
        choose = static_chooser(
            strategy,
            retention.amounts,
            retention.unit,
            mask,
            seed=options.seed,
            num_positions=bench.shape.num_positions,
        )
        hidden = family.embed(model, batch)
        for state, _ in run_layers(family, family.layer_list(model), hidden, mask, choose):
            hidden = state
        return family.classify(model, hidden)

    def retrained() -> tuple[PreTrainedModel, Any]:
        model = AutoModelForSequenceClassification.from_pretrained(power_folder / "searched")
        dtype = matmul_dtype(options.precision, torch.device("cpu"))

        def gradients(batch: TorchBatch, step: int) -> float:
            with autocast(torch.device("cpu"), dtype):
                found = logits(model, batch)
            loss = prediction_loss(found, batch["labels"], head=bench.task.head)
            loss.backward()
            return loss.item()

        with tempfile.TemporaryDirectory() as scratch, significance_in(model, diagonal=False):
            run_stage(
                strategy,
                model,
                bench.encoded("train"),
                gradients,
                epochs=options.retrain_epochs,
                pace=options,
                device=torch.device("cpu"),
                dtype=dtype,
                state_file=Path(scratch) / "state",
                log=Path(scratch) / "log",
                progress=_say,
            )
        return model, bench.tokenizer

    trained = made(power_folder / f"static-{strategy}", retrained)
    model = AutoModelForSequenceClassification.from_pretrained(trained).eval()

    def scored(batch: TorchBatch) -> Tensor:
        with significance_in(model, diagonal=False), torch.inference_mode():
            return logits(model, batch)

    return scored


def main() -> None:
    """Train what is missing, score, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="the run with the fine-tuned full model")
    parser.add_argument("--plain", type=Path, help="a run whose supernet keeps all tokens")
    parser.add_argument("--joint", type=Path, help="a run whose supernet has elastic tokens")
    parser.add_argument("--target-speedup", type=float, default=2.0)
    parser.add_argument("--search-epochs", type=int, default=2)
    parser.add_argument("--retrain-epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=5e-5, help="of PoWER-BERT")
    parser.add_argument("--widths", type=float, nargs="+", default=[1.0, 0.75, 0.5, 0.25])
    parser.add_argument("--depths", type=float, nargs="+", default=[1.0, 0.75, 0.5])
    parser.add_argument("--measure-s", type=float, default=120.0, help="seconds for each batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--static", action="store_true", help="re-train Head-WS and Rand-WS too")
    parser.add_argument(
        "--diagonal", action="store_true", help="train PoWER-BERT with the diagonal counted too"
    )
    parser.add_argument("--report-size", type=int, help="report on so many random examples")
    parser.add_argument("--title", help="of table and picture; the task's name if left out")
    parser.add_argument("--train-only", action="store_true", help="stop before measuring")
    parser.add_argument("--add", metavar="DEPLOYMENT", help="add a runtime to an earlier result")
    parser.add_argument("--out", type=Path, help="benchmarks/powerbert/<run> if left out")
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    bench = Bench(run, threads=arguments.threads, report_size=arguments.report_size)
    options = PowerOptions(
        target_speedup=arguments.target_speedup,
        search_epochs=arguments.search_epochs,
        retrain_epochs=arguments.retrain_epochs,
        learning_rate=arguments.learning_rate,
    )
    power_folder = _power(bench, run, options)
    powers = {POWER: power_folder}
    if arguments.diagonal:
        powers[DIAGONAL] = _power(bench, run, replace(options, diagonal="include"))
    retention = read_retention(power_folder)
    strategies: tuple[Strategy, ...] = ("head", "random") if arguments.static else ()
    statics = {
        strategy: static_network(bench, power_folder, retention, strategy, options)
        for strategy in strategies
    }
    if arguments.train_only:
        return
    for name, trained in powers.items():
        network = AutoModelForSequenceClassification.from_pretrained(trained / "network")
        bench.networks[name] = network.eval()
    widths, depths = tuple(arguments.widths), tuple(arguments.depths)
    dynabert = _subnets(bench, arguments.plain, "DynaBERT", widths=widths, depths=depths)
    elastic = _subnets(
        bench, arguments.joint, "joint", widths=widths, depths=depths, retention=retention
    )
    out = arguments.out or Path("benchmarks/powerbert") / run.folder.root.name
    if arguments.add:
        result = read_json(out / "result.json")
        _add(result, bench, Deployment.from_slug(arguments.add), measure_s=arguments.measure_s)
        _write(result, out, power_folder)
        return
    names = list(bench.networks)
    scores = {name: bench.score(name, "search") for name in names}
    sessions = {1: bench.latencies(names, batch_size=1, measure_s=arguments.measure_s)}
    families = {
        "(c) DynaBERT": dynabert,
        "(d) joint": elastic,
        "(d) joint, every word-vector": {
            name: config for name, config in elastic.items() if config.tokens is None
        },
    }
    roles = {FULL: ["(b) dynamic padding"], POWER: ["PoWER-BERT"]}
    if DIAGONAL in powers:
        roles[DIAGONAL] = ["(f) diagonal counted"]
    _choose(roles, bench, families, scores, sessions[1])
    light = [
        name
        for subnets in families.values()
        for name in _front(
            [bench.candidate(name, config, scores[name]) for name, config in subnets.items()],
            "num_flops",
        )
    ]
    several = list(dict.fromkeys([*roles, *light]))
    sessions[32] = bench.latencies(several, batch_size=32, measure_s=arguments.measure_s)
    _choose(roles, bench, families, scores, sessions[32])
    reports = {name: bench.score(name, "report") for name in roles}
    result = {
        "command": " ".join(("python benchmarks/powerbert.py", *sys.argv[1:])),
        "title": arguments.title or bench.task.name,
        "task": bench.task.summary() | {"source": _from_here(bench.task.source)},
        "trained": {
            path.name: _training(Run.open(path))
            for path in dict.fromkeys([arguments.run, arguments.plain, arguments.joint])
            if path is not None
        },
        "retention": {**retention.to_dict(), "options": options.to_dict()},
        "retention_with_diagonal": read_retention(powers[DIAGONAL]).to_dict()
        if DIAGONAL in powers
        else None,
        "environment": sessions[1].environment.to_dict(),
        "protocols": [session.protocol.to_dict() for session in sessions.values()],
        "sessions": {f"batch {size}": _session(session) for size, session in sessions.items()},
        "padded": {"N": bench.task.max_length}
        | {f"batch {size}": _ratio(session, PADDED, FULL) for size, session in sessions.items()},
        "networks": [
            _row(name, chosen_as, scores, reports, sessions) for name, chosen_as in roles.items()
        ],
        "static": _static_rows(bench, statics, reports),
    }
    _write(result, out, power_folder)


def _power(bench: Bench, run: Run, options: PowerOptions) -> Path:
    """The folder with a PoWER-BERT network of the run, trained first where it is missing."""
    trained = run.folder.network(identifier(stored_identity("powerbert", options.to_dict())))
    train_power(
        teacher=bench.teacher, task=bench.task, folder=trained, options=options, progress=_say
    )
    return trained


def _write(result: dict[str, Any], out: Path, power_folder: Path) -> None:
    with folder(out) as into:
        write_json(into / "result.json", result)
        render(result, into)
        (into / "retention.json").write_bytes((power_folder / "retention.json").read_bytes())


def _add(
    result: dict[str, Any], bench: Bench, deployment: Deployment, *, measure_s: float
) -> None:
    """Measure a result's networks in another deployment."""
    rows = result["networks"]
    names = [row["network"] for row in rows]
    sessions = {
        size: bench.latencies(names, batch_size=size, measure_s=measure_s, deployment=deployment)
        for size in (1, 32)
    }
    for row in rows:
        for size, session in sessions.items():
            row["speedup"][f"{deployment.title}, batch {size}"] = _ratio(
                session, FULL, row["network"]
            )
    result["protocols"] += [session.protocol.to_dict() for session in sessions.values()]
    for size, session in sessions.items():
        column = f"{deployment.title}, batch {size}"
        result["padded"][column] = _ratio(session, PADDED, FULL)
        result.setdefault("sessions", {})[column] = _session(session)


def _subnets(
    bench: Bench,
    path: Path | None,
    label: str,
    *,
    widths: tuple[float, ...],
    depths: tuple[float, ...],
    retention: Retention | None = None,
) -> dict[str, SubnetConfig]:
    """Add the sub-networks of a run's supernet, at full depth also with a given retention."""
    if path is None:
        return {}
    run = Run.open(path)
    supernet = Supernet.from_pretrained(run.folder.supernet)
    configs = list(grid(bench.shape, widths=widths, depths=depths, tokens=run.space.tokens))
    if retention is not None:
        dense = grid(bench.shape, widths=widths, depths=(1.0,))
        configs += [replace(config, tokens=retention) for config in dense]
    subnets = {f"{label} {config.key}": config for config in configs}
    bench.networks |= {name: extract(supernet.model, config) for name, config in subnets.items()}
    return subnets


def _choose(
    roles: dict[str, list[str]],
    bench: Bench,
    families: dict[str, dict[str, SubnetConfig]],
    scores: dict[str, Evaluation],
    session: Session,
) -> None:
    """Note what each family's networks are at a session's batch size."""
    at = f"at batch {session.protocol.batch_size}"
    for label, subnets in families.items():
        measured = [
            bench.candidate(name, config, scores[name], session)
            for name, config in subnets.items()
            if name in session.networks
        ]
        front = _front(measured, "latency_ms")
        close = [name for name in front if scores[name].value >= scores[FULL].value - POINT]
        limit_s = session[POWER].time_s.high
        fitting = [name for name in front if session[name].time_s.value <= limit_s]
        for name in front:
            roles.setdefault(name, []).append(f"{label}, front {at}")
        if fitting:
            roles[fitting[-1]].append(f"{label}, best that is no slower than PoWER-BERT {at}")
        if close:
            roles[close[0]].append(f"{label}, fastest within a point {at}")


def _front(candidates: Sequence[Candidate], cost: str) -> list[str]:
    """The names of those that no other one beats in score and cost, cheapest first."""
    return [member.label for member in ParetoFront.of(candidates, ("score", cost)).members]


def _ratio(session: Session, slow: str, fast: str) -> dict[str, Any]:
    """How many times as long the slow network takes: each round's value, median and range."""
    rounds = [entry.median_s(slow) / entry.median_s(fast) for entry in session.rounds]
    return {
        "value": float(np.median(rounds)),
        "low": min(rounds),
        "high": max(rounds),
        "rounds": rounds,
    }


def _session(session: Session) -> dict[str, Any]:
    return {**session.noise.to_dict(), "resolved": session.resolved}


def _loss(than: Evaluation, found: Evaluation) -> dict[str, Any]:
    """What a network loses, with its interval, the test and what it could have seen."""
    if found is than:
        return SAME
    return compare(than, found).to_dict()


def _row(
    name: str,
    roles: Sequence[str],
    scores: dict[str, Evaluation],
    reports: dict[str, Evaluation],
    sessions: dict[int, Session],
) -> dict[str, Any]:
    return {
        "network": name,
        "roles": list(roles),
        "search": scores[name].value,
        "report": {"metric": reports[name].metric, **score_record(reports[name])},
        "loss_against_full": _loss(reports[FULL], reports[name]),
        "speedup": {
            f"batch {size}": _ratio(session, FULL, name) for size, session in sessions.items()
        },
    }


def _static_rows(
    bench: Bench,
    networks: dict[Strategy, Callable[[TorchBatch], Tensor]],
    reports: dict[str, Evaluation],
) -> list[dict[str, Any]]:
    encoded = bench.encoded("report")
    rows = []
    for strategy, network in networks.items():
        found = evaluate_deployed(network, encoded, task=bench.task, split="report")
        rows.append(
            {
                "strategy": strategy,
                "report": score_record(found),
                "loss_against_attention": _loss(reports[POWER], found),
            }
        )
    return rows


def _reporting_on(task: Task, size: int | None) -> Task:
    split = task.report
    if size is None or size >= len(split):
        return task
    drawn = sorted(np.random.default_rng(0).permutation(len(split))[:size].tolist())
    report = TextSplit(
        first=tuple(split.first[i] for i in drawn),
        second=None if split.second is None else tuple(split.second[i] for i in drawn),
        labels=tuple(split.labels[i] for i in drawn),
    )
    return replace(task, report=report)


def _training(run: Run) -> dict[str, Any]:
    request = run.request
    return {"model": _from_here(request.model), "training": request.training.to_dict()}


def _from_here(source: str) -> str:
    """Where data or a model came from, with its paths as they are seen from here."""
    parts = source.split(", ")
    return ", ".join(os.path.relpath(part) if part.startswith("/") else part for part in parts)


def _say(progress: TrainingProgress) -> None:
    if progress.step % 50 == 0:
        print(
            f"{progress.stage} {progress.step}/{progress.total_steps}, loss {progress.loss:.3f}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
