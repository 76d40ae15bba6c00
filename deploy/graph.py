"""A dense network as an ONNX graph, and the batches on which written files are compared."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from ..encoders.families import FAMILIES
from ..encoders.modeling_subnet import PREFIX
from ..tasks.batches import Batch
from .runner import ExportError

# The first set with a GELU operator: a 6 x 384 BERT then ran 1.28 times as fast as with set 18.
ONNX_OPSET = 20
LONGEST_CHECK = 64


def graph_inputs(config: PreTrainedConfig) -> tuple[str, ...]:
    """The batch entries that a network of that config reads."""
    family = FAMILIES[config.model_type.removeprefix(PREFIX)]
    return (*family.embedding_inputs, "attention_mask")


def longest_input(config: PreTrainedConfig) -> int:
    """Tokens that a network of that config has positions for."""
    return FAMILIES[config.model_type.removeprefix(PREFIX)].longest_input(config)


def write_onnx(model: PreTrainedModel, example: Batch, path: Path) -> None:
    """Write a dense network as an ONNX file of any batch size and length, in float32.

    Args:
        model: The network; it stays as it is.
        example: A batch [B, T] whose entries become the graph's inputs; its output is `logits`.
        path: The file.

    Raises:
        ExportError: When torch makes no model of it.
    """
    dense = copy.deepcopy(model).cpu().float()
    axes = {name: {0: "batch", 1: "tokens"} for name in example}
    dense.eval()
    with _quiet_exporter():
        program = torch.onnx.export(
            dense,
            kwargs=dict(example),
            input_names=list(example),
            output_names=["logits"],
            dynamic_shapes=axes,
            opset_version=ONNX_OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ExportError("torch.onnx.export returned no model.")
    _forget_origin(program.model)
    program.save(path)


def check_batches(config: PreTrainedConfig, input_names: tuple[str, ...]) -> list[Batch]:
    """Make the batches on which exported files are compared.

    Args:
        config: Of the network: vocabulary, positions, padding.
        input_names: Which entries to make.

    Returns:
        Random tokens, the same in every call: one token, one long text, and padded batches of
        several lengths. Each entry is int64 [B, T].
    """
    generator = torch.Generator().manual_seed(0)
    padding = config.pad_token_id or 0
    longest = min(LONGEST_CHECK, longest_input(config))
    batches: list[Batch] = []
    for lengths in ((1,), (longest,), (2, 1), (longest // 2, longest, 1, 5, 3)):
        shape = (len(lengths), max(lengths))
        mask = (torch.arange(shape[1]) < torch.tensor(lengths)[:, None]).long()
        tokens = torch.randint(config.vocab_size, shape, generator=generator)
        entries = {
            "input_ids": tokens.masked_fill(mask == 0, padding),
            "attention_mask": mask,
            "token_type_ids": torch.randint(
                getattr(config, "type_vocab_size", 1), shape, generator=generator
            ),
        }
        batches.append({name: entries[name] for name in input_names})
    return batches


def _forget_origin(model: Any) -> None:
    """Drop the exporter's notes: paths of this machine's source files, and sizes of the example.

    What remains depends on the network alone, so that the same network makes the same file.
    """
    graph = model.graph
    for annotated in (model, graph, *graph.inputs, *graph.initializers.values()):
        annotated.metadata_props.clear()
    for node in graph.all_nodes():
        for annotated in (node, *node.outputs):
            annotated.metadata_props.clear()


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hold back what the exporter says about itself: absent torchvision, merged axis names."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "# The axis name", UserWarning)
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
