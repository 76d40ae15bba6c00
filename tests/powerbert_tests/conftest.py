import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert")


def tiny_model(family: str = "bert") -> PreTrainedModel:
    """A model of three layers whose LayerNorms are random too."""
    sizes = {
        "vocab_size": 53,
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "max_position_embeddings": 34,
        "type_vocab_size": 2,
        "num_labels": 3,
    }
    if family == "distilbert":
        sizes["hidden_dim"] = sizes.pop("intermediate_size")
        del sizes["type_vocab_size"]
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **sizes)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def batch_of(model: PreTrainedModel, lengths: tuple[int, ...] = (9, 4, 7)) -> dict:
    """Right-padded random tokens."""
    generator = torch.Generator().manual_seed(1)
    size = (len(lengths), max(lengths))
    mask = (torch.arange(size[1]) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(5, 50, size, generator=generator)
    return {
        "input_ids": torch.where(mask == 1, ids, model.config.pad_token_id or 0),
        "attention_mask": mask,
    }
