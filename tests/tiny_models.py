"""Tiny models of every family, and batches for them."""

from types import SimpleNamespace

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from paretobert.encoders.families import FAMILIES

PAD = 1
VOCAB = 40


def make_tiny_model(
    model_type: str, *, seed: int = 0, attention: str = "sdpa", vocab_size: int = VOCAB
) -> PreTrainedModel:
    torch.manual_seed(seed)
    family = FAMILIES[model_type]
    sizes = {
        "vocab_size": vocab_size,
        "hidden_size": 24,
        "num_attention_heads": 4,
        "num_hidden_layers": 4,
        family.neurons_name: 40,
        "max_position_embeddings": 40,
        "num_labels": 3,
        "pad_token_id": PAD,
        "attn_implementation": attention,
    }
    if model_type == "electra":
        sizes["embedding_size"] = 12
    model = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(model_type, **sizes)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def make_padded_batch(
    model_type: str, *, lengths: tuple[int, ...] = (5, 9, 2), seed: int = 0
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    mask = (torch.arange(shape[1]) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(2, VOCAB, shape, generator=generator) * mask + PAD * (1 - mask)
    batch = {"input_ids": ids, "attention_mask": mask}
    if "token_type_ids" in FAMILIES[model_type].embedding_inputs:
        batch["token_type_ids"] = torch.randint(0, 2, shape, generator=generator)
    return batch


def parts_of(layer: nn.Module) -> SimpleNamespace:
    """A BERT's or DistilBERT's linear layers by their part, found without the plans."""
    paths = {
        "query": ("attention.self.query", "attention.q_lin"),
        "key": ("attention.self.key", "attention.k_lin"),
        "value": ("attention.self.value", "attention.v_lin"),
        "attention_output": ("attention.output.dense", "attention.out_lin"),
        "ffn_in": ("intermediate.dense", "ffn.lin1"),
        "ffn_out": ("output.dense", "ffn.lin2"),
    }
    modules = dict(layer.named_modules())
    return SimpleNamespace(
        **{part: modules[a if a in modules else b] for part, (a, b) in paths.items()}
    )
