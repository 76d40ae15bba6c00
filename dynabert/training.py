"""The training stages, from a checkpoint to a trained supernet (DynaBERT section 2, figure 2).

    checkpoint -0-> teacher -> rewired copy -1-> DynaBERT_W -2-> DynaBERT [-> tokens] [-3-> final]

Stage 0 fine-tunes the full model. Stage 1 (Algorithm 2) trains every width at full depth against
the teacher. Stage 2 (Algorithm 3) trains every width and depth against the fixed DynaBERT_W of
the same width. An optional stage, not in the paper, then makes word-vectors the third elastic
dimension. Stage 3 is the optional fine-tuning of all sub-networks on the labels. In a step the
gradients of the step's sub-networks add up, are clipped once and followed by one update.

Stages 0 and 3 learn from the labelled training texts. The others learn from a teacher alone, from
these texts and from transfer texts (unlabelled ones, and variants of the training texts): their
batches hold no labels.

The embeddings are not sliced, so that a step computes them, and their dropout mask, once for all
of its sub-networks. Every stage ends with the weights that score best on the search split
(`judging`). Left out: stage 2's wider teacher of the published code.

Each stage's result is a folder, each stage saves its state at a step interval, and batches and
draws depend on the seed and the step alone: a killed run continues to the same weights.

The recipe closed-form stops after stage 0: units are sorted by `removal`, and every sub-network is
repaired when it is built (`repairs`).
"""

import math
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .. import storage
from ..encoders.running import EncoderOutput
from ..networks.retention import Retention
from ..networks.shape import EncoderShape
from ..networks.subnet import ElasticSpace, SubnetConfig
from ..tasks.batches import Batch, EncodedSplit, EncodedTexts, encode, encode_texts, joined
from ..tasks.heads import Head
from ..tasks.task import Task, Texts
from ..training.augmentation import Augmented, augment
from ..training.classifier import load_classifier, load_stored
from ..training.distillation import (
    DEPTH_STAGE,
    WIDTH_STAGE,
    LossWeights,
    joint_loss,
    logit_loss,
    prediction_loss,
)
from ..training.loop import Result, TrainingProgress, made, run_stage, weight_groups
from ..training.precision import autocast, matmul_dtype
from .importance import task_importance
from .judging import judge_of
from .options import TrainingOptions
from .reconstruction import collect
from .removal import necessity
from .repairs import RepairableSupernet, RepairOptions, repair_texts
from .rewiring import rewire
from .supernet import Supernet

LOG_FILE = "training.jsonl"
CHECKPOINTS = "checkpoints"
AUGMENT = "augment"


def train_supernet(
    *,
    model: str | Path,
    task: Task,
    folder: Path,
    options: TrainingOptions,
    progress: Callable[[TrainingProgress], None],
    unlabelled: Texts | None = None,
) -> None:
    """Train a supernet into `folder`, or continue where an earlier call was stopped.

    Writes `folder/teacher` (the fine-tuned full model) and `folder/supernet`, both with their
    tokenizer, and a line for each finished stage into `folder/training.jsonl`;
    `folder/checkpoints` holds what a killed run needs and is removed at the end.

    Args:
        model: The folder of a checkpoint of a supported family.
        task: What is learnt; importance is measured on its search split.
        folder: The run folder.
        options: Settings of all stages.
        progress: Called after every step.
        unlabelled: Transfer texts; the same ones when an earlier call is continued.

    Raises:
        InputError: When the checkpoint does not fit the task, or a loss stops being finite.
    """
    supernet = folder / "supernet"
    if supernet.is_dir():
        return
    checkpoints = folder / CHECKPOINTS
    training = _Training(
        task, folder, options, progress, checkpoint=Path(model), unlabelled=unlabelled
    )
    teacher = made(folder / "teacher", lambda: training.teacher(model))
    if options.recipe == "closed-form":
        made(supernet, lambda: training.repairable(teacher))
        shutil.rmtree(checkpoints, ignore_errors=True)
        return
    rewired = teacher
    if options.rewiring == "importance":
        rewired = made(checkpoints / "rewired", lambda: training.rewired(teacher))
    width = made(checkpoints / "width", lambda: training.width(rewired, teacher))
    stages: list[tuple[str, Callable[[Path], Result]]] = [("depth", training.depth)]
    if options.token_epochs:
        stages.append(("tokens", partial(training.tokens, teacher=teacher)))
    if options.final_epochs:
        stages.append(("final", training.final))
    latest = width
    for name, stage in stages[:-1]:
        latest = made(checkpoints / name, partial(stage, latest))
    made(supernet, partial(stages[-1][1], latest))
    shutil.rmtree(checkpoints)


