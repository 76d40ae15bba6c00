"""The workshop: the one place where a network becomes a dense model, files and scores.

A cut network is extracted from the supernet, and repaired where that was not trained; a stored one
is loaded from its folder. Nothing after this asks where a network came from. The supernet is read,
and a split tokenised, when they are first needed.
"""

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..deploy.artefact import load, write
from ..deploy.deployment import EAGER_FP32, Deployment
from ..deploy.runner import Inputs, Runner
from ..dynabert.repairs import RepairOptions, Repairs, read_options, repair_texts
from ..dynabert.supernet import Supernet
from ..encoders.extraction import extract
from ..errors import InputError
from ..networks.network import Cut, Network, Stored
from ..profiling.counts import count_macs, count_parameters
from ..profiling.crosscheck import count_macs_by_fvcore
from ..profiling.inputs import histogram_lengths
from ..profiling.protocol import LatencyProtocol
from ..tasks.batches import EncodedSplit, EncodedTexts, encode, encode_texts, padded
from ..tasks.evaluation import evaluate, evaluate_deployed
from ..tasks.scores import Evaluation
from ..tasks.task import Task, Texts
from ..training.classifier import load_stored
from .folder import RunFolder

CALIBRATION_EXAMPLES = 256
CALIBRATION_BATCH = 8
CHECK_LENGTH = 16
"""Tokens of the example on which a dense model's multiply-adds are counted."""


