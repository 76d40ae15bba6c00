"""The training stages, from a checkpoint to a trained supernet (DynaBERT section 2, figure 2).

    checkpoint -0-> teacher -> rewired start -1-> DynaBERT_W -2-> DynaBERT [-> tokens] [-3-> final]

Stage 0 fine-tunes the full model. Stage 1 (Algorithm 2) starts from a copy of it with sorted
units, repaired for all widths where that is asked for (not in the paper), and trains every width
at full depth against the teacher. Stage 2 (Algorithm 3) trains every width and depth against the
fixed DynaBERT_W of the same width, or against the full model (`same_width_teachers`). In spaces
beyond the grid, which are not in the paper, both train networks that are drawn. An optional stage,
not in the paper, then makes word-vectors the third elastic dimension. Stage 3 is the optional
fine-tuning of all sub-networks on the labels. In a step the gradients of the step's sub-networks
add up, are clipped once and followed by one update.

Stages 0 and 3 learn from the labelled training texts. The others learn from a teacher alone, from
these texts and from transfer texts (unlabelled ones, and variants of the training texts): their
batches hold no labels.

Every stage ends with the weights that score best on the search split (`judging`). Left out:
stage 2's wider teacher of the published code.

Each stage's result is a folder, each stage saves its state at a step interval, and batches and
draws depend on the seed and the step alone: a killed run continues to the same weights.

The recipe closed-form stops after stage 0: units are sorted by `removal`, and every sub-network is
repaired when it is built (`repairs`).
"""

import math
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .. import storage
from ..encoders.families import shape_of
from ..intervals import duration
from ..networks.shape import EncoderShape
from ..networks.space import Space
from ..networks.subnet import SubnetConfig
from ..tasks.batches import Batch, EncodedSplit, EncodedTexts, encode
from ..tasks.evaluation import evaluate
from ..tasks.scores import Evaluation
from ..tasks.task import Task, Texts
from ..training import parallel
from ..training.classifier import load_classifier, load_stored
from ..training.distillation import (
    DEPTH_STAGE,
    WIDTH_STAGE,
)
from ..training.loop import (
    Diverged,
    Finished,
    Result,
    TrainingProgress,
    made,
    run_stage,
    weight_groups,
)
from ..training.method import Variants
from ..training.precision import matmul_dtype
from ..training.transfer_set import TransferSet
from .gradients import distillation_gradients, in_place_gradients, label_gradients
from .importance import task_importance
from .joint_repair import repair_together
from .judging import judge_of
from .learners import same_width_teacher, step_configs, token_step_configs
from .options import TrainingOptions, variants_of
from .reconstruction import Counting, Reference, collect
from .removal import removals
from .repairs import RepairableSupernet, RepairOptions, repair_texts
from .rewiring import rewire
from .stages import RATES, planned_stages, seconds_after, trial_steps
from .supernet import Supernet
from .sweep import (
    LEARNT_TEXTS,
    MOST_HALVINGS,
    RateChoice,
    choose_rate,
    has_learnt,
    kept_trial,
)

LOG_FILE = "training.jsonl"
CHECKPOINTS = "checkpoints"


