"""The first k layers of the fine-tuned model, taught by it: the baseline that costs no idea.

Sun et al. 2019 (Patient Knowledge Distillation) start a student of k layers from the teacher's
first k; Sajjad et al. 2020 find that dropping the top layers is hard to beat. Here the first k
layers, with the teacher's embeddings and head, learn the teacher's logits: soft cross-entropy, as
DynaBERT's distillation has it; mean squared error for a score. Left out: labels and hidden states.
"""

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InputError
from ..training.method import Making, Method
from ..training.pace import Pace, check_steps, refuse_below


@dataclass(frozen=True, slots=True)
class FirstLayersOptions(Pace):
    """How many layers are kept, and how they learn.

    Attributes:
        layers: Layers that are kept, from the first on.
        epochs: Passes over the training data.
    """

    layers: int = 3
    epochs: int = 3

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range.
        """
        Pace.__post_init__(self)
        refuse_below(self, 1, "layers", "epochs")

    @property
    def label(self) -> str:
        """What people call the network."""
        return f"first {self.layers} layers"

    def to_dict(self) -> dict[str, Any]:
        """What decides the network, as JSON types."""
        record = asdict(self)
        del record["checkpoint_steps"]
        return record


def make(making: Making, options: FirstLayersOptions) -> None:
    """Train the first layers of the teacher, or go on where that was interrupted.

    Raises:
        InputError: When the teacher does not have more layers than are kept, or the loss stops
            being finite.
    """
    import torch
    from torch import nn
    from transformers import AutoTokenizer

    from ..encoders.extraction import extract
    from ..encoders.families import shape_of
    from ..networks.subnet import SubnetConfig
    from ..tasks.batches import Batch, encode
    from ..training.classifier import load_stored
    from ..training.distillation import logit_loss
    from ..training.loop import Result, made, run_stage, weight_groups
    from ..training.precision import autocast, matmul_dtype

    check_steps(options, (options.epochs, len(making.task.train)))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = matmul_dtype(options.precision, device)

    def trained() -> Result:
        teacher = load_stored(making.teacher)
        tokenizer = AutoTokenizer.from_pretrained(making.teacher, local_files_only=True)
        shape = shape_of(teacher.config)
        if options.layers >= shape.num_layers:
            raise InputError(
                f"The teacher has {shape.num_layers} layers: keep 1 to {shape.num_layers - 1} of "
                f"them, not {options.layers}."
            )
        kept = options.layers
        config = SubnetConfig(
            tuple(range(kept)), (shape.num_heads,) * kept, (shape.ffn_size,) * kept
        )
        student = extract(teacher, config)
        for model in (teacher.eval(), student):
            nn.Module.to(model, device)

        def gradients(batch: Batch, step: int) -> float:
            inputs = {name: entry for name, entry in batch.items() if name != "labels"}
            with torch.no_grad(), autocast(device, dtype):
                target = teacher(**inputs).logits
            with autocast(device, dtype):
                logits = student(**inputs).logits
            loss = logit_loss(logits, target, head=making.task.head)
            loss.backward()
            return loss.item()

        run_stage(
            "first layers",
            student,
            encode(making.task.train, tokenizer, max_length=making.task.max_length),
            gradients,
            groups=weight_groups(
                student, learning_rate=options.learning_rate, weight_decay=options.weight_decay
            ),
            epochs=options.epochs,
            pace=options,
            device=device,
            dtype=dtype,
            state_file=making.folder / "state.safetensors",
            log=making.folder / "training.jsonl",
            progress=making.progress,
        )
        return student.eval(), tokenizer

    made(making.network, trained)
    (making.folder / "state.safetensors").unlink(missing_ok=True)


METHOD = Method(
    "first-layers",
    "The first layers of the fine-tuned model, taught by its logits.",
    FirstLayersOptions,
    make,
)