def step_configs(
    configs: Sequence[SubnetConfig], *, options: TrainingOptions, stage: str, step: int
) -> list[SubnetConfig]:
    """Choose the sub-networks that learn in one step, by the recipe.

    Args:
        configs: The stage's sub-networks, the largest first and the smallest last.
        options: Recipe, number of random sub-networks, seed.
        stage: Its name; the draw depends on the seed, the stage and the step alone.
        step: The step's number.
    """
    middle = list(configs[1:-1])
    if options.recipe == "paper" or len(middle) <= options.sandwich_random:
        return list(configs)
    generator = Random(f"{options.seed}/{stage}/{step}")
    drawn = set(generator.sample(middle, options.sandwich_random))
    return [c for c in configs if c in drawn or c in (configs[0], configs[-1])]


def label_gradients(
    supernet: Supernet,
    batch: Batch,
    configs: Sequence[SubnetConfig],
    *,
    head: Head,
    dtype: torch.dtype,
) -> float:
    """Add the gradients of the loss on true labels, for each of `configs`.

    Args:
        supernet: What learns.
        batch: Inputs with `labels`.
        configs: Sub-networks.
        head: Gives the loss.
        dtype: Of matrix products.

    Returns:
        The loss, averaged over the sub-networks.
    """
    total = 0.0
    with _shared_embeddings(supernet, batch, dtype=dtype) as embeddings:
        for equal in _equally_wide(configs):
            outputs = _encoded(supernet, embeddings, batch, equal, dtype=dtype)
            losses = [prediction_loss(o.logits, batch["labels"], head=head) for o in outputs]
            loss = torch.stack(losses).sum()
            loss.backward()
            total += loss.item()
    return total / len(configs)


def in_place_gradients(
    supernet: Supernet,
    batch: Batch,
    configs: Sequence[SubnetConfig],
    *,
    head: Head,
    dtype: torch.dtype,
) -> float:
    """Add the gradients of in-place distillation (Yu & Huang 2019, section 3.3).

    The largest sub-network learns from the labels, the others from its logits of the same step.

    Args:
        supernet: What learns.
        batch: Inputs with `labels`.
        configs: Sub-networks, the largest first.
        head: Gives the losses.
        dtype: Of matrix products.

    Returns:
        The loss, averaged over the sub-networks.
    """
    total, target = 0.0, None
    with _shared_embeddings(supernet, batch, dtype=dtype) as embeddings:
        for equal in _equally_wide(configs):
            losses = []
            for output in _encoded(supernet, embeddings, batch, equal, dtype=dtype):
                if target is None:
                    target = output.logits.detach()
                    losses.append(prediction_loss(output.logits, batch["labels"], head=head))
                else:
                    losses.append(logit_loss(output.logits, target, head=head))
            loss = torch.stack(losses).sum()
            loss.backward()
            total += loss.item()
    return total / len(configs)


def distillation_gradients(
    supernet: Supernet,
    teacher: Supernet,
    batch: Batch,
    teacher_configs: Mapping[SubnetConfig, SubnetConfig],
    *,
    weights: LossWeights,
    head: Head,
    dtype: torch.dtype,
) -> float:
    """Add the gradients of the distillation loss, for each of the sub-networks.

    The output of each kept layer is matched with the teacher's output of the same layer, at the
    word-vectors that the student has left there.

    Args:
        supernet: The student.
        teacher: The fixed teacher, in evaluation mode.
        batch: Inputs; labels are not used.
        teacher_configs: Sub-networks of the student, each with the teacher's sub-network of full
            depth that it learns from. A teacher's forward pass serves all of its students.
        weights: Of logits and hidden states.
        head: Says how logits are compared.
        dtype: Of matrix products.

    Returns:
        The loss, averaged over the sub-networks.
    """
    mask, total = batch["attention_mask"], 0.0
    targets: dict[SubnetConfig, EncoderOutput] = {}
    with _shared_embeddings(supernet, batch, dtype=dtype) as embeddings:
        with torch.no_grad(), autocast(embeddings.device, dtype):
            target_embeddings = teacher.embed(batch)
            for config in dict.fromkeys(teacher_configs.values()):
                (targets[config],) = teacher.encode_together(target_embeddings, batch, [config])
        for configs in _equally_wide(teacher_configs):
            outputs = _encoded(supernet, embeddings, batch, configs, dtype=dtype)
            students = defaultdict(list)
            for config, output in zip(configs, outputs, strict=True):
                students[teacher_configs[config]].append(output)
            loss = torch.stack(
                [
                    joint_loss(taught, targets[config], mask, weights=weights, head=head)
                    for config, taught in students.items()
                ]
            ).sum()
            loss.backward()
            total += loss.item()
    return total / len(teacher_configs)