def train_supernet(
    *,
    model: str | Path,
    task: Task,
    folder: Path,
    options: TrainingOptions,
    progress: Callable[[TrainingProgress], None],
    unlabelled: Texts | None = None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Train a supernet into `folder`, or continue where an earlier call was stopped.

    Writes `folder/teacher` (the fine-tuned full model) and `folder/supernet`, both with their
    tokenizer, and a line for each finished stage into `folder/training.jsonl`;
    `folder/checkpoints` holds what a killed run needs and is removed at the end;
    `folder/variants` stays, for whatever else learns from the teacher.

    Args:
        model: The folder of a checkpoint of a supported family.
        task: What is learnt; importance is measured on its search split.
        folder: The run folder.
        options: Settings of all stages.
        progress: Called after every step.
        unlabelled: Transfer texts; the same ones when an earlier call is continued.
        tell: Is called with a sentence when a learning rate is chosen and when a stage ends.

    Raises:
        InputError: When the checkpoint does not fit the task, or a loss stops being finite.
    """
    supernet = folder / "supernet"
    if supernet.is_dir():
        return
    checkpoints = folder / CHECKPOINTS
    training = _Training(
        task,
        folder,
        options,
        progress,
        unlabelled=unlabelled,
        variants=variants_of(options, checkpoint=Path(model), run=folder),
        tell=tell,
    )
    teacher = made(folder / "teacher", lambda: training.teacher(model))
    if options.recipe == "closed-form":
        made(supernet, lambda: training.repairable(teacher))
        shutil.rmtree(checkpoints, ignore_errors=True)
        return
    start = made(checkpoints / "start", lambda: training.start(teacher))
    width = made(checkpoints / "width", lambda: training.width(start, teacher))
    stages: list[tuple[str, Callable[[Path], Result]]] = [("depth", training.depth)]
    if options.token_epochs:
        stages.append(("tokens", partial(training.tokens, teacher=teacher)))
    if options.final_epochs:
        stages.append(("final", training.final))
    latest = width
    for name, stage in stages[:-1]:
        latest = made(checkpoints / name, partial(stage, latest))
    made(supernet, partial(stages[-1][1], latest))
    if parallel.is_main():
        shutil.rmtree(checkpoints)


class _Training:
    """One run's data and settings; each method makes one stage's result."""

    def __init__(
        self,
        task: Task,
        folder: Path,
        options: TrainingOptions,
        progress: Callable[[TrainingProgress], None],
        *,
        unlabelled: Texts | None,
        variants: Variants | None,
        tell: Callable[[str], None],
    ) -> None:
        self.task = task
        self.tell = tell
        self._transfer_texts: EncodedTexts | None = None
        self.unlabelled = unlabelled
        self.variants = variants
        self.checkpoints = folder / CHECKPOINTS
        self.log = folder / LOG_FILE
        self.options = options
        self.progress = progress
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = matmul_dtype(options.precision, self.device)

    def teacher(self, checkpoint: str | Path) -> Result:
        """Stage 0: fine-tune the full model on the labels, at the best of the rates tried.

        Where nothing is learnt at a rate that was not given by hand, half of it is taken.
        """
        options, in_vain_file = self.options, self.checkpoints / RATES / "in-vain.json"
        rate = options.fine_tuning_rate
        if options.teacher_rates:
            rate = self._chosen_rate(checkpoint).rate
        in_vain = storage.read_json(in_vain_file) if in_vain_file.exists() else 0
        while True:
            tried = rate / 2**in_vain
            supernet, tokenizer = self._fine_tuned("teacher", checkpoint, learning_rate=tried)
            if not options.teacher_epochs or self._has_learnt(supernet, tokenizer):
                break
            sentence = f"stage 0 learnt nothing at {tried:g}"
            if not options.may_lower_rate or in_vain == MOST_HALVINGS:
                self.tell(f"{sentence}: it answers its own training texts no better than chance")
                break
            in_vain += 1
            self.tell(f"{sentence}: again at {tried / 2:g}")
            if parallel.is_main():
                self._state_file("teacher").unlink(missing_ok=True)
                storage.write_json(in_vain_file, in_vain)
            parallel.wait()
        return supernet.model, tokenizer

    def _has_learnt(self, supernet: Supernet, tokenizer: PreTrainedTokenizerBase) -> bool:
        known = self._labelled(tokenizer).first(LEARNT_TEXTS)
        return has_learnt(evaluate(supernet.model, known, task=self.task, split="train"))

    def _chosen_rate(self, checkpoint: str | Path) -> RateChoice:
        """Try each learning rate of stage 0 in a share of its steps."""
        options = self.options
        steps = trial_steps(options, len(self.task.train))

        def attempt(rate: float) -> Evaluation | None:
            try:
                supernet, tokenizer = self._fine_tuned(
                    f"{RATES}-{rate:g}", checkpoint, learning_rate=rate, max_steps=steps
                )
            except Diverged:
                record = {"stage": f"{RATES}-{rate:g}", "learning_rate": rate, "diverged": True}
                storage.append_record(self.log, record)
                return None
            search = encode(self.task.search, tokenizer, max_length=self.task.max_length)
            return evaluate(supernet.model, search, task=self.task, split="search")

        choice = choose_rate(
            {
                rate: kept_trial(
                    self.checkpoints / RATES / f"{rate:g}.json", partial(attempt, rate)
                )
                for rate in options.teacher_rates
            },
            guess=options.fine_tuning_rate,
            steps=steps,
        )
        self.tell(choice.sentence)
        return choice

    def _fine_tuned(
        self,
        stage: str,
        checkpoint: str | Path,
        *,
        learning_rate: float,
        max_steps: int | None = None,
    ) -> tuple[Supernet, PreTrainedTokenizerBase]:
        options = self.options
        model = load_classifier(
            checkpoint, self.task, seed=options.seed, fine_tuned=options.teacher_epochs == 0
        )
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
        supernet = self._supernet(model)
        full = [SubnetConfig.full(supernet.shape)]
        self._run(
            stage,
            supernet,
            self._labelled(tokenizer),
            lambda batch, step: label_gradients(
                supernet, batch, full, head=self.task.head, dtype=self.dtype
            ),
            epochs=options.teacher_epochs,
            judged=(full, tokenizer),
            learning_rate=learning_rate,
            max_steps=max_steps,
        )
        return supernet, tokenizer

    def start(self, teacher: Path) -> Result:
        """Sort a copy of the teacher's units, and solve its projections anew where asked to.

        Importance is measured on the search split; necessity and repairs are of texts without
        labels. Sorting does not change what the full model computes.
        """
        options = self.options
        model = load_stored(teacher)
        nn.Module.to(model, self.device)
        tokenizer = AutoTokenizer.from_pretrained(teacher, local_files_only=True)
        if options.rewiring == "importance":
            size = options.batch_size
            rewire(model, task_importance(model, tokenizer, self.task, batch_size=size))
        if options.rewiring == "necessity" or options.start == "repaired":
            reference = self._reference(model, tokenizer, RepairOptions(seed=options.seed))
            if options.rewiring == "necessity":
                found = removals(model, reference, progress=self._counting("removal"))
                rewire(model, found.importance)
            if options.start == "repaired":
                widths = options.space_of(shape_of(model.config)).with_every_token()
                repair_together(
                    model,
                    list(widths.at_full_depth().landmarks),
                    reference,
                    progress=self._counting("repair"),
                )
        return model, tokenizer

    def repairable(self, teacher: Path) -> Result:
        """Sort a copy of the teacher's units by necessity; nothing is trained after that."""
        options = RepairOptions(seed=self.options.seed)
        model = load_stored(teacher)
        tokenizer = AutoTokenizer.from_pretrained(teacher, local_files_only=True)
        reference = self._reference(model, tokenizer, options)
        found = removals(model, reference, progress=self._counting("removal"))
        rewire(model, found.importance)
        space = self.options.space_of(shape_of(model.config))
        supernet = Supernet(model, space)
        return RepairableSupernet(supernet, options, found.losses), tokenizer

    def _reference(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, options: RepairOptions
    ) -> Reference:
        """What the full model computes for the texts that repairs are of."""
        known = self.task.train.followed_by(self.unlabelled)
        texts = repair_texts(known, tokenizer, options, max_length=self.task.max_length)
        return collect(model, texts, seed=options.seed, progress=self._counting("collect"))

    def _counting(self, stage: str) -> Counting:
        """The progress of what learns nothing, as that of a stage of training."""
        return lambda done, total: self.progress(
            TrainingProgress(stage, done, total, math.nan, math.nan)
        )

    def width(self, rewired: Path, teacher: Path) -> Result:
        """Stage 1: adaptive width, distilled from the fine-tuned model."""
        fixed = self._loaded(teacher)
        full, widths = fixed.space.full, fixed.space.at_full_depth()
        return self._distilled("width", rewired, fixed, widths, lambda config: full)

    def depth(self, width: Path) -> Result:
        """Stage 2: adaptive width and depth, distilled from what stage 1 has made."""
        fixed = self._loaded(width)

        def teacher(config: SubnetConfig) -> SubnetConfig:
            if self.options.same_width_teachers:
                return same_width_teacher(config, fixed.shape)
            return fixed.space.full

        return self._distilled("depth", width, fixed, fixed.space, teacher)

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
            chosen = token_step_configs(fixed.space, options=self.options, step=step)
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
            judged=(list(fixed.space.landmarks), tokenizer),
        )
        return supernet, tokenizer

    def final(self, trained: Path) -> Result:
        """Stage 3: fine-tune every sub-network on the labels."""
        supernet = self._loaded(trained)
        tokenizer = AutoTokenizer.from_pretrained(trained, local_files_only=True)

        def gradients(batch: Batch, step: int) -> float:
            chosen = step_configs(supernet.space, options=self.options, stage="final", step=step)
            return label_gradients(supernet, batch, chosen, head=self.task.head, dtype=self.dtype)

        self._run(
            "final",
            supernet,
            self._labelled(tokenizer),
            gradients,
            epochs=self.options.final_epochs,
            judged=(list(supernet.space.landmarks), tokenizer),
        )
        return supernet, tokenizer

    def _distilled(
        self,
        stage: Literal["width", "depth"],
        start: Path,
        teacher: Supernet,
        space: Space,
        teacher_config: Callable[[SubnetConfig], SubnetConfig],
    ) -> Result:
        supernet = self._loaded(start)
        tokenizer = AutoTokenizer.from_pretrained(start, local_files_only=True)
        space = space.with_every_token()
        weights, epochs = {
            "width": (WIDTH_STAGE, self.options.width_epochs),
            "depth": (DEPTH_STAGE, self.options.depth_epochs),
        }[stage]

        from_labels = {"none": label_gradients, "in-place": in_place_gradients}

        def gradients(batch: Batch, step: int) -> float:
            chosen = step_configs(space, options=self.options, stage=stage, step=step)
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
        judged = list(space.landmarks), tokenizer
        self._run(stage, supernet, texts, gradients, epochs=epochs, judged=judged)
        return supernet, tokenizer

    def _loaded(self, folder: Path) -> Supernet:
        return self._supernet(load_stored(folder))

    def _supernet(self, model: PreTrainedModel) -> Supernet:
        nn.Module.to(model.eval(), self.device)
        return Supernet(model, self.options.space_of(shape_of(model.config)))

    def _labelled(self, tokenizer: PreTrainedTokenizerBase) -> EncodedSplit:
        """What the stages learn from that need labels."""
        return encode(self.task.train, tokenizer, max_length=self.task.max_length)

    def _transfer(self, tokenizer: PreTrainedTokenizerBase) -> EncodedTexts:
        """What distillation learns from, without labels; every stage learns from the same."""
        if self._transfer_texts is None:
            self._transfer_texts = TransferSet(self.task, self.unlabelled, self.variants).encoded(
                tokenizer,
                device=self.device,
                dtype=self.dtype,
                log=self.log,
                progress=self.progress,
            )
        return self._transfer_texts

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
        max_steps: int | None = None,
    ) -> None:
        options, (configs, tokenizer) = self.options, judged
        rate = learning_rate or options.learning_rate
        search = encode(self.task.search, tokenizer, max_length=self.task.max_length)
        state_file = self._state_file(stage)
        for earlier in set(self.checkpoints.glob("*.safetensors")) - {state_file}:
            earlier.unlink(missing_ok=True)
        finished = run_stage(
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
            state_file=state_file,
            log=self.log,
            progress=self.progress,
            max_steps=max_steps,
            judge=judge_of(supernet, configs, search, self.task),
        )
        self._tell_end(finished, supernet.shape)

    def _state_file(self, stage: str) -> Path:
        """What a killed stage continues from."""
        return self.checkpoints / f"{stage}.safetensors"

    def _tell_end(self, finished: Finished, shape: EncoderShape) -> None:
        """Say how a planned stage went, and about how long the rest takes."""
        unlabelled = 0 if self.unlabelled is None else len(self.unlabelled)
        stages = planned_stages(
            self.options, shape, num_train=len(self.task.train), num_unlabelled=unlabelled
        )
        if finished.stage not in {stage.name for stage in stages}:
            return
        left_s = seconds_after(stages, finished.stage, seconds=finished.seconds)
        rest = f"; about {duration(left_s)} of training left" if left_s else ""
        self.tell(f"{finished.sentence}{rest}")
