"""What Optimal Subarchitecture Extraction is asked, and what it chooses among.

A contest is a set of networks, what each costs before it is trained, and how one is built and
taught for its error. Architectures of a candidate set start from fresh weights and share a
checkpoint's tokenizer alone. The sub-networks of a run start from what the run has: weights that
they inherit from a trained supernet, or that are repaired in closed form.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..bort.architecture import POSITIONS, Architecture, Tables, multiply_adds, parameters
from ..bort.latency import TIMED_TABLES, latencies_of, to_measure
from ..bort.options import FRESH_RATE, RUN_RATE, ErrorOptions
from ..bort.space import PUBLISHED, Space, space_of
from ..deploy.deployment import EAGER_FP32
from ..encoders.checkpoints import find_checkpoint
from ..errors import InputError, listed, shortened
from ..networks.network import Network, Stored, identifier
from ..networks.subnet import SubnetConfig
from ..profiling.counts import count_macs, count_parameters
from ..profiling.protocol import LatencyProtocol
from ..search.options import SearchOptions
from ..search.ose import Point, Size, refuse_epsilon
from ..tasks.loading import TaskRequest, load_task
from ..tasks.tables import read_lines
from ..tasks.task import Task, Texts
from ..training.pace import refuse_below
from .context import Context
from .costs import Where, chosen, cost_table
from .ledger import Ledger
from .observations import Subject
from .sessions import conditions_here, keep_measured
from .steps.search import problem_of

if TYPE_CHECKING:
    from transformers import BertConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from ..bort.training import Lesson
    from ..profiling.measuring import MeasuringProgress

Speed = Literal["macs", "latency"]
"""What the inference cost i^ is: multiply-adds, or milliseconds."""

METHOD = "ose"
"""What made the networks of candidate sets."""

PLAIN_LABELS = 2
"""Outputs of a network that no task is given for, as transformers has it."""

FEWEST_TEXTS = 20


@dataclass(frozen=True, slots=True)
class OseRequest:
    """What is asked.

    Attributes:
        space: The candidate set: `bort`, a file, or a run folder, whose sub-networks are meant.
        epsilon: How far W may be below the best, above 0 and at most 1.
        error: How the error of a candidate is found.
        model: The checkpoint whose tokenizer the candidates read with; a run has its own.
        task: What is learnt; None for words alone, and for a run's own task.
        texts: Files of one text a line to learn words from; the task's texts where there are none.
        speed: What the inference cost is: macs, or latency.
        seq_len: Tokens of the text that the inference cost is of, at which the files' texts are
            cut; a run has its own.
        measure_s: Seconds that measuring latencies may take.
    """

    space: str
    epsilon: float
    error: ErrorOptions
    model: str | None = None
    task: TaskRequest | None = None
    texts: tuple[Path, ...] = ()
    speed: Speed = "macs"
    seq_len: int = 128
    measure_s: float = 180.0

    def __post_init__(self) -> None:
        """Check the options against one another.

        Raises:
            InputError: When one is out of its range, is missing, or means nothing here.
        """
        refuse_epsilon(self.epsilon)
        refuse_below(self, 1, "seq_len")
        if self.speed not in get_args(Speed):
            names = " or ".join(get_args(Speed))
            raise InputError(f"The speed is {names}, not {shortened(self.speed)}.")
        if self.is_run:
            if self.model is not None or self.task is not None or self.texts:
                raise InputError(
                    f"{self.space} is a run with a model and a task of its own: leave out others."
                )
            if self.error.error == "mlm":
                raise InputError(
                    f"The sub-networks of {self.space} have no head for masked words: take the "
                    "error task."
                )
            return
        if self.model is None:
            raise InputError("Name the checkpoint whose tokenizer the candidates have: --model.")
        if self.error.error == "task" and self.texts:
            raise InputError("Files of texts are for the error mlm: leave them out, or take it.")
        if self.task is None and (self.error.error == "task" or not self.texts):
            raise InputError(
                "There is nothing to learn: name a task, or give files of texts with the error "
                "mlm."
            )
        if self.seq_len > POSITIONS:
            raise InputError(
                f"seq_len must be at most {POSITIONS}, the candidates' positions, not "
                f"{self.seq_len}."
            )

    @property
    def is_run(self) -> bool:
        """Whether the candidates are a run's sub-networks."""
        return self.space != PUBLISHED and Path(self.space).is_dir()

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates that are tried, Theta."""
        return self.error.rates or ((RUN_RATE if self.is_run else FRESH_RATE),)

    @property
    def protocol(self) -> LatencyProtocol:
        """How latencies are measured."""
        return LatencyProtocol(seq_len=self.seq_len, time_budget_s=self.measure_s)

    def to_dict(self) -> dict[str, Any]:
        """Return what was asked as JSON types."""
        return {
            **{name: getattr(self, name) for name in ("space", "epsilon", "model", "speed")},
            "error": asdict(self.error) | {"rates": list(self.rates)},
            "task": None if self.task is None else json.loads(json.dumps(self.task.to_dict())),
            "texts": [str(path) for path in self.texts],
            "seq_len": self.seq_len,
        }


class Contest(ABC):
    """What candidates are chosen among, and how."""

    ledger: Ledger
    """What is known of the candidates: errors, and latencies."""

    start: str
    """Where the weights of candidates start."""

    @property
    @abstractmethod
    def networks(self) -> Mapping[str, Network]:
        """The candidates by their names."""

    @abstractmethod
    def build(self, name: str) -> "PreTrainedModel":
        """A candidate with the weights that it starts from."""

    @abstractmethod
    def config(self, name: str) -> "PreTrainedConfig":
        """A candidate's configuration, as transformers loads it."""

    @abstractmethod
    def points(self, timing: "Callable[[MeasuringProgress], None] | None" = None) -> list[Point]:
        """The candidates with their sizes; latencies that are needed are measured first."""

    @property
    @abstractmethod
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """What the candidates read with."""

    @property
    @abstractmethod
    def lesson(self) -> "Lesson":
        """What they learn."""

    @cached_property
    def lesson_id(self) -> str:
        """A hash of every example that is learnt from or held out."""
        lesson, digest = self.lesson, hashlib.sha256()
        for encoded in (lesson.train, lesson.held_out):
            labels = getattr(encoded, "labels", None)
            digest.update(json.dumps([encoded.input_ids, labels]).encode())
        return digest.hexdigest()[:16]

    def conditions(self, options: ErrorOptions, rate: float, *, dtype: str) -> str:
        """A hash of everything but the candidate that decides an error."""
        return identifier(
            {
                "lesson": self.lesson_id,
                "start": self.start,
                "rate": rate,
                **options.to_dict(),
                "precision": dtype,
            }
        )