def token_step_configs(
    space: ElasticSpace, shape: EncoderShape, *, options: TrainingOptions, step: int
) -> list[SubnetConfig]:
    """Choose the sub-networks that learn in a step of the token stage.

    The sandwich rule over all three dimensions: the full model, the smallest sub-network, and
    random widths and depths with random retention configurations, so that any configuration works
    later (after the Length-Adaptive Transformer, Kim & Cho 2021). Each random width and depth
    learns with every word-vector too, so that it does not forget how.

    Args:
        space: What the supernet is trained for.
        shape: The full model's sizes.
        options: Number of random sub-networks, seed.
        step: The step's number; the draw depends on the seed and it alone.
    """
    pairs = list(ElasticSpace(space.widths, space.depths).configs(shape))
    generator = Random(f"{options.seed}/tokens/{step}")
    least = min(space.tokens)
    smallest = Retention.from_multiplier(pairs[-1].num_layers, least)
    configs = [pairs[0], replace(pairs[-1], tokens=smallest)]
    for _ in range(options.sandwich_random):
        pair = generator.choice(pairs)
        retention = Retention.random(pair.num_layers, least=least, generator=generator)
        configs += [pair, replace(pair, tokens=retention)]
    return list(dict.fromkeys(configs))


def same_width_teacher(config: SubnetConfig, shape: EncoderShape) -> SubnetConfig:
    """The sub-network of full depth that is as wide as `config`, one width in every layer."""
    return SubnetConfig(
        layers=tuple(range(shape.num_layers)),
        heads=config.heads[:1] * shape.num_layers,
        neurons=config.neurons[:1] * shape.num_layers,
    )


