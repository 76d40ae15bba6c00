"""PoWER-BERT's steps from a fine-tuned model to one that eliminates word-vectors (section 3).

    fine-tuned model -search-> weights and retention configuration -re-train-> network

Step 1, fine-tuning, is a run's teacher. Step 2 trains the weights and r together and keeps the
last weights. Step 3 trains on from these with hard extraction. Losses are on true labels,
cross-entropy of classes and mean squared error of scores; there is no distillation, as in the
paper. Step 3 ends with the weights that score best on the search split (`training.best`), which
is not in the paper. Each step's result is a folder, and a killed training continues to the same
weights.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedModel

from .. import storage
from ..encoders.elimination import significance_in
from ..encoders.extraction import extract
from ..encoders.families import shape_of
from ..networks.retention import Retention
from ..networks.subnet import SubnetConfig
from ..tasks.batches import Batch, EncodedSplit, encode
from ..tasks.evaluation import evaluate
from ..tasks.scores import Evaluation
from ..tasks.task import Task
from ..training.best import Judge
from ..training.classifier import load_stored
from ..training.distillation import prediction_loss
from ..training.loop import Result, TrainingProgress, made, run_stage, weight_groups
from ..training.pace import check_steps
from ..training.precision import autocast, matmul_dtype
from .configuration import retention_learning_rate, search_for
from .options import PowerOptions
from .soft import SoftRetention, retention_loss, soft_logits

RETENTION_FILE = "retention.json"
LOG_FILE = "training.jsonl"
TRACE_FILE = "search.jsonl"
STAGES = ("search", "re-train")
TRACE_POINTS = 50
"""Steps of the search of which lambda and the cost are kept."""


def train_power(
    *,
    teacher: Path,
    task: Task,
    folder: Path,
    options: PowerOptions,
    progress: Callable[[TrainingProgress], None],
) -> None:
    """Search a retention configuration and train with it, or go on where this was interrupted.

    Writes `folder/retention.json` (the configuration and what it was read from),
    `folder/search.jsonl` (how lambda and the cost went) and `folder/network` (a dense network
    that eliminates word-vectors, with its tokenizer).

    Args:
        teacher: The fine-tuned full model.
        task: What is learnt.
        folder: The destination.
        options: The target and the settings of both steps.
        progress: Called after every step.

    Raises:
        InputError: When the head reads every word-vector, the training has too many steps, the
            target is out of reach, or a loss stops being finite.
    """
    task.head.require_first_token()
    check_steps(options, (options.search_epochs + options.retrain_epochs, len(task.train)))
    training = _Training(task, folder, options, progress)
    searched = made(folder / "searched", lambda: training.searched(teacher))
    made(folder / "network", lambda: training.retrained(searched))
    for stage in STAGES:
        _state_file(folder, stage).unlink(missing_ok=True)


def read_trace(folder: Path) -> list[dict[str, Any]]:
    """Lambda and the cost by step, as the search that `train_power` ran wrote them.

    A search that was killed has repeated some steps, to the same numbers.
    """
    records = storage.read_records(folder / TRACE_FILE)
    return list({record["step"]: record for record in records}.values())


def read_retention(folder: Path) -> Retention:
    """The retention configuration that `train_power` wrote into a folder."""
    return Retention.from_dict(storage.read_json(folder / RETENTION_FILE)["retention"])


class _Search(nn.Module):
    """The model and its soft-extract layers, whose parameters are trained together."""

    def __init__(self, model: PreTrainedModel, retention: SoftRetention) -> None:
        super().__init__()
        self.model = model
        self.retention = retention


class _Training:
    """One run's data and settings; each method makes one step's result."""

    def __init__(
        self,
        task: Task,
        folder: Path,
        options: PowerOptions,
        progress: Callable[[TrainingProgress], None],
    ) -> None:
        self.task = task
        self.folder = folder
        self.options = options
        self.progress = progress
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = matmul_dtype(options.precision, self.device)

    def searched(self, teacher: Path) -> Result:
        """Step 2: weights and r are trained together; r is read off."""
        options = self.options
        model, tokenizer = self._loaded(teacher)
        encoded = self._encoded(tokenizer)
        shape = shape_of(model.config)
        wanted = search_for(options, shape, encoded.lengths)
        retention = SoftRetention(shape.num_layers, encoded.lengths, unit=options.unit)
        search = _Search(model, retention.to(self.device))
        num_steps = options.search_epochs * -(-len(encoded) // options.batch_size)
        groups = weight_groups(
            model, learning_rate=options.learning_rate, weight_decay=options.weight_decay
        )
        rate = options.retention_learning_rate or retention_learning_rate(
            options.retention_travel, num_steps
        )
        groups.append({"params": [retention.vectors], "weight_decay": 0.0, "lr": rate})

        def gradients(batch: Batch, step: int) -> float:
            with autocast(self.device, self.dtype):
                logits = soft_logits(model, retention, batch)
            loss = prediction_loss(logits, batch["labels"], head=self.task.head)
            loss.backward()
            masses = retention.masses().tolist()
            weight = wanted.penalty(
                masses, progress=step / num_steps, resistance=retention.resistance()
            )
            retention_loss(retention, weight).backward()
            if step % math.ceil(num_steps / TRACE_POINTS) == 0:
                cost = wanted.costs.of_masses(masses)
                storage.append_record(
                    self.folder / TRACE_FILE, {"step": step, "lambda": weight, "cost": cost}
                )
            return loss.item()

        with significance_in(model, diagonal=options.diagonal == "include"):
            self._run(
                "search", search, encoded, gradients, groups=groups, after_step=retention.clip
            )
        masses = retention.masses().tolist()
        found = wanted.read_off(masses)
        storage.write_json(
            self.folder / RETENTION_FILE,
            {
                "retention": found.to_dict(),
                "masses": masses,
                "relative_cost_of_masses": wanted.costs.of_masses(masses),
                "relative_cost": wanted.costs.of(found),
                "options": options.to_dict(),
            },
        )
        return model, tokenizer

    def retrained(self, searched: Path) -> Result:
        """Step 3: train on with hard extraction."""
        options = self.options
        model, tokenizer = self._loaded(searched)
        full = SubnetConfig.full(shape_of(model.config))
        config = replace(full, tokens=read_retention(self.folder))
        network = extract(model, config, diagonal=options.diagonal == "include")

        def gradients(batch: Batch, step: int) -> float:
            inputs = {name: entry for name, entry in batch.items() if name != "labels"}
            with autocast(self.device, self.dtype):
                logits: Tensor = network(**inputs).logits
            loss = prediction_loss(logits, batch["labels"], head=self.task.head)
            loss.backward()
            return loss.item()

        search = encode(self.task.search, tokenizer, max_length=self.task.max_length)

        def judge() -> dict[str, Evaluation]:
            return {"re-train": evaluate(network, search, task=self.task, split="search")}

        self._run("re-train", network, self._encoded(tokenizer), gradients, judge=judge)
        return network.eval(), tokenizer

    def _loaded(self, folder: Path) -> tuple[PreTrainedModel, Any]:
        model = load_stored(folder)
        nn.Module.to(model, self.device)
        return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def _encoded(self, tokenizer: Any) -> EncodedSplit:
        return encode(self.task.train, tokenizer, max_length=self.task.max_length)

    def _run(
        self,
        stage: str,
        model: nn.Module,
        encoded: EncodedSplit,
        gradients: Callable[[Batch, int], float],
        *,
        groups: list[dict[str, Any]] | None = None,
        after_step: Callable[[], None] = lambda: None,
        judge: Judge | None = None,
    ) -> None:
        options = self.options
        epochs = dict(zip(STAGES, (options.search_epochs, options.retrain_epochs), strict=True))
        run_stage(
            stage,
            model,
            encoded,
            gradients,
            groups=groups,
            epochs=epochs[stage],
            pace=options,
            device=self.device,
            dtype=self.dtype,
            state_file=_state_file(self.folder, stage),
            log=self.folder / LOG_FILE,
            progress=self.progress,
            after_step=after_step,
            judge=judge,
        )


def _state_file(folder: Path, stage: str) -> Path:
    return folder / f"{stage}.safetensors"
