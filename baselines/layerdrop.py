"""LayerDrop: a model that is fine-tuned with layers dropped at random does with fewer of them.

Fan et al. 2020, sections 3.2 and 3.3, in its variant for fine-tuning: the pre-trained checkpoint
is fine-tuned on the labels, each layer skipped in each step with one probability, .2 as published;
then every other layer is kept, or however many are asked for, evenly spaced and the last one among
them, and nothing is trained any more. Left out, as there: distillation; hence unlabelled texts and
variants too. Left out beside it: LayerDrop in pre-training, and the choice of layers by their
scores, which the paper finds no better.
"""

from dataclasses import dataclass
from random import Random

from ..errors import InputError
from ..training.method import Making, Method
from .layers import LayersOptions, resolve


@dataclass(frozen=True, slots=True)
class LayerDropOptions(LayersOptions):
    """How many layers are kept of the model, and how it is fine-tuned.

    Attributes:
        drop_rate: The probability that a layer is skipped in a step.
    """

    drop_rate: float = 0.2

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range.
        """
        LayersOptions.__post_init__(self)
        if not 0 < self.drop_rate < 1:
            raise InputError(f"drop_rate must be between 0 and 1, not {self.drop_rate:g}.")

    @property
    def label(self) -> str:
        """What people call the network."""
        return f"LayerDrop, {self.counted}"


def kept_in_step(num_layers: int, *, drop_rate: float, seed: int, step: int) -> tuple[int, ...]:
    """The layers that run in a step; the draw depends on the arguments alone."""
    generator = Random(f"{seed}/layerdrop/{step}")
    return tuple(layer for layer in range(num_layers) if generator.random() >= drop_rate)


def make(making: Making, options: LayerDropOptions) -> None:
    """Fine-tune the checkpoint and keep some layers, or go on where that was interrupted.

    Raises:
        InputError: When the checkpoint does not have more layers than are kept, the training has
            too many steps, or the loss stops being finite.
    """
    import torch
    from torch import nn
    from transformers import AutoTokenizer

    from ..encoders.families import family_of, shape_of
    from ..encoders.running import run_encoder
    from ..tasks.batches import Batch, encode
    from ..training.classifier import load_classifier
    from ..training.distillation import prediction_loss
    from ..training.loop import Result, made, run_stage
    from ..training.precision import autocast, matmul_dtype
    from ..training.student import whole_layers
    from .student import spaced_layers

    task, state_file = making.task, making.folder / "state.safetensors"
    epochs = options.whole_epochs(len(task.train))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = matmul_dtype(options.precision, device)

    def trained() -> Result:
        checkpoint = making.checkpoint()
        model = load_classifier(checkpoint, task, seed=options.seed, fine_tuned=False)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
        family, shape = family_of(model), shape_of(model.config)
        layers = spaced_layers(shape.num_layers, options.number)
        whole_layers(model, layers)
        nn.Module.to(model, device)

        def gradients(batch: Batch, step: int) -> float:
            kept = kept_in_step(
                shape.num_layers, drop_rate=options.drop_rate, seed=options.seed, step=step
            )
            for parameter in model.parameters():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            modules = family.layer_list(model)
            with autocast(device, dtype):
                logits = run_encoder(
                    model,
                    family,
                    family.embed(model, batch),
                    batch,
                    layers={layer: modules[layer] for layer in kept},
                    tokens=None,
                ).logits
            value = prediction_loss(logits, batch["labels"], head=task.head)
            value.backward()
            return value.item()

        run_stage(
            "layerdrop",
            model,
            encode(task.train, tokenizer, max_length=task.max_length),
            gradients,
            epochs=epochs,
            max_steps=options.steps,
            pace=options,
            device=device,
            dtype=dtype,
            state_file=state_file,
            log=making.folder / "training.jsonl",
            progress=making.progress,
        )
        model.cpu()
        return whole_layers(model.eval(), layers).student, tokenizer

    made(making.network, trained)
    state_file.unlink(missing_ok=True)


METHOD = Method(
    "layerdrop",
    "Every other layer of the checkpoint, fine-tuned with layers dropped at random (LayerDrop).",
    LayerDropOptions,
    make,
    resolve,
)