class _Training:
    """One run's data and settings; each method makes one stage's result."""

    def __init__(
        self,
        task: Task,
        folder: Path,
        options: TrainingOptions,
        progress: Callable[[TrainingProgress], None],
        *,
        checkpoint: Path,
        unlabelled: Texts | None,
    ) -> None:
        self.task = task
        self.checkpoint = checkpoint
        self._variants: Augmented | None = None
        self.unlabelled = unlabelled
        self.checkpoints = folder / CHECKPOINTS
        self.log = folder / LOG_FILE
        self.options = options
        self.progress = progress
        self.space = ElasticSpace(options.widths, options.depths, options.tokens)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = matmul_dtype(options.precision, self.device)

    def teacher(self, checkpoint: str | Path) -> Result:
        """Stage 0: fine-tune the full model on the labels."""
        options = self.options
        model = load_classifier(
            checkpoint, self.task, seed=options.seed, fine_tuned=options.teacher_epochs == 0
        )
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
        supernet = self._supernet(model)
        full = [SubnetConfig.full(supernet.shape)]
        self._run(
            "teacher",
            supernet,
            self._labelled(tokenizer),
            lambda batch, step: label_gradients(
                supernet, batch, full, head=self.task.head, dtype=self.dtype
            ),
            epochs=options.teacher_epochs,
            judged=(full, tokenizer),
            learning_rate=options.fine_tuning_rate,
        )
        return model, tokenizer

    def rewired(self, teacher: Path) -> Result:
        """Sort a copy of the teacher's heads and neurons by importance on the search split."""
        model = load_stored(teacher)
        nn.Module.to(model, self.device)
        tokenizer = AutoTokenizer.from_pretrained(teacher, local_files_only=True)
        size = self.options.batch_size
        rewire(model, task_importance(model, tokenizer, self.task, batch_size=size))
        return model, tokenizer

    def repairable(self, teacher: Path) -> Result:
        """Sort a copy of the teacher's units by necessity; nothing is trained after that."""
        options = RepairOptions(seed=self.options.seed)
        model = load_stored(teacher)
        tokenizer = AutoTokenizer.from_pretrained(teacher, local_files_only=True)
        known = self.task.train.followed_by(self.unlabelled)
        texts = repair_texts(known, tokenizer, options, max_length=self.task.max_length)
        rewire(model, necessity(model, collect(model, texts, seed=options.seed)))
        return RepairableSupernet(Supernet(model, self.space), options), tokenizer

    def width(self, rewired: Path, teacher: Path) -> Result:
        """Stage 1: adaptive width, distilled from the fine-tuned model."""
        fixed = self._loaded(teacher)
        full = SubnetConfig.full(fixed.shape)
        widths = ElasticSpace(self.options.widths, (1.0,))
        return self._distilled("width", rewired, fixed, widths, lambda config: full)

    def depth(self, width: Path) -> Result:
        """Stage 2: adaptive width and depth, distilled from DynaBERT_W at the same width."""
        fixed = self._loaded(width)
        return self._distilled(
            "depth",
            width,
            fixed,
            ElasticSpace(self.options.widths, self.options.depths),
            lambda config: same_width_teacher(config, fixed.shape),
        )

    def tokens(self, depth: Path, teacher: Path) -> Result:
        """The token stage: eliminate word-vectors at every width and depth.

        As in stage 1 the fine-tuned model teaches: a sub-network that learned from itself with
        every word-vector would only fall behind.
        """
        fixed = self._loaded(teacher)
        supernet = self._loaded(depth)
        tokenizer = AutoTokenizer.from_pretrained(depth, local_files_only=True)
        full = SubnetConfig.full(fixed.shape)

        def gradients(batch: Batch, step: int) -> float:
            chosen = token_step_configs(self.space, fixed.shape, options=self.options, step=step)
            return distillation_gradients(
                supernet,
                fixed,
                batch,
                dict.fromkeys(chosen, full),
                weights=WIDTH_STAGE,
                head=self.task.head,
                dtype=self.dtype,
            )

        self._run(
            "tokens",
            supernet,
            self._transfer(tokenizer),
            gradients,
            epochs=self.options.token_epochs,
            judged=(list(self.space.configs(fixed.shape)), tokenizer),
        )
        return supernet, tokenizer

    def final(self, trained: Path) -> Result:
        """Stage 3: fine-tune every sub-network on the labels."""
        supernet = self._loaded(trained)
        tokenizer = AutoTokenizer.from_pretrained(trained, local_files_only=True)
        configs = list(self.space.configs(supernet.shape))

        def gradients(batch: Batch, step: int) -> float:
            chosen = step_configs(configs, options=self.options, stage="final", step=step)
            return label_gradients(supernet, batch, chosen, head=self.task.head, dtype=self.dtype)

        self._run(
            "final",
            supernet,
            self._labelled(tokenizer),
            gradients,
            epochs=self.options.final_epochs,
            judged=(configs, tokenizer),
        )
        return supernet, tokenizer

    def _distilled(
        self,
        stage: Literal["width", "depth"],
        start: Path,
        teacher: Supernet,
        space: ElasticSpace,
        teacher_config: Callable[[SubnetConfig], SubnetConfig],
    ) -> Result:
        supernet = self._loaded(start)
        tokenizer = AutoTokenizer.from_pretrained(start, local_files_only=True)
        configs = list(space.configs(supernet.shape))
        weights, epochs = {
            "width": (WIDTH_STAGE, self.options.width_epochs),
            "depth": (DEPTH_STAGE, self.options.depth_epochs),
        }[stage]

        from_labels = {"none": label_gradients, "in-place": in_place_gradients}

        def gradients(batch: Batch, step: int) -> float:
            chosen = step_configs(configs, options=self.options, stage=stage, step=step)
            if self.options.distillation != "teacher":
                add_gradients = from_labels[self.options.distillation]
                return add_gradients(
                    supernet, batch, chosen, head=self.task.head, dtype=self.dtype
                )
            return distillation_gradients(
                supernet,
                teacher,
                batch,
                {config: teacher_config(config) for config in chosen},
                weights=weights,
                head=self.task.head,
                dtype=self.dtype,
            )

        taught = self.options.distillation == "teacher"
        texts = self._transfer(tokenizer) if taught else self._labelled(tokenizer)
        self._run(stage, supernet, texts, gradients, epochs=epochs, judged=(configs, tokenizer))
        return supernet, tokenizer

    def _loaded(self, folder: Path) -> Supernet:
        return self._supernet(load_stored(folder))

    def _supernet(self, model: PreTrainedModel) -> Supernet:
        nn.Module.to(model.eval(), self.device)
        return Supernet(model, self.space)

    def _labelled(self, tokenizer: PreTrainedTokenizerBase) -> EncodedSplit:
        """What the stages learn from that need labels."""
        return encode(self.task.train, tokenizer, max_length=self.task.max_length)

    def _transfer(self, tokenizer: PreTrainedTokenizerBase) -> EncodedTexts:
        """What distillation learns from, without labels: training texts and transfer texts."""
        parts = [self._encoded(self.task.train.followed_by(self.unlabelled), tokenizer)]
        if self.options.augment:
            variants = self._augmented(tokenizer).texts
            parts += [] if variants is None else [variants]
        return joined(parts)

    def _augmented(self, tokenizer: PreTrainedTokenizerBase) -> Augmented:
        """Variants of the training texts; every stage has the same ones."""
        if self._variants is not None:
            return self._variants
        started = time.perf_counter()

        def report(done: int, total: int) -> None:
            rate = done / (time.perf_counter() - started)
            self.progress(TrainingProgress(AUGMENT, done, total, math.nan, rate))

        found = augment(
            self.task.train,
            checkpoint=self.checkpoint,
            tokenizer=tokenizer,
            max_length=self.task.max_length,
            variants=self.options.augment,
            seed=self.options.seed,
            held_out={
                ids
                for name, split in self.task.splits.items()
                if name != "train"
                for ids in self._encoded(split, tokenizer).input_ids
            },
            folder=self.checkpoints / AUGMENT,
            device=self.device,
            dtype=self.dtype,
            progress=report,
        )
        if all(record["stage"] != AUGMENT for record in storage.read_records(self.log)):
            storage.append_record(
                self.log,
                {
                    "stage": AUGMENT,
                    "examples": 0 if found.texts is None else len(found.texts),
                    "held_out": found.held_out,
                    "seconds": round(found.seconds, 1),
                },
            )
        self._variants = found
        return found

    def _encoded(self, texts: Texts, tokenizer: PreTrainedTokenizerBase) -> EncodedTexts:
        return encode_texts(texts, tokenizer, max_length=self.task.max_length)

    def _run(
        self,
        stage: str,
        supernet: Supernet,
        encoded: EncodedTexts,
        gradients: Callable[[Batch, int], float],
        *,
        epochs: int,
        judged: tuple[Sequence[SubnetConfig], PreTrainedTokenizerBase],
        learning_rate: float | None = None,
    ) -> None:
        options, (configs, tokenizer) = self.options, judged
        rate = learning_rate or options.learning_rate
        search = encode(self.task.search, tokenizer, max_length=self.task.max_length)
        run_stage(
            stage,
            supernet.model,
            encoded,
            gradients,
            groups=weight_groups(
                supernet.model, learning_rate=rate, weight_decay=options.weight_decay
            ),
            epochs=epochs,
            pace=options,
            device=self.device,
            dtype=self.dtype,
            state_file=self.checkpoints / f"{stage}.safetensors",
            log=self.log,
            progress=self.progress,
            judge=judge_of(supernet, configs, search, self.task),
        )


@contextmanager
def _shared_embeddings(
    supernet: Supernet, batch: Batch, *, dtype: torch.dtype
) -> Iterator[Tensor]:
    """Embeddings that many sub-networks read; their summed gradient goes back at the end."""
    embeddings = supernet.embed(batch)
    leaf = embeddings.detach().requires_grad_()
    yield leaf
    embeddings.backward(leaf.grad)


def _equally_wide(configs: Iterable[SubnetConfig]) -> list[list[SubnetConfig]]:
    """Sub-networks that are run together, in order; one that eliminates word-vectors is alone."""
    groups = defaultdict(list)
    for config in configs:
        eliminating = None if config.tokens is None else config
        groups[config.heads[0], config.neurons[0], eliminating].append(config)
    return list(groups.values())


def _encoded(
    supernet: Supernet,
    embeddings: Tensor,
    batch: Batch,
    configs: Sequence[SubnetConfig],
    *,
    dtype: torch.dtype,
) -> list[EncoderOutput]:
    """What sub-networks compute that are run together."""
    with autocast(embeddings.device, dtype):
        if configs[0].tokens is None:
            return supernet.encode_together(embeddings, batch, configs)
        with supernet.active(configs[0]):
            return [supernet.encode(embeddings, batch)]
