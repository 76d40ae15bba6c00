"""The sub-networks of a trained supernet as dense copies, and their scores."""

from functools import cached_property
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedModel

from ..dynabert.extraction import extract
from ..dynabert.subnet import SubnetConfig
from ..dynabert.supernet import Supernet
from ..tasks.batches import EncodedSplit, encode
from ..tasks.evaluation import evaluate
from ..tasks.metrics import Evaluation
from ..tasks.task import Task


class SubnetScorer:
    """Scores sub-networks on the splits of a task, on a GPU where there is one.

    The supernet is read, and a split tokenised, when they are first needed.
    """

    def __init__(self, supernet: Path, task: Task) -> None:
        """Keep where the supernet lies and what its sub-networks are scored on."""
        self._folder = supernet
        self._task = task
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._encoded: dict[str, EncodedSplit] = {}

    @cached_property
    def _supernet(self) -> Supernet:
        return Supernet.from_pretrained(self._folder)

    def dense(self, config: SubnetConfig) -> PreTrainedModel:
        """The dense copy of a sub-network, on the CPU."""
        return extract(self._supernet.model, config)

    def score(self, config: SubnetConfig, *, split: str) -> Evaluation:
        """Score a sub-network on a split."""
        if split not in self._encoded:
            tokenizer = AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
            self._encoded[split] = encode(
                self._task.splits[split], tokenizer, max_length=self._task.max_length
            )
        model = self.dense(config).to(self._device)  # type: ignore[arg-type]
        return evaluate(model, self._encoded[split], task=self._task, split=split)
