"""The sub-networks of a trained supernet as they are deployed, and their scores."""

import tempfile
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from ..deploy.artefact import load
from ..deploy.deployment import EAGER_FP32, Deployment
from ..deploy.runner import Inputs
from ..dynabert.supernet import Supernet
from ..encoders.extraction import extract
from ..networks.subnet import SubnetConfig
from ..profiling.deployed import write_subnet
from ..profiling.inputs import histogram_lengths
from ..profiling.protocol import LatencyProtocol
from ..tasks.batches import EncodedSplit, encode, padded
from ..tasks.evaluation import evaluate, evaluate_deployed
from ..tasks.metrics import Evaluation
from ..tasks.task import Task

CALIBRATION_EXAMPLES = 256
CALIBRATION_BATCH = 8


class SubnetScorer:
    """Scores sub-networks on the splits of a task, on a GPU where there is one.

    The supernet is read, and a split tokenised, when they are first needed.

    Attributes:
        task: What is scored.
    """

    def __init__(self, supernet: Path, task: Task) -> None:
        """Keep where the supernet lies and what its sub-networks are scored on."""
        self._folder = supernet
        self.task = task
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._encoded: dict[str, EncodedSplit] = {}

    @cached_property
    def model(self) -> PreTrainedModel:
        """The supernet's model, which is the full model."""
        return Supernet.from_pretrained(self._folder).model

    @cached_property
    def calibration(self) -> tuple[Inputs, ...]:
        """The first examples of the search split, for quantisation."""
        encoded = self._split("search")
        chosen = range(min(CALIBRATION_EXAMPLES, len(encoded)))
        batches = [
            padded(encoded, chosen[start : start + CALIBRATION_BATCH])
            for start in range(0, len(chosen), CALIBRATION_BATCH)
        ]
        return tuple(_without_labels(batch) for batch in batches)

    def lengths(self, protocol: LatencyProtocol) -> tuple[int, ...]:
        """Lengths that stand for the search split's examples at the protocol's batch size."""
        return histogram_lengths(self._split("search").lengths, batch_size=protocol.batch_size)

    def write(self, config: SubnetConfig, deployment: Deployment, folder: Path) -> None:
        """Write a sub-network as it is deployed."""
        calibration = self.calibration if deployment.precision == "int8" else ()
        write_subnet(self.model, config, deployment, folder, calibration=calibration)

    def score(
        self, config: SubnetConfig, *, split: str, deployment: Deployment = EAGER_FP32
    ) -> Evaluation:
        """Score a sub-network on a split, as deployed where that changes its numbers."""
        dense = extract(self.model, config)
        if not deployment.changes_numbers:
            return self._score_dense(dense, split=split)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / config.key
            self.write(config, deployment, folder)
            return self.score_written(dense, folder, split=split, deployment=deployment)

    def score_written(
        self, dense: PreTrainedModel, folder: Path, *, split: str, deployment: Deployment
    ) -> Evaluation:
        """Score a network that is written, by its runtime where that changes its numbers.

        Args:
            dense: The network in torch.
            folder: The same as its runtime takes it.
            split: The split's name.
            deployment: Runtime and precision.
        """
        if not deployment.changes_numbers:
            return self._score_dense(dense, split=split)
        runner = load(folder, threads=torch.get_num_threads())

        def network(batch: dict[str, Tensor]) -> Tensor:
            return torch.from_numpy(runner.logits(_without_labels(batch)))

        return evaluate_deployed(network, self._split(split), task=self.task, split=split)

    def _score_dense(self, dense: PreTrainedModel, *, split: str) -> Evaluation:
        model = dense.to(self._device)  # type: ignore[arg-type]
        return evaluate(model, self._split(split), task=self.task, split=split)

    def _split(self, name: str) -> EncodedSplit:
        if name not in self._encoded:
            tokenizer = AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
            self._encoded[name] = encode(
                self.task.splits[name], tokenizer, max_length=self.task.max_length
            )
        return self._encoded[name]


def _without_labels(batch: dict[str, Tensor]) -> Inputs:
    return {name: tensor.numpy() for name, tensor in batch.items() if name != "labels"}
