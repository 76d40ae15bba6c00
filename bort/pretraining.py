"""Bort's training: distillation at masked positions, then the task from the fine-tuned model.

Published (arXiv 2010.10499) is the loss 0.1 * MLM + 0.5 * T^2 * KL at temperature T = 2, taken
where words are masked, with Adam at a peak of 1e-4, 1 % of warm-up and linear decay. The teacher
here is the checkpoint that the run began with, before it was fine-tuned; its logits come from its
own language-model head. The student's head starts as a copy of that, of another width fresh. Its
output is tied to the student's embeddings, as in BERT, and it is thrown away afterwards.

Many checkpoints are published without that head, MiniLM's sentence encoder among them, and predict
no words that could be distilled. What stands in is what a head would read: the mean squared
difference of the last hidden states at the masked positions, a student of another width through a
linear map that is learnt and thrown away. Neither term of the published loss is used then.

Texts are the training texts, the run's unlabelled ones and variants. Where a network eliminates
word-vectors, none are eliminated in pre-training. Left out: Adam's epsilon of 1e-6 (1e-8 here).

Shape letters: B batch, T tokens, N masked tokens, E hidden size, V vocabulary.
"""

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    BertConfig,
    BertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ..encoders.families import FAMILIES, shape_of
from ..encoders.family import Family
from ..encoders.heads import auto_model
from ..encoders.running import EncoderOutput, run_encoder
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..tasks.batches import Batch
from ..training.classifier import load_stored
from ..training.distillation import logit_loss
from ..training.language_model import bare_model, masked_model, word_head
from ..training.loop import Result, made, run_stage
from ..training.method import Making
from ..training.precision import autocast, matmul_dtype
from ..training.student import Loss, Start, kept_layers_loss, taught_texts, train_student
from .architecture import POSITIONS, Architecture
from .method import BortOptions, is_architecture
from .training import IGNORED, config_of, draws_of, fresh_model, tables_of, word_hider

TEMPERATURE = 2.0
WORD_SHARE, TEACHER_SHARE = 0.1, 0.5
"""The weights of the two terms of the published loss."""

WARMUP_SHARE = 0.01

StatesLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Compares the student's and the teacher's last states [N, E], given the masked words [N]."""


@dataclass(frozen=True, slots=True)
class Guide:
    """What a student learns from before the task.

    Attributes:
        teacher: Reads the masked texts too; its `base_model` is run.
        learnt: What learns beside the student, and is thrown away.
        loss: Compares their states.
    """

    teacher: PreTrainedModel
    learnt: nn.Module
    loss: StatesLoss


def train_bort(making: Making, options: BortOptions) -> None:
    """Pre-train and teach a network, or go on where that was interrupted; see `method.make`.

    Writes `folder/network`, a dense network with its tokenizer; `folder/pretrained` is there
    between the two trainings.
    """
    pretrained = making.folder / "pretrained"

    def start(teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Start:
        beginning = _beginning(making, options, tokenizer)
        if not options.pretraining_steps:
            return beginning
        state_file = making.folder / "pretraining.safetensors"

        def result() -> Result:
            pretrain(making, options, beginning.student, tokenizer, state_file=state_file)
            return beginning.student, tokenizer

        made(pretrained, result)
        state_file.unlink(missing_ok=True)
        return Start(load_stored(pretrained), beginning.config)

    train_student(making, options, stage="bort", start=start, loss=_task_loss(making, options))
    shutil.rmtree(pretrained, ignore_errors=True)


def pretrain(
    making: Making,
    options: BortOptions,
    student: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    state_file: Path,
) -> None:
    """Teach a student what the pre-trained checkpoint says at masked positions.

    Args:
        making: The checkpoint and the texts.
        options: Steps and pace.
        student: A dense classification model; its embeddings and layers learn.
        tokenizer: The full model's.
        state_file: What a killed pre-training continues from.

    Raises:
        InputError: When the tokenizer has no mask, or the loss stops being finite.
    """
    if tokenizer.mask_token_id is None:
        raise InputError(
            "The run's tokenizer has no mask to pre-train with: give 0 pre-training steps."
        )
    pace = replace(
        options,
        steps=options.pretraining_steps,
        learning_rate=options.pretraining_rate,
        warmup_share=WARMUP_SHARE,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = matmul_dtype(pace.precision, device)
    texts = taught_texts(making, tokenizer, device=device, dtype=dtype)
    hide, family = word_hider(tokenizer), FAMILIES[shape_of(student.config).family]
    guide = guide_of(making.checkpoint(), student, seed=pace.seed)
    for module in (student, guide.teacher.eval(), guide.learnt):
        nn.Module.to(module, device)
    learning = nn.ModuleList([*_encoder_of(student, family), guide.learnt])

    def gradients(batch: Batch, step: int) -> float:
        masked, words = hide(batch["input_ids"], draws_of(pace.seed, step))
        wanted, read = words != IGNORED, {**batch, "input_ids": masked}
        with torch.no_grad(), autocast(device, dtype):
            target = guide.teacher.base_model(**read).last_hidden_state
        with autocast(device, dtype):
            states = last_states(student, family, read)
            value = guide.loss(states[wanted].float(), target[wanted].float(), words[wanted])
        value.backward()
        return value.item()

    run_stage(
        "pre-train",
        learning,
        texts,
        gradients,
        epochs=pace.whole_epochs(len(texts)),
        max_steps=pace.steps,
        pace=pace,
        device=device,
        dtype=dtype,
        state_file=state_file,
        log=making.folder / "training.jsonl",
        progress=making.progress,
    )
    student.cpu().eval()


def guide_of(checkpoint: Path, student: PreTrainedModel, *, seed: int) -> Guide:
    """What a student learns from a pre-trained checkpoint: its words, or else its states.

    Args:
        checkpoint: The pre-trained model's folder.
        student: Its embeddings are tied to the head that it learns with.
        seed: Of what starts at random.
    """
    torch.manual_seed(seed)
    ours = cast(Tensor, student.get_input_embeddings().weight)
    teacher = masked_model(checkpoint)
    if teacher is None:
        encoder = bare_model(checkpoint)
        width, taught = student.config.hidden_size, encoder.config.hidden_size
        read = nn.Identity() if width == taught else nn.Linear(width, taught, bias=False)
        return Guide(encoder, read, lambda states, target, words: state_loss(read(states), target))
    their_head = word_head(teacher)
    alike = ours.shape == cast(Tensor, teacher.get_input_embeddings().weight).shape
    head = (
        copy.deepcopy(their_head)
        if alike
        else BertForMaskedLM(cast(BertConfig, student.config)).cls
    )
    decoder = next(module for name, module in head.named_modules() if name.endswith("decoder"))
    decoder.weight = cast(nn.Parameter, ours)

    def loss(states: Tensor, target: Tensor, words: Tensor) -> Tensor:
        with torch.no_grad():
            taught = their_head(target)[:, : len(ours)]
        return word_loss(head(states), taught, words)

    return Guide(teacher, head, loss)


def word_loss(student: Tensor, teacher: Tensor, words: Tensor) -> Tensor:
    """The published loss, 0.1 * MLM + 0.5 * T^2 * KL, averaged over masked tokens.

    Args:
        student: Its logits [N, V].
        teacher: Logits [N, V], without gradient.
        words: The masked tokens [N].
    """
    number = max(1, len(words))
    mlm = functional.cross_entropy(student.float(), words, reduction="sum")
    divergence = functional.kl_div(
        (student.float() / TEMPERATURE).log_softmax(-1),
        (teacher.float() / TEMPERATURE).log_softmax(-1),
        reduction="sum",
        log_target=True,
    )
    return (WORD_SHARE * mlm + TEACHER_SHARE * TEMPERATURE**2 * divergence) / number


def state_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean squared difference of states [N, E]; 0 where no token is masked."""
    total = functional.mse_loss(student.float(), teacher.float(), reduction="sum")
    return total / max(1, teacher.numel())


def last_states(student: PreTrainedModel, family: Family, batch: Batch) -> Tensor:
    """The last hidden states [B, T, E] of a dense network, every word-vector in every layer."""
    embeddings = family.embed(student, batch)
    layers = dict(enumerate(family.layer_list(student)))
    output = run_encoder(student, family, embeddings, batch, layers=layers, tokens=None)
    return output.hidden[len(layers) - 1]


def _encoder_of(student: PreTrainedModel, family: Family) -> list[nn.Module]:
    """What of a classification model computes its hidden states."""
    backbone = student.get_submodule(family.backbone)
    projection = getattr(backbone, "embeddings_project", None)
    parts = [backbone.get_submodule("embeddings"), projection, family.layer_list(student)]
    return [part for part in parts if part is not None]


def _beginning(making: Making, options: BortOptions, tokenizer: PreTrainedTokenizerBase) -> Start:
    """The student before anything is learnt."""
    if is_architecture(options.name):
        if making.task.max_length > POSITIONS:
            raise InputError(
                f"An architecture reads at most {POSITIONS} tokens, and the task's texts have up "
                f"to {making.task.max_length}: name a network of the run."
            )
        architecture = Architecture.from_key(options.name)
        student = fresh_model(
            config_of(
                architecture,
                tables_of(tokenizer),
                pad_token_id=tokenizer.pad_token_id,
                task=making.task,
            ),
            seed=options.seed,
        )
        return Start(student, SubnetConfig.full(shape_of(student.config)))
    config = SubnetConfig.from_key(options.name)
    student = making.cut(config)
    if options.weights == "fresh":
        torch.manual_seed(options.seed)
        student = auto_model(making.task.head).from_config(student.config)
    return Start(student, config)


def _task_loss(making: Making, options: BortOptions) -> Loss:
    """What the task is learnt by."""
    if not is_architecture(options.name):
        return kept_layers_loss(making.task.head)

    def loss(student: EncoderOutput, teacher: EncoderOutput, mask: Tensor) -> Tensor:
        return logit_loss(student.logits, teacher.logits, head=making.task.head)

    return loss