class Architectures(Contest):
    """The architectures of a candidate set, from fresh weights."""

    def __init__(self, request: OseRequest) -> None:
        """Read the set, the tokenizer and the texts; the ledger is the caller's to give.

        Raises:
            InputError: When one of them is refused.
        """
        assert request.model is not None
        self.start = "fresh"
        self.request = request
        self._space: Space = space_of(request.space)
        self._checkpoint = find_checkpoint(request.model)
        self._task = None if request.task is None else load_task(request.task)
        self._texts = _plain_texts(request.texts) if request.texts else None
        if request.error.error == "mlm" and self.tokenizer.mask_token_id is None:
            raise InputError(
                f"The tokenizer of {request.model} has no mask, which the error mlm needs: take "
                "another checkpoint's."
            )

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The checkpoint's."""
        from ..encoders.vocabulary import checked_tokenizer

        return checked_tokenizer(
            self._checkpoint.folder, vocab_size=self._checkpoint.shape.vocab_size
        )

    @cached_property
    def tables(self) -> Tables:
        """The candidates' embedding tables."""
        from ..bort.training import tables_of

        return tables_of(self.tokenizer)

    @cached_property
    def networks(self) -> dict[str, Network]:
        """The candidates by their keys."""
        labels = PLAIN_LABELS if self._task is None else self._task.num_labels
        found = {}
        for each in self._space:
            shape = each.shape(self.tables, num_labels=labels)
            asked = {"architecture": each.to_dict(), "tables": self.tables.to_dict()}
            recipe = Stored(
                METHOD, {**asked, "num_labels": labels}, shape, SubnetConfig.full(shape)
            )
            found[each.key] = Network(each.key, recipe)
        return found

    def build(self, name: str) -> "PreTrainedModel":
        """A candidate with random weights, the same ones each time."""
        from ..bort.training import fresh_model

        return fresh_model(self.config(name), seed=self.request.error.seed)

    def config(self, name: str) -> "BertConfig":
        """The configuration of a BERT, with the task's outputs where its loss is the error."""
        from ..bort.training import config_of

        return config_of(
            Architecture.from_key(name),
            self.tables,
            pad_token_id=self.tokenizer.pad_token_id,
            task=self._task if self.request.error.error == "task" else None,
        )

    def points(self, timing: "Callable[[MeasuringProgress], None] | None" = None) -> list[Point]:
        """Parameters and multiply-adds by the polynomials, latencies measured or predicted."""
        seq_len = self.request.seq_len
        inference: Mapping[Architecture, float]
        if self.request.speed == "macs":
            inference = {each: multiply_adds(each, seq_len=seq_len) for each in self._space}
        else:
            measured = self._measured(to_measure(self._space, seq_len=seq_len), timing)
            inference = latencies_of(self._space, measured, seq_len=seq_len).milliseconds
        return [
            Point(each.key, Size(parameters(each, self.tables), inference[each]))
            for each in self._space
        ]

    @cached_property
    def lesson(self) -> "Lesson":
        """The task's texts, or the user's, every tenth of which is held out."""
        from ..bort.training import Lesson, masked_word_loss
        from ..tasks.batches import encode_texts

        options, tokenizer = self.request.error, self.tokenizer
        length = POSITIONS if self._task is None else min(POSITIONS, self._task.max_length)
        if options.error == "task":
            assert self._task is not None
            return _task_lesson(self._task, tokenizer, options, max_length=length)
        if self._texts is not None:
            length = self.request.seq_len
            every = encode_texts(self._texts, tokenizer, max_length=length)
            held_out = list(range(0, len(every), 10))[: options.examples]
            left = sorted(set(range(len(every))) - set(held_out))
            return Lesson(every.at(left), every.at(held_out), masked_word_loss(tokenizer))
        assert self._task is not None
        words, held = (
            encode_texts(split, tokenizer, max_length=length)
            for split in (self._task.train, self._task.search)
        )
        kept = held.at(range(min(options.examples, len(held))))
        return Lesson(words, kept, masked_word_loss(tokenizer))

    def _measured(
        self,
        wanted: Sequence[Architecture],
        timing: "Callable[[MeasuringProgress], None] | None",
    ) -> dict[Architecture, float]:
        """Milliseconds of candidates that are measured together, or were before."""
        from ..bort.training import config_of, fresh_model
        from ..deploy.artefact import write
        from ..profiling.profiler import Writer, measure_deployed

        protocol, ledger = self.request.protocol, self.ledger
        subjects = {
            each: Subject(self.networks[each.key].id, protocol.deployment) for each in wanted
        }
        for each in wanted:
            ledger.add_network(self.networks[each.key])
        record = ledger.session(
            purpose="profile",
            conditions=conditions_here(protocol),
            subjects=tuple(subjects.values()),
            sentinel=subjects[wanted[-1]],
        )
        if not record.finished:

            def writer(architecture: Architecture) -> Writer:
                def write_timed(folder: Path) -> None:
                    config = config_of(architecture, TIMED_TABLES, pad_token_id=0)
                    config.architectures = ["BertForSequenceClassification"]
                    write(fresh_model(config, seed=0).eval(), EAGER_FP32, folder)

                return write_timed

            measured = measure_deployed(
                {subject.key: writer(each) for each, subject in subjects.items()},
                protocol,
                sentinel=record.sentinel.key,
                session=record.id,
                finished=ledger.processes(record.id),
                on_process=lambda process: ledger.add_process(record.id, process),
                progress=timing,
            )
            record = keep_measured(ledger, record, measured, protocol)
        else:
            sessions = ledger.sessions(purpose="profile", conditions_id=record.conditions.id)
            record = next(each for each in sessions if each.id == record.id)
        return {
            each: record.latencies[subject].time_ms.value for each, subject in subjects.items()
        }


