"""One dense network that learns from the fine-tuned model, whatever it starts from.

The baselines that distil differ in where their network starts and in what it learns by; how it is
trained, resumed and kept is here, once. As in a supernet's distillation no labels are read, and it
learns from the same texts (`transfer_set`); the weights that score best on the search split while
it learns are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..encoders.extraction import extract
from ..encoders.families import FAMILIES, family_of, shape_of
from ..encoders.family import Family
from ..encoders.running import EncoderOutput, run_encoder
from ..errors import InputError
from ..networks.subnet import SubnetConfig
from ..tasks.batches import Batch, EncodedTexts, encode
from ..tasks.evaluation import evaluate
from ..tasks.heads import Head
from ..tasks.scores import Evaluation
from .classifier import load_stored
from .distillation import DEPTH_STAGE, distillation_loss, hidden_pairs
from .loop import Result, made, run_stage
from .method import Making
from .pace import StudentPace
from .precision import autocast, matmul_dtype
from .transfer_set import TransferSet

Loss = Callable[[EncoderOutput, EncoderOutput, Tensor], Tensor]
"""What a student learns by: its output, the teacher's, and the mask [B, T] of the tokens."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a student starts.

    Attributes:
        student: A dense model, which is trained.
        config: What it keeps of a model of the teacher's sizes: its layers learn from the
            teacher's of the same index.
    """

    student: PreTrainedModel
    config: SubnetConfig


def train_student(
    making: Making,
    pace: StudentPace,
    *,
    stage: str,
    start: Callable[[PreTrainedModel, PreTrainedTokenizerBase], Start],
    loss: Loss,
) -> None:
    """Train a network, or go on where that was interrupted.

    Args:
        making: The teacher, the task and the destination.
        pace: How fast and how long.
        stage: What the training is called.
        start: Says where the student starts, given the teacher and its tokenizer.
        loss: What it learns by.

    Raises:
        InputError: When the training has too many steps, or the loss stops being finite.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = matmul_dtype(pace.precision, device)
    state_file = making.folder / "state.safetensors"

    def trained() -> Result:
        teacher = load_stored(making.teacher)
        nn.Module.to(teacher.eval(), device)
        tokenizer = AutoTokenizer.from_pretrained(making.teacher, local_files_only=True)
        texts = taught_texts(making, tokenizer, device=device, dtype=dtype)
        epochs = pace.whole_epochs(len(texts))
        beginning = start(teacher, tokenizer)
        student, config = beginning.student, beginning.config
        taught_by, family = family_of(teacher), FAMILIES[shape_of(student.config).family]
        nn.Module.to(student, device)
        everything = SubnetConfig.full(shape_of(teacher.config))

        def gradients(batch: Batch, step: int) -> float:
            with torch.no_grad(), autocast(device, dtype):
                target = run_dense(teacher, taught_by, batch, everything)
            with autocast(device, dtype):
                output = run_dense(student, family, batch, config)
            value = loss(output, target, batch["attention_mask"])
            value.backward()
            return value.item()

        search = encode(making.task.search, tokenizer, max_length=making.task.max_length)

        def judge() -> dict[str, Evaluation]:
            return {stage: evaluate(student, search, task=making.task, split="search")}

        run_stage(
            stage,
            student,
            texts,
            gradients,
            epochs=epochs,
            max_steps=pace.steps,
            pace=pace,
            device=device,
            dtype=dtype,
            state_file=state_file,
            log=making.folder / "training.jsonl",
            progress=making.progress,
            judge=judge,
        )
        return student.eval(), tokenizer

    made(making.network, trained)
    state_file.unlink(missing_ok=True)


def taught_texts(
    making: Making,
    tokenizer: PreTrainedTokenizerBase,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> EncodedTexts:
    """What a network learns from that is made of a run, tokenised; see `TransferSet.encoded`."""
    return TransferSet(making.task, making.unlabelled, making.variants).encoded(
        tokenizer,
        device=device,
        dtype=dtype,
        log=making.folder / "training.jsonl",
        progress=making.progress,
    )


def whole_layers(teacher: PreTrainedModel, layers: Sequence[int]) -> Start:
    """Start from some of the teacher's layers, at their full width.

    Raises:
        InputError: When these are not fewer than it has.
    """
    shape = shape_of(teacher.config)
    if len(layers) >= shape.num_layers:
        raise InputError(
            f"The teacher has {shape.num_layers} layers: keep 1 to {shape.num_layers - 1} of "
            f"them, not {len(layers)}."
        )
    config = SubnetConfig.of_layers(shape, layers)
    return Start(extract(teacher, config), config)


def kept_layers_loss(head: Head) -> Loss:
    """The loss of DynaBERT's stage 2: logits, embeddings and the states of the kept layers.

    Args:
        head: Says how logits are compared.
    """

    def loss(student: EncoderOutput, teacher: EncoderOutput, mask: Tensor) -> Tensor:
        return distillation_loss(
            logits=(student.logits, teacher.logits),
            embeddings=(student.embeddings, teacher.embeddings),
            hidden=hidden_pairs(student, teacher, mask),
            mask=mask,
            weights=DEPTH_STAGE,
            head=head,
        )

    return loss


def run_dense(
    model: PreTrainedModel, family: Family, batch: Batch, config: SubnetConfig
) -> EncoderOutput:
    """Run a dense network that keeps `config` of the full model."""
    layers = dict(zip(config.layers, family.layer_list(model), strict=True))
    embeddings = family.embed(model, batch)
    return run_encoder(model, family, embeddings, batch, layers=layers, tokens=config.tokens)
