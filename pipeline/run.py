"""A run: one checkpoint, one task, and the steps from training to an exported sub-network.

Each step looks at what the run folder holds, does what is missing and keeps it there. Heavy
libraries are imported by the steps that need them, so that a run that is trained, profiled and
searched answers queries without torch.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..deploy.deployment import Deployment
from ..dynabert.options import TrainingOptions
from ..encoders.checkpoints import find_checkpoint
from ..errors import InputError
from ..networks.subnet import ElasticSpace, SubnetConfig
from ..profiling.processes import ProcessLog
from ..profiling.protocol import LatencyProtocol
from ..profiling.quietness import remedy
from ..profiling.statistics import Round
from ..profiling.table import LatencySummary, LookupTable
from ..search.budget import BudgetWord, parse_budget
from ..search.candidate import Candidate
from ..search.evaluations import append_evaluation, read_candidates, read_evaluations
from ..search.front import ParetoFront
from ..search.options import SearchOptions
from ..search.query import QueryResult, Timing, deliver
from ..storage import append_record, write_bytes, write_json
from ..tasks.loading import TaskRequest, load_task
from ..tasks.metrics import Evaluation, PairedComparison, compare
from ..tasks.task import Task
from .costs import find_table, read_tables
from .delivery import read_retimings, time_again
from .folder import RunFolder, claim, read_manifest, refuse_difference
from .power import PowerNetwork, make_power, read_power, write_power
from .request import RunRequest

if TYPE_CHECKING:
    from ..deploy.export import ExportResult
    from ..powerbert.options import PowerOptions
    from ..profiling.measuring import MeasuringProgress
    from ..profiling.predictor import PredictedLatency, Predictor
    from ..profiling.selftest import SelfTest
    from ..search.study import StudyResult
    from ..training.loop import TrainingProgress
    from .exporting import Format
    from .scoring import SubnetScorer

logger = logging.getLogger(__name__)


TIMED_TOGETHER = 16
"""Networks that a search times again in one session, the front first."""


class NothingFits(Exception):
    """No sub-network meets the budget; the message says which is nearest and what it misses."""


class Run:
    """A run folder with what was asked of it.

    Attributes:
        folder: The paths inside the run folder.
        request: What was asked.
    """

    def __init__(self, folder: RunFolder, request: RunRequest) -> None:
        """Use `Run.create` or `Run.open`."""
        self.folder = folder
        self.request = request

    @classmethod
    def create(
        cls,
        folder: Path | str,
        *,
        model: str | Path,
        task: str | TaskRequest,
        training: TrainingOptions | None = None,
        protocol: LatencyProtocol | None = None,
        search: SearchOptions | None = None,
    ) -> Self:
        """Start a run, or find the same one that was started before.

        The model and the task are checked before anything is written.

        Args:
            folder: The run folder.
            model: `minilm`, a checkpoint folder, or a hub name.
            task: A task's name, or a request with its options.
            training: How the supernet is trained; None for the defaults.
            protocol: How latencies are measured; None for the defaults.
            search: How sub-networks are searched; None for the defaults.

        Raises:
            InputError: When the model or the task is refused, or the folder holds another run.
        """
        asked = _with_absolute_paths(task if isinstance(task, TaskRequest) else TaskRequest(task))
        checkpoint = find_checkpoint(str(model))
        loaded = load_task(asked)
        request = RunRequest(
            model=checkpoint.name,
            fingerprint=checkpoint.fingerprint,
            task=asked,
            training=training or TrainingOptions(),
            protocol=protocol or LatencyProtocol(),
            search=search or SearchOptions(),
        )
        run = cls(RunFolder(Path(folder)), request)
        claim(
            run.folder,
            request.to_dict(),
            task=loaded.summary(),
            upgrade=lambda known: RunRequest.from_dict(known).to_dict(),
        )
        run.task = loaded
        return run

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open a run that was started before.

        Raises:
            InputError: When the folder is no run folder or its manifest is damaged.
        """
        paths = RunFolder(Path(folder))
        return cls(paths, RunRequest.from_dict(read_manifest(paths)["request"]))

    @cached_property
    def task(self) -> Task:
        """The task, loaded again.

        Raises:
            InputError: When its data is not what the run was started with.
        """
        task = load_task(self.request.task)
        refuse_difference(self.folder, {"task": self.manifest["task"]}, {"task": task.summary()})
        return task

    @property
    def manifest(self) -> dict[str, Any]:
        """What `run.json` holds: the request, the task's summary, versions."""
        return read_manifest(self.folder)

    @property
    def space(self) -> ElasticSpace:
        """The sub-networks that the supernet is trained for."""
        training = self.request.training
        return ElasticSpace(training.widths, training.depths, training.tokens)

    @property
    def trained(self) -> bool:
        """Whether the supernet is there."""
        return self.folder.supernet.is_dir()

    def train(self, *, progress: "Callable[[TrainingProgress], None] | None" = None) -> None:
        """Train the supernet, or go on where training was interrupted.

        Args:
            progress: Is called after every step.

        Raises:
            InputError: When the model or the task's data changed since the run was started.
        """
        if self.trained:
            return
        from ..dynabert.training import train_supernet

        checkpoint = find_checkpoint(self.request.model)
        refuse_difference(
            self.folder,
            {"model's fingerprint": self.request.fingerprint},
            {"model's fingerprint": checkpoint.fingerprint},
        )
        with self._timed("train"):
            train_supernet(
                model=checkpoint.folder,
                task=self.task,
                folder=self.folder.root,
                options=self.request.training,
                progress=progress or _ignore,
            )

    def profiled(self, protocol: LatencyProtocol | None = None) -> bool:
        """Whether the costs are measured, as far as the protocol's time budget allows."""
        wanted = protocol or self.request.protocol
        path = self._table_path(wanted)
        if not path.exists():
            return False
        table = LookupTable.load(path)
        spent = replace(wanted, time_budget_s=table.protocol.time_budget_s)
        resolved = all(entry.latency and entry.latency.resolved for entry in table)
        enough = resolved or table.protocol.time_budget_s >= wanted.time_budget_s
        return spent == table.protocol and enough

    def profile(
        self,
        protocol: LatencyProtocol | None = None,
        *,
        deploying: Callable[[int, int], None] | None = None,
        progress: "Callable[[MeasuringProgress], None] | None" = None,
        scoring: Callable[[int, int], None] | None = None,
    ) -> LookupTable:
        """Count, deploy and measure every sub-network of the space.

        Once the run is searched, a larger time budget narrows the front's intervals further, and
        a deployment that changes the networks' numbers is scored on the search split.

        Args:
            protocol: How to measure; None for the run's own.
            deploying: Is called with the number of deployed sub-networks and of all.
            progress: Is called after every visit to a network.
            scoring: Is called with the number of scored sub-networks and of all.

        Raises:
            InputError: When there is no supernet yet, or the device or the runtime is absent.
        """
        wanted = protocol or self.request.protocol
        if not self.profiled(wanted):
            self._require_supernet()
            wanted.deployment.require(wanted.device)
            from ..networks.shape import EncoderShape
            from ..profiling.profiler import profile_grid

            with self._timed("profile"):
                model = self._scorer.model
                quantised = wanted.precision == "int8"
                profile_grid(
                    model,
                    self.space.configs(EncoderShape.from_config(model.config)),
                    wanted,
                    folder=self.folder.costs,
                    front=self._known_front(),
                    calibration=self._scorer.calibration if quantised else (),
                    deploying=deploying,
                    progress=progress,
                )
        table = LookupTable.load(self._table_path(wanted))
        self._score_as_deployed(table, progress=scoring)
        return table

    def with_task_lengths(self, protocol: LatencyProtocol) -> LatencyProtocol:
        """The same protocol for sequences as long as the task's own.

        Raises:
            InputError: When there is no supernet, and so no tokenizer, yet.
        """
        self._require_supernet()
        return protocol.with_lengths(self._scorer.lengths(protocol))

    def self_test(
        self,
        protocol: LatencyProtocol | None = None,
        *,
        progress: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> "SelfTest":
        """Measure what is known: the full model ties with itself, more layers are not faster.

        Args:
            protocol: How to measure; None for the run's own.
            progress: Is called after every visit to a network.

        Raises:
            InputError: When there is no supernet yet, or the device or the runtime is absent.
        """
        self._require_supernet()
        from .selftest import run_self_test

        found = run_self_test(self._scorer, protocol or self.request.protocol, progress=progress)
        write_json(self.folder.self_test(found.protocol.slug), found.to_dict())
        return found

    def build_predictor(
        self,
        protocol: LatencyProtocol | None = None,
        *,
        deploying: Callable[[int, int], None] | None = None,
        progress: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> "Predictor":
        """Measure a few sub-networks whose layers differ, and learn to predict any other.

        The measurements go on where they were interrupted.

        Args:
            protocol: How to measure; None for the run's own.
            deploying: Is called with the number of deployed sub-networks and of all.
            progress: Is called after every visit to a network.

        Returns:
            The predictor with its figures on held-out networks, already written, however good.

        Raises:
            InputError: When there is no supernet yet, or the device or the runtime is absent.
        """
        self._require_supernet()
        from ..networks.shape import EncoderShape
        from ..profiling.design import design, held_out
        from ..profiling.predictor import Predictor
        from ..profiling.profiler import profile_grid

        wanted = protocol or self.request.protocol
        model = self._scorer.model
        shape = EncoderShape.from_config(model.config)
        least = min(self.space.tokens)
        fitted = design(shape, seed=wanted.seed, least_tokens=least)
        judged = held_out(shape, seed=wanted.seed, without=fitted, least_tokens=least)
        with self._timed("predictor"):
            table = profile_grid(
                model,
                (*fitted, *judged),
                wanted,
                folder=self.folder.predictors,
                calibration=self._scorer.calibration if wanted.precision == "int8" else (),
                with_footprints=False,
                deploying=deploying,
                progress=progress,
            )
            predictor = Predictor.of_table(table, held_out=judged)
            predictor.save(self.folder.predictor(wanted.slug))
        return predictor

    def predict(self, subnet: str, protocol: LatencyProtocol | None = None) -> "PredictedLatency":
        """Predict the latency of any sub-network of the model, whatever its layers.

        Args:
            subnet: Its key.
            protocol: The conditions; None for the run's own.

        Raises:
            InputError: When there is no predictor, it is not good enough, or the key is no
                sub-network of the model.
        """
        from ..profiling.predictor import Predictor

        wanted = protocol or self.request.protocol
        path = self.folder.predictor(wanted.slug)
        if not path.exists():
            raise InputError(
                f"{self.folder.root} has no latency predictor for this protocol: "
                f"{self._command('profile')} --build-predictor."
            )
        predictor = Predictor.load(path)
        predictor.refuse_elsewhere(wanted)
        return predictor.predict(SubnetConfig.from_key(subnet))

    def search(
        self,
        options: SearchOptions | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        timing: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> "StudyResult":
        """Score sub-networks on the search split; what was scored before is not scored again.

        Searches with different options are different studies in the same journal. The front, and
        what scores next to it, is measured again in fresh processes.

        Args:
            options: What to search; None for what the run was asked.
            progress: Is called with the number of finished trials and of all.
            timing: Is called after every visit to a network that is measured again.

        Raises:
            InputError: When the run is not trained and profiled yet, or its study is damaged.
        """
        self._require_supernet()
        table = self.table()
        from ..search.study import run_study

        asked, deployment = options or self.request.search, table.protocol.deployment
        with self._timed("search"):
            result = run_study(
                self.space,
                table,
                options=asked,
                evaluate=lambda config: self._scorer.score(
                    config, split="search", deployment=deployment
                ),
                storage=self.folder.study,
                evaluations=self.folder.evaluations,
                name=_study_name(asked),
                on_progress=progress,
            )
            for other in read_tables(self.folder.costs):
                self._score_as_deployed(other)
            front = [member.key for member in result.front.members]
            others = sorted(result.candidates, key=lambda entry: -entry.evaluation.value)
            wanted = dict.fromkeys([*front, *(entry.key for entry in others)])
            try:
                together = list(wanted)[: max(len(front), TIMED_TOGETHER)]
                self._time_again(together, table, progress=timing)
            except InputError as error:
                logger.warning("The front was not measured again: %s", error)
        return result

    def table(
        self,
        *,
        device: str | None = None,
        runtime: str | None = None,
        precision: str | None = None,
    ) -> LookupTable:
        """The cost table that counts.

        Args:
            device: Of that device; None for the run's own.
            runtime: Of that runtime; None for the run's own.
            precision: Of that precision; None for the run's own.

        Raises:
            InputError: When nothing was measured so.
        """
        own = self.request.protocol
        if not any(self.folder.costs.glob("*.jsonl")):
            raise InputError(
                f"{self.folder.root} is not profiled yet: {self._command('profile')}."
            )
        return find_table(
            self.folder.costs, own, device=device, runtime=runtime, precision=precision
        )

    def candidates(self, table: LookupTable | None = None) -> list[Candidate]:
        """The scored sub-networks with their costs.

        Args:
            table: The costs; None for those by the run's own protocol.

        Raises:
            InputError: When the run is not searched yet.
        """
        table = table or self.table()
        candidates = read_candidates(self.folder.evaluations, table, self.space)
        if not candidates:
            raise InputError(f"{self.folder.root} is not searched yet: {self._command('search')}.")
        return candidates

    def front(self, table: LookupTable | None = None) -> ParetoFront:
        """The Pareto front of the run's objectives; `table` as for `candidates`."""
        return ParetoFront.of(self.candidates(table), self.request.search.objectives)

    def accuracy_loss(self, table: LookupTable) -> PairedComparison | None:
        """What a deployment costs in score: the full model in fp32 minus the same as deployed.

        Args:
            table: A cost table of the deployment.

        Returns:
            The comparison on the search split; None where either is not scored.
        """
        key, path = table.full.config.key, self.folder.evaluations
        exact = read_evaluations(path).get(key)
        deployed = read_evaluations(path, deployment=table.protocol.deployment).get(key)
        if exact is None or deployed is None:
            return None
        return compare(exact, deployed)

    def power(
        self,
        options: "PowerOptions",
        *,
        progress: "Callable[[TrainingProgress], None] | None" = None,
    ) -> PowerNetwork:
        """Train a PoWER-BERT network from the run's teacher, score it and measure it.

        It is trained once; a killed training goes on where it was.

        Args:
            options: The target and the training.
            progress: Is called after every training step.

        Raises:
            InputError: When the run is not trained and profiled yet, the target is out of reach,
                or the folder holds a network with the same target that was trained otherwise.
        """
        self._require_supernet()
        table = self.table()
        folder = self.folder.power(options.slug)
        claim(
            RunFolder(folder),
            options.to_dict(),
            task=self.manifest["task"],
            upgrade=lambda record: type(options).from_dict(record).to_dict(),
        )
        for known in read_power(self.folder.powers, slug_of_costs=table.protocol.slug):
            if known.slug == options.slug:
                return known
        with self._timed("power"):
            network = make_power(
                folder,
                teacher=self.folder.root / "teacher",
                scorer=self._scorer,
                table=table,
                options=options,
                progress=progress or _ignore,
            )
            append_record(self.folder.powers, network.to_dict())
        return network

    def picture_retention(self, network: PowerNetwork) -> Path:
        """Draw how many word-vectors a PoWER-BERT network keeps; the path of the PNG."""
        from ..reports.measurements import retention_figure
        from ..reports.static import png_bytes

        path = self.folder.power(network.slug) / "retention.png"
        figure = retention_figure(
            network.retention, label=network.candidate.label, lengths=network.lengths
        )
        write_bytes(path, png_bytes(figure))
        return path

    def powers(self, table: LookupTable | None = None) -> list[PowerNetwork]:
        """The PoWER-BERT networks measured by a table's protocol, by default the run's own."""
        return read_power(self.folder.powers, slug_of_costs=(table or self.table()).protocol.slug)

    def report(self, *, progress: Callable[[int, int], None] | None = None) -> Path:
        """Score every sub-network on the report splits and write the report.

        Nothing is chosen by these scores, and each is computed once.

        Args:
            progress: Is called with the number of scored sub-networks and of all.

        Returns:
            The path of the page.

        Raises:
            InputError: When the run is not searched yet.
        """
        from ..reports.page import write_report
        from .reporting import measurement_figures, report_content

        table = self.table()
        candidates = self.candidates(table)
        with self._timed("report"):
            configs = [SubnetConfig.from_key(candidate.key) for candidate in candidates]
            reported = self._reported(
                configs, deployment=table.protocol.deployment, progress=progress
            )
            powers = self.powers(table)
            content = report_content(
                self.request,
                candidates=[*candidates, *(network.candidate for network in powers)],
                reported=reported | {entry.candidate.key: entry.report for entry in powers},
                table=table,
                manifest=self.manifest,
                warnings=self.warnings(table),
                measurements=measurement_figures(
                    table,
                    rounds=self._rounds(table),
                    candidates=candidates,
                    configs=self.space.configs(table.shape),
                    predictor=self._predictor(table.protocol),
                    deployments=self._deployments(table),
                    powers=powers,
                ),
            )
            return write_report(self.folder.report, content)

    def query(
        self,
        *,
        latency: str | None = None,
        params: str | None = None,
        flops: str | None = None,
        accuracy: str | None = None,
        device: str | None = None,
        runtime: str | None = None,
        precision: str | None = None,
        progress: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> QueryResult:
        """Find the best sub-network under a budget.

        Args:
            latency: At most this latency, such as "5ms".
            params: At most so many parameters, such as "15M".
            flops: At most so many FLOPs, such as "1G".
            accuracy: At least this value of the task's metric, such as "0.9".
            device: The device whose latencies count; None for the run's own.
            runtime: The runtime that the network is deployed on; None for the run's own.
            precision: The precision that it is deployed in; None for the run's own.
            progress: Is called after every visit to a network that is measured again.

        Returns:
            The answer with its score on the report split and its latency measured again, or the
            nearest sub-network where none fits. A sub-network that breaks the latency limit when
            it is measured again is passed over. PoWER-BERT networks that fit are named beside it.

        Raises:
            InputError: When a budget cannot be read or the run is not searched yet.
        """
        budgets: dict[BudgetWord, str | None] = {
            "latency": latency,
            "params": params,
            "flops": flops,
            "accuracy": accuracy,
        }
        constraints = [parse_budget(w, text) for w, text in budgets.items() if text is not None]
        table = self.table(device=device, runtime=runtime, precision=precision)
        beside = [network.candidate for network in self.powers(table)]

        def timed(
            networks: Sequence[Candidate],
            *,
            decided: Callable[[Mapping[str, LatencySummary]], bool],
        ) -> Timing:
            keys = [entry.key for entry in networks]
            return self._time_again(keys, table, decided=decided, progress=progress)

        def reported(candidate: Candidate) -> Evaluation:
            config = SubnetConfig.from_key(candidate.key)
            return self._reported([config], deployment=table.protocol.deployment)[config.key]

        result = deliver(
            [*self.candidates(table), *beside], constraints, time_again=timed, report=reported
        )
        timed_again = result.report is not None or result.passed_over
        doubtful = result.warnings if timed_again else table.disturbances
        return replace(result, warnings=self._with_remedy(doubtful, table))

    def warnings(self, table: LookupTable) -> tuple[str, ...]:
        """What forbids to take a table's latencies at their word, and what to do about it."""
        return self._with_remedy(table.disturbances, table)

    def export(
        self,
        *,
        to: Path | str,
        subnet: str | None = None,
        latency: str | None = None,
        params: str | None = None,
        flops: str | None = None,
        accuracy: str | None = None,
        device: str | None = None,
        format: "Format" = "hf",
    ) -> "ExportResult":
        """Export a sub-network, chosen by its key or by a budget.

        Args:
            to: The destination: a new or empty folder.
            subnet: The key of a sub-network of the run; excludes a budget.
            latency: See `query`.
            params: See `query`.
            flops: See `query`.
            accuracy: See `query`.
            device: See `query`.
            format: A Hugging Face folder ("hf") or "onnx".

        Raises:
            NothingFits: When no sub-network meets the budget.
            InputError: When the key is unknown or `to` is occupied.
            ExportError: When the files do not compute what the supernet computes.
        """
        budget = (latency, params, flops, accuracy)
        if (subnet is None) == all(text is None for text in budget):
            raise InputError("Give either the key of a sub-network or a budget.")
        table = self.table(device=device)
        if subnet is None:
            result = self.query(
                latency=latency, params=params, flops=flops, accuracy=accuracy, device=device
            )
            if result.answer is None or result.answer.config is None:
                raise NothingFits(" ".join(result.sentences()))
            config = result.answer.config
        else:
            config = SubnetConfig.from_key(subnet)
        if config not in table:
            known = ", ".join(entry.config.key for entry in table)
            raise InputError(f"The run has no sub-network {subnet}; it has {known}.")
        self._require_supernet()
        from .exporting import export_subnet, model_card

        deployment = table.protocol.deployment
        report = self._reported([config], deployment=deployment)[config.key]
        timing = self._time_again([config.key], table)
        searched = read_evaluations(self.folder.evaluations).get(config.key)
        card = model_card(
            base_model=self.request.model,
            task=report.task,
            profile=table[config],
            evaluations=tuple(entry for entry in (searched, report) if entry is not None),
            latency=timing.latencies[config.key],
            warnings=self._with_remedy(timing.disturbances, table),
            protocol=table.protocol,
        )
        return export_subnet(self.folder.supernet, card=card, to=Path(to), format=format)

    def _rounds(self, table: LookupTable) -> tuple[Round, ...]:
        """The rounds behind a table; none where they were deleted."""
        path = self.folder.costs / "rounds" / f"{table.protocol.slug}.jsonl"
        networks = tuple(profile.config.key for profile in table)
        _, processes = ProcessLog(path, "", table.conditions, networks).read()
        return tuple(entry for process in processes for entry in process.rounds)

    def _predictor(self, protocol: LatencyProtocol) -> "Predictor | None":
        from ..profiling.predictor import Predictor

        path = self.folder.predictor(protocol.slug)
        return Predictor.load(path) if path.exists() else None

    def _deployments(
        self, table: LookupTable
    ) -> list[tuple[LookupTable, PairedComparison | None]]:
        """The tables that differ from one in runtime and precision alone, itself first."""
        others = (
            other
            for other in read_tables(self.folder.costs)
            if set(table.protocol.differences(other.protocol)) <= {"runtime", "precision"}
            and other.protocol.deployment != table.protocol.deployment
        )
        return [(entry, self.accuracy_loss(entry)) for entry in (table, *others)]

    def _time_again(
        self,
        keys: Collection[str],
        table: LookupTable,
        *,
        decided: Callable[[Mapping[str, LatencySummary]], bool] = lambda latencies: True,
        progress: "Callable[[MeasuringProgress], None] | None" = None,
    ) -> Timing:
        """The second timing of some networks together: the latest that decides, or a new one."""
        path, slug = self.folder.deliveries, table.protocol.slug
        for known in read_retimings(path, slug=slug):
            if known.serves(table, keys) and (known.spent or decided(known.latencies)):
                return Timing(known.latencies, known.disturbances)
        beside = {network.candidate.key: network.slug for network in self.powers(table)}
        deployment = table.protocol.deployment

        def write(key: str, to: Path) -> None:
            if key in beside:
                write_power(self.folder.power(beside[key]), self._scorer, deployment, to)
            else:
                self._scorer.write(SubnetConfig.from_key(key), deployment, to)

        found = time_again(
            keys,
            table=table,
            padding_id=self._scorer.model.config.pad_token_id,
            write=write,
            decided=decided,
            progress=progress,
        )
        append_record(path, found.to_dict())
        return Timing(found.latencies, found.disturbances)

    def _score_as_deployed(
        self, table: LookupTable, *, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Score what was searched in the table's precision, where that changes the numbers."""
        path, deployment = self.folder.evaluations, table.protocol.deployment
        if not deployment.changes_numbers:
            return
        known = read_evaluations(path, deployment=deployment)
        searched = [SubnetConfig.from_key(key) for key in read_evaluations(path)]
        missing = [entry for entry in searched if entry.key not in known and entry in table]
        for number, config in enumerate(missing, start=1):
            evaluation = self._scorer.score(config, split="search", deployment=deployment)
            append_evaluation(path, config, evaluation, deployment=deployment)
            if progress is not None:
                progress(number, len(missing))

    @cached_property
    def _scorer(self) -> "SubnetScorer":
        from .scoring import SubnetScorer

        return SubnetScorer(self.folder.supernet, self.task)

    def _known_front(self) -> tuple[SubnetConfig, ...]:
        """The front's sub-networks; none before the first search."""
        needed = (self.folder.evaluations, self._table_path(self.request.protocol))
        if not all(path.exists() for path in needed):
            return ()
        return tuple(SubnetConfig.from_key(member.key) for member in self.front().members)

    def _reported(
        self,
        configs: Sequence[SubnetConfig],
        *,
        deployment: Deployment,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, Evaluation]:
        """Outcomes on the report split by key, each computed once and kept."""
        path = self.folder.evaluations
        splits = [name for name in self.manifest["task"]["sizes"] if name.startswith("report")]
        known = {
            split: read_evaluations(path, split=split, deployment=deployment) for split in splits
        }
        missing = [
            (config, split)
            for split in splits
            for config in configs
            if config.key not in known[split]
        ]
        for number, (config, split) in enumerate(missing, start=1):
            evaluation = self._scorer.score(config, split=split, deployment=deployment)
            append_evaluation(path, config, evaluation, deployment=deployment)
            if progress is not None:
                progress(number, len(missing))
        return read_evaluations(path, split="report", deployment=deployment)

    def _require_supernet(self) -> None:
        if not self.trained:
            raise InputError(f"{self.folder.root} is not trained yet: {self._command('train')}.")

    def _command(self, name: str) -> str:
        return f"paretobert {name} {self.folder.root}"

    def _with_remedy(self, disturbances: Sequence[str], table: LookupTable) -> tuple[str, ...]:
        if table.noise is None or not disturbances:
            return ()
        path = self._table_path(table.protocol)
        advice = remedy(
            table.noise,
            [entry.latency.resolved for entry in table if entry.latency is not None],
            command=" ".join([self._command("profile"), *self._options(table.protocol)]),
            time_budget_s=table.protocol.time_budget_s,
            files=[path, path.parent / "rounds" / path.name, self.folder.deliveries],
        )
        return (*disturbances, advice)

    def _options(self, protocol: LatencyProtocol) -> list[str]:
        """The options of `profile` that ask for a protocol, where it is not the run's own."""
        asked = {
            name: getattr(protocol, name) for name in self.request.protocol.differences(protocol)
        }
        if "lengths" in asked:
            asked |= {"lengths": ",".join(map(str, protocol.lengths))}
            asked.pop("seq_len", None)
        return [f"--{name.replace('_', '-')} {value}" for name, value in asked.items()]

    def _table_path(self, protocol: LatencyProtocol) -> Path:
        return self.folder.costs / f"{protocol.slug}.jsonl"

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        """Keep the wall time of a step that did something."""
        start_s = time.perf_counter()
        yield
        wall_s = round(time.perf_counter() - start_s, 2)
        append_record(self.folder.steps, {"step": step, "wall_s": wall_s})


def _ignore(state: object) -> None:
    """Progress that nobody watches."""


def _study_name(options: SearchOptions) -> str:
    """A name for what decides a study's trials; their number may grow."""
    record = options.to_dict()
    del record["num_trials"]
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()[:12]


def _with_absolute_paths(request: TaskRequest) -> TaskRequest:
    return replace(
        request,
        data=request.data and request.data.resolve(),
        report_data=request.report_data and request.report_data.resolve(),
    )