class Workshop:
    """Builds the networks of a run, writes them as deployed, and scores them.

    Scores are computed on a GPU where there is one.

    Attributes:
        task: What is scored.
    """

    def __init__(
        self,
        folder: RunFolder,
        task: Task,
        *,
        unlabelled: Callable[[], Texts | None],
        collecting: Callable[[int, int], None],
    ) -> None:
        """Keep where networks lie and what they are scored on.

        Args:
            folder: The run folder.
            task: What is scored.
            unlabelled: Gives the run's texts without labels, from which repairs are made too.
            collecting: Is called with the number of texts whose states were collected for
                repairs, and of all.
        """
        self._folder = folder
        self._unlabelled = unlabelled
        self._collecting = collecting
        self.task = task
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._encoded: dict[tuple[str, str], EncodedSplit] = {}
        self._scratch = Path(tempfile.mkdtemp(prefix="paretobert-"))
        weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)

    @cached_property
    def model(self) -> PreTrainedModel:
        """The supernet's model, which is the full model."""
        return Supernet.from_pretrained(self._folder.supernet).model

    @cached_property
    def _repairs(self) -> Repairs | None:
        """What repairs the supernet's sub-networks, where they were not trained."""
        home = self._folder.supernet
        options = read_options(home)
        if options is None:
            return None

        def texts(options: RepairOptions) -> EncodedTexts:
            known = self.task.train.followed_by(self._unlabelled())
            tokenizer = AutoTokenizer.from_pretrained(home, local_files_only=True)
            return repair_texts(known, tokenizer, options, max_length=self.task.max_length)

        return Repairs(
            self.model,
            options,
            texts=texts,
            kept_in=self._folder.repaired,
            progress=self._collecting,
        )

    def build(self, network: Network) -> PreTrainedModel:
        """A network as a dense model in evaluation mode, on the CPU.

        Raises:
            InputError: When the network is printed, or its folder is absent or damaged.
        """
        if isinstance(network.recipe, Cut):
            config = network.recipe.config
            if self._repairs is not None:
                return self._repairs.build(config)
            return extract(self.model, config)
        model = load_stored(self._home(network))
        model.eval()
        return model

    def tokenizer(self, network: Network) -> PreTrainedTokenizerBase:
        """The tokenizer that a network was trained with."""
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            self._home(network), local_files_only=True
        )
        return tokenizer

    def calibration(self, network: Network) -> tuple[Inputs, ...]:
        """The first examples of the search split, for quantisation."""
        encoded = self._split("search", network)
        chosen = range(min(CALIBRATION_EXAMPLES, len(encoded)))
        batches = [
            padded(encoded, chosen[start : start + CALIBRATION_BATCH])
            for start in range(0, len(chosen), CALIBRATION_BATCH)
        ]
        return tuple(_without_labels(batch) for batch in batches)

    @cached_property
    def training_lengths(self) -> tuple[int, ...]:
        """Tokens of each training text, by the full model's tokenizer."""
        tokenizer = AutoTokenizer.from_pretrained(self._folder.supernet, local_files_only=True)
        texts = encode_texts(self.task.train, tokenizer, max_length=self.task.max_length)
        return texts.lengths

    def lengths(self, network: Network, protocol: LatencyProtocol) -> tuple[int, ...]:
        """Lengths that stand for the search split's examples at the protocol's batch size."""
        lengths = self._split("search", network).lengths
        return histogram_lengths(lengths, batch_size=protocol.batch_size)

    def written(self, network: Network, deployment: Deployment) -> Path:
        """A network as it is deployed, written once and kept as long as the workshop.

        Its counts are compared with the closed form first.

        Args:
            network: The network.
            deployment: Runtime and precision.

        Raises:
            RuntimeError: When the dense model has other counts than the closed form.
        """
        folder = self._scratch / f"{network.id}-{deployment.slug}"
        if not folder.exists():
            self._write(self.build(network), network, deployment, folder)
        return folder

    def write_unrepaired(self, network: Network, deployment: Deployment, folder: Path) -> None:
        """Write a sub-network as the supernet has it, for what depends on its sizes alone."""
        assert isinstance(network.recipe, Cut)
        self._write(extract(self.model, network.recipe.config), network, deployment, folder)

    def _write(
        self, dense: PreTrainedModel, network: Network, deployment: Deployment, folder: Path
    ) -> None:
        refuse_other_counts(dense, network)
        calibration = self.calibration(network) if deployment.precision == "int8" else ()
        write(dense, deployment, folder, calibration=calibration)

    def write(self, network: Network, deployment: Deployment, folder: Path) -> None:
        """Write a network as it is deployed into a new folder; see `written`."""
        shutil.copytree(self.written(network, deployment), folder, copy_function=_linked)

    def score(
        self, network: Network, *, split: str, deployment: Deployment = EAGER_FP32
    ) -> Evaluation:
        """Score a network on a split, as deployed where that changes its numbers."""
        if not deployment.changes_numbers:
            return self._score_dense(self.build(network), network, split=split)
        return self.score_written(self.written(network, deployment), network, split=split)

    def score_written(self, folder: Path, network: Network, *, split: str) -> Evaluation:
        """Score a network by the runtime that it is written for.

        Args:
            folder: What `write` wrote.
            network: The network.
            split: The split's name.
        """
        runner = load(folder, threads=torch.get_num_threads())
        encoded = self._split(split, network)
        return evaluate_deployed(_by(runner), encoded, task=self.task, split=split)

    def answers(
        self, folder: Path, network: Network, *, split: str, num_examples: int
    ) -> Sequence[float]:
        """What a written network predicts for the first examples of a split.

        Args:
            folder: What `write` wrote.
            network: The network.
            split: The split's name.
            num_examples: How many examples at most.
        """
        runner = load(folder, threads=torch.get_num_threads())
        encoded = self._split(split, network).first(num_examples)
        found = evaluate_deployed(_by(runner), encoded, task=self.task, split=split)
        return found.predictions

    def _score_dense(self, dense: PreTrainedModel, network: Network, *, split: str) -> Evaluation:
        model = dense.to(self._device)  # type: ignore[arg-type]
        return evaluate(model, self._split(split, network), task=self.task, split=split)

    def _home(self, network: Network) -> Path:
        """The folder of the checkpoint that a network is made of."""
        recipe = network.recipe
        if isinstance(recipe, Cut):
            return self._folder.supernet
        if isinstance(recipe, Stored):
            return self._folder.network(network.id) / "network"
        raise InputError(f"{network.label} is a published number: there is no network to run.")

    def _split(self, name: str, network: Network) -> EncodedSplit:
        """A split as the network's tokenizer encodes it; networks may share one."""
        identity = _digest(self._home(network) / "tokenizer.json")
        if (identity, name) not in self._encoded:
            self._encoded[identity, name] = encode(
                self.task.splits[name], self.tokenizer(network), max_length=self.task.max_length
            )
        return self._encoded[identity, name]


def refuse_other_counts(dense: PreTrainedModel, network: Network) -> None:
    """Raise if a dense model is not what its network's integers say.

    Raises:
        RuntimeError: Naming both counts.
    """
    shape, config = network.shape, network.config
    assert shape is not None
    assert config is not None
    for name, counted, expected in (
        ("parameters", dense.num_parameters(), count_parameters(shape, config)),
        (
            "multiply-adds",
            count_macs_by_fvcore(dense, seq_len=CHECK_LENGTH),
            count_macs(shape, config, seq_len=CHECK_LENGTH),
        ),
    ):
        if counted != expected:
            raise RuntimeError(
                f"{network.name}: the dense model has {counted} {name}, the closed form {expected}"
            )


def _linked(source: str, target: str) -> None:
    """The same file under another name; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else str(path)


def _by(runner: Runner) -> Callable[[dict[str, Tensor]], Tensor]:
    return lambda batch: torch.from_numpy(runner.logits(_without_labels(batch)))


def _without_labels(batch: dict[str, Tensor]) -> Inputs:
    return {name: tensor.numpy() for name, tensor in batch.items() if name != "labels"}
