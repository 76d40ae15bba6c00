"""What the steps of a run share: its folder, its request, its ledger and its workshop.

Heavy libraries are imported when the workshop is first asked for, and what only training needs
with it, so that a run that is trained, profiled and searched answers queries at once.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..deploy.deployment import EAGER_FP32
from ..dynabert.options import variants_of
from ..errors import InputError
from ..networks.network import Cut, Network, find_of_space
from ..networks.shape import EncoderShape
from ..networks.space import Space
from ..networks.subnet import SubnetConfig, subnet_label
from ..profiling.protocol import LatencyProtocol
from ..storage import append_record, read_records
from ..tasks.task import Task, Texts
from ..training.method import Variants
from .folder import RunFolder, read_manifest, refuse_difference
from .ledger import Ledger
from .request import RunRequest, files_record

if TYPE_CHECKING:
    from .workshop import Workshop


class Context:
    """A run folder with what was asked of it.

    Attributes:
        folder: The paths inside the run folder.
        request: What was asked.
        collecting: Shows how many texts' states were collected for repairs, of how many, whichever
            step needs them first; None where nobody looks.
    """

    def __init__(self, folder: RunFolder, request: RunRequest) -> None:
        """Keep the folder and the request."""
        self.folder = folder
        self.request = request
        self.collecting: Callable[[int, int], None] | None = None

    @classmethod
    def open(cls, folder: RunFolder) -> Self:
        """That of a run that was started before.

        Raises:
            InputError: When the folder is no run folder or its manifest is damaged.
        """
        return cls(folder, RunRequest.from_dict(read_manifest(folder)["request"]))

    @cached_property
    def task(self) -> Task:
        """The task, loaded again.

        Raises:
            InputError: When its data is not what the run was started with.
        """
        from ..tasks.loading import load_task

        task = load_task(self.request.task)
        refuse_difference(self.folder, {"task": self.manifest["task"]}, {"task": task.summary()})
        return task

    @cached_property
    def unlabelled(self) -> Texts | None:
        """The texts without labels that the run was given, read again.

        Raises:
            InputError: When a file is not what the run was started with; naming it.
        """
        asked = self.request.unlabelled
        if not asked:
            return None
        from ..tasks.transfer import load_unlabelled

        found = load_unlabelled(
            (file.path for file in asked), self.task, request=self.request.task
        )
        refuse_difference(
            self.folder,
            {"unlabelled": files_record(asked)},
            {"unlabelled": files_record(found.files)},
        )
        return found.texts

    @cached_property
    def checkpoint(self) -> Path:
        """The folder of the pre-trained model that the run began with.

        Raises:
            InputError: When it is not there any more, or has changed.
        """
        from ..encoders.checkpoints import find_checkpoint

        found = find_checkpoint(self.request.model)
        refuse_difference(
            self.folder,
            {"model's fingerprint": self.request.fingerprint},
            {"model's fingerprint": found.fingerprint},
        )
        return found.folder

    @property
    def variants(self) -> Variants | None:
        """The variants of the training texts that are learnt from.

        Raises:
            InputError: When there are some, and the pre-trained model is not there any more.
        """
        training = self.request.training
        if not training.augment:
            return None
        return variants_of(training, checkpoint=self.checkpoint, run=self.folder.root)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What `run.json` holds: the request, the task's summary, versions."""
        return read_manifest(self.folder)

    @cached_property
    def ledger(self) -> Ledger:
        """Everything learnt about the run's networks."""
        return Ledger.open(self.request.storage or self.folder.ledger, run=self.manifest["run"])

    @property
    def has_ledger(self) -> bool:
        """Whether anything can have been learnt yet; asking makes no ledger."""
        return self.request.storage is not None or self.folder.ledger.exists()

    @cached_property
    def workshop(self) -> "Workshop":
        """What builds, writes and scores the run's networks.

        Raises:
            InputError: When there is no supernet yet.
        """
        self.require_supernet()
        from .workshop import Workshop

        def collecting(done: int, total: int) -> None:
            if self.collecting is not None:
                self.collecting(done, total)

        return Workshop(
            self.folder, self.task, unlabelled=lambda: self.unlabelled, collecting=collecting
        )

    @cached_property
    def space(self) -> Space:
        """The sub-networks that the supernet is trained for."""
        return self.request.training.space_of(self.shape)

    @property
    def fine_tuning_rate(self) -> float:
        """The learning rate that stage 0 took at last; the one asked for before it did."""
        for record in reversed(read_records(self.folder.training)):
            if record["stage"] == "teacher" and "learning_rate" in record:
                return float(record["learning_rate"])
        return self.request.training.fine_tuning_rate

    @property
    def trained(self) -> bool:
        """Whether the supernet is there."""
        return self.folder.supernet.is_dir()

    @cached_property
    def full(self) -> Network:
        """The supernet's full model, which latencies are relative to."""
        known = self.ledger.full()
        if known is not None:
            return known
        from ..encoders.families import shape_of

        shape = shape_of(self.workshop.model.config)
        full = SubnetConfig.full(shape)
        network = Network(full.key, Cut(shape, full))
        self.ledger.add_network(network)
        return network

    @property
    def shape(self) -> EncoderShape:
        """The full model's sizes."""
        shape = self.full.shape
        assert shape is not None
        return shape

    def cut(self, config: SubnetConfig) -> Network:
        """A sub-network of the run's supernet as a network, labelled by its key."""
        return Network(config.key, Cut(self.shape, config))

    def subnets(self) -> dict[SubnetConfig, Network]:
        """The landmarks of the space, in its order, labelled by how they were asked for."""
        shape = self.shape
        return {
            config: Network(
                subnet_label(config, shape, width=width, tokens=tokens), Cut(shape, config)
            )
            for config, (width, _, tokens) in self.space.landmarks.items()
        }

    def stored(self) -> dict[str, Network]:
        """The networks beside the supernet by id, in the order in which they were added."""
        return dict(self.ledger.networks(kind="stored"))

    def networks(self) -> dict[str, Network]:
        """What is profiled, searched and compared, by id: the landmarks, then what is stored."""
        return {network.id: network for network in self.subnets().values()} | self.stored()

    def searched(self) -> dict[str, Network]:
        """The same, and then every other network that a search has scored."""
        own, known = self.networks(), self.ledger.networks()
        scores = self.ledger.evaluations(split="search", deployment=EAGER_FP32)
        return own | {each: known[each] for each in scores if each not in own}

    def named(self, name: str) -> Network:
        """A network by any name of it; see `find_of_space`.

        Raises:
            InputError: When there is no such network, or several are meant.
        """
        return find_of_space(self.searched(), self.space, name)

    def require_supernet(self) -> None:
        """Refuse to go on without a trained supernet.

        Raises:
            InputError: Naming the command that trains it.
        """
        if not self.trained:
            raise InputError(f"{self.folder.root} is not trained yet: {self.command('train')}.")

    def command(self, name: str) -> str:
        """A command line for this run, for messages."""
        return f"paretobert {name} {self.folder.root}"

    def options(self, protocol: LatencyProtocol) -> list[str]:
        """The options of `profile` that ask for a protocol, where it is not the run's own."""
        asked = {
            name: getattr(protocol, name) for name in self.request.protocol.differences(protocol)
        }
        if "lengths" in asked:
            asked |= {"lengths": ",".join(map(str, protocol.lengths))}
            asked.pop("seq_len", None)
        return [f"--{name.replace('_', '-')} {value}" for name, value in asked.items()]

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Keep the wall time of a step that did something."""
        start_s = time.perf_counter()
        yield
        wall_s = round(time.perf_counter() - start_s, 2)
        append_record(self.folder.steps, {"step": step, "wall_s": wall_s})