class SubNetworks(Contest):
    """The sub-networks of a run, from the weights that the run gives them."""

    def __init__(self, request: OseRequest, context: Context) -> None:
        """Look at the run.

        Raises:
            InputError: When it is not trained yet, or, for latencies, not profiled.
        """
        context.require_supernet()
        self.request, self._context = request, context
        self.ledger, self.start = context.ledger, f"run {context.manifest['run']}"

    @cached_property
    def networks(self) -> dict[str, Network]:
        """The landmarks of the run's space."""
        return {network.name: network for network in self._context.subnets().values()}

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The run's."""
        return self._context.workshop.tokenizer(self._context.full)

    def build(self, name: str) -> "PreTrainedModel":
        """A sub-network as the run builds it."""
        return self._context.workshop.build(self.networks[name])

    def config(self, name: str) -> "PreTrainedConfig":
        """That of the dense network."""
        return self.build(name).config

    def points(self, timing: "Callable[[MeasuringProgress], None] | None" = None) -> list[Point]:
        """Counts, and latencies as the run's searches know them."""
        shape, seq_len = self._context.shape, self._context.request.protocol.seq_len
        configs = {
            name: network.config
            for name, network in self.networks.items()
            if network.config is not None
        }
        if self.request.speed == "latency":
            record = chosen(self._context, Where())[0]
            costs = cost_table(self._context, record)
            cost = problem_of(self._context, SearchOptions(), costs, record).cost
            inference = {
                name: cost(config).values["latency_ms"] for name, config in configs.items()
            }
        else:
            inference = {
                name: count_macs(shape, config, seq_len=seq_len)
                for name, config in configs.items()
            }
        return [
            Point(name, Size(count_parameters(shape, config), inference[name]))
            for name, config in configs.items()
        ]

    @cached_property
    def lesson(self) -> "Lesson":
        """The run's task."""
        task = self._context.task
        return _task_lesson(task, self.tokenizer, self.request.error, max_length=task.max_length)


def _task_lesson(
    task: Task, tokenizer: "PreTrainedTokenizerBase", options: ErrorOptions, *, max_length: int
) -> "Lesson":
    """A task's training texts, and of its search split what is held out."""
    from ..bort.training import Lesson, task_loss
    from ..tasks.batches import encode

    train, search = (
        encode(split, tokenizer, max_length=max_length) for split in (task.train, task.search)
    )
    return Lesson(train, search.first(options.examples), task_loss)


def _plain_texts(paths: Sequence[Path]) -> Texts:
    """The different texts of some files, one a line, that are not blank."""
    found = dict.fromkeys(
        line.strip() for path in paths for (line,) in read_lines(path).rows if line.strip()
    )
    if len(found) < FEWEST_TEXTS:
        raise InputError(
            f"{listed(map(str, paths))}: {len(found)} different texts are too few to learn words "
            f"from: give at least {FEWEST_TEXTS}, one a line."
        )
    return Texts(tuple(found), None)
